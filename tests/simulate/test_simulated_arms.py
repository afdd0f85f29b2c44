"""Who is given which arm, and the record of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from edge_collector.assignment import arm_of, unit_of_day
from edge_collector.site import Site
from tests.simulate import landed_facts
from tests.simulate.test_simulator import digests
from tests.simulate.trying import FIRST, experiment, records, trying
from venue_assets.simulate import Dirt, Options, simulate


def test_every_recognised_visit_is_given_an_arm_when_it_enters(site: Site, tmp_path: Path) -> None:
    run = simulate(site, tmp_path, Options(FIRST, days=2, visits=300, dirt=Dirt.none()))
    facts = landed_facts.read(tmp_path, site)
    for tried in site.experiments:
        venue_id = site.venue_of(tried).id
        for day in run.truth.options.dates:
            entered = defaultdict(list)
            for r in facts.of_venue("face_visits", venue_id, day):
                if r["direction"] == "enter":
                    entered[r["user_id"]].append(datetime.fromisoformat(r["recorded_at"]))
            wanted = {
                f"{user_id}/{day}/{n}": at
                for user_id, times in entered.items()
                for n, at in enumerate(sorted(times), 1)
            }
            given = facts.of_venue("assignments", venue_id, day)
            assert {r["unit_id"] for r in given} == set(wanted)
            assert len(given) == len(wanted) > 100
            for r in given:
                after = datetime.fromisoformat(r["recorded_at"]) - wanted[r["unit_id"]]
                assert timedelta(milliseconds=100) <= after < timedelta(milliseconds=600)
                drawn = arm_of(tried.id, r["unit_id"], tried.seed, tried.arms, tried.shares)
                assert (r["experiment_id"], (r["arm"], r["propensity"])) == (tried.id, drawn)
                assert r["leaf_id"] is r["allocation_id"] is None


def test_shares_may_be_unequal(site: Site, tmp_path: Path) -> None:
    tried = experiment(arms=["a", "b", "c"], fixed_shares=[0.7, 0.2, 0.1])
    truth = simulate(trying(site, tried), tmp_path, Options(FIRST, days=2, visits=1500, dirt=Dirt.none())).truth
    counts = Counter[str]()
    for (_, _, arm), n in truth.units.units.items():
        counts[arm] += n
    for arm, share in zip(tried.arms, tried.shares, strict=True):
        assert counts[arm] / counts.total() == pytest.approx(share, abs=0.035)


def test_a_user_is_asked_about_once_a_date_and_keeps_the_arm(site: Site, tmp_path: Path) -> None:
    tried = experiment(unit="user", reward_days=2, last_date=FIRST + timedelta(days=3))
    changed = trying(site, tried)
    truth = simulate(changed, tmp_path, Options(FIRST, days=6, visits=400)).truth
    facts = landed_facts.read(tmp_path, changed)
    payers = {
        day: {
            r["user_id"]
            for r in landed_facts.current_lines(facts, "riverside", day)[0]
            if r["status"] == "completed" and r["user_id"]
        }
        for day in truth.options.dates
    }
    first: dict[str, tuple[date, str]] = {}
    arms = defaultdict(set)
    for day, r in sorted(records(facts), key=lambda row: row[0]):
        first.setdefault(r["unit_id"], (day, r["arm"]))
        arms[r["unit_id"]].add(r["arm"])
    assert {len(given) for given in arms.values()} == {1}
    outcome = truth.expected.units
    assert outcome.assigned == Counter((tried.id, day, r["arm"]) for day, r in records(facts))
    assert outcome.units == Counter((tried.id, *unit) for unit in first.values())
    assert outcome.units.total() < outcome.assigned.total()
    assert outcome.conversions == Counter(
        (tried.id, day, arm)
        for user_id, (day, arm) in first.items()
        if any(user_id in payers[day + timedelta(days=n)] for n in range(3))
    )


def test_a_venue_s_day_is_one_unit(site: Site, tmp_path: Path) -> None:
    tried = experiment(unit="venue_day", kpi="gmv", minimum_effect=100)
    changed = trying(site, tried)
    truth = simulate(changed, tmp_path, Options(FIRST - timedelta(days=1), days=6, visits=60, dirt=Dirt.none())).truth
    found = records(landed_facts.read(tmp_path, changed))
    assert [day for day, _ in found] == truth.options.dates[1:]
    for day, r in found:
        opens = datetime.fromisoformat(f"{day}T10:00:00+01:00")
        assert timedelta() < datetime.fromisoformat(r["recorded_at"]) - opens < timedelta(seconds=1)
        drawn = arm_of(tried.id, unit_of_day("riverside", day), 1, tried.arms, tried.shares)
        assert (r["unit_id"], (r["arm"], r["propensity"])) == ("riverside", drawn)
    assert {r["arm"] for _, r in found} == set(tried.arms)
    assert {row["conversions"] for row in truth.units.to_json()} == {None}


def test_before_and_after_go_by_the_date_and_need_no_record(site: Site, tmp_path: Path) -> None:
    tried = experiment(kind="before_after", unit="venue_day", kpi="gmv", changed_on=FIRST + timedelta(days=2))
    devices = [d for d in site.devices if d.stream != "assignments"]
    changed = trying(site, tried).model_copy(update={"devices": devices})
    run = simulate(changed, tmp_path, Options(FIRST, days=3, visits=1500, dirt=Dirt.none()))
    assert not (tmp_path / "assignments").exists()
    assert run.truth.units.units == {
        (tried.id, FIRST, "silence"): 1,
        (tried.id, FIRST + timedelta(days=1), "silence"): 1,
        (tried.id, FIRST + timedelta(days=2), "jazz"): 1,
    }
    without = simulate(trying(changed), tmp_path / "without", Options(FIRST, days=3, visits=1500, dirt=Dirt.none()))
    more = [
        (f.metrics.completed_orders or 0) - (without.truth.clean[key].metrics.completed_orders or 0)
        for key, f in sorted(run.truth.clean.items())
        if key[0] == "riverside"
    ]
    assert more[:2] == [0, 0]
    assert more[2] > 10


def test_nothing_is_tried_without_a_device_that_assigns(site: Site, tmp_path: Path) -> None:
    devices = [d for d in site.devices if d.stream != "assignments"]
    without = site.model_copy(update={"devices": devices})
    simulate(without, tmp_path / "a", Options(FIRST, days=1, visits=100))
    simulate(trying(without), tmp_path / "b", Options(FIRST, days=1, visits=100))
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
