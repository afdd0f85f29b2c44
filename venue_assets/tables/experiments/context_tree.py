"""Groups of units of each bandit, from what was known up to the date on which its tree was due last."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any, Final

import duckdb
import polars as pl
import pyarrow as pa

from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.methods.context_groups import ALPHA, SETTINGS, by_effect, by_level
from venue_assets.pictures.tree import forest

HISTORY_DAYS: Final = 90
"""The longest history there is, as the contract's windows say."""

_BANDITS: Final = """
SELECT e.experiment_id, e.first_date, p.target, p.refit_days, p.history_days, a.arms,
  coalesce(c.covariates, []) AS covariates
FROM experiments AS e
JOIN experiment_policies AS p ON p.experiment_id = e.experiment_id
JOIN (
  SELECT experiment_id, list(arm ORDER BY position) AS arms FROM experiment_arms GROUP BY experiment_id
) AS a ON a.experiment_id = e.experiment_id
LEFT JOIN (
  SELECT experiment_id, list(covariate ORDER BY position) AS covariates
  FROM experiment_covariates
  GROUP BY experiment_id
) AS c ON c.experiment_id = e.experiment_id
WHERE e.kind = 'bandit'
ORDER BY e.experiment_id
"""

# Before the experiment everybody was treated alike: rows without an arm. Its own units follow with theirs.
_ROWS: Final = """
WITH bandits AS (
  SELECT e.experiment_id, e.venue_id, e.unit, e.kpi, e.reward_days, e.first_date - p.history_days AS history_from,
    e.first_date - 1 AS history_to
  FROM experiments AS e
  JOIN experiment_policies AS p ON p.experiment_id = e.experiment_id
  WHERE e.kind = 'bandit' AND p.target = 'reward'
),
sold AS (
  SELECT event_date, session_id, count(DISTINCT order_id)::DOUBLE AS orders, sum(amount)::DOUBLE AS amount
  FROM order_lines
  WHERE status = 'completed' AND session_id IS NOT NULL
  GROUP BY event_date, session_id
),
visits AS (
  SELECT b.experiment_id, b.kpi, b.venue_id, s.event_date, s.user_id, s.session_id AS row_id,
    hour(s.enter_local)::INTEGER AS hour, coalesce(o.orders, 0) AS orders, coalesce(o.amount, 0) AS amount,
    1.0 AS visits, CASE WHEN s.state = 'complete' THEN s.dwell_seconds ELSE 0 END AS dwell_seconds
  FROM bandits AS b
  JOIN sessions AS s
    ON s.venue_id = b.venue_id AND s.enter_at IS NOT NULL AND s.event_date BETWEEN b.history_from AND b.history_to
  LEFT JOIN sold AS o ON o.event_date = s.event_date AND o.session_id = s.session_id
  WHERE b.unit = 'visit'
),
user_dates AS (
  SELECT b.experiment_id, b.kpi, b.venue_id, d.event_date, d.user_id, d.user_id AS row_id, d.first_hour AS hour,
    sum(r.orders)::DOUBLE AS orders,
    CASE WHEN bool_and(r.amount IS NOT NULL) THEN sum(r.amount)::DOUBLE END AS amount,
    sum(r.entries)::DOUBLE AS visits,
    -- Integer microseconds add up to the same sum in any order.
    sum(round(r.dwell_seconds * 1e6)::BIGINT)::BIGINT / 1e6 AS dwell_seconds
  FROM bandits AS b
  JOIN user_days AS d
    ON d.venue_id = b.venue_id AND d.entries > 0
    AND d.event_date BETWEEN b.history_from AND b.history_to - b.reward_days
  JOIN user_days AS r
    ON r.venue_id = d.venue_id AND r.user_id = d.user_id
    AND r.event_date BETWEEN d.event_date AND d.event_date + b.reward_days
  WHERE b.unit = 'user'
  GROUP BY b.experiment_id, b.kpi, b.venue_id, d.event_date, d.user_id, d.first_hour
),
history AS (
  SELECT h.experiment_id, NULL::DATE AS matured_on, h.event_date, h.row_id, NULL::VARCHAR AS arm,
    NULL::DOUBLE AS propensity,
    CASE h.kpi WHEN 'conversion' THEN (h.orders > 0)::DOUBLE WHEN 'orders' THEN h.orders WHEN 'amount' THEN h.amount
      WHEN 'visits' THEN h.visits WHEN 'dwell_seconds' THEN h.dwell_seconds END AS response,
    h.venue_id, isodow(h.event_date)::INTEGER AS weekday, h.hour,
    c.* EXCLUDE (event_date, venue_id, user_id)
  FROM (FROM visits UNION ALL BY NAME FROM user_dates) AS h
  LEFT JOIN visitor_contexts AS c
    ON c.event_date = h.event_date AND c.venue_id = h.venue_id AND c.user_id = h.user_id
),
units AS (
  SELECT * EXCLUDE (event_date, unit_id, assigned_on, reward, leaf_id, allocation_id),
    event_date AS matured_on, assigned_on AS event_date, unit_id AS row_id, reward AS response
  FROM bandit_units
)
SELECT *
FROM (FROM history UNION ALL BY NAME FROM units)
WHERE response IS NOT NULL
ORDER BY experiment_id, event_date, matured_on NULLS FIRST, row_id
"""


def compute(con: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
    """One row per bandit."""
    rows = con.sql(_ROWS).pl()
    bandits = con.sql(_BANDITS).pl().iter_rows(named=True)
    return pa.Table.from_pylist([_tree(bandit, rows, day) for bandit in bandits], _SCHEMA)


def picture(rows: pa.Table) -> str:
    """The trees."""
    return forest(
        (f"{row['experiment_id']}: {row['target']}, fitted on {row['fitted_on']}", json.loads(row["tree"]))
        for row in rows.to_pylist()
    )


_SCHEMA: Final = pa.schema(
    {
        "experiment_id": pa.string(),
        "target": pa.string(),
        "fitted_on": pa.date32(),
        "rows": pa.int64(),
        "leaves": pa.int64(),
        "tree": pa.string(),
        "remark": pa.string(),
    }
)


def fitted_on(first_date: date, refit_days: int | None, day: date) -> date:
    """The date whose data the tree in force at the end of `day` has seen last."""
    first = first_date - timedelta(days=1)
    return first + timedelta(days=(day - first).days // refit_days * refit_days) if refit_days else first


def _tree(bandit: dict[str, Any], rows: pl.DataFrame, day: date) -> dict[str, object]:
    until = fitted_on(bandit["first_date"], bandit["refit_days"], day)
    known = pl.col("matured_on").is_null() | (pl.col("matured_on") <= until)
    seen = rows.filter(known & (pl.col("experiment_id") == bandit["experiment_id"]))
    # A tree wants a covariate; the venue of the experiment is always the same.
    covariates = bandit["covariates"] or ["venue_id"]
    target = bandit["target"]
    if target == "effect":
        tree, arm = by_effect(
            seen.select(covariates), seen["response"], seen["arm"], seen["propensity"], bandit["arms"]
        )
        target = f"effect of {arm} against {bandit['arms'][0]}" if arm else target
    else:
        seen = seen.filter(pl.col("arm").is_null() | (pl.col("arm") == bandit["arms"][0]))
        tree = by_level(seen.select(covariates), seen["response"])
    return {
        "experiment_id": bandit["experiment_id"],
        "target": target,
        "fitted_on": until,
        "rows": seen.height,
        "leaves": sum(node.split is None for node in tree.nodes),
        "tree": json.dumps(tree.to_dict(), ensure_ascii=False),
        "remark": _remark(bandit, target, seen.height, tree),
    }


def _remark(bandit: dict[str, Any], target: str, n: int, tree: ConditionalInferenceTree) -> str | None:
    """Why there are no groups, or what else somebody who set the experiment up would not expect."""
    remarks = []
    if bandit["history_days"] > HISTORY_DAYS:
        remarks.append(f"{bandit['history_days']} days of history are asked for, the last {HISTORY_DAYS} are read")
    if not bandit["covariates"]:
        remarks.append("no covariates are given: everybody is one group")
    elif target == "effect":
        again = "" if bandit["refit_days"] else "; without refit_days it stays so"
        remarks.append(f"no units of two arms yet whose effects could be compared: everybody is one group{again}")
    elif n < SETTINGS["minsplit"]:
        remarks.append(f"{n} rows, fewer than the {SETTINGS['minsplit']} that groups need: everybody is one group")
    elif not tree.nodes[0].split:
        remarks.append(f"no covariate tells groups apart at alpha {ALPHA}: everybody is one group")
    return "; ".join(remarks) or None
