"""Adversarial days: small landings that sit on every edge of the design at once, and a writer that puts them on disk.

    @given(landings())
    def test_same(scenario):
        scenario.write(folder)              # folder/site.toml and folder/landing/
        recompute(folder, scenario.event_date)

`landings(without={"whitespace_line", ...})` leaves out traps by name; `TRAPS` lists the names. A scenario says nothing
about the expected result: that is what the oracle is for. Own code, standard library and zstandard; nothing of the
system is imported, so that a mistake of its writer cannot hide a mistake of its reader.
"""

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import zstandard
from hypothesis import strategies as st

MS = timedelta(milliseconds=1)
US = timedelta(microseconds=1)
MIN = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# Writing --------------------------------------------------------------------------------------------------------------


@dataclass
class Segment:
    """One segment with its manifest, whole or damaged."""

    stream: str
    event_date: date  # the folder
    gateway_id: str
    boot_id: str
    seqs: list[int]  # what the manifest says it contains, ascending
    lines: list[bytes]
    created_at: datetime
    damages: tuple[str, ...] = ()
    last_line_ends: bool = True
    packing: str = "plain"  # or one of PACKINGS

    @property
    def stem(self) -> str:
        return f"{self.gateway_id}-{self.boot_id}-{self.seqs[0]}-{self.seqs[-1]}"

    @property
    def name(self) -> str:
        return self.stem + ".jsonl.zst"

    def write(self, landing: Path) -> None:
        folder = landing / self.stream / f"event_date={self.event_date.isoformat()}"
        folder.mkdir(parents=True, exist_ok=True)
        unpacked = b"\n".join(self.lines) + (b"\n" if self.last_line_ends else b"")
        packed = pack(unpacked, self.packing)
        if "undecodable" in self.damages:
            packed = b"this is no zstd frame"
        if "truncated" in self.damages:
            packed = packed[:-3]
        manifest: dict = {
            "schema": 1,
            "stream": self.stream,
            "event_date": self.event_date.isoformat(),
            "gateway_id": self.gateway_id,
            "boot_id": self.boot_id,
            "first_seq": self.seqs[0],
            "last_seq": self.seqs[-1],
            "seq_ranges": ranges(self.seqs),
            "rows": sum(1 for line in unpacked.split(b"\n") if line),
            "sha256": hashlib.sha256(packed).hexdigest(),
            "created_at": stamp(self.created_at),
        }
        for damage, spoil in MANIFEST_DAMAGES.items():
            if damage in self.damages:
                spoil(manifest)
        text = json.dumps(manifest)
        if "manifest_json" in self.damages:
            text = text[:-1]
        if "missing" not in self.damages:
            (folder / self.name).write_bytes(packed)
        if "no_manifest" not in self.damages:
            (folder / f"{self.stem}.manifest.json").write_text(text, encoding="utf-8")


def swap(name: str, change: Callable) -> Callable[[dict], None]:
    def damage(manifest: dict) -> None:
        manifest[name] = change(manifest[name])

    return damage


def another_day(text: str) -> str:
    return (date.fromisoformat(text) + DAY).isoformat()


# What can be wrong with a segment; more than one may be, the first in the order of the checks is the reason.
# In this table the later ones can be done to what the earlier ones leave behind.
MANIFEST_DAMAGES: dict[str, Callable[[dict], None]] = {
    "row_count": swap("rows", lambda n: n + 1),
    "hash": swap("sha256", lambda sha: sha[::-1] if sha[::-1] != sha else "0" * 64),
    "folder_stream": swap("stream", lambda s: "orders" if s != "orders" else "face_visits"),
    "folder_date": swap("event_date", another_day),
    "folder_gateway": swap("gateway_id", lambda g: g + "x"),
    "folder_boot": swap("boot_id", lambda b: b + "x"),
    "folder_seq": swap("last_seq", lambda n: n + 1),
    "schema": swap("schema", lambda _: 2),
    "manifest_no_date": swap("event_date", lambda _: "2026-02-30"),
    "manifest_no_instant": swap("created_at", lambda text: text.replace("Z", "")),
    "manifest_schema_text": swap("schema", str),
    "manifest_rows_float": swap("rows", float),
    "manifest_rows_text": swap("rows", str),
    "manifest_no_rows": lambda manifest: manifest.pop("rows") and None,
    "manifest_ranges_twice": swap("seq_ranges", lambda ranges: ranges * 2),
}
DAMAGES = (*MANIFEST_DAMAGES, "manifest_json", "missing", "undecodable", "truncated", "no_manifest")
PACKINGS = ("no_content_size", "checksum", "two_frames")


def pack(unpacked: bytes, packing: str) -> bytes:
    if packing == "no_content_size":
        return zstandard.ZstdCompressor(write_content_size=False).compress(unpacked)
    if packing == "checksum":
        return zstandard.ZstdCompressor(write_checksum=True).compress(unpacked)
    if packing == "two_frames":
        half = len(unpacked) // 2
        return b"".join(zstandard.ZstdCompressor().compress(part) for part in (unpacked[:half], unpacked[half:]))
    return zstandard.ZstdCompressor().compress(unpacked)


def ranges(seqs: list[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for seq in seqs:
        if found and found[-1][1] == seq - 1:
            found[-1][1] = seq
        else:
            found.append([seq, seq])
    return found


@dataclass
class Scenario:
    """A site and its landing. `event_date` is the day it is about, `dates` all days that have something to compare."""

    event_date: date
    site: dict
    segments: list[Segment] = field(default_factory=list)

    @property
    def dates(self) -> list[date]:
        return sorted({self.event_date} | {segment.event_date for segment in self.segments})

    def write(self, path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        (path / "site.toml").write_text(site_toml(self.site), encoding="utf-8")
        (path / "landing").mkdir(exist_ok=True)
        for segment in self.segments:
            segment.write(path / "landing")
        return path


def site_toml(site: dict) -> str:
    """A site as TOML: texts, numbers and dates at the top, then lists of tables."""
    blocks = [toml_lines((k, v) for k, v in site.items() if not isinstance(v, list))]
    for table, rows in site.items():
        if isinstance(rows, list):
            blocks += [f"[[{table}]]\n" + toml_lines(row.items()) for row in rows]
    return "\n".join(blocks)


def toml_lines(items: Iterable[tuple[str, object]]) -> str:
    return "".join(f"{k} = {v.isoformat() if isinstance(v, date) else json.dumps(v)}\n" for k, v in items)


def stamp(instant: datetime, zone: str | None = None, digits: int = 3) -> str:
    """An instant in RFC 3339: in UTC as Z, or with the offset that a zone has at that instant."""
    local = instant.astimezone(UTC if zone is None else ZoneInfo(zone))
    text = local.strftime("%Y-%m-%dT%H:%M:%S")
    if digits:
        text += f".{local.microsecond:06d}"[: 1 + digits]
    if zone is None:
        return text + "Z"
    minutes = local.utcoffset() // MIN
    return text + f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


class Raw(str):
    """JSON as it stands, for values that json.dumps would not write."""


def line_of(record: dict, ascii_only: bool = False, spaces: tuple[str, str] = (",", ":")) -> bytes:
    """One line of a segment."""
    pairs = []
    for name, value in record.items():
        text = value if isinstance(value, Raw) else json.dumps(value, ensure_ascii=ascii_only)
        pairs.append(json.dumps(name) + spaces[1] + text)
    return ("{" + spaces[0].join(pairs) + "}").encode("utf-8")


# Places and times -----------------------------------------------------------------------------------------------------

# Days on which clocks change, in both directions, by an hour and by half an hour; and days on which nothing happens.
PLACES = (
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Asia/Shanghai", date(2026, 1, 15)),
    ("Asia/Kathmandu", date(2026, 2, 28)),
    ("Europe/Berlin", date(2026, 12, 31)),
)
ZONES = tuple(dict.fromkeys(zone for zone, _ in PLACES))
DAY_STARTS = ("04:00", "00:00", "02:30", "02:00")
CURRENCY = {"Europe/Berlin": "EUR", "America/New_York": "USD", "Australia/Lord_Howe": "AUD", "Asia/Shanghai": "CNY"}


def starts_at(venue: dict) -> timedelta:
    hours, minutes = venue["day_starts_at"].split(":")
    return int(hours) * HOUR + int(minutes) * MIN


def folder_for(venue: dict, instant: datetime) -> date:
    wall = instant.astimezone(ZoneInfo(venue["time_zone"])).replace(tzinfo=None)
    return (wall - starts_at(venue)).date()


def edges_of_day(venue: dict, day: date) -> list[datetime]:
    """Instants around which something changes on this day at this venue, none twice."""
    zone = ZoneInfo(venue["time_zone"])
    midnight = datetime.combine(day, time(0))
    walls = [midnight + 14 * HOUR, midnight + starts_at(venue), midnight, midnight + DAY + starts_at(venue)]
    edges = [wall.replace(tzinfo=zone).astimezone(UTC) for wall in walls]
    edges.append(midnight.replace(tzinfo=UTC))
    minute = midnight.replace(tzinfo=UTC) - DAY
    while minute < midnight.replace(tzinfo=UTC) + 2 * DAY:  # a change of the clocks, to the half hour
        if minute.astimezone(zone).utcoffset() != (minute - 30 * MIN).astimezone(zone).utcoffset():
            edges += [minute, minute - 30 * MIN, minute + HOUR]
        minute += 30 * MIN
    return list(dict.fromkeys(edges))


# The distances at which a rule changes its mind.
STEPS = (0 * MS, 5 * MIN, 30 * MIN, MS, -MS, 30 * MIN + MS, 30 * MIN - MS, 12 * HOUR, 12 * HOUR + MS, 12 * HOUR - MS)
STEPS += (HOUR, -HOUR, US, 12 * HOUR + US, 30 * MIN + US, 10 * MIN)

# What one visitor does, as (direction, after): every kind of session and every kind of tie.
STORIES = (
    (("enter", 0 * MIN), ("leave", 30 * MIN)),
    (("enter", 0 * MIN),),
    (("leave", 0 * MIN),),
    (("enter", 0 * MIN), ("enter", 5 * MIN), ("leave", 30 * MIN)),
    (("enter", 0 * MIN), ("leave", 12 * HOUR)),
    (("enter", 0 * MIN), ("leave", 12 * HOUR + MS)),
    (("enter", 0 * MIN), ("leave", 12 * HOUR + US)),
    (("enter", 0 * MIN), ("enter", 12 * HOUR + HOUR)),
    (("enter", 0 * MIN), ("leave", 0 * MIN)),
    (("leave", 0 * MIN), ("enter", 0 * MIN)),
    (("enter", 0 * MIN), ("leave", 5 * MIN), ("enter", 5 * MIN), ("leave", 10 * MIN)),
    (("enter", 0 * MIN), ("leave", 5 * MIN), ("leave", 10 * MIN), ("enter", 30 * MIN)),
    (("leave", 0 * MIN), ("leave", 5 * MIN)),
    (("enter", 0 * MIN), ("enter", 0 * MIN), ("leave", 0 * MIN), ("leave", 0 * MIN)),
    (("enter", -DAY), ("leave", 5 * MIN)),
)

# Ids that differ only where a sloppy comparison sees no difference, and ids that some format mistakes for something.
IDS = (
    "k1:0123456789abcdef0123456789abcdef",
    "k1:0123456789ABCDEF0123456789abcdef",
    "\u00e9",  # é in one code point
    "e\u0301",  # é in two
    "E\u0301",
    "u",
    "u ",
    " ",
    "😀",
    "\uff41",  # full-width a: sorts above in UTF-8 but below the emoji only by code point
    "会员一号",
    'say "hi"\\',
    "line\nbreak\ttab",
    "a\u2028b",
    "null",
    "NULL",
    "0",
    "00",
    "1e3",
    "=1+1",
    "a,b;c|d",
    "'; DROP TABLE x; --",
    "true",
    "\u0130",  # İ: two characters in lower case
    "ß",
    "\ufeffu",
    "{}",
    "\x7f",
    "x" * 300,
)
GATEWAYS = ("g1", "g10", "G1", "g.1", "g_1", "g2")
BOOTS = ("b1", "B1", "b10", "2", "b.1")
AMOUNTS = ("10.00", "0.10", "0.20", "5", "5.5", "0.01", "-0.00", "0", "0012.30", "19.99", "900719925474099.31")

# Sites ----------------------------------------------------------------------------------------------------------------


@st.composite
def sites(draw: st.DrawFn, place: tuple[str, date]) -> dict:
    zone, day = place
    gateways = draw(st.lists(st.sampled_from(GATEWAYS), min_size=2, max_size=3, unique=True))
    venues, devices, activities = [], [], []
    for number, venue_id in enumerate(draw(st.sampled_from((("hall",), ("hall", "quay"), ("quay", "hall", "Hall"))))):
        venue_zone = zone if number == 0 else draw(st.sampled_from(ZONES))
        venues.append(
            {
                "id": venue_id,
                "name": f"The {venue_id}",
                "time_zone": venue_zone,
                "currency": CURRENCY.get(venue_zone, "NPR"),
                "day_starts_at": draw(st.sampled_from(DAY_STARTS)),
                "opened_on": day - 5 * DAY,
            }
        )
        equipped = number == 0 or draw(st.booleans())  # the first venue has everything, the others what is drawn
        for stream in FACTORIES:
            count = 1 + draw(st.integers(0, 1)) if equipped else draw(st.integers(0, 1))
            for device_number in range(count):
                device = {
                    "id": f"{stream}_{'ab'[device_number]}",
                    "venue_id": venue_id,
                    "gateway_id": draw(st.sampled_from(gateways)),
                    "stream": stream,
                }
                if stream == "entrance_counts":
                    device |= draw(
                        st.sampled_from(
                            (
                                {},
                                {"counting": "directional"},
                                {"counting": "passages", "in_share": 0.5},
                                {"counting": "passages", "in_share": 0.37},
                                {"counting": "passages"},
                            )
                        )
                    )
                devices.append(device)
        first = draw(st.sampled_from((None, -1, 0, 1)))
        if first is not None:
            activities.append(
                {
                    "id": f"fair_{number}",
                    "name": "Fair",
                    "venue_id": venue_id,
                    "first_date": day + first * DAY,
                    "last_date": day + max(first, 0) * DAY,
                }
            )
    site = {"identity": draw(st.sampled_from(("shared", "linked")))}
    # The order of the tables in site.toml means nothing.
    return site | {"venues": venues, "devices": draw(st.permutations(devices)), "activities": activities}


# Records --------------------------------------------------------------------------------------------------------------


@dataclass
class Draft:
    """A record on its way to a line."""

    stream: str
    folder: date
    gateway_id: str  # of the segment; the record may say otherwise
    boot_id: str
    record: dict
    counted: datetime  # the time that counts
    place: float  # records get their seq in the order of this, which is not the order of time
    seq: int = 0  # of the manifest; the record may say otherwise
    copy_of: "Draft | None" = None  # has the identity of that one
    spoiled: bool = False  # a trap has been at work; a second one would find other fields than it expects
    style: tuple = (False, False, (",", ":"))  # ASCII only, keys reversed, separators
    line_trap: Callable[[bytes], bytes] | None = None


@dataclass
class World:
    """What the records of one scenario have in common: few of everything, so that they collide."""

    site: dict
    edges: dict[str, list[datetime]]
    users: list[str]
    boots: list[str]
    order_ids: list[str]
    fine: bool  # whether timestamps are written in many ways
    dice: random.Random = field(default_factory=random.Random)  # those of the story that is being told
    drafts: list[Draft] = field(default_factory=list)

    def pick(self, options: Iterable) -> object:
        return self.dice.choice(tuple(options))

    def chance(self, eighths: int = 4) -> bool:
        return self.dice.randrange(8) < eighths

    def stamp(self, venue: dict, instant: datetime) -> str:
        exact = 6 if instant.microsecond % 1000 else 3 if instant.microsecond else 0
        if not self.fine:
            return stamp(instant, venue["time_zone"], max(exact, 3))
        digits = self.pick(d for d in (3, 0, 1, 4, 6) if d >= exact or (exact == 3 and d == 3))
        zone = self.pick((venue["time_zone"], None, "Asia/Kathmandu", "America/St_Johns"))
        text = stamp(instant, zone, digits)
        return text.replace("Z", "-00:00") if zone is None and self.chance() else text

    def add(self, stream: str, venue: dict, counted: datetime, fields: dict, recorded: datetime | None = None) -> None:
        """One record of a device of the venue; nothing where the venue has none for the stream."""
        devices = [d for d in self.site["devices"] if d["venue_id"] == venue["id"] and d["stream"] == stream]
        if not devices:
            return
        device = self.pick(devices)
        boot_id = self.pick(self.boots)
        record = {
            "gateway_id": device["gateway_id"],
            "boot_id": boot_id,
            "seq": 0,  # given out at the end
            "venue_id": venue["id"],
            "device_id": device["id"],
            "recorded_at": self.stamp(venue, counted if recorded is None else recorded),
            "clock": self.pick(("synced", "unsynced")),
        }
        record |= fields
        self.drafts.append(
            Draft(
                stream=stream,
                folder=folder_for(venue, counted),
                gateway_id=device["gateway_id"],
                boot_id=boot_id,
                record=record,
                counted=counted,
                place=self.dice.random(),
            )
        )

    def instant(self, venue: dict) -> datetime:
        return self.pick(self.edges[venue["id"]]) + self.pick(STEPS)


def add_visits(world: World, venue: dict) -> None:
    """A visitor's story, and orders at the instants where attachment changes."""
    start, user = world.instant(venue), world.pick(world.users)
    story = world.pick(STORIES)
    for direction, after in story:
        world.add("face_visits", venue, start + after, {"user_id": user, "direction": direction})
    for _ in range(world.pick((0, 1, 2, 3))):
        ordered_at = start + world.pick(story)[1] + world.pick(STEPS)
        add_order(world, venue, ordered_at, world.pick((user, user, user, *world.users, None)))


def add_order(world: World, venue: dict, ordered_at: datetime, user: str | None) -> None:
    fields = {
        "order_id": world.pick(world.order_ids),
        "order_no": world.pick((1, 1, 2)),
        "user_id": user,
        "ordered_at": world.stamp(venue, ordered_at),
        "category_id": world.pick(IDS),
        "quantity": world.pick((1, 2, 1000)),
        "amount": world.pick(AMOUNTS),
        "currency": venue["currency"],
        "status": world.pick(("completed", "completed", "cancelled", "refunded")),
    }
    if user is None and world.chance():
        fields |= {"user_id": ""} if world.chance() else {}
        if fields["user_id"] is None:
            del fields["user_id"]
    recorded = ordered_at + world.pick((0 * MS, 0 * MS, MS, DAY, -MS))
    world.add("orders", venue, ordered_at, fields, recorded)


def add_orders(world: World, venue: dict) -> None:
    add_order(world, venue, world.instant(venue), world.pick((*world.users, None)))


def add_counts(world: World, venue: dict, stream: str) -> None:
    """An interval; mostly one of the boundary and one of the entrance, so that there is a rate of the two."""
    start = world.instant(venue)
    for counting in dict.fromkeys((stream, world.pick(("boundary_counts", "entrance_counts")))):
        add_interval(world, venue, counting, start)


def add_interval(world: World, venue: dict, stream: str, start: datetime) -> None:
    end = start + world.pick((15 * MIN, HOUR, MS, US))
    in_count, out_count = world.pick((0, 1, 3, 7, 1000)), world.pick((0, 2, 5))
    fields = {
        "interval_start": world.stamp(venue, start),
        "interval_end": world.stamp(venue, end),
        "in_count": in_count,
        "out_count": out_count,
        "unpaired_count": world.pick((None, 0, 4)),
        "in_total": in_count + world.pick((0, 100)),
        "out_total": out_count + world.pick((0, 2**40)),
        "device_epoch": world.pick((0, 1, 1767225600)),
    }
    if stream == "entrance_counts":
        for name in ("out_count", "out_total"):
            if world.chance():
                fields[name] = None
    world.add(stream, venue, start, fields, end)


def add_boundary(world: World, venue: dict) -> None:
    add_counts(world, venue, "boundary_counts")


def add_entrance(world: World, venue: dict) -> None:
    add_counts(world, venue, "entrance_counts")


def add_link(world: World, venue: dict) -> None:
    fields = {
        "terminal_user_id": world.pick(world.users),
        "member_user_id": world.pick((*world.users, "member")),
        "action": world.pick(("link", "link", "unlink")),
    }
    world.add("identity_links", venue, world.instant(venue) + world.pick((0 * MS, -DAY, DAY, -2 * DAY)), fields)


def add_assignment(world: World, venue: dict) -> None:
    fields = {
        "experiment_id": world.pick(("exp", "Exp")),
        "unit_id": world.pick(world.users),
        "arm": world.pick(("control", "b")),
        "propensity": world.pick((0.5, 1, 1.0, 0.1, Raw("5e-1"), Raw("1e-300"))),
        "leaf_id": world.pick((None, 0, 3)),
        "allocation_id": world.pick((None, "a1", "")),
    }
    world.add("assignments", venue, world.instant(venue), fields)


def add_event(world: World, venue: dict) -> None:
    fields = {
        "kind": world.pick(("heartbeat", "clock_step", "epoch_opened", "refused")),
        "subject": world.pick((None, "s", "😀")),
        "value": world.pick((None, 0, -5, 2**63 - 1, -(2**63))),
        "detail": world.pick((None, "", 'a "quoted" \\ text\r\n')),
    }
    world.add("gateway_events", venue, world.instant(venue), fields)


FACTORIES: dict[str, Callable[[World, dict], None]] = {
    "face_visits": add_visits,
    "orders": add_orders,
    "boundary_counts": add_boundary,
    "entrance_counts": add_entrance,
    "identity_links": add_link,
    "assignments": add_assignment,
    "gateway_events": add_event,
}

# Traps in a record ----------------------------------------------------------------------------------------------------

INSTANTS = ("recorded_at", "interval_start", "interval_end", "ordered_at")
NULLABLE = {
    "boundary_counts": ("unpaired_count",),
    "entrance_counts": ("unpaired_count", "out_count", "out_total"),
    "orders": ("user_id",),
    "assignments": ("leaf_id", "allocation_id"),
    "gateway_events": ("subject", "value", "detail"),
}
ENUMERATIONS = ("clock", "direction", "status", "action", "kind")
COUNTS = ("in_count", "out_count", "unpaired_count", "in_total", "out_total")
NO_INSTANT: tuple[Callable[[str], str | Raw], ...] = (
    lambda t: t.replace("T", " "),
    lambda t: t.replace("T", "t"),
    lambda t: t[:19],  # no offset
    lambda t: t[:19] + "+0100",
    lambda t: t[:19] + "+01",
    lambda t: t[:19] + "z",
    lambda t: t[:19] + "+24:00",
    lambda t: t[:19] + "+01:60",
    lambda t: t[:19] + ".1234567Z",
    lambda t: t[:19] + ".Z",
    lambda t: t[:19] + ",123Z",
    lambda t: t[:16] + "Z",
    lambda t: t[:17] + "60Z",
    lambda t: t[:11] + "24:00:00Z",
    lambda t: t[:5] + "02-30" + t[10:],
    lambda t: t[:5] + "13-01" + t[10:],
    lambda t: t[:10].replace("-", "") + t[10:],
    lambda t: " " + t,
    lambda t: t + " ",
    lambda t: t + "\n",
    lambda t: t[:3] + "\uff16" + t[4:],  # a full-width digit
    lambda t: t[:19] + "Z[UTC]",
    lambda t: Raw("1774742400"),
    lambda t: Raw("1774742400000"),
)
NO_AMOUNT = (
    *("1,50", "1.234", ".5", "5.", " 1.00", "1.00 ", "1e2", "+1.00", "--1", "NaN", "Infinity", "1_0", "0x10", "-", "."),
    *("١.00", "12345678901234567", "12345678901234567.00", "1.00\n", "€1.00", "1.0.0"),
    *(Raw("1.5"), Raw("1"), Raw("null"), Raw('""'), Raw('["1.00"]')),
)
NO_INTEGER = (
    *(Raw("5.0"), Raw("5e0"), Raw("5E1"), Raw("true"), Raw("false"), Raw("NaN"), Raw("Infinity"), Raw("-Infinity")),
    *("5", " 5", Raw("[5]"), Raw("{}"), Raw("9223372036854775808"), Raw("-9223372036854775809"), Raw("1" + "0" * 30)),
)
NO_TEXT = (Raw("5"), Raw("1.5"), Raw("true"), Raw("[]"), Raw("{}"), Raw('["a"]'), Raw('{"a":1}'))
LONE_SURROGATES = (r'"\ud800"', r'"\udc00"', r'"a\ud83d"', r'"\ude00\ud83d"', r'"\ud83d\ud83d\ude00"', r'"\uDBFFx"')

Trap = Callable[[World, Draft], None]


def names_of(draft: Draft, kind: type | tuple[type, ...]) -> list[str]:
    return [n for n, v in draft.record.items() if isinstance(v, kind) and not isinstance(v, bool)]


def required(world: World, draft: Draft) -> str:
    return world.pick(n for n in draft.record if n not in NULLABLE.get(draft.stream, ()))


def setting(names: Iterable[str], values: Iterable) -> Trap:
    """Puts one of the values in one of the fields, where the stream has one of them."""
    names, values = tuple(names), tuple(values)

    def trap(world: World, draft: Draft) -> None:
        present = [name for name in names if name in draft.record]
        if present:
            draft.record[world.pick(present)] = world.pick(values)

    return trap


def trap_missing(world: World, draft: Draft) -> None:
    del draft.record[required(world, draft)]


def trap_null(world: World, draft: Draft) -> None:
    draft.record[required(world, draft)] = None


def trap_empty(world: World, draft: Draft) -> None:
    draft.record[required(world, draft)] = ""


def trap_other_case(world: World, draft: Draft) -> None:
    """A name in another case is another name, so the field is missing; or it is there twice and one is ignored."""
    name = required(world, draft)
    draft.record[name.upper()] = draft.record[name] if world.chance() else draft.record.pop(name)


def trap_integer(world: World, draft: Draft) -> None:
    draft.record[world.pick(names_of(draft, int))] = world.pick(NO_INTEGER)


def trap_text(world: World, draft: Draft) -> None:
    draft.record[world.pick(names_of(draft, str))] = world.pick(NO_TEXT)


def trap_instant(world: World, draft: Draft) -> None:
    name = world.pick(n for n in INSTANTS if n in draft.record)
    if not isinstance(draft.record[name], Raw):
        draft.record[name] = world.pick(NO_INSTANT)(str(draft.record[name]))


def trap_enumeration(world: World, draft: Draft) -> None:
    name = world.pick(n for n in ENUMERATIONS if n in draft.record)
    draft.record[name] = world.pick((str.upper, str.title, lambda t: t + " ", lambda t: "no_" + t))(draft.record[name])


def trap_surrogate(world: World, draft: Draft) -> None:
    draft.record[world.pick((*names_of(draft, str), "extra"))] = Raw(world.pick(LONE_SURROGATES))


def trap_nullable(world: World, draft: Draft) -> None:
    """A nullable field left out, null or empty is null; of a wrong type it is not."""
    if draft.stream in NULLABLE:
        name = world.pick(NULLABLE[draft.stream])
        value = world.pick((None, "", Raw("true"), Raw("5.0"), Raw("[]"), Raw("5"), "5", ...))
        if value is ...:
            draft.record.pop(name, None)
        else:
            draft.record[name] = value


def trap_number(world: World, draft: Draft) -> None:
    if draft.stream == "assignments":
        texts = ("0", "0.0", "1.0000001", "-0.5", "2", "-1", "NaN", "Infinity", '"0.5"', "true", "1.0", "1e-9", "[]")
        draft.record["propensity"] = Raw(world.pick(texts))


def trap_device(world: World, draft: Draft) -> None:
    """A device that exists, but not for this venue, gateway and stream; or not at all."""
    draft.record["device_id"] = world.pick((*(d["id"] for d in world.site["devices"]), "nobody", "FACE_VISITS_A"))


def trap_venue(world: World, draft: Draft) -> None:
    draft.record["venue_id"] = world.pick((*(v["id"] for v in world.site["venues"]), "nowhere", "HALL", "hall "))


def trap_folder(world: World, draft: Draft) -> None:
    draft.folder += world.pick((-DAY, DAY))


def trap_year(world: World, draft: Draft) -> None:
    name = world.pick(n for n in INSTANTS if n in draft.record)
    draft.record[name] = world.pick(("2099", "1970", "2025")) + str(draft.record[name])[4:]


def trap_total(world: World, draft: Draft) -> None:
    """Totals just below and exactly at the interval's own counts."""
    for total, count in (("in_total", "in_count"), ("out_total", "out_count")):
        if type(draft.record.get(count)) is int and draft.record.get(total) is not None:
            draft.record[total] = draft.record[count] - world.pick((0, 1))


def trap_interval(world: World, draft: Draft) -> None:
    """An interval without duration, or backwards; by the wall clock it may look forward, and the reverse."""
    if "interval_end" in draft.record:
        zone = world.pick(("Asia/Kathmandu", "America/St_Johns"))
        draft.record["interval_end"] = stamp(draft.counted + world.pick((0 * MS, -US, US, -HOUR)), zone, 6)


RECORD_TRAPS: dict[str, Trap] = {
    "missing": trap_missing,
    "null": trap_null,
    "empty": trap_empty,
    "other_case": trap_other_case,
    "no_integer": trap_integer,
    "no_text": trap_text,
    "no_instant": trap_instant,
    "no_enumeration": trap_enumeration,
    "no_number": trap_number,
    "no_amount": setting(("amount",), NO_AMOUNT),
    "lone_surrogate": trap_surrogate,
    "nullable": trap_nullable,
    "name_part": setting(("gateway_id", "boot_id"), ("a-b", "", "ü", "a b", "a/b")),
    "venue": trap_venue,
    "device": trap_device,
    "gateway": setting(("gateway_id",), GATEWAYS),
    "wrong_folder": trap_folder,
    "year": trap_year,
    "negative_count": setting(COUNTS, (-1, -(2**63))),
    "total": trap_total,
    "interval": trap_interval,
    "quantity": setting(("quantity",), (0, -1, 1)),
    "negative_amount": setting(("amount",), ("-0.01", "-1", "-0.00")),
    "currency": setting(("currency",), ("XXX", "eur", "EUR", "USD")),
    "other_seq": setting(("seq",), (5, 2**63 - 1, -1)),
}

# Traps in a line ------------------------------------------------------------------------------------------------------


def with_extra(line: bytes, value: bytes) -> bytes:
    """The line with an unknown extra field, which is ignored whatever it holds, if it is JSON."""
    return b'{"extra":' + value + b"," + line[1:]


def padded(line: bytes, size: int) -> bytes:
    filler = size - len(with_extra(line, b'""'))
    return with_extra(line, b'"' + b"x" * filler + b'"')


LINE_TRAPS: dict[str, tuple[Callable[[bytes], bytes], ...]] = {
    "not_utf8": (
        lambda line: line.replace(b'"', b'"\xff', 1),
        lambda line: with_extra(line, b'"\xed\xa0\x80"'),  # a surrogate, encoded
        lambda line: with_extra(line, b'"\xc0\xaf"'),  # over-long
        lambda line: with_extra(line, b'"\xe4\xbc"'),  # cut
        lambda line: with_extra(line, b'"\xf4\x90\x80\x80"'),  # above U+10FFFF
        lambda line: line + b"\x80",
        lambda line: line.decode().encode("utf-16"),
    ),
    "bom": (lambda line: b"\xef\xbb\xbf" + line,),
    "not_json": (
        lambda line: line[:-1] + b",}",
        lambda line: line[:-1],
        lambda line: line[1:],
        lambda line: line + line,
        lambda line: line + b" " + line,
        lambda line: line + b",",
        lambda line: line + b"\x00",
        lambda line: line.replace(b'"', b"'"),
        lambda line: line + b"//",
        lambda line: b"/**/" + line,
        lambda line: with_extra(line, b"01"),
        lambda line: with_extra(line, b".5"),
        lambda line: with_extra(line, b"+1"),
        lambda line: with_extra(line, b"0x1"),
        lambda line: with_extra(line, b"[1,]"),
        lambda line: with_extra(line, b"True"),
        lambda line: with_extra(line, b"undefined"),
        lambda line: with_extra(line, b'"\t"'),  # a control character inside text
        lambda line: with_extra(line, b'"\\x41"'),
        lambda line: with_extra(line, b'"\\u12"'),
        lambda line: with_extra(line, b"\xc2\xa01"),  # a no-break space is no white space
        lambda line: b"\x0c" + line,
        lambda line: b"hello",
    ),
    "not_an_object": (
        lambda line: b"[" + line + b"]",
        lambda line: b"null",
        lambda line: b"5",
        lambda line: b'"text"',
        lambda line: b"{}",
        lambda line: b"[]",
        lambda line: json.dumps(line.decode()).encode(),
    ),
    "nan_extra": (lambda line: with_extra(line, b"NaN"), lambda line: with_extra(line, b"[-Infinity,Infinity]")),
    "twice": (
        lambda line: b'{"seq":"first",' + line[1:],
        lambda line: b'{"clock":null,"clock":"synced",' + line[1:],
        lambda line: line[:-1] + b',"venue_id":"hall"}',
        lambda line: line[:-1] + b',"recorded_at":null}',
        lambda line: line[:-1] + b',"user_id":"u"}',
        lambda line: line[:-1] + b',"s\\u0065q":123456}',
    ),
    "extra": (
        lambda line: with_extra(line, b'[1,{"a":null,"seq":7}]'),
        lambda line: with_extra(line, b'"\xe2\x80\xa8\xf0\x9f\x98\x80\\/\\u0041\\ud83d\\ude00"'),
        lambda line: with_extra(line, b"1e-5"),
        lambda line: with_extra(line, b"123456789012345678901234567890"),
        lambda line: with_extra(line, b"-0.0"),
        lambda line: line[:-1] + b',"":0," ":1,"seq ":2,"a.b":3}',
        lambda line: line[:-1] + b',"Seq":1,"USER_ID":"other","Amount":5}',
        lambda line: line[:-1] + b',"line":1,"segment":"x","event_date":"2020-01-01","stream":"y","reason":1}',
    ),
    "deep": (
        lambda line: with_extra(line, b"[" * 100 + b"]" * 100),
        lambda line: with_extra(line, b'{"a":' * 100 + b"1" + b"}" * 100),
        lambda line: with_extra(line, b"[" * 400 + b"]" * 400),
        lambda line: with_extra(line, b'{"a":' * 400 + b"1" + b"}" * 400),
        lambda line: with_extra(line, b"[" * 20000 + b"]" * 20000),
        lambda line: with_extra(line, b'"' + b"[{" * 400 + b'"'),  # brackets in text are no depth
        lambda line: with_extra(line, b"[" + b"[]," * 400 + b"1]"),  # broad, not deep
    ),
    "long": (
        lambda line: padded(line, 65536),
        lambda line: padded(line, 65537),
        lambda line: padded(line, 70000),
        lambda line: padded(line, 65536) + b"\r",
        lambda line: b" " * 70000 + line,
    ),
    "around": (
        lambda line: line + b"\r",
        lambda line: b" \t" + line + b" \t\r",
        lambda line: line.replace(b'{"', b'{ \t"', 1),
    ),
    "blank_line": (lambda line: b"\n" + line, lambda line: line + b"\n", lambda line: b"\n\n\n" + line),
    "whitespace_line": (lambda line: line + b"\n\r", lambda line: b"  \n" + line, lambda line: b"\t\n" + line),
}

FEATURES = ("duplicate", "tight_created_at", "keys_reversed", *PACKINGS)
TRAPS = (*RECORD_TRAPS, *LINE_TRAPS, *DAMAGES, *FEATURES)

# Landings -------------------------------------------------------------------------------------------------------------

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def landings(draw: st.DrawFn, without: Iterable[str] = (), max_stories: int = 20) -> Scenario:
    """A site and a landing full of edges. `without` names traps to leave out, see TRAPS.

    A story (some records that belong together, with what is wrong with them) is drawn as one number, from which its
    own dice are made: so a failing landing is made smaller by leaving out stories, and the others stay as they are.
    """
    without = frozenset(without)
    unknown = without - set(TRAPS)
    if unknown:
        raise ValueError(f"no such traps: {sorted(unknown)}; there are {sorted(TRAPS)}")
    place = draw(st.sampled_from(PLACES))
    site = draw(sites(place))
    edges = {}
    for venue in site["venues"]:
        possible = edges_of_day(venue, place[1])
        edges[venue["id"]] = draw(st.lists(st.sampled_from(possible), min_size=1, max_size=2, unique=True))
    world = World(
        site=site,
        edges=edges,
        users=draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True)),
        boots=draw(st.lists(st.sampled_from(BOOTS), min_size=1, max_size=2, unique=True)),
        order_ids=draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=2, unique=True)),
        fine=draw(st.booleans()),
    )
    # In eighths: how many records and how many segments have something wrong.
    dirt, damage = draw(st.sampled_from((0, 1, 3))), draw(st.sampled_from((0, 0, 1, 4)))
    few = min(draw(st.sampled_from((1, 8, 12, 8, 12, 4, 10, 0))), max_stories)
    for seed in draw(st.lists(SEEDS, min_size=few, max_size=min(2 * few, max_stories))):
        world.dice = random.Random(seed)
        tell_story(world, dirt, without)
    give_out_seqs(world.drafts, first=draw(st.sampled_from((1, 8, 98, 0, 2**40))))
    cutting = draw(SEEDS)
    groups: dict[tuple, list[Draft]] = defaultdict(list)
    for draft in sorted(world.drafts, key=lambda draft: draft.seq):
        groups[draft.stream, draft.folder, draft.gateway_id, draft.boot_id].append(draft)
    segments = []
    for key, group in groups.items():
        world.dice = random.Random(f"{cutting} {key}")
        segments += [segment_of(world, part, damage, without) for part in in_parts(world, group)]
    return Scenario(event_date=place[1], site=site, segments=segments)


def tell_story(world: World, dirt: int, without: frozenset[str]) -> None:
    """Some records that belong together, and what is wrong with them."""
    told = len(world.drafts)
    stream = world.pick(("face_visits", "face_visits", "face_visits", *FACTORIES))
    if world.site["identity"] == "linked" and world.chance(1):
        stream = "identity_links"
    FACTORIES[stream](world, world.pick(world.site["venues"]))
    if dirt and told and "duplicate" not in without and world.chance(2):
        add_duplicate(world, world.pick(world.drafts[:told]))
    record_traps = [trap for name, trap in RECORD_TRAPS.items() if name not in without]
    line_traps = [traps for name, traps in LINE_TRAPS.items() if name not in without]
    for draft in world.drafts[told:]:
        if world.chance(dirt) and record_traps and not draft.spoiled:
            draft.spoiled = True
            world.pick(record_traps)(world, draft)
        if world.chance(dirt) and world.chance() and line_traps:
            draft.line_trap = world.pick(world.pick(line_traps))
        reverse = "keys_reversed" not in without and world.chance(2)
        separators = world.pick(((",", ":"), (",", ":"), (", ", ": "), (" ,\t", " : ")))
        draft.style = (world.chance(), reverse, separators)


def add_duplicate(world: World, original: Draft) -> None:
    """A record sent again as it was, or one that says something else under an identity that is taken."""
    copy = Draft(
        stream=original.stream,
        folder=original.folder,
        gateway_id=original.gateway_id,
        boot_id=world.pick(world.boots),
        record=dict(original.record),
        counted=original.counted,
        place=world.dice.random(),
        copy_of=original,
        spoiled=original.spoiled,
    )
    changes = {"direction": ("enter", "leave"), "user_id": world.users, "amount": AMOUNTS, "in_count": (0, 1)}
    for name, values in changes.items():
        if name in copy.record and world.chance(2):
            copy.record[name] = world.pick(values)
    world.drafts.append(copy)


def give_out_seqs(drafts: list[Draft], first: int) -> None:
    """Consecutive per (gateway, boot, stream)."""
    following: dict[tuple, int] = {}
    for draft in sorted(drafts, key=lambda draft: draft.place):
        key = (draft.gateway_id, draft.boot_id, draft.stream)
        draft.seq = following.get(key, first)
        following[key] = draft.seq + 1
        if type(draft.record.get("seq")) is int and draft.record["seq"] == 0:  # not where a trap has been at work
            draft.record["seq"] = draft.seq
    for draft in drafts:  # an original comes before its copies
        if draft.copy_of is not None:
            identity = ("gateway_id", "boot_id", "seq")
            draft.record |= {n: draft.copy_of.record[n] for n in identity if n in draft.copy_of.record}


def in_parts(world: World, group: list[Draft]) -> list[list[Draft]]:
    """The group in one to three segments."""
    cuts = sorted(world.dice.randint(1, len(group)) for _ in range(world.pick((0, 1, 2))))
    return [group[a:b] for a, b in pairwise([0, *cuts, len(group)]) if a < b]


def segment_of(world: World, part: list[Draft], damage: int, without: frozenset[str]) -> Segment:
    lines = []
    for draft in part:
        ascii_only, backwards, separators = draft.style
        record = dict(reversed(draft.record.items())) if backwards else draft.record
        line = line_of(record, ascii_only, separators)
        lines.append(line if draft.line_trap is None else draft.line_trap(line))
    created_at = max(draft.counted for draft in part) + HOUR
    if "tight_created_at" not in without and world.chance(1):
        created_at = world.pick(part).counted - DAY + world.pick((0 * MS, -MS, MS))
    damages = [name for name in DAMAGES if name not in without]
    packings = ["plain", "plain", *(name for name in PACKINGS if name not in without)]
    return Segment(
        stream=part[0].stream,
        event_date=part[0].folder,
        gateway_id=part[0].gateway_id,
        boot_id=part[0].boot_id,
        seqs=[draft.seq for draft in part],
        lines=lines,
        created_at=created_at,
        damages=tuple(world.dice.sample(damages, world.pick((1, 1, 2)))) if damages and world.chance(damage) else (),
        last_line_ends=world.chance(),
        packing=world.pick(packings),
    )
