"""What one gateway has landed before, so that a later export of the same book adds only what is new.

Segments that a reader would refuse have not landed, and are passed over here as well.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from edge_collector.contract import STREAMS, Malformed, Record, canonical
from edge_collector.segment import (
    MANIFEST_SUFFIX,
    Refused,
    SegmentName,
    numbered_lines,
    read_manifest,
    read_segment,
    segment_of,
)

OrderKey = tuple[str, int]
"""An order line within a venue and event date: order_id, order_no."""


def own_fields(stream: str) -> tuple[str, ...]:
    """The fields that a stream adds to what every record carries, in the contract's order."""
    return tuple(name for name in STREAMS[stream].model_fields if name not in Record.model_fields)


@dataclass(frozen=True)
class LandedBefore:
    """The segments of one gateway in one stream, by event date."""

    stream: str
    venue_id: str
    device_id: str
    manifests: Mapping[date, Sequence[Path]]

    @classmethod
    def find(cls, landing: Path, stream: str, gateway_id: str, venue_id: str, device_id: str) -> LandedBefore:
        """Look through the folders of `stream`; nothing is opened yet."""
        found: dict[date, list[Path]] = {}
        for path in sorted((landing / stream).glob(f"event_date=*/{gateway_id}-*{MANIFEST_SUFFIX}")):
            try:
                day = date.fromisoformat(path.parent.name.removeprefix("event_date="))
            except ValueError:
                continue
            found.setdefault(day, []).append(path)
        return cls(stream, venue_id, device_id, found)

    def last_seq(self, boot_id: str) -> int:
        """The highest number that this boot has landed; 0 where it has landed nothing."""
        names = (_name(path) for paths in self.manifests.values() for path in paths)
        return max((name.last_seq for name in names if name and name.boot_id == boot_id), default=0)

    def records(self, day: date) -> Iterator[dict[str, Any]]:
        """The records of the gateway at its venue on one event date."""
        for path in self.manifests.get(day, ()):
            try:
                content = read_segment(segment_of(path), read_manifest(path))
            except Refused:
                continue
            for _, line in numbered_lines(content):
                try:
                    record = json.loads(canonical(self.stream, line))
                except Malformed:  # it is quarantined, not landed
                    continue
                if record["venue_id"] == self.venue_id:
                    yield record

    def orders(self, day: date) -> tuple[dict[OrderKey, OrderLine], dict[OrderKey, list[OrderLine]]]:
        """The newest version of each order line of a date, and the earlier versions of those that have some."""
        fields = own_fields("orders")
        newest: dict[OrderKey, OrderLine] = {}
        earlier: dict[OrderKey, list[OrderLine]] = {}
        for record in self.records(day):
            key = (record["order_id"], record["order_no"])
            line = OrderLine(
                _instant(record["recorded_at"]),
                record["boot_id"],
                record["seq"],
                tuple(record.get(field) for field in fields),
            )
            known = newest.get(key)
            if known is None:
                newest[key] = line
                continue
            newest[key] = max(known, line, key=lambda version: version[:3])
            earlier.setdefault(key, []).append(min(known, line, key=lambda version: version[:3]))
        return newest, earlier

    def visits(self, day: date) -> Counter[tuple[datetime, str, str]]:
        """How often each (instant, user, direction) of a date has landed."""
        return Counter(
            (_instant(record["recorded_at"]), record["user_id"], record["direction"])
            for record in self.records(day)
            if record["device_id"] == self.device_id
        )

    def counts(self) -> list[dict[str, Any]]:
        """All counts of the device, whatever their date, in order of time."""
        found = [r for day in self.manifests for r in self.records(day) if r["device_id"] == self.device_id]
        return sorted(found, key=lambda record: _instant(record["interval_start"]))


class OrderLine(NamedTuple):
    """One landed version of an order line. The latest (recorded_at, boot_id, seq) is the current one."""

    recorded_at: datetime
    boot_id: str
    seq: int
    fields: tuple[Any, ...]


def _name(manifest: Path) -> SegmentName | None:
    try:
        return SegmentName.parse(manifest.name.removesuffix(MANIFEST_SUFFIX))
    except ValueError:
        return None


@lru_cache(maxsize=65536)
def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
