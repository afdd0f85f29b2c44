"""What can be read of a damaged spool: the rows of a table that SQLite still gives and that are whole.

All is read by SQLite itself and by key: a page that it has given up holds records that have landed long ago.

What does not belong here: what is done with the rows, and with the damaged file (`salvage`).
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from edge_collector.codecs.records import position_of
from edge_collector.contract import STREAMS, columns
from edge_collector.intake import KEPT_COUNTER
from edge_collector.segment import NAME_PART, Manifest, Refused, verify_segment
from edge_collector.spool import OWN_FIELDS

_TRIES: Final = 2000
"""How often a table is read from the midst of what could not be read on either side."""
_SECONDS: Final = 120.0
"""And for how long: a sector that is dying can take seconds each time."""
_OF_A_PLACE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR)
"""SQLite's errors that say something of the place that is read, and nothing of others."""
_YEARS: Final = 2**43
"""Milliseconds before or after 1970, as no record has."""
_TYPES: Final[Mapping[str, type]] = {"TEXT": str, "INTEGER": int, "BLOB": bytes}
_OWN_TIMES: Final = {
    stream: [c.name for c in columns(stream) if c.type == "TIMESTAMP" and c.name in OWN_FIELDS[stream]]
    for stream in STREAMS
}
_BESIDE: Final = {"assignments": ("remark",)}
"""Fields that a record may have and readers leave out: see `assign`."""

Key = tuple[Any, ...]
Row = tuple[Any, ...]


def open_damaged(aside: Path) -> sqlite3.Connection:
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


@dataclass(frozen=True)
class _From:
    """Where reading begins: behind a key, or at the key itself."""

    key: Key
    itself: bool


class ReadableRows(Iterator[Row]):
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
        self._selected = ", ".join(_selected(old, table, self.columns))
        by_place = sorted((place, name) for _, name, _, _, _, place in self._described if place)
        self._key = [name for _, name in by_place]
        self._key_at = [self.columns.index(name) for name in self._key]
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
            for row in self._old.execute(f"SELECT {self._selected} FROM {self._table}{where} ORDER BY {order}", values):
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


def _selected(old: sqlite3.Connection, table: str, columns: Sequence[str]) -> list[str]:
    """The columns, of which an older layout may not have all."""
    try:
        known = {bytes(name).decode() for _, name, *_ in old.execute(f"PRAGMA table_info({table})")}
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        known = set()
    return [name if name in known or not known else "NULL" for name in columns]


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
    if row["unit"] is not None and "/" not in row["unit"]:
        return False
    return set(body) <= {*OWN_FIELDS[stream], *_BESIDE.get(stream, ())}


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


def state_is_whole(subject: str, state: str) -> bool:
    """Whether they who wrote it can read it."""
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
    "states": lambda row: state_is_whole(row["subject"], row["state"]),
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
