"""The schema `metric`: a view per metric of the registry, by event date, venue and activity.

A view is computed from the facts of the star when it is asked, so that nothing pre-summed can be added up wrongly.
"""

from __future__ import annotations

from typing import Final

import duckdb

from venue_assets.semantic_layer.metrics import Metric, registry
from venue_assets.semantic_layer.query import question
from venue_assets.semantic_layer.star import star

SCHEMA: Final = "metric"
_BY: Final = ("event_date", "venue_id", "activity_id")


def create(con: duckdb.DuckDBPyConnection, smallest_cell: int) -> None:
    """All views, in the database that is attached as `venue` and in use."""
    for metric in registry():
        name = f"{SCHEMA}.{metric.name}"
        con.execute(f"CREATE VIEW {name} AS {_select(metric, smallest_cell)}")
        con.execute(f"COMMENT ON VIEW {name} IS {_quoted(f'{_meaning(metric)} Per event date, venue and activity.')}")
        for column, meaning in _columns(metric).items():
            con.execute(f"COMMENT ON COLUMN {name}.{column} IS {_quoted(meaning)}")


def _select(metric: Metric, smallest_cell: int) -> str:
    asked = question(registry(), star(), [metric.name], by=_BY, smallest_cell=smallest_cell)
    columns = ", ".join("v.currency" if name == "currency" else f"q.{name}" for name in _columns(metric))
    join = " JOIN star.dim_venue AS v ON v.venue_id = q.venue_id" if metric.is_money else ""
    return f"SELECT {columns} FROM ({asked}) AS q{join}"


def _columns(metric: Metric) -> dict[str, str]:
    return {
        "event_date": "Event date",
        "venue_id": "Venue",
        "activity_id": "Activity of the venue on this date, or none",
        **({"currency": "Currency of the amount [ISO 4217]"} if metric.is_money else {}),
        metric.name: _meaning(metric),
    }


def _meaning(metric: Metric) -> str:
    return f"{metric.description.en} [{metric.unit}]"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
