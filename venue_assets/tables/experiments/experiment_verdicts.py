"""The verdict on each arm, given once: on the first date on which all gates hold, from the units up to then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from venue_assets.methods.adaptive import adaptive_effect
from venue_assets.methods.cuped import cuped
from venue_assets.methods.effect import Effect, NotComputable
from venue_assets.methods.matched_weekdays import matched_weekdays
from venue_assets.methods.multiplicity import bonferroni
from venue_assets.methods.two_sample import Sample, difference_of_means, difference_of_proportions
from venue_assets.tables.experiments import wording
from venue_assets.tables.experiments.propensities import Assigned
from venue_assets.tables.experiments.trial import Trial, rewards_by_arm, trials, units

_KNOWN_BEFORE: Final = 0.9
"""The share of units with a value from before the experiment from which on CUPED is worth its explanation."""
_SCHEMA: Final = pa.schema(
    {
        "experiment_id": pa.string(),
        "arm": pa.string(),
        "kpi": pa.string(),
        "position": pa.int32(),
        "control": pa.string(),
        "status": pa.string(),
        "analysed_on": pa.date32(),
        "method": pa.string(),
        "n_control": pa.int64(),
        "n_arm": pa.int64(),
        "control_mean": pa.float64(),
        "arm_mean": pa.float64(),
        "effect": pa.float64(),
        "level": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "p_value": pa.float64(),
        "significant": pa.bool_(),
        "conclusion": pa.string(),
        "conclusion_zh": pa.string(),
        "dates_missing": pa.int64(),
    }
)

Row = dict[str, Any]


def compute(con: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
    """Where each experiment stands at the end of `day`, for each arm but the control and each KPI."""
    everyone = units(con)
    kpis: dict[str, list[str]] = {}
    for experiment_id, kpi in con.sql("SELECT experiment_id, kpi FROM experiment_kpis ORDER BY position").fetchall():
        kpis.setdefault(experiment_id, []).append(kpi)
    currencies = dict(con.sql("SELECT venue_id, currency FROM venues").fetchall())
    rows: list[Row] = []
    for trial in trials(con, day):
        own = everyone.filter(pl.col("experiment_id") == trial.experiment_id)
        stands = _standing(con, trial, day)
        until = own.filter(pl.col("event_date") <= (stands.analysed_on or day))
        counted = {kpi: _Units.of(until.filter(pl.col("kpi") == kpi), trial) for kpi in kpis[trial.experiment_id]}
        if stands.status == "verdict":
            found = _verdict(trial, counted, currencies[trial.venue_id])
        else:
            found = _waiting(trial, counted, stands)
        head = {"experiment_id": trial.experiment_id, "control": trial.arms[0].name, "status": stands.status}
        tail = {"analysed_on": stands.analysed_on, "dates_missing": stands.dates_missing}
        rows += [head | row | tail for row in found]
    rows.sort(key=lambda row: (row["experiment_id"], row["arm"], row["position"]))
    return pa.Table.from_pylist(rows, _SCHEMA)


@dataclass(frozen=True)
class _Standing:
    """How far an experiment has come, and what its gates say: on the date of the analysis, or today."""

    status: str
    analysed_on: date | None
    gates: list[wording.Gate]
    sample_ratio_p: float | None
    dates_missing: int


def _standing(con: duckdb.DuckDBPyConnection, trial: Trial, day: date) -> _Standing:
    dates: dict[date, list[tuple[Any, ...]]] = {}
    for of, *gate in con.sql(
        """
        SELECT event_date, sample_ratio_ok, sample_ratio_p, enough,
          arm, n_units, required_n, samples_needed, days_needed
        FROM sample_size_checks
        WHERE experiment_id = $id AND event_date BETWEEN $first_date AND $day
        ORDER BY event_date, position
        """,
        params={"id": trial.experiment_id, "first_date": trial.first_date, "day": day},
    ).fetchall():
        dates.setdefault(of, []).append(tuple(gate))
    # A date on which the experiment had other arms says nothing of these.
    names = [arm.name for arm in trial.arms]
    dates = {of: gates for of, gates in dates.items() if [gate[3] for gate in gates] == names}
    if day not in dates:
        raise LookupError(
            f"sample_size_checks of {day} says nothing of experiment {trial.experiment_id} with the arms "
            f"{', '.join(names)}: it is older than the site. "
            f"Compute it first: venue materialize {day} --select 'sample_size_checks+'"
        )
    passed = [of for of, gates in dates.items() if all(ratio_ok and enough for ratio_ok, _, enough, *_ in gates)]
    over = day if day >= trial.matures_on else None
    today = dates[day]
    ratio_ok, ratio_p, *_ = today[0]
    status = "verdict" if passed else "withheld" if not ratio_ok else "not_enough" if over else "running"
    return _Standing(
        status,
        passed[0] if passed else over,
        [wording.Gate(*gate) for _, _, _, *gate in today],
        ratio_p,
        (day - trial.first_date).days + 1 - len(dates),
    )


@dataclass(frozen=True)
class _Units:
    """The units of one KPI that enter the analysis."""

    frame: pl.DataFrame
    assigned: Assigned | None
    """Of a bandit."""
    counts: list[int]

    @classmethod
    def of(cls, frame: pl.DataFrame, trial: Trial) -> _Units:
        assigned = Assigned.of(frame, trial) if trial.kind == "bandit" else None
        arm = assigned.arm if assigned is not None else frame["arm_no"].to_numpy().astype(np.int64)
        return cls(frame, assigned, np.bincount(arm, minlength=len(trial.arms)).tolist())


def _waiting(trial: Trial, counted: dict[str, _Units], stands: _Standing) -> list[Row]:
    """Counts, never an effect."""
    # Of those that lack equally much an arm is named rather than the control.
    most = max(
        [*stands.gates[1:], stands.gates[0]],
        key=lambda g: (g.samples_needed is None, g.samples_needed or 0, g.days_needed is None, g.days_needed or 0),
    )
    rows = []
    for position, (kpi, own) in enumerate(counted.items()):
        for arm, n in zip(trial.arms[1:], own.counts[1:], strict=True):
            if stands.status == "withheld":
                said = wording.withheld(trial, stands.sample_ratio_p or 0.0, [(g.arm, g.n_units) for g in stands.gates])
            elif stands.status == "not_enough":
                said = wording.not_enough(trial, most)
            else:
                said = wording.running(trial, most, (n, own.counts[0]), (arm.name, trial.arms[0].name))
            rows.append(
                {
                    "arm": arm.name,
                    "kpi": kpi,
                    "position": position,
                    "n_control": own.counts[0],
                    "n_arm": n,
                    **_said(said),
                }
            )
    return rows


def _verdict(trial: Trial, counted: dict[str, _Units], currency: str) -> list[Row]:
    """All comparisons: those on the first KPI share alpha, and those on further KPI share it once more."""
    first, *further = counted
    found = {
        (kpi, arm): _compare(trial, kpi, own, arm, trial.alpha_of_comparison / (1 if kpi == first else len(further)))
        for kpi, own in counted.items()
        for arm in range(1, len(trial.arms))
    }
    corrected = _corrected({at: of for at, (_, of) in found.items() if at[0] == first})
    corrected |= _corrected({at: of for at, (_, of) in found.items() if at[0] != first})
    rows = []
    for (kpi, arm), (method, effect) in found.items():
        counts = counted[kpi].counts[arm], counted[kpi].counts[0]
        names = trial.arms[arm].name, trial.arms[0].name
        row: Row = {"arm": names[0], "kpi": kpi, "position": list(counted).index(kpi), "method": method}
        row |= {"n_arm": counts[0], "n_control": counts[1]}
        if isinstance(effect, NotComputable):
            rows.append(row | _said(wording.not_stated(kpi, names, effect)))
            continue
        # No error is left for further KPI where the first one shows nothing.
        p = max(corrected[kpi, arm], corrected[first, arm])
        blocked = corrected[kpi, arm] < trial.alpha <= p
        low, high = effect.interval
        row |= {"control_mean": effect.control, "arm_mean": effect.arm, "effect": effect.effect}
        row |= {"level": 1 - effect.alpha, "low": low, "high": high, "p_value": p, "significant": p < trial.alpha}
        said = wording.verdict(trial, wording.Shown.of(kpi, currency), method, effect, names, counts, p, blocked)
        rows.append(row | _said(said))
    return rows


def _corrected(found: dict[tuple[str, int], Effect | NotComputable]) -> dict[tuple[str, int], float]:
    """p-values of a family of comparisons. One that is not computable still had its part of the error."""
    p_values = [effect.p_value if isinstance(effect, Effect) else 1.0 for effect in found.values()]
    return dict(zip(found, bonferroni(p_values), strict=True))


def _compare(trial: Trial, kpi: str, own: _Units, arm: int, alpha: float) -> tuple[str, Effect | NotComputable]:
    """The method for these units, and what it finds.

    Of visits and users alike the unit is what was assigned, and its reward a plain number: amount per user is a mean
    over users, not a ratio of sums, so that no delta method is needed.
    """
    if own.assigned is not None:
        return "adaptive", adaptive_effect(own.assigned.batches(), arm, alpha=alpha)
    rewards = rewards_by_arm(own.frame, len(trial.arms))
    if trial.kind == "before_after":
        weekdays = rewards_by_arm(own.frame.with_columns(pl.col("assigned_on").dt.weekday()), 2, "assigned_on")
        return "matched_weekdays", matched_weekdays(
            *rewards, before_weekdays=weekdays[0], after_weekdays=weekdays[1], alpha=alpha
        )
    both = own.frame.filter(pl.col("arm_no").is_in([0, arm]))
    if len(both) and both["pre_value"].count() >= _KNOWN_BEFORE * len(both):
        before = rewards_by_arm(own.frame.with_columns(pl.col("pre_value").fill_null(0)), len(trial.arms), "pre_value")
        return "cuped", cuped(rewards[0], rewards[arm], control_before=before[0], arm_before=before[arm], alpha=alpha)
    if kpi == "conversion":
        (control, n_control), (treated, n_arm) = ((int(r.sum()), len(r)) for r in (rewards[0], rewards[arm]))
        return "proportions", difference_of_proportions(control, n_control, treated, n_arm, alpha=alpha)
    return "welch", difference_of_means(Sample.of(rewards[0]), Sample.of(rewards[arm]), alpha=alpha)


def _said(sentences: tuple[str, str]) -> Row:
    return {"conclusion": sentences[0], "conclusion_zh": sentences[1]}
