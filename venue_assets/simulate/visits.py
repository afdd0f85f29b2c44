"""Who comes on one day, when, with whom and for how long: the people behind all streams of a venue's date."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_collector.site import Activity
from venue_assets.simulate.population import Population
from venue_assets.simulate.venue_day import HOUR, MINUTE, SECOND, BoolArray, FloatArray, IntArray, VenueDay

WEEKDAYS = (0.82, 0.82, 0.88, 0.94, 1.08, 1.32, 1.14)
"""Monday to Sunday; the mean is 1."""
ACTIVITY_UPLIFT = 1.15
RECOGNISED = 0.8
"""Share of the people entering whom the terminal recognises."""
MEMBERS = 0.65
"""Share of members among recognised people."""
GROUP_SIZES = (0.60, 0.25, 0.10, 0.05)
PEAKS = ((2.5, 1.2, 0.40), (8.5, 1.4, 0.45))
"""Hours after opening, spread in hours, share of the day; the rest comes evenly."""
MEDIAN_DWELL = 20 * MINUTE
DWELL_SIGMA = 0.6
LONGEST_DWELL = 5 * HOUR + 50 * MINUTE
SHORTEST_DWELL = 30 * SECOND


@dataclass(frozen=True)
class Visits:
    """One element per person who enters. `user` is an index into the two lists of pseudonyms, -1 if unrecognised."""

    entered: IntArray
    left: IntArray
    user: IntArray
    member: IntArray
    """Index into the member pool, -1 for everybody else."""
    at_terminals: list[str]
    at_orders: list[str]
    members_today: int
    """The first so many pseudonyms are members, the others strangers."""

    @property
    def recognised(self) -> BoolArray:
        return self.user >= 0

    @property
    def group(self) -> IntArray:
        """Index into `worlds.GROUPS`; of those who are not recognised it means nothing."""
        return np.where(self.member >= 0, 0, 1)


def visits_of(
    day: VenueDay,
    population: Population,
    rng: np.random.Generator,
    *,
    average: float,
    activity: Activity | None,
) -> Visits:
    """The visits of one venue and date; `average` is the number of recognised visits of an average day."""
    weekday = WEEKDAYS[day.event_date.weekday()] * (ACTIVITY_UPLIFT if activity else 1.0)
    people = max(1, round(average / RECOGNISED * weekday * rng.lognormal(0, 0.05)))

    group = np.repeat(np.arange(people), rng.choice(np.arange(1, 5), people, p=GROUP_SIZES))[:people]
    groups = int(group[-1]) + 1
    place_in_group = np.arange(people) - np.searchsorted(group, group)
    arrives = _arrivals(day, rng, groups)
    stays = rng.lognormal(math.log(MEDIAN_DWELL), DWELL_SIGMA, groups)

    gap = rng.integers(SECOND // 2, 4 * SECOND, people)
    entered = arrives[group] + place_in_group * gap
    dwell = stays[group] * rng.normal(1, 0.03, people).clip(0.9, 1.1)
    left = entered + dwell.clip(SHORTEST_DWELL, LONGEST_DWELL).astype(np.int64)
    left = np.minimum(left, day.ends - 2 * MINUTE)

    recognised = rng.random(people) < RECOGNISED
    is_member = recognised & (rng.random(people) < MEMBERS)
    member = np.full(people, -1, dtype=np.int64)
    member[is_member] = population.draw(rng, day.venue.id, int(is_member.sum()))
    member[_overlapping(member, entered, left)] = -1

    pool, code = np.unique(member[member >= 0], return_inverse=True)
    user = np.full(people, -1, dtype=np.int64)
    user[member >= 0] = code
    stranger = recognised & (member < 0)
    user[stranger] = len(pool) + np.arange(int(stranger.sum()))
    strangers = population.strangers(day.venue.id, day.event_date, int(stranger.sum()))
    return Visits(
        entered=entered,
        left=left,
        user=user,
        member=member,
        at_terminals=population.at_terminals(pool) + strangers,
        at_orders=population.at_orders(pool) + strangers,
        members_today=len(pool),
    )


def intensity(minutes: int) -> FloatArray:
    """How busy each minute after opening is; sums to 1."""
    at = (np.arange(minutes) + 0.5) / 60
    evenly = 1 - sum(share for _, _, share in PEAKS)
    busy = np.full(minutes, evenly / minutes)
    for centre, spread, share in PEAKS:
        bell = np.exp(-0.5 * ((at - centre) / spread) ** 2)
        busy += share * bell / bell.sum()
    busy /= busy.sum()
    return busy


def _arrivals(day: VenueDay, rng: np.random.Generator, n: int) -> IntArray:
    minutes = max(1, (day.closes - day.opens) // MINUTE)
    upto = np.cumsum(intensity(minutes))
    minute = np.searchsorted(upto, rng.random(n) * upto[-1], side="right").clip(max=minutes - 1)
    return np.sort(day.opens + minute * MINUTE + rng.integers(0, MINUTE, n))


def _overlapping(member: IntArray, entered: IntArray, left: IntArray) -> BoolArray:
    """Visits that begin before, or just after, an earlier visit of the same member ended.

    Nobody is in the venue twice: whoever was drawn so counts as a stranger instead.
    """
    order = np.lexsort((entered, member))
    # Offsets far apart per member make one running maximum serve all members.
    apart = np.int64(16 * 24 * HOUR)
    base = int(entered.min())
    rank = np.cumsum(np.diff(member[order], prepend=member[order][:1]) != 0)
    until = np.maximum.accumulate(rank * apart + (left[order] - base))
    begins = rank * apart + (entered[order] - base)
    clash = np.zeros(len(order), dtype=np.bool_)
    clash[1:] = (rank[1:] == rank[:-1]) & (begins[1:] < until[:-1] + MINUTE)
    result = np.zeros(len(order), dtype=np.bool_)
    result[order] = clash
    return result & (member >= 0)
