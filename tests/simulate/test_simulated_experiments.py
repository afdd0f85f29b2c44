"""What the simulator tries on whom: known effects, records that follow the shares, and a loop that can be closed."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_collector.allocation import Allocation
from edge_collector.assignment import arm_of, unit_of_day
from edge_collector.experiment import Experiment
from edge_collector.site import Site, load_site
from tests.simulate import landed_facts
from tests.simulate.test_simulator import digests
from venue_assets.simulate import WORLDS, Dirt, Options, World, begin, simulate
from venue_assets.simulate.chance import generator
from venue_assets.simulate.population import Population
from venue_assets.simulate.trials import Kept, trials_of, uplift
from venue_assets.simulate.venue_day import VenueDay
from venue_assets.simulate.visits import visits_of
from venue_assets.simulate.worlds import GROUPS, effects

SITE = Path(__file__).parents[2] / "data" / "site.toml"
FIRST = date(2026, 1, 8)
"""The first date of the shipped experiments."""


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(SITE)


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


# Who is given what ----------------------------------------------------------------------------------------------------


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


# What it does ---------------------------------------------------------------------------------------------------------


def test_experiments_change_nothing_but_assignments_and_orders(site: Site, tmp_path: Path) -> None:
    options = Options(FIRST - timedelta(days=1), days=3, visits=200)
    simulate(trying(site), tmp_path / "without", options)
    simulate(site, tmp_path / "with", options)
    simulate(site, tmp_path / "none", Options(FIRST - timedelta(days=1), days=3, visits=200, world="none"))
    without, one_best, none = (digests(tmp_path / name) for name in ("without", "with", "none"))

    def changed(other: dict[str, str]) -> set[str]:
        paths = {path for path in other.keys() | without.keys() if other.get(path) != without.get(path)}
        return {path.partition("-b1-")[0].rsplit("/", 1)[0] for path in paths}

    tried = {f"/event_date={day}" for day in (FIRST, FIRST + timedelta(days=1))}
    assert changed(none) == {f"assignments{day}" for day in tried}, "an arm without an effect leaves no trace"
    assert changed(one_best) >= {f"{stream}{day}" for stream in ("assignments", "orders") for day in tried}
    assert {path.split("/")[0] for path in changed(one_best)} == {"assignments", "orders"}


def test_worlds() -> None:
    """Rows: members, strangers. The control never has an effect, and the best arm is best by the same everywhere."""
    assert GROUPS == ("member", "stranger")
    assert effects("none", 3).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert effects("one_best", 3).tolist() == [[0, 0, 0.03], [0, 0, 0.03]]
    assert effects("by_group", 3).tolist() == [[0, 0, 0.03], [0, 0.03, 0]]
    assert effects("one_best", 2).tolist() == [[0, 0.03], [0, 0.03]]
    assert effects("by_group", 2).tolist() == [[0, 0.03], [0, -0.03]]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("unit", ["visit", "user", "venue_day"])
def test_each_visit_has_the_effect_of_its_arm_and_group(site: Site, world: World, unit: str) -> None:
    tried = experiment(unit=unit, arms=["a", "b", "c"], kpi="gmv" if unit == "venue_day" else "conversion")
    population = Population(1, 500, ["riverside"], linked=False)
    day = VenueDay.of(site.venue("riverside"), FIRST)
    visits = visits_of(day, population, generator(1, "x"), average=500, activity=None)
    (trial,) = trials_of([tried], day, visits, world, None, {}, can_assign=True)
    person = trial.person.tolist()
    if unit == "visit":
        arms = dict(zip(person, trial.arm.tolist(), strict=True))
    else:
        users = {} if unit == "venue_day" else dict(zip(visits.user[person].tolist(), trial.arm.tolist(), strict=True))
        arms = {i: users.get(u, int(trial.arm[0])) for i, u in enumerate(visits.user.tolist()) if u >= 0}
    assert sorted(arms) == np.flatnonzero(visits.recognised).tolist()
    wanted = [
        effects(world, 3)[0 if member >= 0 else 1, arms[i]] if i in arms else 0.0
        for i, member in enumerate(visits.member.tolist())
    ]
    assert trial.effect.tolist() == wanted
    assert uplift([trial, trial], visits).tolist() == [2 * added for added in wanted]
    assert uplift([], visits).tolist() == [0.0] * len(wanted)


@pytest.mark.parametrize("world", ["one_best", "by_group"])
def test_conversion_rises_by_the_true_effect(site: Site, tmp_path: Path, world: World) -> None:
    """Of some 30,000 visits, within three standard errors: the effect is one on conversion, not on buying."""
    site = trying(site, experiment())
    truth = simulate(site, tmp_path, Options(FIRST, days=5, visits=10_000, dirt=Dirt.none(), world=world)).truth
    control, arm = truth.units.arms(world)
    rates = [row["conversions"] / row["units"] for row in (control, arm)]
    error = sum(p * (1 - p) / row["units"] for p, row in zip(rates, (control, arm), strict=True)) ** 0.5
    assert control["effect"] == 0
    assert rates[0] == pytest.approx(0.14, abs=0.015)
    assert rates[1] - rates[0] == pytest.approx(arm["effect"], abs=3 * error)
    if world == "one_best":
        assert arm["effect"] == pytest.approx(0.03)
        assert rates[1] - rates[0] > 3 * error
    else:
        members = truth.units.of_group["music", "member"] / (control["units"] + arm["units"])
        assert arm["effect"] == pytest.approx(0.03 * (2 * members - 1))
        assert 0.6 < members < 0.7


# What lands of it -----------------------------------------------------------------------------------------------------


def test_assignments_suffer_what_other_records_suffer(site: Site, tmp_path: Path) -> None:
    truth = simulate(site, tmp_path, Options(FIRST, days=10, visits=2000)).truth
    facts = landed_facts.read(tmp_path, site)
    found = {
        reason for (stream, _), counts in facts.quarantined.items() if stream == "assignments" for reason in counts
    }
    assert found == {
        "malformed",
        "duplicate",
        "unknown_venue",
        "unknown_device",
        "wrong_event_date",
        "out_of_range",
    }
    gateway, day = truth.incidents.offline or pytest.fail("none was planned")
    venue_id = gateway.removeprefix("sim_")
    assert facts.of_venue("assignments", venue_id, day) == []
    assert any(d == day and truth.units.assigned[e, d, arm] for e, d, arm in truth.units.assigned)


@pytest.mark.parametrize("starts", ["00:00", "13:00", "23:00"])
def test_other_starts_of_the_day(site: Site, tmp_path: Path, starts: str) -> None:
    at = datetime.strptime(starts, "%H:%M").time()
    venues = [v.model_copy(update={"day_starts_at": at}) for v in site.venues]
    per_day = experiment(id="light", unit="venue_day", kpi="gmv")
    changed = trying(site, *site.experiments, per_day).model_copy(update={"venues": venues})
    truth = simulate(changed, tmp_path, Options(FIRST, days=1, visits=200, dirt=Dirt.none())).truth
    facts = landed_facts.read(tmp_path, changed)
    assert truth.expected.landed == facts.landed
    assert not any(facts.quarantined.values())
    assert len([r for _, r in records(facts) if r["experiment_id"] == "light"]) == 1


@pytest.mark.parametrize("day", [date(2026, 3, 28), date(2026, 10, 24)])
def test_days_on_which_clocks_change(site: Site, tmp_path: Path, day: date) -> None:
    changed = trying(site, experiment(first_date=day, last_date=day))
    truth = simulate(changed, tmp_path, Options(day, days=1, visits=300, seed=5)).truth
    facts = landed_facts.read(tmp_path, changed)
    assert truth.expected.quarantined == facts.quarantined
    units = truth.expected.units
    for (_, arm), counts in landed_facts.visit_units(facts, "riverside", day).items():
        assert [units.assigned["music", day, arm], units.conversions["music", day, arm]] == counts
    assert units.assigned.total() == len(records(facts)) > 100


def test_linked_identities_name_units_as_terminals_do(site: Site, tmp_path: Path) -> None:
    linked = site.model_copy(update={"identity": "linked"})
    truth = simulate(linked, tmp_path, Options(FIRST, days=1, visits=300)).truth
    facts = landed_facts.read(tmp_path, linked)
    at_terminals = {r["user_id"] for r in facts.of_venue("face_visits", "riverside", FIRST)}
    units = [r["unit_id"].split("/")[0] for r in facts.of_venue("assignments", "riverside", FIRST)]
    assert sum(unit in at_terminals for unit in units) / len(units) > 0.95
    assert all(row["conversions"] for row in truth.to_json()["clean"]["units"])
    # Which links were lost on their way, and so who is who, the truth does not follow.
    assert {row["conversions"] for row in truth.to_json()["expected"]["units"]} == {None}


def test_the_truth_file_tells_what_the_arms_do(site: Site, tmp_path: Path) -> None:
    truth_file = tmp_path / "truth.json"
    truth = simulate(site, tmp_path, Options(FIRST, days=1, visits=200, world="by_group"), truth_file=truth_file).truth
    written = json.loads(truth_file.read_bytes())
    assert written["options"]["world"] == "by_group"
    rows = {(r["experiment_id"], r["arm"]): r for r in written["experiments"]}
    assert [*rows] == [
        ("voucher", "none"),
        ("voucher", "tea"),
        ("voucher", "second_half_price"),
        ("welcome_screen", "plain"),
        ("welcome_screen", "greeting"),
    ]
    assert rows["voucher", "tea"]["effect_by_group"] == {"member": 0.0, "stranger": 0.03}
    assert rows["welcome_screen", "greeting"]["effect_by_group"] == {"member": 0.03, "stranger": -0.03}
    key = ("voucher", FIRST, "tea")
    row = next(r for r in written["clean"]["units"] if (r["experiment_id"], r["arm"]) == ("voucher", "tea"))
    assert row == {
        "experiment_id": "voucher",
        "event_date": str(FIRST),
        "arm": "tea",
        "assigned": truth.units.assigned[key],
        "units": truth.units.units[key],
        "conversions": truth.units.conversions[key],
    }
    assert rows["voucher", "tea"]["units"] == row["units"] > 0


def test_an_unknown_world_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"world: 'best' is given; one of \['none', 'one_best', 'by_group'\] is expected"
    ):
        Options(FIRST, world="best")  # type: ignore[arg-type]


# The loop -------------------------------------------------------------------------------------------------------------


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
