"""Recomputes the units of experiments, their rewards and the baselines, straight from section 3 of the design.

Loops and dicts only, as in `tests.oracle`, on whose sessions, order lines and metrics of each event date it stands.

    days = {day: recompute(data, day) for day in dates}
    found = units(data, days, as_of=date(2026, 3, 29))
    found["exp", "k1:…", "conversion"]["reward"]

`days` are the event dates that were computed. Where the design is silent, the decision is written at the place where it
is taken, marked with "Decision:".
"""

import tomllib
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from decimal import Decimal
from pathlib import Path

from tests.oracle.analysis import user_days
from tests.oracle.metrics import MICROSECOND
from tests.oracle.oracle import Oracle
from tests.oracle.sessions import recorded_order
from tests.oracle.site import read_site

DAY = timedelta(days=1)
NEAR = timedelta(minutes=10)
BEFORE = 28 * DAY


@dataclass
class World:
    """The landing as of one date."""

    experiments: list[dict]
    days: dict[date, Oracle]
    user_days: dict[date, dict[tuple[str, str], dict]]
    member_of: dict[str, str]  # terminal user -> member, as of the date
    as_of: date

    def name(self, user_id: str) -> str:
        return self.member_of.get(user_id, user_id)


def read_world(data: Path, days: dict[date, Oracle], as_of: date) -> World:
    raw = tomllib.loads((data / "site.toml").read_text(encoding="utf-8"))
    site = read_site(data / "site.toml")
    venue_of_activity = {a["id"]: a["venue_id"] for a in raw.get("activities", [])}
    experiments = []
    for e in raw.get("experiments", []):
        kpis = e["kpi"] if isinstance(e["kpi"], list) else [e["kpi"]]
        venue_id = e["venue_id"] if "venue_id" in e else venue_of_activity[e["activity_id"]]
        dates = {}
        for position, arm in enumerate(e["arms"]):
            dates[arm] = (e["first_date"], e["last_date"])
            if e["kind"] == "before_after":
                changed = e["changed_on"]
                dates[arm] = (e["first_date"], changed - DAY) if position == 0 else (changed, e["last_date"])
        experiments.append(e | {"kpis": kpis, "venue_id": venue_id, "dates": dates})
    done = {day: oracle for day, oracle in days.items() if day <= as_of}
    member_of: dict[str, str] = {}
    if site.identity == "linked":
        links = [link for oracle in done.values() for link in oracle.clean["identity_links"]]
        for link in sorted(links, key=recorded_order):
            member_of.pop(link["terminal_user_id"], None)
            if link["action"] == "link":
                member_of[link["terminal_user_id"]] = link["member_user_id"]
    return World(experiments, done, {day: user_days(site, oracle) for day, oracle in done.items()}, member_of, as_of)


# Units ----------------------------------------------------------------------------------------------------------------


def units(data: Path, days: dict[date, Oracle], as_of: date) -> dict[tuple[str, str, str], dict]:
    """The units whose reward is complete at the end of `as_of`, under (experiment, unit, KPI)."""
    world = read_world(data, days, as_of)
    found = {}
    for e in world.experiments:
        assigned_on = as_of - e.get("reward_days", 0) * DAY
        for unit in given(world, e):
            if unit["assigned_on"] != assigned_on:
                continue
            person, rewards = rewarded(world, e, unit)
            before = known_before(world, e, person["user_id"])
            for position, kpi in enumerate(e["kpis"]):
                if rewards[kpi] is not None:
                    found[e["id"], unit["unit_id"], kpi] = {
                        **unit, **person, "experiment_id": e["id"], "kpi": kpi, "position": position,
                        "reward": float(rewards[kpi]), "pre_value": None if before is None else float(before[kpi]),
                    }  # fmt: skip
    return found


def given(world: World, e: dict) -> list[dict]:
    """Each unit with the assignment that counts: the first clean one of those that could count at all."""
    nothing = {"propensity": None, "leaf_id": None, "allocation_id": None, "assigned_at": None}
    if e["kind"] == "before_after":
        return [
            {"unit_id": e["venue_id"], "arm": arm, "assigned_on": day} | nothing
            for day in world.days
            for arm, (first, last) in e["dates"].items()
            if first <= day <= last
        ]
    first_of: dict[tuple, dict] = {}
    records = [record for oracle in world.days.values() for record in oracle.clean["assignments"]]
    for record in sorted(records, key=recorded_order):
        if record["experiment_id"] != e["id"] or record["venue_id"] != e["venue_id"] or record["arm"] not in e["dates"]:
            continue
        if not e["dates"][record["arm"]][0] <= record["event_date"] <= e["dates"][record["arm"]][1]:
            continue
        # Decision: a day that is not named as its venue is no unit.
        if e["unit"] == "venue_day" and record["unit_id"] != record["venue_id"]:
            continue
        key = (record["unit_id"], record["event_date"] if e["unit"] == "venue_day" else None)
        first_of.setdefault(key, record)
    names = ("unit_id", "arm", "propensity", "leaf_id", "allocation_id")
    return [
        {name: record[name] for name in names}
        | {
            "assigned_on": record["event_date"],
            "assigned_at": record["recorded_at"].astimezone(UTC).replace(tzinfo=None),
        }
        for record in first_of.values()
    ]


def rewarded(world: World, e: dict, unit: dict) -> tuple[dict, dict]:
    """Who it was, and each KPI; None for one that is not known."""
    if e["unit"] == "venue_day":
        rows = [r for r in world.days[world.as_of].primary_metrics if r["venue_id"] == e["venue_id"]]
        person = {"user_id": None, "session_id": None, "matched": True}
        return person, {kpi: rows[0][kpi] if rows else None for kpi in e["kpis"]}
    if e["unit"] == "user":
        user_id = world.name(unit["unit_id"])
        figures = totals(person_days(world, e, user_id, unit["assigned_on"], world.as_of))
        person = {"user_id": user_id, "session_id": None, "matched": figures is not None}
        return person, figures or dict.fromkeys(e["kpis"], 0)
    return visit(world, e, unit)


def visit(world: World, e: dict, unit: dict) -> tuple[dict, dict]:
    here = [s for s in world.days[world.as_of].sessions if s["venue_id"] == e["venue_id"]]
    # Decision: a unit names the person before its first "/"; seen is who has any session at the venue on the date.
    named = world.name(unit["unit_id"].partition("/")[0])
    if any(s["user_id"] == named for s in here):
        here = [s for s in here if s["user_id"] == named]
        user_id = named
    else:
        user_id = None
    at = unit["assigned_at"].replace(tzinfo=UTC)
    near = [s for s in here if s["enter_at"] is not None and abs(s["enter_at"] - at) <= NEAR]
    if not near:
        return {"user_id": user_id, "session_id": None, "matched": False}, dict.fromkeys(e["kpis"], 0)
    met = min(near, key=lambda s: (abs(s["enter_at"] - at), s["enter_at"], s["enter_identity"]))
    person = {"user_id": met["user_id"], "session_id": met["session_id"], "matched": True}
    return person, session_figures(world.days[world.as_of], met)


def session_figures(oracle: Oracle, session: dict) -> dict:
    lines = [o for o in oracle.order_lines if o["session_id"] == session["session_id"] and o["status"] == "completed"]
    complete = session["state"] == "complete"
    return {
        "conversion": 1 if lines else 0,
        "orders": len({line["order_id"] for line in lines}),
        "amount": sum((line["amount"] for line in lines), start=Decimal(0)),
        "dwell_seconds": (session["leave_at"] - session["enter_at"]) // MICROSECOND / 1e6 if complete else 0,
    }


def person_days(world: World, e: dict, user_id: str, first: date, last: date) -> dict[date, list[dict]]:
    """What a person did at the venue, by date.

    Decision: rows from before the two names were linked are of the same person, once they are.
    """
    found: dict[date, list[dict]] = {}
    for day, rows in world.user_days.items():
        for (venue_id, name), row in rows.items():
            if first <= day <= last and venue_id == e["venue_id"] and world.name(name) == user_id:
                found.setdefault(day, []).append(row)
    return found


def totals(of: dict[date, list[dict]]) -> dict | None:
    """Over all dates; None where there are none."""
    rows = [row for of_day in of.values() for row in of_day]
    if not rows:
        return None
    return {
        "conversion": 1 if any(row["orders"] for row in rows) else 0,
        "orders": sum(row["orders"] for row in rows),
        "amount": sum((row["amount"] for row in rows), start=Decimal(0)),
        "visits": sum(row["entries"] for row in rows),
        "dwell_seconds": sum(round(row["dwell_seconds"] * 1e6) for row in rows) / 1e6,
    }


def known_before(world: World, e: dict, user_id: str | None) -> dict | None:
    if user_id is None or e["unit"] == "venue_day":
        return None
    of = person_days(world, e, user_id, e["first_date"] - BEFORE, e["first_date"] - DAY)
    figures = totals(of)
    if figures is None or e["unit"] == "user":
        return figures
    figures["conversion"] = sum(1 for rows in of.values() if any(row["orders"] for row in rows))
    return {kpi: float(figure) / len(of) for kpi, figure in figures.items()}


# Baselines ------------------------------------------------------------------------------------------------------------


def baselines(data: Path, days: dict[date, Oracle], as_of: date) -> dict[tuple[str, str], list[float]]:
    """The KPI of each unit that there would have been before the experiments that begin on `as_of`."""
    world = read_world(data, days, as_of)
    found = {}
    for e in (e for e in world.experiments if e["first_date"] == as_of):
        earlier = {day: oracle for day, oracle in world.days.items() if as_of - BEFORE <= day < as_of}
        for kpi in e["kpis"]:
            if e["unit"] == "visit":
                sessions = [(o, s) for o in earlier.values() for s in o.sessions if s["venue_id"] == e["venue_id"]]
                values = [session_figures(o, s)[kpi] for o, s in sessions if s["enter_at"] is not None]
            elif e["unit"] == "user":
                values = [figures[kpi] for figures in first_stays(world, e, sorted(earlier))]
            else:
                rows = [r for o in earlier.values() for r in o.primary_metrics if r["venue_id"] == e["venue_id"]]
                values = [r[kpi] for r in rows if r[kpi] is not None]
            found[e["id"], kpi] = [float(value) for value in values]
    return found


def first_stays(world: World, e: dict, earlier: list[date]) -> list[dict]:
    """Users from the date on which they were first there, as they were known then."""
    arrived: dict[str, date] = {}
    for day in earlier:
        for (venue_id, user_id), row in world.user_days[day].items():
            if venue_id == e["venue_id"] and row["entries"] > 0:
                arrived.setdefault(user_id, day)
    found = []
    for user_id, day in arrived.items():
        last = day + e.get("reward_days", 0) * DAY
        if last < e["first_date"]:
            of = {
                d: [rows[e["venue_id"], user_id]]
                for d, rows in world.user_days.items()
                if day <= d <= last and (e["venue_id"], user_id) in rows
            }
            figures = totals(of)
            assert figures is not None
            found.append(figures)
    return found
