"""Rows that were asked for, as people and programs read them: a table, CSV or JSON."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.table import Table

from venue_assets.cli import show

_NARROWEST: Final = 24
"""Text is folded to no less than this; where that does not fit, every column gets a line of its own."""


def as_csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Names and rows, comma-separated."""
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    writer.writerows(rows)


def as_json(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """An object per row."""
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    sys.stdout.write(json.dumps(objects, default=str, indent=1) + "\n")


def as_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table in full: nothing is cut off. Long text is folded, but only on a terminal."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(_width, (name, *column))) for name, *column in zip(names, *cells, strict=True)]
    texts = [any(isinstance(row[n], str) for row in rows) for n in range(len(names))]
    least = [min(w, max(_NARROWEST, _width(n))) if t else w for n, w, t in zip(names, widths, texts, strict=True)]
    if sum(least) + show.BETWEEN * len(names) > show.console.width:
        _one_by_one(names, cells)
        return
    shown = Table(header_style="bold", show_edge=False)
    for n, name in enumerate(names):
        numeric = any(isinstance(row[n], show.NUMBER) for row in rows)
        shown.add_column(
            show.verbatim(name), justify="right" if numeric else "left", overflow="fold", min_width=least[n]
        )
    for row in cells:
        shown.add_row(*map(show.verbatim, row))
    show.console.print(shown)


def _one_by_one(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A line per column, as psql's \\x shows them."""
    widest = max(map(_width, names))
    for number, row in enumerate(rows, 1):
        show.say(f"[bold]row {number}[/]")
        for name, cell in zip(names, row, strict=True):
            aligned = name + " " * (widest - _width(name))
            show.unfolded(f"  {show.verbatim(aligned)}  {show.verbatim(cell)}".rstrip())


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:,.6g}" if isinstance(value, float) else str(value)


def _width(text: str) -> int:
    return max(map(cell_len, text.splitlines()), default=0)
