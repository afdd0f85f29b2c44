"""Primary metrics of a date, one funnel per venue: who passed by, who walked in, who was recognised, and orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from venue_assets.pictures.colours import DEEP, GREY, SKY, VERMILION
from venue_assets.pictures.svg import box, drawing, line, text, titled
from venue_assets.semantic_layer.metrics import registry

_STAGES: Final = (
    ("pf_range", GREY),
    ("pf_entrance", SKY),
    ("pv", DEEP),
    ("completed_orders", VERMILION),
)
_QUIET: Final = "#555555"
_MARGIN: Final = 24
_NAMES: Final = 120
"""Left of the bars, for the names of the stages."""
_BARS: Final = 360
_NUMBERS: Final = 290
_BAR: Final = 22
_STEP: Final = 30
_WIDTH: Final = _NAMES + _BARS + _NUMBERS
"""Between the margins."""


def picture(rows: pa.Table, _con: object = None) -> str:
    """Funnels below each other, in the order of the rows."""
    shapes: list[str] = []
    top = float(_MARGIN)
    for row in rows.to_pylist():
        title, lower = titled(_MARGIN, top + 6, _finding(row), _WIDTH)
        top += lower
        shapes += (*title, *_funnel(row, top))
        top += _STEP * (len(_STAGES) + 1) + _MARGIN
    if not shapes:
        shapes.append(text(_MARGIN, top + 8, "No venue has landed anything yet.", anchor="start"))
        top += 2 * _MARGIN
    return drawing(2 * _MARGIN + _WIDTH, top, shapes)


def _funnel(row: Mapping[str, Any], top: float) -> Iterator[str]:
    """Each stage as a part of the largest one, with its number and how many that is per 100 of the stage before."""
    left, labels = _MARGIN + _NAMES, registry().metrics
    largest = max((row[name] for name, _ in _STAGES if row[name]), default=1)
    before = None
    for n, (name, colour) in enumerate(_STAGES, start=1):
        y, value = top + n * _STEP - 8, row[name]
        yield text(left - 10, y + _BAR - 7, labels[name].label.en, anchor="end")
        if value is None:
            yield text(left + 6, y + _BAR - 7, "not known", anchor="start", fill=_QUIET)
        else:
            wide = _BARS * value / largest
            if wide > 0:
                yield box(left, y, wide, _BAR, colour, stroke="none")
            # The terminal counts whom it recognises: the others were not lost on the way from the entrance.
            share = (
                f" ({'recognised: ' if name == 'pv' else ''}{100 * value / before:.1f} per 100 above)" if before else ""
            )
            if before is not None and value > before:
                share = " (more than above: people were missed)"
            yield text(left + wide + 8, y + _BAR - 7, f"{value:,.0f}{share}", anchor="start")
        before = value
    yield line(left, top + _STEP - 12, left, top + len(_STAGES) * _STEP + _BAR - 4)


def _finding(row: Mapping[str, Any]) -> str:
    gmv = None if row["gmv"] is None else f"GMV {row['gmv']:,.2f} {row['currency']}"
    if gmv and row["gmv_anonymous"]:
        gmv += f" ({row['gmv_anonymous']:,.2f} of it anonymous)"
    rate = None if row["ocr"] is None else f"{100 * row['ocr']:.1f} % of those who passed walked in"
    if rate and row["ocr"] > 1:
        rate = "more walked in than passed: people were missed"
    paid = f"{row['paying_users']:,} known people paid" if row["paying_users"] else None
    return f"{row['venue_id']}: {', '.join(filter(None, (rate, paid, gmv))) or 'neither counts nor sales'}"
