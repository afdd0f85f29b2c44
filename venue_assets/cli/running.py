"""Commands that compute: materialize, status, rerun, publish."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Final

import typer

from venue_assets.cli import show
from venue_assets.cli.arguments import (
    Dates,
    UserError,
    computable,
    event_dates,
    home_with_site,
    refuse_outside,
    selected_tables,
)
from venue_assets.cli.empty_dates import with_reason, withdraw
from venue_assets.cli.show import relative, say
from venue_assets.home import Home

if TYPE_CHECKING:
    from venue_assets.cli.standing import DateStanding


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
    compute(home, days, tables=tables)
    say(f"Next: [bold]venue status --problems[/], or [bold]venue report --date {days[-1]}[/]")


_INTERRUPTED: Final = 130
"""The exit code of what Ctrl-C ended, as shells have it."""


def compute(home: Home, days: Sequence[date], *, tables: Sequence[str] | None = None) -> None:
    """Compute dates and say how it ended; exit code 1 where a date failed, 130 after Ctrl-C. Raises UserError."""
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
    if made := [day for day in days if day not in errors]:
        say(
            f"Materialized {show.dates(made)} in {runs}, {seconds:.1f} s "
            f"-> {relative(home.lake)}, {relative(home.published)}"
        )
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


def status(
    dates: Annotated[str | None, typer.Argument(help="Only this event date or range.", metavar="DATE")] = None,
    problems: Annotated[
        bool, typer.Option("--problems", help="Only dates that are not fresh; exit code 1 where there is one.")
    ] = False,
) -> None:
    """Which dates are fresh, stale, failed or missing, per layer, with the first error line.

    For scripts: with --problems the exit code is 0 where every date is fresh, 1 where one is not, and 2 where nobody
    could tell. Without, it is 0 whatever is found.

    Example: [bold]venue status 2026-01-05...2026-01-18[/], [bold]venue status --problems[/]
    """
    given = event_dates(dates) if dates is not None else None
    home = home_with_site()
    if given is not None:
        first, last = computable(home.site)
        refuse_outside(given if given[0] > last or given[-1] < first else [], home.site)

    from venue_assets.cli.standing import standing

    found = standing(home, None if given is None else set(given))
    if not found.dates:
        _nothing(home, dates)
        return
    wanting = any(row.why for row in found.dates)
    if problems and not wanting:
        say("Every date is fresh")
    else:
        _show_states(home, [row for row in found.dates if row.why or not problems])
    if found.lost_runs:
        say(f"{len(found.lost_runs)} run(s) whose process is gone: {', '.join(run[:8] for run in found.lost_runs)}")
    _advise(home, found.dates, landed=found.anything_landed)
    if problems and wanting:
        raise typer.Exit(1)


def _nothing(home: Home, dates: str | None) -> None:
    from venue_assets.lake.landing_index import scan

    landed = scan(home.landing).dates()
    if dates is None or not landed:
        when = f" for {dates}" if dates is not None else ""
        say(
            f"Nothing landed and nothing computed{when} in {relative(home.root)}. "
            "Next: [bold]venue demo[/] or [bold]venue import --help[/]"
        )
    else:
        say(
            f"Nothing landed and nothing computed for {dates}; landed are event dates {landed[0]} to {landed[-1]}. "
            "Next: [bold]venue status[/]"
        )


def _show_states(home: Home, rows: Sequence[DateStanding]) -> None:
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
        ],
        wrap=["why"],
    )


def _advise(home: Home, rows: Sequence[DateStanding], *, landed: bool) -> None:
    """The next command, one a line, as it can be typed."""
    first, last = computable(home.site)
    wanting = [row for row in rows if row.why and row.origin == "landed" and first <= row.day <= last]
    steps: list[str] = []
    if any(row.failed for row in wanting):
        steps = ["correct the cause, then [bold]venue rerun --failed[/]"]
    elif wanting and all(row.only_unpublished for row in wanting):
        steps = ["[bold]venue publish[/]"]
    elif wanting:
        days = {row.day for row in wanting}
        # The same input gives the same bytes: what is stale only until those are back is not computed for nothing.
        waiting = [row.day for row in wanting if row.until and row.until <= days]
        due = [row.day for row in wanting if row.day not in set(waiting) and not row.only_unpublished]
        steps = [f"[bold]venue materialize {dates}[/]" for dates in show.dates(due).split(", ")]
        if waiting:
            steps.append(f"then [bold]venue status[/]: {show.dates(waiting)} may be fresh as it is once that is back")
    if rows and not landed:
        steps = [f"look at {relative(home.landing)}: nothing of what these dates were computed from is there any more"]
    for origin, before in (("nothing", ""), ("gone", _BRING_BACK)) if landed else ():
        if idle := [row.day for row in rows if row.origin == origin]:
            outs = [f"{before}[bold]venue materialize {of} --withdraw[/]" for of in show.dates(idle).split(", ")]
            # What is gone first: dates around it may be stale only because of that.
            steps = [*outs, *steps] if origin == "gone" else [*steps, *outs]
    for n, step in enumerate(steps):
        say(f"{'      ' if n else 'Next: '}{step}")


_BRING_BACK: Final = "bring its segments back to landing/ (is its disk there?), or "


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
