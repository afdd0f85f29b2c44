"""What befalls whole gateways and segments of a run, decided before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from venue_assets.simulate.options import Options

LATE_BY: Final = timedelta(days=2)
ENOUGH_FOR_AN_INCIDENT: Final = 7
ENOUGH_FOR_A_MISSING_SEGMENT: Final = 10


@dataclass(frozen=True)
class Incidents:
    """Each is a gateway and an event date, or None. No two fall on one date."""

    late: tuple[str, date] | None = None
    """One segment of the terminals lands late, whatever chance brings besides."""
    offline: tuple[str, date] | None = None
    """Lands nothing."""
    corrupt: tuple[str, date] | None = None
    """One segment of the terminals was altered after its manifest was written."""
    missing: tuple[str, date] | None = None
    """One manifest of orders has no segment."""

    @classmethod
    def plan(cls, options: Options, gateways: Sequence[str], opened: Mapping[str, date]) -> Incidents:
        """`opened`: when the last venue of each gateway opened; incidents happen later."""
        dates, dirt, days = options.dates, options.dirt, options.days
        middle = days // 2

        def at(day: date, preferred: int) -> tuple[str, date] | None:
            ready = [g for g in gateways if opened[g] < day]
            return (ready[preferred % len(ready)], day) if ready else None

        can_be_late = dirt.late_segments > 0 and dates[0] + LATE_BY <= options.last_date
        first_open = [g for g in gateways if opened[g] <= dates[0]]
        enough = days >= ENOUGH_FOR_AN_INCIDENT
        enough_for_missing = days >= ENOUGH_FOR_A_MISSING_SEGMENT
        return cls(
            late=(first_open[0], dates[0]) if can_be_late and first_open else None,
            offline=at(dates[middle], -1) if enough and dirt.offline_gateway else None,
            corrupt=at(dates[-2], 0) if enough and dirt.corrupt_segment else None,
            missing=at(dates[middle - 2], 1) if enough_for_missing and dirt.missing_segment else None,
        )
