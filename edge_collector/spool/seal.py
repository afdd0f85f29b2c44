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
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple

from edge_collector.contract import STREAMS, columns
from edge_collector.event_time import event_date, rfc_3339
from edge_collector.segment import pack_segment, ranges
from edge_collector.site import Site
from edge_collector.spool import Replacement, SealedSegment, Spool, Stamp

WAIT_FOR_SYNC: Final = timedelta(hours=24)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_MS: Final = 60_000
_SECONDS: Final = [f"{second:02}." for second in range(60)]
_THOUSANDTHS: Final = [f"{ms:03}" for ms in range(1000)]
"""To look up the two takes half as long as to format the number that they make."""
_AT_ONCE: Final = 20_000
"""Records sealed in one transaction, unless a segment is longer: what is captured meanwhile waits for its end."""


@dataclass(frozen=True)
class SealPolicy:
    """When a stream's records make a segment: at so many rows, or so long after the oldest of them."""

    rows: int
    age: timedelta


class _Run(NamedTuple):
    """Whose numbers are consecutive: the records of one stream since one start of the gateway."""

    gateway_id: str
    stream: str
    boot_id: str


_Row = tuple[int, str, str, int, int, int, int, str]
"""A record as the spool holds it: seq, venue_id, device_id, wall_ms and dated_ms (both corrected), synced, shift_ms (by
which times in the body have still to be moved), body. A plain tuple: to name its parts takes a tenth longer."""


@dataclass(slots=True)
class _Records:
    """Records of one event date as the contract writes them. A list for each of their parts: a tuple for each record
    is looked at again and again by the collector of garbage, which takes a tenth of all."""

    venue_id: str
    """Of the first."""
    seqs: list[int] = field(default_factory=list)
    wall_ms: list[int] = field(default_factory=list)
    """Corrected, as dated_ms."""
    dated_ms: list[int] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)

    def __getitem__(self, some: slice) -> _Records:
        parts = self.seqs[some], self.wall_ms[some], self.dated_ms[some], self.lines[some]
        return _Records(self.venue_id, *parts)

    def __len__(self) -> int:
        return len(self.seqs)


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
        rows = 0
        for stream, boot_id in _runs(db):
            of_run = _Run(spool.gateway_id, stream, boot_id)
            dates = _by_date(of_run, _ready(db, of_run, stamp, at_once), venues)
            backlog = sum(len(records) for _, records in dates) == at_once
            for day, records in dates:
                for part in _due(records, day, policy, now, venues, everything or backlog):
                    made.append(_replacement(of_run, part, packing.submit(_segment, of_run, day, part, stamp)))
                    rows += len(part)
            if rows >= at_once:
                break
        return made

    with ThreadPoolExecutor(1, thread_name_prefix="packing") as packing:
        return spool.replace(select)


def _runs(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """The streams and boots of which there are records. A DISTINCT would read the whole index."""
    following = "SELECT min(boot_id) FROM records WHERE stream = ? AND boot_id > ?"
    for stream in STREAMS:
        (boot_id,) = db.execute(following, (stream, "")).fetchone()
        while boot_id is not None:
            yield stream, boot_id
            (boot_id,) = db.execute(following, (stream, boot_id)).fetchone()


def _ready(db: sqlite3.Connection, of_run: _Run, stamp: Stamp, most: int) -> Iterator[_Row]:
    waited = round((stamp.monotonic - WAIT_FOR_SYNC.total_seconds()) * 1000)
    return db.execute(
        "SELECT seq, venue_id, device_id, wall_ms + shift_ms, dated_ms + own_times * shift_ms, synced,"
        " own_times * shift_ms, body"
        " FROM records WHERE stream = ? AND boot_id = ? AND (synced OR clock_id <> ? OR monotonic_ms <= ?) ORDER BY seq"
        " LIMIT ?",
        (of_run.stream, of_run.boot_id, stamp.clock_id, waited, most),
    )


def _by_date(of_run: _Run, rows: Iterable[_Row], venues: Mapping[str, _Dates]) -> list[tuple[date, _Records]]:
    """The rows as the contract writes them, by event date. What rows of one minute and device share is worked out once.

    Whether they are due or not: to hold all rows first, and write only those that are, takes a tenth longer.
    """
    of_all = f'{{"gateway_id":{_json(of_run.gateway_id)},"boot_id":{_json(of_run.boot_id)},"seq":'
    own_times = [c.name for c in columns(of_run.stream) if c.type == "TIMESTAMP" and c.name != "recorded_at"]
    of_day: dict[date, _Records] = {}
    shared: dict[tuple[str, str, int, int, int], tuple[Any, ...]] = {}
    for seq, venue_id, device_id, wall_ms, dated_ms, synced, shift_ms, body in rows:
        # An event date begins at a whole minute, and an offset changes at one.
        key = venue_id, device_id, wall_ms // _MINUTE_MS, dated_ms // _MINUTE_MS, synced
        if (found := shared.get(key)) is None:
            before, offset = venues[venue_id].text_of(wall_ms // _MINUTE_MS)
            day = of_day.setdefault(venues[venue_id].date_of(dated_ms), _Records(venue_id))
            found = shared[key] = (
                day.seqs.append,
                day.wall_ms.append,
                day.dated_ms.append,
                day.lines.append,
                f',"venue_id":{_json(venue_id)},"device_id":{_json(device_id)},"recorded_at":"{before}',
                f'{offset}","clock":"{"synced" if synced else "unsynced"}",',
            )
        add_seq, add_wall_ms, add_dated_ms, add_line, before, behind = found
        own = _shifted(body, shift_ms, own_times) if shift_ms and own_times else body
        second, thousandth = _SECONDS[wall_ms // 1000 % 60], _THOUSANDTHS[wall_ms % 1000]
        add_seq(seq)
        add_wall_ms(wall_ms)
        add_dated_ms(dated_ms)
        add_line(f"{of_all}{seq}{before}{second}{thousandth}{behind}{own}}}".encode())
    return sorted(of_day.items())


def _due(
    records: _Records, day: date, policy: SealPolicy, now: datetime, venues: Mapping[str, _Dates], everything: bool
) -> list[_Records]:
    """The segments that these records of one stream, boot and event date make now; the last, smaller one may wait."""
    parts = [records[i : i + policy.rows] for i in range(0, len(records), policy.rows)]
    last = parts[-1]
    now_ms = int(now.timestamp() * 1000)
    oldest = min(last.wall_ms)
    aged = now_ms - oldest >= policy.age / timedelta(milliseconds=1) or oldest > now_ms
    over = venues[last.venue_id].date_of(now_ms) > day
    due = everything or len(last) == policy.rows or aged or over
    return parts if due else parts[:-1]


def _replacement(of_run: _Run, records: _Records, segment: Future[SealedSegment]) -> Replacement:
    return Replacement(segment, of_run.stream, of_run.boot_id, ranges(_numbers(records)))


def _numbers(records: _Records) -> Sequence[int]:
    first, last = records.seqs[0], records.seqs[-1]
    consecutive = last - first == len(records) - 1  # as is usual; to look at each takes longer than to compress all
    return range(first, last + 1) if consecutive else records.seqs


def _segment(of_run: _Run, day: date, records: _Records, stamp: Stamp) -> SealedSegment:
    created_at = stamp.wall
    if not stamp.synced:
        # Readers refuse what is a day ahead of its segment. A gateway that does not know the time must not be why.
        newest = max(max(records.wall_ms), max(records.dated_ms))
        created_at = max(created_at, _EPOCH + timedelta(milliseconds=newest))
    manifest, packed = pack_segment(
        stream=of_run.stream,
        event_date=day,
        gateway_id=of_run.gateway_id,
        boot_id=of_run.boot_id,
        lines=records.lines,
        seqs=_numbers(records),
        created_at=created_at,
    )
    name = str(manifest.name)
    return SealedSegment(0, of_run.stream, day.isoformat(), name, len(records), packed, manifest.to_bytes())


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
