"""`venue experiment simulate`: the closed loop, a day at a time."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from venue_assets.cli.arguments import Days, Seed, UserError, Visits, home_with_site
from venue_assets.cli.experiment.shared import named
from venue_assets.cli.making import World
from venue_assets.cli.show import relative, say
from venue_assets.home import Home

if TYPE_CHECKING:
    from edge_collector.allocation import Allocation
    from venue_assets.simulate import Options

HISTORY: Final = 7
"""Dates that are played before an experiment begins, so that something is known of it."""


def simulate(
    experiment_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Whose dates to play; the first bandit unless given.")
    ] = None,
    world: World = "one_best",
    days: Days = 30,
    visits: Visits = 2000,
    seed: Seed = 1,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="DATE", help="First event date; a week before the experiment unless given."),
    ] = None,
) -> None:
    """Play the closed loop: each simulated day is materialized, and its shares decide the arms of the next one.

    Replaces what the gateways sim* landed, never anything else.

    Example: [bold]venue experiment simulate voucher --world by_group --days 30 --visits 500[/]
    """
    from venue_assets.cli.making import check_simulated, simulated_options

    home = home_with_site()
    site = home.site
    bandits = [e for e in site.experiments if e.kind == "bandit"]
    if experiment_id is None and not bandits:
        raise UserError(f"{home.site_file} has no bandit; give the ID of an experiment, or set one up")
    e = bandits[0] if experiment_id is None else named(site, experiment_id)
    begins = str(max(site.opened_on, e.first_date - timedelta(days=HISTORY))) if first is None else first
    wanted = simulated_options(days, visits, seed, begins, world)
    check_simulated(home, wanted)
    _play(home, wanted)
    say(f"Next: [bold]venue experiment show {e.id} --days {days}[/]")


def _play(home: Home, wanted: Options) -> None:
    from edge_collector.allocation import read_allocation
    from venue_assets.cli import demo
    from venue_assets.cli.running import compute
    from venue_assets.publish.allocations import ALLOCATIONS, load_key
    from venue_assets.simulate import begin, remove

    key = load_key(home).public_key()
    told: list[str] = []

    def allocations(experiment_id: str, day: date) -> Allocation | None:
        """What a gateway would act on: the signed file, as it was published the evening before."""
        # On the first date there was no evening before; what lies there is another run's.
        found = (
            read_allocation(home.published / ALLOCATIONS, experiment_id, day, key) if day > wanted.first_date else None
        )
        told.append(f"{experiment_id} by {f'allocation {found.allocation_id}' if found else 'its fixed shares'}")
        return found

    (home.root / demo.TRUTH).unlink(missing_ok=True)
    remove(home.landing)
    run = begin(home.site, home.landing, wanted, allocations=allocations)
    for n in range(1, wanted.days + 1):
        told.clear()
        day = run.play()
        if n == 1:
            demo.forget_unlanded(home)
        say(f"Day {n} of {wanted.days}, {day}: landed; {', '.join(told) or 'no bandit is on'}")
        if day >= home.site.opened_on:
            compute(home, [day])
    run.truth.write(home.root / demo.TRUTH)
    say(f"Truth -> {relative(home.root / demo.TRUTH)}")
