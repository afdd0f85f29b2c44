"""Lines that are alike: what one program wrote is read by the block, as columns of bytes.

A gateway writes its lines with one program, so most lines of one length have the same values at the same places. One
line, the template, is proven by the contract's pattern. A further line that has the template's bytes outside of the
values, and inside them what the pattern allows there, is as well-formed as the template, and its values stand where the
template has them. That takes a few passes of numpy over bytes; no line is looked at by itself.

Nothing is decided against a line here. One that is like no template (of a rare shape, with an escape or a letter beyond
ASCII) is left to the way that reads lines one by one, and that says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa

from edge_collector.contract import Column, columns
from venue_assets.lake.lines import Bools, Integers, Lines
from venue_assets.tables.catalogue import ARROW_TYPES

_BLOCK_BYTES: Final = 256 * 1024
"""Bytes compared together: few enough to stay in the processor's cache."""

_LONGEST: Final = 4096
"""Bytes of a line; longer ones are rare."""

_FEWEST: Final = 64
"""Lines of one length for which a template is worth while."""

_TEMPLATES: Final = 8
"""Lines of one length that are tried as templates, from all over them: bad lines often come together."""

_TENS: Final = 10 ** np.arange(18, -1, -1, dtype=np.int64)
"""What the digits of an integer count."""

_CLOCK: Final = np.array([36 * 10**9, 36 * 10**8, *(n * 10**6 for n in (600, 60, 10, 1)), *_TENS[-6:]])
_MOST: Final = np.array([2, 9, 5, 9, 5, 9, *[9] * 6], dtype=np.uint8)
"""What the digits of hours, minutes, seconds and their fraction count in microseconds, and the highest of each."""

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Words = np.ndarray[Any, np.dtype[np.uint64]]


@lru_cache
def row_schema(stream: str) -> pa.Schema:
    """The columns of a stream's parsed lines, whichever way they were parsed: texts that repeat are dictionaries."""
    return pa.schema([(column.name, _type(column)) for column in columns(stream)])


def _type(column: Column) -> pa.DataType:
    return pa.dictionary(pa.int32(), pa.string()) if column.repeats else ARROW_TYPES[column.type]


def alike(stream: str, lines: Lines) -> Iterator[tuple[Integers, pa.Table]]:
    """Those of the lines that are like others: tables in `row_schema`, each with the positions of its lines.

    Positions ascend within a table; a line is in one table or in none.
    """
    octets = np.frombuffer(lines.content, dtype=np.uint8)
    starts, lengths = lines.offsets[:-1], np.diff(lines.offsets)
    for length in np.flatnonzero(np.bincount(lengths[lengths <= _LONGEST]) >= _FEWEST).tolist():
        left = np.flatnonzero(lengths == length)
        for trial in range(_TEMPLATES):
            if len(left) < _FEWEST:
                break
            tried = starts[left[len(left) * trial // _TEMPLATES]]
            if template := _Template.of(stream, lines.content[tried : tried + length]):
                like, rows = template.read(octets, starts[left])
                yield left[like], rows
                left = left[~like]


@dataclass(frozen=True)
class _Value:
    """One value of a template: its JSON text, and where it starts in the line."""

    column: Column
    text: str
    start: int

    @property
    def place(self) -> slice:
        """Its bytes in the line."""
        return slice(self.start, self.start + len(self.text))

    def free(self) -> Bools:
        """Which bytes of the text another line may have otherwise."""
        octets = np.frombuffer(self.text.encode(), dtype=np.uint8)
        free = (octets >= ord("0")) & (octets <= ord("9"))
        if self.text == "null" or self.column.type == "DOUBLE":
            free[:] = False
        elif self.column.type == "VARCHAR":
            free[1:-1] = True
        elif self.column.type == "TIMESTAMP":
            free[-2 if self.text.endswith('Z"') else -7 :] = False
        return free

    def read(self, texts: Bytes) -> tuple[pa.Array, Bools]:
        """What texts of the same shape say, one per row of bytes, and which of them the contract allows."""
        if self.text == "null":
            return pa.nulls(len(texts), _type(self.column)), np.ones(len(texts), dtype=bool)
        return (_repeating if self.column.repeats else _READERS[self.column.type])(self, texts)


@dataclass(frozen=True)
class _Template:
    """A line that is proven, as whole words of 64 bits, which are compared fastest."""

    values: tuple[_Value, ...]
    line: Words
    fixed: Words
    """Ones where other lines must have the same bits."""

    @classmethod
    def of(cls, stream: str, line: bytes) -> _Template | None:
        """The line as a template; None where the pattern does not prove it."""
        proven = _line_pattern(stream).fullmatch(line)
        if proven is None:
            return None
        values = tuple(
            _Value(column, proven[n].decode(), proven.start(n)) for n, column in enumerate(columns(stream), 1)
        )
        line = line.ljust(-(-len(line) // 8) * 8, b"\0")
        fixed = np.where(np.frombuffer(line, dtype=np.uint8) > 0, 255, 0).astype(np.uint8)
        for value in values:
            fixed[value.place][value.free()] = 0
        return cls(values, np.frombuffer(line, dtype=np.uint64), fixed.view(np.uint64))

    def read(self, octets: Bytes, starts: Integers) -> tuple[Bools, pa.Table]:
        """Which of the lines that start there are like this one, and what those hold."""
        like, texts = self._compare(octets, starts)
        fine = np.ones(np.count_nonzero(like), dtype=bool)
        arrays = []
        for value, own in zip(self.values, texts, strict=True):
            array, allowed = value.read(own)
            if len(array) != len(fine):
                array = array.take(pa.array(np.zeros(len(fine), dtype=np.int32)))
            fine &= allowed
            arrays.append(array)
        rows = pa.table(arrays, names=[value.column.name for value in self.values])
        if not fine.all():
            rows = rows.filter(pa.array(fine))
            like[like] = fine
        return like, rows

    def _compare(self, octets: Bytes, starts: Integers) -> tuple[Bools, list[Bytes]]:
        """Which of the lines have the bytes that they must have, and the text of each value in those.

        A value has one row of bytes per line, or a single one where all lines have the same.
        """
        windows = np.lib.stride_tricks.sliding_window_view(octets, self.line.nbytes)
        like = np.zeros(len(starts), dtype=bool)
        differing = np.zeros_like(self.line)
        texts: list[list[Bytes]] = [[] for _ in self.values]
        line = self.line.view(np.uint8)
        # The last line may have no whole window.
        size, end = _BLOCK_BYTES // self.line.nbytes, np.count_nonzero(starts < len(windows))
        for block in (slice(at, min(at + size, end)) for at in range(0, end, size)):
            lines = windows[starts[block]]
            differs = lines.view(np.uint64) ^ self.line
            anywhere = np.bitwise_or.reduce(differs, axis=0)
            like[block] = True
            if (anywhere & self.fixed).any():
                like[block] = own = np.bitwise_or.reduce(differs & self.fixed, axis=1) == 0
                lines, anywhere = lines[own], np.bitwise_or.reduce(differs[own], axis=0)
            differing |= anywhere
            varies, same = anywhere.view(np.uint8) != 0, np.broadcast_to(line, lines.shape)
            for value, parts in zip(self.values, texts, strict=True):
                parts.append(lines[:, value.place].copy() if varies[value.place].any() else same[:, value.place])
        varies = differing.view(np.uint8) != 0
        return like, [
            np.concatenate(parts) if varies[value.place].any() else line[np.newaxis, value.place]
            for value, parts in zip(self.values, texts, strict=True)
        ]


@lru_cache
def _line_pattern(stream: str) -> re.Pattern[bytes]:
    """`canonical_pattern` for a line with its line feed, with a group for each value."""
    fields = ",".join(f'"{c.name}":({c.ascii_pattern})' for c in columns(stream))
    return re.compile(rf"\{{{fields}\}}\n".encode())


@lru_cache
def _pattern(column: Column) -> re.Pattern[str]:
    """What `json_pattern` allows, without characters beyond ASCII."""
    return re.compile(column.ascii_pattern)


def _distinct(texts: Bytes) -> tuple[list[str], Integers]:
    """The different texts in order of appearance, and which of them each row is."""
    width, data = texts.shape[1], texts.tobytes()
    if data == data[:width] * len(texts):
        return [data[:width].decode("latin-1")], np.zeros(len(texts), dtype=np.int32)
    encoded = pa.Array.from_buffers(pa.binary(width), len(texts), [None, pa.py_buffer(data)]).dictionary_encode()
    return [text.decode("latin-1") for text in encoded.dictionary.to_pylist()], encoded.indices.to_numpy()


def _repeating(value: _Value, texts: Bytes) -> tuple[pa.Array, Bools]:
    different, which = _distinct(texts[:, 1:-1])
    fine = np.array([_pattern(value.column).fullmatch(f'"{text}"') is not None for text in different])
    return pa.DictionaryArray.from_arrays(pa.array(which), pa.array(different)), fine[which]


@lru_cache
def _letters(column: Column) -> bytes:
    """What a free text may consist of."""
    return bytes(c for c in range(256) if _pattern(column).fullmatch(f'"{chr(c)}"'))


def _texts(value: _Value, texts: Bytes) -> tuple[pa.Array, Bools]:
    inner = texts[:, 1:-1]
    data, letters = inner.tobytes(), _letters(value.column)
    fine = np.ones(len(inner), dtype=bool)
    if data.translate(None, delete=letters):
        fine = np.logical_and.reduce(np.isin(inner, np.frombuffer(letters, dtype=np.uint8)), axis=1)
    ends = np.arange(len(inner) + 1, dtype=np.int32) * np.int32(inner.shape[1])
    return pa.Array.from_buffers(pa.string(), len(inner), [None, pa.py_buffer(ends), pa.py_buffer(data)]), fine


def _number(digits: Bytes, weights: Integers, most: Bytes | int = 9) -> tuple[Integers, Bools]:
    """Rows of digits as numbers, given what each digit counts; and in which rows each digit is at most `most`."""
    values = digits - np.uint8(ord("0"))  # of what is no digit, too, this is more than 9
    numbers: Integers = values.astype(np.int64) @ weights
    return numbers, np.logical_and.reduce(values <= most, axis=1)


def _integers(value: _Value, texts: Bytes) -> tuple[pa.Array, Bools]:
    negative = value.text.startswith("-")
    digits = texts[:, negative:]
    numbers, fine = _number(digits, _TENS[-digits.shape[1] :])
    if len(value.text) > 1:
        fine &= digits[:, 0] != ord("0")
    return pa.array(-numbers if negative else numbers), fine


def _decimals(value: _Value, texts: Bytes) -> tuple[pa.Array, Bools]:
    places = len(value.text.strip('"').partition(".")[2])
    digits = texts[:, value.free()]
    cents, fine = _number(digits, _TENS[-digits.shape[1] :] * 10 ** (2 - places))
    cents = -cents if "-" in value.text else cents
    words = np.column_stack([cents, cents >> 63]).astype("<i8")
    return pa.Array.from_buffers(ARROW_TYPES[value.column.type], len(cents), [None, pa.py_buffer(words)]), fine


def _fractions(value: _Value, texts: Bytes) -> tuple[pa.Array, Bools]:
    return pa.array(np.full(len(texts), float(value.text))), np.ones(len(texts), dtype=bool)


def _instants(value: _Value, texts: Bytes) -> tuple[pa.Array, Bools]:
    dates, which = _distinct(texts[:, 1:11])
    # Whether there is such a day, the pattern tells, given a text that is proven but for its date.
    fine = np.array([_pattern(value.column).fullmatch(f'"{day}{value.text[11:]}') is not None for day in dates])
    days = [np.datetime64(day if known else "1970-01-01", "us") for day, known in zip(dates, fine, strict=True)]
    digits = texts[:, value.free()][:, 8:]
    size = digits.shape[1]
    time, allowed = _number(digits, _CLOCK[:size], _MOST[:size])
    allowed &= (digits[:, 0] < ord("2")) | (digits[:, 1] < ord("4"))
    offset = datetime.fromisoformat(value.text.strip('"')).utcoffset()
    instants = np.array(days)[which] + time.astype("m8[us]") - np.timedelta64(offset, "us")
    return pa.array(instants), fine[which] & allowed


_READERS: Final[Mapping[str, Callable[[_Value, Bytes], tuple[pa.Array, Bools]]]] = {
    "VARCHAR": _texts,
    "BIGINT": _integers,
    "DECIMAL(18,2)": _decimals,
    "DOUBLE": _fractions,
    "TIMESTAMP": _instants,
}
