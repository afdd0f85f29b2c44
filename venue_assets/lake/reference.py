"""Reference relations: the site and the landing as they are seen from one event date, for SQL to read by name.

Each holds what can change a figure of that date and nothing else (no names, no positions), so that an edit of the site
makes only those partitions stale whose figures it can touch.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from edge_collector.contract import STREAMS
from edge_collector.event_time import event_date_spans
from edge_collector.experiment import Experiment
from edge_collector.segment import MANIFEST_SUFFIX, Refused, SegmentName, read_manifest
from edge_collector.site import Site
from venue_assets.lake.landing_index import LandingIndex
from venue_assets.methods.counted_share import counted_share
from venue_assets.tables.catalogue import ARROW_TYPES
from venue_assets.tables.references import REFERENCES

Rows = Iterable[tuple[Any, ...]]
Ranges = Sequence[tuple[int, int]]
"""First and last of each run of sequence numbers, ascending."""


class Lost(NamedTuple):
    """A segment that landed and is not there any more, and the numbers that it is known to have held."""

    stream: str
    name: SegmentName
    ranges: Ranges


class References:
    """The reference relations of one site and landing, as of any event date.

    `lost` is asked when numbers are: what is away had arrived all the same.
    """

    def __init__(self, site: Site, index: LandingIndex, lost: Callable[[], Iterable[Lost]] = tuple) -> None:
        self.site, self._index, self._lost = site, index, lost
        self._first_dates = index.first_dates(site)
        self._makers: Mapping[str, Callable[[date], Rows]] = {
            "site": lambda _: [(site.identity,)],
            "venues": self._venues,
            "devices": self._devices,
            "device_accuracy": self._device_accuracy,
            "activities": self._activities,
            "experiments": self._experiments,
            "experiment_arms": self._experiment_arms,
            "experiment_kpis": self._experiment_kpis,
            "experiment_covariates": self._experiment_covariates,
            "experiment_policies": self._experiment_policies,
            "booked_units": self._booked_units,
            "venue_day_spans": self._venue_day_spans,
            "missing_sequences": self._missing_sequences,
        }
        self._made: dict[tuple[str, date], pa.Table] = {}

    def relation(self, name: str, day: date) -> pa.Table:
        """The rows of a reference as seen from event date `day`. Raises KeyError for an unknown name."""
        if (name, day) not in self._made:
            schema = pa.schema([(column, ARROW_TYPES[kind]) for column, kind in REFERENCES[name].items()])
            rows = [dict(zip(schema.names, row, strict=True)) for row in self._makers[name](day)]
            self._made[name, day] = pa.Table.from_pylist(rows, schema)
        return self._made[name, day]

    def content(self, name: str, day: date) -> str:
        """A digest of the relation's rows."""
        return hashlib.sha256(repr(self.relation(name, day).to_pylist()).encode()).hexdigest()[:16]

    def _venues(self, day: date) -> Rows:
        streams: dict[str, set[str]] = defaultdict(set)
        for device in self.site.devices:
            streams[device.venue_id].add(device.stream)
        for venue in self.site.venues:
            operates = self._first_dates.get(venue.id, date.max) <= day
            kinds = ("boundary_counts", "entrance_counts", "face_visits", "orders")
            yield venue.id, venue.currency, operates, *(kind in streams[venue.id] for kind in kinds)

    def _devices(self, _: date) -> Rows:
        for d in self.site.devices:
            yield d.id, d.venue_id, d.gateway_id, d.stream, d.counting, d.in_share

    def _device_accuracy(self, _: date) -> Rows:
        """Apart from the devices, so that a manual count leaves fresh what is not a figure of counts."""
        for d in self.site.devices:
            if d.accuracy:
                yield d.id, d.venue_id, d.stream, d.accuracy.low, d.accuracy.high
            elif d.manual_count:
                yield d.id, d.venue_id, d.stream, *counted_share(d.manual_count.counted, d.manual_count.true)

    def _activities(self, day: date) -> Rows:
        for activity in self.site.activities:
            if activity.first_date <= day <= activity.last_date:
                yield activity.venue_id, activity.id, activity.first_date

    def _seen(self, day: date) -> Iterable[Experiment]:
        """The experiments that are on or maturing, and bandits from the date before: their first shares are due then.

        What was learned from an ended one lies in the tables of its own dates.
        """
        for e in self.site.experiments:
            if e.first_date - timedelta(days=e.kind == "bandit") <= day <= e.matures_on:
                yield e

    def _experiments(self, day: date) -> Rows:
        for e in self._seen(day):
            judged_by = e.primary_kpi, e.alpha, e.power, e.minimum_effect, e.reward_days
            yield e.id, self.site.venue_of(e).id, e.kind, e.unit, *judged_by, e.first_date, e.last_date, e.matures_on

    def _experiment_arms(self, day: date) -> Rows:
        for e in self._seen(day):
            for position, (arm, share) in enumerate(zip(e.arms, e.shares, strict=True)):
                # Arms that follow each other share no traffic.
                yield e.id, arm, position, None if e.kind == "before_after" else share, *e.arm_dates(position)

    def _experiment_kpis(self, day: date) -> Rows:
        return ((e.id, kpi, position) for e in self._seen(day) for position, kpi in enumerate(e.kpi))

    def _experiment_covariates(self, day: date) -> Rows:
        return ((e.id, covariate, position) for e in self._seen(day) for position, covariate in enumerate(e.covariates))

    def _experiment_policies(self, day: date) -> Rows:
        """Apart from what the tests go by, so that another exploration leaves every verdict fresh."""
        for e in self._seen(day):
            if e.kind == "bandit":
                learns = e.target, e.refit_days, e.history_days, e.learn_from
                yield e.id, e.exploration, e.floor, e.reward_bound, *learns

    def _booked_units(self, day: date) -> Rows:
        """Until when the units of each venue are taken, by experiments that are on, maturing or only planned."""
        until: dict[tuple[str, str], date] = {}
        for e in self.site.experiments:
            if e.matures_on >= day:
                units = self.site.venue_of(e).id, e.unit
                until[units] = max(e.matures_on, until.get(units, day))
        for (venue_id, unit), last in sorted(until.items()):
            yield venue_id, unit, last

    def _venue_day_spans(self, day: date) -> Rows:
        for venue in self.site.venues:
            for span in event_date_spans(day, venue.time_zone, venue.day_starts_at):
                starts_at, ends_at = (t.astimezone(UTC).replace(tzinfo=None) for t in (span.starts_at, span.ends_at))
                yield venue.id, starts_at, ends_at, span.utc_offset // timedelta(seconds=1)

    def _missing_sequences(self, day: date) -> Rows:
        """Numbers that no manifest of any date contained, from the end of what landed before this date's lowest on.

        Names alone tell most of it; only the manifests whose range touches the date's own, and the one before them, are
        opened.
        """
        for stream in STREAMS:
            if (stream, day) not in self._index.entries:
                continue
            runs: dict[tuple[str, str], list[tuple[date | None, SegmentName, Callable[[], Ranges]]]] = defaultdict(list)
            for of, name, entry in self._index.names(stream):
                runs[name.gateway_id, name.boot_id].append((of, name, partial(_seq_ranges, Path(entry.folder), name)))
            for name, known in ((lost.name, lost.ranges) for lost in self._lost() if lost.stream == stream):
                runs[name.gateway_id, name.boot_id].append((None, name, partial(tuple, known)))
            for (gateway, boot), segments in sorted(runs.items()):
                # A manifest that cannot be read contains nothing, and its name proves nothing.
                own = [name for of, name, ranges in segments if of == day and ranges()]
                if not own:
                    continue
                low, high = min(n.first_seq for n in own), max(n.last_seq for n in own)
                earlier = sorted(
                    (s for s in segments if s[1].last_seq < low), key=lambda s: s[1].last_seq, reverse=True
                )
                before = (name.last_seq for _, name, ranges in earlier if ranges())
                low = next(before, low - 1) + 1
                landed = sorted(
                    run
                    for _, name, ranges in segments
                    if name.last_seq >= low and name.first_seq <= high
                    for run in ranges()
                )
                for first, last in missing(low, high, landed):
                    yield stream, gateway, boot, first, last


def _seq_ranges(folder: Path, name: SegmentName) -> Ranges:
    try:
        return [(first, last) for first, last in read_manifest(folder / f"{name}{MANIFEST_SUFFIX}").seq_ranges]
    except (Refused, OSError):
        return []


def missing(low: int, high: int, landed: Ranges) -> Iterable[tuple[int, int]]:
    """The numbers from `low` to `high` that no range of `landed` holds, as ranges; `landed` may overlap."""
    expected = low
    for first, last in landed:
        if first > expected:
            yield expected, min(first - 1, high)
        expected = max(expected, last + 1)
        if expected > high:
            return
    if expected <= high:
        yield expected, high
