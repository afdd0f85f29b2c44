"""Hourly metrics of a date, one chart per venue: passers-by, entries and visits, narrower columns before wider
ones: where a narrower one is higher, the device behind the wider one missed people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import log10
from typing import Any, Final

import pyarrow as pa

from venue_assets.pictures.colours import DEEP, GREY, SKY
from venue_assets.pictures.svg import TITLE, area, box, drawing, line, text, titled
from venue_assets.semantic_layer.metrics import registry

_SERIES: Final = (("pf_range", GREY, 18), ("pf_entrance", SKY, 12), ("pv", DEEP, 6))
"""Metric, colour, width of its columns: the narrower ones stand before the wider ones."""
_QUIET: Final = "#555555"
_MARGIN: Final = 24
_AXIS: Final = 46
_STEP: Final = 22
_HIGH: Final = 120
_BELOW: Final = 58
"""For the hours, and up to the next chart."""


def picture(rows: pa.Table, _con: object = None) -> str:
    """Charts below each other, one per venue."""
    shapes: list[str] = []
    top = float(_MARGIN)
    for venue_id, of_venue in groupby(rows.to_pylist(), lambda row: row["venue_id"]):
        hours = list(of_venue)
        title, lower = titled(_MARGIN, top + 6, f"{venue_id}: {_finding(hours)}", _AXIS + 24 * _STEP)
        top += lower
        shapes += (*title, *_chart(hours, top))
        top += _HIGH + _BELOW + 2 * TITLE + 20
    if not shapes:
        shapes.append(text(_MARGIN, top + 8, "No venue has landed anything yet.", anchor="start"))
        top += _MARGIN
    return drawing(2 * _MARGIN + _AXIS + 24 * _STEP, top, shapes)


def _chart(hours: Sequence[Mapping[str, Any]], top: float) -> Iterator[str]:
    x = _MARGIN + _AXIS
    for name, colour, _ in _SERIES:
        label = registry()[name].label.en
        yield box(x, top + 18, 12, 12, colour, stroke="none")
        yield text(x + 18, top + 28, label, anchor="start")
        x += 40 + 7 * len(label)
    top += 2 * TITLE + 16
    bottom, left = top + _HIGH, _MARGIN + _AXIS
    scale = _round_up(max((row[name] or 0 for row in hours for name, _, _ in _SERIES), default=0))
    for part in (0.0, 0.5, 1.0):
        y = bottom - _HIGH * part
        yield line(left, y, left + 24 * _STEP, y, stroke="#DDDDDD")
        yield text(left - 6, y + 4, f"{scale * part:,.0f}", anchor="end", fill=_QUIET)
    for name, colour, wide in _SERIES:
        columns = [
            (
                left + row["hour"] * _STEP + (_STEP - wide) / 2,
                bottom - _HIGH * row[name] / scale,
                wide,
                _HIGH * row[name] / scale,
            )
            for row in hours
            if row[name]
        ]
        if columns:
            yield area(columns, colour)
    for hour in range(0, 24, 3):
        yield text(left + (hour + 0.5) * _STEP, bottom + 16, f"{hour}:00", fill=_QUIET)


def _finding(hours: Sequence[Mapping[str, Any]]) -> str:
    for name, words in (
        ("pf_entrance", "most people walked in"),
        ("pv", "most visits began"),
        ("pf_range", "most people passed"),
    ):
        known = [row for row in hours if row[name]]
        if known:
            best = max(known, key=lambda row: (row[name], -row["hour"]))
            return f"{words} from {best['hour']}:00 to {best['hour']}:59 ({best[name]:,.0f})"
    return "nobody was counted or recognised"


def _round_up(most: float) -> int:
    """A round, even number that is not smaller."""
    power = 10 ** int(log10(max(most, 1)))
    steps = (int(step * power) for step in (1, 1.2, 1.6, 2, 3, 4, 6, 8, 10, 12))
    return next(number for number in steps if number >= most and number % 2 == 0)
