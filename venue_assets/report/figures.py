"""Figures of metrics: asked through the registry and the star, of the date and of the days that it is compared with.

What does not belong here: what the registry cannot say (people.py, trials.py, trust.py), and how figures are shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from statistics import median
from typing import Any, Final

import duckdb

from venue_assets.report.losses import Cause, Damaged, damaged
from venue_assets.report.subject import Subject, Venue
from venue_assets.report.wording import span
from venue_assets.semantic_layer.metrics import Metric, registry
from venue_assets.semantic_layer.query import question
from venue_assets.semantic_layer.star import star

CARDS: Final = (
    "uv",
    "pv",
    "new_visitors",
    "lov_median_seconds",
    "pf_range",
    "pf_entrance",
    "ocr",
    "conversion",
    "gmv",
    "completed_orders",
    "average_order_value",
    "paying_users",
)
"""The figures of a venue, in this order."""
OTHERS: Final = ("returning_visitors", "recognition_share")
"""What charts and data trust need besides."""
BUSY: Final = ("pv", "pf_entrance", "pf_range", "completed_orders")
"""What tells busy hours from quiet ones: the first that a venue has."""
HISTORY: Final = 28
"""Dates of the charts over time, and before a date in which comparable days are looked for."""

SETTLED: Final = HISTORY
"""Dates of records that a date needs before it, for people who are new there to be new: at the start all are."""
STREAMS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("uv", "pv", "new_visitors", "returning_visitors", "lov_median_seconds"), ("face_visits",)),
    "pf_range": ("boundary_counts",),
    "pf_entrance": ("entrance_counts",),
    "ocr": ("boundary_counts", "entrance_counts"),
    "recognition_share": ("entrance_counts", "face_visits"),
    "conversion": ("face_visits", "orders"),
    **dict.fromkeys(("gmv", "completed_orders", "average_order_value", "paying_users"), ("orders",)),
}
"""What a figure rests on: it can be known where the venue has all of them."""

VARIOUS: Final = "*"
"""In the place of an activity's name, where comparable days had several."""
_OF_NEW: Final = ("new_visitors", "returning_visitors")
_ESTIMATED: Final = ("pf_entrance", "ocr", "recognition_share")
"""What rests on entrance counts."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One metric of a venue, and what it is compared with."""

    metric: Metric
    value: Any
    suppressed: bool = False
    usual: float | None = None
    """Median of the comparable days."""
    compared: Sequence[date] = ()
    """Those days."""
    activity_then: str | None = None
    """Where another activity was on then than is now: its name, "" for none, `VARIOUS` for several states."""
    estimated: bool = False
    """Whether it rests on a count of people that is estimated."""
    interval: tuple[float, float] | None = None
    """Where it is an estimate with an interval."""
    damaged: Mapping[date, frozenset[Cause]] = field(default_factory=dict)
    """Comparable days that are left out, for records that the figure rests on are missing."""
    incomplete: frozenset[Cause] = frozenset()
    """Why the figure itself is too low, where it is of one date."""
    settling: date | None = None
    """Where comparable days are left out as too near to the start of records: that date."""


class Asker:
    """Asks a published database; figures that rest on fewer people than its smallest cell are withheld."""

    def __init__(self, con: duckdb.DuckDBPyConnection, subject: Subject) -> None:
        self.con = con
        self.subject = subject

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        """The rows of any SQL."""
        self.con.execute(sql, parameters or None)
        names = [column[0] for column in self.con.description or ()]
        return [dict(zip(names, row, strict=True)) for row in self.con.fetchall()]

    def ask(self, metrics: Sequence[str], by: Sequence[str], where: str) -> list[Row]:
        """Metrics by dimensions; with a smallest cell, also `withheld`: the metrics that exist but are not told."""
        asked = question(registry(), star(), metrics, by=by, where=where)
        rows = self.rows(asked)
        if self.smallest_cell < 2:
            return [row | {"withheld": frozenset()} for row in rows]
        told = self.rows(question(registry(), star(), metrics, by=by, where=where, smallest_cell=self.smallest_cell))
        return [
            few | {"withheld": frozenset(m for m in metrics if row[m] is not None and few[m] is None)}
            for row, few in zip(rows, told, strict=True)
        ]

    @cached_property
    def smallest_cell(self) -> int:
        """The smallest number of people that may be told of, as the publication says; 0 where it does not."""
        if not self.rows("FROM duckdb_tables() WHERE schema_name = 'main' AND table_name = 'settings'"):
            return 0
        found = self.rows("SELECT value FROM main.settings WHERE name = 'smallest_cell'")
        return int(found[0]["value"]) if found else 0

    @cached_property
    def publication_id(self) -> str:
        """Which publication this is."""
        return str(self.rows("SELECT min(publication_id) AS id FROM main.publication")[0]["id"])

    @cached_property
    def daily(self) -> Mapping[str, Mapping[date, Row]]:
        """All figures of each venue on each date with records, over the history and its comparable days."""
        found: dict[str, dict[date, Row]] = defaultdict(dict)
        where = f"event_date BETWEEN DATE '{self._earliest}' AND DATE '{self.subject.last}'"
        for row in self.ask([*CARDS, *OTHERS], ["event_date", "venue_id"], where):
            found[row["venue_id"]][row["event_date"]] = row
        return found

    @property
    def _earliest(self) -> date:
        return min(self.subject.last - timedelta(days=HISTORY), self.subject.first)

    @cached_property
    def _whole(self) -> Mapping[str, Row]:
        """The figures over all dates of the subject at once."""
        if not self.subject.is_activity:
            return {venue: rows[self.subject.last] for venue, rows in self.daily.items() if self.subject.last in rows}
        found: dict[str, Row] = {}
        for venue_id, activity in self.subject.activities.items():
            where = f"activity_id = {text(activity.activity_id)} AND venue_id = {text(venue_id)} AND "
            where += self.subject.dates
            found |= {row["venue_id"]: row for row in self.ask([*CARDS, *OTHERS], ["venue_id"], where)}
        return found

    def has_records(self, venue: Venue) -> bool:
        """Whether anything at all was recorded there."""
        return venue.venue_id in self._whole

    def figures(self, venue: Venue) -> dict[str, Figure]:
        """The venue's figures by metric, those that it can have."""
        row = self._whole.get(venue.venue_id, {})
        return {
            name: self._figure(registry()[name], row, venue)
            for name in (*CARDS, *OTHERS)
            if is_possible(registry()[name], venue)
        }

    def since(self, venue: Venue) -> date:
        """The first date of the venue's records."""
        return self._since[venue.venue_id]

    @cached_property
    def _since(self) -> Mapping[str, date]:
        found = self.rows("SELECT venue_id, min(event_date) AS since FROM metrics.primary_metrics GROUP BY venue_id")
        return {row["venue_id"]: row["since"] for row in found}

    def damaged(self, venue: Venue) -> Damaged:
        """The damaged dates among those of `daily`, and of an activity among those that it is compared with."""
        return self._damaged.get(venue.venue_id, {})

    @cached_property
    def _damaged(self) -> Mapping[str, Damaged]:
        year = timedelta(days=365 if self.subject.is_activity else 0)
        return damaged(self.rows, min(self._earliest, self.subject.first - year), self.subject.last)

    def is_settled(self, venue: Venue, day: date) -> bool:
        """Whether there are records long enough before a date for people who are new there to be new."""
        return day - self.since(venue) >= timedelta(days=SETTLED)

    def _figure(self, metric: Metric, row: Row, venue: Venue) -> Figure:
        days, harm = self.daily.get(venue.venue_id, {}), self.harm(metric.name, venue)
        comparable = [self.subject.last - timedelta(days=7 * n) for n in range(1, 5)]
        comparable = [] if self.subject.is_activity else comparable
        early = [day for day in comparable if metric.name in _OF_NEW and not self.is_settled(venue, day)]
        known = {
            day: _figure_of(metric, days[day], venue)
            for day in comparable
            if day in days and day not in harm and day not in early
        }
        known = {day: value for day, value in known.items() if value is not None}
        estimate = self._estimates.get(venue.venue_id) if metric.name in _ESTIMATED else None
        value = _figure_of(metric, row, venue)
        estimate = estimate if value is not None else None
        return Figure(
            metric,
            value,
            suppressed=metric.name in row.get("withheld", ()),
            usual=None if not known else float(median(map(float, known.values()))),
            compared=sorted(known),
            activity_then=self._activity_then(venue, list(known)),
            estimated=bool(estimate and estimate["estimated"]),
            interval=(estimate["low"], estimate["high"])
            if estimate and metric.name == "ocr" and None not in (estimate["low"], estimate["high"])
            else None,
            damaged={day: harm[day] for day in sorted(comparable) if day in harm and day not in early},
            incomplete=frozenset() if self.subject.is_activity else harm.get(self.subject.last, frozenset()),
            settling=self.since(venue) if early else None,
        )

    def harm(self, metric: str, venue: Venue) -> Mapping[date, frozenset[Cause]]:
        """The dates that are damaged in what a figure rests on."""
        return {
            day: causes
            for day, of in self.damaged(venue).items()
            if (causes := frozenset(cause for stream in STREAMS[metric] for cause in of.get(stream, ())))
        }

    @cached_property
    def _estimates(self) -> Mapping[str, Row]:
        """Of each venue, whether people who came in were estimated; of one date, also the interval of its rate."""
        found = self.rows(
            "SELECT venue_id, bool_or(pf_entrance_estimated) AS estimated, "
            "CASE WHEN count(*) = 1 THEN min(ocr_low) END AS low, "
            "CASE WHEN count(*) = 1 THEN min(ocr_high) END AS high "
            f"FROM metrics.primary_metrics WHERE {self.subject.dates} GROUP BY venue_id"
        )
        return {row["venue_id"]: row for row in found}

    @cached_property
    def _activities(self) -> list[Row]:
        return self.rows(
            "SELECT venue_id, activity, first_date, last_date FROM star.dim_activity WHERE first_date IS NOT NULL"
        )

    def _activity_then(self, venue: Venue, days: Sequence[date]) -> str | None:
        def on(day: date) -> str:
            return next(
                (
                    str(a["activity"])
                    for a in self._activities
                    if a["venue_id"] == venue.venue_id and a["first_date"] <= day <= a["last_date"]
                ),
                "",
            )

        then = {on(day) for day in days}
        if self.subject.is_activity or then <= {on(self.subject.last)}:
            return None
        return then.pop() if len(then) == 1 else VARIOUS

    def over_time(self, venue: Venue, *metrics: str) -> list[Row]:
        """Metrics of the venue on each date of the history, or of the activity."""
        first, last = (
            (self.subject.first, self.subject.last) if self.subject.is_activity else span(self.subject.last, HISTORY)
        )
        return [
            {"event_date": day} | {name: _figure_of(registry()[name], row, venue) for name in metrics}
            for day, row in sorted(self.daily.get(venue.venue_id, {}).items())
            if first <= day <= last
        ]

    @cached_property
    def _busy(self) -> Mapping[str, list[Row]]:
        first = self.subject.first if self.subject.is_activity else span(self.subject.last, HISTORY)[0]
        where = f"event_date BETWEEN DATE '{first}' AND DATE '{self.subject.last}'"
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.ask(BUSY, ["venue_id", "weekday", "hour"], where):
            if row["hour"] is not None and row["weekday"] is not None:
                found[row["venue_id"]].append(row)
        return found

    def busy_hours(self, venue: Venue) -> tuple[Metric, list[Row], bool]:
        """A metric per weekday and hour: its mean over the dates with records that have the weekday.

        And whether hours are withheld.
        """
        metric = next((m for m in map(registry().__getitem__, BUSY) if is_possible(m, venue)), registry()["pv"])
        dates = [row["event_date"] for row in self.over_time(venue)]
        found = []
        for row in self._busy.get(venue.venue_id, ()):
            weekday = _WEEKDAYS.index(row["weekday"])
            n = sum(day.weekday() == weekday for day in dates)
            if row[metric.name] and n:
                found.append({"weekday": weekday, "hour": row["hour"], "dates": n, "mean": row[metric.name] / n})
        return metric, found, any(metric.name in row["withheld"] for row in self._busy.get(venue.venue_id, ()))

    @cached_property
    def _categories(self) -> Mapping[str, list[Row]]:
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.ask(["gmv", "pieces_sold"], ["venue_id", "category_id"], self.subject.dates):
            if row["gmv"] or "gmv" in row["withheld"]:
                found[row["venue_id"]].append(row)
        return found

    def categories(self, venue: Venue) -> tuple[list[Row], int]:
        """Sales by category, the largest first; and how many categories are withheld."""
        rows = self._categories.get(venue.venue_id, [])
        told = [row for row in rows if row["gmv"]]
        return sorted(told, key=lambda row: (-row["gmv"], row["category_id"])), len(rows) - len(told)


_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""As dim_date writes them."""


def is_possible(metric: Metric, venue: Venue) -> bool:
    """Whether the venue has the devices that the metric needs."""
    return venue.streams.issuperset(STREAMS[metric.name])


def text(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def _figure_of(metric: Metric, row: Row, venue: Venue) -> Any:
    """The figure, and 0 where nobody came or bought: that is known where the venue has what it takes."""
    value = row.get(metric.name)
    if value is None and metric.name not in row.get("withheld", ()) and row and is_possible(metric, venue):
        counts = metric.fact not in (None, "fact_count") and metric.type in ("BIGINT", "DECIMAL(18,2)")
        return 0 if counts else None
    return value
