"""What a report is about: one event date, or an activity so far, at the venues that have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from venue_assets.nearest import did_you_mean


class CannotReport(ValueError):
    """There is nothing to report on; the message is one sentence that names what exists."""


@dataclass(frozen=True)
class Venue:
    """A venue as the published site describes it."""

    venue_id: str
    name: str
    time_zone: str
    currency: str
    day_starts_at: str
    has_boundary: bool
    has_entrance: bool
    has_terminal: bool
    takes_orders: bool

    @property
    def streams(self) -> frozenset[str]:
        """The streams of figures in which it has devices."""
        of = {
            "boundary_counts": self.has_boundary,
            "entrance_counts": self.has_entrance,
            "face_visits": self.has_terminal,
            "orders": self.takes_orders,
        }
        return frozenset(stream for stream, there in of.items() if there)

    @property
    def starts(self) -> int:
        """When its event date begins, in seconds after midnight."""
        hours, minutes = self.day_starts_at.split(":")
        return 3600 * int(hours) + 60 * int(minutes)


@dataclass(frozen=True)
class Activity:
    """An activity of a venue."""

    activity_id: str
    name: str
    first_date: date
    last_date: date


@dataclass(frozen=True)
class Subject:
    """The dates from `first` to `last` of some venues; of one activity, where there is one."""

    first: date
    last: date
    venues: Sequence[Venue]
    activities: dict[str, Activity]
    """By venue, the activity that is on (a date) or that the report is about."""
    is_activity: bool

    @property
    def dates(self) -> str:
        """Its event dates as a condition on `event_date`."""
        if self.first == self.last:
            return f"event_date = DATE '{self.last}'"
        return f"event_date BETWEEN DATE '{self.first}' AND DATE '{self.last}'"


def subject_of(con: duckdb.DuckDBPyConnection, wanted: date | str) -> Subject:
    """The subject of a date or of an activity's id. Raises CannotReport."""
    venues = [Venue(*row) for row in con.execute(_VENUES).fetchall()]
    published = [
        row[0] for row in con.execute("SELECT DISTINCT event_date FROM metrics.primary_metrics ORDER BY ALL").fetchall()
    ]
    if not published:
        raise CannotReport("no event date is published yet; venue publish brings the publication up to the lake")
    activities = con.execute(_ACTIVITIES).fetchall()
    if isinstance(wanted, date):
        if wanted not in published:
            raise CannotReport(
                f"{wanted} is given; one of the {len(published)} published event dates from {published[0]} to "
                f"{published[-1]} is expected"
            )
        on = {v: Activity(*row) for v, *row in activities if row[2] <= wanted <= row[3]}
        there = {row[0] for row in con.execute(_THERE, [wanted]).fetchall()}
        return Subject(wanted, wanted, [v for v in venues if v.venue_id in there], on, False)
    about = {v: Activity(*row) for v, *row in activities if row[0] == wanted and v in {x.venue_id for x in venues}}
    if not about:
        known = list(dict.fromkeys(str(row[1]) for row in activities))
        expected = f"one of {', '.join(known)} is expected" if known else "the site has none"
        raise CannotReport(f"activity {wanted!r} is given{did_you_mean(wanted, known)}; {expected}")
    first, last = min(a.first_date for a in about.values()), max(a.last_date for a in about.values())
    dates = [day for day in published if first <= day <= last]
    if not dates:
        raise CannotReport(
            f"activity {wanted} is on from {first} to {last}, but published are event dates from {published[0]} to "
            f"{published[-1]}"
        )
    return Subject(first, dates[-1], [v for v in venues if v.venue_id in about], about, True)


_VENUES = """
SELECT venue_id, venue, time_zone, currency, day_starts_at, has_boundary, has_entrance, has_terminal, takes_orders
FROM star.dim_venue ORDER BY venue_id
"""
_ACTIVITIES = """
SELECT venue_id, activity_id, activity, first_date, last_date
FROM star.dim_activity WHERE first_date IS NOT NULL ORDER BY first_date, venue_id
"""
_THERE = "SELECT DISTINCT venue_id FROM metrics.primary_metrics WHERE event_date = ?"
