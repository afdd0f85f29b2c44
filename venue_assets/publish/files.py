"""Parquet and CSV, written from the database that is being published.

    parquet/<table>.parquet             dimensions, small facts, metrics of date and hour, KPI, migrations
    parquet/<table>/<YYYY-MM>.parquet   large facts by month
    csv/<table>/<event_date>.csv        behaviour events and primary metrics (step S22 of the patent)
    csv/publication.json                which publication the CSV files are of: CSV has no place to say so itself

A file in which nothing changed is linked to the one of the publication before, so that the publication_id in the footer
of a Parquet file is that of the publication which wrote it: the first one that held just these rows. CSV is UTF-8 with
a header, quoted by RFC 4180: nothing between two commas is null, "" is an empty text. Text is written as it is, also
where a spreadsheet would take it for a formula (a leading =): who opens CSV in one should import it as text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import duckdb

from venue_assets.publish.database import Contents
from venue_assets.publish.links import link
from venue_assets.publish.parallel import side_by_side
from venue_assets.publish.safe_types import check_select
from venue_assets.publish.star_tables import CUSTOMERS, Changed, is_changed, local_dates
from venue_assets.publish.star_tables import SCHEMA as STAR
from venue_assets.semantic_layer.star import star
from venue_assets.tables.catalogue import Catalogue

WHOLE_TABLES: Final = ("primary_metrics", "hourly_metrics", "kpi", "rfm_migrations")
MONTHLY_TABLES: Final = ("sessions", "order_lines", "user_days")
"""RFM segments and features are not among them: each date holds the users of a whole year. The database has them."""
CSV_TABLES: Final = ("behaviour_events", "primary_metrics")
CSV: Final = "FORMAT csv, HEADER, NULLSTR ''"
"""How DuckDB is told to write it: it quotes a text that would look like null."""


@dataclass(frozen=True)
class Since:
    """What differs from the publication before, whose files are in `folder`. Without a folder all is written."""

    folder: Path | None
    changed: Changed
    moved: Collection[str] = ()
    """Dates of which first entries moved."""


@dataclass(frozen=True)
class File:
    """A file by its place, what is in it, and whether that differs from the publication before."""

    path: str
    select: str
    is_changed: bool


def write_parquet(
    con: duckdb.DuckDBPyConnection, folder: Path, catalogue: Catalogue, contents: Contents, since: Since, id_: str
) -> None:
    """All Parquet files of the database that is attached as `venue`. Raises UnsafeType."""
    how = f"FORMAT parquet, COMPRESSION snappy, PARQUET_VERSION v1, KV_METADATA {{publication_id: '{id_}'}}"
    files = [*_of_the_star(contents, since), *_of_the_layers(catalogue, contents, since)]
    write(con, folder, files, since.folder, how)


def write_csv(
    con: duckdb.DuckDBPyConnection, folder: Path, catalogue: Catalogue, contents: Contents, since: Since, id_: str
) -> None:
    """All CSV files of the database that is attached as `venue`, and of what publication. Raises UnsafeType."""
    files = [
        File(f"{name}/{day}.csv", _select(catalogue, name, f"event_date = DATE '{day}'"), day in since.changed[name])
        for name in CSV_TABLES
        for day in sorted(contents[name])
    ]
    write(con, folder, files, since.folder, CSV)
    folder.mkdir(exist_ok=True)
    (folder / "publication.json").write_text(json.dumps({"publication_id": id_}) + "\n", encoding="utf-8")


def _of_the_star(contents: Contents, since: Since) -> Iterator[File]:
    months = sorted({day[:7] for days in contents.values() for day in days})
    for table in star():
        order = ", ".join(dict.fromkeys(["event_date", *table.key] if "event_date" in table.columns else table.key))
        # Everybody is written with every new date; to sort them first would cost as much again.
        ordered = "" if table.name == CUSTOMERS else f" ORDER BY {order}"
        select = f"SELECT * FROM venue.{STAR}.{table.name} WHERE {{}}{ordered}"
        if not table.monthly:
            yield File(f"{table.name}.parquet", select.format("true"), is_changed(table, since.changed))
            continue
        days = local_dates(table, since.changed) | (set(since.moved) if CUSTOMERS in table.reads else set())
        for month in months:
            changed = any(day.startswith(month) for day in days)
            yield File(f"{table.name}/{month}.parquet", select.format(_in_month(month)), changed)


def _of_the_layers(catalogue: Catalogue, contents: Contents, since: Since) -> Iterator[File]:
    for name in WHOLE_TABLES:
        yield File(f"{name}.parquet", _select(catalogue, name, "true"), bool(since.changed[name]))
    for name in MONTHLY_TABLES:
        for month in sorted({day[:7] for day in contents[name]}):
            changed = any(day.startswith(month) for day in since.changed[name])
            yield File(f"{name}/{month}.parquet", _select(catalogue, name, _in_month(month)), changed)


def _select(catalogue: Catalogue, name: str, condition: str) -> str:
    table = catalogue[name]
    order = ", ".join(["event_date", *table.key])
    return f"SELECT * FROM venue.{table.layer}.{name} WHERE {condition} ORDER BY {order}"


def _in_month(month: str) -> str:
    first = date.fromisoformat(f"{month}-01")
    after = (first + timedelta(days=31)).replace(day=1)
    return f"event_date >= DATE '{first}' AND event_date < DATE '{after}'"


def write(con: duckdb.DuckDBPyConnection, folder: Path, files: list[File], before: Path | None, how: str) -> None:
    """Write the files that are changed, link the others to those in `before`. Raises UnsafeType."""
    for parent in dict.fromkeys((folder / file.path).parent for file in files):
        parent.mkdir(parents=True, exist_ok=True)
    earlier = {str(p.relative_to(before)) for p in before.rglob("*.*")} if before else set()
    written = list[File]()
    for file in files:
        if before and not file.is_changed and file.path in earlier:
            link(before / file.path, folder / file.path)
        else:
            written.append(file)
    side_by_side(con, [partial(_write, folder=folder, file=file, how=how) for file in written])


def _write(con: duckdb.DuckDBPyConnection, folder: Path, file: File, how: str) -> None:
    check_select(con, file.path, file.select)
    target = str(folder / file.path).replace("'", "''")
    con.execute(f"COPY ({file.select}) TO '{target}' ({how})")
