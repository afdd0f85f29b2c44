"""star.dim_customer where only later dates came: what differs is written, not everybody anew.

A row holds of a person's earlier dates all that the table's SQL asks of them, the first entry and the last date. These
and the new dates give the same row as the whole history would. They do not where an earlier date changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import duckdb

from venue_assets.semantic_layer.star import StarTable

NAME: Final = "dim_customer"
_SAME: Final = ("customer_key", "venue_id", "user_id")
"""What never differs of a person. To update only the other columns leaves the segments of these as they are."""
_SEGMENT: Final = ("recency_days", "frequency", "monetary", "segment")
_LATEST: Final = "FROM rfm_segments WHERE event_date = (SELECT max(event_date) FROM rfm_segments)"


def only_later(days: Collection[str], known: Collection[str]) -> bool:
    """Whether the dates of visits that differ all come after those known: then rows can go on from what they hold."""
    return bool(known) and (not days or min(days) > max(known))


def go_on(con: duckdb.DuckDBPyConnection, table: StarTable, target: str, user_days: str, days: Collection[str]) -> None:
    """Bring the rows of `target` up to the later `days` of `user_days`; what else the SQL reads is there by name."""
    later = f"event_date IN ({', '.join(f'DATE {day!r}' for day in sorted(days))})" if days else "false"
    came = f"SELECT venue_id, user_id, event_date, entries FROM {user_days} WHERE {later}"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE touched AS SELECT venue_id, user_id FROM ({came}) UNION "
        f"SELECT t.venue_id, t.user_id FROM {target} AS t LEFT JOIN ({_LATEST}) AS r "
        f"ON r.venue_id = t.venue_id AND r.user_id = t.user_id WHERE {_differs('r', _SEGMENT)}"
    )
    before = (
        "SELECT venue_id, user_id, unnest([first_entry_date, last_date]) AS event_date, unnest([1, 0]) AS entries "
        f"FROM {target} SEMI JOIN touched USING (venue_id, user_id)"
    )
    con.execute(f"CREATE OR REPLACE TEMP VIEW user_days AS {before} UNION ALL {came}")
    columns = [name for name in table.columns if name not in _SAME]
    con.execute(
        f"UPDATE {target} AS t SET {', '.join(f'{name} = now.{name}' for name in columns)} FROM ({table.sql}) AS now "
        f"WHERE now.customer_key = t.customer_key AND ({_differs('now', columns)})"
    )
    con.execute(f"CREATE OR REPLACE TEMP VIEW user_days AS {came}")
    con.execute(f"INSERT INTO {target} BY NAME SELECT * FROM ({table.sql}) ANTI JOIN {target} USING (customer_key)")
    con.execute("DROP TABLE touched")


def _differs(other: str, columns: Iterable[str]) -> str:
    return " OR ".join(f"{other}.{name} IS DISTINCT FROM t.{name}" for name in columns)
