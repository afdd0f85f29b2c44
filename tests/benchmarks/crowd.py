"""A date with a million visits for the benchmarks, random and repeatable: a site, and arrays of its records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

DAY = date(2026, 1, 10)
VENUES = ("riverside", "harbour")
BOOT = "b20260110T000000"
BOUNDARIES, ENTRANCES, TERMINALS = 18, 2, 4
"""Devices per venue: 40 counting ones in all."""

Array = np.ndarray[Any, Any]


def write_site(path: Path) -> None:
    """Two venues with one gateway each."""
    lines = ['identity = "shared"']
    for venue in VENUES:
        lines.append(
            f'[[venues]]\nid = "{venue}"\nname = "{venue}"\ntime_zone = "Europe/Berlin"\ncurrency = "EUR"\n'
            'day_starts_at = "04:00"\nopened_on = 2026-01-01'
        )
        kinds = {"boundary_counts": BOUNDARIES, "entrance_counts": ENTRANCES, "face_visits": TERMINALS, "orders": 1}
        for stream, count in {**kinds, "gateway_events": 1}.items():
            lines += [
                f'[[devices]]\nid = "{stream}_{n}"\nvenue_id = "{venue}"\n'
                f'gateway_id = "gw_{venue}"\nstream = "{stream}"'
                for n in range(count)
            ]
    lines.append(
        '[[activities]]\nid = "fair"\nname = "Fair"\nvenue_id = "riverside"\n'
        "first_date = 2026-01-09\nlast_date = 2026-01-18"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(lines) + "\n")


@dataclass(frozen=True)
class Crowd:
    """Visits as arrays: venue (0 or 1), user (a number), enter and leave in milliseconds since 1970."""

    venue: Array
    user: Array
    enter: Array
    leave: Array
    pseudonyms: pa.Array


@dataclass(frozen=True)
class Records:
    """Visit records in the order of their numbers, per venue: (venue, user, milliseconds, is an enter, number)."""

    venue: Array
    user: Array
    at: Array
    enters: Array
    seq: Array


def crowd(visits: int, seed: int = 1) -> Crowd:
    """Visits of about 0.6 distinct users each, over the local hours 8 to 23."""
    rng = np.random.default_rng(seed)
    people = int(visits * 0.87)
    digits = np.frombuffer(rng.bytes(16 * people).hex().encode(), dtype="S32").astype(str)
    start = int(datetime(2026, 1, 10, 7, tzinfo=UTC).timestamp() * 1000)
    enter = start + (rng.beta(2, 2, visits) * 14 * 3_600_000).astype(np.int64)
    stay = np.clip(rng.lognormal(np.log(2400), 0.8, visits), 20, 14 * 3600)
    return Crowd(
        venue=rng.integers(0, 2, visits),
        user=rng.integers(0, people, visits),
        enter=enter,
        leave=enter + (stay * 1000).astype(np.int64),
        pseudonyms=pa.array(np.char.add("k1:", digits).tolist(), pa.string()),
    )


def records(of: Crowd, seed: int = 2) -> Records:
    """What the terminals noted: 3 % of the leaves are missing, 1 % of the enters are there twice."""
    rng = np.random.default_rng(seed)
    visits = len(of.venue)
    noted, twice = np.flatnonzero(rng.random(visits) >= 0.03), np.flatnonzero(rng.random(visits) < 0.01)
    which = np.concatenate([np.arange(visits), twice, noted])
    at = np.concatenate([of.enter, of.enter[twice] + 4000, of.leave[noted]])
    enters = np.concatenate([np.ones(visits + len(twice), dtype=bool), np.zeros(len(noted), dtype=bool)])
    order = np.lexsort((at, of.venue[which]))
    which, at, enters = which[order], at[order], enters[order]
    venue = of.venue[which]
    seq = np.empty(len(which), dtype=np.int64)
    for v in range(len(VENUES)):
        seq[venue == v] = 1 + np.arange(int((venue == v).sum()))
    return Records(venue, of.user[which], at, enters, seq)
