"""The loop that can be closed: shares that move with the date, date by date, in any process."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_collector.allocation import Allocation
from edge_collector.assignment import arm_of
from edge_collector.site import Site
from tests.simulate import landed_facts
from tests.simulate.test_simulator import digests
from tests.simulate.trying import FIRST, allocation, experiment, moving, records, trying
from venue_assets.simulate import Dirt, Options, begin, simulate
from venue_assets.simulate.chance import generator
from venue_assets.simulate.population import Population
from venue_assets.simulate.trials import Kept, trials_of
from venue_assets.simulate.venue_day import VenueDay
from venue_assets.simulate.visits import visits_of


def test_a_bandit_follows_the_allocation_of_the_date(site: Site, tmp_path: Path) -> None:
    simulate(site, tmp_path, Options(FIRST, days=3, visits=1000, dirt=Dirt.none()), allocations=moving)
    found = Counter[tuple[date, int, str]]()
    for day, r in records(landed_facts.read(tmp_path, site)):
        if r["experiment_id"] == "welcome_screen":
            assert (r["leaf_id"], r["allocation_id"], r["propensity"]) == (None, None, 0.5)
            continue
        at, leaf = datetime.fromisoformat(r["recorded_at"]), r["leaf_id"]
        # The record is up to 0.6 seconds younger than the visit.
        assert leaf in {2 if (at - timedelta(seconds=s)).hour < 17 else 3 for s in (0.1, 0.6)}
        assert r["allocation_id"] == f"voucher {day}"
        arms = ("none", "tea", "second_half_price")
        drawn = arm_of("voucher", r["unit_id"], 1, arms, [moving("voucher", day).shares[leaf][arm] for arm in arms])
        assert (r["arm"], r["propensity"]) == pytest.approx(drawn)
        found[day, leaf, r["arm"]] += 1
    assert found[FIRST, 2, "none"] > 2 * found[FIRST, 2, "tea"]
    assert found[FIRST, 3, "second_half_price"] > 4 * found[FIRST, 3, "none"]


def only(arm: str, day: date) -> Allocation:
    """An allocation that gives nearly everybody the same arm."""
    shares = {name: 0.9 if name == arm else 0.05 for name in ("none", "tea", "second_half_price")}
    return allocation(day, {2: shares, 3: shares}, unit="user")


def test_a_user_keeps_the_arm_that_was_given_first_whatever_the_shares_do(site: Site, tmp_path: Path) -> None:
    """And the record of it: by which propensity, leaf and allocation it was drawn does not change afterwards."""
    (voucher,) = (e for e in site.experiments if e.id == "voucher")
    tried = voucher.model_copy(update={"unit": "user"})
    of_day = {FIRST: "none", FIRST + timedelta(days=1): "tea", FIRST + timedelta(days=2): "second_half_price"}
    options = Options(FIRST, days=3, visits=600, dirt=Dirt.none())
    simulate(trying(site, tried), tmp_path, options, allocations=lambda _, day: only(of_day[day], day))

    given = defaultdict[str, list[tuple[date, tuple[Any, ...]]]](list)
    for day, r in records(landed_facts.read(tmp_path, site)):
        given[r["unit_id"]].append((day, (r["arm"], r["propensity"], r["leaf_id"], r["allocation_id"])))
    again = {unit: found for unit, found in given.items() if len(found) > 1}
    assert len(again) > 20
    for unit, found in given.items():
        day, first = min(found)
        assert {said for _, said in found} == {first}
        drawn = arm_of("voucher", unit, tried.seed, tried.arms, list(only(of_day[day], day).shares[2].values()))
        assert (first[0], first[1], first[3]) == (*drawn, f"voucher {day}")
    by_today = [
        arm_of("voucher", unit, tried.seed, tried.arms, list(only(of_day[day], day).shares[2].values()))[0]
        for unit, found in again.items()
        for day in [max(found)[0]]
    ]
    assert sum(arm != found[0][1][0] for arm, found in zip(by_today, again.values(), strict=True)) > 10


def test_the_arm_that_a_user_keeps_is_the_one_that_has_the_effect(site: Site) -> None:
    tried = experiment(unit="user", arms=["a", "b", "c"])
    population = Population(1, 500, ["riverside"], linked=False)
    day = VenueDay.of(site.venue("riverside"), FIRST)
    visits = visits_of(day, population, generator(1, "x"), average=500, activity=None)
    before: Kept = {}
    (first,) = trials_of([tried], day, visits, "one_best", None, before, can_assign=True)
    changed = tried.model_copy(update={"fixed_shares": [0.8, 0.1, 0.1]})
    (kept,) = trials_of([changed], day, visits, "one_best", None, before, can_assign=True)
    (anew,) = trials_of([changed], day, visits, "one_best", None, {}, can_assign=True)
    assert kept.arm.tolist() == first.arm.tolist() != anew.arm.tolist()
    assert kept.effect.tolist() == first.effect.tolist() != anew.effect.tolist()
    assert kept.propensity.tolist() == first.propensity.tolist()


def test_users_of_different_experiments_do_not_mix(site: Site) -> None:
    population = Population(1, 200, ["riverside"], linked=False)
    day = VenueDay.of(site.venue("riverside"), FIRST)
    visits = visits_of(day, population, generator(1, "x"), average=200, activity=None)
    kept: Kept = {}
    tried = [experiment(id=name, unit="user", arms=[f"{name} 1", f"{name} 2"]) for name in ("music", "light")]
    trials = trials_of(tried, day, visits, "none", None, kept, can_assign=True)
    assert {experiment_id for experiment_id, _ in kept} == {"music", "light"}
    assert trials[0].arm.tolist() != trials[1].arm.tolist()


def test_known_users_are_in_the_leaf_of_their_own(site: Site, tmp_path: Path) -> None:
    options = Options(FIRST, days=1, visits=200, dirt=Dirt.none())
    simulate(site, tmp_path / "before", options)
    given = landed_facts.read(tmp_path / "before", site).of_venue("assignments", "harbour", FIRST)
    users = {r["unit_id"].split("/")[0] for r in given}
    known = {user: 3 for user in users if int(user[-1], 16) % 2}
    shares = {
        2: {"none": 1.0, "tea": 0.0, "second_half_price": 0.0},
        3: {"none": 0.0, "tea": 1.0, "second_half_price": 0.0},
    }

    simulate(
        site,
        tmp_path / "with",
        options,
        allocations=lambda _, day: allocation(day, shares, leaf_of_user=known, default_leaf=2),
    )
    given = landed_facts.read(tmp_path / "with", site).of_venue("assignments", "harbour", FIRST)
    assert {r["unit_id"].split("/")[0]: (r["leaf_id"], r["arm"]) for r in given} == {
        user: (3, "tea") if user in known else (2, "none") for user in users
    }


def test_without_an_allocation_of_the_date_the_fixed_shares_hold(site: Site, tmp_path: Path) -> None:
    options = Options(FIRST, days=2, visits=100)
    simulate(site, tmp_path / "a", options, allocations=lambda _experiment, _day: None)
    simulate(site, tmp_path / "b", options)
    simulate(site, tmp_path / "stale", options, allocations=lambda e, day: moving(e, day - timedelta(days=1)))
    assert digests(tmp_path / "a") == digests(tmp_path / "b") == digests(tmp_path / "stale")


def test_date_by_date_is_the_same_as_all_at_once(site: Site, tmp_path: Path) -> None:
    options = Options(FIRST - timedelta(days=2), days=7, visits=150)
    at_once = simulate(site, tmp_path / "at_once", options, allocations=moving)

    asked: list[tuple[str, date]] = []
    landed: list[date] = []

    def allocations(experiment_id: str, day: date) -> Allocation:
        asked.append((experiment_id, day))
        assert landed == [d for d in options.dates if d < day], "shares of a date are asked for when yesterday landed"
        return moving(experiment_id, day)

    run = begin(site, tmp_path / "by_date", options, allocations=allocations)
    while run.upcoming:
        landed.append(run.play())
    assert landed == options.dates
    assert asked == [("voucher", day) for day in options.dates[2:]]
    assert digests(tmp_path / "by_date") == digests(tmp_path / "at_once")
    assert run.truth.to_json() == at_once.truth.to_json()
    assert (run.segments, run.lines) == (at_once.segments, at_once.lines)
    with pytest.raises(IndexError):
        run.play()


def test_another_process_goes_on_where_one_ended(site: Site, tmp_path: Path) -> None:
    options = Options(FIRST, days=7, visits=100)
    at_once = simulate(site, tmp_path / "at_once", options, allocations=moving)
    first = begin(site, tmp_path / "in_parts", options, allocations=moving)
    for _ in range(4):
        first.play()
    before = digests(tmp_path / "in_parts")

    second = begin(site, tmp_path / "in_parts", options, allocations=moving)
    for _ in range(4):
        second.skip()
    assert digests(tmp_path / "in_parts") == before
    assert second.segments == 0
    while second.upcoming:
        second.play()
    assert digests(tmp_path / "in_parts") == digests(tmp_path / "at_once")
    assert second.truth.to_json() == at_once.truth.to_json()


def test_late_segments_may_be_held_back_date_by_date(site: Site, tmp_path: Path) -> None:
    run = begin(site, tmp_path, Options(FIRST, days=4, visits=300), hold_late=True)
    while run.upcoming:
        run.play()
    assert run.late
    assert run.truth.before_late.landed == landed_facts.read(tmp_path, site).landed
    run.land_late()
    assert run.truth.expected.landed == landed_facts.read(tmp_path, site).landed
