"""The shares of each arm of a bandit on the next event date, by group."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Final, get_args

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from edge_collector.canonical_json import canonical
from edge_collector.experiment import VisitorCovariate
from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.methods.context_groups import rules
from venue_assets.methods.ucb import UCB1, allocate, forecast_visits
from venue_assets.pictures.shares import charts
from venue_assets.tables.experiments.shares_over_time import over_time

_DUE: Final = """
SELECT e.experiment_id, e.first_date, e.reward_days, p.exploration, p.floor, t.tree, a.arms
FROM experiments AS e
JOIN experiment_policies AS p ON p.experiment_id = e.experiment_id
JOIN context_tree AS t ON t.experiment_id = e.experiment_id
JOIN (
  SELECT experiment_id, list(arm ORDER BY position) AS arms FROM experiment_arms GROUP BY experiment_id
) AS a ON a.experiment_id = e.experiment_id
-- After the last date there is nobody left to share out.
WHERE getvariable('event_date') < e.last_date
ORDER BY e.experiment_id
"""

_SCHEMA: Final = pa.schema(
    {
        "experiment_id": pa.string(),
        "leaf": pa.int64(),
        "arm": pa.string(),
        "position": pa.int32(),
        "event_date_of_shares": pa.date32(),
        "rule": pa.string(),
        "units": pa.int64(),
        "mean": pa.float64(),
        "index": pa.float64(),
        "forecast": pa.int64(),
        "share": pa.float64(),
        "allocation_id": pa.string(),
    }
)

_WEEKS: Final = 4
_DATES: Final = 7
Array = NDArray[np.float64]


def compute(con: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
    """One row per bandit that is on the next day, leaf and arm."""
    statistics = con.sql("FROM bandit_statistics").pl()
    rows = [
        row
        for bandit in con.sql(_DUE).pl().iter_rows(named=True)
        for row in _shares(bandit, statistics.filter(experiment_id=bandit["experiment_id"]), day)
    ]
    return pa.Table.from_pylist(rows, _SCHEMA)


def picture(rows: pa.Table, con: duckdb.DuckDBPyConnection) -> str:
    """The shares that the arms had on each date so far, and those of the next one."""
    return charts(over_time(con, rows.to_pylist()))


def _shares(bandit: dict[str, Any], statistics: pl.DataFrame, day: date) -> Iterator[dict[str, object]]:
    tree = json.loads(bandit["tree"])
    words = rules(ConditionalInferenceTree.from_dict(tree), get_args(VisitorCovariate))
    leaves, arms, of = list(words), bandit["arms"], day + timedelta(days=1)
    units, total = (_table(statistics, leaves, arms, name) for name in ("units", "total"))
    with np.errstate(invalid="ignore"):
        means = total / units
    visits = _forecast(bandit, statistics, leaves, day)
    given = allocate(units, means, visits, index=UCB1(bandit["exploration"]), floor=bandit["floor"])
    shares = {
        str(leaf): dict(zip(arms, of_leaf, strict=True))
        for leaf, of_leaf in zip(leaves, given.share.tolist(), strict=True)
    }
    decided = {"experiment_id": bandit["experiment_id"], "event_date": str(of), "tree": tree, "shares": shares}
    allocation_id = hashlib.sha256(canonical(decided)).hexdigest()[:16]
    for i, leaf in enumerate(leaves):
        for j, arm in enumerate(arms):
            seen = units[i, j] > 0
            yield {
                "experiment_id": bandit["experiment_id"],
                "leaf": leaf,
                "arm": arm,
                "position": j,
                "event_date_of_shares": of,
                "rule": words[leaf],
                "units": int(units[i, j]),
                "mean": float(means[i, j]) if seen else None,
                "index": float(given.index[i, j]) if seen else None,
                "forecast": int(visits[i]),
                "share": float(given.share[i, j]),
                "allocation_id": allocation_id,
            }


def _table(statistics: pl.DataFrame, leaves: Sequence[int], arms: Sequence[str], column: str) -> Array:
    """Sums over all dates, shape (leaves, arms)."""
    table = np.zeros((len(leaves), len(arms)))
    # In the order of the rows, so that every run adds up alike.
    for leaf, arm, value in statistics.select("leaf", "arm", column).iter_rows():
        if arm in arms:
            table[leaves.index(leaf), arms.index(arm)] += value
    return table


def _forecast(bandit: dict[str, Any], statistics: pl.DataFrame, leaves: Sequence[int], day: date) -> NDArray[np.int64]:
    weeks = [day + timedelta(days=1 - 7 * n) for n in range(1, _WEEKS + 1)]
    dates = [day - timedelta(days=n) for n in range(_DATES)]
    known = bandit["first_date"], day - timedelta(days=bandit["reward_days"])
    seen = statistics.group_by("leaf", "assigned_on").agg((pl.col("units") + pl.col("refused")).sum().alias("n"))
    n = {(leaf, of): float(count) for leaf, of, count in seen.iter_rows()}

    def units(on: Sequence[date]) -> list[list[float]]:
        # Of dates outside of the experiment, or whose units have not matured, nobody knows.
        return [[n.get((leaf, of), 0.0) if known[0] <= of <= known[1] else np.nan for of in on] for leaf in leaves]

    return forecast_visits(units(weeks), units(dates))
