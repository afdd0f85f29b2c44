"""From landed to clean: every line of one stream on one event date is a clean record or quarantined with a reason."""

import hashlib
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from tests.oracle.records import TIME_THAT_COUNTS, Malformed, parse_record
from tests.oracle.segments import MANIFEST_SUFFIX, SEGMENT_SUFFIX, Refused, folder_of, names_in, read_segment
from tests.oracle.site import Site, Venue

QUARANTINE_TEXT_BYTES = 4 * 1024
FUTURE_TOLERANCE = timedelta(hours=24)
REASONS = ("malformed", "duplicate", "unknown_venue", "unknown_device", "wrong_event_date", "out_of_range")


@dataclass
class Day:
    """One stream on one event date."""

    landed: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    quarantine: list[dict] = field(default_factory=list)
    clean: list[dict] = field(default_factory=list)


def read_day(landing: Path, site: Site, stream: str, event_date: date) -> Day:
    day = Day()
    seen: set[tuple[str, str, int]] = set()
    folder = folder_of(landing, stream, event_date)
    known_devices = {(d["id"], d["venue_id"], d["gateway_id"], d["stream"]) for d in site.devices}
    stems = [name.removesuffix(MANIFEST_SUFFIX) for name in names_in(folder) if name.endswith(MANIFEST_SUFFIX)]
    for segment in sorted((stem + SEGMENT_SUFFIX for stem in stems), key=str.encode):
        manifest_name = segment.removesuffix(SEGMENT_SUFFIX) + MANIFEST_SUFFIX
        try:
            lines, created_at = read_segment(folder, manifest_name, stream, event_date)
        except Refused as refused:
            day.refused.append((segment, refused.reason))
            continue
        for line_number, line in enumerate(lines, start=1):
            if not line:
                continue
            day.landed += 1
            reason = None
            try:
                record = parse_record(stream, line)
            except Malformed:
                reason = "malformed"
            if reason is None:
                identity = (record["gateway_id"], record["boot_id"], record["seq"])
                reason = "duplicate" if identity in seen else judge(site, known_devices, stream, event_date, record)
                seen.add(identity)
                if reason is None and record[TIME_THAT_COUNTS[stream]] - created_at > FUTURE_TOLERANCE:
                    reason = "out_of_range"
            if reason is not None:
                day.quarantine.append(quarantine_row(stream, event_date, reason, segment, line_number, line))
                continue
            record["identity"] = identity
            record["segment"] = segment
            record["line"] = line_number
            record["event_date"] = event_date
            record["hour"] = site.venues[record["venue_id"]].wall_clock(record[TIME_THAT_COUNTS[stream]]).hour
            if stream in ("face_visits", "orders"):
                record["source_user_id"] = record["user_id"]  # face_visits: see resolve_users
            day.clean.append(record)
    return day


def judge(site: Site, known_devices: set[tuple], stream: str, folder: date, record: dict) -> str | None:
    """The first reason that applies to a well-formed record which is no duplicate; None for a clean one."""
    venue = site.venues.get(record["venue_id"])
    if venue is None:
        return "unknown_venue"
    if (record["device_id"], record["venue_id"], record["gateway_id"], stream) not in known_devices:
        return "unknown_device"
    if venue.event_date(record[TIME_THAT_COUNTS[stream]]) != folder:
        return "wrong_event_date"
    if out_of_range(venue, stream, record):
        return "out_of_range"
    return None


def out_of_range(venue: Venue, stream: str, record: dict) -> bool:
    """All of `out_of_range` except the time over 24 h after the manifest's created_at."""
    if stream in ("boundary_counts", "entrance_counts"):
        for name in ("in_count", "out_count", "unpaired_count", "in_total", "out_total"):
            if record[name] is not None and record[name] < 0:
                return True
        if record["interval_end"] <= record["interval_start"]:
            return True
        for total, count in (("in_total", "in_count"), ("out_total", "out_count")):
            if record[total] is not None and record[count] is not None and record[total] < record[count]:
                return True
    if stream == "orders":
        return record["quantity"] < 1 or record["amount"] < 0 or record["currency"] != venue.currency
    if stream == "assignments":
        return not 0 < record["propensity"] <= 1
    return False


def quarantine_row(stream: str, event_date: date, reason: str, segment: str, line_number: int, line: bytes) -> dict:
    return {
        "stream": stream,
        "event_date": event_date,
        "reason": reason,
        "segment": segment,
        "line": line_number,
        # Decision: the first 4 KiB are cut as bytes, so a character cut in two shows as U+FFFD; length is in bytes.
        "text": line[:QUARANTINE_TEXT_BYTES].decode("utf-8", errors="replace"),
        "length": len(line),
        "sha256": hashlib.sha256(line).hexdigest(),
    }
