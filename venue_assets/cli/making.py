"""Commands that make landed records: demo, simulate, import."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from venue_assets.cli import show
from venue_assets.cli.arguments import Days, From, Port, Seed, UserError, Visits, computable, event_date
from venue_assets.cli.show import relative, say
from venue_assets.home import Home

if TYPE_CHECKING:
    from venue_assets.simulate import Options, Simulation

World = Annotated[
    Literal["none", "one_best", "by_group"],
    typer.Option(help="What the arms of the site's experiments really do: nothing, one is best, or one per group."),
]


def demo(
    days: Days = 14,
    visits: Visits = 2000,
    seed: Seed = 1,
    first: From = "2026-01-05",
    world: World = "one_best",
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Serve the Dagster UI at the end.")] = True,
    port: Port = 3000,
) -> None:
    """Simulate two weeks of two venues, run them through the graph and hold the result against the truth.

    The same options again change nothing; other options replace what the gateways sim* landed, never anything else.

    Example: [bold]venue demo --days 7 --visits 500 --no-ui[/]
    """
    from venue_assets.cli import demo_report
    from venue_assets.cli.looking import serve

    home = Home.of_environment("data/demo")
    _demonstrate(home, simulated_options(days, visits, seed, first, world))
    demo_report.pages(home, open_one=ui)
    if ui:
        serve(home, port=port)
    else:
        say("")
        steps = (
            ("ui", "the Dagster UI over these tables"),
            ('query "SELECT * FROM hourly_metrics LIMIT 24"', "ask any table"),
            ("status", "what is fresh, stale, failed or missing"),
        )
        show.next_steps(home, steps)


def _demonstrate(home: Home, wanted: Options) -> None:
    from venue_assets.cli import demo as demonstration
    from venue_assets.cli import demo_report
    from venue_assets.cli.query import connect
    from venue_assets.cli.running import compute
    from venue_assets.graph.build import engine_resource
    from venue_assets.publish.publication import publish
    from venue_assets.tables.catalogue import catalogue

    demonstration.ensure_site(home)
    check_simulated(home, wanted)
    if demonstration.is_landed(home, wanted):
        say(f"Simulated before with the same options: {wanted.days} days from {wanted.first_date}, seed {wanted.seed}")
    else:
        run = _land(home, wanted)
        say(
            f"Simulated {wanted.days} days from {wanted.first_date}: {run.lines:,} lines in {run.segments:,} segments "
            f"-> {relative(home.landing)}"
        )
        demonstration.forget_unlanded(home)
    if due := demonstration.not_fresh(home):
        compute(home, due)
    else:
        say("Every table is fresh: nothing to compute")
        publish(home, catalogue(), engine_resource(), log=say)  # what was dropped, perhaps
    with connect(home, catalogue()) as con:
        published = demonstration.Published.of(con)
        demo_report.metrics(published.primary_metrics)
        found = demonstration.reconcile(home, published)
        demo_report.reconciliation(found)
        demo_report.analysis(con, wanted.dates[-1])
    demo_report.places(home)
    if found.differences:
        raise typer.Exit(1)


def simulate(
    days: Days = 14,
    visits: Visits = 2000,
    seed: Seed = 1,
    first: From = "2026-01-05",
    world: World = "one_best",
) -> None:
    """Land what the site's gateways sim* would have captured, with known truth and the dirt of real life.

    Example: [bold]venue simulate --days 3 --visits 100 --from 2026-02-01[/]
    """
    from venue_assets.lake.freshness import gone_dates
    from venue_assets.lake.landing_index import scan
    from venue_assets.lake.store import Lake

    home = Home.of_environment()
    wanted = simulated_options(days, visits, seed, first, world)
    check_simulated(home, wanted)
    run = _land(home, wanted)
    say(f"Landed {run.lines:,} lines in {run.segments:,} segments -> {relative(home.landing)}")
    say(f"Truth -> {relative(home.root / 'truth.json')}")
    dates = f"{max(wanted.first_date, home.site.opened_on)}...{wanted.last_date}"
    steps = [(f"materialize {dates}", "compute what landed, and publish it")]
    if gone_dates(Lake(home.lake), scan(home.landing), wanted.dates):
        steps.insert(0, (f"materialize {dates} --withdraw", "first: take out what only an earlier simulation had"))
    show.next_steps(home, steps)


def simulated_options(
    days: int, visits: int, seed: int, first: str, world: Literal["none", "one_best", "by_group"]
) -> Options:
    """What the simulator is asked for. Raises UserError."""
    from venue_assets.simulate import Options

    try:
        wanted = Options(first_date=event_date(first), days=days, visits=visits, seed=seed, world=world)
        _ = wanted.last_date  # there is one only within the calendar
    except ValueError as error:
        raise UserError(str(error)) from None
    except OverflowError:
        raise UserError(f"--from {first} is given with --days {days}; the calendar ends before") from None
    return wanted


def check_simulated(home: Home, wanted: Options) -> None:
    """Whether the site can be played on these dates: asked before an earlier simulation is removed."""
    from venue_assets.simulate.landing import SIMULATED

    played = {device.venue_id for device in home.site.devices if device.gateway_id.startswith(SIMULATED)}
    if not played:
        raise UserError(
            f"{home.site_file}: no device has a gateway_id that begins with {SIMULATED!r}; nothing to simulate"
        )
    given = f"--from {wanted.first_date} is given with --days {wanted.days}"
    opening = min(venue.opened_on for venue in home.site.venues if venue.id in played)
    if wanted.last_date < opening:
        raise UserError(f"{given}; no venue opens before {opening}")
    _, today = computable(home.site)
    if wanted.last_date > today:
        raise UserError(f"{given}; dates to today ({today}) are expected, because later ones cannot be computed")


def _land(home: Home, wanted: Options) -> Simulation:
    from venue_assets.cli import demo as demonstration

    with show.progress("simulate", wanted.days) as bar:
        return demonstration.land(home, wanted, progress=lambda _day: bar.advance(bar.task_ids[0]))


def import_(
    kind: Annotated[Literal["counts", "visits", "orders"], typer.Argument(help="What the file holds.")],
    files: Annotated[
        list[Path],
        typer.Argument(help="CSV, Parquet or XLSX; with flows in the map, one file per flow.", metavar="FILE..."),
    ],
    map_path: Annotated[Path, typer.Option("--map", help="Column map (TOML).", metavar="MAP.toml")],
    key_epoch: Annotated[str, typer.Option(help="Name of the pseudonym key in use.")] = "k1",
) -> None:
    """Land the rows of another system's file, as a column map says.

    Every row lands, has landed before, or is listed in a rejects file with line and reason. The same file twice changes
    nothing. User ids become pseudonyms before anything is written.

    Example: [bold]venue import orders export.csv --map data/examples/online_retail/map.toml[/]
    """
    from edge_collector.pseudonym import load_pseudonymizer
    from venue_assets.importing import import_file

    home = Home.of_environment()
    site = home.site
    with show.progress("import", 1) as bar:

        def report(what: str, done: int, total: int) -> None:
            bar.update(bar.task_ids[0], description=what, completed=done, total=total)

        result = import_file(
            site, home.landing, kind, files, map_path,
            pseudonymizer=partial(load_pseudonymizer, home.pseudonym_key, epoch=key_epoch, create=True),
            rejects_dir=home.root / "rejects", progress=report,
        )  # fmt: skip
    say(
        f"Read {result.rows_read:,} rows = {result.landed:,} landed + {result.already_landed:,} landed before "
        f"+ {result.rejected:,} rejected"
    )
    if result.ambiguous or result.nonexistent:
        say(
            f"Local times: {result.ambiguous:,} exist twice (the earlier was taken), "
            f"{result.nonexistent:,} do not exist (moved forward)"
        )
    if result.rejects_file:
        say(f"Rejected rows with line and reason -> {relative(result.rejects_file)}")
    if result.nothing_new:
        say("Nothing new: all of it had landed before")
        return
    first, last = result.event_dates[0], result.event_dates[-1]
    say(
        f"{result.records:,} records in {len(result.segments):,} segments, {len(result.event_dates)} event dates "
        f"-> {relative(home.landing / result.stream)}"
    )
    say(f"Next: [bold]venue materialize {first}...{last}[/]")
