"""The commands of `venue` and their words. What they do is done elsewhere."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import duckdb
import typer

from edge_collector.column_map import MapError
from edge_collector.pseudonym import KeyProblem, load_pseudonymizer
from edge_collector.site import SiteError
from venue_assets.cli import show
from venue_assets.cli.show import say
from venue_assets.home import VARIABLE, Home

app = typer.Typer(
    name="venue",
    help="A physical place run on data: landed records become tables, tables become published figures.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)


class UserError(Exception):
    """What the user gave cannot be done; the message is one clear sentence."""


def main() -> None:
    """Run the command. Wrong input ends with exit code 2 and one clear sentence."""
    try:
        app()
    except (UserError, SiteError, MapError, KeyProblem) as error:
        show.problem(str(error))
        sys.exit(2)
    except FileNotFoundError as error:
        show.problem(
            f"{error.filename}: no such file or folder; look at the path, or set {VARIABLE} to your data folder"
        )
        sys.exit(2)


Dates = Annotated[str, typer.Argument(help="One event date, or a range FIRST...LAST.", metavar="DATE")]
Days = Annotated[int, typer.Option(min=1, max=3660, help="How many event dates.")]
Visits = Annotated[
    int, typer.Option(min=1, max=10_000_000, help="Recognised visits of an average day, over all venues.")
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same people, days and mishaps.")]
From = Annotated[str, typer.Option("--from", metavar="DATE", help="First event date.")]


@app.command()
def demo(
    days: Days = 14,
    visits: Visits = 2000,
    seed: Seed = 1,
    first: From = "2026-01-05",
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Serve the Dagster UI at the end.")] = True,
    port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000,
) -> None:
    """Simulate two weeks of two venues, run them through the graph and hold the result against the truth.

    The same options again change nothing; other options replace what the gateways sim* landed, never anything else.

    Example: [bold]venue demo --days 7 --visits 500 --no-ui[/]
    """
    home = Home.of_environment("data/demo")
    _demo(home, days, visits, seed, first)
    if ui:
        _serve(home, port=port)
    else:
        say(
            'Next: [bold]venue demo[/] serves the UI, [bold]venue query "SELECT ..."[/] asks the tables, [bold]venue status[/] shows what is fresh'
        )
        say(f"      (this demo's data: {VARIABLE}={_relative(home.root)})")


def _demo(home: Home, days: int, visits: int, seed: int, first: str) -> None:
    from venue_assets.cli import demo as demonstration

    demonstration.ensure_site(home)
    options = _options(days, visits, seed, first)
    if demonstration.is_landed(home, options):
        say(f"Simulated before with the same options: {days} days from {options.first_date}, seed {seed}")
    else:
        with show.progress("simulate", days) as bar:
            run = demonstration.land(home, options, progress=lambda _day: bar.advance(bar.task_ids[0]))
        say(
            f"Simulated {days} days from {options.first_date}: {run.lines:,} lines in {run.segments:,} segments -> {_relative(home.landing)}"
        )
        demonstration.forget_unlanded(home)
    due = demonstration.not_fresh(home)
    if due:
        _materialize(home, due)
    else:
        say("Every table is fresh: nothing to compute")
    from venue_assets.cli.query import connect
    from venue_assets.tables.catalogue import catalogue

    with connect(home, catalogue()) as con:
        rows = con.sql("SELECT * FROM primary_metrics ORDER BY venue_id, event_date").to_arrow_table().to_pylist()
    _show_metrics(rows)
    _show_reconciliation(demonstration.reconcile(home, rows))
    _show_places(home)


def _show_metrics(rows: Sequence[dict[str, Any]]) -> None:
    columns = {
        "date": "event_date",
        "activity": "activity_id",
        "passers-by": "pf_range",
        "walked in": "pf_entrance",
        "OCR": "ocr",
        "PV": "pv",
        "UV": "uv",
        "median min": "lov_median_seconds",
        "recognised": "recognition_share",
        "orders": "completed_orders",
        "payers": "paying_users",
        "GMV": "gmv",
    }
    for venue in dict.fromkeys(row["venue_id"] for row in rows):
        own = [dict(row) for row in rows if row["venue_id"] == venue]
        for row in own:
            for share in ("ocr", "recognition_share"):
                row[share] = None if row[share] is None else f"{row[share]:.1%}"
            row["lov_median_seconds"] = (
                None if row["lov_median_seconds"] is None else f"{row['lov_median_seconds'] / 60:.1f}"
            )
        say("")
        show.table(
            f"{venue} ({own[0]['currency']})",
            list(columns),
            [[row[name] for name in columns.values()] for row in own],
            right=set(columns) - {"date", "activity"},
        )


def _show_reconciliation(found: Any) -> None:
    say("")
    if found.differences:
        say(f"[bold red]{len(found.differences)} of {found.compared} figures differ from the truth:[/]")
        show.table(
            "differences",
            ["venue", "date", "figure", "published", "expected"],
            [[d.venue_id, d.event_date, d.figure, d.published, d.expected] for d in found.differences[:20]],
        )
        return
    say(
        f"[bold green]Reconciled with the truth[/]: all {found.compared} figures are exactly what the landed records allow."
    )
    show.table(
        "What the dirt cost (malformed, lost and refused records, an offline gateway)",
        ["figure", "really happened", "found", "share"],
        [[n, clean, there, f"{there / clean:.1%}" if clean else "-"] for n, clean, there in found.effect],
        right=["really happened", "found", "share"],
    )


def _show_places(home: Home) -> None:
    say("")
    for what, path in (
        ("landed segments", home.landing),
        ("tables (Parquet)", home.lake),
        ("for analysts", home.published / "venue.duckdb"),
        ("", home.published / "parquet"),
        ("the truth", home.root / "truth.json"),
    ):
        say(f"{what:17} {_relative(path)}")


@app.command()
def simulate(days: Days = 14, visits: Visits = 2000, seed: Seed = 1, first: From = "2026-01-05") -> None:
    """Land what the site's gateways sim* would have captured, with known truth and the dirt of real life.

    Example: [bold]venue simulate --days 3 --visits 100 --from 2026-02-01[/]
    """
    from venue_assets.cli import demo as demonstration

    home = Home.of_environment()
    options = _options(days, visits, seed, first)
    if not any(device.gateway_id.startswith("sim") for device in home.site.devices):
        raise UserError(f"{home.site_file}: no device has a gateway_id that begins with 'sim'; nothing to simulate")
    with show.progress("simulate", days) as bar:
        run = demonstration.land(home, options, progress=lambda _day: bar.advance(bar.task_ids[0]))
    say(f"Landed {run.lines:,} lines in {run.segments:,} segments -> {_relative(home.landing)}")
    say(f"Truth -> {_relative(home.root / 'truth.json')}")
    say(f"Next: [bold]venue materialize {options.first_date}...{options.last_date}[/]")


@app.command("import")
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
    from venue_assets.importing import import_file

    home = Home.of_environment()
    site = home.site
    pseudonymizer = load_pseudonymizer(home.pseudonym_key, epoch=key_epoch, create=True)
    with show.progress("import", 1) as bar:

        def report(what: str, done: int, total: int) -> None:
            bar.update(bar.task_ids[0], description=what, completed=done, total=total)

        result = import_file(
            site, home.landing, kind, files, map_path,
            pseudonymizer=pseudonymizer, rejects_dir=home.root / "rejects", progress=report,
        )  # fmt: skip
    say(
        f"Read {result.rows_read:,} rows = {result.landed:,} landed + {result.already_landed:,} landed before "
        f"+ {result.rejected:,} rejected"
    )
    if result.ambiguous or result.nonexistent:
        say(
            f"Local times: {result.ambiguous:,} exist twice (the earlier was taken), {result.nonexistent:,} do not exist (moved forward)"
        )
    if result.rejects_file:
        say(f"Rejected rows with line and reason -> {_relative(result.rejects_file)}")
    if result.nothing_new:
        say("Nothing new: all of it had landed before")
        return
    first, last = result.event_dates[0], result.event_dates[-1]
    say(
        f"{result.records:,} records in {len(result.segments):,} segments, {len(result.event_dates)} event dates -> {_relative(home.landing / result.stream)}"
    )
    say(f"Next: [bold]venue materialize {first}...{last}[/]")


@app.command()
def materialize(
    dates: Dates,
    select: Annotated[
        str | None, typer.Option(help="Some tables only: a,b  or a+ for a and all that reads it.", metavar="TABLES")
    ] = None,
) -> None:
    """Compute all tables of an event date or a range, and publish.

    A bad date fails alone; the other dates of the range are computed and published.

    Example: [bold]venue materialize 2026-01-05...2026-01-18[/], [bold]venue materialize 2026-01-05 --select sessions+[/]
    """
    home = Home.of_environment()
    _materialize(home, _days(dates), tables=_selected(select))


def _materialize(home: Home, days: Sequence[date], *, tables: Sequence[str] | None = None) -> None:
    from venue_assets.graph.instance import open_instance
    from venue_assets.graph.runs import OutsidePartitions
    from venue_assets.graph.runs import materialize as run
    from venue_assets.tables.catalogue import catalogue

    home.site  # noqa: B018  a wrong site file is said before anything starts
    started = datetime.now(UTC)
    try:
        with open_instance(home) as instance, show.computing(days, len(tables or catalogue().tables) + 1) as listener:
            outcomes = run(home, instance, days, tables=tables, listener=listener)
    except OutsidePartitions as error:
        raise UserError(str(error)) from None
    seconds = (datetime.now(UTC) - started).total_seconds()
    failed = [o for o in outcomes if not o.success]
    runs = f"{len(outcomes)} run" + ("s" if len(outcomes) > 1 else "")
    say(
        f"Materialized {show.dates(days)} in {runs}, {seconds:.1f} s -> {_relative(home.lake)}, {_relative(home.published)}"
    )
    if failed:
        for outcome in failed:
            show.problem(outcome.error)
        say(
            "Next: [bold]venue status[/] shows which dates failed; correct the cause, then [bold]venue rerun --failed[/]"
        )
        raise typer.Exit(1)


@app.command()
def status(
    dates: Annotated[str | None, typer.Argument(help="Only this event date or range.", metavar="DATE")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also dates on which everything is fresh.")] = True,
) -> None:
    """Which dates are fresh, stale, failed or missing, per layer, with the first error line.

    Example: [bold]venue status 2026-01-05...2026-01-18[/]
    """
    from venue_assets.cli.standing import standing

    home = Home.of_environment()
    rows, lost = standing(home, set(_days(dates)) if dates else None)
    if not rows:
        say(
            f"Nothing landed and nothing computed in {_relative(home.root)}. Next: [bold]venue demo[/] or [bold]venue import --help[/]"
        )
        return
    colour = {"fresh": "green", "stale": "yellow", "failed": "bold red", "missing": "magenta"}
    layers = list(rows[0].layers)
    show.table(
        f"{_relative(home.root)}",
        ["date", *layers, "why"],
        [
            [
                str(row.day),
                *(f"[{colour[s.condition]}]{s.condition}[/]" for s in row.layers.values()),
                row.why.replace("[", r"\["),
            ]
            for row in rows
            if every or row.why
        ],
        wrap=["why"],
    )
    if lost:
        say(f"{len(lost)} run(s) whose process is gone: {', '.join(run[:8] for run in lost)}")
    wanting = [row.day for row in rows if row.why]
    if any(s.condition == "failed" for row in rows for s in row.layers.values()):
        say("Next: correct the cause, then [bold]venue rerun --failed[/]")
    elif wanting:
        say(
            f"Next: [bold]venue materialize {wanting[0]}[/]"
            + (f" and {len(wanting) - 1} more" if len(wanting) > 1 else "")
        )


@app.command()
def rerun(
    failed: Annotated[
        bool, typer.Option("--failed", help="Every failed date, and those of runs whose process is gone.")
    ] = False,
    on: Annotated[str | None, typer.Option("--date", help="This event date or range.", metavar="DATE")] = None,
    table: Annotated[
        str | None, typer.Option("--from", help="With --date: only this table and all that reads it.", metavar="TABLE")
    ] = None,
) -> None:
    """Compute failed dates again, or one date from a table on.

    Example: [bold]venue rerun --failed[/], [bold]venue rerun --date 2026-01-07 --from sessions[/]
    """
    from venue_assets.cli.standing import failed_dates
    from venue_assets.graph.instance import open_instance
    from venue_assets.graph.runs import close_lost_runs

    home = Home.of_environment()
    if failed == (on is not None):
        raise UserError("either --failed or --date is expected; see: venue rerun --help")
    if on is not None:
        _materialize(home, _days(on), tables=_selected(f"{table}+") if table else None)
        return
    with open_instance(home) as instance:
        lost = close_lost_runs(instance)
    due = sorted({*failed_dates(home), *lost})
    if not due:
        say("Nothing failed: every run ended well")
        return
    _materialize(home, due)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="A SELECT over the tables; each has event_date.", metavar="SQL")],
    form: Annotated[Literal["table", "csv", "json"], typer.Option("--format", help="How to print.")] = "table",
    limit: Annotated[int, typer.Option(help="Rows to print as a table; 0 for all.")] = 100,
) -> None:
    """Ask the lake: every table is a view.

    Example: [bold]venue query "SELECT event_date, venue_id, pv FROM primary_metrics ORDER BY ALL"[/]
    """
    from venue_assets.cli.query import connect
    from venue_assets.tables.catalogue import catalogue

    home = Home.of_environment()
    if not home.root.exists():
        raise UserError(f"{home.root} does not exist; run venue demo, or set {VARIABLE} to your data folder")
    with connect(home, catalogue()) as con:
        try:
            cursor = con.execute(sql)
            names = [d[0] for d in cursor.description or []]
            rows = cursor.fetchall()
        except duckdb.Error as error:
            raise UserError(f"{str(error).strip()} (tables: {', '.join(catalogue().tables)})") from None
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows(rows)
    elif form == "json":
        sys.stdout.write(json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=str, indent=1) + "\n")
    else:
        shown = rows[:limit] if limit else rows
        numeric = [n for i, n in enumerate(names) if (shown and isinstance(shown[0][i], int | float)) or n in ("gmv",)]
        show.table("", names, [[_cell(v) for v in row] for row in shown], right=numeric)
        if len(shown) < len(rows):
            say(f"{len(shown)} of {len(rows)} rows; --limit 0 shows all")


@app.command()
def publish() -> None:
    """Bring what analysts open up to what the lake holds.

    Example: [bold]venue publish[/]
    """
    from venue_assets.graph.build import engine_resource
    from venue_assets.publish.publication import current
    from venue_assets.publish.publication import publish as run
    from venue_assets.tables.catalogue import catalogue

    home = Home.of_environment()
    home.site  # noqa: B018
    before = current(home)
    publication = run(home, catalogue(), engine_resource(), log=say)
    same = " (nothing changed)" if before and before.publication_id == publication.publication_id else ""
    say(
        f"Publication {publication.publication_id}{same}: {len(publication.dates)} event dates -> {_relative(home.published / 'venue.duckdb')}"
    )
    if publication.waiting:
        say(
            f"Not in it, or as they were before, because their tables do not fit together: {', '.join(publication.waiting[:5])}. Next: [bold]venue status[/]"
        )


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback only if you say so.")] = "127.0.0.1",
) -> None:
    """Serve the Dagster UI with its daemon: the sensor then materializes what lands.

    Example: [bold]venue ui --port 3001[/]
    """
    home = Home.of_environment()
    home.site  # noqa: B018
    _serve(home, port=port, host=host)


def _serve(home: Home, *, port: int, host: str = "127.0.0.1") -> None:
    from venue_assets.cli.serve import dagster_dev

    say(
        f"\nDagster UI: [bold]http://{host}:{port}[/]   (stop it with Ctrl-C; start it again with: {VARIABLE}={_relative(home.root)} venue ui)"
    )
    code = dagster_dev(home, host=host, port=port)
    if code not in (0, -2, 130):
        raise typer.Exit(code)


@app.command()
def doctor() -> None:
    """Look at versions, paths, permissions, disk, landing, site and devices.

    Example: [bold]venue doctor[/]
    """
    from venue_assets.cli.doctor import examine

    home = Home.of_environment()
    findings = list(examine(home))
    colour = {"ok": "green", "warning": "yellow", "error": "bold red"}
    show.table(
        str(home.root),
        ["", "what", "found", "what to do"],
        [
            [f"[{colour[f.level]}]{f.level}[/]", f.subject, f.found.replace("[", r"\["), f.remedy.replace("[", r"\[")]
            for f in findings
        ],
        wrap=["found", "what to do"],
    )
    if any(f.level == "error" for f in findings):
        raise typer.Exit(1)


def _options(days: int, visits: int, seed: int, first: str) -> Any:
    from venue_assets.simulate import Options

    return Options(first_date=_day(first), days=days, visits=visits, seed=seed)


def _days(text: str) -> list[date]:
    match = re.fullmatch(r"(\S+?)(?:\.\.\.?(\S+))?", text.strip())
    if not match:
        raise UserError(
            f"{text!r} is given; a date such as 2026-01-05 or a range such as 2026-01-05...2026-01-18 is expected"
        )
    first = _day(match[1])
    last = _day(match[2]) if match[2] else first
    if last < first:
        raise UserError(f"the range {text} ends before it begins; FIRST...LAST is expected")
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{text!r} is given; a date such as 2026-01-05 is expected") from None


def _selected(text: str | None) -> list[str] | None:
    """Table names of `a,b+`; a plus adds everything that reads the table, the publication included."""
    from venue_assets.graph.specs import PUBLISHED
    from venue_assets.tables.catalogue import catalogue

    if text is None:
        return None
    found: dict[str, None] = {}
    for part in (p.strip() for p in text.split(",") if p.strip()):
        name = part.removesuffix("+")
        if name not in catalogue().tables and name != PUBLISHED:
            raise UserError(f"{name!r} is given; a table is expected: {', '.join(catalogue().tables)}, {PUBLISHED}")
        if name == PUBLISHED or not part.endswith("+"):
            found[name] = None
        else:
            found |= dict.fromkeys([*catalogue().downstream(name), PUBLISHED])
    if not found:
        raise UserError("--select is empty; table names are expected, such as sessions+")
    return list(found)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:,.6g}" if isinstance(value, float) else str(value)


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
