"""The file behind the spool: its tables, how it is opened, an older layout, transactions, and what errors say of it.

What does not belong here: what is written into the tables, and when.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edge_collector.durable import write_atomically
from edge_collector.spool.write_ahead_log import has_more

_log = logging.getLogger(__name__)
LAYOUT: Final = 3
LOG_PAGES: Final = 4000
"""At so many pages the write-ahead log is brought into the file."""
_LOG_ROOM: Final = 64 * 1024**2
"""Bytes that must be free on the disk before the log is made as long as it will get."""
_RECORDS: Final = """
CREATE TABLE records (
  stream TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  venue_id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  wall_ms INTEGER NOT NULL,           -- recorded at, by the wall clock, since 1970
  monotonic_ms INTEGER NOT NULL,      -- and by the clock that nobody sets
  clock_id TEXT NOT NULL,             -- the run of that clock: one start of the machine
  synced INTEGER NOT NULL,
  dated_ms INTEGER NOT NULL,          -- the time that counts for the event date
  own_times INTEGER NOT NULL,         -- whether the body's times are this gateway's and move with its clock
  shift_ms INTEGER NOT NULL DEFAULT 0, -- how far a later sync has moved them
  body TEXT NOT NULL,                 -- the stream's own fields, as JSON without braces
  unit TEXT,                          -- who gets an arm by it: <experiment>/<unit>
  PRIMARY KEY (stream, boot_id, seq)
) WITHOUT ROWID; -- so that what is sealed together lies together, and goes page by page
"""
SCHEMA: Final = f"""
{_RECORDS}
CREATE TABLE delivered (key TEXT PRIMARY KEY, version TEXT NOT NULL, wall_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE states (subject TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE segments (
  id INTEGER PRIMARY KEY,
  stream TEXT NOT NULL,
  event_date TEXT NOT NULL,
  name TEXT NOT NULL,
  rows INTEGER NOT NULL,
  refused TEXT,                       -- why the landing does not take it
  packed BLOB NOT NULL,
  manifest BLOB NOT NULL
);
CREATE INDEX segments_in_order ON segments (refused IS NOT NULL, id); -- so that choosing one reads no other
CREATE TABLE assigned ( -- of the records that give arms, some seconds later, and at the latest when they go
  experiment_id TEXT NOT NULL,
  unit_id TEXT NOT NULL,
  answer TEXT NOT NULL,               -- the record's own fields, as JSON
  PRIMARY KEY (experiment_id, unit_id)
) WITHOUT ROWID;
"""
_OF_RECORDS: Final = (
    "stream, boot_id, seq, venue_id, device_id, wall_ms, monotonic_ms, clock_id, synced, dated_ms, own_times, shift_ms,"
    " body"
)
FROM_LAYOUT_1: Final = f"""
ALTER TABLE records RENAME TO records_1;
{_RECORDS}
INSERT INTO records ({_OF_RECORDS}) SELECT {_OF_RECORDS} FROM records_1;
DROP TABLE records_1;
"""
"""In layout 1 records lay in the order of capture."""
FROM_LAYOUT_2: Final = "ALTER TABLE records ADD COLUMN unit TEXT;"
"""In layout 2 an arm was written into `assigned` together with its record: twice as many pages to flush."""
_FROM: Final = {1: FROM_LAYOUT_1, 2: FROM_LAYOUT_2}
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_UNREADABLE: Final = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)


class SpoolProblem(RuntimeError):
    """The spool cannot be used at all. The message says what to do."""


class SpoolDamaged(SpoolProblem):
    """The file cannot be read, or only in parts; `salvage` knows what to do."""


def open_file(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """The file at `path`, made where there is none, for this process alone; and a copy of its write-ahead log, where
    SQLite found a hole in it and takes nothing from behind it.

    No commit brings the log into the file, until the caller says at how many pages. Raises SpoolProblem.
    """
    if not path.exists() or not path.stat().st_size:
        if size_of(_log_path(path)):  # SQLite would delete it, and all that is only there
            raise SpoolDamaged(f"{path} is damaged (it is empty, and its write-ahead log is not)")
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # what SQLite puts beside it is so, too
    try:
        db = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise SpoolProblem(f"{path} cannot be opened: {error}") from None
    try:
        _prepare(db, path)
        kept = _keep_log(db, path)
        _stretch_log(db, path)
        return db, kept
    except BaseException:
        db.close()
        raise


def _log_path(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    try:
        # Another process that writes would give the same numbers to other records: only one may have the file.
        # Said before the file is read, it also spares the file of shared memory, for which a full disk has no room.
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        if db.execute("PRAGMA page_count").fetchone() == (0,):
            db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before anything is written; later it writes each time
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA wal_autocheckpoint=0")  # the log is looked at before any of it is written over
        db.execute("PRAGMA secure_delete=FAST")  # some builds overwrite what is deleted, at the price of writing it
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={LAYOUT}; COMMIT")
        elif version in _FROM:
            db.executescript(f"BEGIN IMMEDIATE; {_FROM[version]} PRAGMA user_version={LAYOUT}; COMMIT")
        elif version != LAYOUT:
            raise SpoolProblem(f"{path} has layout {version}; this edge-collector reads {LAYOUT}")
        db.execute("BEGIN IMMEDIATE")
        db.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise SpoolProblem(f"{path} is in use by another edge-collector; stop that one first") from None
        if is_damage(error):
            raise SpoolDamaged(f"{path} is damaged ({error})") from None
        raise SpoolProblem(f"{path} cannot be opened: {error}") from None
    except sqlite3.DatabaseError as error:
        raise SpoolDamaged(f"{path} is damaged ({error})") from None


def _keep_log(db: sqlite3.Connection, path: Path) -> Path | None:
    """Copy a write-ahead log with a hole in it before anything is written behind the hole."""
    try:
        if not size_of(_log_path(path)):
            return None
        _, frames, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        (page_size,) = db.execute("PRAGMA page_size").fetchone()
        if has_more(_log_path(path), max(frames, 0), page_size):
            kept = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}.log")
            write_atomically(kept, _log_path(path).read_bytes(), mode=0o600)
            return kept
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise SpoolDamaged(f"{path} is damaged ({error})") from None
        _log.warning("the write-ahead log of %s was not examined: %s", path, error)
    except OSError as error:
        _log.error("the write-ahead log of %s could not be examined or kept: %s", path, error)
    return None


def _stretch_log(db: sqlite3.Connection, path: Path) -> None:
    """Make the log as long as it will get: a commit that makes its file grow takes twice as long to flush."""
    if shutil.disk_usage(path.parent).free < _LOG_ROOM:
        return
    (page_size,) = db.execute("PRAGMA page_size").fetchone()
    try:
        # What is too much for memory goes into the log before it is taken back.
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE stretch (room BLOB)")
        db.execute("INSERT INTO stretch VALUES (zeroblob(?))", (LOG_PAGES * page_size,))
        db.execute("ROLLBACK")
        # The round ends here: in the next one nobody takes those pages for a transaction that was flushed.
        db.execute(f"PRAGMA user_version={LAYOUT}")
        db.execute("PRAGMA wal_checkpoint").fetchone()
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise SpoolDamaged(f"{path} is damaged ({error})") from None
        if db.in_transaction:
            db.execute("ROLLBACK")
        _log.warning("the write-ahead log of %s is as long as it was: %s", path, error)


class transaction:
    """BEGIN IMMEDIATE ... COMMIT, or ROLLBACK where something is raised."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            try:
                self._db.execute("COMMIT")
                return
            except sqlite3.Error:
                self._roll_back()
                raise
        self._roll_back()

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def is_damage(error: BaseException) -> bool:
    """Whether it says that the file itself cannot be read, and not that something was asked wrongly."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF in _DAMAGE or code in _UNREADABLE)


def is_full(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "is full" in str(error)


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
