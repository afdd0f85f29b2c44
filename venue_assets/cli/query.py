"""SQL over the lake: every table as a view, in a DuckDB of one's own that nobody else waits for."""

from __future__ import annotations

import duckdb

from venue_assets.home import Home
from venue_assets.lake.engine import select_partitions
from venue_assets.lake.store import Lake
from venue_assets.tables.catalogue import Catalogue


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
            quoted = what.replace("'", "''")
            nothing = select_partitions(table, [])
            con.execute(
                f"CREATE VIEW {table.name} AS SELECT t.* FROM (SELECT 1) AS one LEFT JOIN ({nothing}) AS t ON true "
                f"WHERE error('{quoted}') IS NULL"
            )
    return con
