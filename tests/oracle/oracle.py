"""Recomputes one event date from the landed files, straight from sections 2 and 3 of the design.

Loops and dicts only: no SQL, no data frames, no code shared with the system. Written to be read beside the design,
top to bottom: site, segments, lines, judgement, who is who, sessions, order lines, metrics.

    oracle = recompute(Path("data"), date(2026, 3, 29))
    oracle.primary_metrics[0]["gmv"]

What does not belong here: speed, and any rule that the design does not state. Where the design is silent, the decision
is written at the place where it is taken, marked with "Decision:".
"""

import hashlib
import json
import math
import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import zstandard

MAX_LINE_BYTES = 64 * 1024
MAX_DEPTH = 190
QUARANTINE_TEXT_BYTES = 4 * 1024
OVERLONG = timedelta(hours=12)
ATTACH_AFTER_END = timedelta(minutes=30)
FUTURE_TOLERANCE = timedelta(hours=24)
MICROSECOND = timedelta(microseconds=1)
CENT = Decimal("0.01")

REFUSALS = ("manifest", "schema", "folder", "missing", "hash", "undecodable", "row_count")
REASONS = ("malformed", "duplicate", "unknown_venue", "unknown_device", "wrong_event_date", "out_of_range")


@dataclass
class Oracle:
    """Everything that follows from the landing for one event date."""

    event_date: date
    landed: dict[str, int] = field(default_factory=dict)  # stream -> non-empty lines of accepted segments
    refused: list[tuple[str, str]] = field(default_factory=list)  # (segment file name, reason)
    quarantine: list[dict] = field(default_factory=list)
    clean: dict[str, list[dict]] = field(default_factory=dict)  # stream -> rows in order of segment name, then line
    sessions: list[dict] = field(default_factory=list)
    order_lines: list[dict] = field(default_factory=list)  # current lines only, with `session_id` or None
    primary_metrics: list[dict] = field(default_factory=list)
    hourly_metrics: list[dict] = field(default_factory=list)


def recompute(data: Path, event_date: date) -> Oracle:
    """The numbers of one event date from `data/site.toml` and `data/landing/`."""
    data = Path(data)
    site = read_site(data / "site.toml")
    landing = data / "landing"
    oracle = Oracle(event_date)
    for stream in STREAMS:
        day = read_day(landing, site, stream, event_date)
        oracle.landed[stream] = day.landed
        oracle.refused += day.refused
        oracle.quarantine += day.quarantine
        oracle.clean[stream] = day.clean
    resolve_users(site, landing, event_date, oracle.clean)
    mark_superseded(oracle.clean["orders"])
    oracle.sessions = form_sessions(oracle.clean["face_visits"])
    oracle.order_lines = attach(oracle.clean["orders"], oracle.sessions)
    for venue_id in sorted(site.venues):
        first = first_landed_date(landing, site, venue_id)
        if first is None or first > event_date:
            continue
        rows = rows_of_venue(oracle, venue_id)
        head = {
            "venue_id": venue_id,
            "activity_id": site.activity(venue_id, event_date),
            "currency": site.venues[venue_id].currency,
        }
        oracle.primary_metrics.append(head | metrics(site, venue_id, rows))
        for hour in range(24):
            oracle.hourly_metrics.append(head | {"hour": hour} | metrics(site, venue_id, rows_of_hour(rows, hour)))
    return oracle


# Site -----------------------------------------------------------------------------------------------------------------


@dataclass
class Venue:
    venue_id: str
    zone: ZoneInfo
    currency: str
    day_starts_at: timedelta

    def wall_clock(self, instant: datetime) -> datetime | None:
        """Local wall-clock time, without zone; None where no calendar holds it (around the years 1 and 9999)."""
        try:
            return instant.astimezone(self.zone).replace(tzinfo=None)
        except OverflowError:
            return None

    def event_date(self, instant: datetime) -> date | None:
        """Event date = date of (local wall-clock time at the venue - day_starts_at)."""
        wall = self.wall_clock(instant)
        try:
            return None if wall is None else (wall - self.day_starts_at).date()
        except OverflowError:
            return None


@dataclass
class Site:
    identity: str
    venues: dict[str, Venue]
    devices: list[dict]
    activities: list[dict]

    def has_device(self, venue_id: str, stream: str) -> bool:
        return any(d["venue_id"] == venue_id and d["stream"] == stream for d in self.devices)

    def activity(self, venue_id: str, event_date: date) -> str:
        for activity in self.activities:
            if activity["venue_id"] == venue_id and activity["first_date"] <= event_date <= activity["last_date"]:
                return activity["id"]
        return "none"


def read_site(path: Path) -> Site:
    site = tomllib.loads(path.read_text(encoding="utf-8"))
    venues = {}
    for venue in site.get("venues", []):
        hours, minutes = venue.get("day_starts_at", "04:00").split(":")
        venues[venue["id"]] = Venue(
            venue_id=venue["id"],
            zone=ZoneInfo(venue["time_zone"]),
            currency=venue["currency"],
            day_starts_at=timedelta(hours=int(hours), minutes=int(minutes)),
        )
    return Site(site.get("identity", "shared"), venues, site.get("devices", []), site.get("activities", []))


# Fields of a record ---------------------------------------------------------------------------------------------------

# What a field must be. A trailing "?" means that it may be null. A tuple lists the values that an enumeration has.
# Decision: a gateway_id or boot_id that does not match its pattern is malformed, as any other value of a wrong form.
TEXT, INT, NUMBER, INSTANT, AMOUNT, NAME_PART = "text", "int", "number", "instant", "amount", "name_part"

COMMON = {
    "gateway_id": NAME_PART,
    "boot_id": NAME_PART,
    "seq": INT,
    "venue_id": TEXT,
    "device_id": TEXT,
    "recorded_at": INSTANT,
    "clock": ("synced", "unsynced"),
}
COUNTS = {
    "interval_start": INSTANT,
    "interval_end": INSTANT,
    "in_count": INT,
    "out_count": INT,
    "unpaired_count": INT + "?",
    "in_total": INT,
    "out_total": INT,
    "device_epoch": INT,
}
STREAMS: dict[str, dict] = {
    "boundary_counts": COMMON | COUNTS,
    "entrance_counts": COMMON | COUNTS | {"out_count": INT + "?", "out_total": INT + "?"},
    "face_visits": COMMON | {"user_id": TEXT, "direction": ("enter", "leave")},
    "orders": COMMON
    | {
        "order_id": TEXT,
        "order_no": INT,
        "user_id": TEXT + "?",
        "ordered_at": INSTANT,
        "category_id": TEXT,
        "quantity": INT,
        "amount": AMOUNT,
        "currency": TEXT,
        "status": ("completed", "cancelled", "refunded"),
    },
    "assignments": COMMON
    | {
        "experiment_id": TEXT,
        "unit_id": TEXT,
        "arm": TEXT,
        "propensity": NUMBER,
        "leaf_id": INT + "?",
        "allocation_id": TEXT + "?",
    },
    "identity_links": COMMON | {"terminal_user_id": TEXT, "member_user_id": TEXT, "action": ("link", "unlink")},
    "gateway_events": COMMON
    | {
        "kind": ("heartbeat", "clock_step", "epoch_opened", "refused"),
        "subject": TEXT + "?",
        "value": INT + "?",
        "detail": TEXT + "?",
    },
}
TIME_THAT_COUNTS = dict.fromkeys(STREAMS, "recorded_at") | {
    "boundary_counts": "interval_start",
    "entrance_counts": "interval_start",
    "orders": "ordered_at",
}

NAME_PART_PATTERN = re.compile(r"[A-Za-z0-9_.]+")
AMOUNT_PATTERN = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,2})?")
INSTANT_PATTERN = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
DATE_PATTERN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Malformed(ValueError):
    """The line or manifest is not what the record contract asks for."""


def parse_instant(text: object) -> datetime:
    """`YYYY-MM-DDTHH:MM:SS[.f{1,6}](Z|±HH:MM)` as an instant in UTC."""
    if type(text) is not str:
        raise Malformed("not text")
    match = INSTANT_PATTERN.fullmatch(text)
    if match is None:
        raise Malformed("no timestamp")
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    offset = timedelta(0)
    if sign is not None:
        # Decision: an offset is a time of day, as RFC 3339 has it: 00:00 to 23:59, either sign.
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            raise Malformed("no offset")
        offset = timedelta(hours=int(offset_hours), minutes=int(offset_minutes))
        if sign == "-":
            offset = -offset
    microsecond = int(fraction.ljust(6, "0")) if fraction else 0
    try:
        written = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), microsecond, UTC)
        return written - offset
    except (ValueError, OverflowError):  # no calendar date; second 60; before the year 1 or after 9999 in UTC
        raise Malformed("no calendar date") from None


def parse_date(text: str) -> date | None:
    if DATE_PATTERN.fullmatch(text) is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def is_int(value: object) -> bool:
    """A JSON integer: not true, not 5.0, within 64 bits."""
    return type(value) is int and -(2**63) <= value < 2**63


def parse_value(kind: str | tuple[str, ...], value: object) -> object:
    """The value of a required field; raises Malformed."""
    if kind == INT:
        if is_int(value):
            return value
    elif kind == NUMBER:
        if type(value) in (int, float) and (type(value) is int or math.isfinite(value)):
            return value
    elif kind == INSTANT:
        return parse_instant(value)
    elif type(value) is str and value != "":
        if kind == TEXT:
            return value
        if kind == NAME_PART and NAME_PART_PATTERN.fullmatch(value):
            return value
        if kind == AMOUNT and AMOUNT_PATTERN.fullmatch(value):
            return Decimal(value).quantize(CENT)
        if type(kind) is tuple and value in kind:
            return value
    raise Malformed(f"not {kind}")


def parse_record(stream: str, line: bytes) -> dict:
    """One landed line as a record with parsed values; raises Malformed. Unknown extra fields are left out."""
    if len(line) > MAX_LINE_BYTES:
        raise Malformed("over 64 KiB")
    given = parse_json(line)
    if type(given) is not dict:
        raise Malformed("not an object")
    record = {}
    for name, kind in STREAMS[stream].items():
        value = given.get(name)
        if type(kind) is str and kind.endswith("?"):
            record[name] = None if value is None or value == "" else parse_value(kind[:-1], value)
        else:
            record[name] = parse_value(kind, value)  # null is of no kind
    return record


def parse_json(line: bytes) -> object:
    try:
        text = line.decode("utf-8")  # strict: no invalid bytes, no encoded surrogates; a leading BOM fails below
        if too_deep(text):
            raise Malformed("too deep")
        if "\\u" in text:
            return json.loads(text, object_pairs_hook=object_of_real_text, parse_constant=no_number)
        return json.loads(text, parse_constant=no_number)  # of a name given twice the last counts
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise Malformed("not JSON") from None


def no_number(text: str) -> object:
    """Python reads NaN, Infinity and -Infinity; JSON has no such numbers."""
    raise ValueError(text)


def object_of_real_text(pairs: list[tuple[str, object]]) -> dict:
    """A JSON object, after a look at all its names and texts, also those that a later name replaces."""
    for name, value in pairs:
        must_be_real_text(name)
        must_be_real_text(value)
    return dict(pairs)


def must_be_real_text(value: object) -> None:
    if type(value) is str:
        value.encode("utf-8")  # raises UnicodeEncodeError, a ValueError, on a lone surrogate
    elif type(value) is list:
        for element in value:
            must_be_real_text(element)


def too_deep(text: str) -> bool:
    """Whether arrays and objects are nested more than MAX_DEPTH levels."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth, in_text, escaped = 0, False, False
    for character in text:
        if in_text:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_text = False
        elif character == '"':
            in_text = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif character in "]}":
            depth -= 1
    return False


# Segments -------------------------------------------------------------------------------------------------------------

MANIFEST_SUFFIX = ".manifest.json"
SEGMENT_SUFFIX = ".jsonl.zst"
MANIFEST_NAME = re.compile(r"([A-Za-z0-9_.]+)-([A-Za-z0-9_.]+)-([0-9]+)-([0-9]+)\.manifest\.json")


class Refused(Exception):
    """The segment is refused whole."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def folder_of(landing: Path, stream: str, event_date: date) -> Path:
    return landing / stream / f"event_date={event_date.isoformat()}"


def names_in(folder: Path) -> list[str]:
    return sorted((entry.name for entry in folder.iterdir()), key=str.encode) if folder.is_dir() else []


def read_manifest(path: Path) -> dict:
    """A manifest with all its fields well-formed; raises Malformed."""
    manifest = parse_json(path.read_bytes())
    if type(manifest) is not dict:
        raise Malformed("not an object")
    if not is_int(manifest.get("schema")):
        raise Malformed("schema")
    # Decision: of another schema nothing else is known, so nothing else can be held against it.
    if manifest["schema"] != 1:
        raise Refused("schema")
    for name in ("first_seq", "last_seq", "rows"):
        if not is_int(manifest.get(name)):
            raise Malformed(name)
    for name in ("gateway_id", "boot_id"):
        parse_value(NAME_PART, manifest.get(name))
    parse_value(TEXT, manifest.get("stream"))
    if parse_date(parse_value(TEXT, manifest.get("event_date"))) is None:
        raise Malformed("event_date")
    if re.fullmatch(r"[0-9a-f]{64}", parse_value(TEXT, manifest.get("sha256"))) is None:
        raise Malformed("sha256")
    ranges = manifest.get("seq_ranges")
    if type(ranges) is not list:
        raise Malformed("seq_ranges")
    for pair in ranges:
        if type(pair) is not list or len(pair) != 2 or not is_int(pair[0]) or not is_int(pair[1]):
            raise Malformed("seq_ranges")
    if manifest.get("signature") is not None and type(manifest["signature"]) is not str:
        raise Malformed("signature")
    manifest["created_at"] = parse_instant(manifest.get("created_at"))
    return manifest


def read_segment(folder: Path, manifest_name: str, stream: str, event_date: date) -> tuple[list[bytes], datetime]:
    """The physical lines of a committed segment and its manifest's created_at; raises Refused."""
    stem = manifest_name.removesuffix(MANIFEST_SUFFIX)
    try:
        manifest = read_manifest(folder / manifest_name)
    except Malformed:
        raise Refused("manifest") from None
    name_parts = [str(manifest[name]) for name in ("gateway_id", "boot_id", "first_seq", "last_seq")]
    if (manifest["stream"], manifest["event_date"]) != (stream, event_date.isoformat()) or "-".join(name_parts) != stem:
        raise Refused("folder")
    # Decision: numbers outside of first_seq to last_seq, or stated twice, make the manifest one that proves nothing.
    free = manifest["first_seq"]
    for first, last in manifest["seq_ranges"]:
        if not free <= first <= last <= manifest["last_seq"]:
            raise Refused("manifest")
        free = last + 1
    segment = folder / (stem + SEGMENT_SUFFIX)
    if not segment.is_file():
        raise Refused("missing")
    packed = segment.read_bytes()
    if hashlib.sha256(packed).hexdigest() != manifest["sha256"]:
        raise Refused("hash")
    lines = unpack(packed).split(b"\n")
    if sum(1 for line in lines if line) != manifest["rows"]:
        raise Refused("row_count")
    return lines, manifest["created_at"]


def unpack(packed: bytes) -> bytes:
    """One or more whole zstd frames; raises Refused on anything else, also on a frame that ends early."""
    unpacked = b""
    while True:
        frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            unpacked += frame.decompress(packed)
        except zstandard.ZstdError:
            raise Refused("undecodable") from None
        if not frame.eof:
            raise Refused("undecodable")
        packed = frame.unused_data
        if not packed:
            return unpacked


def first_landed_date(landing: Path, site: Site, venue_id: str) -> date | None:
    """The smallest date folder with a manifest, accepted or not, from a gateway that has a device at the venue."""
    gateways = {device["gateway_id"] for device in site.devices if device["venue_id"] == venue_id}
    first = None
    for stream in STREAMS:
        for folder_name in names_in(landing / stream):
            event_date = folder_date(folder_name)
            if event_date is None or (first is not None and event_date >= first):
                continue
            for name in names_in(landing / stream / folder_name):
                match = MANIFEST_NAME.fullmatch(name)
                if match is not None and match.group(1) in gateways:
                    first = event_date
                    break
    return first


def folder_date(folder_name: str) -> date | None:
    return parse_date(folder_name.removeprefix("event_date=")) if folder_name.startswith("event_date=") else None


# From landed to clean -------------------------------------------------------------------------------------------------


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


# Who is who -----------------------------------------------------------------------------------------------------------


def recorded_order(record: dict) -> tuple:
    """Latest by (recorded_at, gateway_id, boot_id, seq)."""
    return (record["recorded_at"], *record["identity"])


def resolve_users(site: Site, landing: Path, event_date: date, clean: dict[str, list[dict]]) -> None:
    """With identity "linked", face visits get the member's id that was linked last up to the end of the event date."""
    if site.identity != "linked":
        return
    links = list(clean["identity_links"])
    for folder_name in names_in(landing / "identity_links"):
        earlier = folder_date(folder_name)
        if earlier is not None and earlier < event_date:
            links += read_day(landing, site, "identity_links", earlier).clean
    latest: dict[str, dict] = {}
    for link in links:
        known = latest.get(link["terminal_user_id"])
        if known is None or recorded_order(link) > recorded_order(known):
            latest[link["terminal_user_id"]] = link
    for visit in clean["face_visits"]:
        link = latest.get(visit["source_user_id"])
        if link is not None and link["action"] == "link":
            visit["user_id"] = link["member_user_id"]


# Sessions -------------------------------------------------------------------------------------------------------------


def form_sessions(visits: list[dict]) -> list[dict]:
    """Sessions of all users of all venues on one event date, from clean face visits."""
    visits_of: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for visit in visits:
        visits_of[visit["venue_id"], visit["user_id"]].append(visit)
    sessions = []
    for key in sorted(visits_of):
        records = sorted(visits_of[key], key=recorded_order)
        position = 0
        while position < len(records):
            record = records[position]
            following = records[position + 1] if position + 1 < len(records) else None
            if record["direction"] == "leave":
                sessions.append(session("no_entry", enter=None, leave=record, following=following))
                position += 1
            elif following is not None and following["direction"] == "leave":
                lasted = following["recorded_at"] - record["recorded_at"]
                state = "overlong" if lasted > OVERLONG else "complete"
                sessions.append(session(state, enter=record, leave=following, following=None))
                position += 2
            else:
                sessions.append(session("no_exit", enter=record, leave=None, following=following))
                position += 1
    return sessions


def session(state: str, enter: dict | None, leave: dict | None, following: dict | None) -> dict:
    named_by = enter or leave
    return {
        "session_id": "{}-{}-{}".format(*named_by["identity"]),
        "venue_id": named_by["venue_id"],
        "user_id": named_by["user_id"],
        "state": state,
        "enter_at": enter and enter["recorded_at"],
        "leave_at": leave and leave["recorded_at"],
        "enter_identity": enter and enter["identity"],
        "leave_identity": leave and leave["identity"],
        "hour": enter and enter["hour"],  # of the enter
        # How far a no_exit session reaches: to just before the user's next record, if there is one.
        "reaches_before": following["recorded_at"] if state == "no_exit" and following is not None else None,
    }


# Order lines ----------------------------------------------------------------------------------------------------------


def mark_superseded(lines: list[dict]) -> None:
    """Of the lines of one (venue, order_id, order_no) the one recorded last is current."""
    current: dict[tuple, dict] = {}
    for line in lines:
        key = (line["venue_id"], line["order_id"], line["order_no"])
        if key not in current or recorded_order(line) > recorded_order(current[key]):
            current[key] = line
    for line in lines:
        line["superseded"] = line is not current[line["venue_id"], line["order_id"], line["order_no"]]


def attach(lines: list[dict], sessions: list[dict]) -> list[dict]:
    """The current lines, each with the session of its user at its venue that it belongs to, or None."""
    sessions_of: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for candidate in sessions:
        sessions_of[candidate["venue_id"], candidate["user_id"]].append(candidate)
    attached = []
    for line in lines:
        if line["superseded"]:
            continue
        own = [] if line["user_id"] is None else sessions_of[line["venue_id"], line["user_id"]]
        candidates = [s for s in own if contains(s, line["ordered_at"])]
        if not candidates:
            candidates = [s for s in own if ended_shortly_before(s, line["ordered_at"])]
        chosen = max(candidates, key=latest_enter) if candidates else None
        attached.append(line | {"session_id": chosen and chosen["session_id"], "session": chosen})
    return attached


def contains(session: dict, instant: datetime) -> bool:
    if session["state"] in ("complete", "overlong"):
        return session["enter_at"] <= instant <= session["leave_at"]
    if session["state"] == "no_exit":
        before_next = session["reaches_before"] is None or instant < session["reaches_before"]
        return session["enter_at"] <= instant <= session["enter_at"] + OVERLONG and before_next
    return False  # no_entry has no extent


def ended_shortly_before(session: dict, instant: datetime) -> bool:
    if session["leave_at"] is None:
        return False
    return timedelta(0) <= instant - session["leave_at"] <= ATTACH_AFTER_END


def latest_enter(session: dict) -> tuple:
    """Sorts by enter; sessions without one come below all that have one, among themselves by leave."""
    if session["enter_at"] is not None:
        return (1, session["enter_at"], session["enter_identity"])
    return (0, session["leave_at"], session["leave_identity"])


# Metrics --------------------------------------------------------------------------------------------------------------


def rows_of_venue(oracle: Oracle, venue_id: str) -> dict[str, list[dict]]:
    """What the figures of a venue are computed from."""
    tables = {
        "boundary": oracle.clean["boundary_counts"],
        "entrance": oracle.clean["entrance_counts"],
        "entered": [s for s in oracle.sessions if s["enter_at"] is not None],
        "order_lines": oracle.order_lines,
    }
    return {table: [row for row in rows if row["venue_id"] == venue_id] for table, rows in tables.items()}


def rows_of_hour(tables: dict[str, list[dict]], hour: int) -> dict[str, list[dict]]:
    """Sessions by enter, lines by ordered_at, counts by interval_start; local hour."""
    return {table: [row for row in rows if row["hour"] == hour] for table, rows in tables.items()}


def metrics(site: Site, venue_id: str, rows: dict[str, list[dict]]) -> dict:
    figures = passage_figures(site, venue_id, rows["boundary"], rows["entrance"])
    figures |= visit_figures(rows["entered"], terminal=site.has_device(venue_id, "face_visits"))
    figures["recognition_share"] = divide(figures["pv"], figures["pf_entrance"])
    return figures | order_figures(rows["order_lines"], takes_orders=site.has_device(venue_id, "orders"))


def divide(part: float | None, whole: float | None) -> float | None:
    return None if part is None or whole is None or whole == 0 else part / whole


def passage_figures(site: Site, venue_id: str, boundary: list[dict], entrance: list[dict]) -> dict:
    """PF_range, PF_entrance and OCR; a clean record exists only where the venue has the device."""
    in_count_of: dict[str, int] = defaultdict(int)
    for record in entrance:
        in_count_of[record["device_id"]] += record["in_count"]
    parts: list[float | None] = []
    estimated = False
    for device_id in sorted(in_count_of):
        device = entrance_sensor(site, venue_id, device_id)
        share = 1
        if device.get("counting", "directional") == "passages":
            estimated = True
            share = device.get("in_share")
        parts.append(None if share is None else float(in_count_of[device_id] * share))
    pf_entrance = None
    if parts and None not in parts:
        pf_entrance = 0.0
        for part in parts:  # in order of device_id, one after the other: floats
            pf_entrance += part
    pf_range = sum(record["in_count"] for record in boundary) if boundary else None
    return {
        "pf_range": pf_range,
        "pf_entrance": pf_entrance,
        "pf_entrance_estimated": estimated,
        "ocr": divide(pf_entrance, pf_range),
    }


def entrance_sensor(site: Site, venue_id: str, device_id: str) -> dict:
    for device in site.devices:
        if (device["id"], device["venue_id"], device["stream"]) == (device_id, venue_id, "entrance_counts"):
            return device
    raise KeyError(device_id)


def visit_figures(entered: list[dict], terminal: bool) -> dict:
    """PV, UV and LOV from the sessions with an entry."""
    micros = [(s["leave_at"] - s["enter_at"]) // MICROSECOND for s in entered if s["state"] == "complete"]
    seconds = sorted(m / 1e6 for m in micros)
    return {
        "pv": len(entered) if terminal else None,
        "uv": len({s["user_id"] for s in entered}) if terminal else None,
        "lov_mean_seconds": sum(micros) / len(micros) / 1e6 if micros else None,
        "lov_median_seconds": quantile(seconds, 0.5),
        "lov_p90_seconds": quantile(seconds, 0.9),
    }


def quantile(ordered: list[float], q: float) -> float | None:
    """Linear interpolation between the two neighbours of rank q * (n - 1)."""
    if not ordered:
        return None
    rank = q * (len(ordered) - 1)
    below, above = ordered[math.floor(rank)], ordered[math.ceil(rank)]
    return below + (above - below) * (rank - math.floor(rank))


def order_figures(current: list[dict], takes_orders: bool) -> dict:
    completed = [line for line in current if line["status"] == "completed"]
    if not takes_orders:
        return dict.fromkeys(("completed_orders", "paying_users", "gmv", "gmv_anonymous", "cancelled_amount"))
    return {
        "completed_orders": len({line["order_id"] for line in completed}),
        "paying_users": len({line["user_id"] for line in completed if line["user_id"] is not None}),
        "gmv": total(completed),
        "gmv_anonymous": total([line for line in completed if line["user_id"] is None]),
        "cancelled_amount": total([line for line in current if line["status"] in ("cancelled", "refunded")]),
    }


def total(lines: list[dict]) -> Decimal:
    return sum((line["amount"] for line in lines), start=Decimal("0.00"))
