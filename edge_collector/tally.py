"""The tally: what a gateway has taken, left out and heard since it started. Everything left out is counted here.

What does not belong here: how the figures are served (`health`), and anything that is kept over a restart (`spool`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Tally:
    """Figures of one run. Counters only grow."""

    captured: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Records written to the spool, by source and stream."""
    people: Counter[tuple[str, str]] = field(default_factory=Counter)
    """People in the intervals among them, by stream and way: `in` or `out`."""
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What was left out, by source and reason."""
    shipped: Counter[str] = field(default_factory=Counter)
    """Rows confirmed by the landing, by stream."""
    last_seen: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """When a device of a venue was heard last, by the wall clock; (venue, device)."""
    heard_at: dict[tuple[str, str], float] = field(default_factory=dict)
    """The same by the monotonic clock."""
    battery: dict[tuple[str, str], int] = field(default_factory=dict)
    """Percent, as a device of a venue said last."""
    alarms: dict[str, str] = field(default_factory=dict)
    """What somebody has to see to, by subject, in a sentence; it goes when the cause does."""

    def heard(self, venue_id: str, device_id: str, now: datetime, monotonic: float, battery: int | None = None) -> None:
        """A device of this gateway said something."""
        self.last_seen[venue_id, device_id] = now
        self.heard_at[venue_id, device_id] = monotonic
        if battery is not None:
            self.battery[venue_id, device_id] = battery
