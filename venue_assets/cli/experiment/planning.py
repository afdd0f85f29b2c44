"""How large a test has to be: what the lake knows of a KPI and of the traffic, and the sample size that follows.

Prints nothing. What an experiment's gates say once it runs is in sample_size_checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil
from typing import Final

import duckdb

from venue_assets.methods.sample_size import (
    comparison_alpha,
    detectable_effect,
    minimum_sample_size,
    planned_continuous_variance,
    planned_ratio_variance,
)
from venue_assets.tables.catalogue import Catalogue

BEFORE: Final = 28
"""Event dates that tell what to plan with."""


@dataclass(frozen=True)
class Baseline:
    """A venue's KPI per unit over the dates before one, and how many units come a day."""

    before: date
    dates: int
    """Of these, how many are known."""
    units: int
    mean: float | None
    variance: float | None

    @property
    def units_a_day(self) -> float:
        return self.units / self.dates if self.dates else 0.0


def baseline(
    con: duckdb.DuckDBPyConnection, catalogue: Catalogue, *, venue_id: str, unit: str, kpi: str, days: int, before: date
) -> Baseline:
    """As `experiment_baselines` would have it for an experiment that begins on `before`, its reward taking `days`.

    `con` has a view per table, as `venue query` asks them; the SQL of the table itself reads them, cut to its window.
    """
    table = catalogue["experiment_baselines"]
    con.execute(f"SET VARIABLE event_date = DATE '{before}'")
    for name in catalogue.lake_inputs(table):
        con.execute(
            f"CREATE OR REPLACE TEMP VIEW {name} AS FROM memory.main.{name} "
            f"WHERE event_date BETWEEN DATE '{before}' - {BEFORE} AND DATE '{before}'"
        )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE experiments AS SELECT 'planned' AS experiment_id, $venue_id AS venue_id, "
        "$unit AS unit, $days::INTEGER AS reward_days, $before::DATE AS first_date",
        {"venue_id": venue_id, "unit": unit, "days": days, "before": before},
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE experiment_kpis AS SELECT 'planned' AS experiment_id, $kpi AS kpi, 0 AS position",
        {"kpi": kpi},
    )
    found = con.execute(f"SELECT units, mean, variance FROM ({table.sql})").fetchall()
    # A user arrives on dates whose reward ends before; the others have brought none.
    (dates,) = con.execute(
        "SELECT count(*) FROM primary_metrics "
        "WHERE venue_id = $venue_id AND event_date < $before::DATE - $days::INTEGER",
        {"venue_id": venue_id, "before": before, "days": days},
    ).fetchall()[0]
    units, mean, variance = found[0] if found else (0, None, None)
    return Baseline(before, int(dates), int(units), mean, variance)


def planned_variance(kpi: str, delta: float, mean: float | None, variance: float | None) -> float | None:
    """Of both arms together; None where nothing is known."""
    if kpi != "conversion":
        return None if variance is None else planned_continuous_variance(variance)
    if mean is None:
        return None
    # Where a rate has no room above it, the effect can only lie below.
    return planned_ratio_variance(mean, delta if mean + delta <= 1 else -min(delta, mean))


@dataclass(frozen=True)
class Plan:
    """A test, and what it asks for. `shares` are what each arm gets of the traffic, the control first."""

    delta: float
    variance: float
    alpha: float
    power: float
    shares: Sequence[float]
    units_a_day: float

    @property
    def alpha_of_comparison(self) -> float:
        return comparison_alpha(self.alpha, len(self.shares))

    @property
    def required_n(self) -> int:
        needed = minimum_sample_size(
            delta=self.delta, variance=self.variance, alpha=self.alpha_of_comparison, power=self.power
        )
        return max(2, needed)  # a single unit leaves no error to be estimated

    @property
    def days(self) -> int | None:
        """Until the arm with the least has enough; None where nobody comes."""
        a_day = min(self.shares) * self.units_a_day
        return ceil(self.required_n / a_day) if a_day else None

    def units_of(self, share: float, days: int) -> int:
        """What an arm with that share gets in so many days."""
        return int(share * self.units_a_day * days)

    def detectable(self, days: int) -> float | None:
        """The smallest effect that so many days would find; None without units."""
        n = self.units_of(min(self.shares), days)
        if not n:
            return None
        return detectable_effect(n, self.variance, alpha=self.alpha_of_comparison, power=self.power)


def days_of(first: date, last: date) -> int:
    """How many, both counted."""
    return (last - first) // timedelta(days=1) + 1
