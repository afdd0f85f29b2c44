"""What became of an experiment's units, by DESIGN's rules over the simulator's own tables: units and conversions.

Written apart from the system that is being checked, in another way (numpy instead of SQL), on purpose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from edge_collector.experiment import Experiment
from venue_assets.simulate.metrics import OVERLONG, Sessions, current_lines, sessions_of
from venue_assets.simulate.records import NULL, Status, Table
from venue_assets.simulate.trials import arm_by_date
from venue_assets.simulate.venue_day import DAY, MINUTE, BoolArray, IntArray
from venue_assets.simulate.worlds import GROUPS, World, effects

NEAR: Final = 10 * MINUTE
"""A visit is looked for no farther than this from its assignment."""
ATTACHED_AFTER: Final = 30 * MINUTE
"""An order belongs to a visit that ended so long before at most."""
_APART: Final = 30 * DAY
"""More than lies between any two instants of a date: makes one sorted axis of all users' instants."""

ExperimentDateArm = tuple[str, date, str]


@dataclass
class Units:
    """By experiment, date of assignment and arm. Dates are added in their order."""

    experiments: Mapping[str, Sequence[Experiment]]
    """By venue."""
    conversions_known: bool = True
    """Not where identities are linked and links may be lost on their way: then nobody knows here who is who."""
    assigned: Counter[ExperimentDateArm] = field(default_factory=Counter)
    """Clean records."""
    units: Counter[ExperimentDateArm] = field(default_factory=Counter)
    """Of each unit the first clean one. Where arms go by the date, a date is a unit without a record."""
    of_group: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Units by experiment and group."""
    _visits: Counter[ExperimentDateArm] = field(default_factory=Counter)
    """Units that are visits with a completed order."""
    _users: dict[str, dict[str, tuple[date, str, str]]] = field(default_factory=dict)
    """Units that are users: date, arm and who it is at the till, by experiment and unit_id."""
    _payers: dict[tuple[str, date], set[str]] = field(default_factory=dict)
    """Users with a completed order, by venue and date."""

    def add(self, venue_id: str, day: date, tables: Mapping[str, Table]) -> None:
        """One venue's date, all rows of whose tables hold."""
        experiments = {e.id: e for e in self.experiments.get(venue_id, ())}
        for experiment in experiments.values():
            if experiment.kind == "before_after" and experiment.first_date <= day <= experiment.last_date:
                self.units[experiment.id, day, experiment.arms[arm_by_date(experiment, day)]] += 1
        if any(e.unit == "user" for e in experiments.values()):
            self._payers[venue_id, day] = _payers(tables.get("orders"))
        if (table := tables.get("assignments")) is None:
            return
        for i, experiment_id in enumerate(table.labels["experiment"]):
            own = table.take(table["experiment"] == i)
            arms = [(experiment_id, day, table.labels["arm"][arm]) for arm in own["arm"].tolist()]
            self.assigned.update(arms)
            first = self._first(experiments[experiment_id], day, own, tables)
            self.units.update(arms[row] for row in np.flatnonzero(first).tolist())
            self.of_group.update((experiment_id, GROUPS[g]) for g in own["group"][first].tolist() if g >= 0)
            if experiments[experiment_id].unit == "visit":
                self._visits.update(arms[row] for row in np.flatnonzero(_converted(own, tables)).tolist())

    def _first(self, experiment: Experiment, day: date, own: Table, tables: Mapping[str, Table]) -> BoolArray:
        """Which of the rows are the first one of their unit: only users are asked about again, on other dates."""
        first = np.ones(len(own), dtype=np.bool_)
        if experiment.unit == "user":
            known = self._users.setdefault(experiment.id, {})
            at_tills = tables["orders"].labels["user"] if "orders" in tables else ()
            for row, (unit, arm, user) in enumerate(zip(own["unit"], own["arm"], own["user"], strict=True)):
                unit_id = own.labels["unit"][unit]
                if unit_id in known:
                    first[row] = False
                else:
                    known[unit_id] = (day, own.labels["arm"][arm], at_tills[user] if at_tills else unit_id)
        return first

    @property
    def conversions(self) -> Counter[ExperimentDateArm]:
        """How many of the units of visits and users converted, as far as dates were added."""
        found = Counter(self._visits)
        for venue_id, experiments in self.experiments.items():
            for experiment in experiments:
                window = [timedelta(days=n) for n in range(experiment.reward_days + 1)]
                for day, arm, who in self._users.get(experiment.id, {}).values():
                    if any(who in self._payers.get((venue_id, day + later), ()) for later in window):
                        found[experiment.id, day, arm] += 1
        return found

    def to_json(self) -> list[dict[str, Any]]:
        """A row per experiment, date and arm with units or records."""
        conversions, days = self.conversions, self._without_conversions
        return [
            {
                "experiment_id": e,
                "event_date": str(d),
                "arm": arm,
                "assigned": self.assigned[e, d, arm],
                "units": self.units[e, d, arm],
                "conversions": None if e in days else conversions[e, d, arm],
            }
            for e, d, arm in sorted(self.assigned.keys() | self.units.keys())
        ]

    def arms(self, world: World) -> list[dict[str, Any]]:
        """A row per experiment and arm over all dates, with what the arm truly adds to the conversion of a visit.

        `effect` is the mean over all units, whatever their arms; null where units are not visits.
        """
        conversions, days = self.conversions, self._without_conversions
        rows = []
        for experiment in sorted((e for own in self.experiments.values() for e in own), key=lambda e: e.id):
            by_group = effects(world, len(experiment.arms))
            sizes = np.array([self.of_group[experiment.id, group] for group in GROUPS])
            visits = experiment.unit == "visit" and sizes.sum() > 0
            for i, arm in enumerate(experiment.arms):
                of_arm = [key for key in self.units if key[0] == experiment.id and key[2] == arm]
                rows.append(
                    {
                        "experiment_id": experiment.id,
                        "arm": arm,
                        "effect": float(sizes @ by_group[:, i] / sizes.sum()) if visits else None,
                        "effect_by_group": dict(zip(GROUPS, by_group[:, i].tolist(), strict=True)),
                        "units": sum(self.units[key] for key in of_arm),
                        "conversions": None if experiment.id in days else sum(conversions[key] for key in of_arm),
                    }
                )
        return rows

    @property
    def _without_conversions(self) -> set[str]:
        """Experiments of whose units nobody can say whether they converted: those of whole days, at least."""
        return {
            e.id
            for own in self.experiments.values()
            for e in own
            if e.unit == "venue_day" or not self.conversions_known
        }


def _payers(orders: Table | None) -> set[str]:
    if orders is None:
        return set()
    current = current_lines(orders)
    who = current["user"][(current["status"] == Status.COMPLETED) & (current["user"] >= 0)]
    return {orders.labels["user"][user] for user in np.unique(who).tolist()}


def _converted(assignments: Table, tables: Mapping[str, Table]) -> BoolArray:
    """Which of the assigned visits have a completed order attached."""
    if "face_visits" not in tables:
        return np.zeros(len(assignments), dtype=np.bool_)
    sessions = sessions_of(tables["face_visits"])
    base = assignments.day.starts
    found = _nearest(
        assignments["user"] * _APART + assignments["time"] - base, sessions.user * _APART + sessions.entered - base
    )
    # Where the visit names nobody who was seen that date, whoever came at that moment is meant.
    anybody = np.lexsort((sessions.seq, sessions.gateway, sessions.entered))
    of_anybody = _nearest(assignments["time"] - base, sessions.entered[anybody] - base)
    nobody = ~np.isin(assignments["user"], tables["face_visits"]["user"])
    found[nobody] = np.append(anybody, -1)[of_anybody[nobody]]
    result: BoolArray = np.append(_bought(sessions, tables.get("orders"), base), False)[found]
    return result


def _nearest(wanted: IntArray, sorted_at: IntArray) -> IntArray:
    """Index of the nearest element within NEAR, the first of several; -1 where there is none."""
    if not len(sorted_at):
        return np.full(len(wanted), -1, dtype=np.int64)
    after = np.searchsorted(sorted_at, wanted).clip(max=len(sorted_at) - 1)
    before = np.searchsorted(sorted_at, sorted_at[(after - 1).clip(min=0)])
    to_before, to_after = np.abs(sorted_at[before] - wanted), np.abs(sorted_at[after] - wanted)
    nearest = np.where(to_before <= to_after, before, after)
    return np.where(np.minimum(to_before, to_after) <= NEAR, nearest, -1)


def _bought(sessions: Sessions, orders: Table | None, base: int) -> BoolArray:
    """Which sessions have a completed order attached: of the ones that reach so far the one entered last."""
    result = np.zeros(len(sessions.user), dtype=np.bool_)
    if orders is None or not len(result):
        return result
    current = current_lines(orders)
    current = current.take((current["status"] == Status.COMPLETED) & (current["user"] >= 0))
    user, at = current["user"], current["time"]
    # A user's sessions do not overlap, so no other one can contain the instant or have ended later.
    last = np.searchsorted(sessions.user * _APART + sessions.entered - base, user * _APART + at - base, "right") - 1
    reaches = np.where(sessions.left == NULL, sessions.entered + OVERLONG, sessions.left + ATTACHED_AFTER)
    result[last[(last >= 0) & (sessions.user[last] == user) & (at <= reaches[last])]] = True
    return result
