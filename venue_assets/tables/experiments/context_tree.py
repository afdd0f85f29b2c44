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
from venue_assets.pictures.tree import Wording, forest

_BANDITS: Final = """
SELECT e.experiment_id, e.first_date, p.target, p.refit_days, p.learn_from, a.arms,
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

# Before the experiment everybody was treated alike: rows without an arm. An earlier test has units of every arm; both
# end with what was known on the date before the experiment. Its own units follow with their arms.
_ROWS: Final = """
WITH bandits AS (
  SELECT e.experiment_id, e.venue_id, e.unit, e.kpi, e.reward_days, e.first_date - p.history_days AS history_from,
    e.first_date - 1 AS history_to, p.target, p.learn_from
  FROM experiments AS e
  JOIN experiment_policies AS p ON p.experiment_id = e.experiment_id
  WHERE e.kind = 'bandit'
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
  WHERE b.target = 'reward' AND b.unit = 'visit'
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
  WHERE b.target = 'reward' AND b.unit = 'user'
  GROUP BY b.experiment_id, b.kpi, b.venue_id, d.event_date, d.user_id, d.first_hour
),
tested AS (
  SELECT b.experiment_id, b.venue_id, u.assigned_on AS event_date, u.user_id, u.unit_id AS row_id,
    coalesce(hour(s.enter_local)::INTEGER, d.first_hour) AS hour, u.arm, u.propensity, u.reward AS response
  FROM bandits AS b
  JOIN experiment_units AS u
    ON u.experiment_id = b.learn_from AND u.kpi = b.kpi AND u.assigned_on >= b.history_from
    AND u.event_date <= b.history_to
  LEFT JOIN sessions AS s ON s.event_date = u.assigned_on AND s.session_id = u.session_id
  LEFT JOIN user_days AS d
    ON b.unit = 'user' AND d.event_date = u.assigned_on AND d.venue_id = b.venue_id AND d.user_id = u.user_id
  WHERE b.target = 'effect'
),
history AS (
  SELECT h.experiment_id, NULL::DATE AS matured_on, h.event_date, h.row_id, h.arm, h.propensity, h.response,
    h.venue_id, isodow(h.event_date)::INTEGER AS weekday, h.hour, c.* EXCLUDE (event_date, venue_id, user_id)
  FROM (
    SELECT *,
      CASE kpi WHEN 'conversion' THEN (orders > 0)::DOUBLE WHEN 'orders' THEN orders WHEN 'amount' THEN amount
        WHEN 'visits' THEN visits WHEN 'dwell_seconds' THEN dwell_seconds END AS response
    FROM (FROM visits UNION ALL BY NAME FROM user_dates)
    UNION ALL BY NAME
    FROM tested
  ) AS h
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


def picture(rows: pa.Table, _con: object = None) -> str:
    """The trees; of one of effects neither means nor p-values, for there may be no verdict of its experiment yet.

    Verdicts are no input of this table, lest one that fails holds up the shares of the next date.
    """
    drawn = rows.to_pylist()
    untold = Wording(mean=None, tests=False)
    trees = (
        (
            f"{row['experiment_id']}: {row['target']}, fitted on {row['fitted_on']}",
            json.loads(row["tree"]),
            Wording() if row["target"] == "reward" else untold,
        )
        for row in drawn
    )
    return forest(trees, _UNTOLD if any(row["target"] != "reward" for row in drawn) else "")


_UNTOLD: Final = "Effects are told once there is a verdict: by venue experiment show and in the report."


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
    if bandit["target"] == "effect":
        tree = by_effect(seen.select(covariates), seen["response"], seen["arm"], seen["propensity"], bandit["arms"])
        contrasts = dict.fromkeys(str(node.response) for node in tree.nodes if node.split)
        target = f"effect of {', '.join(contrasts)}" if contrasts else "effect"
    else:
        seen = seen.filter(pl.col("arm").is_null() | (pl.col("arm") == bandit["arms"][0]))
        tree = by_level(seen.select(covariates), seen["response"])
        target = "reward"
    return {
        "experiment_id": bandit["experiment_id"],
        "target": target,
        "fitted_on": until,
        "rows": seen.height,
        "leaves": sum(node.split is None for node in tree.nodes),
        "tree": json.dumps(tree.to_dict(), ensure_ascii=False),
        "remark": _remark(bandit, seen.height, tree),
    }


def _remark(bandit: dict[str, Any], n: int, tree: ConditionalInferenceTree) -> str | None:
    """Why there are no groups, where somebody who set the experiment up would expect some."""
    if not bandit["covariates"]:
        return "no covariates are given: everybody is one group"
    if bandit["target"] == "effect" and tree.nodes[0].response is None:
        other = "" if bandit["learn_from"] else " or learn_from"
        again = "" if bandit["refit_days"] else f"; without refit_days{other} it stays so"
        return f"no units of two arms yet whose effects could be compared: everybody is one group{again}"
    if n < SETTINGS["minsplit"]:
        return f"{n} rows, fewer than the {SETTINGS['minsplit']} that groups need: everybody is one group"
    if not tree.nodes[0].split:
        return f"no covariate tells groups apart at alpha {ALPHA}: everybody is one group"
    return None
