"""What has landed, read as any reader of the landing would: verified, parsed by the contract, in order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from edge_collector.contract import STREAMS, parse
from edge_collector.event_time import event_date
from edge_collector.segment import manifests, numbered_lines, read_manifest, read_segment, segment_of
from edge_collector.site import Site

COUNTS = ("boundary_counts", "entrance_counts")


class Landed(NamedTuple):
    """A record, and the event date of the folder in which it lies."""

    record: Any
    day: date


class Landing:
    """Everything below one folder."""

    def __init__(self, folder: Path) -> None:
        self._of: dict[str, list[Landed]] = {stream: [] for stream in STREAMS}
        self.content = b""
        """Of all files, unpacked, with their names."""
        for stream in STREAMS:
            for place in sorted(folder.glob(f"{stream}/event_date=*")):
                day = date.fromisoformat(place.name.removeprefix("event_date="))
                for path in manifests(folder, stream, day):
                    manifest = read_manifest(path)
                    unpacked = read_segment(segment_of(path), manifest)
                    self.content += path.name.encode() + path.read_bytes() + unpacked
                    for _, line in numbered_lines(unpacked):
                        self._of[stream].append(Landed(parse(stream, line), day))

    def of(self, *streams: str) -> list[Any]:
        """The records of these streams, in order of boot and number."""
        found = [landed.record for stream in streams for landed in self._of[stream]]
        return sorted(found, key=lambda r: (r.gateway_id, r.boot_id, r.seq))

    def events(self, kind: str) -> list[Any]:
        return [event for event in self.of("gateway_events") if event.kind == kind]

    def refused(self) -> Counter[str]:
        """What gateways say that they left out, by reason."""
        found: Counter[str] = Counter()
        for event in self.events("refused"):
            found[event.subject] += event.value
        return found

    def people(self) -> Counter[tuple[str, str]]:
        """Who was counted, by device and direction, over all epochs."""
        found: Counter[tuple[str, str]] = Counter()
        for record in self.of(*COUNTS):
            found[record.device_id, "in"] += record.in_count
            found[record.device_id, "out"] += record.out_count or 0
        return +found

    def expect_sound(self, site: Site, boots: Sequence[str]) -> None:
        """What holds of every landing: numbers without gap or double, dates of the right folder, totals that agree.

        `boots` are those of all gateways in the order in which they were.
        """
        for stream, landed in self._of.items():
            numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
            for record, day in landed:
                numbers[record.gateway_id, record.boot_id].append(record.seq)
                venue = site.venue(record.venue_id)
                counts_at = {"orders": "ordered_at"}.get(
                    stream, "interval_start" if stream in COUNTS else "recorded_at"
                )
                at = instant(getattr(record, counts_at))
                assert event_date(at, venue.time_zone, venue.day_starts_at) == day
            for boot, seqs in numbers.items():
                assert sorted(seqs) == list(range(len(seqs))), f"{stream} of {boot}: {sorted(seqs)}"
        self._expect_totals_agree(boots)

    def _expect_totals_agree(self, boots: Sequence[str]) -> None:
        """In each epoch of a device, every total is the one before and what came in between."""
        said: dict[tuple[str, int], tuple[int, int]] = {}
        for record in sorted(self.of(*COUNTS), key=lambda r: (boots.index(r.boot_id), r.seq)):
            assert instant(record.interval_start) < instant(record.interval_end)
            now = (record.in_total, record.out_total or 0)
            before = said.get((record.device_id, record.device_epoch))
            came = (record.in_count, record.out_count or 0)
            if before is not None:
                assert now == (before[0] + came[0], before[1] + came[1]), record
            said[record.device_id, record.device_epoch] = now


def instant(text: str) -> datetime:
    """A time of the contract."""
    return datetime.fromisoformat(text)
