"""What each arm of a bandit has brought in each group, by the date of the assignment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Final

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.methods.ucb import RewardBounds

_TREES: Final = """
SELECT t.experiment_id, t.tree, t.fitted_on, p.reward_bound
FROM context_tree AS t
JOIN experiment_policies AS p ON p.experiment_id = t.experiment_id
ORDER BY t.experiment_id
"""

# Sums of floating-point numbers in a total order, so that every run gives the same.
_SUMS: Final = """
SELECT experiment_id, assigned_on, leaf, arm,
  count(reward) AS units,
  coalesce(sum(reward ORDER BY unit_id), 0) AS total,
  coalesce(sum(reward * reward ORDER BY unit_id), 0) AS total_squares,
  count(*) - count(reward) AS refused,
  coalesce(sum(1 / propensity ORDER BY unit_id) FILTER (reward IS NOT NULL), 0) AS total_weight,
  coalesce(sum(1 / propensity ** 2 ORDER BY unit_id) FILTER (reward IS NOT NULL), 0) AS total_weight_squares,
  count(*) FILTER (elsewhere) AS elsewhere
FROM grouped
GROUP BY experiment_id, assigned_on, leaf, arm
ORDER BY experiment_id, assigned_on, leaf, arm
"""


def compute(con: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
    """All units that have matured since each bandit began, under the tree of this date."""
    grouped = pl.concat([_NONE, *_grouped(con)])
    con.register("grouped", grouped.to_arrow())
    try:
        return con.sql(_SUMS).to_arrow_table()
    finally:
        con.unregister("grouped")


_NONE: Final = pl.DataFrame(
    schema={
        "experiment_id": pl.String,
        "assigned_on": pl.Date,
        "leaf": pl.Int64,
        "arm": pl.String,
        "unit_id": pl.String,
        "reward": pl.Float64,
        "propensity": pl.Float64,
        "elsewhere": pl.Boolean,
    }
)


def _grouped(con: duckdb.DuckDBPyConnection) -> Iterator[pl.DataFrame]:
    """Units with the leaf of the tree in force, rewards on [0, 1], null where refused."""
    of_all = con.sql("FROM bandit_units").pl()
    for experiment_id, tree, fitted_on, bound in con.sql(_TREES).fetchall():
        units = of_all.filter(pl.col("experiment_id") == experiment_id)
        scaled = RewardBounds(0.0, 1.0 if bound is None else bound).scale(units["reward"].to_numpy())
        leaf = ConditionalInferenceTree.from_dict(json.loads(tree)).apply(units).cast(pl.Int64)
        # Shares by this tree were first given on the date after it was fitted.
        by_this_tree = (units["assigned_on"] > fitted_on) & units["allocation_id"].is_not_null()
        yield units.with_columns(
            leaf=leaf,
            reward=pl.Series(np.where(scaled.refused, np.nan, scaled.values)).fill_nan(None),
            elsewhere=by_this_tree & (units["leaf_id"] != leaf).fill_null(True),
        ).select(_NONE.columns)
