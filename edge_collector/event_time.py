"""Event dates, local wall-clock time and daylight saving: the only place where time zones are worked out.

The event date of an instant is the date of (local wall-clock time at the venue - `day_starts_at`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

_STEP = timedelta(minutes=15)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("an IANA time zone such as Europe/Berlin is expected") from None
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]
"""The name of a time zone, as files of settings give it."""


def event_date(instant: datetime, time_zone: str, day_starts_at: time) -> date:
    """The event date of an aware `instant` at a venue with this time zone and start of day."""
    local = instant.astimezone(ZoneInfo(time_zone)).replace(tzinfo=None)
    return (local - _since_midnight(day_starts_at)).date()


@dataclass(frozen=True)
class Span:
    """A stretch of real time, start included, end excluded, in which the venue's UTC offset does not change."""

    starts_at: datetime
    ends_at: datetime
    utc_offset: timedelta


@lru_cache(maxsize=4096)
def event_date_spans(day: date, time_zone: str, day_starts_at: time) -> tuple[Span, ...]:
    """The spans of UTC time that make up event date `day` at a venue, in order of time.

    One span on most days, two where clocks change; more only where the change crosses `day_starts_at`.
    """
    zone = ZoneInfo(time_zone)
    start = datetime.combine(day, day_starts_at, UTC) - timedelta(hours=27)
    end = start + timedelta(hours=24 + 54)

    def state(instant: datetime) -> tuple[bool, timedelta]:
        offset = instant.astimezone(zone).utcoffset() or timedelta()
        return event_date(instant, time_zone, day_starts_at) == day, offset

    def change_between(before: datetime, after: datetime) -> datetime:
        while after - before > timedelta(seconds=1):
            middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
            before, after = (middle, after) if state(middle) == state(before) else (before, middle)
        return after

    spans: list[Span] = []
    at, opened = start, start
    while at < end:
        following = at + _STEP
        if state(following) != state(at):
            change = change_between(at, following)
            inside, offset = state(at)
            if inside:
                spans.append(Span(opened, change, offset))
            opened = change
        at = following
    return tuple(spans)


Resolution = Literal["exact", "ambiguous", "nonexistent"]


def to_instant(local: datetime, time_zone: str) -> tuple[datetime, Resolution]:
    """The instant that a naive local wall-clock time means, and how sure that is.

    An ambiguous time (clocks went back) means the earlier instant, a nonexistent one (clocks went forward) moves
    forward by the gap.
    """
    zone = ZoneInfo(time_zone)
    first = local.replace(tzinfo=zone, fold=0)
    second = local.replace(tzinfo=zone, fold=1)
    instant = first.astimezone(UTC)
    if first.utcoffset() == second.utcoffset():
        return instant, "exact"
    if instant.astimezone(zone).replace(tzinfo=None) == local:
        return instant, "ambiguous"
    # In a gap fold=0 reads with the offset before the change, which is what "moves forward by the gap" asks for.
    return instant, "nonexistent"


def rfc_3339(instant: datetime, time_zone: str) -> str:
    """`instant` as the contract writes it: local time with offset, milliseconds."""
    return instant.astimezone(ZoneInfo(time_zone)).isoformat(timespec="milliseconds")


def _since_midnight(at: time) -> timedelta:
    return timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)
