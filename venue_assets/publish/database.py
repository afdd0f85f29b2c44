"""venue.duckdb: a schema per layer of the graph, the star, the metrics, and what publication it is.

    raw … experiments      every table of the graph, with event_date as a column
    star, metric           star_tables.py, metric_views.py
    main.publication       which publication this is, and how many event dates each table has
    main.settings          what site.toml says about publishing, and which dates wait

Every table, view and column has a comment (DuckDB has none for schemas). Two tables hold everybody of a year anew for
each event date; in a year they would be twenty times all others. Of these the latest date, the last one of each month
and as many recent ones as are small together are here (in a small installation: all); the lake has all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any, Final

import duckdb

from venue_assets.lake.engine import select_partitions
from venue_assets.lake.store import Lake
from venue_assets.publish import metric_views
from venue_assets.publish.parallel import side_by_side
from venue_assets.publish.star_tables import SCHEMA as STAR
from venue_assets.semantic_layer.star import star
from venue_assets.tables.catalogue import Catalogue, Table, TableColumn

STORAGE_VERSION: Final = "v1.4.0"
"""Files that DuckDB 1.4 and later can open."""
ROW_GROUP_SIZE: Final = 20_480
"""A sixth of what is usual. DuckDB writes the last, partly filled group of each table anew with every publication: with
a year behind it this spares a quarter of a cpu-second for every new date (3.5 against 3.8, medians of three in turns),
although the file that is copied is a sixth larger."""

WAITING: Final = "waiting"
"""The setting, which nobody sets, that names the dates that wait."""

EVERYBODY_TABLES: Final = ("rfm_segments", "visitor_features")
"""Each of their dates repeats the users of a whole year: in a year their rows would be twenty times all others."""
RECENT_BYTES: Final = 16 * 1024**2
_ONLY_SOME: Final = (
    "Each event date holds everybody of a year, so that only the latest one, the last one of each month and as many "
    "recent ones as are small together are here; the lake has all."
)

Contents = Mapping[str, Mapping[str, str]]
"""Content of each partition: table -> event date -> digest."""


Stamps = Mapping[str, Mapping[str, Sequence[int]]]
"""Table -> event date -> size of the partition's file, and what else tells it from another one."""


def held(contents: Contents, stamps: Stamps) -> dict[str, dict[str, str]]:
    """Of the contents of a publication, what the database has rows of."""
    return {
        name: {day: days[day] for day in _some(days, stamps[name])} if name in EVERYBODY_TABLES else dict(days)
        for name, days in contents.items()
    }


def _some(days: Collection[str], stamps: Mapping[str, Sequence[int]]) -> list[str]:
    """The latest date, the last one of each month, and dates before the latest while their files are small together."""
    kept, month, size = list[str](), "", 0
    for day in sorted(days, reverse=True):
        size += stamps[day][0]
        if day[:7] != month or size <= RECENT_BYTES:
            kept.append(day)
        month = day[:7]
    return kept[::-1]


def create(con: duckdb.DuckDBPyConnection, catalogue: Catalogue, smallest_cell: int) -> None:
    """Empty tables and all views with their comments, in the database that is attached as `venue` and in use."""
    for schema in (*dict.fromkeys(table.layer for table in catalogue), STAR, metric_views.SCHEMA):
        con.execute(f"CREATE SCHEMA {schema}")
    for table in catalogue:
        day = {"event_date": TableColumn(type="DATE", description="Event date")}
        some = f" {_ONLY_SOME}" if table.name in EVERYBODY_TABLES else ""
        meaning = f"{table.description} Grain: {table.grain} and event date.{some}"
        _create_table(con, f"{table.layer}.{table.name}", meaning, day | dict(table.columns))
    for fact in star():
        _create_table(con, f"{STAR}.{fact.name}", f"{fact.description} Grain: {fact.grain}.", fact.columns)
    metric_views.create(con, smallest_cell)
    _create_table(
        con, "main.publication", "Which publication this is, and how many event dates each table has", _RECORD
    )
    _create_table(con, "main.settings", "What site.toml says about publishing, and which dates wait", _SETTINGS)
    con.execute(
        "INSERT INTO main.settings VALUES ('smallest_cell', ?, ?)",
        [str(smallest_cell), _SMALLEST],
    )


def fill(
    con: duckdb.DuckDBPyConnection,
    lake: Lake,
    catalogue: Catalogue,
    days: Mapping[str, Collection[str]],
    held: Contents,
) -> None:
    """Write the rows of these dates of each table anew: those that are `held` from the lake, no rows of the others."""
    longest_first = sorted(catalogue, key=lambda table: table.name not in EVERYBODY_TABLES)
    side_by_side(con, [partial(_fill, lake=lake, table=t, days=days[t.name], held=held[t.name]) for t in longest_first])


def _fill(
    con: duckdb.DuckDBPyConnection, lake: Lake, table: Table, days: Collection[str], held: Collection[str]
) -> None:
    if not days:
        return
    name = f"venue.{table.layer}.{table.name}"
    con.execute(f"DELETE FROM {name} WHERE event_date IN ({', '.join(f'DATE {day!r}' for day in sorted(days))})")
    if files := [str(lake.path(table.name, date.fromisoformat(day))) for day in sorted(set(days) & set(held))]:
        columns = ", ".join(["event_date", *table.columns])
        con.execute(f"INSERT INTO {name} SELECT {columns} FROM ({select_partitions(table, files)})")


def features_as_of(lake: Lake) -> Callable[[date], str]:
    """Where the features of visitors of a date are, of which the database has only some dates."""
    return lambda day: f"read_parquet({_quoted(str(lake.path('visitor_features', day)))}, hive_partitioning = false)"


def record(
    con: duckdb.DuckDBPyConnection,
    publication_id: str,
    published_at: str,
    contents: Contents,
    waiting: Collection[str],
) -> None:
    """Say which publication this is, and of which dates the tables did not fit together."""
    con.execute("DELETE FROM venue.main.publication")
    con.execute(  # once: a statement for each table takes many times as long
        "INSERT INTO venue.main.publication SELECT ?, ?, unnest(?), unnest(?)",
        [publication_id, published_at[:19], list(contents), [len(days) for days in contents.values()]],
    )
    con.execute(f"DELETE FROM venue.main.settings WHERE name = '{WAITING}'")
    con.execute(f"INSERT INTO venue.main.settings VALUES ('{WAITING}', ?, ?)", [", ".join(waiting), _WAITING])


_SMALLEST: Final = (
    "Figures in sums (schema metric; primary, hourly and KPI metrics; migrations) behind which there are fewer people "
    "than this, but some, are null; 0: none are. Rows of persons and the schema experiments are as they are"
)
_WAITING: Final = (
    "Event dates whose tables did not fit together when this was published, comma separated: they are as they were "
    "published before, or not here"
)

_RECORD: Final[Mapping[str, TableColumn]] = {
    "publication_id": TableColumn(type="VARCHAR", description="Which publication this file belongs to"),
    "published_at": TableColumn(type="TIMESTAMP", unit="UTC", description="When it was built"),
    "table_name": TableColumn(type="VARCHAR", description="A table of this publication"),
    "event_dates": TableColumn(type="BIGINT", description="How many event dates of that table are in it"),
}
_SETTINGS: Final[Mapping[str, TableColumn]] = {
    "name": TableColumn(type="VARCHAR", description="Name of the setting"),
    "value": TableColumn(type="VARCHAR", description="What it is set to"),
    "description": TableColumn(type="VARCHAR", description="What that means"),
}


def _create_table(con: duckdb.DuckDBPyConnection, name: str, meaning: str, columns: Mapping[str, TableColumn]) -> None:
    con.execute(f"CREATE TABLE {name} ({', '.join(f'{column} {c.type}' for column, c in columns.items())})")
    con.execute(f"COMMENT ON TABLE {name} IS {_quoted(meaning)}")
    for column, c in columns.items():
        meaning = f"{c.description} [{c.unit}]" if c.unit else c.description
        con.execute(f"COMMENT ON COLUMN {name}.{column} IS {_quoted(meaning)}")


def _quoted(text: Any) -> str:
    return "'" + str(text).replace("'", "''") + "'"
