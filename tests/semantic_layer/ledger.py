"""Every metric worked out by hand: loops over plain rows, no SQL, nothing shared with the registry.

A ledger holds the rows of sessions, order lines and counts of any number of dates, and the site that they come from.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
Rows = list[Row]
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MICROSECOND = timedelta(microseconds=1)


@dataclass
class Ledger:
    """Rows as the layers hold them, each with its event_date; devices as site.toml describes them."""

    devices: Rows
    sessions: Rows
    order_lines: Rows
    counts: Rows
    """Those of both streams, with `stream`."""
    segments: dict[tuple[str, str], str]
    """As of the last date: venue and user -> RFM segment."""
    kinds: dict[str, Rows] = field(default_factory=dict)

    def __post_init__(self) -> None:
        people = self._people()
        known = {(p["venue_id"], p["user_id"]) for p in people}

        def segment(venue_id: str, user_id: str | None) -> str | None:
            return self.segments.get((venue_id, user_id), "inactive") if (venue_id, user_id) in known else None

        visits = []
        for s in self.sessions:
            entered = s["enter_at"] is not None
            visits.append(
                common(s)
                | {
                    "hour": s["enter_local"].hour if entered else None,
                    "segment": segment(s["venue_id"], s["user_id"]) if entered else None,
                    "entered": entered,
                    "counted_too": self._entered_on(s["event_date"], s["venue_id"]) is not None,
                    "bought": any(
                        line["session_id"] == s["session_id"] and line["status"] == "completed"
                        for line in self.order_lines
                        if line["event_date"] == s["event_date"]
                    ),
                    "user_id": s["user_id"],
                    "seconds": s["dwell_seconds"] if s["state"] == "complete" else None,
                }
            )
        lines = []
        for line in self.order_lines:
            done = line["status"] == "completed"
            lines.append(
                common(line)
                | {name: line[name] for name in ("category_id", "user_id", "amount", "quantity", "currency")}
                | {
                    "hour": line["local_time"].hour,
                    "segment": segment(line["venue_id"], line["user_id"]) if done else None,
                    "done": done,
                    "order": (line["venue_id"], line["event_date"], line["order_id"]),
                }
            )
        counts = []
        for count in self.counts:
            device = self._device(count)
            share = device["in_share"] if device["counting"] == "passages" else 1.0
            streams = {
                other["stream"]
                for other in self.counts
                if (other["event_date"], other["venue_id"]) == (count["event_date"], count["venue_id"])
            }
            counts.append(
                common(count)
                | {
                    "hour": count["local_time"].hour,
                    "device_id": count["device_id"],
                    "stream": count["stream"],
                    "n": count["in_count"],
                    "walked": None if share is None else count["in_count"] * share,
                    "both": len(streams) == 2,
                    "terminal": self.has(count["venue_id"], "face_visits"),
                }
            )
        first: dict[tuple[str, str], date] = {}
        for p in sorted(people, key=lambda p: p["event_date"]):
            if p["entries"]:
                first.setdefault((p["venue_id"], p["user_id"]), p["event_date"])
        for p in people:
            p["segment"] = segment(p["venue_id"], p["user_id"])
            p["first"] = first.get((p["venue_id"], p["user_id"])) == p["event_date"]
        self.kinds = {"visits": visits, "lines": lines, "counts": counts, "people": people}

    def has(self, venue_id: str, stream: str) -> bool:
        """Whether the venue has a device of this stream."""
        return any((d["venue_id"], d["stream"]) == (venue_id, stream) for d in self.devices)

    def answer(self, metric: str, by: tuple[str, ...] = ()) -> dict[tuple[Any, ...], Any]:
        """The metric for every combination of `by` that occurs in what it is made of."""
        kinds, work_out = METRICS[metric]
        groups: dict[tuple[Any, ...], dict[str, Rows]] = {} if by else {(): {k: [] for k in kinds}}
        for kind in kinds:
            for row in self.kinds[kind]:
                key = tuple(row[name] for name in by)
                groups.setdefault(key, {k: [] for k in kinds})[kind].append(row)
        return {key: work_out(*(group[k] for k in kinds)) for key, group in groups.items()}

    def _device(self, count: Row) -> Row:
        (device,) = (d for d in self.devices if all(d[n] == count[n] for n in ("venue_id", "device_id", "stream")))
        return device

    def _entered_on(self, day: date, venue_id: str) -> float | None:
        of_day = [c for c in self.counts if (c["event_date"], c["venue_id"]) == (day, venue_id)]
        devices = [(c, self._device(c)) for c in of_day if c["stream"] == "entrance_counts"]
        shares = [1.0 if d["counting"] == "directional" else d["in_share"] for _, d in devices]
        if not devices or None in shares:
            return None
        return sum(c["in_count"] * share for (c, _), share in zip(devices, shares, strict=True))

    def _people(self) -> Rows:
        """One row per date, venue and person who entered or has a completed order."""
        found: dict[tuple[date, str, str], Row] = {}

        def person(row: Row) -> Row:
            key = (row["event_date"], row["venue_id"], row["user_id"])
            return found.setdefault(
                key, common(row) | {"user_id": row["user_id"], "entries": 0, "orders": set[str](), "amount": Decimal(0)}
            )

        for s in self.sessions:
            if s["enter_at"] is not None:
                person(s)["entries"] += 1
        for line in self.order_lines:
            if line["status"] == "completed" and line["user_id"] is not None:
                row = person(line)
                row["orders"].add(line["order_id"])
                row["amount"] += line["amount"]
        return list(found.values())


def common(row: Row) -> Row:
    """The dimensions that every kind of row has."""
    day = row["event_date"]
    return {name: row[name] for name in ("event_date", "venue_id", "activity_id")} | {
        "month": f"{day.year:04d}-{day.month:02d}",
        "weekday": DAYS[day.weekday()],
    }


def ratio(part: Any, whole: Any) -> float | None:
    return None if part is None or not whole else float(part) / float(whole)


def users(rows: Iterable[Row]) -> set[str]:
    return {row["user_id"] for row in rows if row["user_id"] is not None}


def passed(counts: Rows) -> int | None:
    found = [c["n"] for c in counts if c["stream"] == "boundary_counts"]
    return sum(found) if found else None


def walked_in(counts: Rows) -> float | None:
    found = [c["walked"] for c in counts if c["stream"] == "entrance_counts"]
    return math.fsum(found) if found and None not in found else None


def entry_rate(counts: Rows) -> float | None:
    both = [c for c in counts if c["both"]]
    return ratio(walked_in(both), passed(both))


def recognition(visits: Rows, counts: Rows) -> float | None:
    seen = sum(1 for v in visits if v["entered"] and v["counted_too"])
    return ratio(seen, walked_in([c for c in counts if c["terminal"]]))


def mean_length(visits: Rows) -> float | None:
    micros = [round(v["seconds"] * 1e6) for v in visits if v["seconds"] is not None]
    return sum(micros) / len(micros) / 1e6 if micros else None


def length_at(part: float) -> Callable[[Rows], float | None]:
    def work_out(visits: Rows) -> float | None:
        ordered = sorted(v["seconds"] for v in visits if v["seconds"] is not None)
        if not ordered:
            return None
        rank = part * (len(ordered) - 1)
        low, high = ordered[math.floor(rank)], ordered[math.ceil(rank)]
        return float(low + (high - low) * (rank - math.floor(rank)))

    return work_out


def money(which: Callable[[Row], bool]) -> Callable[[Rows], Decimal | None]:
    def work_out(lines: Rows) -> Decimal | None:
        if not lines or len({line["currency"] for line in lines}) > 1:
            return None
        return sum((line["amount"] for line in lines if which(line)), start=Decimal("0.00"))

    return work_out


gmv = money(lambda line: line["done"])
identified = money(lambda line: line["done"] and line["user_id"] is not None)


def orders(lines: Rows) -> int | None:
    return len({line["order"] for line in lines if line["done"]}) if lines else None


def payers(lines: Rows) -> int | None:
    return len(users(line for line in lines if line["done"])) if lines else None


def known(people: Rows) -> int | None:
    return len(users(people)) if people else None


def again(people: Rows) -> int | None:
    found: dict[str, int] = defaultdict(int)
    for p in people:
        found[p["user_id"]] += len(p["orders"])
    return sum(1 for n in found.values() if n >= 2) if people else None


def another_day(people: Rows) -> int | None:
    found: dict[str, set[date]] = defaultdict(set)
    for p in people:
        if p["orders"]:
            found[p["user_id"]].add(p["event_date"])
    return sum(1 for days in found.values() if len(days) >= 2) if people else None


def tally(which: Callable[[Row], bool]) -> Callable[[Rows], int | None]:
    return lambda rows: sum(1 for row in rows if which(row)) if rows else None


def heads(which: Callable[[Row], bool]) -> Callable[[Rows], int | None]:
    return lambda rows: len(users(row for row in rows if which(row))) if rows else None


def pieces(lines: Rows) -> int | None:
    return sum(line["quantity"] for line in lines if line["done"]) if lines else None


entries = tally(lambda v: v["entered"])
buying = tally(lambda v: v["entered"] and v["bought"])

METRICS: dict[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    "pf_range": (("counts",), passed),
    "pf_entrance": (("counts",), walked_in),
    "ocr": (("counts",), entry_rate),
    "pv": (("visits",), lambda rows: entries(rows) if rows else 0),
    "uv": (("visits",), lambda rows: heads(lambda v: v["entered"])(rows) if rows else 0),
    "new_visitors": (("people",), heads(lambda p: p["entries"] > 0 and p["first"])),
    "returning_visitors": (("people",), heads(lambda p: p["entries"] > 0 and not p["first"])),
    "lov_mean_seconds": (("visits",), mean_length),
    "lov_median_seconds": (("visits",), length_at(0.5)),
    "lov_p90_seconds": (("visits",), length_at(0.9)),
    "recognition_share": (("visits", "counts"), recognition),
    "completed_orders": (("lines",), orders),
    "paying_users": (("lines",), payers),
    "gmv": (("lines",), gmv),
    "gmv_anonymous": (("lines",), money(lambda line: line["done"] and line["user_id"] is None)),
    "identified_gmv": (("lines",), identified),
    "cancelled_amount": (("lines",), money(lambda line: not line["done"])),
    "pieces_sold": (("lines",), pieces),
    "average_order_value": (("lines",), lambda lines: ratio(gmv(lines), orders(lines))),
    "buying_visits": (("visits",), buying),
    "conversion": (("visits",), lambda visits: ratio(buying(visits), entries(visits))),
    "users": (("people",), known),
    "arpu": (("lines", "people"), lambda lines, people: ratio(identified(lines), known(people))),
    "arppu": (("lines",), lambda lines: ratio(identified(lines), payers(lines))),
    "repurchasing_users": (("people",), again),
    "repurchase_rate": (("lines", "people"), lambda lines, people: ratio(again(people), payers(lines))),
    "repurchasing_users_days": (("people",), another_day),
    "repurchase_rate_days": (("lines", "people"), lambda lines, people: ratio(another_day(people), payers(lines))),
}
"""What each metric is made of, and how."""
