"""Reading the landing: verified segments become batches of lines, lines become judged rows of a raw table.

Lines that one regular expression proves to be well-formed go straight to DuckDB; every other line goes through the
reference parser of the contract. Both ways end in the same canonical text, so there is one judgement.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator
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
from venue_assets.tables.catalogue import Table
from venue_assets.tables.raw.judge import judge_sql

_BATCH_BYTES: Final = 96 * 1024**2
"""Unpacked bytes that are judged at once: bounds memory, and a usual day is one batch."""

_EVIDENCE_BYTES: Final = 4096


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
    con.execute("CREATE OR REPLACE TEMP TABLE seen (gateway_id VARCHAR, boot_id VARCHAR, seq BIGINT)")
    first = True
    for lines in _batched(landing, table.stream):
        con.register("landed_lines", lines.table)
        judged = con.sql(judge_sql(table.stream)).to_arrow_table()
        con.unregister("landed_lines")
        yield from _with_evidence(judged, lines, table.schema)
        if lines.more:
            con.register("judged", judged.select(["gateway_id", "boot_id", "seq", "problem"]))
            con.execute(
                "INSERT INTO seen SELECT DISTINCT gateway_id, boot_id, seq FROM judged WHERE problem IS NULL"
                + ("" if first else " EXCEPT SELECT * FROM seen")
            )
            con.unregister("judged")
            first = False
    con.execute("DROP TABLE seen")


@dataclass(frozen=True)
class _Lines:
    """A batch of landed lines: as a table for the judgement, and as bytes for the evidence."""

    table: pa.Table
    raw: pl.Series
    more: bool


def _batched(landing: Landing, stream: str) -> Iterator[_Lines]:
    pending: list[tuple[LandedSegment, bytes]] = []
    size = 0
    for segment, content in landing.contents(stream):
        if pending and size + len(content) > _BATCH_BYTES:
            yield _lines(stream, pending, more=True)
            pending, size = [], 0
        pending.append((segment, content))
        size += len(content)
    if pending:
        yield _lines(stream, pending, more=False)


@lru_cache
def _proof(stream: str) -> str:
    # Lines keep their line feed; it is cheaper to allow for it than to cut it off two million times.
    return canonical_pattern(stream).removesuffix("$") + r"\n?$"


def _lines(stream: str, segments: list[tuple[LandedSegment, bytes]], *, more: bool) -> _Lines:
    accepted = [segment.manifest for segment, _ in segments]
    split = [_split(content) for _, content in segments]
    raw = pl.concat([part[0] for part in split], rechunk=True)
    text = pl.concat([part[1] for part in split], rechunk=True)
    numbers = np.concatenate([part[2] for part in split])
    proven = text.str.contains(_proof(stream)).fill_null(False) & (raw.bin.size() <= MAX_LINE_BYTES)
    doubtful = (~proven).arg_true().to_numpy()
    problem = np.full(len(raw), None, dtype=object)
    mended: list[str | None] = []
    for at in doubtful:
        try:
            mended.append(canonical(stream, bytes(raw[int(at)]).removesuffix(b"\n")))
        except Malformed as malformed:
            mended.append(None)
            problem[at] = str(malformed)[:500]
    if len(doubtful):
        text = text.scatter(doubtful, pl.Series(mended, dtype=pl.String))
    of = pa.array(np.repeat(np.arange(len(segments), dtype=np.int32), [len(part[0]) for part in split]))
    names = pa.array([segment.name for segment, _ in segments], pa.string())
    created = [manifest.created_at.astimezone(UTC).replace(tzinfo=None) for manifest in accepted if manifest]
    table = pa.table(
        {
            "n": pa.array(np.arange(len(raw), dtype=np.int64)),
            "segment": pa.DictionaryArray.from_arrays(of, names),
            "line": pa.array(numbers),
            "text": text.to_arrow(compat_level=pl.CompatLevel.newest()),
            "problem": pa.array(problem, pa.string()),
            "created_at": pa.array(created, pa.timestamp("us")).take(of),
        }
    )
    return _Lines(table, raw, more)


def _split(content: bytes) -> tuple[pl.Series, pl.Series, np.ndarray[Any, Any]]:
    """The non-empty lines, each with its line feed, and their numbers from 1.

    Given as bytes, and as text that is null where a line is not UTF-8.
    """
    numbers = None
    if content.startswith(b"\n") or b"\n\n" in content:
        content, numbers = _without_blank_lines(content)
    octets = np.frombuffer(content, dtype=np.uint8)
    ends = np.flatnonzero(octets == 0x0A).astype(np.int64) + 1
    if content and not content.endswith(b"\n"):
        ends = np.append(ends, len(content))
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), ends])
    buffers = [pa.py_buffer(offsets.tobytes()), pa.py_buffer(content)]
    raw = pa.Array.from_buffers(pa.large_binary(), len(ends), [None, *buffers])
    valid = np.packbits(_is_utf8(octets, offsets), bitorder="little")
    text = pa.Array.from_buffers(pa.large_string(), len(ends), [pa.py_buffer(valid.tobytes()), *buffers])
    if numbers is None:
        numbers = np.arange(1, len(offsets), dtype=np.int64)
    return pl.Series("raw", raw), pl.Series("text", text), numbers


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


def _is_utf8(octets: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which lines are UTF-8. Only those with a byte beyond ASCII have to be tried."""
    valid = np.ones(len(offsets) - 1, dtype=bool)
    for at in np.unique(np.searchsorted(offsets, np.flatnonzero(octets >= 0x80), side="right") - 1):
        try:
            octets[offsets[at] : offsets[at + 1]].tobytes().decode()
        except UnicodeDecodeError:
            valid[at] = False
    return valid


def _with_evidence(judged: pa.Table, lines: _Lines, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The judged rows with the text of those that cannot be clean, in the columns of the raw table."""
    n = judged["n"].to_numpy()
    if len(n) > 1 and not bool((np.diff(n) > 0).all()):
        judged = judged.take(pa.array(np.argsort(n, kind="stable")))
        n = judged["n"].to_numpy()
    text, size, digest = ([None] * len(n) for _ in range(3))
    bad = np.flatnonzero(judged["reason"].is_valid().to_numpy())
    for at in bad:
        line = bytes(lines.raw[int(n[at])]).removesuffix(b"\n")
        text[at] = line[:_EVIDENCE_BYTES].decode("utf-8", "replace")  # type: ignore[call-overload]
        size[at] = len(line)  # type: ignore[call-overload]
        digest[at] = hashlib.sha256(line).hexdigest()  # type: ignore[call-overload]
    full = judged
    for name, values, kind in (
        ("text", text, pa.string()),
        ("text_bytes", size, pa.int64()),
        ("text_sha256", digest, pa.string()),
    ):
        full = full.append_column(name, pa.array(values, kind))
    yield from full.select(schema.names).cast(schema).to_batches()
