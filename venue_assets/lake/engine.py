"""The engine: computes one table for one event date with DuckDB over the lake, checks it and puts it in its place.

Knows tables, dates and DuckDB; knows nothing of Dagster.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from edge_collector.contract import STREAMS
from venue_assets.home import Home
from venue_assets.lake.freshness import GONE, Freshness
from venue_assets.lake.landed import Landing, raw_batches
from venue_assets.lake.landing_index import LandingIndex
from venue_assets.lake.store import Draft, Failure, Lake
from venue_assets.tables.catalogue import Catalogue, Check, Table, Window
from venue_assets.tables.references import REFERENCES

_BATCH: Final = 122_880
"""Rows that DuckDB hands over at a time: as many as it holds together, so that no batch is cut in two."""

CONTRACT: Final = Check(
    description="Columns have the types of the contract, what must be there is not null, and the key is unique.",
    sql="",
    blocking=True,
)


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check, with the figures that it rests on."""

    name: str
    passed: bool
    blocking: bool
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Computed:
    """One table computed for one date."""

    table: Table
    day: date
    rows: int
    seconds: float
    content: str
    checks: Sequence[CheckResult]
    picture: str | None = None
    """The rows as SVG, where the table has a picture."""


class BlockingCheckFailed(RuntimeError):
    """A table that may not be used: the partition was left as it was."""

    def __init__(self, table: Table, day: date, failed: Sequence[CheckResult], checks: Sequence[CheckResult]) -> None:
        self.checks = checks
        what = "; ".join(f"{c.name}: {_figures(c.figures)}" for c in failed)
        super().__init__(
            f"{table.name} of {day}: blocking check failed ({what}); the earlier partition was left as it was"
        )


class InputMissing(RuntimeError):
    """A table that this one reads has no partition for the date."""


class SegmentsGone(RuntimeError):
    """What a table was made of is not in the landing any more; computed without, its figures would be lost."""


class InputDamaged(RuntimeError):
    """A partition that this table reads has bytes that cannot be read."""


def is_interrupt(error: Exception) -> bool:
    """Whether somebody stopped the process: DuckDB catches the signal, and tells it as an error of its query."""
    return "Query interrupted" in str(error)


def damage_met(error: Exception, lake: Lake, read: Iterable[tuple[str, date]]) -> str:
    """Which partition of those `read` DuckDB found damaged, and what to do, in one sentence; nothing where none was.

    Of some damage DuckDB names the file, of some only what it stumbled over: then the bytes are held to their hashes.
    """
    if not isinstance(error, duckdb.Error):
        return ""
    if not (damaged := lake.named_in(str(error)) or lake.first_damaged(read)):
        return ""
    name, day = damaged
    said = str(error).partition("\n")[0]
    return f"{name} of {day} cannot be read ({said}); compute it again: venue materialize {day} --select '{name}+'"


class Engine:
    """Computes tables of the catalogue over one home. One engine serves one run: it remembers what it has read."""

    def __init__(self, home: Home, catalogue: Catalogue, con: duckdb.DuckDBPyConnection, index: LandingIndex) -> None:
        self.catalogue = catalogue
        self._freshness = Freshness(home, catalogue, index)
        self._lake = self._freshness.lake
        self._home = home
        self._con = con
        self._landings: dict[date, Landing] = {}
        con.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true; SET enable_progress_bar = false")

    def compute(self, table: Table, day: date, *, run_id: str = "") -> Computed:
        """Compute one partition, check it and put it in its place.

        Raises what went wrong after noting it in the lake; the earlier partition, if any, then stays as it was.
        SegmentsGone is not noted: once they are back, the partition is as good as it was.
        """
        started = time.perf_counter()
        # Of the raw layer all tables tell what landed; one of another stream would not fit to the earlier ones either.
        if table.layer == "raw" and (lost := self._freshness.gone(day)):
            raise SegmentsGone(
                f"{GONE.format(', '.join(lost))}; bring them back, or, if they were taken back: "
                f"venue materialize {day} --withdraw"
            )
        try:
            with self._inputs(table, day):
                inputs = self._freshness.inputs(table, day)
                with self._lake.draft(
                    table.name, day, table.schema, self._batches(table, day), code=table.code, inputs=inputs
                ) as draft:
                    checks = self._checks(table, day, draft)
                    if failed := [c for c in checks if c.blocking and not c.passed]:
                        raise BlockingCheckFailed(table, day, failed, checks)
                    picture = self._picture(table, draft)
                    self._expect_landed(table, day)
                    self._lake.put(table.name, day, draft)
                    self._freshness.forget(table.name, day)
        except SegmentsGone:
            raise
        except Exception as met:
            if is_interrupt(met):
                raise KeyboardInterrupt from None
            error = self._explained(met, table, day)
            # Where even the note cannot be written (a full disk), the error itself is what has to be told.
            with suppress(OSError):
                self._lake.fail(table.name, day, Failure(f"{type(error).__name__}: {error}", run_id))
            if error is not met:
                raise error from met
            raise
        made = draft.provenance
        return Computed(table, day, made.rows, time.perf_counter() - started, made.content, checks, picture)

    def _expect_landed(self, table: Table, day: date) -> None:
        """Raises SegmentsGone where a stream that was there when the run began vanished before it was read."""
        streams = () if not table.is_landed else (table.stream,) if table.stream else STREAMS
        for stream in streams:
            entries = self._freshness.index.entries.get((stream, day), ())
            if entries and not any(os.path.lexists(entry.path) for entry in entries):
                raise SegmentsGone(f"{entries[0].folder} vanished while it was read; look whether its disk is there")

    def _explained(self, error: Exception, table: Table, day: date) -> Exception:
        """The error; where DuckDB met the damaged file of a partition, one that says which and what to do."""
        windows = self.catalogue.lake_inputs(table).items()
        read = ((name, of) for name, window in windows for of in self._freshness.dates(name, day, window))
        sentence = damage_met(error, self._lake, read)
        return InputDamaged(sentence) if sentence else error

    def _picture(self, table: Table, draft: Draft) -> str | None:
        if table.picture is None:
            return None
        return table.picture(pq.ParquetFile(draft.path).read(), self._con)

    @contextmanager
    def _inputs(self, table: Table, day: date) -> Iterator[None]:
        """Every name that the table and its checks read, as a view."""
        views = []
        for name, window in table.inputs.items():
            views.append(name)
            if name in REFERENCES:
                self._con.register(name, self._freshness.references.relation(name, day))
            else:
                self._view(name, day, window)
        self._con.execute(f"SET VARIABLE event_date = DATE '{day}'")
        try:
            yield
        finally:
            for name in views:
                if name in REFERENCES:
                    self._con.unregister(name)
                else:
                    self._con.execute(f"DROP VIEW IF EXISTS {name}")

    def _view(self, name: str, day: date, window: Window) -> None:
        files = []
        for d in self._freshness.dates(name, day, window):
            path = self._lake.path(name, d)
            if self._freshness.provenance(name, d):
                files.append(str(path))
            elif path.exists():
                raise InputMissing(
                    f"{name} of {d} cannot be read ({path}); compute it again: venue materialize {d} --select '{name}+'"
                )
            elif d == day and window.days != "all":
                raise InputMissing(
                    f"{name} of {d} does not exist; compute it first: venue materialize {d} --select '{name}+'"
                )
        self._con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {select_partitions(self.catalogue[name], files)}")

    def _batches(self, table: Table, day: date) -> Iterator[pa.RecordBatch]:
        if table.stream and table.sql is None:
            yield from raw_batches(self._con, self._landing(day), table)
        elif table.compute:
            rows = table.compute(self._con, day)
            check_schema(table, rows.schema)
            yield from rows.select(table.schema.names).cast(table.schema).to_batches()
        elif table.sql is None:
            yield _landed_segments(self._landing(day), table.schema)
        else:
            # An open result would keep the connection from being used for anything else, also after an error.
            with self._con.sql(table.sql).to_arrow_reader(_BATCH) as reader:
                check_schema(table, reader.schema)
                for batch in reader:
                    yield pa.RecordBatch.from_arrays([batch.column(n) for n in table.schema.names], schema=table.schema)

    def _landing(self, day: date) -> Landing:
        if day not in self._landings:
            self._landings = {day: Landing(self._home.landing, day)}
        return self._landings[day]

    def _checks(self, table: Table, day: date, draft: Draft) -> list[CheckResult]:
        self._con.execute(f"CREATE OR REPLACE TEMP VIEW {table.name} AS {select_partitions(table, [str(draft.path)])}")
        try:
            results = [self._contract(table, draft)]
            for name, check in table.checks.items():
                sql = check.sql.replace("$stream", f"'{table.stream}'")
                try:
                    row = self._row(sql)
                except duckdb.Error as error:  # a check that cannot be evaluated has not passed
                    row = {"passed": False, "error": str(error).partition("\n")[0]}
                results.append(CheckResult(name, bool(row.pop("passed")), check.blocking, row))
            return results
        finally:
            self._con.execute(f"DROP VIEW IF EXISTS {table.name}")

    def _row(self, sql: str) -> dict[str, Any]:
        """The one row of a query, by name."""
        found = self._con.execute(sql)
        names = [column[0] for column in found.description or ()]
        return dict(zip(names, found.fetchall()[0], strict=True))

    def _count(self, sql: str) -> int:
        return int(self._con.execute(sql).fetchall()[0][0])

    def _contract(self, table: Table, draft: Draft) -> CheckResult:
        """Types were held against the schema and nulls counted on writing; keys are read in one pass."""
        figures: dict[str, Any] = {"rows": draft.provenance.rows}
        if not draft.provenance.rows:
            return CheckResult("contract", True, True, figures)
        for name in (n for n, c in table.columns.items() if not c.nullable):
            if draft.nulls[name]:
                figures[f"null {name}"] = draft.nulls[name]
        # Different hashes prove different keys; only where two hashes agree are the keys themselves compared.
        key = ", ".join(table.key)
        found = self._con.sql(f"SELECT hash({key}) AS hash FROM {table.name}").to_arrow_table(
            batch_size=draft.provenance.rows
        )
        # Not by numpy, whose sort with AVX-512 takes three times as long on some processors.
        hashes = pl.Series(found["hash"]).sort(multithreaded=False).to_numpy()
        if (hashes[1:] == hashes[:-1]).any():
            repeated = self._count(f"SELECT count(*) - count(DISTINCT ({key})) FROM {table.name}")
            if repeated:
                figures[f"repeated key ({key})"] = repeated
        return CheckResult("contract", len(figures) == 1, True, figures)


_GLOB: Final = re.compile(r"[\[*?]")
"""Characters in a path that DuckDB would take for a pattern, and read another home's files."""


class SchemaMismatch(TypeError):
    """SQL that gives other columns than its contract."""


def check_schema(table: Table, given: pa.Schema) -> None:
    """Raises SchemaMismatch where a query's columns are not those of the contract."""
    for field_ in table.schema:
        if field_.name not in given.names:
            raise SchemaMismatch(f"{table.name}: column {field_.name} is missing in the SQL; it gives {given.names}")
        kind = given.field(field_.name).type
        if kind != field_.type:
            raise SchemaMismatch(
                f"{table.name}.{field_.name}: the SQL gives {kind}, the contract says {field_.type}; cast it in the SQL"
            )
    # The event date comes along with `SELECT *`; the partition's folder carries it.
    if extra := set(given.names) - set(table.schema.names) - {"event_date"}:
        raise SchemaMismatch(f"{table.name}: columns {sorted(extra)} are not in the contract")


def select_partitions(table: Table, files: Sequence[str]) -> str:
    """SQL over partition files with the event date as a column; typed and empty where there are none."""
    if not files:
        columns = ", ".join(f"NULL::{c.type} AS {n}" for n, c in table.columns.items())
        return f"SELECT {columns}, NULL::DATE AS event_date WHERE false"
    names = ", ".join("'" + _GLOB.sub(r"[\g<0>]", f).replace("'", "''") + "'" for f in files)
    # Only the partition's own folder says something: as hive columns every name=value folder above it would, too.
    if len(files) == 1:  # what is the same in all rows need not be worked out for each
        event_date = Path(files[0]).parent.name[-10:]
        return f"SELECT *, DATE '{event_date}' AS event_date FROM read_parquet({names}, hive_partitioning = false)"
    return (
        "SELECT * EXCLUDE (filename), right(parse_dirpath(filename), 10)::DATE AS event_date "
        f"FROM read_parquet([{names}], hive_partitioning = false, filename = true)"
    )


def _landed_segments(landing: Landing, schema: pa.Schema) -> pa.RecordBatch:
    rows = [
        {
            "stream": s.stream,
            "segment": s.name,
            "rows": s.rows,
            "reason": s.refused.reason if s.refused else None,
            "detail": s.refused.detail if s.refused else None,
            "remedy": s.refused.remedy if s.refused else None,
            "created_at": s.manifest.created_at.astimezone(UTC).replace(tzinfo=None) if s.manifest else None,
        }
        for s in sorted(landing.segments(), key=lambda s: (s.stream, s.name.encode()))
    ]
    return pa.RecordBatch.from_pylist(rows, schema)


def _figures(figures: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items())
