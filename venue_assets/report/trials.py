"""Experiments as of the report's last date: how far they have come, what came of them, groups, shares, and ideas.

Before a verdict there is no effect, no p-value and no mean of an arm here: daily looks would find what is not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from venue_assets.report import losses
from venue_assets.report.figures import Asker, Row
from venue_assets.report.losses import Cause
from venue_assets.report.subject import Venue

PACE: Final = 7
"""Dates by which sample_size_checks and the report say how fast units come."""

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
    """One row per arm of sample_size_checks, the control first: as of the one analysis, else of the last date."""
    come_since: int
    """Units whose reward became complete after the one analysis, which they change no more."""
    verdicts: list[Row]
    """One row per arm but the control, of the deciding KPI first."""
    tree: dict[str, Any] | None
    fitted_on: date | None
    given: list[Row]
    """`assigned_on`, `arm`, `units`, `by_plan` of a bandit: what was really assigned, and how many of it by a plan.

    Without dates on which an arm got too few units to be told.
    """
    planned: list[Row]
    """`leaf`, `rule`, `arm`, `share`, `forecast` for the next date."""
    planned_before: list[Row]
    """The same as it was for the last date."""
    damaged: Mapping[date, frozenset[Cause]]
    """Damaged dates of the venue from the first one to the analysis."""

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

    def is_of_few(self, smallest_cell: int) -> bool:
        """Whether an arm has units, but fewer than may be told of; days are no people."""
        return self.unit != "venue_day" and any(0 < row["n_units"] < smallest_cell for row in self.gates)

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
    return [
        _trial(asker, venue, row) for row in asker.rows(_EXPERIMENTS, venue=venue.venue_id, last=asker.subject.last)
    ]


def _trial(asker: Asker, venue: Venue, e: Row) -> Trial:
    of = {"id": e["experiment_id"], "last": asker.subject.last}
    now, verdicts, tree = (asker.rows(sql, **of) for sql in (_GATES, _VERDICTS, _TREE))
    # What was not there at the one analysis changes nothing of it, so it must not look as if it did.
    analysed_on = next((row["analysed_on"] for row in verdicts if row["analysed_on"]), None)
    gates = (asker.rows(_GATES, **of | {"last": analysed_on}) if analysed_on else []) or now
    # Only days are units of which whatever is missing is a part.
    until = min(analysed_on or asker.subject.last, e["last_date"])
    harm = losses.damaged(asker.rows, e["first_date"], until) if e["unit"] == "venue_day" else {}
    return Trial(
        e["experiment_id"], e["kind"], e["unit"], e["kpi"], e["arms"].split(", "),
        e["first_date"], e["last_date"], e["minimum_effect"],
        gates,
        sum(row["n_units"] for row in now) - sum(row["n_units"] for row in gates),
        verdicts,
        json.loads(tree[0]["tree"]) if tree else None,
        tree[0]["fitted_on"] if tree else None,
        asker.rows(_GIVEN, **of, venue=venue.venue_id, few=asker.smallest_cell) if e["kind"] == "bandit" else [],
        asker.rows(_PLANNED, **of),
        asker.rows(_PLANNED_BEFORE, **of),
        losses.whole(harm.get(venue.venue_id, {})),
    )  # fmt: skip


def total_shares(plan: Sequence[Row]) -> dict[str, float]:
    """The share of each arm in all expected units of a plan; empty without one."""
    expected = sum({row["leaf"]: row["forecast"] for row in plan}.values())
    found: dict[str, float] = {}
    for row in plan:
        found[row["arm"]] = found.get(row["arm"], 0.0) + row["share"] * row["forecast"] / expected
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
# One assignment of a unit counts, the first one.
_GIVEN: Final = """
SELECT event_date AS assigned_on, arm, count(*) AS units, count(allocation_id) AS by_plan
FROM (
  SELECT a.*, e.unit FROM clean.assignments AS a JOIN star.dim_experiment AS e USING (experiment_id, venue_id)
  WHERE experiment_id = $id AND venue_id = $venue AND event_date BETWEEN e.first_date AND least(e.last_date, $last)
  QUALIFY row_number() OVER (
    PARTITION BY unit_id, CASE WHEN e.unit = 'venue_day' THEN event_date END
    ORDER BY recorded_at, gateway_id, boot_id, seq
  ) = 1
)
GROUP BY event_date, arm, unit
QUALIFY bool_and(unit = 'venue_day' OR count(*) >= $few) OVER (PARTITION BY event_date)
ORDER BY event_date, arm
"""
_PLANNED: Final = f"""
SELECT event_date_of_shares AS day, leaf, rule, arm, share, forecast
FROM experiments.bandit_allocations
WHERE {_NEWEST.format(table="experiments.bandit_allocations")} ORDER BY leaf, position
"""
_PLANNED_BEFORE: Final = """
SELECT event_date_of_shares AS day, leaf, rule, arm, share, forecast
FROM experiments.bandit_allocations
WHERE experiment_id = $id AND event_date_of_shares = $last ORDER BY leaf, position
"""
_HYPOTHESES: Final = """
SELECT rank, finding, finding_zh, block FROM experiments.improvement_hypotheses
WHERE venue_id = $venue AND event_date = $last ORDER BY rank
"""
