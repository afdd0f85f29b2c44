"""Experiments and shares that the tests let the simulator try, and the records of it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from edge_collector.allocation import Allocation
from edge_collector.experiment import Experiment
from edge_collector.site import Site
from tests.simulate import landed_facts

SITE = Path(__file__).parents[2] / "data" / "site.toml"
FIRST = date(2026, 1, 8)
"""The first date of the shipped experiments."""


def experiment(**changes: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "id": "music",
            "venue_id": "riverside",
            "kind": "randomised",
            "unit": "visit",
            "arms": ["silence", "jazz"],
            "kpi": "conversion",
            "minimum_effect": 0.02,
            "first_date": FIRST,
            "last_date": FIRST + timedelta(days=9),
        }
        | changes
    )


def trying(site: Site, *experiments: Experiment) -> Site:
    return site.model_copy(update={"experiments": list(experiments)})


def allocation(day: date, shares: dict[int, dict[str, float]], **changes: Any) -> Allocation:
    """Of the voucher: leaf 2 until five in the afternoon and leaf 3 after that, of who is not known otherwise."""
    return Allocation.model_validate(
        {
            "schema": 1,
            "experiment_id": "voucher",
            "allocation_id": f"voucher {day}",
            "event_date": day,
            "unit": "visit",
            "arms": ["none", "tea", "second_half_price"],
            "fixed_shares": [1 / 3] * 3,
            "floor": 0.15,
            "seed": 1,
            "tree": {
                "nodes": [
                    {"id": 1, "split": {"column": "hour", "cut": 16.0}, "children": [2, 3]},
                    {"id": 2, "split": None, "children": []},
                    {"id": 3, "split": None, "children": []},
                ]
            },
            "shares": shares,
            "leaf_of_user": {},
            "default_leaf": [2, 3],
        }
        | changes
    )


def moving(experiment_id: str, day: date) -> Allocation:
    """Shares that move with the date."""
    assert experiment_id == "voucher"
    move = 0.05 * (day - FIRST).days
    return allocation(
        day,
        {
            2: {"none": 0.6 - move, "tea": 0.2 + move, "second_half_price": 0.2},
            3: {"none": 0.1, "tea": 0.1 + move, "second_half_price": 0.8 - move},
        },
    )


def records(facts: landed_facts.Facts) -> list[tuple[date, dict[str, Any]]]:
    return [(day, r) for (stream, day), rows in facts.clean.items() if stream == "assignments" for r in rows]
