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
from typing import Any, Final

from edge_collector.contract import STREAMS, columns
from edge_collector.event_time import event_date, rfc_3339
from edge_collector.segment import pack_segment
from edge_collector.site import Site
from edge_collector.spool import Replacement, SealedSegment, Spool, Stamp

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


_Row = tuple[int, str, str, int, int, int, int, str]
"""A record as the spool holds it: seq, venue_id, device_id, wall_ms and dated_ms (both corrected), synced, shift_ms (by
which times in the body have still to be moved), body. A plain tuple: to name its parts takes a tenth longer."""


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

    def select(db: sqlite3.Connection) -> list[Replacement]:
        made: list[Replacement] = []
        for stream, boot_id in _runs(db):
            ready = _ready(db, stream, boot_id, stamp, at_once)
            backlog = len(ready) == at_once
            for day, rows in _by_date(ready, venues):
                for part in _due(rows, day, policy, now, venues, everything or backlog):
                    made.append(_segment(spool.gateway_id, stream, boot_id, day, part, venues, stamp))
            if sum(one.segment.rows for one in made) >= at_once:
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
        "SELECT seq, venue_id, device_id, wall_ms + shift_ms, dated_ms + own_times * shift_ms, synced,"
        " own_times * shift_ms, body"
        " FROM records WHERE stream = ? AND boot_id = ? AND (synced OR clock_id <> ? OR monotonic_ms <= ?) ORDER BY seq"
        " LIMIT ?",
        (stream, boot_id, stamp.clock_id, waited, most),
    )
    return found.fetchall()


def _by_date(rows: Iterable[_Row], venues: Mapping[str, _Dates]) -> list[tuple[date, list[_Row]]]:
    of_day: dict[date, list[_Row]] = {}
    of_minute: dict[tuple[str, int], list[_Row]] = {}
    for row in rows:
        _, venue_id, _, _, dated_ms, _, _, _ = row
        minute = venue_id, dated_ms // _MINUTE_MS  # an event date begins at a whole one
        if (found := of_minute.get(minute)) is None:
            day = venues[venue_id].date_of(dated_ms)
            found = of_minute[minute] = of_day.setdefault(day, [])
        found.append(row)
    return sorted(of_day.items())


def _due(
    rows: list[_Row], day: date, policy: SealPolicy, now: datetime, venues: Mapping[str, _Dates], everything: bool
) -> list[list[_Row]]:
    """The segments that these rows of one stream, boot and event date make now; the last, smaller one may wait."""
    parts = [rows[i : i + policy.rows] for i in range(0, len(rows), policy.rows)]
    last = parts[-1]
    now_ms = int(now.timestamp() * 1000)
    oldest = min(row[3] for row in last)
    aged = now_ms - oldest >= policy.age / timedelta(milliseconds=1) or oldest > now_ms
    over = venues[last[0][1]].date_of(now_ms) > day
    due = everything or len(last) == policy.rows or aged or over
    return parts if due else parts[:-1]


def _segment(
    gateway_id: str,
    stream: str,
    boot_id: str,
    day: date,
    rows: Sequence[_Row],
    venues: Mapping[str, _Dates],
    stamp: Stamp,
) -> Replacement:
    # Readers refuse what is a day ahead of its segment. A gateway that does not know the time must not be why.
    newest = max(max(row[3] for row in rows), max(row[4] for row in rows))
    created_at = stamp.wall if stamp.synced else max(stamp.wall, _EPOCH + timedelta(milliseconds=newest))
    manifest, packed = pack_segment(
        stream=stream,
        event_date=day,
        gateway_id=gateway_id,
        boot_id=boot_id,
        lines=_lines(gateway_id, stream, boot_id, rows, venues),
        seqs=[row[0] for row in rows],
        created_at=created_at,
    )
    sealed = SealedSegment(0, stream, day.isoformat(), str(manifest.name), len(rows), packed, manifest.to_bytes())
    return Replacement(sealed, boot_id, manifest.seq_ranges)


def _lines(
    gateway_id: str, stream: str, boot_id: str, rows: Iterable[_Row], venues: Mapping[str, _Dates]
) -> list[bytes]:
    """The rows as the contract writes them. What rows of one minute and device share is worked out once."""
    of_all = f'{{"gateway_id":{_json(gateway_id)},"boot_id":{_json(boot_id)},"seq":'
    own_times = [c.name for c in columns(stream) if c.type == "TIMESTAMP" and c.name != "recorded_at"]
    shared: dict[tuple[str, str, int, int], tuple[str, str]] = {}
    lines = []
    for seq, venue_id, device_id, wall_ms, _, synced, shift_ms, body in rows:
        minute, rest = divmod(wall_ms, _MINUTE_MS)
        key = venue_id, device_id, minute, synced
        if (found := shared.get(key)) is None:
            before, offset = venues[venue_id].text_of(minute)
            found = shared[key] = (
                f',"venue_id":{_json(venue_id)},"device_id":{_json(device_id)},"recorded_at":"{before}',
                f'{offset}","clock":"{"synced" if synced else "unsynced"}",',
            )
        own = _shifted(body, shift_ms, own_times) if shift_ms and own_times else body
        lines.append(f"{of_all}{seq}{found[0]}{rest / 1000:06.3f}{found[1]}{own}}}".encode())
    return lines


def _shifted(body: str, shift_ms: int, names: Sequence[str]) -> str:
    """The body of a record whose own times move with the gateway's clock."""
    fields = json.loads(f"{{{body}}}")
    for name in names:
        moved = datetime.fromisoformat(fields[name]) + timedelta(milliseconds=shift_ms)
        fields[name] = moved.isoformat(timespec="milliseconds")
    return _json(fields)[1:-1]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Venues(dict[str, "_Dates"]):
    """By id. A venue that has left the site file since is taken to be at Greenwich; readers of its records judge."""

    def __missing__(self, venue_id: str) -> _Dates:
        dates = self[venue_id] = _Dates("UTC", time(4))
        return dates


class _Dates:
    """Event dates and local times of one venue."""

    def __init__(self, zone: str, starts_at: time) -> None:
        self._zone, self._starts_at = zone, starts_at

    def date_of(self, ms: int) -> date:
        return event_date(_instant(ms // _MINUTE_MS), self._zone, self._starts_at)

    def text_of(self, minute: int) -> tuple[str, str]:
        """What stands before the seconds of a local time in this minute, and its offset."""
        text = rfc_3339(_instant(minute), self._zone)
        return text[:17], text[23:]


def _instant(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)
