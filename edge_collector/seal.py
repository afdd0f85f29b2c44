"""Sealing: records of the spool become finished segments, each of one stream, one boot and one event date.

A stream's records are sealed when there are enough of them, when the oldest has waited long enough, or when their event
date is over. Records of a clock that was not synchronised wait for it, at most a day, then go as they are, marked; at
once where the machine was started anew since, for then no sync can say any more when they were captured.

What does not belong here: where segments go (`ship`), how a segment is written (`segment`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from edge_collector.contract import STREAMS, columns
from edge_collector.event_time import event_date, rfc_3339
from edge_collector.segment import pack_segment
from edge_collector.site import Site
from edge_collector.spool import SealedSegment, Spool, Stamp

WAIT_FOR_SYNC: Final = timedelta(hours=24)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_MS: Final = 60_000
_AT_ONCE: Final = 20_000
"""Records sealed in one transaction, unless a segment is longer: what is captured meanwhile waits for its end."""


@dataclass(frozen=True)
class SealPolicy:
    """When a stream's records make a segment: at so many rows, or so long after the oldest of them."""

    rows: int
    age: timedelta


class _Row(NamedTuple):
    """A record as the spool holds it, with its times corrected."""

    id: int
    boot_id: str
    seq: int
    venue_id: str
    device_id: str
    wall_ms: int
    dated_ms: int
    clock: str
    shift_ms: int
    body: str


def seal(
    spool: Spool,
    site: Site,
    policy: SealPolicy,
    stamp: Stamp,
    *,
    everything: bool = False,
) -> list[SealedSegment]:
    """Seal what is due at this moment (`everything`: all that does not wait for a sync); returns the new segments.

    Of a long backlog only a part, so that it takes neither much memory nor much time: call again while it returns some.
    """
    venues = _Venues({venue.id: _Dates(venue.time_zone, venue.day_starts_at) for venue in site.venues})
    now, at_once = stamp.wall, max(policy.rows, _AT_ONCE)

    def select(db: sqlite3.Connection) -> list[tuple[Sequence[int], SealedSegment]]:
        made: list[tuple[Sequence[int], SealedSegment]] = []
        for stream, boot_id in _runs(db):
            ready = _ready(db, stream, boot_id, stamp, at_once)
            backlog = len(ready) == at_once
            for day, rows in _by_date(ready, venues):
                for part in _due(rows, day, policy, now, venues, everything or backlog):
                    made.append(([row.id for row in part], _segment(spool, stream, day, part, venues, stamp)))
            if sum(segment.rows for _, segment in made) >= at_once:
                break
        return made

    return spool.replace(select)


def _runs(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """The streams and boots of which there are records. A DISTINCT would read the whole index."""
    following = "SELECT min(boot_id) FROM records WHERE stream = ? AND boot_id > ?"
    for stream in STREAMS:
        (boot_id,) = db.execute(following, (stream, "")).fetchone()
        while boot_id is not None:
            yield stream, boot_id
            (boot_id,) = db.execute(following, (stream, boot_id)).fetchone()


def _ready(db: sqlite3.Connection, stream: str, boot_id: str, stamp: Stamp, most: int) -> list[_Row]:
    waited = round((stamp.monotonic - WAIT_FOR_SYNC.total_seconds()) * 1000)
    found = db.execute(
        "SELECT id, boot_id, seq, venue_id, device_id, wall_ms + shift_ms,"
        " dated_ms + CASE WHEN own_times THEN shift_ms ELSE 0 END,"
        " CASE WHEN synced THEN 'synced' ELSE 'unsynced' END, CASE WHEN own_times THEN shift_ms ELSE 0 END, body"
        " FROM records WHERE stream = ? AND boot_id = ? AND (synced OR clock_id <> ? OR monotonic_ms <= ?) ORDER BY seq"
        " LIMIT ?",
        (stream, boot_id, stamp.clock_id, waited, most),
    )
    return list(map(_Row._make, found))


def _by_date(rows: Iterable[_Row], venues: Mapping[str, _Dates]) -> list[tuple[date, list[_Row]]]:
    of_day: dict[date, list[_Row]] = {}
    for row in rows:
        of_day.setdefault(venues[row.venue_id].date_of(row.dated_ms), []).append(row)
    return sorted(of_day.items())


def _due(
    rows: list[_Row], day: date, policy: SealPolicy, now: datetime, venues: Mapping[str, _Dates], everything: bool
) -> list[list[_Row]]:
    """The segments that these rows of one stream, boot and event date make now; the last, smaller one may wait."""
    parts = [rows[i : i + policy.rows] for i in range(0, len(rows), policy.rows)]
    last = parts[-1]
    now_ms = int(now.timestamp() * 1000)
    oldest = min(row.wall_ms for row in last)
    aged = now_ms - oldest >= policy.age / timedelta(milliseconds=1) or oldest > now_ms
    over = venues[last[0].venue_id].date_of(now_ms) > day
    due = everything or len(last) == policy.rows or aged or over
    return parts if due else parts[:-1]


def _segment(
    spool: Spool,
    stream: str,
    day: date,
    rows: Sequence[_Row],
    venues: Mapping[str, _Dates],
    stamp: Stamp,
) -> SealedSegment:
    prefix = f'{{"gateway_id":{json.dumps(spool.gateway_id)},"boot_id":{json.dumps(rows[0].boot_id)},"seq":'
    own_times = [c.name for c in columns(stream) if c.type == "TIMESTAMP" and c.name != "recorded_at"]
    lines = [
        f'{prefix}{row.seq},"venue_id":{_quoted(row.venue_id)},"device_id":{_quoted(row.device_id)},'
        f'"recorded_at":"{venues[row.venue_id].text_of(row.wall_ms)}","clock":"{row.clock}",'
        f"{_shifted(row, own_times) if row.shift_ms and own_times else row.body}}}".encode()
        for row in rows
    ]
    # Readers refuse what is a day ahead of its segment. A gateway that does not know the time must not be why.
    newest = max(max(row.wall_ms, row.dated_ms) for row in rows)
    created_at = stamp.wall if stamp.synced else max(stamp.wall, _EPOCH + timedelta(milliseconds=newest))
    manifest, packed = pack_segment(
        stream=stream,
        event_date=day,
        gateway_id=spool.gateway_id,
        boot_id=rows[0].boot_id,
        lines=lines,
        seqs=[row.seq for row in rows],
        created_at=created_at,
    )
    return SealedSegment(0, stream, day.isoformat(), str(manifest.name), len(rows), packed, manifest.to_bytes())


def _shifted(row: _Row, names: Sequence[str]) -> str:
    """The body of a record whose own times move with the gateway's clock."""
    fields = json.loads(f"{{{row.body}}}")
    for name in names:
        moved = datetime.fromisoformat(fields[name]) + timedelta(milliseconds=row.shift_ms)
        fields[name] = moved.isoformat(timespec="milliseconds")
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))[1:-1]


class _Venues(dict[str, "_Dates"]):
    """By id. A venue that has left the site file since is taken to be at Greenwich; readers of its records judge."""

    def __missing__(self, venue_id: str) -> _Dates:
        dates = self[venue_id] = _Dates("UTC", time(4))
        return dates


@lru_cache(4096)
def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


class _Dates:
    """Event dates and local times of one venue, worked out once a minute: a hundred thousand rows share a few."""

    def __init__(self, zone: str, starts_at: time) -> None:
        self._zone, self._starts_at = zone, starts_at
        self._dates: dict[int, date] = {}
        self._texts: dict[int, tuple[str, str]] = {}

    def date_of(self, ms: int) -> date:
        """The event date; it begins at a whole minute."""
        minute = ms // _MINUTE_MS
        if (found := self._dates.get(minute)) is None:
            found = self._dates[minute] = event_date(_instant(minute), self._zone, self._starts_at)
        return found

    def text_of(self, ms: int) -> str:
        """The local time with offset and milliseconds."""
        minute, rest = divmod(ms, _MINUTE_MS)
        if (found := self._texts.get(minute)) is None:
            text = rfc_3339(_instant(minute), self._zone)
            found = self._texts[minute] = text[:17], text[23:]
        return f"{found[0]}{rest // 1000:02d}.{rest % 1000:03d}{found[1]}"


def _instant(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)
