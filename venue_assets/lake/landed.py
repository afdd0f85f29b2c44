"""Reading the landing: verified segments become batches of lines, lines become judged rows of a raw table.

Lines that one regular expression proves to be well-formed go straight to DuckDB; every other line goes through the
reference parser of the contract. Both ways end in the same canonical text, so there is one judgement.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from edge_collector.contract import (
    MAX_LINE_BYTES,
    STREAMS,
    Malformed,
    canonical,
    canonical_pattern,
)
from edge_collector.segment import (
    MANIFEST_SUFFIX,
    SEGMENT_SUFFIX,
    Manifest,
    Refused,
    folder,
    manifests,
    read_manifest,
    read_segment,
    segment_of,
    shown,
)
from venue_assets.lake.landing_index import is_no_folder
from venue_assets.tables.catalogue import Table
from venue_assets.tables.raw.judge import judge_sql, parse_sql

_BATCH_BYTES: Final = 48 * 1024**2
"""Unpacked bytes that are judged at once: bounds memory."""

_EVIDENCE_BYTES: Final = 4096

IntArray = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class LandedSegment:
    """A committed segment as found: its manifest, or why it was refused."""

    stream: str
    name: str
    path: Path
    manifest: Manifest | None
    refused: Refused | None

    @property
    def rows(self) -> int:
        """Landed rows: none in a refused segment."""
        return self.manifest.rows if self.manifest and not self.refused else 0


class Landing:
    """The landed segments of one event date. Each is read and verified once, and remembered as accepted or refused."""

    def __init__(self, root: Path, day: date) -> None:
        self.root, self.day = root, day
        self._found: dict[str, list[LandedSegment]] = {}

    def segments(self) -> list[LandedSegment]:
        """All committed segments of the date, verified, in order of stream and name."""
        return [segment for stream in STREAMS for segment in self._stream(stream)]

    def _stream(self, stream: str) -> list[LandedSegment]:
        if stream not in self._found:
            for _ in self.contents(stream):
                pass
        return self._found[stream]

    def contents(self, stream: str) -> Iterator[tuple[LandedSegment, bytes]]:
        """The accepted segments of one stream with their unpacked bytes, in byte order of their names."""
        found: list[LandedSegment] = []
        try:
            paths = manifests(self.root, stream, self.day)
        except OSError as error:
            if not is_no_folder(error):
                raise  # what cannot be read today landed all the same
            place = folder(self.root, stream, self.day)
            refused = Refused("folder", f"{shown(str(place))} cannot be listed ({error.strerror})")
            found.append(LandedSegment(stream, place.name, place, None, refused))
            paths = []
        for path in paths:
            name = shown(path.name.removesuffix(MANIFEST_SUFFIX) + SEGMENT_SUFFIX)
            segment = LandedSegment(stream, name, segment_of(path), None, None)
            try:
                segment = replace(segment, manifest=read_manifest(path))
                assert segment.manifest is not None
                content = read_segment(segment.path, segment.manifest)
            except Refused as refused:
                found.append(replace(segment, refused=refused))
                continue
            found.append(segment)
            yield segment, content
        self._found[stream] = found


def raw_batches(con: duckdb.DuckDBPyConnection, landing: Landing, table: Table) -> Iterator[pa.RecordBatch]:
    """The rows of a raw table, in byte order of segment name, then line.

    `con` must know `venues`, `devices` and `venue_day_spans` as seen from the date.
    """
    assert table.stream is not None
    seen = Seen()
    for lines in _batched(landing, table.stream):
        yield from _with_evidence(_judged(con, lines, table.stream, seen), lines, table.schema)


def _judged(con: duckdb.DuckDBPyConnection, lines: _Lines, stream: str, seen: Seen) -> pa.Table:
    """The lines of a batch as typed rows, each with the first reason against it, in the order of the lines."""
    with _registered(con, landed_lines=lines.table.select(["n", "text"])):
        parsed = _in_order(con.sql(parse_sql(stream)).to_arrow_table())
    parsed = parsed.append_column("problem", lines.table["problem"])
    parsed = parsed.append_column("repeated", pa.array(seen.again(parsed)))
    with _registered(con, parsed=parsed.append_column("created_at", lines.table["created_at"])):
        judgement = _in_order(con.sql(judge_sql(stream)).to_arrow_table())
    for name, source in (
        ("segment", lines.table),
        ("line", lines.table),
        ("reason", judgement),
        ("local_time", judgement),
    ):
        parsed = parsed.append_column(name, source[name])
    return parsed


@contextmanager
def _registered(con: duckdb.DuckDBPyConnection, **relations: pa.Table) -> Iterator[None]:
    for name, relation in relations.items():
        con.register(name, relation)
    try:
        yield
    finally:
        for name in relations:
            con.unregister(name)


def _in_order(rows: pa.Table) -> pa.Table:
    """One row for each n from 0, in order: what SQL does not promise about joins, positions rely on."""
    n = rows["n"].to_numpy()
    if bool((n == np.arange(len(n))).all()):
        return rows
    return rows.take(pa.array(np.argsort(n, kind="stable")))


class Seen:
    """The identities that lines of one stream and date have had so far: (gateway_id, boot_id, seq)."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._seqs: dict[int, IntArray] = {}

    def again(self, rows: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which rows have an identity that an earlier row had, in this table or in one before. Null ones have none."""
        again = np.zeros(len(rows), dtype=bool)
        whole = np.flatnonzero(rows["seq"].is_valid())
        boots = (self._numbers(rows["gateway_id"]) << 32 | self._numbers(rows["boot_id"]))[whole]
        seqs = rows["seq"].fill_null(0).to_numpy()[whole]
        order = np.lexsort((seqs, boots))
        boots, seqs, whole = boots[order], seqs[order], whole[order]
        for run in np.split(np.arange(len(whole)), np.flatnonzero(np.diff(boots)) + 1) if len(whole) else ():
            own, known = seqs[run], self._seqs.get(boots[run[0]], seqs[:0])
            repeated = np.isin(own, known)
            repeated[1:] |= own[1:] == own[:-1]
            again[whole[run]] = repeated
            self._seqs[boots[run[0]]] = np.sort(np.concatenate([known, own[~repeated]]), kind="stable")
        return again

    def _numbers(self, names: pa.ChunkedArray) -> IntArray:
        encoded = names.combine_chunks().dictionary_encode()
        numbers = [self._names.setdefault(name, len(self._names)) for name in encoded.dictionary.to_pylist()]
        per_row: IntArray = np.array([*numbers, 0], dtype=np.int64)[encoded.indices.fill_null(-1).to_numpy()]
        return per_row


@dataclass(frozen=True)
class _Lines:
    """A batch of landed lines: as a table for the judgement, and as bytes for the evidence."""

    table: pa.Table
    raw: pl.Series


def _batched(landing: Landing, stream: str) -> Iterator[_Lines]:
    pending: list[tuple[LandedSegment, bytes]] = []
    size = 0
    for segment, content in landing.contents(stream):
        if pending and size + len(content) > _BATCH_BYTES:
            yield _lines(stream, pending)
            pending, size = [], 0
        pending.append((segment, content))
        size += len(content)
    if pending:
        yield _lines(stream, pending)


@lru_cache
def _proof(stream: str, *, ascii_only: bool) -> str:
    # Lines keep their line feed; it is cheaper to allow for it than to cut it off two million times.
    return canonical_pattern(stream, ascii_only=ascii_only).removesuffix("$") + r"\n?$"


def _proven(stream: str, text: pl.Series) -> pl.Series:
    """Which lines one regular expression shows to be well-formed."""
    proven = text.str.contains(_proof(stream, ascii_only=True)).fill_null(False)
    if not proven.all():
        others = (~proven).arg_true()
        found = text.gather(others).str.contains(_proof(stream, ascii_only=False)).fill_null(False)
        proven = proven.scatter(others, found)
    return proven & (text.str.len_bytes() <= MAX_LINE_BYTES)


def _lines(stream: str, segments: list[tuple[LandedSegment, bytes]]) -> _Lines:
    split = [_split(content) for _, content in segments]
    raw = pl.concat([part[0] for part in split])
    text = pl.concat([part[1] for part in split])
    numbers = np.concatenate([part[2] for part in split])
    doubtful = (~_proven(stream, text)).arg_true().to_numpy()
    problems: dict[int, str] = {}
    mended: list[str | None] = []
    for at, line in zip(doubtful.tolist(), raw.gather(doubtful), strict=True):
        try:
            mended.append(canonical(stream, line.removesuffix(b"\n")))
        except Malformed as malformed:
            mended.append(None)
            problems[at] = str(malformed)[:500]
    if len(doubtful):
        text = text.scatter(doubtful, pl.Series(mended, dtype=pl.String))
    of = pa.array(np.repeat(np.arange(len(segments), dtype=np.int32), [len(part[0]) for part in split]))
    names = pa.array([segment.name for segment, _ in segments], pa.string())
    accepted = [segment.manifest for segment, _ in segments]
    created = [manifest.created_at.astimezone(UTC).replace(tzinfo=None) for manifest in accepted if manifest]
    table = pa.table(
        {
            "n": pa.array(np.arange(len(text), dtype=np.int64)),
            "segment": pa.DictionaryArray.from_arrays(of, names),
            "line": pa.array(numbers),
            "text": text.to_arrow(compat_level=pl.CompatLevel.newest()),
            "problem": _sparse(len(text), problems, pa.string()),
            "created_at": pa.array(created, pa.timestamp("us")).take(of),
        }
    )
    return _Lines(table, raw)


def _sparse(size: int, values: Mapping[int, Any], kind: pa.DataType) -> pa.Array:
    """An array that is null except at the positions of `values`."""
    at = np.full(size, -1, dtype=np.int64)
    at[list(values)] = np.arange(len(values))
    return pa.array(list(values.values()), kind).take(pa.array(at, mask=at < 0))


def _split(content: bytes) -> tuple[pl.Series, pl.Series, np.ndarray[Any, Any]]:
    """The non-empty lines, each with its line feed, and their numbers from 1.

    Given as bytes, and as text that is null where a line is not UTF-8. Both are views of `content`.
    """
    offsets = _line_offsets(content)
    numbers = np.arange(1, len(offsets), dtype=np.int64)
    if bool((content[:1] == b"\n") or (np.diff(offsets) == 1).any()):
        content, numbers = _without_blank_lines(content)
        offsets = _line_offsets(content)
    buffers = [pa.py_buffer(offsets), pa.py_buffer(content)]
    raw = pa.Array.from_buffers(pa.large_binary(), len(numbers), [None, *buffers])
    valid = None
    if not content.isascii():
        valid = pa.py_buffer(np.packbits(_is_utf8(content, offsets), bitorder="little"))
    text = pa.Array.from_buffers(pa.large_string(), len(numbers), [valid, *buffers])
    return pl.Series("raw", raw), pl.Series("text", text), numbers


def _line_offsets(content: bytes) -> np.ndarray[Any, Any]:
    """Where each line starts, and the end."""
    ends = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == 0x0A).astype(np.int64) + 1
    if content and not content.endswith(b"\n"):
        ends = np.append(ends, len(content))
    return np.concatenate([np.zeros(1, dtype=np.int64), ends])


def _without_blank_lines(content: bytes) -> tuple[bytes, np.ndarray[Any, Any]]:
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


def _is_utf8(content: bytes, offsets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which lines are UTF-8. Only those with a byte beyond ASCII have to be tried."""
    octets = np.frombuffer(content, dtype=np.uint8)
    valid = np.ones(len(offsets) - 1, dtype=bool)
    for at in np.unique(np.searchsorted(offsets, np.flatnonzero(octets >= 0x80), side="right") - 1):
        try:
            content[offsets[at] : offsets[at + 1]].decode()
        except UnicodeDecodeError:
            valid[at] = False
    return valid


def _with_evidence(judged: pa.Table, lines: _Lines, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The judged rows with the text of those that cannot be clean, in the columns of the raw table."""
    bad = np.flatnonzero(judged["reason"].is_valid().to_numpy())
    evidence = [line.removesuffix(b"\n") for line in lines.raw.gather(bad)]
    for name, kind, values in (
        ("text", pa.string(), [line[:_EVIDENCE_BYTES].decode("utf-8", "replace") for line in evidence]),
        ("text_bytes", pa.int64(), [len(line) for line in evidence]),
        ("text_sha256", pa.string(), [hashlib.sha256(line).hexdigest() for line in evidence]),
    ):
        judged = judged.append_column(name, _sparse(len(judged), dict(zip(bad.tolist(), values, strict=True)), kind))
    yield from judged.select(schema.names).cast(schema).to_batches()
