"""What tests put into a spool, and how they read what it has sealed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import zstandard

from edge_collector.segment import Manifest, numbered_lines, verify_segment
from edge_collector.site import Site
from edge_collector.spool import Capture, SealedSegment, Stamp, Unit
from edge_collector.spool.seal import SealPolicy

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SITE = Site.model_validate(
    {
        "venues": [
            {
                "id": "riverside",
                "name": "Riverside",
                "time_zone": "Europe/Berlin",
                "currency": "EUR",
                "opened_on": "2026-01-01",
            }
        ]
    }
)
AT_ONCE = SealPolicy(1000, timedelta(0))


def stamp(at: datetime = NOW, *, synced: bool = True, monotonic: float = 100.0, clock_id: str = "m1") -> Stamp:
    return Stamp(at, monotonic, clock_id, synced)


def visit(n: int, **more: Any) -> Capture:
    return Capture("face_visits", "riverside", "terminal", {"user_id": f"k1:{n}", "direction": "enter"}, **more)


def arm(unit_id: str, arm: str = "tea", **more: Any) -> Capture:
    """The record by which a unit of experiment `e` gets an arm."""
    fields = {"experiment_id": "e", "unit_id": unit_id, "arm": arm, "propensity": 0.5} | more
    return Capture("assignments", "riverside", "screen", fields, unit=Unit("e", unit_id))


def lines(segment: SealedSegment) -> list[dict[str, Any]]:
    manifest = Manifest.model_validate_json(segment.manifest)
    verify_segment(segment.packed, manifest)
    content = zstandard.ZstdDecompressor().decompress(segment.packed)
    return [json.loads(line) for _, line in numbered_lines(content)]
