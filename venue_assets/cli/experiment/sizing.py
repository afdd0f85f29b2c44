"""`venue experiment size`: how many units a test needs, how long that takes, and what its traffic can show."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from edge_collector.experiment import KPIS, Experiment, Unit
from edge_collector.site import Site
from venue_assets.cli import show
from venue_assets.cli.arguments import UserError, home_with_site
from venue_assets.cli.experiment.shared import as_of, lake, named
from venue_assets.cli.show import relative, say, verbatim
from venue_assets.home import Home
from venue_assets.nearest import did_you_mean

if TYPE_CHECKING:
    from venue_assets.cli.experiment.planning import Plan


def size(
    experiment_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="An experiment of site.toml; else --kpi and --delta.")
    ] = None,
    kpi: Annotated[str | None, typer.Option(help="What is measured, such as conversion or amount.")] = None,
    delta: Annotated[float | None, typer.Option(help="Smallest effect worth knowing, in the KPI's unit.")] = None,
    rate: Annotated[
        float | None, typer.Option("--baseline", help="Conversion as it is now; else that of the last 28 dates.")
    ] = None,
    variance: Annotated[
        float | None, typer.Option(help="Variance of another KPI per unit; else that of the last 28 dates.")
    ] = None,
    venue_id: Annotated[str | None, typer.Option("--venue", help="Where; may be left out with one venue.")] = None,
    unit: Annotated[Unit | None, typer.Option(help="Of what; visit unless the KPI has another.")] = None,
    arms: Annotated[int, typer.Option(min=2, max=100, help="How many, the control counted.")] = 2,
    alpha: Annotated[float, typer.Option(help="Probability to err where there is no effect.")] = 0.05,
    power: Annotated[float, typer.Option(help="Probability to find an effect of delta.")] = 0.8,
) -> None:
    """How many units a test needs, how long that takes, and what its traffic can show.

    Example: [bold]venue experiment size voucher[/],
    [bold]venue experiment size --kpi conversion --delta 0.02 --baseline 0.14[/],
    [bold]venue experiment size --kpi amount --delta 1.5 --venue riverside[/]
    """
    home = home_with_site()
    planned = (kpi, delta, rate, variance, venue_id, unit)
    if experiment_id is not None:
        if any(value is not None for value in planned):
            raise UserError(f"{experiment_id} is given with --kpi or its like; either an ID or these are expected")
        _size_of(home, named(home.site, experiment_id))
    elif kpi is None or delta is None:
        raise UserError("an ID, or --kpi and --delta, are expected; see: venue experiment size --help")
    else:
        e = _made_up(home.site, kpi, delta, rate, variance, venue_id, unit, arms, alpha, power)
        _size_of(home, e, rate=rate, variance=variance, planned=True)


def _made_up(
    site: Site, kpi: str, delta: float, rate: float | None, variance: float | None, venue_id: str | None,
    unit: Unit | None, arms: int, alpha: float, power: float,
) -> Experiment:  # fmt: skip
    """The experiment that is asked for, checked as one of site.toml. Raises UserError."""
    units = [of for of, kpis in KPIS.items() if kpi in kpis]
    if not units:
        known = dict.fromkeys(name for kpis in KPIS.values() for name in kpis)
        raise UserError(f"--kpi {kpi} is given{did_you_mean(kpi, known)}; one of {', '.join(known)} is expected")
    if unit is not None and unit not in units:
        raise UserError(f"--unit {unit} is given with --kpi {kpi}; {' or '.join(units)} is expected")
    if rate is not None and (kpi != "conversion" or not 0 <= rate <= 1):
        raise UserError(f"--baseline {rate} is given with --kpi {kpi}; a share from 0 to 1 of a conversion is expected")
    if variance is not None and (kpi == "conversion" or not 0 < variance < float("inf")):
        raise UserError(
            f"--variance {variance} is given with --kpi {kpi}; a number above 0 is expected, and --baseline with "
            "conversion"
        )
    venues = [venue.id for venue in site.venues]
    if venue_id is None and len(venues) == 1:
        venue_id = venues[0]
    if venue_id not in venues and (venue_id is not None or (rate is None and variance is None)):
        raise UserError(
            f"{'no --venue' if venue_id is None else f'--venue {venue_id}'} is given"
            f"{did_you_mean(venue_id or '', venues)}; one of {', '.join(venues)} is expected"
        )
    from pydantic import ValidationError

    names = [f"arm {n}" for n in range(arms)]
    today = date.today()
    fields = {"kpi": kpi, "minimum_effect": delta, "alpha": alpha, "power": power, "arms": names}
    fields |= {"id": "planned", "venue_id": venue_id or "", "kind": "randomised", "unit": unit or units[0]}
    try:
        return Experiment.model_validate(fields | {"first_date": today, "last_date": today})
    except ValidationError as error:
        options = {"minimum_effect": "--delta"}
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UserError(
            f"{options.get(name, f'--{name}')} {first['input']} is given; {first['msg'].removeprefix('Value error, ')}"
        ) from None


def _size_of(
    home: Home, e: Experiment, *, rate: float | None = None, variance: float | None = None, planned: bool = False
) -> None:
    from venue_assets.cli.experiment.planning import Plan, baseline, days_of, planned_variance
    from venue_assets.tables.catalogue import catalogue

    tomorrow = as_of(home, None) + timedelta(days=1)
    venue_id = e.venue_id if planned else home.site.venue_of(e).id
    of = {"venue_id": venue_id, "unit": e.unit, "kpi": e.primary_kpi, "days": e.reward_days}
    with lake(home) as con:
        now = baseline(con, catalogue(), **of, before=tomorrow)  # type: ignore[arg-type]
        # A test is planned with what was known before it; its own arms must not enter.
        known = now if planned else baseline(con, catalogue(), **of, before=min(tomorrow, e.first_date))  # type: ignore[arg-type]
    mean, spread = (known.mean if rate is None else rate), (known.variance if variance is None else variance)
    of_both = planned_variance(e.primary_kpi, e.minimum_effect, mean, spread)
    what = f"{e.primary_kpi} per {e.unit}" + (f" at {verbatim(venue_id)}" if venue_id else "")
    if not of_both:
        option = "--baseline RATE" if e.primary_kpi == "conversion" else "--variance NUMBER"
        why = "is the same for all units" if of_both == 0 else "is not known"
        raise UserError(
            f"{what} {why} in the 28 dates before {known.before}, so no size follows; materialize them, or give "
            f"--kpi {e.primary_kpi} --delta {e.minimum_effect} {option}"
        )
    plan = Plan(e.minimum_effect, of_both, e.alpha, e.power, e.shares, now.units_a_day)
    given = rate is not None or variance is not None
    source = "as given" if given else f"over {known.units:,} units of the 28 dates before {known.before}"
    figure = f"mean {mean:.4g}" if e.primary_kpi == "conversion" else f"variance {spread:.6g}"
    say(f"{what}: {figure}, {source}; effect to find {e.minimum_effect:g}, alpha {e.alpha:g}, power {e.power:g}")
    rows = [
        ("required units per arm", f"{plan.required_n:,} of {len(e.arms)} arms"),
        ("units a day at present", f"{now.units_a_day:,.1f}" if now.dates else f"- ({_unknown(home, venue_id)})"),
        ("days until every arm has them", show.plain(plan.days) + _shares(e)),
    ]
    if not planned:
        rows += _until_the_end(e, plan, days_of(e.first_date, e.last_date))
    show.table("", ["what", "how much"], [[name, verbatim(value)] for name, value in rows], wrap=["how much"])
    say(_next_of_size(e, planned=planned))


def _unknown(home: Home, venue_id: str | None) -> str:
    return f"no date of it lies in {relative(home.lake)}" if venue_id else "give --venue to know"


def _shares(e: Experiment) -> str:
    if e.kind == "before_after":
        return " (half of them on either side)"
    return " (under the fixed shares)" if e.kind == "bandit" else ""


def _until_the_end(e: Experiment, plan: Plan, days: int) -> Iterator[tuple[str, str]]:
    effect = plan.detectable(days)
    yield (
        f"effect that its {days} days can show",
        "-" if effect is None else f"{effect:.4g}" + (" or more" if effect > e.minimum_effect else ", enough"),
    )
    if e.kind == "bandit":
        least = plan.units_of(e.floor, days)
        reached = least >= plan.required_n
        yield (
            f"an arm at the floor ({e.floor:g}) by {e.last_date}",
            f"{least:,} units, "
            + ("enough" if reached else f"{plan.required_n - least:,} too few: it never gets there"),
        )


def _next_of_size(e: Experiment, *, planned: bool) -> str:
    if planned:
        return "Next: put it into site.toml as \\[\\[experiments]]; then [bold]venue experiment list[/]"
    return f"Next: [bold]venue experiment show {e.id}[/]"
