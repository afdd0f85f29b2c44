"""A damaged spool: moved aside, never deleted, and what can be read of it goes on in a new one.

SD cards lose sectors, and nobody stands beside a gateway. So it must not stop over it: a new spool takes every record,
segment, key and state that can be read and is whole; what cannot be read stays in the file that was moved aside, as an
alarm says for as long as that file lies there. Numbers stay what they were, so that the landing sees as gaps what is
missing. All is read by SQLite itself and by key: a page that it has given up holds records that have landed long ago.

A kill at any moment is made up for at the next start: a small file beside the spool says what is under way.

What does not belong here: what a spool holds, and how its damage is noticed while it is in use (`spool`).
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pydantic import ValidationError

from edge_collector.contract import STREAMS
from edge_collector.durable import flush_folder, write_atomically
from edge_collector.segment import Manifest, Refused, verify_segment
from edge_collector.spool import Spool, SpoolDamaged

_log = logging.getLogger(__name__)
_CHECK_SECONDS: Final = 10.0
"""How long a start may take to look for damage; what lies further on is found when it is read."""
_TABLES: Final = ("records", "states", "assigned", "delivered", "segments")
"""In the order in which they are read: what there may be no room for comes last."""
_TRIES: Final = 2000
"""How often a table is read from the midst of what could not be read on either side."""
_SECONDS: Final = 120.0
"""And for how long: a sector that is dying can take seconds each time."""
_OF_A_PLACE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR)
"""SQLite's errors that say something of the place that is read, and nothing of others."""
_AT_ONCE: Final = 500
_ASIDE: Final = ".damaged-"
_TYPES: Final[Mapping[str, type]] = {"TEXT": str, "INTEGER": int, "BLOB": bytes}

Key = tuple[Any, ...]
Row = tuple[Any, ...]


@dataclass
class Salvaged:
    """What became of a damaged spool. `read` is by table; `damaged` names those of which something cannot be read."""

    aside: Path
    read: dict[str, int] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    no_room: bool = False

    def __str__(self) -> str:
        read = ", ".join(f"{n} {table}" for table, n in self.read.items() if n)
        lost = f"something of {', '.join(self.damaged)} cannot be read" if self.damaged else "nothing is missing"
        room = "; there was no room for all of it" if self.no_room else ""
        return f"the spool was damaged: {read or 'nothing'} was saved, {lost}{room}; {_kept(self.aside)}"


def open_spool(
    path: Path, *, gateway_id: str, boot_id: str, max_bytes: int, now: datetime, suspect: bool = False
) -> tuple[Spool, Salvaged | None]:
    """The spool at `path`; where that is damaged, or `suspect`, a new one with what could be saved of it.

    Raises SpoolProblem, OSError.
    """
    opened = partial(Spool, path, gateway_id=gateway_id, boot_id=boot_id, max_bytes=max_bytes)
    make = partial(_make_empty, gateway_id, max_bytes)
    salvaged = _carry_on(path, make)
    if salvaged is None and not suspect:
        try:
            spool = opened()
        except SpoolDamaged as problem:
            damage = str(problem)
        else:
            if not (damage := spool.check(_CHECK_SECONDS)):
                return spool, None
            spool.close()
        _log.error("%s is damaged (%s); it is moved aside", path, damage)
    if salvaged is None:
        write_atomically(_marker(path), _name_aside(path, now).encode())
        salvaged = _carry_on(path, make)
    if salvaged is not None:
        _log.error("%s", salvaged)
    return opened(), salvaged


def lying_aside(path: Path) -> str:
    """What somebody has to see to, of damaged spools that lie beside the one at `path`; empty where there is none."""
    found = path.parent.glob(f"{path.name}{_ASIDE}*")
    names = [other.name for other in found if not other.name.endswith(("-wal", "-shm"))]
    return f"the spool was damaged; {_kept(path.with_name(min(names)))}" if names else ""


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


def _carry_on(path: Path, make: Callable[[Path], None]) -> Salvaged | None:
    """Do what the marker says is under way, from wherever it has come to; None where nothing is."""
    marker = _marker(path)
    try:
        aside = path.with_name(marker.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    salvaged = None
    if not (aside.exists() and path.exists()):
        for suffix in ("", "-wal"):  # what is in the write-ahead log belongs to it
            old, kept = path.with_name(path.name + suffix), aside.with_name(aside.name + suffix)
            if old.exists() and not kept.exists():
                old.rename(kept)
        flush_folder(path.parent)
        new = path.with_name(f"{path.name}.new")
        for left in (new, new.with_name(f"{new.name}-wal"), new.with_name(f"{new.name}-journal")):
            left.unlink(missing_ok=True)
        make(new)
        salvaged = _copy(aside, new)
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        new.rename(path)
        flush_folder(path.parent)
    marker.unlink()
    flush_folder(path.parent)
    return salvaged


def _copy(aside: Path, new: Path) -> Salvaged:
    salvaged = Salvaged(aside)
    with (
        closing(sqlite3.connect(f"file:{quote(str(aside))}?mode=ro", uri=True, isolation_level=None)) as old,
        closing(sqlite3.connect(new, isolation_level=None)) as db,
    ):
        old.text_factory = bytes  # so that one text that is none does not end the reading
        db.execute("PRAGMA journal_mode=MEMORY")
        db.execute("PRAGMA synchronous=OFF")  # it has no name yet, and is flushed before it gets one
        for table in _TABLES:
            reader = _Reader(old, db, table)
            salvaged.read[table] = 0
            try:
                for rows in _batches(reader):
                    _insert(db, table, reader.columns, rows)
                    salvaged.read[table] += len(rows)
            except sqlite3.OperationalError as error:
                if "is full" not in str(error):
                    raise
                salvaged.no_room = True
            if reader.damaged:
                salvaged.damaged.append(table)
        db.execute("PRAGMA synchronous=FULL")
    with suppress(OSError):  # these came of reading it
        aside.with_name(f"{aside.name}-shm").unlink(missing_ok=True)
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


def _insert(db: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    marks = ", ".join("?" * len(columns))
    db.execute("BEGIN")
    try:
        db.executemany(f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


@dataclass(frozen=True)
class _From:
    """Where reading begins: behind a key, or at the key itself."""

    key: Key
    itself: bool


class _Reader(Iterator[Row]):
    """The rows of a table that can be read and are whole; `damaged` says afterwards whether others cannot.

    It is read from its beginning on, and from its end back, each to the first place that cannot be read; then so from
    the middle of what lies between the two, and so forth.
    """

    def __init__(self, old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> None:
        self.damaged = False
        self._old, self._table = old, table
        # As the new file has it: of the old one not even this much may be readable.
        self._described = new.execute(f"PRAGMA table_info({table})").fetchall()
        self.columns = [name for _, name, *_ in self._described]
        by_place = sorted((place, name) for _, name, _, _, _, place in self._described if place)
        self._key = [name for _, name in by_place]
        self._key_at = [self.columns.index(name) for name in self._key]
        self._is_whole = _WHOLE.get(table)
        self._rows = self._all()

    def __next__(self) -> Row:
        return next(self._rows)

    def _all(self) -> Iterator[Row]:
        unread: deque[tuple[_From | None, Key | None]] = deque([(None, None)])
        tries, ends = 0, time.monotonic() + _SECONDS
        while unread and tries < _TRIES and not (tries and time.monotonic() > ends):
            begin, before = unread.popleft()
            tries += 1
            for row in self._run(begin, before):
                begin = _From(self._key_of(row), itself=False)
                yield row
            if self._ended:
                continue
            for row in self._run(begin, before, backwards=True):
                before = self._key_of(row)
                yield row
            if self._ended:
                continue
            middle = _between(begin.key if begin else None, before, len(self._key))
            if middle is not None:
                unread += [(begin, middle), (_From(middle, itself=True), before)]

    def _run(self, begin: _From | None, before: Key | None, *, backwards: bool = False) -> Iterator[Row]:
        """Rows between two keys, from one end to the first that cannot be read; `_ended` says if there was none."""
        limits, values = [], list[Any]()
        behind = begin.key if begin else None
        for key, sign in ((behind, ">=" if begin and begin.itself else ">"), (before, "<")):
            if key is not None:
                limits.append(f"({', '.join(self._key[: len(key)])}) {sign} ({', '.join('?' * len(key))})")
                values += key
        where = f" WHERE {' AND '.join(limits)}" if limits else ""
        order = ", ".join(f"{name} {'DESC' if backwards else 'ASC'}" for name in self._key)
        self._ended = False
        last = before if backwards else behind
        try:
            for row in self._old.execute(
                f"SELECT {', '.join(self.columns)} FROM {self._table}{where} ORDER BY {order}", values
            ):
                if (read := self._whole(row)) is None:
                    self.damaged = True
                    continue
                key = self._key_of(read)
                if last is not None and (key > last if backwards else key < last):
                    self.damaged = True  # a page that was not written in time: it tells of other keys
                    return
                last = key
                yield read
            self._ended = True
        except sqlite3.DatabaseError as error:
            self.damaged = True
            # What no other part of the table will answer either.
            self._ended = error.sqlite_errorcode & 0xFF not in _OF_A_PLACE

    def _key_of(self, row: Row) -> Key:
        return tuple(row[at] for at in self._key_at)

    def _whole(self, row: Row) -> Row | None:
        """The row with its texts decoded; None where it is not as rows of this table are."""
        values = []
        for value, (_, _, kind, not_null, _, place) in zip(row, self._described, strict=True):
            if value is None:
                if not_null or place:
                    return None
            elif kind == "TEXT":
                try:
                    value = str(value, "utf-8")
                except (UnicodeDecodeError, TypeError):
                    return None
            elif not isinstance(value, _TYPES[kind]):
                return None
            values.append(value)
        whole = tuple(values)
        fits = self._is_whole is None or self._is_whole(dict(zip(self.columns, whole, strict=True)))
        return whole if fits else None


def _record_is_whole(row: Mapping[str, Any]) -> bool:
    try:
        return isinstance(json.loads(f"{{{row['body']}}}"), dict) and row["stream"] in STREAMS
    except ValueError:
        return False


def _segment_is_whole(row: Mapping[str, Any]) -> bool:
    try:
        manifest = Manifest.model_validate_json(row["manifest"])
        verify_segment(row["packed"], manifest)
    except (ValidationError, Refused):
        return False
    return bool(row["name"] == str(manifest.name))


def _state_is_whole(row: Mapping[str, Any]) -> bool:
    subject, state = row["subject"], row["state"]
    if not subject.startswith(("counter/", "file/")):
        return True
    try:
        return isinstance(json.loads(state), dict)
    except ValueError:
        return False


_WHOLE: Final[Mapping[str, Callable[[Mapping[str, Any]], bool]]] = {
    "records": _record_is_whole,
    "segments": _segment_is_whole,
    "states": _state_is_whole,
}


# The middle between two keys ------------------------------------------------------------------------------------------

_LETTERS: Final = 12
"""As many characters of a text as its place among others is told by."""


def _between(after: Key | None, before: Key | None, length: int) -> Key | None:
    """A key, perhaps of its first columns only, between the two; None where there is none."""
    same: Key = ()
    for at in range(length):
        low = after[at] if after is not None and at < len(after) else None
        high = before[at] if before is not None and at < len(before) else None
        if low is not None and low == high:
            same += (low,)
            continue
        number = isinstance(low, int) or isinstance(high, int)
        middle = _middle_number(low, high) if number else _middle_text(low, high)
        if middle is None and low is not None:
            # Nothing lies between the two here; then behind the lower one, further on.
            same, before = (*same, low), None
            continue
        return None if middle is None else (*same, middle)
    return None


def _middle_number(low: int | None, high: int | None) -> int | None:
    if high is None:
        return 2 * low + 64 if low is not None and low < 2**60 else None
    middle = ((0 if low is None else low) + high) // 2
    return middle if (low is None or middle > low) and middle < high else None


def _middle_text(low: str | None, high: str | None) -> str | None:
    shared = _shared(low or "", high or "")
    least = _place((low or "")[len(shared) :])
    most = _place(high[len(shared) :]) if high is not None else 128**_LETTERS - 1
    middle = (least + most) // 2
    return shared + _text(middle) if least < middle < most else None


def _shared(one: str, other: str) -> str:
    """What two texts begin with."""
    length = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _place(text: str) -> int:
    place = 0
    for letter in text[:_LETTERS].ljust(_LETTERS, "\0"):
        place = place * 128 + min(ord(letter), 127)
    return place


def _text(place: int) -> str:
    letters = []
    for _ in range(_LETTERS):
        place, letter = divmod(place, 128)
        letters.append(chr(letter))
    return "".join(reversed(letters))
