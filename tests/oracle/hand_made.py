"""Landings made by hand: what the examples share that hold the oracle against the design.

The day is 10 June 2026 at a hall in Berlin (+02:00), whose event dates start at 04:00, unless a test says otherwise.
"""

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

from tests.oracle.landing_writer import Scenario, Segment, line_of
from tests.oracle.oracle import Oracle, recompute
from tests.oracle.records import STREAMS

DAY = date(2026, 6, 10)
LATER = datetime(2026, 6, 12, tzinfo=UTC)
HALL = {
    "id": "hall",
    "name": "Hall",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "day_starts_at": "04:00",
    "opened_on": date(2026, 1, 1),
}
QUAY = HALL | {"id": "quay", "time_zone": "Asia/Shanghai", "currency": "CNY"}


def device(stream: str, venue: str = "hall", gateway: str = "g1", **more: object) -> dict:
    return {"id": f"{stream}_a", "venue_id": venue, "gateway_id": gateway, "stream": stream} | more


DEVICES = [device(stream) for stream in STREAMS]


def at(clock: str, day: str = "2026-06-10", offset: str = "+02:00") -> str:
    return f"{day}T{clock}{offset}"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


class Landing:
    """A landing in the making; records get the next seq of their stream, and each `put` is one segment."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.site: dict = {"identity": "shared", "venues": [HALL], "devices": DEVICES, "activities": []}
        self.segments: list[Segment] = []
        self.seqs: Counter = Counter()

    def put(
        self,
        stream: str,
        *records: dict | bytes,
        day: date = DAY,
        gateway: str = "g1",
        boot: str = "b",
        created_at: datetime = LATER,
        damages: tuple[str, ...] = (),
        packing: str = "plain",
    ) -> str:
        """Returns the segment's name. A record has only what matters; the rest is filled in."""
        first = self.seqs[gateway, boot, stream] + 1
        lines = []
        for record in records:
            self.seqs[gateway, boot, stream] += 1
            if isinstance(record, dict):
                common = {"gateway_id": gateway, "boot_id": boot, "seq": self.seqs[gateway, boot, stream]}
                record = line_of(common | {"device_id": f"{stream}_a"} | complete(stream, record))
            lines.append(record)
        seqs = list(range(first, first + len(records)))
        segment = Segment(stream, day, gateway, boot, seqs, lines, created_at, damages, packing=packing)
        self.segments.append(segment)
        return segment.name

    def compute(self, day: date = DAY) -> Oracle:
        Scenario(DAY, self.site, self.segments).write(self.folder)
        return recompute(self.folder, day)


DEFAULTS: dict[str, dict] = {
    "boundary_counts": {
        "interval_start": at("10:00:00"),
        "interval_end": at("10:15:00"),
        "in_count": 1,
        "out_count": 1,
        "unpaired_count": None,
        "in_total": 100,
        "out_total": 100,
        "device_epoch": 1,
    },
    "face_visits": {"user_id": "u", "direction": "enter"},
    "orders": {
        "order_id": "o1",
        "order_no": 1,
        "user_id": "u",
        "ordered_at": at("10:00:00"),
        "category_id": "tea",
        "quantity": 1,
        "amount": "1.00",
        "currency": "EUR",
        "status": "completed",
    },
    "assignments": {"experiment_id": "x", "unit_id": "u", "arm": "a", "propensity": 0.5},
    "identity_links": {"terminal_user_id": "t", "member_user_id": "m", "action": "link"},
    "gateway_events": {"kind": "heartbeat"},
}
DEFAULTS["entrance_counts"] = DEFAULTS["boundary_counts"]


def complete(stream: str, record: dict) -> dict:
    base = {"venue_id": "hall", "recorded_at": at("10:00:00"), "clock": "synced"}
    return base | DEFAULTS[stream] | record


def good(stream: str = "face_visits", **fields: object) -> bytes:
    """A line that is clean."""
    common = {"gateway_id": "g1", "boot_id": "b", "seq": 1, "device_id": f"{stream}_a"}
    return line_of(common | complete(stream, fields))


def judged(landing: Landing, stream: str, *records: dict | bytes, **how: object) -> list[str]:
    """The reason of each line of one segment, "clean" for a clean one."""
    landing.put(stream, *records, **how)
    oracle = landing.compute(how.get("day", DAY))
    found = {row["line"]: "clean" for row in oracle.clean[stream]}
    found |= {row["line"]: row["reason"] for row in oracle.quarantine}
    return [found[line] for line in sorted(found)]


def visits(story: str) -> list[dict]:
    """`+10:00 -10:30` is an enter and a leave; with `u:` before it, of that user."""
    records = []
    for word in story.split():
        user, _, moment = word.rpartition("/")
        direction = "enter" if moment[0] == "+" else "leave"
        clock = moment[1:] if moment.count(":") == 2 else moment[1:] + ":00"
        records.append({"user_id": user or "u", "direction": direction, "recorded_at": at(clock)})
    return records
