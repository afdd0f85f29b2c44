"""What a venue tries on a date, on whom: which unit is given which arm, what that does, and the record of it.

What the arms really do is in `worlds`; who buys because of it, in `orders`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from edge_collector.allocation import Allocation, SharesInForce, shares_in_force
from edge_collector.assignment import arm_of, unit_of_day
from edge_collector.experiment import Experiment
from edge_collector.site import Device
from venue_assets.simulate.records import NULL, Table, table
from venue_assets.simulate.venue_day import FloatArray, IntArray, VenueDay, instant
from venue_assets.simulate.visits import Visits
from venue_assets.simulate.worlds import World, effects

ASSIGNED_AFTER: Final = (100, 600)
"""Milliseconds from the enter as the terminal recorded it (of a venue's day: from opening) to the assignment."""


Allocations = Callable[[str, date], Allocation | None]
"""What a gateway has of an experiment on an event date: None, or a stale one, means the fixed shares. Asked once."""


@dataclass(frozen=True)
class Given:
    """What a unit was given, and by which shares."""

    arm: int
    propensity: float
    by: SharesInForce


Kept = dict[tuple[str, str], Given]
"""What each user (experiment, unit_id) was given when first asked about: a unit keeps its arm, whatever shares do."""


@dataclass(frozen=True)
class Trial:
    """One experiment on one date. One element per unit, but `effect` has one per person who enters."""

    experiment: Experiment
    unit_id: Sequence[str]
    person: IntArray
    """Index into the visits of whoever's entering asked for the arm; -1 for a venue's day."""
    arm: IntArray
    propensity: FloatArray
    leaf: IntArray
    allocation_id: Sequence[str | None]
    effect: FloatArray
    """What the arm adds to the conversion of each visit."""


def trials_of(
    experiments: Iterable[Experiment],
    day: VenueDay,
    visits: Visits,
    world: World,
    allocations: Allocations | None,
    kept: Kept,
    *,
    can_assign: bool,
) -> list[Trial]:
    """The experiments of a venue that are on; without a device that assigns, only those whose arms go by the date.

    `kept` goes on from date to date; new users are entered.
    """
    on = [e for e in experiments if e.first_date <= day.event_date <= e.last_date]
    return [
        _trial(experiment, day, visits, world, allocations, kept)
        for experiment in on
        if can_assign or experiment.kind == "before_after"
    ]


def uplift(trials: Sequence[Trial], visits: Visits) -> FloatArray:
    """What all trials together add to the conversion of each person who enters; nothing where nobody is recognised."""
    return np.sum([trial.effect for trial in trials], axis=0) if trials else np.zeros(len(visits.entered))


def assignments_of(
    day: VenueDay,
    trials: Sequence[Trial],
    visits: Visits,
    rng: np.random.Generator,
    devices: tuple[Device, ...],
    gateways: Sequence[str],
) -> Table:
    """The record of every arm that was given, in the order of the trials.

    Beside the contract's fields: `user` (index into the pseudonyms, -1 for a venue's day) and `group` of the unit.
    """
    arms = sorted({arm for trial in trials for arm in trial.experiment.arms})
    of_unit = [allocation_id for trial in trials for allocation_id in trial.allocation_id]
    allocation_ids = sorted({allocation_id for allocation_id in of_unit if allocation_id is not None})
    allocation_index = {None: -1} | {allocation_id: i for i, allocation_id in enumerate(allocation_ids)}
    person = np.concatenate([trial.person for trial in trials])
    at = np.where(person < 0, day.opens, visits.entered[person]) + rng.integers(*ASSIGNED_AFTER, len(person))
    user = np.where(person < 0, -1, visits.user[person])
    return table(
        "assignments",
        day,
        devices,
        gateways,
        device=rng.integers(0, len(devices), len(person)),
        time=at,
        labels={
            "experiment": [trial.experiment.id for trial in trials],
            "unit": [unit_id for trial in trials for unit_id in trial.unit_id],
            "arm": arms,
            "allocation": allocation_ids,
        },
        experiment=np.repeat(np.arange(len(trials)), [len(trial.arm) for trial in trials]),
        unit=np.arange(len(person)),
        arm=np.concatenate([np.array([arms.index(a) for a in t.experiment.arms])[t.arm] for t in trials]),
        propensity=np.concatenate([trial.propensity for trial in trials]),
        leaf=np.concatenate([trial.leaf for trial in trials]),
        allocation=np.array([allocation_index[allocation_id] for allocation_id in of_unit], dtype=np.int64),
        user=user,
        group=np.where(person < 0, -1, visits.group[person]),
    )


def _trial(
    experiment: Experiment, day: VenueDay, visits: Visits, world: World, allocations: Allocations | None, kept: Kept
) -> Trial:
    unit_id, person = _units(experiment, day, visits)
    hashed = [unit_of_day(u, day.event_date) for u in unit_id] if experiment.unit == "venue_day" else unit_id
    in_force = _in_force(experiment, day, visits, person, allocations)
    given = [_given(experiment, unit, held) for unit, held in zip(hashed, in_force, strict=True)]
    if experiment.unit == "user":
        given = [kept.setdefault((experiment.id, unit), now) for unit, now in zip(unit_id, given, strict=True)]
    arm = np.array([of.arm for of in given], dtype=np.int64)
    added = effects(world, len(experiment.arms))[visits.group, _arm_of_person(experiment, day, visits, person, arm)]
    return Trial(
        experiment,
        unit_id,
        person,
        arm,
        propensity=np.array([of.propensity for of in given], dtype=np.float64),
        leaf=np.array([NULL if of.by.leaf_id is None else of.by.leaf_id for of in given], dtype=np.int64),
        allocation_id=[of.by.allocation_id for of in given],
        effect=np.where(visits.recognised, added, 0.0),
    )


def _given(experiment: Experiment, unit: str, held: SharesInForce) -> Given:
    name, propensity = arm_of(experiment.id, unit, experiment.seed, experiment.arms, held.shares)
    return Given(experiment.arms.index(name), propensity, held)


def _in_force(
    experiment: Experiment, day: VenueDay, visits: Visits, person: IntArray, allocations: Allocations | None
) -> list[SharesInForce]:
    """The shares that hold for each unit: found as a gateway finds them."""
    if allocations is None or experiment.kind != "bandit":
        return [SharesInForce(experiment.shares)] * len(person)
    allocation = allocations(experiment.id, day.event_date)
    zone = ZoneInfo(day.venue.time_zone)
    return [
        shares_in_force(
            allocation,
            experiment.shares,
            today=day.event_date,
            user_id=visits.at_terminals[user],
            local_time=instant(at).astimezone(zone),
        )
        for user, at in zip(visits.user[person].tolist(), visits.entered[person].tolist(), strict=True)
    ]


def _arm_of_person(experiment: Experiment, day: VenueDay, visits: Visits, person: IntArray, arm: IntArray) -> IntArray:
    """Under which arm each person is in the venue: each visit its own, every visit of a user, or all of the date."""
    if experiment.unit == "venue_day":
        of_date = arm[0] if len(arm) else arm_by_date(experiment, day.event_date)
        return np.full(len(visits.entered), of_date)
    if experiment.unit == "user":
        of_user = np.zeros(len(visits.at_terminals) + 1, dtype=np.int64)  # the last is nobody
        of_user[visits.user[person]] = arm
        return of_user[visits.user]
    of_person = np.zeros(len(visits.entered), dtype=np.int64)
    of_person[person] = arm
    return of_person


def arm_by_date(experiment: Experiment, day: date) -> int:
    """Which of a before_after experiment's arms a date belongs to."""
    return int(day >= experiment.arm_dates(1)[0])


def _units(experiment: Experiment, day: VenueDay, visits: Visits) -> tuple[list[str], IntArray]:
    """Ids of the date's units, and whose entering asks for their arms.

    A visit is `<pseudonym>/<event date>/<n>`, the n-th of that user at the venue on that date. A user is asked about
    once a date, at the first visit; whoever comes again on another date is a repeated unit, which counts no more, and
    whose record says again what the first one said.
    """
    if experiment.kind == "before_after":
        return [], np.zeros(0, dtype=np.int64)
    if experiment.unit == "venue_day":
        return [day.venue.id], np.array([-1])
    seen = np.flatnonzero(visits.recognised)
    by_user = seen[np.lexsort((visits.entered[seen], visits.user[seen]))]
    _, first, which = np.unique(visits.user[by_user], return_index=True, return_inverse=True)
    if experiment.unit == "user":
        person = np.sort(by_user[first])
        return [visits.at_terminals[user] for user in visits.user[person].tolist()], person
    number = np.zeros(len(visits.entered), dtype=np.int64)
    number[by_user] = np.arange(len(by_user)) - first[which] + 1
    return [
        f"{visits.at_terminals[user]}/{day.event_date}/{n}"
        for user, n in zip(visits.user[seen].tolist(), number[seen].tolist(), strict=True)
    ], seen
