"""What counting devices report: one row per device and interval, with cumulative totals and counting epochs.

Totals live on from date to date in `Counters`; the counts of a date do not depend on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_collector.site import Device
from venue_assets.simulate.records import NULL, Table, table
from venue_assets.simulate.venue_day import MINUTE, SECOND, FloatArray, IntArray, VenueDay
from venue_assets.simulate.visits import Visits, intensity

CLOSED_INTERVAL = 5 * MINUTE
PASSERS_BY = (3.5, 6.0)
"""For each person who enters, so many others cross the boundary inwards without entering; drawn once a day."""
AT_NIGHT = 0.05
"""Share of passers-by outside of opening hours."""
UNPAIRED = 0.01
"""Share of boundary crossings of which only one sensor of the pair took notice."""
RESETS_PER_DAY = 0.2


@dataclass
class Counters:
    """Where each device's totals stand: epoch, in_total, out_total."""

    state: dict[tuple[str, str], tuple[int, int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reset:
    """A device lost its totals and opened a new epoch."""

    device: Device
    at: int
    epoch: int


def interval_edges(day: VenueDay, seconds: int) -> IntArray:
    """Borders of the reporting intervals of a date."""
    parts = (
        np.arange(day.starts, day.opens, CLOSED_INTERVAL),
        np.arange(day.opens, day.closes, seconds * SECOND),
        np.arange(day.closes, day.ends, CLOSED_INTERVAL),
    )
    return np.concatenate([*parts, np.array([day.ends])])


def boundary_traffic(
    day: VenueDay, visits: Visits, rng: np.random.Generator, devices: int, edges: IntArray
) -> list[tuple[IntArray, IntArray]]:
    """In and out counts per device: everybody who enters comes from outside, and many more pass by."""
    entering = _split(visits.entered - rng.integers(0, 2 * MINUTE, len(visits.entered)), rng, devices, day, edges)
    leaving = _split(visits.left + rng.integers(0, 2 * MINUTE, len(visits.left)), rng, devices, day, edges)
    expected = len(visits.entered) * rng.uniform(*PASSERS_BY) / devices * _intensity(day, edges)
    return [(i + rng.poisson(expected), o + rng.poisson(expected)) for i, o in zip(entering, leaving, strict=True)]


def entrance_traffic(
    day: VenueDay, visits: Visits, rng: np.random.Generator, devices: int, edges: IntArray
) -> list[tuple[IntArray, IntArray]]:
    """In and out counts per device: everybody, recognised or not."""
    entering = _split(visits.entered, rng, devices, day, edges)
    return list(zip(entering, _split(visits.left, rng, devices, day, edges), strict=True))


def counts_of(
    stream: str,
    day: VenueDay,
    edges: IntArray,
    traffic: list[tuple[IntArray, IntArray]],
    rng: np.random.Generator,
    devices: tuple[Device, ...],
    gateways: Sequence[str],
    counters: Counters,
) -> tuple[Table, list[Reset]]:
    """The reports of all devices of one counting stream, and the resets among them.

    Of several entrance sensors only the first one sees people leave. A `passages` sensor adds both ways up.
    """
    n = len(edges) - 1
    parts: list[dict[str, IntArray]] = []
    resets: list[Reset] = []
    for i, (device, (entering, leaving)) in enumerate(zip(devices, traffic, strict=True)):
        both_ways = device.counting == "passages"
        sees_out = stream == "boundary_counts" or (i == 0 and not both_ways)
        ins = entering + leaving if both_ways else entering
        at = int(rng.integers(0, n)) if rng.random() < RESETS_PER_DAY else n
        key = (device.venue_id, device.id)
        epoch, in_before, out_before = counters.state.get(key, (1, 0, 0))
        in_total, out_total = (
            _totals(counted, before, at) for counted, before in ((ins, in_before), (leaving, out_before))
        )
        if at < n:
            resets.append(Reset(device, int(edges[at]), epoch + 1))
        counters.state[key] = (epoch + (at < n), int(in_total[-1]), int(out_total[-1]))
        unknown = np.full(n, NULL, dtype=np.int64)
        unpaired = rng.binomial(ins + leaving, UNPAIRED) if stream == "boundary_counts" else unknown
        parts.append(
            {
                "in_count": ins,
                "out_count": leaving if sees_out else unknown,
                "unpaired_count": unpaired,
                "in_total": in_total,
                "out_total": out_total if sees_out else unknown,
                "device_epoch": epoch + (np.arange(n) >= at).astype(np.int64),
            }
        )
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    end = np.tile(edges[1:], len(devices))
    made = table(
        stream,
        day,
        devices,
        gateways,
        device=np.repeat(np.arange(len(devices)), n),
        time=np.tile(edges[:-1], len(devices)),
        recorded=end + rng.integers(100, 2 * SECOND, len(end)),
        end=end,
    )
    made.columns |= columns
    # Where an event date is not one stretch of time, what lies between belongs to another date.
    return made.take(day.contains(made["time"])), resets


def _totals(counted: IntArray, before: int, reset_at: int) -> IntArray:
    total = before + np.cumsum(counted)
    if reset_at < len(counted):
        total[reset_at:] = np.cumsum(counted[reset_at:])
    return total


def _split(at: IntArray, rng: np.random.Generator, devices: int, day: VenueDay, edges: IntArray) -> list[IntArray]:
    interval = np.searchsorted(edges, at.clip(day.starts, day.ends - 1), side="right") - 1
    device = rng.integers(0, devices, len(at))
    n = len(edges) - 1
    return [np.bincount(interval[device == i], minlength=n).astype(np.int64) for i in range(devices)]


def _intensity(day: VenueDay, edges: IntArray) -> FloatArray:
    """Share of a day's passers-by that each interval sees."""
    minutes = max(1, (day.closes - day.opens) // MINUTE)
    upto = np.concatenate([[0.0], np.cumsum(intensity(minutes))])
    share = np.interp((edges - day.opens) / MINUTE, np.arange(minutes + 1), upto)
    length = np.diff(edges)
    closed = (edges[:-1] < day.opens) | (edges[:-1] >= day.closes)
    night = np.where(closed, length, 0)
    result: FloatArray = (1 - AT_NIGHT) * np.diff(share) + AT_NIGHT * night / max(1, int(night.sum()))
    return result
