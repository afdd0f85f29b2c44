"""KPI of a date as small multiples, a row of charts per venue and window: how its figures came about over its dates.

GMV is that of each date; ARPU, ARPPU and repurchase rate are those of the window up to each date, so that the last
point is the KPI itself. They are asked of the dates that the table was made of, never of earlier KPI. A date of which
the venue has no record is shaded: its 0 is no figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

import duckdb
import pyarrow as pa

from venue_assets.pictures.colours import BLUE
from venue_assets.pictures.svg import LINE, TITLE, area, curve, dot, drawing, line, text, titled
from venue_assets.semantic_layer.metrics import registry

_FIGURES: Final = ("gmv", "arpu", "arppu", "repurchase_rate")
_WINDOWS: Final = {"activity_to_date": "activity to date", "last_30_days": "last 30 days"}
_QUIET: Final = "#555555"
_MARGIN: Final = 24
_WIDE: Final = 190
"""Of a chart."""
_HIGH: Final = 80
_GAP: Final = 28
_WIDTH: Final = len(_FIGURES) * (_WIDE + _GAP) - _GAP
"""Between the margins."""
_HEADS: Final = 62
"""For the title of a row, and name and value of its charts."""
_DATES: Final = 46
"""For the dates below, and up to the next row."""
_NOTE: Final = "Columns: GMV of each date. Lines: the window up to each date; the last point is the KPI."
_SHADE: Final = "#E4E4E4"
_WITHOUT: Final = "Shaded: no record of the venue on that date, its gateway was off line or it was closed."

_SO_FAR: Final = """
WITH came AS (
  SELECT event_date, count(*) AS users
  FROM (
    SELECT min(event_date) AS event_date FROM user_days WHERE venue_id = $venue AND event_date >= $first
    GROUP BY user_id
  )
  GROUP BY event_date
),
bought AS (
  SELECT event_date, orders, sum(orders) OVER (PARTITION BY user_id ORDER BY event_date) AS so_far
  FROM user_days WHERE venue_id = $venue AND event_date >= $first AND orders > 0
),
paid AS (
  SELECT event_date, count(*) FILTER (so_far = orders) AS payers,
    count(*) FILTER (so_far >= 2 AND so_far - orders < 2) AS again
  FROM bought GROUP BY event_date
),
totals AS (
  SELECT p.event_date, p.gmv::DOUBLE AS gmv, sum(c.users) OVER so_far AS users,
    sum(b.payers) OVER so_far AS payers, sum(b.again) OVER so_far AS again,
    CASE WHEN bool_and(p.gmv IS NOT NULL AND p.gmv_anonymous IS NOT NULL) OVER so_far
      THEN (sum(p.gmv - p.gmv_anonymous) OVER so_far)::DOUBLE END AS identified,
    coalesce(p.pf_range, p.pf_entrance) IS NOT NULL
      OR greatest(p.pv, p.completed_orders, p.cancelled_amount) > 0 AS recorded
  FROM primary_metrics AS p LEFT JOIN came AS c USING (event_date) LEFT JOIN paid AS b USING (event_date)
  WHERE p.venue_id = $venue AND p.event_date >= $first
  WINDOW so_far AS (ORDER BY p.event_date)
)
SELECT event_date, recorded, gmv, identified / nullif(users, 0) AS arpu, identified / nullif(payers, 0) AS arppu,
  CASE WHEN identified IS NOT NULL THEN again / nullif(payers, 0) END AS repurchase_rate
FROM totals ORDER BY event_date
"""


def picture(rows: pa.Table, con: duckdb.DuckDBPyConnection) -> str:
    """A row of charts per row of the table, in their order."""
    shapes: list[str] = []
    top = float(_MARGIN)
    for row in rows.to_pylist():
        dates = over_dates(con, row["venue_id"], row["first_date"])
        title, lower = titled(_MARGIN, top + 6, _title(row, dates), _WIDTH)
        top += lower
        shapes += (*title, *_row(row, dates, top))
        top += _HEADS + _HIGH + _DATES
    if shapes:
        for note in (_NOTE, _WITHOUT) if any(_SHADE in shape for shape in shapes) else (_NOTE,):
            shapes.append(text(_MARGIN, top, note, anchor="start", fill=_QUIET))
            top += LINE
    else:
        shapes.append(text(_MARGIN, top + 8, "No venue has landed anything yet.", anchor="start"))
    return drawing(2 * _MARGIN + _WIDTH, top + _MARGIN, shapes)


def over_dates(con: duckdb.DuckDBPyConnection, venue_id: str, first: date) -> list[dict[str, Any]]:
    """`event_date`, whether anything of it is `recorded`, and the figures of a window that begins with `first`, each
    null where it is not known.
    """
    found = con.execute(_SO_FAR, {"venue": venue_id, "first": first})
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _title(row: Mapping[str, Any], dates: Sequence[Mapping[str, Any]]) -> str:
    window = _WINDOWS.get(row["window_name"], row["window_name"])
    title = f"{row['venue_id']}, {window}, from {_day(row['first_date'])}: figures of {row['dates']} dates"
    without = _without_records(dates)
    return f"{title}, {without} of them without records" if without else title


def _without_records(dates: Sequence[Mapping[str, Any]]) -> int:
    return sum(not at["recorded"] for at in dates)


def _row(row: Mapping[str, Any], dates: Sequence[Mapping[str, Any]], top: float) -> Iterator[str]:
    for n, name in enumerate(_FIGURES):
        left = _MARGIN + n * (_WIDE + _GAP)
        unit = "" if name == "repurchase_rate" else f" {row['currency']}"
        yield text(left, top + 30, registry()[name].label.en, anchor="start", fill=_QUIET)
        yield text(left, top + 48, _written(name, row[name], unit), anchor="start", bold=True, size=TITLE)
        if _without_records(dates):
            step = _WIDE / len(dates)
            shaded = (n for n, at in enumerate(dates) if not at["recorded"])
            yield area([(left + n * step, top + _HEADS, step, _HIGH) for n in shaded], _SHADE)
        yield from _chart([(at["event_date"], at[name]) for at in dates], left, top + _HEADS, columns=name == "gmv")


def _chart(points: Sequence[tuple[date, float | None]], left: float, top: float, *, columns: bool) -> Iterator[str]:
    bottom, step = top + _HIGH, _WIDE / max(len(points), 1)
    most = max((value for _, value in points if value), default=0)
    known = [
        (left + (n + 0.5) * step, _HIGH * value / (most or 1))
        for n, (_, value) in enumerate(points)
        if value is not None
    ]
    yield line(left, bottom, left + _WIDE, bottom, stroke="#BBBBBB")
    if not known:
        yield text(left + _WIDE / 2, top + _HIGH / 2, "not known", fill=_QUIET)
    elif columns:
        wide = min(0.8 * step, 24)
        yield area([(x - wide / 2, bottom - high, wide, high) for x, high in known], BLUE)
    else:
        yield curve([(x, bottom - high) for x, high in known], BLUE)
        yield dot(known[-1][0], bottom - known[-1][1], BLUE)
    if points:
        yield text(left, bottom + 16, _day(points[0][0]), anchor="start", fill=_QUIET)
    if len(points) > 1:
        yield text(left + _WIDE, bottom + 16, _day(points[-1][0]), anchor="end", fill=_QUIET)


def _written(name: str, value: Any, unit: str) -> str:
    if value is None:
        return "not known"
    return f"{100 * value:.1f} %" if name == "repurchase_rate" else f"{value:,.2f}{unit}"


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"
