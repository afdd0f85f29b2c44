"""One venue's date as it really was: puts people, orders, counts and the gateway's own words into tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_collector.experiment import Experiment
from edge_collector.site import Activity, Device, Venue
from venue_assets.simulate.chance import generator
from venue_assets.simulate.counts import (
    Counters,
    Reset,
    boundary_traffic,
    counts_of,
    entrance_traffic,
    interval_edges,
)
from venue_assets.simulate.options import Options
from venue_assets.simulate.orders import orders_of
from venue_assets.simulate.population import Population
from venue_assets.simulate.records import EVENT_KINDS, SIMULATED_STREAMS, Table, table
from venue_assets.simulate.trials import Allocations, Kept, assignments_of, trials_of, uplift
from venue_assets.simulate.venue_day import HOUR, SECOND, VenueDay
from venue_assets.simulate.visits import Visits, visits_of

LINKS_PER_DAY = 6


@dataclass(frozen=True)
class Stage:
    """What stays the same from date to date: one venue with its simulated devices."""

    venue: Venue
    devices: Mapping[str, tuple[Device, ...]]
    """By stream; streams without a simulated device are absent."""
    gateways: Sequence[str]
    """All simulated gateways in byte order."""
    activities: tuple[Activity, ...]
    experiments: tuple[Experiment, ...]
    average_visits: float
    linked: bool

    def activity_on(self, day: VenueDay) -> Activity | None:
        """What goes on at the venue that day."""
        return next((a for a in self.activities if a.first_date <= day.event_date <= a.last_date), None)


def tables_of(
    stage: Stage,
    day: VenueDay,
    population: Population,
    options: Options,
    counters: Counters,
    allocations: Allocations | None,
    kept: Kept,
) -> dict[str, Table]:
    """The clean tables of one venue and date, by stream. `counters` and `kept` go on from date to date."""

    def chance(purpose: str) -> np.random.Generator:
        return generator(options.seed, stage.venue.id, day.event_date, purpose)

    visits = visits_of(day, population, chance("visits"), average=stage.average_visits, activity=stage.activity_on(day))
    trials = trials_of(
        stage.experiments, day, visits, options.world, allocations, kept, can_assign="assignments" in stage.devices
    )
    edges = interval_edges(day, options.interval_seconds)
    tables: dict[str, Table] = {}
    resets: list[Reset] = []
    for stream in SIMULATED_STREAMS:
        if not (devices := stage.devices.get(stream)):
            continue
        rng = chance(stream)
        if stream in ("boundary_counts", "entrance_counts"):
            traffic_of = boundary_traffic if stream == "boundary_counts" else entrance_traffic
            traffic = traffic_of(day, visits, rng, len(devices), edges)
            tables[stream], opened = counts_of(stream, day, edges, traffic, rng, devices, stage.gateways, counters)
            resets += opened
        elif stream == "face_visits":
            tables[stream] = _face_visits(stage, day, visits, rng, devices)
        elif stream == "orders":
            tables[stream] = orders_of(
                day, visits, population, rng, devices, stage.gateways, uplift=uplift(trials, visits)
            )
        elif stream == "assignments":
            if trials:
                tables[stream] = assignments_of(day, trials, visits, rng, devices, stage.gateways)
        elif stream == "identity_links":
            tables[stream] = _identity_links(stage, day, visits, rng, devices)
        else:
            tables[stream] = _gateway_events(stage, day, resets, devices)
    return tables


def _face_visits(
    stage: Stage, day: VenueDay, visits: Visits, rng: np.random.Generator, devices: tuple[Device, ...]
) -> Table:
    seen = np.flatnonzero(visits.recognised)
    n = len(seen)
    return table(
        "face_visits",
        day,
        devices,
        stage.gateways,
        device=rng.integers(0, len(devices), 2 * n),
        time=np.concatenate([visits.entered[seen], visits.left[seen]]),
        labels={"user": visits.at_terminals},
        visit=np.tile(np.arange(n), 2),
        user=np.tile(visits.user[seen], 2),
        enter=np.repeat(np.array([True, False]), n),
    )


def _identity_links(
    stage: Stage, day: VenueDay, visits: Visits, rng: np.random.Generator, devices: tuple[Device, ...]
) -> Table:
    """Linked identities: every member of the day shows a card, so that terminal and back office know the same person.

    Shared identities: a few newcomers turn out to be members; such records must have no effect there.
    """
    members = visits.members_today
    if stage.linked:
        users, first = np.unique(visits.user, return_index=True)
        chosen = (users >= 0) & (users < members)
        terminal = member = users[chosen]
        at = visits.entered[first[chosen]] + SECOND
    else:
        newcomers = np.flatnonzero(visits.user >= members)
        n = min(LINKS_PER_DAY, len(newcomers)) if members else 0
        who = rng.choice(newcomers, n, replace=False)
        terminal, member = visits.user[who], rng.integers(0, max(1, members), n)
        at = visits.entered[who] + SECOND
    return table(
        "identity_links",
        day,
        devices,
        stage.gateways,
        device=rng.integers(0, len(devices), len(at)),
        time=at,
        labels={"terminal": visits.at_terminals, "member": visits.at_orders},
        terminal=terminal,
        member=member,
        link=np.ones(len(at), dtype=np.bool_) if stage.linked else rng.random(len(at)) < 0.8,
    )


def _gateway_events(stage: Stage, day: VenueDay, resets: Sequence[Reset], devices: tuple[Device, ...]) -> Table:
    """A heartbeat every hour, and the epochs that were opened at devices of the same gateway."""
    rows: list[tuple[int, int, str, str, int]] = []
    for i, device in enumerate(devices):
        beats = range(day.starts, day.ends, HOUR)
        rows += [(i, at, "heartbeat", device.gateway_id, hour) for hour, at in enumerate(beats)]
        heard = [r for r in resets if r.device.gateway_id == device.gateway_id]
        rows += [(i, r.at, "epoch_opened", r.device.id, r.epoch) for r in heard]
    subjects = sorted({subject for _, _, _, subject, _ in rows})
    return table(
        "gateway_events",
        day,
        devices,
        stage.gateways,
        device=np.array([i for i, *_ in rows], dtype=np.int64),
        time=np.array([at for _, at, *_ in rows], dtype=np.int64),
        labels={"subject": subjects},
        kind=np.array([EVENT_KINDS.index(kind) for _, _, kind, _, _ in rows], dtype=np.int64),
        subject=np.array([subjects.index(subject) for *_, subject, _ in rows], dtype=np.int64),
        value=np.array([value for *_, value in rows], dtype=np.int64),
    )
