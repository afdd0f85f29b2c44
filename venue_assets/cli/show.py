"""What people see on the terminal: tables, progress, and one clear sentence where something is wrong."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, JustifyMethod, OverflowMethod
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from venue_assets.home import VARIABLE, Home

if TYPE_CHECKING:
    from venue_assets.graph.assets import Listener

console = Console(highlight=False, width=None if sys.stdout.isatty() else 100_000)
"""Where nobody looks, lines are as long as they are: what reads them must not find them folded."""
errors = Console(stderr=True, highlight=False)

NUMBER: Final = (int, float, Decimal)
BETWEEN: Final = 3
"""What a column of a table takes besides its text."""


def say(text: str) -> None:
    """One line of result."""
    console.print(text)


def unfolded(text: str) -> None:
    """One line that stays one, however long: what is copied from it has no line break of ours in it."""
    console.print(text, soft_wrap=True)


def indented(text: str) -> None:
    """Text below a heading, folded to the width of the terminal."""
    console.print(Padding(text, (0, 0, 0, 2)))


def problem(text: str) -> None:
    """One sentence about what is wrong, on standard error."""
    errors.print(f"[bold red]error:[/] {verbatim(text)}", soft_wrap=True)


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    right: Iterable[str] = (),
    wrap: Iterable[str] = (),
) -> None:
    """A table; numbers to the `right`. Only the columns to `wrap` break their text; where none does and the terminal is
    too narrow, several tables below each other, each with the first column.
    """
    numeric, wrapped = set(right), set(wrap)
    cells = [[value if isinstance(value, str) else plain(value) for value in row] for row in rows]
    for part in [range(len(columns))] if wrapped else _parts([columns, *cells]):
        shown = Table(title=title, title_justify="left", title_style="bold", header_style="bold", show_edge=False)
        for column in (columns[n] for n in part):
            is_wrapped = column in wrapped
            side: JustifyMethod = "right" if column in numeric else "left"
            overflow: OverflowMethod = "fold" if is_wrapped else "ellipsis"
            shown.add_column(column, justify=side, no_wrap=not is_wrapped, overflow=overflow)
        for row in cells:
            shown.add_row(*(row[n] for n in part))
        console.print(shown)


def _parts(rows: Sequence[Sequence[str]]) -> list[list[int]]:
    """The columns of each table, the first one in all, so that none is wider than the terminal, if that can be."""
    first, *others = _widths(rows)
    parts, left = [[0]], console.width - first
    for n, width in enumerate(others, 1):
        if width > left and len(parts[-1]) > 1:
            parts.append([0])
            left = console.width - first
        parts[-1].append(n)
        left -= width
    return parts


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """What each column takes in a table of these rows, of which the first are the columns."""
    return [max(Text.from_markup(cell).cell_len for cell in column) + BETWEEN for column in zip(*rows, strict=True)]


def fits(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table of these rows, of which the first are the columns, needs no more than the terminal's width."""
    return sum(_widths(rows)) <= console.width


def plain(value: Any) -> str:
    """A value as people read it; nothing as a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.3f}"
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    return str(value)


@contextmanager
def progress(what: str, total: int) -> Iterator[Progress]:
    """A progress bar over `total` steps; nothing where nobody looks."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    ) as bar:
        bar.add_task(what, total=total)
        yield bar


@contextmanager
def computing(days: Sequence[date], tables: int) -> Iterator[Listener]:
    """Progress of a run: one step per table and date, and which one it is at."""
    with progress("materialize", len(days) * tables) as bar:

        def listener(day: date, name: str) -> None:
            bar.update(bar.task_ids[0], description=f"{day} {name}", advance=1)

        yield listener


def dates(days: Sequence[date]) -> str:
    """Dates in few words: ranges of consecutive days."""
    runs: list[list[date]] = []
    for day in sorted(days):
        if runs and day - runs[-1][1] == timedelta(days=1):
            runs[-1][1] = day
        else:
            runs.append([day, day])
    return ", ".join(str(a) if a == b else f"{a}...{b}" for a, b in runs)


def relative(path: Path) -> str:
    """A path as one types it here: relative where it lies below the current folder."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def next_steps(home: Home, steps: Iterable[tuple[str, str]]) -> None:
    """Commands over a home and what each is for, as they can be pasted into a shell that knows nothing of it yet.

    Where the home lies is told in full: it must stay right when that shell changes its folder.
    """
    unfolded(f"Next: [bold]export {VARIABLE}={verbatim(shlex.quote(str(home.root)))}[/]")
    for command, what in steps:
        unfolded(f"      [bold]uv run venue {verbatim(command)}[/]  - {what}")


def verbatim(text: str) -> str:
    """Text whose brackets are shown as they are instead of being taken for colours."""
    return text.replace("[", r"\[")
