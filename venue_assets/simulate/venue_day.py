"""One event date at one venue as a stretch of real time, with its opening hours and its local clock.

Instants are integer milliseconds since 1970 in UTC throughout the simulator; text appears only when lines are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from edge_collector.event_time import event_date_spans, to_instant
from edge_collector.site import Venue

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

OPENS_AT = time(10)
OPEN_FOR = timedelta(hours=12)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER = 15 * MINUTE  # no time zone of our time changes its offset at other instants


def milliseconds(instant: datetime) -> int:
    """An aware instant as milliseconds since 1970."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def instant(ms: int) -> datetime:
    """The aware UTC instant of `ms`."""
    return _EPOCH + timedelta(milliseconds=int(ms))


@dataclass(frozen=True)
class VenueDay:
    """`spans` make up the event date; the venue is open from `opens` to `closes`, inside the event date."""

    venue: Venue
    event_date: date
    spans: tuple[tuple[int, int], ...]
    opens: int
    closes: int

    @classmethod
    def of(cls, venue: Venue, day: date) -> VenueDay:
        """Open 10:00 to 22:00 local time; where the event date begins later than 10:00, from then on for 12 hours."""
        spans = event_date_spans(day, venue.time_zone, venue.day_starts_at)
        doors = datetime.combine(day, max(OPENS_AT, venue.day_starts_at))
        opens, closes = (milliseconds(to_instant(at, venue.time_zone)[0]) for at in (doors, doors + OPEN_FOR))
        return cls(
            venue, day, tuple((milliseconds(s.starts_at), milliseconds(s.ends_at)) for s in spans), opens, closes
        )

    @property
    def starts(self) -> int:
        return self.spans[0][0]

    @property
    def ends(self) -> int:
        return self.spans[-1][1]

    def contains(self, ms: IntArray) -> BoolArray:
        """Which instants belong to this event date."""
        inside = np.zeros(len(ms), dtype=np.bool_)
        for start, end in self.spans:
            inside |= (ms >= start) & (ms < end)
        return inside

    def texts(self, ms: IntArray) -> list[str]:
        """Instants as the contract writes them: local time with offset, milliseconds."""
        zone = ZoneInfo(self.venue.time_zone)
        quarters, of_quarter = np.unique(ms // _QUARTER, return_inverse=True)
        offsets = [instant(q * _QUARTER).astimezone(zone).utcoffset() or timedelta() for q in quarters.tolist()]
        shift = np.array([o // timedelta(milliseconds=1) for o in offsets], dtype=np.int64)
        local = np.datetime_as_string((ms + shift[of_quarter]).view("datetime64[ms]"), unit="ms").tolist()
        suffixes = [_offset(o) for o in offsets]
        if len(set(suffixes)) == 1:
            return [text + suffixes[0] for text in local]
        return [text + suffixes[i] for text, i in zip(local, of_quarter.tolist(), strict=True)]


def _offset(offset: timedelta) -> str:
    minutes = int(offset.total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
