"""The spool: what was captured and has not been confirmed by the landing yet, in one SQLite file that survives kills.

Everything that must happen together is one transaction: records get their numbers, the state of the device that sent
them moves on, and the keys by which a second delivery is recognised are kept. Only when it is durable (WAL,
`synchronous=FULL`) does the caller hear of it, and only then may a source be told that its data has arrived. Callers
that come while a transaction is being flushed share the next one (group commit).

A record leaves the spool in two steps: `seal` puts the finished segments in the place of their records, `confirmed`
deletes a segment when the landing has it. Nothing else deletes.

What does not belong here: what an entry is (`entry`), how the file is opened (`file`), what a reading means
(`intake`), where segments go (`ship`).
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock, Timer
from typing import Any, Final, TypeVar

from edge_collector.contract import STREAMS, columns
from edge_collector.spool.arms import Arms
from edge_collector.spool.entry import Depth, Entry, Replacement, SealedSegment, Stamp, Taken, Unit
from edge_collector.spool.file import LOG_PAGES, SpoolDamaged, is_damage, is_full, open_file, transaction

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_NO_ROOM: Final = "the disk is full"
REMEMBERED: Final = timedelta(days=400)
"""How long a delivery is remembered after it was made last: a terminal may send its log of a year again."""
_DAY_MS: Final = 86_400_000
_UNDATED: Final = 2**62
"""Milliseconds: the time of a delivery that was made while the clock might have shown any year."""
_AT_ONCE_IN_LOG: Final = LOG_PAGES // 5
"""Commits of callers after which the spool's thread brings them into the file. An arm given is one page, or six where
that is full; and one more in `assigned`."""


class SpoolFull(RuntimeError):
    """There is no room. Whoever asked has to wait and to ask again; nothing of what it brought has been kept."""


@dataclass(slots=True)
class _Request:
    brought: tuple[Entry, Stamp]
    done: Future[Taken]


class Spool:
    """One gateway's spool. Every method may be called from any thread; all but `take_at_once` work in one of its own,
    and one at a time.

    `boot_id` names this run; numbers begin at 0 in each. `max_bytes` bounds the file; beyond it `SpoolFull` is raised
    by whatever brings more, until the landing has confirmed some of it. `kept_log` is a copy of the write-ahead log,
    where SQLite found a hole in it and takes nothing from behind it.
    """

    def __init__(self, path: Path, *, gateway_id: str, boot_id: str, max_bytes: int) -> None:
        self.path, self.gateway_id, self.boot_id, self.max_bytes = path, gateway_id, boot_id, max_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._waiting: list[_Request] = []
        self._lock = Lock()
        self._working = Lock()
        """Held by the thread that uses the file."""
        self._checkpoints_at = 0
        self._in_log = 0
        self._next_seq = dict.fromkeys(STREAMS, 0)
        self.damage = ""
        """What was found damaged while it was used; from then on nothing more is taken."""
        try:
            self._db, self.kept_log = self._writer.submit(open_file, path).result()
        except BaseException:
            self._writer.shutdown()
            raise
        try:
            self._page_size = self._submit(lambda: self._pragma("page_size")).result()
            self._arms = self._submit(lambda: Arms(self._db)).result()
        except BaseException as error:
            self.close()
            if self.damage or "decode" in str(error):
                raise SpoolDamaged(f"{path} is damaged ({error})") from None
            raise

    def close(self) -> None:
        """Finish what is under way and let go of the file."""
        self._submit(self._db.close).result()
        self._writer.shutdown()

    # In ---------------------------------------------------------------------------------------------------------------

    def take(self, entry: Entry, stamp: Stamp) -> Future[Taken]:
        """Make `entry` durable; the future is done when it is. It raises SpoolFull where there is no room."""
        request = _Request((entry, stamp), Future())
        with self._lock:
            self._waiting.append(request)
            first = len(self._waiting) == 1
        if first:
            self._submit(self._flush)
        return request.done

    def take_at_once(self, entry: Entry, stamp: Stamp) -> Taken | None:
        """As `take`, but in the caller's own thread; None, and nothing is taken, where another one is at work.

        Two changes of thread take as long as a flush of a good disk. It is for what comes alone and is waited for,
        because each has a flush of its own, and an event loop stands still for so long. Raises SpoolFull.
        """
        if not self._working.acquire(blocking=False):
            return None
        try:
            self._checkpoint_at(0)  # that can take long, and is left to the spool's own thread
            (taken,) = self._commit([(entry, stamp)])
            self._in_log += 1
        finally:
            self._working.release()
        if self._in_log >= _AT_ONCE_IN_LOG:
            self._in_log = 0
            self._submit(self._tidy_up).add_done_callback(_tell_failure)
        return taken

    def _tidy_up(self) -> None:
        with transaction(self._db):
            self._arms.write()
        self._arms.written()
        self._db.execute("PRAGMA wal_checkpoint").fetchone()

    def _flush(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        # Whoever has gone meanwhile is left out; from here on nobody can go any more.
        self._serve([request for request in waiting if request.done.set_running_or_notify_cancel()])

    def _serve(self, requests: Sequence[_Request]) -> None:
        try:
            taken = self._commit([request.brought for request in requests])
        except BaseException as error:
            if len(requests) > 1 and not isinstance(error, SpoolFull):
                for request in requests:  # one of them cannot be written; the others are not to blame
                    self._serve([request])
                return
            for request in requests:
                request.done.set_exception(error)
            return
        for request, result in zip(requests, taken, strict=True):
            request.done.set_result(result)

    def _commit(self, brought: Sequence[tuple[Entry, Stamp]]) -> list[Taken]:
        """All of it in one transaction. Raises SpoolFull, and whatever keeps an entry from being written."""
        numbers, given = dict(self._next_seq), dict[Unit, str]()
        try:
            if self.damage:
                raise SpoolFull(f"the spool is damaged ({self.damage})")
            with transaction(self._db):
                if self._is_full():
                    raise SpoolFull(
                        f"the spool holds {self.max_bytes} bytes, which is all it may; is the landing reachable?"
                    )
                taken = [self._write(entry, stamp, numbers, given) for entry, stamp in brought]
        except BaseException as error:
            self._note(error)
            if is_full(error):
                raise SpoolFull(_NO_ROOM) from None
            raise
        self._next_seq = numbers
        self._arms.given(given)
        return taken

    def _write(self, entry: Entry, stamp: Stamp, numbers: dict[str, int], given: dict[Unit, str]) -> Taken:
        """`numbers` and `given` go on with it: what holds when all is committed."""
        db, told = self._db, None
        wall_ms, monotonic_ms = _ms(stamp.wall), round(stamp.monotonic * 1000)
        delivered_ms = wall_ms if stamp.synced else _UNDATED
        rows, repeated = [], 0
        for capture in entry.captures:
            if capture.key is not None and not self._is_new(capture.key, capture.version, delivered_ms):
                repeated += 1
                continue
            body = _JSON.encode(capture.fields)
            if (unit := capture.unit) is not None:
                if (told := given.get(unit) or self._arms.told(unit)) is not None:
                    continue
                told = given[unit] = body
            seq = numbers[capture.stream]
            numbers[capture.stream] = seq + 1
            of_device = capture.recorded_at is not None
            recorded_ms = _ms(capture.recorded_at) if capture.recorded_at else wall_ms
            dated_ms = _ms(capture.dated_at) if capture.dated_at else recorded_ms
            own_times = not of_device and (capture.own_times or capture.dated_at is None)
            rows.append(
                (capture.stream, self.boot_id, seq, capture.venue_id, capture.device_id, recorded_ms,
                 monotonic_ms, stamp.clock_id, stamp.synced or of_device, dated_ms, own_times, body[1:-1],
                 None if unit is None else "/".join(unit))
            )  # fmt: skip
        db.executemany(
            "INSERT INTO records (stream, boot_id, seq, venue_id, device_id, wall_ms, monotonic_ms, clock_id, synced,"
            " dated_ms, own_times, body, unit) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        if entry.states:
            db.executemany("INSERT OR REPLACE INTO states VALUES (?, ?)", entry.states.items())
        return Taken(len(rows), repeated, Counter(row[0] for row in rows), told)

    def _is_new(self, key: str, version: str, wall_ms: int) -> bool:
        """Whether the key is delivered for the first time, or in another version than last time."""
        written = self._db.execute(
            "INSERT INTO delivered VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
            " SET version = excluded.version, wall_ms = excluded.wall_ms WHERE version <> excluded.version",
            (key, version, wall_ms),
        )
        if written.rowcount == 1:
            return True
        # Whoever repeats it still has it, and will repeat it again.
        self._db.execute(
            "UPDATE delivered SET wall_ms = ? WHERE key = ? AND wall_ms < ?", (wall_ms, key, wall_ms - _DAY_MS)
        )
        return False

    # What is remembered -----------------------------------------------------------------------------------------------

    def states(self) -> dict[str, str]:
        """The states of all devices, as they were last taken."""
        return dict(self._read("SELECT subject, state FROM states"))

    def assigned(self, experiment_id: str, unit_id: str) -> str | None:
        """What the unit was told when it asked first, as JSON; None where it never did."""
        return self._submit(lambda: self._arms.told(Unit(experiment_id, unit_id))).result()

    def forget(self, now: datetime, ended_experiments: Iterable[str] = ()) -> None:
        """Drop keys of deliveries that nobody will repeat any more, and the arms of experiments that have ended.

        `now` is of a clock that is right; deliveries under one that was not are remembered from now on.
        """

        def write() -> None:
            with transaction(self._db):
                self._db.execute("UPDATE delivered SET wall_ms = ?1 WHERE wall_ms > ?1", (_ms(now),))
                self._db.execute("DELETE FROM delivered WHERE wall_ms < ?", (_ms(now - REMEMBERED),))
                self._arms.write()
                self._db.executemany("DELETE FROM assigned WHERE experiment_id = ?", [(e,) for e in ended_experiments])
            self._arms.written()

        self._writing(write)

    def synced(self, stamp: Stamp) -> int:
        """The clock has been set right: correct the times of all records of this run of the machine that were not.

        Returns how many there were. Their wall time becomes what the monotonic clock says it was.
        """
        offset = _ms(stamp.wall) - round(stamp.monotonic * 1000)

        def write() -> int:
            with transaction(self._db):
                return self._db.execute(
                    "UPDATE records SET shift_ms = monotonic_ms + ? - wall_ms, synced = 1"
                    " WHERE synced = 0 AND clock_id = ?",
                    (offset, stamp.clock_id),
                ).rowcount

        return self._writing(write)

    # Out --------------------------------------------------------------------------------------------------------------

    def replace(self, select: Callable[[sqlite3.Connection], Sequence[Replacement]]) -> list[SealedSegment]:
        """Put segments in the place of their records, in one transaction.

        `select` reads the records table; see `seal`. Raises SpoolFull, and has changed nothing, where the disk has no
        room to work in.
        """

        def write() -> list[SealedSegment]:
            with transaction(self._db):
                self._arms.write()
                made = []
                for packing, stream, boot_id, seq_ranges in select(self._db):
                    self._db.executemany(
                        "DELETE FROM records WHERE stream = ? AND boot_id = ? AND seq BETWEEN ? AND ?",
                        [(stream, boot_id, first, last) for first, last in seq_ranges],
                    )
                    segment = packing.result()
                    self._db.execute(
                        "INSERT INTO segments (stream, event_date, name, rows, packed, manifest)"
                        " VALUES (?, ?, ?, ?, ?, ?)",
                        (segment.stream, segment.event_date, segment.name, segment.rows, segment.packed,
                         segment.manifest),
                    )  # fmt: skip
                    made.append(segment)
            self._arms.written()
            return made

        return self._writing(write)

    def segment(self, *, newest: bool = False, beside: Sequence[int] = ()) -> SealedSegment | None:
        """The oldest (or newest) segment that waits, other than those in `beside`; refused ones come last."""
        order = "DESC" if newest else "ASC"
        marks = ",".join("?" * len(beside))
        found = self._read(
            "SELECT id, stream, event_date, name, rows, packed, manifest FROM segments"
            f" WHERE id = (SELECT id FROM segments WHERE id NOT IN ({marks})"
            f" ORDER BY refused IS NOT NULL, id {order} LIMIT 1)",
            tuple(beside),
        )
        return SealedSegment(*found[0]) if found else None

    def confirmed(self, segment_id: int) -> tuple[str, int] | None:
        """The landing has the segment, byte for byte: it may go. Returns its stream and rows; None if it had gone."""

        def write() -> tuple[str, int] | None:
            with transaction(self._db):
                sql = "DELETE FROM segments WHERE id = ? RETURNING stream, rows"
                found = self._db.execute(sql, (segment_id,)).fetchall()
            self._db.execute("PRAGMA incremental_vacuum(2000)").fetchall()
            return (found[0][0], found[0][1]) if found else None

        return self._writing(write)

    def refused(self, segment_id: int, why: str) -> None:
        """The landing does not take the segment: it stays, and is told."""

        def write() -> None:
            with transaction(self._db):
                self._db.execute("UPDATE segments SET refused = ? WHERE id = ?", (why, segment_id))

        self._writing(write)

    # How it is --------------------------------------------------------------------------------------------------------

    def bytes(self) -> int:
        """What the file holds, without pages that are free again. Only to be called by who is at work."""
        return (self._pragma("page_count") - self._pragma("freelist_count")) * self._page_size

    def _is_full(self) -> bool:
        # Nearly always the pages that are free need not be known, too.
        return self._pragma("page_count") * self._page_size >= self.max_bytes and self.bytes() >= self.max_bytes

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    def check(self, seconds: float | None = None) -> str:
        """What is damaged in the file, in SQLite's words; empty where nothing is, or is found in so many seconds.

        It can end late by as much as one read takes, which a dying disk may try again for seconds.
        """

        def read() -> str:
            # A progress handler would not do: older versions do not ask it while they look at pages.
            timer = None if seconds is None else Timer(seconds, self._db.interrupt)
            try:
                if timer is not None:
                    timer.start()
                (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.DatabaseError as error:
                return str(error) if is_damage(error) else ""
            finally:
                if timer is not None:
                    timer.cancel()
                    timer.join()  # so that it interrupts nothing else
            return "" if found == "ok" else str(found)

        return self._submit(read).result()

    def depth(self) -> Depth:
        """How much waits."""

        def read() -> Depth:
            records, oldest = self._db.execute("SELECT count(*), min(wall_ms) FROM records").fetchone()
            segments, rows, refused = self._db.execute(
                "SELECT count(*), coalesce(sum(rows), 0), count(refused) FROM segments"
            ).fetchone()
            when = None if oldest is None else datetime.fromtimestamp(oldest / 1000, UTC)
            return Depth(records, segments, rows, refused, self.bytes(), when)

        return self._submit(read).result()

    def _writing(self, write: Callable[[], _T]) -> _T:
        """The result of `write`, done by the writing thread. Raises SpoolFull where the disk has no room to work in."""
        try:
            return self._submit(write).result()
        except sqlite3.OperationalError as error:
            if is_full(error):
                raise SpoolFull(_NO_ROOM) from None
            raise

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        return self._submit(lambda: self._db.execute(sql, values).fetchall()).result()

    def _checkpoint_at(self, pages: int) -> None:
        """Let a commit that leaves so many pages in the log bring them into the file; with 0 none does."""
        if pages != self._checkpoints_at:
            self._db.execute(f"PRAGMA wal_autocheckpoint={pages}")
            self._checkpoints_at = pages

    def _submit(self, work: Callable[[], _T]) -> Future[_T]:
        def alone() -> _T:
            with self._working:
                try:
                    self._checkpoint_at(LOG_PAGES)
                    return work()
                except sqlite3.DatabaseError as error:
                    self._note(error)
                    raise

        return self._writer.submit(alone)

    def _note(self, error: BaseException) -> None:
        if is_damage(error) and not self.damage:
            self.damage = str(error)


def _tell_failure(tidied_up: Future[None]) -> None:
    """Nobody waits for it, and nothing is lost: arms are written with the next segments, or those are not made."""
    if (error := tidied_up.exception()) is not None:
        _log.error("the spool's log could not be brought into its file, and is tried again: %s", error)


def _ms(instant: datetime) -> int:
    """Milliseconds since 1970."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OWN_FIELDS: Final = {stream: tuple(c.name for c in columns(stream))[7:] for stream in STREAMS}
"""The fields of each stream behind those that every record carries."""
