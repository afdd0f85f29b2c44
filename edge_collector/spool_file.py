"""The file behind the spool: its tables, the way from an older layout, transactions, and what errors say of it.

What does not belong here: what is written into the tables, and when.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

LAYOUT: Final = 2
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
CREATE TABLE assigned (
  experiment_id TEXT NOT NULL,
  unit_id TEXT NOT NULL,
  answer TEXT NOT NULL,
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
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_UNREADABLE: Final = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)


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
