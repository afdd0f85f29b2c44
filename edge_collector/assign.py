"""Which variant the next visitor gets: asked at the venue, answered off line, recorded before it is told.

The shares are those of today's allocation where a signed one is at hand, else the fixed ones of site.toml, and the
record says which. A unit keeps its arm: whoever asks again for the same unit is told the same again, without a second
record. The unit of a `user` experiment is the pseudonym, of a `visit` `<pseudonym>/<visit>`, of a `venue_day` the
venue.

What does not belong here: the rule itself (`assignment`), the file of shares (`allocation`), who asks (`health`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Final
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_collector.allocation import Allocation, AllocationProblem, SharesInForce, read_newest, shares_in_force
from edge_collector.assignment import arm_of, unit_of_day
from edge_collector.event_time import event_date
from edge_collector.experiment import Experiment
from edge_collector.gateway import Gateway
from edge_collector.people import People
from edge_collector.site import Venue
from edge_collector.spool import Capture, Entry, Spool, Stamp, Taken, Unit
from edge_collector.tally import Tally

_LONGEST_VISIT: Final = 128
"""Characters; it becomes part of a record's unit_id."""


class CannotAssign(ValueError):
    """The question cannot be answered. The message says what was given and what is expected."""


@dataclass(frozen=True)
class Answer:
    """The arm of a unit; `remark` says why the fixed shares hold where they do."""

    experiment_id: str
    unit_id: str
    arm: str
    propensity: float
    leaf_id: int | None = None
    allocation_id: str | None = None
    remark: str = ""


class Allocations:
    """Today's allocation of each bandit, read once and verified; `folder` is what `allocations fetch` keeps up."""

    def __init__(self, folder: Path, key: Ed25519PublicKey, tally: Tally) -> None:
        self._folder, self._key, self._tally = folder, key, tally
        self._read: dict[str, tuple[date, tuple[int, int] | None, Allocation | None, str]] = {}

    def of(self, experiment_id: str, today: date) -> tuple[Allocation | None, str]:
        """The allocation in force, or the last one that was, and where there is none, why."""
        state = self._state(experiment_id, today)
        known = self._read.get(experiment_id)
        if known is None or known[:2] != (today, state):
            try:
                found, remark = read_newest(self._folder, experiment_id, today, self._key), ""
                self._tally.alarms.pop(f"allocation {experiment_id}", None)
            except AllocationProblem as problem:
                found, remark = None, str(problem)
                self._tally.alarms[f"allocation {experiment_id}"] = remark
            except OSError as error:  # perhaps only this once
                remark = f"the allocation cannot be read ({error.strerror})"
                self._tally.alarms[f"allocation {experiment_id}"] = remark
                return None, remark
            known = self._read[experiment_id] = (today, state, found, remark)
        return known[2], known[3]

    def _state(self, experiment_id: str, today: date) -> tuple[int, int] | None:
        """What changes when the file does; asking costs some microseconds."""
        try:
            found = os.stat(f"{self._folder}/{experiment_id}/{today}.json")  # noqa: PTH116 - a Path takes ten times as long
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size


class Assigner:
    """Answers for the experiments of a gateway's venues."""

    def __init__(
        self,
        gateway: Gateway,
        spool: Spool,
        people: People,
        stamp: Callable[[], Stamp],
        tally: Tally,
        allocations: Allocations | None = None,
    ) -> None:
        self._gateway_id, self._spool, self._people = gateway.id, spool, people
        self._stamp, self._tally, self._allocations = stamp, tally, allocations
        self._places = {e.id: _place(gateway, e) for e in gateway.site.experiments}
        self._lock = Lock()

    def assign(self, experiment_id: str, *, member_number: str | None = None, visit: str | None = None) -> Answer:
        """The arm of a unit, durable when this returns.

        `member_number` is who is asked for, as the terminal knows it (not needed of a venue_day); `visit` is the
        caller's name of this visit, the same when it asks again. Raises CannotAssign, SpoolFull.
        """
        told = self.at_once(experiment_id, member_number, visit)
        if told is None:
            told = self.told(self.begin(experiment_id, member_number, visit).result())
        return Answer(**json.loads(told))

    def at_once(self, experiment_id: str, member_number: str | None, visit: str | None) -> str | None:
        """As `assign`, the Answer as JSON; None, and nothing is done, where something else is being made durable."""
        taken = self._spool.take_at_once(*self._brought(experiment_id, member_number, visit))
        return None if taken is None else self.told(taken)

    def begin(self, experiment_id: str, member_number: str | None, visit: str | None) -> Future[Taken]:
        """As `assign`, for callers that wait in their own way: what is `told` of what the future brings is the answer.

        The spool decides who asked first, so that all who ask for one unit, at whatever moment, are told the same.
        """
        return self._spool.take(*self._brought(experiment_id, member_number, visit))

    def _brought(self, experiment_id: str, member_number: str | None, visit: str | None) -> tuple[Entry, Stamp]:
        """What the spool is to take, if the unit is new."""
        stamp = self._stamp()
        place, today, local_time = self._place(experiment_id, stamp.wall)
        experiment = place.experiment
        unit_id, hashed, user_id = self._unit(place, today, member_number, visit)
        kept_as = hashed if experiment.unit == "venue_day" else unit_id
        with self._lock:  # over the files of allocations, which are read once
            held = self._shares(experiment, today, user_id, local_time)
        arm, propensity = arm_of(experiment.id, hashed, experiment.seed, experiment.arms, held.shares)
        answer = Answer(experiment.id, unit_id, arm, propensity, held.leaf_id, held.allocation_id, held.remark)
        return self._entry(place, answer, kept_as), stamp

    def told(self, taken: Taken) -> str:
        """The Answer of when the unit asked first, as JSON. To be called once of each that is taken: it counts."""
        told = taken.told
        assert told is not None
        with self._lock:
            self._tally.captured["assign", "assignments"] += taken.written
        # A record has no remark that says nothing; in an answer it is looked for.
        return told if '"remark":' in told else f'{told[:-1]},"remark":""}}'

    def in_force(self) -> dict[str, str]:
        """Of each bandit that assigns here today: the allocation in force, or why the fixed shares hold."""
        found = {}
        for place in self._places.values():
            experiment = place.experiment
            if experiment.kind != "bandit" or place.device_id is None:
                continue
            with suppress(CannotAssign), self._lock:
                _, today, local_time = self._place(experiment.id, self._stamp().wall)
                held = self._shares(experiment, today, None, local_time)
                allocation = f"{held.allocation_id} of {today}" if held.allocation_id else ""
                found[experiment.id] = allocation or f"{held.remark}; the fixed shares hold"
        return found

    def _place(self, experiment_id: str, now: datetime) -> tuple[_Place, date, datetime]:
        """Where the experiment assigns, the event date there, and the local time."""
        if (place := self._places.get(experiment_id)) is None:
            known = ", ".join(sorted(self._places)) or "none"
            raise CannotAssign(f"experiment {experiment_id!r} is given; one of site.toml is expected: {known}")
        experiment, venue = place.experiment, place.venue
        if experiment.kind == "before_after":
            raise CannotAssign(f"{experiment_id} compares before with after: its arm is the date's, nobody is assigned")
        # An event date begins at a whole minute.
        today = _event_date(int(now.timestamp()) // 60, venue.time_zone, venue.day_starts_at)
        if not experiment.first_date <= today <= experiment.last_date:
            raise CannotAssign(
                f"{experiment_id} assigns from {experiment.first_date} to {experiment.last_date}; today is {today}"
            )
        return place, today, now.astimezone(place.zone)

    def _unit(
        self, place: _Place, today: date, member_number: str | None, visit: str | None
    ) -> tuple[str, str, str | None]:
        """The unit's id, what is hashed for it, and the user it belongs to."""
        experiment, venue_id = place.experiment, place.venue.id
        if experiment.unit == "venue_day":
            return venue_id, unit_of_day(venue_id, today), None
        if not member_number:
            raise CannotAssign(f"no member is given; {experiment.id} assigns by {experiment.unit}")
        user_id = self._people.user_id(member_number)
        if user_id is None:
            raise CannotAssign("this member opted out and takes no part in experiments; show the control")
        if experiment.unit == "user":
            return user_id, user_id, user_id
        if not visit or "/" in visit or len(visit) > _LONGEST_VISIT:
            given = "None" if visit is None else repr(visit[:60])
            raise CannotAssign(
                f"visit {given} is given; {experiment.id} assigns by visit: a name of it without '/' and of at most "
                f"{_LONGEST_VISIT} characters is expected"
            )
        return f"{user_id}/{visit}", f"{user_id}/{visit}", user_id

    def _shares(self, experiment: Experiment, today: date, user_id: str | None, local_time: datetime) -> SharesInForce:
        if experiment.kind != "bandit":
            return SharesInForce(experiment.shares)
        allocation: Allocation | None = None
        problem = ""
        if self._allocations is not None:
            allocation, problem = self._allocations.of(experiment.id, today)
        # One that was made for other arms than site.toml has now is of no use; the fixed shares hold.
        if allocation is not None and allocation.arms != experiment.arms:
            problem = f"the allocation is for the arms {', '.join(allocation.arms)}"
            allocation = None
        held = shares_in_force(allocation, experiment.shares, today=today, user_id=user_id, local_time=local_time)
        return held if not problem else SharesInForce(held.shares, remark=problem)

    def _entry(self, place: _Place, answer: Answer, kept_as: str) -> Entry:
        experiment_id, venue_id = place.experiment.id, place.venue.id
        if place.device_id is None:
            raise CannotAssign(
                f"{self._gateway_id} has no device of assignments at {venue_id}: add one to site.toml and edge.toml"
            )
        fields = {
            "experiment_id": experiment_id,
            "unit_id": answer.unit_id,
            "arm": answer.arm,
            "propensity": answer.propensity,
            "leaf_id": answer.leaf_id,
            "allocation_id": answer.allocation_id,
        }
        if answer.remark:  # why the fixed shares hold; readers that do not know the field leave it out
            fields["remark"] = answer.remark
        unit = Unit(experiment_id, kept_as)
        return Entry([Capture("assignments", venue_id, place.device_id, fields, unit=unit)])


@lru_cache(maxsize=64)
def _event_date(minute: int, time_zone: str, day_starts_at: time) -> date:
    return event_date(datetime.fromtimestamp(minute * 60, UTC), time_zone, day_starts_at)


@dataclass(frozen=True)
class _Place:
    """Where an experiment assigns. It is looked up once: a screen waits for each answer."""

    experiment: Experiment
    venue: Venue
    zone: ZoneInfo
    device_id: str | None
    """The device that assignments are recorded of; None where the gateway has none there."""


def _place(gateway: Gateway, experiment: Experiment) -> _Place:
    venue = gateway.site.venue_of(experiment)
    known = gateway.own_device("assignments", venue.id)
    return _Place(experiment, venue, ZoneInfo(venue.time_zone), known.device.id if known else None)
