"""Commands that compute: materialize, rerun, publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Final

import typer

from venue_assets.cli import show
from venue_assets.cli.arguments import (
    Dates,
    UserError,
    event_dates,
    home_with_site,
    refuse_outside,
    selected_tables,
)
from venue_assets.cli.empty_dates import with_reason, withdraw
from venue_assets.cli.show import relative, say
from venue_assets.cli.status import advise
from venue_assets.home import Home

if TYPE_CHECKING:
    from venue_assets.cli.standing import Standing


def materialize(
    dates: Dates,
    select: Annotated[
        str | None, typer.Option(help="Some tables only: a,b  or a+ for a and all that reads it.", metavar="TABLES")
    ] = None,
    out: Annotated[
        bool,
        typer.Option(
            "--withdraw", help="Take what did not land, or was taken back, out again, of lake and publication."
        ),
    ] = False,
) -> None:
    """Compute all tables of an event date or a range, and publish.

    A bad date fails alone; the other dates of the range are computed and published. Dates for which nothing landed are
    computed where they lie between dates that did, and left out elsewhere.

    Example: [bold]venue materialize 2026-01-05...2026-01-18[/],
    [bold]venue materialize 2026-01-05 --select sessions+[/],
    [bold]venue materialize 2026-03-01 --withdraw[/]
    """
    if out and select is not None:
        raise UserError("--withdraw is given with --select; a date is withdrawn whole")
    days, tables = event_dates(dates), selected_tables(select)
    home = home_with_site()
    if out:
        if left := withdraw(home, days):
            compute(home, left)
            say("Next: [bold]venue status --problems[/]")
        return
    refuse_outside(days, home.site)
    days = with_reason(home, days, tables)
    unpublished = compute(home, days, tables=tables)
    if unpublished and advise(home, unpublished):
        return
    say(f"Next: [bold]venue status --problems[/], or [bold]venue report --date {days[-1]}[/]")


_INTERRUPTED: Final = 130
"""The exit code of what Ctrl-C ended, as shells have it."""


def compute(home: Home, days: Sequence[date], *, tables: Sequence[str] | None = None) -> Standing | None:
    """Compute dates and say how it ended; exit code 1 where a date failed, 130 after Ctrl-C.

    Where only some `tables` were computed, returns how dates stand that could not be published for it.
    Raises UserError.
    """
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
    if outcomes and outcomes[-1].interrupted:
        show.problem(f"interrupted in {show.dates(outcomes[-1].days)}; what was computed until then stays")
        say("Next: [bold]venue status --problems[/]")
        raise typer.Exit(_INTERRUPTED)
    seconds = (datetime.now(UTC) - started).total_seconds()
    errors = {day: error for outcome in outcomes for day, error in outcome.errors.items()}
    runs = f"{len(outcomes)} run" + ("s" if len(outcomes) > 1 else "")
    made = [day for day in days if day not in errors]
    left = _unpublished(home, made) if tables is not None else None
    if made:
        behind = [row.day for row in left.dates] if left else []
        places = [home.lake] if behind == sorted(made) else [home.lake, home.published]
        say(f"Materialized {show.dates(made)} in {runs}, {seconds:.1f} s -> {', '.join(map(relative, places))}")
        if behind:
            say(f"Not published yet: {show.dates(behind)}; analysts see what was published before, if anything was")
        _note_what_is_not_there(home, made)
    if errors:
        say(f"Failed: {show.dates(list(errors))}, in {runs}, {seconds:.1f} s; what failed was left as it was before")
        for text, of in groupby(sorted(errors, key=lambda day: (errors[day], day)), key=lambda day: errors[day]):
            show.problem(f"{show.dates(list(of))}: {text}")
        say(
            "Next: [bold]venue status[/] shows which dates failed; correct the cause, "
            "then [bold]venue rerun --failed[/]"
        )
        raise typer.Exit(1)
    return left


def _unpublished(home: Home, days: Sequence[date]) -> Standing | None:
    """How those of the dates stand of which the publication does not hold what the lake does; None where it does."""
    from venue_assets.cli.standing import standing

    found = standing(home, set(days))
    behind = [row for row in found.dates if not row.published]
    return replace(found, dates=behind) if behind else None


def _note_what_is_not_there(home: Home, days: Sequence[date]) -> None:
    """Say of which dates nothing landed, or not all: that they were computed must not be taken for figures."""
    from venue_assets.cli.query import REFUSED_SEGMENTS
    from venue_assets.lake.landing_index import scan
    from venue_assets.lake.store import Lake

    landed = set(scan(home.landing).dates())
    if empty := [day for day in days if day not in landed]:
        say(f"Note: nothing landed for {show.dates(empty)}: no records there, and all figures are 0 or null")
    found = {day: Lake(home.lake).provenance("refused_segments", day) for day in days}
    refused = {day: made.rows for day, made in found.items() if made and made.rows}
    if refused:
        count = sum(refused.values())
        which = (
            f"1 refused segment of {show.dates(list(refused))}: none of its"
            if count == 1
            else (f"{count:,} refused segments of {show.dates(list(refused))}: none of their")
        )
        say(f"Note: {which} lines is in any figure; why, and what to do: [bold]{REFUSED_SEGMENTS}[/]")


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
    days, tables = event_dates(on), None if table is None else selected_tables(f"{table}+")
    home = home_with_site()
    refuse_outside(days, home.site)
    compute(home, with_reason(home, days, tables), tables=tables)
    say(_AFTER_A_RERUN)


_AFTER_A_RERUN: Final = "Next: [bold]venue status --problems[/] shows whether other dates were made stale by it"


def _rerun_failed() -> None:
    home = home_with_site()

    from venue_assets.cli.standing import noted_failures, standing
    from venue_assets.graph.failures import NEWEST_RUNS, failed_dates
    from venue_assets.graph.instance import open_instance
    from venue_assets.graph.runs import close_lost_runs
    from venue_assets.lake.store import Lake

    with open_instance(home) as instance:
        lost = set(close_lost_runs(instance))
        failed = set(failed_dates(instance))
        runs = min(instance.get_runs_count(), NEWEST_RUNS)
    suspect = noted_failures(Lake(home.lake)) | failed | lost
    rows = standing(home, suspect).dates if suspect else []
    landed = {row.day for row in rows if row.origin == "landed"}
    due = sorted(landed & (lost | {row.day for row in rows if row.failed}))
    if idle := sorted((lost | {row.day for row in rows}) - landed):
        say(f"Left out: {show.dates(idle)}, because nothing landed then, or it is gone; see: venue status")
    if due:
        compute(home, due)
        say(_AFTER_A_RERUN)
    elif fresh := sorted(failed & landed):
        say(f"Nothing to compute again: the last run of {show.dates(fresh)} failed, but every table is fresh")
    else:
        say(
            f"Nothing failed: looked at the runs in {relative(home.dagster)} (the newest {runs}), and at the notes of "
            f"failures in {relative(home.lake)}"
        )
        say("Missing and stale dates: [bold]venue status --problems[/]")


def publish() -> None:
    """Bring what analysts open up to what the lake holds.

    Example: [bold]venue publish[/]
    """
    home = home_with_site()

    from venue_assets.graph.build import engine_resource
    from venue_assets.publish.publication import publish as run
    from venue_assets.publish.record import current
    from venue_assets.tables.catalogue import catalogue

    before = current(home)
    publication = run(home, catalogue(), engine_resource(), log=say)
    what = ", ".join(publication.differences(before)) or "nothing changed"
    say(
        f"Publication {publication.publication_id}: {len(publication.dates)} event dates ({what}) "
        f"-> {relative(home.published / 'venue.duckdb')}"
    )
    if publication.waiting:
        say(
            "Not in it, or as they were before, because their tables do not fit together: "
            f"{', '.join(publication.waiting[:5])}. Next: [bold]venue status[/]"
        )
