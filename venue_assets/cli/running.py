"""Commands that compute: materialize, status, rerun, publish."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated

import typer

from venue_assets.cli import show
from venue_assets.cli.arguments import Dates, UserError, event_dates, home_with_site, selected_tables
from venue_assets.cli.show import relative, say
from venue_assets.home import Home


def materialize(
    dates: Dates,
    select: Annotated[
        str | None, typer.Option(help="Some tables only: a,b  or a+ for a and all that reads it.", metavar="TABLES")
    ] = None,
) -> None:
    """Compute all tables of an event date or a range, and publish.

    A bad date fails alone; the other dates of the range are computed and published.

    Example: [bold]venue materialize 2026-01-05...2026-01-18[/],
    [bold]venue materialize 2026-01-05 --select sessions+[/]
    """
    compute(Home.of_environment(), event_dates(dates), tables=selected_tables(select))


def compute(home: Home, days: Sequence[date], *, tables: Sequence[str] | None = None) -> None:
    """Compute dates and say how it ended; ends with exit code 1 where a date failed. Raises UserError."""
    _ = home.site  # a wrong site file is said before anything starts

    from venue_assets.graph.instance import open_instance
    from venue_assets.graph.runs import OutsidePartitions
    from venue_assets.graph.runs import materialize as run
    from venue_assets.tables.catalogue import catalogue

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
        f"Materialized {show.dates(days)} in {runs}, {seconds:.1f} s "
        f"-> {relative(home.lake)}, {relative(home.published)}"
    )
    if failed:
        for outcome in failed:
            show.problem(outcome.error)
        say(
            "Next: [bold]venue status[/] shows which dates failed; correct the cause, "
            "then [bold]venue rerun --failed[/]"
        )
        raise typer.Exit(1)


def status(
    dates: Annotated[str | None, typer.Argument(help="Only this event date or range.", metavar="DATE")] = None,
    problems: Annotated[bool, typer.Option("--problems", help="Only dates that are not fresh.")] = False,
) -> None:
    """Which dates are fresh, stale, failed or missing, per layer, with the first error line.

    Example: [bold]venue status 2026-01-05...2026-01-18[/], [bold]venue status --problems[/]
    """
    only = set(event_dates(dates)) if dates is not None else None
    home = home_with_site()

    from venue_assets.cli.standing import standing

    rows, lost = standing(home, only)
    if not rows:
        when = f" for {dates}" if dates is not None else ""
        say(
            f"Nothing landed and nothing computed{when} in {relative(home.root)}. "
            "Next: [bold]venue demo[/] or [bold]venue import --help[/]"
        )
        return
    wanting = [row.day for row in rows if row.why]
    if problems and not wanting:
        say("Every date is fresh")
    else:
        colour = {"fresh": "green", "stale": "yellow", "failed": "bold red", "missing": "magenta"}
        show.table(
            f"{relative(home.root)}",
            ["date", *rows[0].layers, "why"],
            [
                [
                    str(row.day),
                    *(f"[{colour[s.condition]}]{s.condition}[/]" for s in row.layers.values()),
                    show.verbatim(row.why),
                ]
                for row in rows
                if row.why or not problems
            ],
            wrap=["why"],
        )
    if lost:
        say(f"{len(lost)} run(s) whose process is gone: {', '.join(run[:8] for run in lost)}")
    if any(s.condition == "failed" for row in rows for s in row.layers.values()):
        say("Next: correct the cause, then [bold]venue rerun --failed[/]")
    elif wanting:
        say(f"Next: [bold]venue materialize {show.dates(wanting).replace(', ', '[/], [bold]venue materialize ')}[/]")


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
    if failed == (on is not None):
        raise UserError("either --failed or --date is expected; see: venue rerun --help")
    if on is None:
        if table is not None:
            raise UserError("--from is given with --failed; it is expected with --date only")
        _rerun_failed()
        return
    compute(Home.of_environment(), event_dates(on), tables=None if table is None else selected_tables(f"{table}+"))


def _rerun_failed() -> None:
    home = home_with_site()

    from venue_assets.cli.standing import failed_dates
    from venue_assets.graph.instance import open_instance
    from venue_assets.graph.runs import close_lost_runs

    with open_instance(home) as instance:
        lost = close_lost_runs(instance)
    due = sorted({*failed_dates(home), *lost})
    if not due:
        say("Nothing failed: every run ended well")
        return
    compute(home, due)


def publish() -> None:
    """Bring what analysts open up to what the lake holds.

    Example: [bold]venue publish[/]
    """
    home = home_with_site()

    from venue_assets.graph.build import engine_resource
    from venue_assets.publish.publication import current
    from venue_assets.publish.publication import publish as run
    from venue_assets.tables.catalogue import catalogue

    before = current(home)
    publication = run(home, catalogue(), engine_resource(), log=say)
    same = " (nothing changed)" if before and before.publication_id == publication.publication_id else ""
    say(
        f"Publication {publication.publication_id}{same}: {len(publication.dates)} event dates "
        f"-> {relative(home.published / 'venue.duckdb')}"
    )
    if publication.waiting:
        say(
            "Not in it, or as they were before, because their tables do not fit together: "
            f"{', '.join(publication.waiting[:5])}. Next: [bold]venue status[/]"
        )
