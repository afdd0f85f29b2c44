"""Small sites with everything that is awkward, by chance but always the same: layers, and the star over them."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from edge_collector.site import Site, load_site
from tests.semantic_layer.ledger import Ledger
from venue_assets.semantic_layer.star import site_relations, star
from venue_assets.tables.catalogue import ARROW_TYPES, catalogue

FIRST = date(2026, 1, 28)
"""Dates reach into the next month."""
DAYS = [FIRST + timedelta(days=n) for n in range(9)]
EMPTY = DAYS[4]
"""On which nothing was reported by anybody."""

VENUES = {
    # venue -> currency, and devices: id -> stream, counting, in_share
    "hall": (
        "EUR",
        {
            "gate": ("boundary_counts", "directional", None),
            "fence": ("boundary_counts", "directional", None),
            "door": ("entrance_counts", "directional", None),
            "side": ("entrance_counts", "passages", 0.47),
            "face": ("face_visits", "directional", None),
            "till": ("orders", "directional", None),
        },
    ),
    "quay": (
        "CNY",
        {
            "gate": ("boundary_counts", "directional", None),
            "door": ("entrance_counts", "directional", None),
            "lone": ("entrance_counts", "passages", None),
            "face": ("face_visits", "directional", None),
            "till": ("orders", "directional", None),
        },
    ),
    "annexe": ("EUR", {"door": ("entrance_counts", "passages", 0.5), "face": ("face_visits", "directional", None)}),
    "kiosk": ("EUR", {"till": ("orders", "directional", None), "gate": ("boundary_counts", "directional", None)}),
    "shut": ("USD", {"face": ("face_visits", "directional", None), "till": ("orders", "directional", None)}),
}
"""The last one never has a record."""


def site(folder: Path) -> Site:
    """The venues as a site file."""
    text = []
    for venue, (currency, devices) in VENUES.items():
        text.append(
            f'[[venues]]\nid = "{venue}"\nname = "{venue.title()}"\ntime_zone = "Europe/Berlin"\n'
            f'currency = "{currency}"\nopened_on = 2026-01-01\n'
        )
        for device, (stream, counting, in_share) in devices.items():
            counts = f'counting = "{counting}"\n' if stream == "entrance_counts" else ""
            share = f"in_share = {in_share}\n" if in_share is not None else ""
            text.append(
                f'[[devices]]\nid = "{device}"\nvenue_id = "{venue}"\ngateway_id = "of_{venue}"\nstream = "{stream}"\n'
                + counts
                + share
            )
    for venue in ("hall", "quay"):
        text.append(
            f'[[activities]]\nid = "fair_at_{venue}"\nname = "Fair"\nvenue_id = "{venue}"\nfirst_date = {DAYS[2]}\n'
            f"last_date = {DAYS[5]}\n"
        )
    (folder / "site.toml").write_text("\n".join(text))
    return load_site(folder / "site.toml")


def town(seed: int, of: Site) -> dict[str, list[dict[str, Any]]]:
    """Rows of the layers that the star reads."""
    chance = random.Random(seed)
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("sessions", "order_lines", "boundary_counts", "entrance_counts")
    }
    people = [f"k1:{n:02d}" for n in range(12)]
    for day in DAYS:
        for venue in of.venues:
            if day == EMPTY or venue.id == "shut" or chance.random() < 0.1:
                continue
            common = {"event_date": day, "venue_id": venue.id, "activity_id": activity(of, venue.id, day)}
            streams = {d.stream: d for d in of.devices if d.venue_id == venue.id}
            for device in of.devices:
                # The lone sensor of unknown share speaks late, so that figures before are known.
                late = device.in_share is None and device.counting == "passages"
                if device.venue_id != venue.id or chance.random() < 0.25 or (late and day < DAYS[6]):
                    continue
                if device.stream in ("boundary_counts", "entrance_counts"):
                    for hour in chance.sample(range(9, 13), 3):
                        for _ in range(chance.randint(1, 2)):
                            rows[device.stream].append(
                                common
                                | {
                                    "device_id": device.id,
                                    "local_time": at(day, hour, chance),
                                    "in_count": chance.choice([0, 1, 3, 10]),
                                    "out_count": None,
                                }
                            )
            if "face_visits" in streams:
                for n in range(chance.randint(0, 7)):
                    rows["sessions"].append(common | session(f"{venue.id}-{day}-{n}", day, people, chance))
            if "orders" in streams:
                for n in range(chance.randint(0, 5)):
                    rows["order_lines"] += order(common, f"o{n}", venue.currency, people, rows["sessions"], chance)
    return rows


def session(session_id: str, day: date, people: list[str], chance: random.Random) -> dict[str, Any]:
    state = chance.choice(["complete", "complete", "complete", "overlong", "no_exit", "no_entry"])
    enter = None if state == "no_entry" else at(day, chance.randint(9, 12), chance)
    known = state in ("complete", "overlong")
    return {
        "session_id": session_id,
        "user_id": chance.choice(people),
        "state": state,
        "enter_at": enter,
        "enter_local": enter,
        "dwell_seconds": chance.randint(1, 5_000_000) / 1e3 if known else None,
    }


def order(
    common: dict[str, Any],
    order_id: str,
    currency: str,
    people: list[str],
    sessions: list[dict[str, Any]],
    chance: random.Random,
) -> list[dict[str, Any]]:
    """One order of one to three lines, at one time; some are nobody's, some lines are cancelled."""
    here = [s for s in sessions if all(s[n] == common[n] for n in ("event_date", "venue_id"))]
    of = chance.choice(here) if here and chance.random() < 0.5 else None
    user = of["user_id"] if of else chance.choice([*people, None, None, None])
    time = at(common["event_date"], chance.randint(9, 12), chance)
    return [
        common
        | {
            "order_id": order_id,
            "order_no": n,
            "user_id": user,
            "session_id": of["session_id"] if of else None,
            "local_time": time,
            "category_id": chance.choice(["food", "drinks", "gifts"]),
            "quantity": chance.randint(1, 4),
            "amount": Decimal(chance.randint(0, 9999)) / 100,
            "currency": currency,
            "status": chance.choice(["completed", "completed", "cancelled", "refunded"]),
        }
        for n in range(1, chance.randint(2, 4))
    ]


def at(day: date, hour: int, chance: random.Random) -> datetime:
    return datetime(day.year, day.month, day.day, hour, chance.randint(0, 59), chance.randint(0, 59))


def activity(of: Site, venue_id: str, day: date) -> str:
    found = [a.id for a in of.activities if a.venue_id == venue_id and a.first_date <= day <= a.last_date]
    return found[0] if found else "none"


def segments(ledger_people: list[dict[str, Any]], seed: int) -> dict[tuple[str, str], str]:
    """Some of those who were ever there, in one segment or another; the others are in none."""
    chance = random.Random(seed)
    known = sorted({(p["venue_id"], p["user_id"]) for p in ledger_people})
    return {
        who: chance.choice(["visitor", "general_keep", "important_value"]) for who in known if chance.random() < 0.8
    }


def ledger(of: Site, rows: dict[str, list[dict[str, Any]]], named: dict[tuple[str, str], str]) -> Ledger:
    """The same rows as a ledger."""
    return Ledger(
        devices=[
            {
                "device_id": d.id,
                "venue_id": d.venue_id,
                "stream": d.stream,
                "counting": d.counting,
                "in_share": d.in_share,
            }
            for d in of.devices
        ],
        sessions=rows["sessions"],
        order_lines=rows["order_lines"],
        counts=[r | {"stream": s} for s in ("boundary_counts", "entrance_counts") for r in rows[s]],
        segments=named,
    )


def layers(of: Site, rows: dict[str, list[dict[str, Any]]], book: Ledger) -> dict[str, list[dict[str, Any]]]:
    """The rows, and those of the other tables that the star reads, made of the ledger."""
    currency = {v.id: v.currency for v in of.venues}
    days = sorted({row["event_date"] for found in rows.values() for row in found})
    walked = {(day, v.id): book._entered_on(day, v.id) for day in DAYS for v in of.venues}
    return rows | {
        "user_days": [
            p | {"orders": len(p["orders"]), "currency": currency[p["venue_id"]]} for p in book.kinds["people"]
        ],
        "primary_metrics": [
            {"event_date": d, "venue_id": v, "activity_id": activity(of, v, d), "pf_entrance": n}
            for (d, v), n in walked.items()
        ],
        "rfm_segments": [
            {"event_date": days[-1], "venue_id": v, "user_id": u, "segment": s, "segment_zh": s}
            for (v, u), s in book.segments.items()
        ]
        + [
            {"event_date": days[0], "venue_id": v, "user_id": u, "segment": "of_long_ago", "segment_zh": ""}
            for v, u in book.segments
        ],
    }


def build_star(con: duckdb.DuckDBPyConnection, of: Site, found: dict[str, list[dict[str, Any]]]) -> None:
    """The star in schema `star`, over tables that hold these rows."""
    con.execute("SET TimeZone = 'UTC'; CREATE SCHEMA star; SET search_path = 'main,star'")
    for table in catalogue():
        if any(table.name in dimension.reads for dimension in star()):
            columns = {"event_date": pa.date32()} | {n: ARROW_TYPES[c.type] for n, c in table.columns.items()}
            known = [{n: row.get(n) for n in columns} for row in found.get(table.name, ())]
            con.register("rows", pa.Table.from_pylist(known, pa.schema(list(columns.items()))))
            con.execute(f"CREATE TABLE {table.name} AS FROM rows")
    for name, relation in site_relations(of).items():
        con.register(name, relation)
    for made in star():
        columns_of = ", ".join(f"{n} {c.type}{'' if c.nullable else ' NOT NULL'}" for n, c in made.columns.items())
        con.execute(f"CREATE TABLE star.{made.name} ({columns_of}, PRIMARY KEY ({', '.join(made.key)}))")
        con.execute(f"INSERT INTO star.{made.name} BY NAME ({made.sql})")
