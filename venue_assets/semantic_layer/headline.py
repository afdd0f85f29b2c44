"""The key figures of an event date as plain numbers by name, which the Dagster UI plots over the dates."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

TABLE: Final = "primary_metrics"
"""The table whose rows they are taken from."""

METRICS: Final = (
    "pf_range",
    "pf_entrance",
    "ocr",
    "pv",
    "uv",
    "lov_mean_seconds",
    "recognition_share",
    "completed_orders",
    "paying_users",
    "gmv",
)


def headline(rows: pa.Table) -> dict[str, int | float]:
    """Of rows of primary_metrics: `uv · harbour` and so on, venue by venue. What is null is left out."""
    return {
        f"{metric} · {row['venue_id']}": row[metric] if isinstance(row[metric], int) else float(row[metric])
        for row in rows.select(["venue_id", *METRICS]).to_pylist()
        for metric in METRICS
        if row[metric] is not None
    }
