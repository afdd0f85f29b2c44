"""A damaged spool: moved aside, never deleted, and what can be read of it goes on in a new one.

SD cards lose sectors, and nobody stands beside a gateway. So it must not stop over it: a new spool takes every record,
segment, key and state that can be read and is whole; what cannot be read stays in the file that was moved aside, as an
alarm says for as long as that file lies there. Numbers stay what they were, so that the landing sees as gaps what is
missing. All is read by SQLite itself and by key: a page that it has given up holds records that have landed long ago.
What lies behind a hole in the write-ahead log SQLite does not read; it is only kept, as a copy of that log.

A kill at any moment is made up for at the next start: a small file beside the spool says what is under way.

What does not belong here: what a spool holds, and how its damage is noticed while it is in use (`spool`).
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from edge_collector.codecs.records import position_of
from edge_collector.contract import STREAMS, columns
from edge_collector.durable import flush_folder, write_atomically
from edge_collector.intake import KEPT_COUNTER
from edge_collector.segment import NAME_PART, Manifest, Refused, verify_segment
from edge_collector.sources.folder import FILES_FORGOTTEN
from edge_collector.spool import OWN_FIELDS, Spool, SpoolDamaged
from edge_collector.spool_file import is_damage

_log = logging.getLogger(__name__)
_CHECK_SECONDS: Final = 10.0
"""How long a start may take to look for damage; what lies further on is found when it is read."""
_TABLES: Final = ("states", "records", "assigned", "delivered", "segments")
"""In the order in which they are read: what there may be no room for comes last."""
_TRIES: Final = 2000
"""How often a table is read from the midst of what could not be read on either side."""
_SECONDS: Final = 120.0
"""And for how long: a sector that is dying can take seconds each time."""
_OF_A_PLACE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR)
"""SQLite's errors that say something of the place that is read, and nothing of others."""
_AT_ONCE: Final = 500
_ASIDE: Final = ".damaged-"
_MANY: Final = 3
_PATIENCE: Final = 300.0
"""Seconds before one more spool is moved aside where many lie: a disk that damages each is not to be filled by it."""
_RESERVE: Final = 2 * 1024**2
"""Bytes of the disk that are left to the new spool, so that it can take and ship."""
_HELD: Final = 2 * _RESERVE
"""Bytes of a file that does nothing but to hold this room while the disk still has some."""
_YEARS: Final = 2**43
"""Milliseconds before or after 1970, as no record has."""
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
        if not found and all(_state_is_whole({"subject": s, "state": state}) for s, state in spool.states().items()):
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
    with closing(_to_read(aside)) as old, closing(sqlite3.connect(new, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=MEMORY")
        db.execute("PRAGMA synchronous=OFF")  # it has no name yet, and is flushed before it gets one
        for table in _TABLES:
            reader = _Reader(old, db, table)
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


def _to_read(aside: Path) -> sqlite3.Connection:
    """The damaged file, as much of it as SQLite can be brought to read; nothing is written, nor a file beside it."""
    # Nobody else has it, so nothing need be locked, and what others would have to share can be kept in memory.
    alone = os.name == "posix"
    how = "&vfs=unix-none" if alone else ""
    old = sqlite3.connect(f"file:{quote(str(aside))}?mode=ro{how}", uri=True, isolation_level=None)
    old.text_factory = bytes  # so that one text that is none does not end the reading
    if alone:
        old.execute("PRAGMA locking_mode=EXCLUSIVE")
    old.execute("PRAGMA writable_schema=ON")  # then a file that is too short is read as far as it goes
    return old


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
        self._key_kinds = [self._described[at][2] for at in self._key_at]
        self._key_kinds = [self._described[at][2] for at in self._key_at]
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
            middle = _between(begin.key if begin else None, before, self._key_kinds)
            if middle is not None:
                unread += [(begin, middle), (_From(middle, itself=True), before)]

    def _run(self, begin: _From | None, before: Key | None, *, backwards: bool = False) -> Iterator[Row]:
        """Rows between two keys, from one end to the first that cannot be read; `_ended` says if there was none."""
        limits, values = [], list[Any]()
        behind = begin.key if begin else None
        for key, sign in ((behind, ">=" if begin and begin.itself else ">"), (before, "<")):
            if key is not None:
                # With a plus: of a value that has a type of its own SQLite compares only the first column by the key.
                marks = ", ".join("+CAST(? AS TEXT)" if isinstance(value, bytes) else "?" for value in key)
                limits.append(f"({', '.join(self._key[: len(key)])}) {sign} ({marks})")
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
        """Texts as their bytes, in whose order SQLite has them."""
        return tuple(row[at].encode() if isinstance(row[at], str) else row[at] for at in self._key_at)

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
    """Whether it can be sealed: one that cannot would keep all others from it, again and again."""
    stream, times = row["stream"], [row["wall_ms"], row["dated_ms"], row["monotonic_ms"], row["shift_ms"]]
    if stream not in STREAMS or not NAME_PART.fullmatch(row["boot_id"]):
        return False
    if not 0 <= row["seq"] < 2**53 or any(abs(time) >= _YEARS for time in times):
        return False
    try:
        body = json.loads(f"{{{row['body']}}}")
        for name in _OWN_TIMES[stream] if row["own_times"] else ():
            datetime.fromisoformat(body[name])
    except (ValueError, TypeError, KeyError):
        return False
    return set(body) <= set(OWN_FIELDS[stream])


_OWN_TIMES: Final = {
    stream: [c.name for c in columns(stream) if c.type == "TIMESTAMP" and c.name in OWN_FIELDS[stream]]
    for stream in STREAMS
}


def _segment_is_whole(row: Mapping[str, Any]) -> bool:
    try:
        manifest = Manifest.model_validate_json(row["manifest"])
        verify_segment(row["packed"], manifest)
    except (ValidationError, Refused):
        return False
    return bool(row["name"] == str(manifest.name))


class _File(BaseModel):
    found: list[int] | None
    size: int = 0
    sha256: str = ""


def _state_is_whole(row: Mapping[str, Any]) -> bool:
    """Whether they who wrote it can read it."""
    subject, state = row["subject"], row["state"]
    try:
        if subject.startswith("counter/"):
            KEPT_COUNTER.validate_json(state)
        elif subject.startswith("file/"):
            _File.model_validate_json(state)
        elif subject.startswith("log/") and state:
            position_of(state)
    except ValueError:
        return False
    return True


_WHOLE: Final[Mapping[str, Callable[[Mapping[str, Any]], bool]]] = {
    "records": _record_is_whole,
    "segments": _segment_is_whole,
    "states": _state_is_whole,
}


# The middle between two keys ------------------------------------------------------------------------------------------

_LETTERS: Final = 12
"""As many bytes of a text as its place among others is told by, behind what two have in common."""


def _between(after: Key | None, before: Key | None, kinds: Sequence[str]) -> Key | None:
    """A key, perhaps of its first columns only, between the two; None where there is none."""
    same: Key = ()
    for at, kind in enumerate(kinds):
        low = after[at] if after is not None and at < len(after) else None
        high = before[at] if before is not None and at < len(before) else None
        if low is not None and low == high:
            same += (low,)
            continue
        middle = (_middle_number if kind == "INTEGER" else _middle_text)(low, high)
        if middle is not None:
            return (*same, middle)
        if low is None:
            return None
        # Nothing lies between the two here; then behind the lower one, further on.
        same, before = (*same, low), None
    return None


def _middle_number(low: int | None, high: int | None) -> int | None:
    least = 0 if low is None else low
    middle = 2 * least + 64 if high is None else (least + high) // 2
    return middle if least < middle < 2**60 and (high is None or middle < high) else None


def _middle_text(low: bytes | None, high: bytes | None) -> bytes | None:
    least, most = low or b"", b"\x7f" * _LETTERS if high is None else high
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(least, most, strict=False)))
    size = shared + _LETTERS
    places = (int.from_bytes(text[:size].ljust(size, b"\0"), "big") for text in (least, most))
    middle = (sum(places) // 2).to_bytes(size, "big")
    return middle if least < middle < most else None
