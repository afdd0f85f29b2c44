"""What may be asked of the simulator, and how dirty its data are. Numbers that describe people live with the people."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import date, timedelta

from venue_assets.simulate.worlds import WORLDS, World


@dataclass(frozen=True)
class Dirt:
    """How often things go wrong. Rates are fractions of the lines (or visits, or segments) concerned."""

    malformed: float = 0.01
    """Lines that arrive as something that is no record; the record is lost with them."""
    out_of_order: float = 0.01
    """Lines that the gateway numbered up to two hours before or after their time. Harmless."""
    skewed: float = 0.01
    """Lines with an unsynced clock: most are minutes wrong, some days (`wrong_event_date`), and some terminal lines sit
    in the folder of a date that had not begun when they were sealed (`out_of_range`)."""
    unknown_device: float = 0.002
    unknown_venue: float = 0.0005
    out_of_range: float = 0.002
    """Order lines, assignments and counts with an impossible value: negative, another currency, an end before its
    start, a propensity over 1."""
    missing_leave: float = 0.03
    """Visits whose leaving the terminal missed."""
    double_enter: float = 0.01
    """Visits whose entering the terminal noted twice, seconds apart."""
    redelivered: float = 0.02
    """Lines that a gateway sent again, byte for byte, in a segment of their own."""
    late_segments: float = 0.02
    """Segments that land two days after their date; at least one in runs of three days or more."""
    offline_gateway: bool = True
    """In runs of 7 days or more one gateway lands nothing for one whole date, and never makes up for it."""
    corrupt_segment: bool = True
    """In runs of 7 days or more one segment was altered after its manifest was written."""
    missing_segment: bool = True
    """In runs of 10 days or more one manifest has no segment."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not 0 <= value <= 1:
                raise ValueError(f"{f.name}: {value} is given; a rate from 0 to 1 is expected")

    @classmethod
    def none(cls) -> Dirt:
        """Clean data: nothing goes wrong."""
        return cls(**dict.fromkeys((f.name for f in fields(cls)), 0))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Options:
    """One simulated stretch of time.

    The clean truth of a date depends on `seed`, `visits` and `world`, not on other dates.
    """

    first_date: date
    days: int = 14
    visits: int = 2000
    """Recognised visits of an average day over all venues; about a quarter more people enter unrecognised."""
    seed: int = 1
    interval_seconds: int = 60
    """Reporting interval of the counting devices in opening hours; outside of them it is five minutes."""
    segment_lines: int = 5000
    """A gateway seals a segment at the latest when it holds so many lines."""
    world: World = "one_best"
    """What the arms of the site's experiments really do: nothing, one is best for all, or another one in each group."""
    dirt: Dirt = field(default_factory=Dirt)

    def __post_init__(self) -> None:
        if self.world not in WORLDS:
            raise ValueError(f"world: {self.world!r} is given; one of {list(WORLDS)} is expected")
        for name, least, most in (
            ("days", 1, 3660),
            ("visits", 1, 10_000_000),
            ("seed", 0, 2**63),
            ("interval_seconds", 1, 3600),
            ("segment_lines", 1, 1_000_000),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name}: {value} is given; {least} to {most} is expected")

    @property
    def dates(self) -> list[date]:
        """The simulated event dates in order."""
        return [self.first_date + timedelta(days=n) for n in range(self.days)]

    @property
    def last_date(self) -> date:
        """The last simulated event date."""
        return self.first_date + timedelta(days=self.days - 1)
