"""A good record of every stream, and how bad lines and segments are put beside them: what tests of bad input share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import zstandard

from edge_collector.contract import STREAMS
from edge_collector.segment import MANIFEST_SUFFIX, SEGMENT_SUFFIX, folder, write_segment
from tests.conftest import REPOSITORY, rows, upstream
from venue_assets.home import Home

DAY, NEXT_DAY = date(2026, 1, 5), date(2026, 1, 6)
CREATED_AT = datetime(2026, 1, 6, 4, tzinfo=UTC)
GATEWAY = "sim_riverside"

RECORD: dict[str, Any] = {
    "gateway_id": GATEWAY,
    "venue_id": "riverside",
    "recorded_at": "2026-01-05T12:00:00.000+01:00",
    "clock": "synced",
}
_COUNTS = {
    "interval_start": "2026-01-05T11:00:00Z",
    "interval_end": "2026-01-05T11:15:00Z",
    "in_count": 5,
    "out_count": 4,
    "unpaired_count": None,
    "in_total": 5,
    "out_total": 4,
    "device_epoch": 1,
}
OWN: dict[str, dict[str, Any]] = {
    "boundary_counts": {"device_id": "boundary_north", **_COUNTS},
    "entrance_counts": {"device_id": "entrance", **_COUNTS},
    "face_visits": {"device_id": "terminal", "user_id": "k1:" + "0" * 32, "direction": "enter"},
    "orders": {
        "device_id": "till",
        "order_id": "o",
        "order_no": 1,
        "user_id": None,
        "ordered_at": "2026-01-05T11:00:00Z",
        "category_id": "c",
        "quantity": 1,
        "amount": "10.00",
        "currency": "EUR",
        "status": "completed",
    },
    "assignments": {
        "device_id": "assigner",
        "experiment_id": "e",
        "unit_id": "u",
        "arm": "a",
        "propensity": 0.5,
        "leaf_id": None,
        "allocation_id": None,
    },
    "identity_links": {
        "device_id": "member_desk",
        "terminal_user_id": "t",
        "member_user_id": "m",
        "action": "link",
    },
    "gateway_events": {"device_id": "gateway", "kind": "heartbeat", "subject": None, "value": None, "detail": None},
}
_ASSIGNING = """
[[devices]]
id = "assigner"
venue_id = "riverside"
gateway_id = "sim_riverside"
stream = "assignments"
"""


def line(stream: str, *, boot_id: str = "good", seq: Any = 1, **changes: Any) -> bytes:
    """A record of `stream` that holds, but for the changes."""
    record = {**RECORD, "boot_id": boot_id, "seq": seq, **OWN[stream]}
    if "order_id" in record:
        record["order_id"] = f"{boot_id}-{seq}"
    return json.dumps({**record, **changes}, ensure_ascii=False).encode()


def land(
    home: Home,
    stream: str,
    lines: list[bytes],
    *,
    boot_id: str = "good",
    day: date = DAY,
    created_at: datetime = CREATED_AT,
) -> Path:
    """A segment that nothing is wrong with, whatever its lines are; the manifest's path."""
    return write_segment(
        home.landing,
        stream=stream,
        event_date=day,
        gateway_id=GATEWAY,
        boot_id=boot_id,
        lines=lines,
        seqs=range(1, max(2, len(lines) + 1)),
        created_at=created_at,
    )


def land_good(home: Home, day: date = DAY) -> None:
    """One good record in every stream."""
    path = home.root / "site.toml"
    if _ASSIGNING not in path.read_text():
        path.write_text(
            (REPOSITORY / "data" / "site.toml")
            .read_text()
            .replace("[[activities]]", _ASSIGNING + "\n[[activities]]", 1)
        )
    for stream in STREAMS:
        boot = f"good{day.day}"
        good = line(stream, boot_id=boot).replace(b"2026-01-05", str(day).encode())
        land(home, stream, [good], boot_id=boot, day=day)


def pack(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


def manifest_of(packed: bytes, *, boot_id: str, rows: int = 1, **changes: Any) -> dict[str, Any]:
    """The manifest of an orders segment with number 1, but for the changes."""
    stated = {
        "schema": 1,
        "stream": "orders",
        "event_date": str(DAY),
        "gateway_id": GATEWAY,
        "boot_id": boot_id,
        "first_seq": 1,
        "last_seq": 1,
        "seq_ranges": [[1, 1]],
        "rows": rows,
        "sha256": hashlib.sha256(packed).hexdigest(),
        "created_at": "2026-01-06T04:00:00Z",
    }
    return {name: value for name, value in {**stated, **changes}.items() if value is not ...}


JUDGED = upstream("landed_segments", "refused_segments", "quarantine", *STREAMS, "primary_metrics")
"""What `conserved` and `good_is_processed` look at, and all that it is made of."""


def conserved(home: Home, day: date = DAY) -> None:
    """Every landed line is a clean row or a quarantined one, per stream."""
    landed = rows(home, "landed_segments", day)
    quarantined = rows(home, "quarantine", day)
    for stream in STREAMS:
        n = sum(row["rows"] for row in landed if row["stream"] == stream)  # type: ignore[misc]
        assert len(rows(home, stream, day)) + sum(row["stream"] == stream for row in quarantined) == n, stream


def good_is_processed(home: Home, day: date = DAY) -> None:
    """The good record of every stream is clean, and the figures of the venue are there."""
    for stream in STREAMS:
        assert f"good{day.day}" in [row["boot_id"] for row in rows(home, stream, day)], stream
    assert [row["venue_id"] for row in rows(home, "primary_metrics", day)] == ["riverside"]


@dataclass(frozen=True)
class BadSegment:
    """What lies in the folder instead of a good segment, and what becomes of it. `reason` None: it is accepted."""

    reason: str | None
    words: str = ""
    content: Callable[[bytes], bytes] = lambda content: content
    packed: Callable[[bytes], bytes] = lambda packed: packed
    stated: dict[str, Any] = field(default_factory=dict)
    manifest: Callable[[bytes], bytes] = lambda text: text
    name: str | None = None
    place: Callable[[Path], None] | None = None
    """Puts something else where the manifest would lie."""

    def write(self, home: Home, boot_id: str) -> str:
        """Lands it; returns the segment's name."""
        packed = self.packed(pack(self.content(line("orders", boot_id=boot_id) + b"\n")))
        stem = self.name or f"{GATEWAY}-{boot_id}-1-1"
        at = folder(home.landing, "orders", DAY)
        if self.place:
            self.place(at / (stem + MANIFEST_SUFFIX))
        else:
            stated = manifest_of(self._hashed(packed), **{"boot_id": boot_id, **self.stated})
            (at / (stem + MANIFEST_SUFFIX)).write_bytes(self.manifest(json.dumps(stated).encode()))
        (at / (stem + SEGMENT_SUFFIX)).write_bytes(packed)
        return stem + SEGMENT_SUFFIX

    def _hashed(self, packed: bytes) -> bytes:
        """What the manifest's hash is of: not of these bytes where they were altered on the way."""
        return packed + b"altered" if self.reason == "hash" else packed
