"""Runs a simulation from the first date to the last: the order of events, and nothing of their content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from edge_collector.segment import RefusalReason
from edge_collector.site import Site
from venue_assets.simulate.chance import generator
from venue_assets.simulate.counts import Counters
from venue_assets.simulate.day import Stage, tables_of
from venue_assets.simulate.dirt import AHEAD_DAYS, perturb
from venue_assets.simulate.incidents import Incidents
from venue_assets.simulate.landing import SIMULATED, Numbering, Parcel, parcels_of
from venue_assets.simulate.metrics import figures
from venue_assets.simulate.options import Options
from venue_assets.simulate.population import Population
from venue_assets.simulate.records import SIMULATED_STREAMS, Table
from venue_assets.simulate.trials import Allocations, Kept
from venue_assets.simulate.truth import Outcome, Truth
from venue_assets.simulate.units import Units
from venue_assets.simulate.venue_day import VenueDay

WRITERS = 8
_REFUSED_AS: dict[str, RefusalReason] = {"corrupt": "hash", "missing": "missing"}


@dataclass
class Simulation:
    """A run that goes on date by date: what it landed, what it holds back, and the truth of it."""

    landing: Path
    truth: Truth
    hold_late: bool
    segments: int = 0
    """Manifests landed so far."""
    lines: int = 0
    """Lines landed so far, those of refused segments included."""
    segments_by_stream: Counter[str] = field(default_factory=Counter)
    late: list[Parcel] = field(default_factory=list)
    """Segments that are still held back."""
    _run: _Run = field(kw_only=True, repr=False)

    @property
    def upcoming(self) -> list[date]:
        """The dates that were not played yet."""
        return self._run.options.dates[self._run.played :]

    def play(self) -> date:
        """Live through the next date, ask for its allocations, and land it. Raises IndexError after the last one."""
        day, parcels = self._next()
        self.land(parcels)
        return day

    def skip(self) -> date:
        """Live through the next date and land nothing: an earlier run of the same site and options did.

        Where allocations are given, they are asked for, and must be those of that time.
        """
        return self._next()[0]

    def _next(self) -> tuple[date, list[Parcel]]:
        day = self.upcoming[0]
        parcels = self._run.play(day, self.truth)
        if self.hold_late:
            self.late += [p for p in parcels if p.fate == "late"]
            parcels = [p for p in parcels if p.fate != "late"]
        return day, parcels

    def land(self, parcels: Sequence[Parcel]) -> None:
        """Lands those of the segments that land at all."""
        # Several at once: nearly all of the time goes into waiting for the disk to confirm.
        with ThreadPoolExecutor(WRITERS) as pool:
            written = list(pool.map(lambda parcel: parcel.land(self.landing), parcels))
        for parcel, manifests in zip(parcels, written, strict=True):
            self.segments += manifests
            self.segments_by_stream[parcel.stream] += manifests
            self.lines += manifests * len(parcel.lines)

    def land_late(self) -> int:
        """Lands what was held back; returns the number of segments."""
        held, self.late = self.late, []
        self.land(held)
        return len(held)


def simulate(
    site: Site,
    landing: Path,
    options: Options,
    *,
    truth_file: Path | None = None,
    progress: Callable[[date], None] | None = None,
    hold_late: bool = False,
    allocations: Allocations | None = None,
) -> Simulation:
    """Plays every gateway of `site` whose id begins with "sim" and lands what they would have landed.

    Deterministic: the same site and options give the same bytes. What lies in `landing` already stays there; call
    `remove` first for a fresh start. With `hold_late`, late segments land with `Simulation.land_late()` only.
    `progress` is called after each date. A venue takes part from its `opened_on` on. `allocations`: see `begin`.

    Raises ValueError where no such gateway or no open venue is found.
    """
    simulation = begin(site, landing, options, hold_late=hold_late, allocations=allocations)
    while simulation.upcoming:
        day = simulation.play()
        if progress is not None:
            progress(day)
    if truth_file is not None:
        simulation.truth.write(truth_file)
    return simulation


def begin(
    site: Site,
    landing: Path,
    options: Options,
    *,
    hold_late: bool = False,
    allocations: Allocations | None = None,
) -> Simulation:
    """As `simulate`, but nothing is played yet: `Simulation.play` lands one date after the other.

    What happens on a date does not depend on when it is played, so that shares of tomorrow can follow from today:

        simulation = begin(site, landing, options, allocations=allocations)
        while simulation.upcoming:
            materialize(simulation.play())

    `allocations(experiment_id, event_date)` is asked for each bandit that is on, when the date is played, and answers
    what the gateway has then, e.g. `read_allocation` of edge_collector; None means the fixed shares.
    Another process goes on where this one ended: it skips the dates played so far.

    Raises ValueError where no simulated gateway or no open venue is found.
    """
    gateways = sorted({d.gateway_id for d in site.devices if d.gateway_id.startswith(SIMULATED)})
    if not gateways:
        raise ValueError(f"no device of the site has a gateway_id that begins with {SIMULATED!r}: nothing to simulate")
    stages = _stages(site, gateways, options)
    if all(stage.venue.opened_on > options.last_date for stage in stages):
        first = min(stage.venue.opened_on for stage in stages)
        raise ValueError(
            f"first_date: {options.first_date} is given for {options.days} days; no venue opens before {first}"
        )
    linked = site.identity == "linked"
    run = _Run(
        options=options,
        stages=stages,
        gateways=gateways,
        incidents=Incidents.plan(options, gateways, _opened(stages, gateways)),
        population=Population(options.seed, options.visits, [s.venue.id for s in stages], linked=linked),
        allocations=allocations,
    )
    tried = {stage.venue.id: stage.experiments for stage in stages}
    truth = Truth(
        options,
        run.incidents,
        units=Units(tried),
        expected=Outcome(Units(tried, conversions_known=not linked)),
        before_late=Outcome(Units(tried, conversions_known=not linked)),
        missing_seqs=run.numbering.lost,
    )
    return Simulation(landing, truth, hold_late, _run=run)


@dataclass
class _Run:
    """What the dates of a run have in common, and what is carried from one to the next."""

    options: Options
    stages: Sequence[Stage]
    gateways: Sequence[str]
    incidents: Incidents
    population: Population
    allocations: Allocations | None
    counters: Counters = field(default_factory=Counters)
    numbering: Numbering = field(default_factory=Numbering)
    kept: Kept = field(default_factory=dict)
    played: int = 0
    """How many dates."""

    def play(self, day: date, truth: Truth) -> list[Parcel]:
        """One date at all venues: lived, made dirty, packed, and entered into the truth."""
        dirty: dict[str, dict[str, Table]] = {}
        for stage in self.stages:
            if stage.venue.opened_on <= day:
                clean = tables_of(
                    stage,
                    VenueDay.of(stage.venue, day),
                    self.population,
                    self.options,
                    self.counters,
                    self.allocations,
                    self.kept,
                )
                truth.clean[stage.venue.id, day] = figures(clean)
                truth.units.add(stage.venue.id, day, clean)
                dirty[stage.venue.id] = self._soil(stage, day, clean)
        parcels: list[Parcel] = []
        for stream in SIMULATED_STREAMS:
            if tables := [own[stream] for own in dirty.values() if stream in own]:
                parcels += parcels_of(stream, day, tables, self.gateways, self.numbering, self.options, self.incidents)
        for outcome, copies in ((truth.expected, "copies"), (truth.before_late, "prompt")):
            for venue_id, own in dirty.items():
                outcome.add(venue_id, day, own, copies)
            for parcel in parcels:
                if reason := _REFUSED_AS.get(parcel.fate):
                    outcome.refused[parcel.stream, parcel.event_date, reason] += 1
        self.played += 1
        return parcels

    def _soil(self, stage: Stage, day: date, clean: Mapping[str, Table]) -> dict[str, Table]:
        ahead = self._date_ahead(stage, day)
        return {
            stream: perturb(
                table,
                self.options.dirt,
                generator(self.options.seed, stage.venue.id, day, stream, "dirt"),
                ahead=ahead,
            )
            for stream, table in clean.items()
        }

    def _date_ahead(self, stage: Stage, day: date) -> VenueDay | None:
        """The venue's date in AHEAD_DAYS days, unless it is past the run or one of its terminals is offline then."""
        then = day + timedelta(days=AHEAD_DAYS)
        terminals = {d.gateway_id for d in stage.devices.get("face_visits", ())}
        offline = self.incidents.offline
        if then > self.options.last_date or (offline and offline[1] == then and offline[0] in terminals):
            return None
        return VenueDay.of(stage.venue, then)


def _stages(site: Site, gateways: Sequence[str], options: Options) -> list[Stage]:
    """Venues with simulated devices; the first of the site is the busiest."""
    own = [d for d in site.devices if d.gateway_id in gateways]
    venues = [v for v in site.venues if any(d.venue_id == v.id for d in own)]
    weights = [1 / (1 + 0.25 * i) for i in range(len(venues))]
    return [
        Stage(
            venue=venue,
            devices={
                stream: devices
                for stream in SIMULATED_STREAMS
                if (devices := tuple(d for d in own if d.venue_id == venue.id and d.stream == stream))
            },
            gateways=gateways,
            activities=tuple(a for a in site.activities if a.venue_id == venue.id),
            experiments=tuple(e for e in site.experiments if site.venue_of(e).id == venue.id),
            average_visits=options.visits * weight / sum(weights),
            linked=site.identity == "linked",
        )
        for venue, weight in zip(venues, weights, strict=True)
    ]


def _opened(stages: Sequence[Stage], gateways: Sequence[str]) -> dict[str, date]:
    """The date by which all venues of a gateway are open."""
    return {
        g: max(s.venue.opened_on for s in stages if any(d.gateway_id == g for ds in s.devices.values() for d in ds))
        for g in gateways
    }
