"""What tests of bandits share: an experiment, and the rows of the tables that its tree and its shares are made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, time
from random import Random
from typing import Any

from tests.conftest import compute, rows
from tests.experiments.lab import DAY, FIRST, put
from venue_assets.home import Home

BANDIT: dict[str, Any] = {
    "id": "voucher",
    "venue_id": "harbour",
    "kind": "bandit",
    "unit": "visit",
    "arms": ["none", "tea", "half"],
    "kpi": ["conversion"],
    "minimum_effect": 0.02,
    "first_date": FIRST,
    "last_date": FIRST + 29 * DAY,
    "covariates": ["segment", "hour"],
}
EVE = FIRST - DAY
"""When the first shares are due."""
SEGMENTS = ("general_keep", "general_value", "important_value")
INPUTS = ("sessions", "order_lines", "user_days", "visitor_contexts", "bandit_units", "experiment_units")


def put_history(home: Home, day: date, visits: Sequence[tuple[str, str | None, int, bool]], **others: Any) -> None:
    """Visits of one date at the harbour: user, segment (None where not known before), hour, and whether they bought."""
    sessions = [
        {
            "session_id": f"{day}/{n}",
            "venue_id": "harbour",
            "user_id": user,
            "state": "complete",
            "enter_at": datetime.combine(day, time(hour, 30)),
            "enter_local": datetime.combine(day, time(hour, 30)),
            "dwell_seconds": 60.0 * (n + 1),
        }
        | others
        for n, (user, _, hour, _) in enumerate(visits)
    ]
    put(home, "sessions", day, sessions)
    put(
        home,
        "order_lines",
        day,
        [
            {"session_id": f"{day}/{n}", "order_id": f"{day}/{n}", "status": "completed", "venue_id": "harbour"}
            for n, (_, _, _, bought) in enumerate(visits)
            if bought
        ],
    )
    put(home, "visitor_contexts", day, contexts(visits))


def contexts(visits: Sequence[tuple[str, str | None, int, bool]]) -> list[dict[str, Any]]:
    known = {user: segment for user, segment, _, _ in visits if segment}
    return [{"venue_id": "harbour", "user_id": user, "segment": segment} for user, segment in sorted(known.items())]


def levelled(day: date, n: int = 200) -> list[tuple[str, str | None, int, bool]]:
    """Visits of which people of value buy half of the time, others a tenth."""
    rng = Random(day.toordinal())
    segments = [SEGMENTS[i % 3] for i in range(n)]
    return [
        (f"u{i}", segment, rng.randrange(9, 21), rng.random() < (0.1 if segment == SEGMENTS[0] else 0.5))
        for i, segment in enumerate(segments)
    ]


def nothing(home: Home, *days: date) -> None:
    """The inputs of dates on which nothing happened, unless there are some."""
    for day in days:
        for name in INPUTS:
            if not (home.lake / name / f"event_date={day}").exists():
                put(home, name, day, [])


def unit(n: int, arm: str, reward: float, day: date, **others: Any) -> dict[str, Any]:
    return {
        "experiment_id": "voucher",
        "unit_id": f"u{n:05d}",
        "assigned_on": day,
        "arm": arm,
        "propensity": 1 / 3,
        "reward": float(reward),
        "venue_id": "harbour",
        "weekday": day.isoweekday(),
        "hour": 12,
        "segment": SEGMENTS[n % 3],
    } | others


def tree_of(home: Home, day: date) -> dict[str, Any]:
    """The bandit's row of a date, computed now, with the tree as a dictionary."""
    nothing(home, day)
    compute(home, day, tables=["context_tree"])
    (row,) = rows(home, "context_tree", day)
    return dict(row) | {"tree": json.loads(str(row["tree"]))}


def split_of(row: dict[str, Any]) -> str | None:
    """The covariate of the root."""
    split = row["tree"]["nodes"][0]["split"]
    return str(split["column"]) if split else None
