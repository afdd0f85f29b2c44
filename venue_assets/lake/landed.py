"""Reading the landing: verified segments become batches of lines, lines become judged rows of a raw table.

Lines that are alike are read by the block. Of the others, those that one regular expression proves to be well-formed go
straight to DuckDB, and the rest first through the reference parser of the contract, which makes their text canonical.
All ways end in the same typed rows, so there is one judgement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date
from functools import lru_cache
from pathlib import Path
from typing import Final

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
    count_rows,
    expect_rows,
    folder,
    manifests,
    read_manifest,
    segment_of,
    shown,
    unpack_segment,
)
from venue_assets.lake.alike import alike, row_schema
from venue_assets.lake.landing_index import is_no_folder
from venue_assets.lake.lines import Bools, Integers, Lines, line_feeds
from venue_assets.lake.store import with_dictionaries
from venue_assets.tables.catalogue import Table
from venue_assets.tables.raw.judge import judge_sql, parse_sql

_BATCH_BYTES: Final = 24 * 1024**2
"""Unpacked bytes that are judged at once: bounds memory."""

_TEXTS: Final = pa.large_string()
"""Of these an Arrow array may hold more than 2 GiB."""
_EVIDENCE_BYTES: Final = 4096
_EVIDENCE_ROWS: Final = 122_880
"""Rows whose evidence is held together: an Arrow array of texts cannot hold more than 2 GiB, thrice as much as the
bytes of these lines, should none of them be UTF-8."""


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

    def contents(self, stream: str) -> Iterator[tuple[LandedSegment, Lines]]:
        """The accepted segments of one stream with their lines, in byte order of their names."""
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
                segment = replace(segment, manifest=(manifest := read_manifest(path)))
                lines = _lines(segment.path, manifest)
            except Refused as refused:
                found.append(replace(segment, refused=refused))
                continue
            found.append(segment)
            yield segment, lines
        self._found[stream] = found


def _lines(segment: Path, manifest: Manifest) -> Lines:
    """The lines of a segment, which are as many as its manifest states. Raises Refused."""
    content = unpack_segment(segment, manifest)
    feeds = line_feeds(content)
    # Each line that `Lines` holds takes memory, so where the numbers cannot agree, there are none to be held.
    if np.count_nonzero(feeds) not in (manifest.rows, manifest.rows - 1):
        expect_rows(count_rows(content), manifest)
    lines = Lines.of(content, feeds)
    expect_rows(len(lines), manifest)
    return lines


def raw_batches(con: duckdb.DuckDBPyConnection, landing: Landing, table: Table) -> Iterator[pa.RecordBatch]:
    """The rows of a raw table, in byte order of segment name, then line.

    `con` must know `venues`, `devices` and `venue_day_spans` as seen from the date.
    """
    assert table.stream is not None
    seen = Seen()
    for segments in _batched(landing, table.stream):
        lines = Lines.joined([lines for _, lines in segments])
        of = np.repeat(np.arange(len(segments), dtype=np.int32), [len(lines) for _, lines in segments])
        rows = _parsed(con, lines, table.stream)
        rows = rows.append_column("line", pa.array(lines.numbers))
        rows = _judged(con, rows, [segment for segment, _ in segments], pa.array(of), table.stream, seen)
        yield from _with_evidence(rows, lines, table.schema)


def _batched(landing: Landing, stream: str) -> Iterator[list[tuple[LandedSegment, Lines]]]:
    """The accepted segments in order, as many at a time as fit into `_BATCH_BYTES`, but at least one."""
    pending: list[tuple[LandedSegment, Lines]] = []
    size = 0
    for segment, lines in landing.contents(stream):
        if pending and size + len(lines.content) > _BATCH_BYTES:
            yield pending
            pending, size = [], 0
        pending.append((segment, lines))
        size += len(lines.content)
    if pending:
        yield pending


def _parsed(con: duckdb.DuckDBPyConnection, lines: Lines, stream: str) -> pa.Table:
    """The lines as typed rows in their order; a line with a `problem` has no values."""
    schema = row_schema(stream)
    left = np.ones(len(lines), dtype=bool)
    tables = []
    for positions, rows in alike(stream, lines):
        left[positions] = False
        tables.append(rows.append_column("n", pa.array(positions)))
    others = np.flatnonzero(left)
    text, problems = _canonical(stream, lines.take(others))
    landed = pa.table({"n": pa.array(others), "text": text.to_arrow(compat_level=pl.CompatLevel.newest())})
    with _registered(con, landed_lines=landed):
        rest = con.sql(parse_sql(stream)).to_arrow_table()
    tables.append(rest.select(schema.names).cast(schema).append_column("n", rest["n"]))
    rows = _in_order(pa.concat_tables(tables).unify_dictionaries())
    told = others[np.fromiter(problems, dtype=np.int64)]
    return rows.append_column("problem", _sparse(len(rows), told, pa.array([*problems.values()], _TEXTS)))


def _canonical(stream: str, lines: Lines) -> tuple[pl.Series, dict[int, str]]:
    """The lines as canonical texts, null where there is a problem, and the problems by position."""
    text = lines.text()
    doubtful = (~_proven(stream, text)).arg_true().to_numpy()
    mended: list[str | None] = []
    problems: dict[int, str] = {}
    for at, line in zip(doubtful.tolist(), lines.each(doubtful), strict=True):
        try:
            mended.append(canonical(stream, line))
        except Malformed as malformed:
            mended.append(None)
            problems[at] = str(malformed)[:500]
    return (text.scatter(doubtful, pl.Series(mended, dtype=pl.String)) if mended else text), problems


def _judged(
    con: duckdb.DuckDBPyConnection,
    rows: pa.Table,
    segments: Sequence[LandedSegment],
    of: pa.Array,
    stream: str,
    seen: Seen,
) -> pa.Table:
    """The typed rows with the segment that each is `of`, and the first reason against it."""
    accepted = [segment.manifest for segment in segments]
    created = [manifest.created_at.astimezone(UTC).replace(tzinfo=None) for manifest in accepted if manifest]
    parsed = rows.append_column("repeated", pa.array(seen.again(rows)))
    parsed = parsed.append_column("created_at", pa.array(created, pa.timestamp("us")).take(of))
    place, places = _places(rows)
    with _registered(con, parsed=parsed.append_column("place", place), places=places):
        judgement = _in_order(con.sql(judge_sql(stream)).to_arrow_table())
    names = pa.array([segment.name for segment in segments], pa.string())
    rows = rows.append_column("segment", pa.DictionaryArray.from_arrays(of, names))
    for name in ("reason", "local_time"):
        rows = rows.append_column(name, judgement[name])
    return rows


def _places(rows: pa.Table) -> tuple[pa.Array, pa.Table]:
    """The place of each row as a number, and the places: each venue, device and gateway that come together."""
    names = rows.select(["venue_id", "device_id", "gateway_id"])
    mixed = np.zeros(len(rows), dtype=np.int64)
    for texts in (column.combine_chunks() for column in names.columns):
        mixed = mixed * (len(texts.dictionary) + 1) + texts.indices.fill_null(-1).to_numpy()
    encoded = pa.array(mixed).dictionary_encode()
    numbers = np.arange(len(encoded.dictionary))
    first = np.zeros_like(numbers)
    first[encoded.indices.to_numpy()[::-1]] = np.arange(len(rows))[::-1]
    return encoded.indices, names.take(pa.array(first)).append_column("place", pa.array(numbers))


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
        self._seqs: dict[int, Integers] = {}

    def again(self, rows: pa.Table) -> Bools:
        """Which rows have an identity that an earlier row had, in this table or in one before. Null ones have none."""
        again = np.zeros(len(rows), dtype=bool)
        whole = np.flatnonzero(rows["seq"].is_valid())
        boots = (self._numbers(rows["gateway_id"]) << 32 | self._numbers(rows["boot_id"]))[whole]
        seqs = rows["seq"].fill_null(0).to_numpy()[whole]
        order = np.lexsort((seqs, boots))
        boots, seqs, whole = boots[order], seqs[order], whole[order]
        for run in np.split(np.arange(len(whole)), np.flatnonzero(np.diff(boots)) + 1) if len(whole) else ():
            own, known = seqs[run], self._seqs.get(boots[run[0]], seqs[:0])
            start, end = np.searchsorted(known, own[0]), np.searchsorted(known, own[-1], side="right")
            near = known[start:end]
            repeated = np.isin(own, near)
            repeated[1:] |= own[1:] == own[:-1]
            again[whole[run]] = repeated
            near = np.sort(np.concatenate([near, own[~repeated]]), kind="stable")
            self._seqs[boots[run[0]]] = np.concatenate([known[:start], near, known[end:]])
        return again

    def _numbers(self, names: pa.ChunkedArray) -> Integers:
        encoded = names.combine_chunks().dictionary_encode()
        numbers = [self._names.setdefault(name, len(self._names)) for name in encoded.dictionary.to_pylist()]
        per_row: Integers = np.array([*numbers, 0], dtype=np.int64)[encoded.indices.fill_null(-1).to_numpy()]
        return per_row


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


def _sparse(size: int, at: Integers, values: pa.Array) -> pa.Array:
    """An array that is null except at these positions."""
    which, null = np.zeros(size, dtype=np.int64), np.ones(size, dtype=bool)
    which[at], null[at] = np.arange(len(at)), False
    return values.take(pa.array(which, mask=null))


def _with_evidence(judged: pa.Table, lines: Lines, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The judged rows with the text of those that cannot be clean, in the columns of the raw table."""
    schema = with_dictionaries(schema, judged.schema)
    for start in range(0, len(judged), _EVIDENCE_ROWS):
        rows = judged.slice(start, _EVIDENCE_ROWS)
        bad = np.flatnonzero(rows["reason"].is_valid().to_numpy())
        evidence = lines.each(start + bad)
        texts = [line[:_EVIDENCE_BYTES].decode("utf-8", "replace") for line in evidence]
        digests = [hashlib.sha256(line).hexdigest() for line in evidence]
        for name, values in (
            ("text", pa.array(texts, _TEXTS)),
            ("text_bytes", pa.array([len(line) for line in evidence], pa.int64())),
            ("text_sha256", pa.array(digests, _TEXTS)),
        ):
            rows = rows.append_column(name, _sparse(len(rows), bad, values))
        yield from rows.select(schema.names).cast(schema).to_batches()
