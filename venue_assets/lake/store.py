"""The store: one Parquet file per table and event date, replaced whole, with its provenance in the footer.

    lake/<table>/event_date=YYYY-MM-DD/part-0.parquet      the partition
    lake/<table>/event_date=YYYY-MM-DD/failure.json        why its last computation failed, if it did

Nothing else knows these paths. A file holds no time stamp and no run id: the same rows are the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from edge_collector.durable import flush_file, flush_folder, write_atomically

_PART = "part-0.parquet"
_FAILURE = "failure.json"
_FOOTER_KEY = b"venue_assets"
_ROW_GROUP = 122_880
_DICTIONARY = 64 * 1024
"""Bytes of different texts after which a column goes on without a dictionary: they hardly repeat."""
_TAIL = 8
"""What ends a Parquet file: four bytes with the length of the footer, and four that say Parquet."""
_PIECE = 256 * 1024
"""Bytes that are read at a time: few enough to stay in the processor's cache."""
_SAMPLE = 100
"""Rows that tell whether a column of texts is worth compressing."""


@dataclass(frozen=True)
class Provenance:
    """What a partition is and what it was made of.

    `content` is the SHA-256 of its data pages, `code` that of the table's definition, `inputs` maps each input
    partition or reference to its content at computation.
    """

    content: str
    code: str
    inputs: Mapping[str, str]
    rows: int


@dataclass(frozen=True)
class Failure:
    """Why the last computation of a partition failed."""

    error: str
    run_id: str


@dataclass(frozen=True)
class Draft:
    """A partition that is written but not yet in its place; `nulls` tells how many there are in each column."""

    path: Path
    provenance: Provenance
    nulls: Mapping[str, int]


def _sweep(folder: Path) -> None:
    """Delete the drafts of processes that are gone: they were killed while they wrote."""
    for draft in folder.glob(f".{_PART}.*"):
        pid = draft.suffix.removeprefix(".")
        if pid.isdecimal() and not _is_alive(int(pid)):
            draft.unlink(missing_ok=True)


def _stamp(path: str) -> list[int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 (of thousands of files: a string costs less)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # nobody can be asked without harm; a draft there is only room on the disk
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _content(path: Path, size: int) -> str:
    """The SHA-256 of the first `size` bytes of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size and (piece := file.read(min(size, _PIECE))):
            digest.update(piece)
            size -= len(piece)
    return digest.hexdigest()


@dataclass(frozen=True)
class Lake:
    """The partitions below one folder."""

    root: Path

    def path(self, table: str, day: date) -> Path:
        """Where the partition lies, or would lie."""
        return Path(self.root, table, f"event_date={day}", _PART)

    def glob(self, table: str) -> str:
        """All partitions of a table, in DuckDB's pattern syntax."""
        return str(self.root / table / "event_date=*" / _PART)

    def dates(self, table: str) -> list[date]:
        """The event dates that have a partition, ascending."""
        return [day for day, folder in self._folders(table) if Path(folder, _PART).is_file()]

    def stamps(self, table: str) -> dict[date, list[int]]:
        """The stamp of each partition of a table."""
        found = {day: _stamp(f"{folder}/{_PART}") for day, folder in self._folders(table)}
        return {day: stamp for day, stamp in found.items() if stamp}

    def stamp(self, table: str, day: date) -> list[int] | None:
        """Size, time and number of a partition's file: what tells it from one that replaced it."""
        return _stamp(str(self.path(table, day)))

    def _folders(self, table: str) -> Iterator[tuple[date, str]]:
        try:
            entries = sorted(os.scandir(self.root / table), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            if self.root.is_dir():  # a file where the table's folder would be
                return
            raise
        for entry in entries:
            try:
                day = date.fromisoformat(entry.name.removeprefix("event_date="))
            except ValueError:
                continue
            if entry.name == f"event_date={day.isoformat()}":
                yield day, entry.path

    @contextmanager
    def draft(
        self,
        table: str,
        day: date,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        *,
        code: str,
        inputs: Mapping[str, str],
    ) -> Iterator[Draft]:
        """Write rows beside the partition; on leaving the context the draft is gone unless it was `put`.

        Texts may come as dictionaries, which costs less to write; in the file they are plain texts. A column comes as
        dictionaries in all batches or in none.
        """
        folder = self.path(table, day).parent
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{_PART}.{os.getpid()}"
        rows, nulls = 0, dict.fromkeys(schema.names, 0)
        try:
            groups = _row_groups(schema, batches)
            first = next(groups)
            with (
                pa.OSFile(str(beside), "wb") as sink,
                pq.ParquetWriter(sink, first.schema, **_encoding(schema, first)) as writer,
            ):
                groups = chain([first], groups)
                del first  # not to be held while the others are written
                for group in groups:
                    rows += group.num_rows
                    for name in nulls:
                        nulls[name] += group[name].null_count
                    writer.write_table(group, row_group_size=_ROW_GROUP)
                provenance = Provenance(_content(beside, sink.tell()), code, dict(sorted(inputs.items())), rows)
                writer.add_key_value_metadata(
                    {
                        "ARROW:schema": base64.b64encode(schema.serialize()).decode(),
                        _FOOTER_KEY.decode(): json.dumps(asdict(provenance), sort_keys=True),
                    }
                )
            flush_file(beside)
            yield Draft(beside, provenance, nulls)
        finally:
            beside.unlink(missing_ok=True)

    def put(self, table: str, day: date, draft: Draft) -> None:
        """Make a draft the partition, atomically, and forget an earlier failure."""
        target = self.path(table, day)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)  # nothing of ours: no file can be renamed over a folder
        draft.path.replace(target)
        (target.parent / _FAILURE).unlink(missing_ok=True)
        _sweep(target.parent)
        flush_folder(target.parent)

    def provenance(self, table: str, day: date) -> Provenance | None:
        """The provenance of a partition, None where there is none that can be read."""
        try:
            metadata = pq.read_metadata(self.path(table, day)).metadata
            return Provenance(**json.loads(metadata[_FOOTER_KEY]))
        except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
            return None

    def damage(self, table: str, day: date) -> str:
        """What is wrong with the bytes of a partition, all of which are read; nothing where they are as written.

        Rows are covered by the hash in the footer, the footer by having to be readable.
        """
        provenance, path = self.provenance(table, day), self.path(table, day)
        if provenance is None:
            return "its footer cannot be read"
        with path.open("rb") as file:
            file.seek(-_TAIL, os.SEEK_END)
            footer_and_tail = int.from_bytes(file.read(4), "little") + _TAIL
            pages = file.tell() + 4 - footer_and_tail
        return "" if _content(path, pages) == provenance.content else "its bytes are not those that were written"

    def first_damaged(self, partitions: Iterable[tuple[str, date]]) -> tuple[str, date] | None:
        """The first of these partitions that is there and has other bytes than were written. All of them are read."""
        return next(((name, day) for name, day in partitions if self.stamp(name, day) and self.damage(name, day)), None)

    def fail(self, table: str, day: date, failure: Failure) -> None:
        """Note that a computation failed. The partition, if there is one, stays as it was."""
        folder = self.path(table, day).parent
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / _FAILURE, json.dumps(asdict(failure), indent=1).encode())

    def failure(self, table: str, day: date) -> Failure | None:
        """Why the last computation failed, None where it did not."""
        try:
            content = (self.path(table, day).parent / _FAILURE).read_bytes()
        except OSError:
            return None
        try:
            found: Any = json.loads(content)
            return Failure(str(found["error"]) or "unknown", str(found["run_id"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return Failure(f"its {_FAILURE} cannot be read; compute the date again: venue materialize {day}", "")

    def failures(self, table: str) -> dict[date, Failure]:
        """All noted failures of a table."""
        found = ((day, self.failure(table, day)) for day, _ in self._folders(table))
        return {day: failure for day, failure in found if failure}

    def named_in(self, error: str) -> tuple[str, date] | None:
        """Table and event date of the partition whose file an error names."""
        found = re.search(re.escape(str(self.root)) + r"/(\w+)/event_date=(\d{4}-\d\d-\d\d)/", error)
        return (found[1], date.fromisoformat(found[2])) if found else None

    def remove(self, table: str, day: date) -> None:
        """Forget a partition altogether. Raises OSError where it cannot be taken away."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.path(table, day).parent)


def _encoding(schema: pa.Schema, first: pa.Table) -> dict[str, Any]:
    """Cheap to write and to read: texts by dictionary while they repeat, numbers and times by difference.

    Texts are compressed where that saves something in the `first` rows: with the digits of a hash it does not. The
    least and greatest value are told of numbers and times only: those of texts take long to find, and nobody looks for
    a range of them.
    """
    texts = [f.name for f in schema if pa.types.is_string(f.type)]
    random = [name for name in texts if not _shrinks(first[name])]
    whole = [f.name for f in schema if pa.types.is_integer(f.type) or pa.types.is_timestamp(f.type)]
    return {
        "compression": {f.name: "none" if f.name in random else "lz4" for f in schema},
        "store_schema": False,  # of dictionaries nothing is told, for they need not come as such
        "data_page_version": "1.0",
        "use_dictionary": texts,
        "dictionary_pagesize_limit": _DICTIONARY,
        "column_encoding": dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
        "write_statistics": [f.name for f in schema if f.name not in texts],
    }


def _shrinks(texts: pa.ChunkedArray) -> bool:
    """Whether compression takes away a quarter of some of the texts, or there is nothing to tell by."""
    sample = "".join(text for text in texts.slice(0, _SAMPLE).to_pylist() if text).encode()
    return len(pa.compress(sample, codec="lz4_raw", asbytes=True)) <= 0.75 * len(sample) if sample else True


def _row_groups(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows in groups of a fixed size, each in one piece: how rows arrive must not show in the file's bytes."""
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        schema = with_dictionaries(schema, batch.schema)
        pending.append(batch)
        while sum(b.num_rows for b in pending) >= _ROW_GROUP:
            table = pa.Table.from_batches(pending, schema)
            yield _in_one_piece(table.slice(0, _ROW_GROUP))
            pending = table.slice(_ROW_GROUP).to_batches()
    yield _in_one_piece(pa.Table.from_batches(pending, schema))


def with_dictionaries(schema: pa.Schema, given: pa.Schema) -> pa.Schema:
    """The schema, but with dictionaries for the texts that are given as such."""
    dictionaries = {field.name: field.type for field in given if pa.types.is_dictionary(field.type)}
    return pa.schema([f.with_type(dictionaries.get(f.name, f.type)) for f in schema])


def _in_one_piece(group: pa.Table) -> pa.Table:
    """The rows without seams; a dictionary holds what its rows hold and nothing else, in the order in which they do."""
    group = group.combine_chunks()
    for at, field in enumerate(group.schema):
        if pa.types.is_dictionary(field.type) and group.num_rows:
            column = group.column(at).chunk(0)
            if len(column.dictionary) > 1 or column.null_count == len(column):
                met = column.indices.dictionary_encode()
                column = pa.DictionaryArray.from_arrays(met.indices, column.dictionary.take(met.dictionary))
                group = group.set_column(at, field, column)
    return group
