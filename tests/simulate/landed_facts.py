"""DESIGN sections 2 and 3 read off landed files the slow and plain way: json, dicts and loops, nothing shared with the
simulator, so that its truth is checked by other means than those that made it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import fmean, median
from typing import Any

import zstandard

from edge_collector.event_time import event_date
from edge_collector.site import Site

COMMON = {"gateway_id": str, "boot_id": str, "seq": int, "venue_id": str, "device_id": str, "recorded_at": "time"}
COUNTS = {
    "interval_start": "time",
    "interval_end": "time",
    "in_count": int,
    "out_count": int,
    "unpaired_count": "int?",
    "in_total": int,
    "out_total": int,
    "device_epoch": int,
}
FIELDS: dict[str, dict[str, Any]] = {
    "boundary_counts": COUNTS,
    "entrance_counts": COUNTS | {"out_count": "int?", "out_total": "int?"},
    "face_visits": {"user_id": str, "direction": ("enter", "leave")},
    "orders": {
        "order_id": str,
        "order_no": int,
        "user_id": "str?",
        "ordered_at": "time",
        "category_id": str,
        "quantity": int,
        "amount": "money",
        "currency": str,
        "status": ("completed", "cancelled", "refunded"),
    },
    "assignments": {
        "experiment_id": str,
        "unit_id": str,
        "arm": str,
        "propensity": float,
        "leaf_id": "int?",
        "allocation_id": "str?",
    },
    "identity_links": {"terminal_user_id": str, "member_user_id": str, "action": ("link", "unlink")},
    "gateway_events": {
        "kind": ("heartbeat", "clock_step", "epoch_opened", "refused"),
        "subject": "str?",
        "value": "int?",
        "detail": "str?",
    },
}
REASONS = {"malformed", "duplicate", "unknown_venue", "unknown_device", "wrong_event_date", "out_of_range"}
"""All for which a line is quarantined."""
TIME = {"boundary_counts": "interval_start", "entrance_counts": "interval_start", "orders": "ordered_at"}


@dataclass
class Facts:
    landed: Counter[tuple[str, date]] = field(default_factory=Counter)
    quarantined: dict[tuple[str, date], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    refused: Counter[tuple[str, date, str]] = field(default_factory=Counter)
    clean: dict[tuple[str, date], list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    manifest_seqs: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    created: list[datetime] = field(default_factory=list)

    def of_venue(self, stream: str, venue_id: str, day: date) -> list[dict[str, Any]]:
        return [r for r in self.clean[stream, day] if r["venue_id"] == venue_id]


def read(landing: Path, site: Site) -> Facts:
    facts = Facts()
    devices = {(d.venue_id, d.id, d.stream, d.gateway_id) for d in site.devices}
    for folder in sorted(landing.glob("*/event_date=*")):
        stream, day = folder.parent.name, date.fromisoformat(folder.name.removeprefix("event_date="))
        seen: set[tuple[str, str, int]] = set()
        for path in sorted(folder.glob("*.manifest.json"), key=lambda p: p.name.encode()):
            manifest = json.loads(path.read_bytes())
            created = datetime.fromisoformat(manifest["created_at"])
            facts.created.append(created)
            for a, b in manifest["seq_ranges"]:
                facts.manifest_seqs[manifest["gateway_id"], stream].update(range(a, b + 1))
            segment = path.with_name(path.name.replace(".manifest.json", ".jsonl.zst"))
            if not segment.exists():
                facts.refused[stream, day, "missing"] += 1
                continue
            packed = segment.read_bytes()
            if hashlib.sha256(packed).hexdigest() != manifest["sha256"]:
                facts.refused[stream, day, "hash"] += 1
                continue
            lines = [line for line in zstandard.decompress(packed).split(b"\n") if line]
            assert len(lines) == manifest["rows"]
            for line in lines:
                facts.landed[stream, day] += 1
                record = parsed(stream, line)
                reason = "malformed" if record is None else judged(record, stream, day, site, devices, seen, created)
                if reason:
                    facts.quarantined[stream, day][reason] += 1
                else:
                    assert record is not None
                    facts.clean[stream, day].append(record)
    return facts


def parsed(stream: str, line: bytes) -> dict[str, Any] | None:
    if len(line) > 65536:
        return None
    try:
        record = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    for name, kind in (COMMON | {"clock": ("synced", "unsynced")} | FIELDS[stream]).items():
        if not fits(record.get(name), kind):
            return None
    return record


def fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, tuple):
        return value in kind
    if kind is int:
        return type(value) is int
    if kind is float:
        return type(value) in (int, float)
    if kind is str:
        return isinstance(value, str) and value != ""
    if kind == "time":
        return isinstance(value, str) and bool(
            re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", value)
        )
    if kind == "money":
        return isinstance(value, str) and bool(re.fullmatch(r"-?\d+\.\d\d", value))
    return value is None or fits(value, {"int?": int, "str?": str}[kind])


def judged(
    r: dict[str, Any], stream: str, day: date, site: Site, devices: set[Any], seen: set[Any], created: datetime
) -> str | None:
    identity = (r["gateway_id"], r["boot_id"], r["seq"])
    if identity in seen:
        return "duplicate"
    seen.add(identity)
    venue = next((v for v in site.venues if v.id == r["venue_id"]), None)
    if venue is None:
        return "unknown_venue"
    if (r["venue_id"], r["device_id"], stream, r["gateway_id"]) not in devices:
        return "unknown_device"
    at = datetime.fromisoformat(r[TIME.get(stream, "recorded_at")])
    if event_date(at, venue.time_zone, venue.day_starts_at) != day:
        return "wrong_event_date"
    if at > created + timedelta(hours=24):
        return "out_of_range"
    if stream.endswith("_counts"):
        start, end = (datetime.fromisoformat(r[n]) for n in ("interval_start", "interval_end"))
        pairs = [(r[f"{way}_count"], r[f"{way}_total"]) for way in ("in", "out")]
        if end <= start or any(c is not None and (c < 0 or t < c) for c, t in pairs):
            return "out_of_range"
    if stream == "orders" and (r["quantity"] < 1 or Decimal(r["amount"]) < 0 or r["currency"] != venue.currency):
        return "out_of_range"
    if stream == "assignments" and not 0 < r["propensity"] <= 1:
        return "out_of_range"
    return None


def sessions(facts: Facts, venue_id: str, day: date) -> tuple[Counter[str], list[float], set[str]]:
    states: Counter[str] = Counter()
    stays: list[float] = []
    users: set[str] = set()
    by_user: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in facts.of_venue("face_visits", venue_id, day):
        by_user[r["user_id"]].append(r)
    for user, records in by_user.items():
        records.sort(key=lambda r: (datetime.fromisoformat(r["recorded_at"]), r["gateway_id"], r["boot_id"], r["seq"]))
        entered: datetime | None = None
        for r in records:
            at = datetime.fromisoformat(r["recorded_at"])
            if r["direction"] == "enter":
                users.add(user)
                states["no_exit"] += entered is not None
                entered = at
            elif entered is None:
                states["no_entry"] += 1
            else:
                stay = (at - entered).total_seconds()
                states["complete" if stay <= 12 * 3600 else "overlong"] += 1
                stays += [stay] if stay <= 12 * 3600 else []
                entered = None
        states["no_exit"] += entered is not None
    return states, stays, users


def p90(values: list[float]) -> float:
    ordered = sorted(values)
    at = 0.9 * (len(ordered) - 1)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    return low + (high - low) * (at - math.floor(at))


def current_lines(facts: Facts, venue_id: str, day: date) -> tuple[list[dict[str, Any]], int]:
    rows = facts.of_venue("orders", venue_id, day)
    newest: dict[tuple[str, int], dict[str, Any]] = {}
    for r in sorted(rows, key=lambda r: (datetime.fromisoformat(r["recorded_at"]), r["gateway_id"], r["seq"])):
        newest[r["order_id"], r["order_no"]] = r
    return list(newest.values()), len(rows) - len(newest)


def primary_metrics(facts: Facts, venue_id: str, day: date) -> dict[str, Any]:
    totals: dict[str, int | None] = {}
    for stream in ("boundary_counts", "entrance_counts"):
        rows = facts.of_venue(stream, venue_id, day)
        totals[stream] = sum(r["in_count"] for r in rows) if rows else None
    states, stays, users = sessions(facts, venue_id, day)
    lines, _ = current_lines(facts, venue_id, day)
    done = [r for r in lines if r["status"] == "completed"]
    pf_range, pf_entrance = totals["boundary_counts"], totals["entrance_counts"]
    pv = states["complete"] + states["overlong"] + states["no_exit"]
    return {
        "pf_range": pf_range,
        "pf_entrance": pf_entrance,
        "ocr": pf_entrance / pf_range if pf_range and pf_entrance is not None else None,
        "pv": pv,
        "uv": len(users),
        "lov_mean_seconds": fmean(stays) if stays else None,
        "lov_median_seconds": median(stays) if stays else None,
        "lov_p90_seconds": p90(stays) if stays else None,
        "completed_orders": len({r["order_id"] for r in done}),
        "paying_users": len({r["user_id"] for r in done if r["user_id"]}),
        "gmv": sum((Decimal(r["amount"]) for r in done), Decimal("0.00")),
        "gmv_anonymous": sum((Decimal(r["amount"]) for r in done if not r["user_id"]), Decimal("0.00")),
        "cancelled_amount": sum((Decimal(r["amount"]) for r in lines if r["status"] != "completed"), Decimal("0.00")),
        "recognition_share": pv / pf_entrance if pf_entrance else None,
    }


@dataclass
class Session:
    user_id: str
    order: tuple[datetime, str, int]
    until: datetime
    left: datetime | None = None
    bought: bool = False

    def contains(self, at: datetime) -> bool:
        return self.order[0] <= at <= self.left if self.left else self.order[0] <= at < self.until


def entered_sessions(facts: Facts, venue_id: str, day: date) -> list[Session]:
    """Sessions with an entry, and whether a completed order is attached to them."""
    found: list[Session] = []
    inside: dict[str, Session] = {}
    records = [(datetime.fromisoformat(r["recorded_at"]), r) for r in facts.of_venue("face_visits", venue_id, day)]
    for at, r in sorted(records, key=lambda a: (a[0], a[1]["gateway_id"], a[1]["seq"])):
        if r["direction"] == "enter":
            if r["user_id"] in inside:
                inside[r["user_id"]].until = at
            longest = timedelta(hours=12, milliseconds=1)
            found.append(Session(r["user_id"], (at, r["gateway_id"], r["seq"]), at + longest))
            inside[r["user_id"]] = found[-1]
        elif r["user_id"] in inside:
            inside.pop(r["user_id"]).left = at
    by_user: dict[str, list[Session]] = defaultdict(list)
    for session in found:
        by_user[session.user_id].append(session)
    for line in current_lines(facts, venue_id, day)[0]:
        if line["status"] == "completed" and line["user_id"]:
            at, own = datetime.fromisoformat(line["ordered_at"]), by_user[line["user_id"]]
            around = [s for s in own if s.contains(at)]
            before = [s for s in own if s.left and s.left <= at <= s.left + timedelta(minutes=30)]
            for s in (around or before)[-1:]:
                s.bought = True
    return found


def visit_units(facts: Facts, venue_id: str, day: date) -> dict[tuple[str, str], list[int]]:
    """By experiment and arm: clean assignments of visits, and how many of these are conversions."""
    seen = entered_sessions(facts, venue_id, day)
    users = {r["user_id"] for r in facts.of_venue("face_visits", venue_id, day)}
    found: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for r in facts.of_venue("assignments", venue_id, day):
        at, user_id = datetime.fromisoformat(r["recorded_at"]), r["unit_id"].split("/")[0]
        near = [
            (abs(s.order[0] - at), s.order, s.bought)
            for s in seen
            if (s.user_id == user_id or user_id not in users) and abs(s.order[0] - at) <= timedelta(minutes=10)
        ]
        found[r["experiment_id"], r["arm"]][0] += 1
        found[r["experiment_id"], r["arm"]][1] += bool(near) and min(near)[2]
    return found
