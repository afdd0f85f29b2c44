"""`venue status`: how the dates stand, as people read it at the width of their terminal, and the next command."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.cells import cell_len

from venue_assets.cli import show
from venue_assets.cli.arguments import computable, event_dates, home_with_site, refuse_outside
from venue_assets.cli.show import relative, say
from venue_assets.home import Home

if TYPE_CHECKING:
    from venue_assets.cli.standing import DateStanding, Standing
    from venue_assets.lake.freshness import Condition


def status(
    dates: Annotated[str | None, typer.Argument(help="Only this event date or range.", metavar="DATE")] = None,
    problems: Annotated[
        bool, typer.Option("--problems", help="Only dates that are not fresh; exit code 1 where there is one.")
    ] = False,
) -> None:
    """Which dates are fresh, stale, failed or missing, per layer, with the first error line.

    For scripts: with --problems the exit code is 0 where every date is fresh, 1 where one is not, and 2 where nobody
    could tell. Without, it is 0 whatever is found, and 2 where not everything could be looked at.

    Example: [bold]venue status 2026-01-05...2026-01-18[/], [bold]venue status --problems[/]
    """
    given = event_dates(dates) if dates is not None else None
    home = home_with_site()
    if given is not None:
        first, last = computable(home.site)
        refuse_outside(given if given[0] > last or given[-1] < first else [], home.site)

    from venue_assets.cli.standing import standing

    found = standing(home, None if given is None else set(given))
    wanting = any(row.why for row in found.dates)
    if not found.dates:
        _nothing(home, dates)
    elif problems and not wanting:
        say("Every date is fresh" if not found.runs_unread else "Every date that the lake tells of is fresh")
    else:
        _show_states(home, [row for row in found.dates if row.why or not problems])
    _note_lost_runs(found)
    advise(home, found)
    if found.runs_unread:
        show.problem(
            f"the runs cannot be read, and with them what failed without a trace in the lake: {found.runs_unread}"
        )
        raise typer.Exit(2)
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


_COLOUR: Final = {"fresh": "green", "stale": "yellow", "failed": "bold red", "missing": "magenta"}
_LEAST_WHY: Final = 50
"""A reason is folded to no less than this; where that does not fit beside the layers, it is told below the dates."""


def _show_states(home: Home, rows: Sequence[DateStanding]) -> None:
    """A row a date; on a narrow terminal the dates that stand alike together, with all that the table would tell."""
    columns = {"date": len("2026-01-05")} | {layer: max(len(layer), len("missing")) for layer in rows[0].layers}
    longest = max(cell_len(row.why) for row in rows)
    if sum(columns.values()) + show.BETWEEN * len(columns) + min(longest, _LEAST_WHY) > show.console.width:
        _show_alike(home, rows)
        return
    show.table(
        f"{relative(home.root)}",
        [*columns, "why"],
        [
            [str(row.day), *(_coloured(s.condition) for s in row.layers.values()), show.verbatim(row.why)]
            for row in rows
        ],
        wrap=["why"],
    )


def _show_alike(home: Home, rows: Sequence[DateStanding]) -> None:
    say(f"[bold]{relative(home.root)}[/]")
    alike: dict[tuple[str, ...], list[DateStanding]] = {}
    for row in rows:
        alike.setdefault((row.why, *(state.condition for state in row.layers.values())), []).append(row)
    for (why, *_), of in alike.items():
        say(f"[bold]{show.dates([row.day for row in of])}[/]")
        by_condition = groupby(of[0].layers.items(), key=lambda layer: layer[1].condition)
        told = (
            f"{_coloured(condition)}: {', '.join(name for name, _ in layers)}" for condition, layers in by_condition
        )
        show.indented("; ".join(told))
        if why:
            show.indented(show.verbatim(why))


def _coloured(condition: Condition) -> str:
    return f"[{_COLOUR[condition]}]{condition}[/]"


def advise(home: Home, found: Standing) -> bool:
    """The next command, one a line, as it can be typed; whether there is any."""
    steps = _steps(home, found)
    for n, step in enumerate(steps):
        say(f"{'      ' if n else 'Next: '}{step}")
    return bool(steps)


def _note_lost_runs(found: Standing) -> None:
    """Say which runs ended without a word, and whether anything of theirs is missing."""
    wanting = {row.day for row in found.dates if row.why}
    for run_id, days in found.lost_runs.items():
        lost = "" if wanting & set(days) else ": nothing of it was lost, every table is as it should be"
        say(f"The process of run {run_id[:8]}, of {show.dates(days)}, is gone{lost}")


def _steps(home: Home, found: Standing) -> list[str]:
    rows, (first, last) = found.dates, computable(home.site)
    there = [row for row in rows if row.why and first <= row.day <= last]
    wanting = [row for row in there if row.origin == "landed"]
    steps: list[str] = []
    if any(row.failed for row in wanting):
        steps = ["correct the cause, then [bold]venue rerun --failed[/]"]
    elif wanting and all(row.only_unpublished for row in wanting):
        steps = ["[bold]venue publish[/]"]
    elif wanting:
        days = {row.day for row in there}
        # The same input gives the same bytes: what is stale only until those are back is not computed for nothing.
        waiting = [row.day for row in wanting if row.until and row.until <= days]
        due = [row.day for row in wanting if row.day not in set(waiting) and not row.only_unpublished]
        steps = [f"[bold]venue materialize {dates}[/]" for dates in _ranges(due)]
        if waiting:
            steps.append(_MAY_BE_FRESH.format(show.dates(waiting)))
    elif found.lost_runs:
        steps = ["[bold]venue rerun --failed[/] computes its dates once more and closes the matter"]
    if rows and not found.anything_landed:
        steps = [f"look at {relative(home.landing)}: nothing of what these dates were computed from is there any more"]
    else:
        # What is gone first: what dates around it read of it cannot be computed until it is back.
        around = [row for row in there if row.origin == "around"]
        gone = sorted({row.day for row in rows if row.origin == "gone"}.union(*(row.until for row in around)))
        idle = [row.day for row in rows if row.origin == "nothing"]
        steps = [
            *(f"{_BRING_BACK}[bold]venue materialize {of} --withdraw[/]" for of in _ranges(gone)),
            *([_MAY_BE_FRESH.format(show.dates([row.day for row in around]))] if around else []),
            *steps,
            *(f"[bold]venue materialize {of} --withdraw[/]" for of in _ranges(idle)),
        ]
    return steps


def _ranges(days: Sequence[date]) -> list[str]:
    return [dates for dates in show.dates(days).split(", ") if dates]


_BRING_BACK: Final = "bring its segments back to landing/ (is its disk there?), or "
_MAY_BE_FRESH: Final = "then [bold]venue status[/]: {} may be fresh as it is once that is back"
