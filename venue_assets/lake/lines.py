"""Landed lines as bytes: where each of them starts, without an object for any of them."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

Integers = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Lines:
    """Non-empty lines, one after the other."""

    content: bytes
    offsets: Integers
    """Where each line starts, with its line feed, and where the last one ends."""
    numbers: Integers
    """Of each line the number in its segment, from 1."""

    @classmethod
    def of(cls, content: bytes, feeds: Bools | None = None) -> Lines:
        """The non-empty lines of a segment's unpacked bytes; `feeds` are its `line_feeds`, where these are known."""
        feeds = line_feeds(content) if feeds is None else feeds
        # Where more than every other byte ends a line, some are empty, and where they are is more than can be kept.
        if content[:1] != b"\n" and 2 * np.count_nonzero(feeds) <= len(content):
            offsets = _offsets(content, feeds)
            if not (np.diff(offsets) == 1).any():
                return cls(content, offsets, np.arange(1, len(offsets), dtype=np.int64))
        content, numbers = _without_blank_lines(content)
        return cls(content, _offsets(content, line_feeds(content)), numbers)

    @classmethod
    def joined(cls, parts: Sequence[Lines]) -> Lines:
        """The lines of all parts. The last line of a part may lack its line feed."""
        ends = np.cumsum([0, *(len(part.content) for part in parts)])
        offsets = [part.offsets[:-1] + end for part, end in zip(parts, ends[:-1], strict=True)]
        content = b"".join(part.content for part in parts)
        return cls(content, np.concatenate([*offsets, ends[-1:]]), np.concatenate([part.numbers for part in parts]))

    def __len__(self) -> int:
        return len(self.numbers)

    def each(self, positions: Integers) -> list[bytes]:
        """The lines at these positions, without line feeds."""
        places = zip(self.offsets[positions].tolist(), self.offsets[positions + 1].tolist(), strict=True)
        return [self.content[start:end].removesuffix(b"\n") for start, end in places]

    def take(self, positions: Integers) -> Lines:
        """The lines at these positions."""
        if len(positions) == len(self):
            return self
        content = b"\n".join([*self.each(positions), b""])
        return Lines(content, _offsets(content, line_feeds(content)), self.numbers[positions])

    def text(self) -> pl.Series:
        """The lines, each with its line feed; null where a line is not UTF-8."""
        valid = None
        if not self.content.isascii():
            valid = pa.py_buffer(np.packbits(self._is_utf8(), bitorder="little"))
        buffers = [valid, pa.py_buffer(self.offsets), pa.py_buffer(self.content)]
        return pl.Series("text", pa.Array.from_buffers(pa.large_string(), len(self), buffers))

    def _is_utf8(self) -> Bools:
        """Which lines are UTF-8. Only those with a byte beyond ASCII have to be tried."""
        octets = np.frombuffer(self.content, dtype=np.uint8)
        valid = np.ones(len(self), dtype=bool)
        beyond = np.unique(np.searchsorted(self.offsets, np.flatnonzero(octets >= 0x80), side="right") - 1)
        for at, line in zip(beyond.tolist(), self.each(beyond), strict=True):
            try:
                line.decode()
            except UnicodeDecodeError:
                valid[at] = False
        return valid


def line_feeds(content: bytes) -> Bools:
    """Which of the bytes end a line."""
    feeds: Bools = np.frombuffer(content, dtype=np.uint8) == 0x0A
    return feeds


def _offsets(content: bytes, feeds: Bools) -> Integers:
    """Where each line starts, and the end."""
    ends = np.flatnonzero(feeds).astype(np.int64, copy=False) + 1
    if content and not content.endswith(b"\n"):
        ends = np.append(ends, len(content))
    return np.concatenate([np.zeros(1, dtype=np.int64), ends])


def _without_blank_lines(content: bytes) -> tuple[bytes, Integers]:
    """The non-empty lines and their numbers. Millions of empty ones must not cost memory."""
    lines: list[bytes] = []
    numbers = array("q")
    number, at = 1, 0
    for match in re.finditer(rb"[^\n]+", content):
        number += content.count(b"\n", at, match.start())
        at = match.start()
        numbers.append(number)
        lines.append(match[0] + b"\n")
    return b"".join(lines), np.frombuffer(numbers.tobytes(), dtype=np.int64)
