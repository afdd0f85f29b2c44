"""The figures of one venue on one event date, or in one of its hours, from its counts, sessions and order lines."""

import math
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

from tests.oracle.site import Site

MICROSECOND = timedelta(microseconds=1)


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
