"""An experiment and its units as the tables of this layer read them from their inputs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from venue_assets.methods.sample_size import comparison_alpha

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Arm:
    """One variant, with its share of the traffic (None where arms follow each other) and its dates."""

    name: str
    fixed_share: float | None
    first_date: date
    last_date: date


@dataclass(frozen=True)
class Trial:
    """An experiment that is on or maturing, as `site.toml` describes it: first the KPI that decides and the control."""

    experiment_id: str
    venue_id: str
    kind: str
    unit: str
    kpi: str
    alpha: float
    power: float
    minimum_effect: float
    reward_days: int
    first_date: date
    last_date: date
    matures_on: date
    arms: tuple[Arm, ...]

    @property
    def alpha_of_comparison(self) -> float:
        """Of each arm with the control."""
        return comparison_alpha(self.alpha, len(self.arms))


def trials(con: duckdb.DuckDBPyConnection, day: date) -> list[Trial]:
    """The experiments of the date, in order of their ids; not those of which only the first shares are due."""
    arms: dict[str, list[Arm]] = {}
    of_arms = "SELECT experiment_id, arm, fixed_share, first_date, last_date FROM experiment_arms ORDER BY position"
    for experiment_id, *values in con.sql(of_arms).fetchall():
        arms.setdefault(experiment_id, []).append(Arm(*values))
    names = [field.name for field in fields(Trial) if field.name != "arms"]
    found = con.sql(
        f"SELECT {', '.join(names)} FROM experiments WHERE first_date <= $day ORDER BY experiment_id",
        params={"day": day},
    )
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return [Trial(**row, arms=tuple(arms[row["experiment_id"]])) for row in rows]


def units(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The units of the experiments' own dates and arms, `arm_no` 0 being the control, in a total order.

    Partitions that were computed before an experiment was moved or lost an arm may hold others.
    """
    found: pl.DataFrame = con.sql(
        """
        SELECT u.experiment_id, u.kpi, u.event_date, u.unit_id, u.assigned_on, u.allocation_id, u.leaf_id, u.propensity,
          u.reward, u.pre_value, a.position AS arm_no
        FROM experiment_units AS u
        JOIN experiments AS e ON e.experiment_id = u.experiment_id
        JOIN experiment_arms AS a ON a.experiment_id = u.experiment_id AND a.arm = u.arm
        WHERE u.assigned_on BETWEEN a.first_date AND a.last_date AND u.event_date = u.assigned_on + e.reward_days
        ORDER BY u.experiment_id, u.kpi, u.event_date, u.unit_id
        """
    ).pl()
    return found


def rewards_by_arm(units: pl.DataFrame, arms: int, column: str = "reward") -> list[FloatArray]:
    """The rewards (or another column) of each arm's units."""
    of, values = units["arm_no"].to_numpy(), units[column].to_numpy().astype(np.float64)
    return [values[of == arm] for arm in range(arms)]
