"""Experiments as of the report's last date: how far they have come, what came of them, groups, shares, and ideas.

Before a verdict there is no effect, no p-value and no mean of an arm here: daily looks would find what is not there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from venue_assets.report.figures import Asker, Row
from venue_assets.report.subject import Venue

Outcome = Literal["better", "worse", "higher", "lower", "no_difference", "running", "not_enough", "withheld"]
"""`higher` and `lower` are of comparisons that are not randomised: what they show is no effect of an arm."""


@dataclass(frozen=True)
class Trial:
    """One experiment of a venue."""

    experiment_id: str
    kind: str
    unit: str
    kpi: str
    arms: Sequence[str]
    first_date: date
    last_date: date
    minimum_effect: float
    gates: list[Row]
    """One row per arm of sample_size_checks, the control first."""
    verdicts: list[Row]
    """One row per arm but the control, of the deciding KPI first."""
    tree: dict[str, Any] | None
    fitted_on: date | None
    given: list[Row]
    """`assigned_on`, `arm`, `units` of a bandit."""
    planned: list[Row]
    """`leaf`, `rule`, `arm`, `share`, `forecast` for the next date."""

    @property
    def is_randomised(self) -> bool:
        """Whether chance told the arms apart, so that a difference is an effect."""
        return self.kind != "before_after"

    @property
    def effects(self) -> list[Row]:
        """The rows of the deciding KPI that the one analysis gave an effect; none before it."""
        return [r for r in self.verdicts if r["position"] == 0 and r["status"] == "verdict" and r["effect"] is not None]

    @property
    def deciding(self) -> Row | None:
        """The row that stands for the experiment: what is shown before what is not, then the largest difference."""
        of_kpi = self.effects or [row for row in self.verdicts if row["position"] == 0]
        return max(of_kpi, key=lambda row: (bool(row["significant"]), abs(row["effect"] or 0)), default=None)

    @property
    def outcome(self) -> Outcome:
        """What came of it, in one word."""
        row = self.deciding
        status = row["status"] if row else "running"
        if row is None or status != "verdict":
            return "running" if status == "running" else "not_enough" if status == "not_enough" else "withheld"
        if not row["significant"] or not row["effect"]:
            return "no_difference"
        if not self.is_randomised:
            return "higher" if row["effect"] > 0 else "lower"
        return "better" if row["effect"] > 0 else "worse"

    @property
    def is_decided(self) -> bool:
        """Whether the one analysis has been made: nothing is told of effects before."""
        return self.outcome not in ("running", "not_enough", "withheld")

    @property
    def progress(self) -> float | None:
        """How much of the samples that are needed the slowest arm has."""
        shares = [min(1.0, row["n"] / row["required_n"]) for row in self.gates if row["required_n"]]
        return min(shares) if shares and len(shares) == len(self.gates) else None


def trials(asker: Asker, venue: Venue) -> list[Trial]:
    """The experiments of a venue that are on, maturing or decided at the end of the last date."""
    last = asker.subject.last
    found = []
    for e in asker.rows(_EXPERIMENTS, venue=venue.venue_id, last=last):
        of = {"id": e["experiment_id"], "last": last}
        tree = asker.rows(_TREE, **of)
        found.append(
            Trial(
                e["experiment_id"], e["kind"], e["unit"], e["kpi"], e["arms"].split(", "),
                e["first_date"], e["last_date"], e["minimum_effect"],
                asker.rows(_GATES, **of),
                asker.rows(_VERDICTS, **of),
                json.loads(tree[0]["tree"]) if tree else None,
                tree[0]["fitted_on"] if tree else None,
                asker.rows(_GIVEN, **of),
                asker.rows(_PLANNED, **of),
            )
        )  # fmt: skip
    return found


def hypotheses(asker: Asker, venue: Venue) -> list[Row]:
    """What the venue might try next, the most promising first."""
    return asker.rows(_HYPOTHESES, venue=venue.venue_id, last=asker.subject.last)


# The newest rows up to the last date, for an experiment that has ended has none afterwards.
_NEWEST: Final = """experiment_id = $id AND event_date = (
  SELECT max(event_date) FROM {table} WHERE experiment_id = $id AND event_date <= $last
)"""
_EXPERIMENTS: Final = """
SELECT * FROM star.dim_experiment
WHERE venue_id = $venue AND first_date <= $last
  AND experiment_id IN (SELECT experiment_id FROM experiments.sample_size_checks WHERE event_date <= $last)
ORDER BY first_date, experiment_id
"""
_GATES: Final = f"""
SELECT event_date, arm, n_units, n, required_n, enough, samples_needed, days_needed, sample_ratio_p, sample_ratio_ok
FROM experiments.sample_size_checks
WHERE {_NEWEST.format(table="experiments.sample_size_checks")} ORDER BY position
"""
_VERDICTS: Final = f"""
SELECT * FROM experiments.experiment_verdicts
WHERE {_NEWEST.format(table="experiments.experiment_verdicts")} ORDER BY position, arm
"""
_TREE: Final = f"""
SELECT tree, fitted_on FROM experiments.context_tree WHERE {_NEWEST.format(table="experiments.context_tree")}
"""
_GIVEN: Final = f"""
SELECT assigned_on, arm, sum(units + refused)::BIGINT AS units
FROM experiments.bandit_statistics
WHERE {_NEWEST.format(table="experiments.bandit_statistics")}
GROUP BY ALL ORDER BY assigned_on, arm
"""
_PLANNED: Final = f"""
SELECT event_date_of_shares AS day, leaf, rule, arm, share, forecast
FROM experiments.bandit_allocations
WHERE {_NEWEST.format(table="experiments.bandit_allocations")} ORDER BY leaf, position
"""
_HYPOTHESES: Final = """
SELECT rank, finding, finding_zh, block FROM experiments.improvement_hypotheses
WHERE venue_id = $venue AND event_date = $last ORDER BY rank
"""
