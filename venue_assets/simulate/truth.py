"""The known truth of a run: what really happened, what a reader must find, and how it is written down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from edge_collector.durable import write_atomically
from edge_collector.segment import RefusalReason
from venue_assets.simulate.dirt import AHEAD_DAYS
from venue_assets.simulate.incidents import Incidents
from venue_assets.simulate.metrics import Figures, figures
from venue_assets.simulate.options import Options
from venue_assets.simulate.records import Reason, Table
from venue_assets.simulate.units import Units

VenueDate = tuple[str, date]
StreamDate = tuple[str, date]


@dataclass
class Outcome:
    """What DESIGN's rules must give from what was landed."""

    units: Units
    figures: dict[VenueDate, Figures] = field(default_factory=dict)
    landed: Counter[StreamDate] = field(default_factory=Counter)
    """Non-empty lines of accepted segments, by stream and the date of their folder."""
    quarantined: dict[StreamDate, Counter[str]] = field(default_factory=dict)
    """Of these, how many of each reason; absent where there are none."""
    refused: Counter[tuple[str, date, RefusalReason]] = field(default_factory=Counter)
    """Refused segments."""

    def clean(self, stream: str, day: date) -> int:
        """Rows of a stream's clean table."""
        return self.landed[stream, day] - self.quarantined.get((stream, day), Counter()).total()

    @property
    def refused_by_reason(self) -> dict[str, int]:
        """Refused segments of the whole run."""
        total: Counter[str] = Counter()
        for (_, _, reason), n in self.refused.items():
            total[reason] += n
        return dict(total)

    def add(self, venue_id: str, day: date, tables: Mapping[str, Table], copies: str) -> None:
        """One venue's date, of whose rows column `copies` says how often they landed."""
        clean: dict[str, Table] = {}
        for stream, table in tables.items():
            n, reason = table[copies], table["reason"]
            clean[stream] = table.take((n > 0) & (reason == Reason.CLEAN))
            for ahead in (False, True):
                here = (n > 0) & (table["ahead"] == ahead)
                if here.any():
                    folder = date.fromordinal(day.toordinal() + ahead * AHEAD_DAYS)
                    self._judge(stream, folder, n[here], reason[here])
        self.figures[venue_id, day] = figures(clean)
        self.units.add(venue_id, day, clean)

    def _judge(self, stream: str, folder: date, copies: Any, reason: Any) -> None:
        self.landed[stream, folder] += int(copies.sum())
        found: Counter[str] = Counter()
        for r in Reason:
            these = copies[reason == r]
            if r is Reason.MALFORMED:  # has no identity, so no copy of it is a duplicate
                found["malformed"] += int(these.sum())
            else:
                found["duplicate"] += int((these - 1).sum())
                if r is not Reason.CLEAN:
                    found[r.name.lower()] += len(these)
        if +found:
            self.quarantined[stream, folder] = self.quarantined.get((stream, folder), Counter()) + found

    def to_json(self) -> dict[str, Any]:
        """Lists of flat rows, in a fixed order."""
        return {
            "primary_metrics": _metric_rows(self.figures),
            "sessions": [
                {"venue_id": v, "event_date": str(d), **asdict(f.sessions)}
                for (v, d), f in sorted(self.figures.items())
            ],
            "superseded_order_lines": [
                {"venue_id": v, "event_date": str(d), "lines": f.superseded}
                for (v, d), f in sorted(self.figures.items())
            ],
            "units": self.units.to_json(),
            "landed": [
                {
                    "stream": s,
                    "event_date": str(d),
                    "landed": n,
                    "clean": self.clean(s, d),
                    "quarantined": dict(sorted(self.quarantined.get((s, d), Counter()).items())),
                }
                for (s, d), n in sorted(self.landed.items())
            ],
            "refused_segments": [
                {"stream": s, "event_date": str(d), "reason": reason, "segments": n}
                for (s, d, reason), n in sorted(self.refused.items())
            ],
        }


def _metric_rows(found: Mapping[VenueDate, Figures]) -> list[dict[str, Any]]:
    return [{"venue_id": v, "event_date": str(d), **f.metrics.to_json()} for (v, d), f in sorted(found.items())]


@dataclass
class Truth:
    """`clean`: had nothing gone wrong. `expected`: from all that landed, late segments included."""

    options: Options
    incidents: Incidents
    units: Units
    """What became of the units of experiments, had nothing gone wrong."""
    expected: Outcome
    before_late: Outcome
    """As `expected`, while late segments are still held back."""
    clean: dict[VenueDate, Figures] = field(default_factory=dict)
    missing_seqs: dict[tuple[str, str], list[list[int]]] = field(default_factory=dict)
    """By gateway and stream: ranges of numbers that no manifest contains."""

    def to_json(self) -> dict[str, Any]:
        """The whole truth, for comparing with."""
        return {
            "options": _plain(asdict(self.options)),
            "incidents": _plain(asdict(self.incidents)),
            "experiments": self.units.arms(self.options.world),
            "clean": {"primary_metrics": _metric_rows(self.clean), "units": self.units.to_json()},
            "expected": self.expected.to_json(),
            "before_late": self.before_late.to_json(),
            "missing_seqs": [
                {"gateway_id": g, "stream": s, "seq_ranges": found}
                for (g, s), found in sorted(self.missing_seqs.items())
            ],
        }

    def write(self, path: Path) -> None:
        """The truth as JSON at `path`, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(self.to_json(), indent=1, ensure_ascii=False).encode() + b"\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, date) else value
