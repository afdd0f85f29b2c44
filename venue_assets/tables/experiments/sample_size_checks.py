"""The gates before a verdict: enough units in every arm, and the units that each was meant to get."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil
from typing import Any, Final

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from venue_assets.methods.sample_ratio import ALPHA, sample_ratio
from venue_assets.methods.sample_size import (
    continuous_variance,
    detectable_effect,
    gate_variance,
    kish_effective_n,
    minimum_sample_size,
    planned_continuous_variance,
    planned_ratio_variance,
    ratio_variance,
)
from venue_assets.methods.two_sample import Sample
from venue_assets.tables.experiments.propensities import Assigned
from venue_assets.tables.experiments.trial import FloatArray, Trial, rewards_by_arm, trials, units

_RATE_DAYS: Final = 7
_MOST: Final = 2**53
"""Where amounts are absurd, so is the number of units that they ask for."""
_SCHEMA: Final = pa.schema(
    {
        "experiment_id": pa.string(),
        "arm": pa.string(),
        "position": pa.int32(),
        "kpi": pa.string(),
        "n_units": pa.int64(),
        "units_left_out": pa.int64(),
        "n": pa.float64(),
        "variance": pa.float64(),
        "planned_variance": pa.float64(),
        "delta": pa.float64(),
        "alpha": pa.float64(),
        "power": pa.float64(),
        "required_n": pa.int64(),
        "enough": pa.bool_(),
        "samples_needed": pa.int64(),
        "days_needed": pa.int64(),
        "sample_ratio_p": pa.float64(),
        "sample_ratio_ok": pa.bool_(),
        "detectable_effect": pa.float64(),
    }
)


def compute(con: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
    """Counts and gates of each arm, as of the end of `day`."""
    everyone = units(con)
    rows = []
    for trial in trials(con, day):
        own = everyone.filter((pl.col("experiment_id") == trial.experiment_id) & (pl.col("kpi") == trial.kpi))
        rows += _gates(trial, own, _planned_variance(con, trial), day)
    return pa.Table.from_pylist(rows, _SCHEMA)


@dataclass(frozen=True)
class _Comparison:
    """An arm with the control: what its sample size follows from."""

    variance: float | None
    required: int | None
    detectable: float | None


def _gates(trial: Trial, own: pl.DataFrame, planned: float | None, day: date) -> list[dict[str, Any]]:
    arms = len(trial.arms)
    left_out = np.zeros(arms, dtype=np.int64)
    if trial.kind == "bandit":
        assigned = Assigned.of(own, trial)
        left_out = np.bincount(assigned.left_out, minlength=arms)
        rewards = [assigned.reward[assigned.arm == arm] for arm in range(arms)]
        n = [kish_effective_n(assigned.weights[assigned.arm == arm]) for arm in range(arms)]
        shares = assigned.expected.tolist() if len(own) else [1.0] * arms
    else:
        rewards = rewards_by_arm(own, arms)
        n = [float(len(of)) for of in rewards]
        shares = [arm.fixed_share or 0.0 for arm in trial.arms]
    counts = [len(of) for of in rewards]
    ratio = None if trial.kind == "before_after" else sample_ratio(counts, shares)
    compared = [_compare(trial, rewards[0], rewards[arm], planned, min(n[0], n[arm])) for arm in range(1, arms)]
    of_arm = [_most_demanding(compared), *compared]
    found = []
    for position, (arm, comparison) in enumerate(zip(trial.arms, of_arm, strict=True)):
        needed = _needed(comparison.required, n[position], counts[position])
        found.append(
            {
                "experiment_id": trial.experiment_id,
                "arm": arm.name,
                "position": position,
                "kpi": trial.kpi,
                "n_units": counts[position],
                "units_left_out": int(left_out[position]),
                "n": n[position],
                "variance": comparison.variance,
                "planned_variance": planned,
                "delta": trial.minimum_effect,
                "alpha": trial.alpha_of_comparison,
                "power": trial.power,
                "required_n": comparison.required,
                "enough": needed == 0,
                "samples_needed": needed,
                "days_needed": _days(trial, position, own, needed, day),
                "sample_ratio_p": ratio and ratio.p_value,
                "sample_ratio_ok": ratio is None or ratio.p_value >= ALPHA,
                "detectable_effect": comparison.detectable,
            }
        )
    return found


def _compare(trial: Trial, control: FloatArray, arm: FloatArray, planned: float | None, n: float) -> _Comparison:
    observed = _observed_variance(trial.kpi, Sample.of(control), Sample.of(arm))
    known = observed is not None or planned is not None
    variance = gate_variance(observed=observed, planned=planned) if known else 0.0
    if not variance:
        return _Comparison(observed, None, None)
    asked = {"variance": variance, "alpha": trial.alpha_of_comparison, "power": trial.power}
    required = min(_MOST, minimum_sample_size(delta=trial.minimum_effect, **asked))
    # A single unit, however clear the effect is meant to be, leaves no error to be estimated.
    return _Comparison(observed, max(2, required), detectable_effect(n, **asked) if n else None)


def _observed_variance(kpi: str, control: Sample, arm: Sample) -> float | None:
    if min(control.n, arm.n) < 2:
        return None
    if kpi == "conversion":
        return ratio_variance(control.mean, arm.mean)
    return continuous_variance(control.variance, arm.variance)


def _planned_variance(con: duckdb.DuckDBPyConnection, trial: Trial) -> float | None:
    known = con.sql(
        "SELECT mean, variance FROM experiment_baselines "
        "WHERE experiment_id = $id AND kpi = $kpi AND event_date = $first_date",
        params={"id": trial.experiment_id, "kpi": trial.kpi, "first_date": trial.first_date},
    ).fetchall()
    mean, variance = known[0] if known else (None, None)
    if trial.kpi != "conversion":
        return None if variance is None else planned_continuous_variance(variance)
    if mean is None:
        return None
    delta = trial.minimum_effect
    # Where a rate has no room above it, the effect can only lie below.
    return planned_ratio_variance(mean, delta if mean + delta <= 1 else -min(delta, mean))


def _most_demanding(compared: list[_Comparison]) -> _Comparison:
    """The control's part: what suffices for every comparison. Nothing suffices while one has no sample size."""
    unknown = any(c.required is None for c in compared)
    return _Comparison(
        max((c.variance for c in compared if c.variance is not None), default=None),
        None if unknown else max(c.required or 0 for c in compared),
        max((c.detectable for c in compared if c.detectable is not None), default=None),
    )


def _needed(required: int | None, n: float, units: int) -> int | None:
    """Units still needed, each worth as much as those that are there."""
    if required is None:
        return None
    missing = max(0.0, required - n)
    return ceil(missing * units / n) if n else required


def _days(trial: Trial, position: int, own: pl.DataFrame, needed: int | None, day: date) -> int | None:
    """Days until so many units more have come, at the mean of the last dates on which the arm's units came due."""
    if not needed:
        return needed
    arm, reward_days = trial.arms[position], timedelta(days=trial.reward_days)
    begin = max(arm.first_date + reward_days, day - timedelta(days=_RATE_DAYS - 1))
    given_no_more = trial.kind == "before_after" and position == 0 and day >= arm.last_date
    if day < begin or given_no_more:
        return None
    came = own.filter((pl.col("arm_no") == position) & (pl.col("event_date") >= begin)).height
    return ceil(needed * ((day - begin).days + 1) / came) if came else None
