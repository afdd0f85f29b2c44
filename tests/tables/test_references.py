"""References: the site as seen from one event date, and nothing in it that cannot change a figure of that date."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import pytest

from edge_collector.experiment import Experiment
from edge_collector.site import Activity, Site, Venue
from venue_assets.lake.landing_index import LandingIndex
from venue_assets.lake.reference import References
from venue_assets.tables.references import ORIGINS, REFERENCES

EXPERIMENTS: Final = [name for name in REFERENCES if name.startswith("experiment")]
HALL = Venue.model_validate(
    {"id": "hall", "name": "H", "time_zone": "Europe/Berlin", "currency": "EUR", "opened_on": "2026-01-01"}
)
FAIR = Activity.model_validate(
    {"id": "fair", "name": "F", "venue_id": "hall", "first_date": "2026-01-05", "last_date": "2026-01-20"}
)
BANDIT: Final[dict[str, Any]] = {
    "id": "voucher",
    "activity_id": "fair",
    "kind": "bandit",
    "unit": "user",
    "arms": ["none", "tea"],
    "kpi": ["conversion", "amount"],
    "minimum_effect": 0.02,
    "reward_days": 2,
    "first_date": "2026-01-06",
    "last_date": "2026-01-10",
    "covariates": ["segment", "hour"],
}
CHANGE: Final[dict[str, Any]] = {
    "id": "late",
    "venue_id": "hall",
    "kind": "before_after",
    "unit": "venue_day",
    "arms": ["eight", "ten"],
    "kpi": "gmv",
    "minimum_effect": 100,
    "first_date": "2026-01-06",
    "changed_on": "2026-01-08",
    "last_date": "2026-01-10",
}


def test_of_every_relation_people_are_told_where_it_comes_from() -> None:
    assert ORIGINS.keys() == REFERENCES.keys()


def references(*experiments: dict[str, Any]) -> References:
    site = Site(venues=[HALL], activities=[FAIR], experiments=[Experiment.model_validate(e) for e in experiments])
    return References(site, LandingIndex({}))


def rows(name: str, day: int, *experiments: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in references(*experiments).relation(name, date(2026, 1, day)).to_pylist()]


def test_an_activity_says_since_when_it_is_on() -> None:
    assert rows("activities", 20) == [("hall", "fair", date(2026, 1, 5))]
    assert rows("activities", 21) == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_seen_while_it_is_on_and_matures(name: str) -> None:
    """A bandit from the date before, because the shares of its first date are computed then."""
    assert [day for day in range(1, 21) if rows(name, day, BANDIT)] == list(range(5, 13))
    assert [day for day in range(1, 21) if rows(name, day, CHANGE)] in ([], list(range(6, 11)))


def test_what_sql_reads_of_an_experiment() -> None:
    dates = date(2026, 1, 6), date(2026, 1, 10), date(2026, 1, 12)
    assert rows("experiments", 6, BANDIT) == [
        ("voucher", "hall", "bandit", "user", "conversion", 0.05, 0.8, 0.02, 2, *dates)
    ]
    assert rows("experiment_kpis", 6, BANDIT) == [("voucher", "conversion", 0), ("voucher", "amount", 1)]
    assert rows("experiment_covariates", 6, BANDIT) == [("voucher", "segment", 0), ("voucher", "hour", 1)]
    assert rows("experiment_policies", 6, BANDIT) == [("voucher", 0.3, 0.05, None, "reward", None, 90, None)]
    assert rows("experiment_policies", 6, CHANGE) == []


def test_arms_have_a_share_or_dates_of_their_own() -> None:
    first, last = date(2026, 1, 6), date(2026, 1, 10)
    assert rows("experiment_arms", 6, BANDIT | {"fixed_shares": [0.8, 0.2]}) == [
        ("voucher", "none", 0, 0.8, first, last),
        ("voucher", "tea", 1, 0.2, first, last),
    ]
    assert rows("experiment_arms", 6, CHANGE) == [
        ("late", "eight", 0, None, first, date(2026, 1, 7)),
        ("late", "ten", 1, None, date(2026, 1, 8), last),
    ]


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        ({"seed": 2}, []),
        ({"exploration": 0.1}, ["experiment_policies"]),
        ({"covariates": []}, ["experiment_covariates"]),
        ({"minimum_effect": 0.03}, ["experiments"]),
        ({"arms": ["none", "coffee"]}, ["experiment_arms"]),
        ({"kpi": ["conversion"]}, ["experiment_kpis"]),
    ],
)
def test_an_edit_makes_stale_only_what_it_can_touch(change: dict[str, Any], touched: list[str]) -> None:
    day = date(2026, 1, 6)
    before, after = references(BANDIT), references(BANDIT | change)
    assert [name for name in REFERENCES if before.content(name, day) != after.content(name, day)] == touched
