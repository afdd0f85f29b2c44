"""Recomputes user days, KPI, RFM segments, migrations and visitor features, straight from section 3 of the design.

Loops and dicts only, as in `oracle`, on whose sessions and order lines of each event date it stands.

    days = {day: recompute(data, day) for day in dates}
    analysis = analyse(read_site(data / "site.toml"), days, as_of=date(2026, 3, 29))
    analysis.kpi["hall", "last_30_days"]["arpu"]

`days` are the event dates that were computed; a date that is not among them has no data. Where the design is silent,
the decision is written at the place where it is taken, marked with "Decision:".
"""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from tests.oracle.metrics import MICROSECOND, divide
from tests.oracle.oracle import Oracle
from tests.oracle.site import Site

DAY = timedelta(days=1)
SEGMENTS = {
    "HHH": ("important_value", "重要价值"),
    "HLH": ("important_develop", "重要发展"),
    "LHH": ("important_keep", "重要保持"),
    "LLH": ("important_win_back", "重要挽留"),
    "HHL": ("general_value", "一般价值"),
    "HLL": ("general_develop", "一般发展"),
    "LHL": ("general_keep", "一般保持"),
    "LLL": ("general_win_back", "一般挽留"),
}
VISITOR = ("visitor", "到访未购")

UserDays = dict[date, dict[tuple[str, str], dict]]
"""Event date -> (venue_id, user_id) -> what the user did."""


@dataclass
class Analysis:
    """Everything as of one event date; every row under its key."""

    user_days: dict[tuple[str, str], dict]
    kpi: dict[tuple[str, str], dict]
    rfm_segments: dict[tuple[str, str], dict]
    rfm_migrations: dict[tuple[str, str, str], dict]
    visitor_features: dict[tuple[str, str], dict]


def analyse(site: Site, days: dict[date, Oracle], as_of: date) -> Analysis:
    done = {day: user_days(site, oracle) for day, oracle in days.items() if day <= as_of}
    currencies = {venue_id: venue.currency for venue_id, venue in site.venues.items()}
    segments = rfm_segments(done, currencies, as_of)
    return Analysis(
        user_days=done[as_of],
        kpi=kpi(site, days, done, as_of),
        rfm_segments=segments,
        rfm_migrations=rfm_migrations(segments),
        visitor_features=visitor_features(done, segments, as_of),
    )


# User days ------------------------------------------------------------------------------------------------------------


def user_days(site: Site, oracle: Oracle) -> dict[tuple[str, str], dict]:
    entered: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for session in oracle.sessions:
        if session["state"] in ("complete", "overlong", "no_exit"):
            entered[session["venue_id"], session["user_id"]].append(session)
    bought: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for line in oracle.order_lines:
        if line["status"] == "completed" and line["user_id"] is not None:
            bought[line["venue_id"], line["user_id"]].append(line)
    found = {}
    for venue_id, user_id in sorted({*entered, *bought}):
        sessions, lines = entered[venue_id, user_id], bought[venue_id, user_id]
        complete = [s for s in sessions if s["state"] == "complete"]
        first = min(sessions, key=lambda s: s["enter_at"]) if sessions else None
        spent: dict[str, Decimal] = defaultdict(Decimal)
        for line in lines:
            spent[line["category_id"]] += line["amount"]
        found[venue_id, user_id] = {
            "venue_id": venue_id,
            "activity_id": site.activity(venue_id, oracle.event_date),
            "user_id": user_id,
            "entries": len(sessions),
            "complete_sessions": len(complete),
            # Decision: without a complete session the sum is 0, as an empty sum is.
            "dwell_seconds": dwell_micros(complete) / 1e6,
            "first_hour": first and first["hour"],
            # Decision: an order with completed lines of two users is an order of each of them.
            "orders": len({line["order_id"] for line in lines}),
            "amount": sum((line["amount"] for line in lines), start=Decimal("0.00")),
            "top_category": min(spent, key=lambda category: (-spent[category], category)) if spent else None,
            "currency": site.venues[venue_id].currency,
        }
    return found


def dwell_micros(complete: list[dict]) -> int:
    return sum((s["leave_at"] - s["enter_at"]) // MICROSECOND for s in complete)


# KPI ------------------------------------------------------------------------------------------------------------------


def kpi(site: Site, days: dict[date, Oracle], done: UserDays, as_of: date) -> dict[tuple[str, str], dict]:
    found = {}
    operating = [row["venue_id"] for row in days[as_of].primary_metrics]
    for venue_id in operating:
        windows = {"last_30_days": as_of - 29 * DAY}
        for activity in site.activities:
            if activity["venue_id"] == venue_id and activity["first_date"] <= as_of <= activity["last_date"]:
                windows["activity_to_date"] = activity["first_date"]
        for window, first_date in windows.items():
            inside = sorted(day for day in done if first_date <= day <= as_of)
            head = {
                "venue_id": venue_id,
                "window_name": window,
                "first_date": first_date,
                "activity_id": site.activity(venue_id, as_of),
                "currency": site.venues[venue_id].currency,
            }
            primary = [row for day in inside for row in days[day].primary_metrics if row["venue_id"] == venue_id]
            here = [row for day in inside for (venue, _), row in done[day].items() if venue == venue_id]
            found[venue_id, window] = head | {"dates": len(primary)} | window_figures(site, venue_id, primary, here)
    return found


def window_figures(site: Site, venue_id: str, primary: list[dict], user_days: list[dict]) -> dict:
    """Decision: a completed order belongs to one event date, so the orders of several dates add up."""
    takes_orders = site.has_device(venue_id, "orders")
    orders: Counter[str] = Counter()
    order_dates: Counter[str] = Counter()
    users = set()
    for row in user_days:
        users.add(row["user_id"])
        orders[row["user_id"]] += row["orders"]
        order_dates[row["user_id"]] += row["orders"] > 0
    paying = [user for user in users if orders[user] >= 1]
    repurchasing = [user for user in paying if orders[user] >= 2]
    on_two_days = [user for user in paying if order_dates[user] >= 2]
    figures: dict = dict.fromkeys(
        ("gmv", "gmv_anonymous", "identified_gmv", "completed_orders", "paying_users", "repurchasing_users",
         "repurchasing_users_days", "arpu", "arppu", "repurchase_rate", "repurchase_rate_days")
    )  # fmt: skip
    figures["users"] = len(users) if takes_orders or site.has_device(venue_id, "face_visits") else None
    if not takes_orders:
        return figures
    gmv = sum((row["gmv"] for row in primary), start=Decimal("0.00"))
    anonymous = sum((row["gmv_anonymous"] for row in primary), start=Decimal("0.00"))
    return figures | {
        "gmv": gmv,
        "gmv_anonymous": anonymous,
        "identified_gmv": gmv - anonymous,
        "completed_orders": sum(row["completed_orders"] for row in primary),
        "paying_users": len(paying),
        "repurchasing_users": len(repurchasing),
        "repurchasing_users_days": len(on_two_days),
        "arpu": divide(float(gmv - anonymous), len(users)),
        "arppu": divide(float(gmv - anonymous), len(paying)),
        "repurchase_rate": divide(len(repurchasing), len(paying)),
        "repurchase_rate_days": divide(len(on_two_days), len(paying)),
    }


# RFM ------------------------------------------------------------------------------------------------------------------


def rfm_segments(done: UserDays, currencies: dict[str, str], as_of: date) -> dict[tuple[str, str], dict]:
    today, yesterday = segments_as_of(done, as_of), segments_as_of(done, as_of - DAY)
    nothing = dict.fromkeys(
        ("recency_days", "frequency", "monetary", "r_score", "f_score", "m_score", "segment", "segment_zh")
    )
    return {
        (venue_id, user_id): {"venue_id": venue_id, "user_id": user_id, "currency": currencies[venue_id]}
        | today.get((venue_id, user_id), nothing)
        | {"previous_segment": yesterday.get((venue_id, user_id), nothing)["segment"]}
        for venue_id, user_id in sorted({*today, *yesterday})
    }


def segments_as_of(done: UserDays, as_of: date) -> dict[tuple[str, str], dict]:
    """Users of all venues in the 365 event dates that end at `as_of`."""
    found: dict[tuple[str, str], dict] = {}
    for day in sorted(done):
        if not as_of - 364 * DAY <= day <= as_of:
            continue
        for key, row in done[day].items():
            user = found.setdefault(key, {"recency_days": None, "frequency": 0, "monetary": Decimal("0.00")})
            if row["orders"]:
                user["recency_days"] = (as_of - day).days
            user["frequency"] += row["orders"]
            user["monetary"] += row["amount"]
    for venue_id in {venue_id for venue_id, _ in found}:
        users = [user for (venue, _), user in found.items() if venue == venue_id]
        buyers = [user for user in users if user["frequency"]]
        for value, score in (("recency_days", "r_score"), ("frequency", "f_score"), ("monetary", "m_score")):
            cuts = cut_points([buyer[value] for buyer in buyers])
            for user in users:
                if not user["frequency"]:
                    user[score] = None
                    continue
                user[score] = 1 + sum(cut < user[value] for cut in cuts)
                if value == "recency_days":
                    user[score] = 6 - user[score]
        for user in users:
            level = "" if user["frequency"] else None
            for score in ("r_score", "f_score", "m_score"):
                if level is not None:
                    mean = Fraction(sum(buyer[score] for buyer in buyers), len(buyers))
                    level += "H" if user[score] > mean else "L"
            user["segment"], user["segment_zh"] = VISITOR if level is None else SEGMENTS[level]
    return found


def cut_points(values: list) -> list:
    """q20, q40, q60 and q80: the ceil(q * n)-th smallest value."""
    ordered = sorted(values)
    return [ordered[math.ceil(Fraction(k, 5) * len(ordered)) - 1] for k in (1, 2, 3, 4)] if ordered else []


def rfm_migrations(segments: dict[tuple[str, str], dict]) -> dict[tuple[str, str, str], dict]:
    """Decision: who is outside of a window is `none` there, and has no money in it."""
    found: dict[tuple[str, str, str], dict] = {}
    for row in segments.values():
        key = (row["venue_id"], row["previous_segment"] or "none", row["segment"] or "none")
        way = found.setdefault(
            key,
            dict(zip(("venue_id", "previous_segment", "segment"), key, strict=True))
            | {"segment_zh": row["segment_zh"], "users": 0, "monetary": Decimal("0.00"), "currency": row["currency"]},
        )
        way["users"] += 1
        way["monetary"] += row["monetary"] or 0
    return found


# Visitor features -----------------------------------------------------------------------------------------------------


def visitor_features(done: UserDays, segments: dict[tuple[str, str], dict], as_of: date) -> dict[tuple[str, str], dict]:
    found = {}
    for key, row in segments.items():
        if row["segment"] is None:
            continue
        present = {day: rows[key] for day, rows in done.items() if as_of - 364 * DAY <= day <= as_of and key in rows}
        complete = sum(at["complete_sessions"] for at in present.values())
        micros = sum(round(at["dwell_seconds"] * 1e6) for at in present.values())
        found[key] = {
            "venue_id": row["venue_id"],
            "user_id": row["user_id"],
            "recency_days": (as_of - max(present)).days,
            "frequency": row["frequency"],
            "value": row["monetary"],
            "currency": row["currency"],
            "segment": row["segment"],
            "visits": sum(at["entries"] for at in present.values()),
            "mean_dwell_seconds": micros / complete / 1e6 if complete else None,
            "usual_hour": most_often(at["first_hour"] for at in present.values()),
            "usual_weekday": most_often(day.isoweekday() for day in present),
            "category": most_often(at["top_category"] for at in present.values()),
        }
    return found


def most_often(values) -> object:
    """The value that occurs most; of several the smallest. None takes no part."""
    counts = Counter(value for value in values if value is not None)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None
