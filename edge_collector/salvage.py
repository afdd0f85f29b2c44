"""A damaged spool: moved aside, never deleted, and what can be read of it goes on in a new one.

SD cards lose sectors, and nobody stands beside a gateway. So it must not stop over it: a new spool takes every record,
segment, key and state that can be read and is whole; what cannot be read stays in the file that was moved aside, as an
alarm says for as long as that file lies there. Numbers stay what they were, so that the landing sees as gaps what is
missing. What lies behind a hole in the write-ahead log SQLite does not read; it is only kept, as a copy of that log.

A kill at any moment is made up for at the next start: a small file beside the spool says what is under way.

What does not belong here: what a spool holds, and how its damage is noticed while it is in use (`spool`); how what can
be read is found (`damaged_file`).
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from edge_collector.damaged_file import ReadableRows, Row, open_damaged, state_is_whole
from edge_collector.durable import flush_folder, write_atomically
from edge_collector.sources.folder import FILES_FORGOTTEN
from edge_collector.spool import Spool, SpoolDamaged
from edge_collector.spool.file import is_damage

_log = logging.getLogger(__name__)
_CHECK_SECONDS: Final = 10.0
"""How long a start may take to look for damage; what lies further on is found when it is read."""
_TABLES: Final = ("states", "records", "assigned", "delivered", "segments")
"""In the order in which they are read: what there may be no room for comes last."""
_AT_ONCE: Final = 500
_ASIDE: Final = ".damaged-"
_MANY: Final = 3
_PATIENCE: Final = 300.0
"""Seconds before one more spool is moved aside where many lie: a disk that damages each is not to be filled by it."""
_RESERVE: Final = 2 * 1024**2
"""Bytes of the disk that are left to the new spool, so that it can take and ship."""
_HELD: Final = 2 * _RESERVE
"""Bytes of a file that does nothing but to hold this room while the disk still has some."""


@dataclass
class Salvaged:
    """What became of a damaged spool. `read` is by table; `damaged` names those of which something cannot be read."""

    aside: Path
    read: dict[str, int] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    no_room: bool = False
    files_forgotten: bool = False

    def __str__(self) -> str:
        read = ", ".join(f"{n} {table}" for table, n in self.read.items() if n)
        lost = "nothing is missing"
        if self.damaged:
            lost = f"something of {', '.join(self.damaged)} cannot be read"
        elif self.no_room:
            lost = "what was read is whole"
        if self.no_room:
            lost += "; there was no room for all of it"
        if self.files_forgotten:
            lost += "; visits in files that lay in watched folders then are taken as read"
        return f"the spool was damaged: {read or 'nothing'} was saved, {lost}; {_kept(self.aside)}"


@dataclass
class LogKept(Salvaged):
    """Something was lost from the midst of the write-ahead log, and with it all that lay behind; the spool is whole."""

    def __str__(self) -> str:
        return f"a part of the spool's write-ahead log was lost, with the records behind it; {_kept(self.aside)}"


def open_spool(
    path: Path, *, gateway_id: str, boot_id: str, max_bytes: int, now: datetime, suspect: bool = False
) -> tuple[Spool, Salvaged | None]:
    """The spool at `path`; where that is damaged, or `suspect`, a new one with what could be saved of it.

    Raises SpoolProblem, OSError.
    """
    opened = partial(Spool, path, gateway_id=gateway_id, boot_id=boot_id, max_bytes=max_bytes)
    make = partial(_make_empty, gateway_id, max_bytes)
    _mind_room(path)
    salvaged = _carry_on(path, make, now)
    if salvaged is None:
        damage = "found while it was used" if suspect else ""
        if not suspect:
            spool, damage = _whole(opened)
            if spool is not None:
                if spool.kept_log is not None:
                    salvaged = LogKept(spool.kept_log, damaged=["the write-ahead log"])
                    _log.error("%s", salvaged)
                return spool, salvaged
        _log.error("%s is damaged (%s); it is moved aside", path, damage)
        if sum(not other.name.endswith("-wal") for other in _aside(path)) >= _MANY:
            time.sleep(_PATIENCE)
        if not path.exists():
            path.touch()  # beside a write-ahead log of its name
        write_atomically(_marker(path), _name_aside(path, now).encode())
        salvaged = _carry_on(path, make, now)
    _log.error("%s", salvaged)
    return opened(), salvaged


def _whole(opened: Callable[[], Spool]) -> tuple[Spool | None, str]:
    """The spool if no damage is found in it; else what was found."""
    try:
        spool = opened()
    except SpoolDamaged as problem:
        return None, str(problem)
    damage = "a state that nobody can have written"
    try:
        found = spool.check(_CHECK_SECONDS)
        # States are read at every start: whatever is wrong with them would end each.
        if not found and all(state_is_whole(s, state) for s, state in spool.states().items()):
            return spool, ""
        damage = found or damage
    except sqlite3.DatabaseError as error:
        if not is_damage(error) and "decode" not in str(error):
            spool.close()
            raise
        damage = str(error)
    with suppress(sqlite3.DatabaseError):
        spool.close()
    return None, damage


# Room -----------------------------------------------------------------------------------------------------------------


def _free(path: Path) -> int:
    return shutil.disk_usage(path.parent).free


def _mind_room(path: Path) -> None:
    """Hold some while there is much, and give it away when there is none.

    On a full disk not even what has landed could be deleted: SQLite writes before it deletes.
    """
    if not path.parent.exists():
        return
    free, held = _free(path), path.with_name(f"{path.name}.room")
    if free < _RESERVE:
        held.unlink(missing_ok=True)
    elif free > 4 * _HELD and not held.exists():
        with suppress(OSError):
            write_atomically(held, bytes(_HELD), mode=0o600)


# Moving aside ---------------------------------------------------------------------------------------------------------


def lying_aside(path: Path) -> str:
    """What somebody has to see to, of damaged spools that lie beside the one at `path`; empty where there is none."""
    found = _aside(path)
    return f"the spool was damaged; {_kept(found[0])}" if found else ""


def _aside(path: Path) -> list[Path]:
    return sorted(o for o in path.parent.glob(f"{path.name}{_ASIDE}*") if not o.name.endswith("-shm"))


def _kept(aside: Path) -> str:
    return (
        f"what cannot be read is in {aside}: the disk is dying, replace it; this ends when the file is moved elsewhere"
    )


def _marker(path: Path) -> Path:
    return path.with_name(f"{path.name}.salvage")


def _name_aside(path: Path, now: datetime) -> str:
    name = f"{path.name}{_ASIDE}{now:%Y%m%dT%H%M%S}"
    taken = sum(other.name.startswith(name) for other in path.parent.iterdir())
    return f"{name}.{taken}" if taken else name


def _make_empty(gateway_id: str, max_bytes: int, path: Path) -> None:
    Spool(path, gateway_id=gateway_id, boot_id="salvage", max_bytes=max_bytes).close()


def _carry_on(path: Path, make: Callable[[Path], None], now: datetime) -> Salvaged | None:
    """Do what the marker says is under way, from wherever it has come to; None where nothing is."""
    marker = _marker(path)
    try:
        aside = path.with_name(marker.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    salvaged = None
    taken_away = not aside.exists() and not path.exists()
    if not taken_away and not (aside.exists() and path.exists()):
        for suffix in ("", "-wal"):  # what is in the write-ahead log belongs to it
            old, kept = path.with_name(path.name + suffix), aside.with_name(aside.name + suffix)
            if old.exists() and not kept.exists():
                old.rename(kept)
        flush_folder(path.parent)
        new = path.with_name(f"{path.name}.new")
        for left in (new, new.with_name(f"{new.name}-wal"), new.with_name(f"{new.name}-journal")):
            left.unlink(missing_ok=True)
        make(new)
        salvaged = _copy(aside, new, now)
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        new.rename(path)
        flush_folder(path.parent)
    marker.unlink()
    flush_folder(path.parent)
    return salvaged


def _copy(aside: Path, new: Path, now: datetime) -> Salvaged:
    salvaged = Salvaged(aside)
    if not aside.stat().st_size and aside.with_name(f"{aside.name}-wal").exists():
        aside.write_bytes(bytes(4096))  # of an empty file SQLite deletes the write-ahead log unread
    with closing(open_damaged(aside)) as old, closing(sqlite3.connect(new, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=MEMORY")
        db.execute("PRAGMA synchronous=OFF")  # it has no name yet, and is flushed before it gets one
        for table in _TABLES:
            reader = ReadableRows(old, db, table)
            salvaged.read[table] = 0
            for rows in _batches(reader):
                if not (room := _free(new) > _RESERVE and _insert(db, table, reader.columns, rows)):
                    break
                salvaged.read[table] += len(rows)
            else:
                room = True
            salvaged.no_room |= not room
            if reader.damaged:
                salvaged.damaged.append(table)
            if table == "states" and (reader.damaged or not room):
                salvaged.files_forgotten = True
                with suppress(sqlite3.OperationalError):  # no room even for that
                    at = f"{int(now.timestamp())}000000000"
                    db.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (FILES_FORGOTTEN, at))
        db.execute("PRAGMA synchronous=FULL")
    with suppress(OSError):
        if (log := aside.with_name(f"{aside.name}-wal")).stat().st_size == 0:
            log.unlink()
    return salvaged


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(value) for value in row if isinstance(value, bytes))
        if len(batch) == _AT_ONCE or size > 1024**2:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _insert(db: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Row]) -> bool:
    """Whether there was room for them."""
    marks = ", ".join("?" * len(columns))
    db.execute("BEGIN")
    try:
        db.executemany(f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
        db.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if "is full" not in str(error):
            raise
        return False
    return True
