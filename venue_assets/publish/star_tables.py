"""The schema `star`: the tables of semantic_layer/star, filled from the layers of the same database and from the site.

They are tables, not views: a question about a year is then a scan. Facts by month are local to an event date, so that
only changed dates are computed again; dimensions and the small facts are written whole. One thing is not local: whether
a person's entry is the first one moves with corrections of earlier dates, and the dates that it moves to count as
changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import duckdb

from edge_collector.site import Site
from venue_assets.publish import customers
from venue_assets.semantic_layer.star import StarTable, site_relations, star
from venue_assets.tables.catalogue import Catalogue

SCHEMA: Final = "star"
CUSTOMERS: Final = customers.NAME

Changed = Mapping[str, Collection[str]]
"""Table -> the event dates of which it differs."""


def is_changed(table: StarTable, changed: Changed) -> bool:
    """Whether a table of the star differs where these dates of the layers do."""
    return any(
        is_changed(star()[name], changed) if name in star().tables else bool(changed.get(name)) for name in table.reads
    )


def local_dates(table: StarTable, changed: Changed) -> set[str]:
    """The event dates of which a fact by month differs, first entries apart."""
    return {day for name in table.reads for day in changed.get(name, ())}


def fill(
    con: duckdb.DuckDBPyConnection, catalogue: Catalogue, site: Site, changed: Changed, known: Collection[str]
) -> set[str]:
    """Bring the star of the database that is attached as `venue` up to its layers.

    `known` are the event dates that it holds already; without one, nothing is taken as it is. Returns the dates of
    which first entries moved.
    """
    for name, relation in site_relations(site).items():
        con.register(name, relation)
    anew = not known
    corrected = _has_corrections(changed, known)
    if corrected:
        con.execute(f"CREATE OR REPLACE TEMP TABLE customers_before AS FROM venue.{SCHEMA}.{CUSTOMERS}")
    moved: set[str] = set()
    for table in star():
        if not anew and not is_changed(table, changed):
            continue
        if table.name == CUSTOMERS and customers.only_later(changed.get("user_days", ()), known):
            _name_sources(con, catalogue, table, "true")
            user_days = _source(catalogue, "user_days")
            customers.go_on(con, table, f"venue.{SCHEMA}.{CUSTOMERS}", user_days, changed.get("user_days", ()))
            continue
        days = local_dates(table, changed) if table.monthly and not anew else None
        if days is not None and CUSTOMERS in table.reads:
            days |= moved
        _fill(con, catalogue, table, days)
        if table.name == CUSTOMERS and corrected:
            moved = _moved_entries(con)
            con.execute("DROP TABLE customers_before")
    return moved


def _has_corrections(changed: Changed, known: Collection[str]) -> bool:
    """Whether a date of visits changed that is not the last one of those known: then first entries may move."""
    days = changed.get("user_days", ())
    return bool(days) and bool(known) and min(days) < max(known)


def _moved_entries(con: duckdb.DuckDBPyConnection) -> set[str]:
    """The dates that were or are now the first one of somebody whose first date was another one."""
    rows = con.execute(
        f"SELECT DISTINCT unnest([b.first_entry_date, c.first_entry_date])::VARCHAR FROM customers_before AS b "
        f"JOIN venue.{SCHEMA}.{CUSTOMERS} AS c ON c.customer_key = b.customer_key "
        "WHERE b.first_entry_date IS DISTINCT FROM c.first_entry_date"
    ).fetchall()
    return {row[0] for row in rows if row[0]}


def _fill(con: duckdb.DuckDBPyConnection, catalogue: Catalogue, table: StarTable, days: set[str] | None) -> None:
    """Write a table anew, or only the rows of some dates."""
    if days is not None and not days:
        return
    condition = "true" if days is None else f"event_date IN ({', '.join(f'DATE {day!r}' for day in sorted(days))})"
    _name_sources(con, catalogue, table, condition)
    target = f"venue.{SCHEMA}.{table.name}"
    con.execute(f"DELETE FROM {target} WHERE {condition}")
    con.execute(f"INSERT INTO {target} BY NAME ({table.sql})")


def _name_sources(con: duckdb.DuckDBPyConnection, catalogue: Catalogue, table: StarTable, condition: str) -> None:
    """What a table's SQL reads, by name: of the layers only the rows that meet a condition."""
    for name in sorted(table.reads):
        if name in catalogue.tables:
            source = _source(catalogue, name)
            con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM {source} WHERE {condition}")
        elif name in star().tables:
            con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM venue.{SCHEMA}.{name}")


def _source(catalogue: Catalogue, name: str) -> str:
    return f"venue.{catalogue[name].layer}.{name}"
