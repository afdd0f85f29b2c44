"""Rows of waiting dates, taken from the database of the publication before: the lake has others by now.

They are as they were published: a figure that was left out then stays out, also where `smallest_cell` is lower now.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import duckdb

from venue_assets.publish.database import Contents
from venue_assets.tables.catalogue import Catalogue


def dates(contents: Contents, waiting: Collection[str]) -> set[str]:
    """The waiting dates of which something was published before."""
    return {day for days in contents.values() for day in days} & set(waiting)


def why_not(database: Path, catalogue: Catalogue) -> str | None:
    """Why rows cannot be taken from the database of an earlier publication, in words; None where they can."""
    try:
        with duckdb.connect(str(database), read_only=True) as con:
            rows = con.execute(
                "SELECT schema_name, table_name, list((column_name, data_type) ORDER BY column_index) "
                "FROM duckdb_columns() WHERE NOT internal GROUP BY ALL"
            ).fetchall()
    except (duckdb.Error, OSError) as error:
        return f"{database.name} of the earlier publication cannot be opened: {error}"
    found = {(schema, name): dict(columns) for schema, name, columns in rows}
    for table in catalogue:
        expected = {"event_date": "DATE"} | {name: column.type for name, column in table.columns.items()}
        if found.get((table.layer, table.name)) != expected:
            return f"{table.layer}.{table.name} had other columns"
    return None


def carry(con: duckdb.DuckDBPyConnection, database: Path, catalogue: Catalogue, days: Collection[str]) -> None:
    """Copy the rows of these dates into the database that is attached as `venue`, whose columns are the same."""
    if not days:
        return
    of_days = f"event_date IN ({', '.join(f'DATE {day!r}' for day in sorted(days))})"
    con.execute(f"ATTACH '{str(database).replace(chr(39), 2 * chr(39))}' AS earlier (READ_ONLY)")
    for table in catalogue:
        name = f"{table.layer}.{table.name}"
        con.execute(f"INSERT INTO venue.{name} BY NAME SELECT * FROM earlier.{name} WHERE {of_days}")
