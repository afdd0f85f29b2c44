"""SQL over the lake, every table as a view in a DuckDB of one's own that nobody waits for; or over what is published.

It only reads, and nothing but that: what a question is, and what DuckDB may open, are both decided here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb

from venue_assets.home import Home
from venue_assets.lake.engine import select_partitions
from venue_assets.lake.store import Lake
from venue_assets.nearest import did_you_mean
from venue_assets.publish.building import DATABASE
from venue_assets.tables.catalogue import Catalogue

_EXPECTED: Final = "one SELECT (or FROM, WITH, PIVOT, DESCRIBE, SUMMARIZE, EXPLAIN of one) over the tables is expected"
_READING: Final = (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI)
"""A PIVOT is several statements inside, all of which read."""
_EXPLAIN: Final = re.compile(r"\s*EXPLAIN\b\s*(?:ANALYZE\b\s*|\([^)]*\)\s*)?", re.IGNORECASE)
_UNKNOWN_TABLE: Final = re.compile(r"Catalog Error: Table with name (\S+) does not exist")

REFUSED_SEGMENTS: Final = (
    'venue query "SELECT event_date, stream, segment, reason, detail, remedy FROM refused_segments"'
)
"""What is advised where segments were refused."""


class CannotAsk(ValueError):
    """A question that cannot be answered; the message is one sentence."""


def ask(home: Home, catalogue: Catalogue, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names of the columns, and the rows. Raises CannotAsk."""
    try:
        _check(sql)
        with connect(home, catalogue) as con:
            con.execute(sql)
            return [d[0] for d in con.description or []], con.fetchall()
    except duckdb.Error as error:
        raise CannotAsk(_sentence(error, home, home.lake, catalogue.tables)) from None


def ask_published(home: Home, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The same of the published database: its tables and views by their names alone. Raises CannotAsk."""
    database = home.published / DATABASE
    if not database.exists():
        raise CannotAsk(f"nothing is published in {home.published} yet; run: venue publish")
    known: list[str] = []
    try:
        _check(sql)
        with duckdb.connect(str(database), read_only=True) as con:
            con.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            known, schemas = (
                [row[0] for row in con.execute(names).fetchall()] for names in (_PUBLISHED, _PUBLISHED_SCHEMAS)
            )
            con.execute(f"SET search_path = {_quoted(','.join(schemas))}")
            con.execute("SET enable_external_access = false; SET lock_configuration = true")
            con.execute(sql)
            return [d[0] for d in con.description or []], con.fetchall()
    except duckdb.Error as error:
        raise CannotAsk(_sentence(error, home, database, known)) from None


_PUBLISHED: Final = """
SELECT table_name FROM (
  SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal
  UNION ALL
  SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal
) ORDER BY schema_name, table_name
"""
_PUBLISHED_SCHEMAS: Final = """
SELECT schema_name FROM duckdb_schemas()
WHERE database_name = current_database() AND NOT (internal AND schema_name <> 'main')
ORDER BY schema_name <> 'main', schema_name
"""


def connect(home: Home, catalogue: Catalogue) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with a view per table over all its partitions, `event_date` included."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    lake = Lake(home.lake)
    for table in catalogue.tables.values():
        days = lake.dates(table.name)
        files = [str(lake.path(table.name, day)) for day in days]
        try:
            con.execute(f"CREATE VIEW {table.name} AS {select_partitions(table, files)}")
        except duckdb.Error as error:
            # Only who asks for this table is told.
            bad = next((day for day in days if lake.provenance(table.name, day) is None), None)
            what = (
                f"{table.name} of {bad} cannot be read; compute it again: venue materialize {bad}"
                if bad
                else str(error)
            )
            nothing = select_partitions(table, [])
            con.execute(
                f"CREATE VIEW {table.name} AS SELECT t.* FROM (SELECT 1) AS one LEFT JOIN ({nothing}) AS t ON true "
                f"WHERE error({_quoted(what)}) IS NULL"
            )
    # DuckDB compares paths as they are written, and in the views `[` is written as `[[]`.
    places = {str(home.lake), str(home.lake).replace("[", "[[]")}
    con.execute(f"SET allowed_directories = [{', '.join(map(_quoted, sorted(places)))}]")
    con.execute("SET enable_external_access = false; SET lock_configuration = true")
    return con


def damaged(error: duckdb.Error, home: Home) -> tuple[str, date] | None:
    """Table and event date of the partition that an error of DuckDB names."""
    return Lake(home.lake).named_in(str(error))


def _check(sql: str) -> None:
    """Raises CannotAsk where the SQL is not one statement that reads, duckdb.Error where it is no SQL."""
    given = duckdb.extract_statements(sql)
    if not given:
        raise CannotAsk(f"the SQL is empty; {_EXPECTED}")
    if len(given) > 1:
        raise CannotAsk(f"{len(given)} statements are given; {_EXPECTED}")
    kind = given[0].type
    if kind == duckdb.StatementType.EXPLAIN and (explained := _EXPLAIN.match(sql)):
        _check(sql[explained.end() :])  # EXPLAIN ANALYZE does what it explains
    elif kind not in _READING:
        raise CannotAsk(f"a statement of type {kind.name} is given; {_EXPECTED}")


def _sentence(error: duckdb.Error, home: Home, place: Path, known: Collection[str]) -> str:
    # What follows "LINE" repeats the query with a mark below it.
    sentence = " ".join(str(error).partition("\nLINE ")[0].split())
    if isinstance(error, duckdb.PermissionException):
        return f"{sentence}; venue query reads the tables of {place} and nothing else"
    if where := damaged(error, home):
        return f"{sentence} (compute it again: venue materialize {where[1]})"
    if isinstance(error, duckdb.CatalogException) and (unknown := _UNKNOWN_TABLE.match(sentence)):
        # What DuckDB suggests may be a table of its own catalogues, which is no help.
        return f"{unknown[0]}{did_you_mean(unknown[1], known)}; tables: {', '.join(known)}"
    return sentence


def _quoted(text: str | Path) -> str:
    return "'" + str(text).replace("'", "''") + "'"
