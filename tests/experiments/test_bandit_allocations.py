"""From units to shares: who counts where, what each arm has brought, and what follows for the next date."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from math import inf, log, sqrt
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import compute, rows
from tests.experiments.bandits import BANDIT, EVE, SEGMENTS, levelled, nothing, put_history, tree_of, unit
from tests.experiments.lab import DAY, FIRST, make_home, put
from venue_assets.home import Home
from venue_assets.lake.store import Lake

ARMS = BANDIT["arms"]
KEEP, OTHERS = 2, 3
"""The leaves of the tree that `levelled` history grows."""


def bandit_home(root: Path, **changes: Any) -> Home:
    home = make_home(root, BANDIT | changes)
    for day in (FIRST - 3 * DAY, FIRST - 2 * DAY, EVE):
        put_history(home, day, levelled(day))
    return home


def decide(home: Home, day: date) -> list[dict[str, Any]]:
    """Tree, statistics and shares at the end of a date."""
    nothing(home, day)
    compute(home, day, tables=["context_tree", "bandit_statistics", "bandit_allocations"])
    return [dict(row) for row in rows(home, "bandit_allocations", day)]


def statistics(home: Home, day: date) -> list[dict[str, Any]]:
    decide(home, day)
    return [dict(row) for row in rows(home, "bandit_statistics", day)]


def checks(home: Home, day: date) -> dict[str, tuple[bool, dict[str, Any]]]:
    (computed,) = compute(home, day, tables=["bandit_statistics"])
    return {check.name: (check.passed, dict(check.figures)) for check in computed.checks}


# What is known of a visitor ------------------------------------------------------------------------------------------


def feature(user: str, visits: int, venue_id: str = "harbour") -> dict[str, Any]:
    return {"venue_id": venue_id, "user_id": user, "visits": visits, "segment": "visitor", "frequency": 0,
            "recency_days": 0, "usual_weekday": 1, "currency": "CNY"}  # fmt: skip


def test_contexts_are_of_the_people_of_the_date_as_they_were_known_the_date_before(tmp_path: Path) -> None:
    home = make_home(tmp_path, BANDIT)
    put(home, "visitor_features", EVE, [feature(u, 1) for u in ("assigned", "away", "member", "seen", "terminal")])
    put(home, "visitor_features", FIRST, [feature(u, 9) for u in ("new", "seen")])
    put(home, "user_days", FIRST, [{"venue_id": "harbour", "user_id": u} for u in ("new", "seen")])
    put(home, "assignments", FIRST, [
        {"venue_id": "harbour", "unit_id": f"{u}/{FIRST}/1"} for u in ("assigned", "terminal", "nobody")
    ])  # fmt: skip
    put(home, "identity_map", FIRST, [{"terminal_user_id": "terminal", "member_user_id": "member"}])
    compute(home, FIRST, tables=["visitor_contexts"])
    found = [(row["user_id"], row["segment"], row["visits"]) for row in rows(home, "visitor_contexts", FIRST)]
    assert found == [
        ("assigned", "visitor", 1), ("member", "visitor", 1), ("new", "new", 0), ("nobody", "new", 0),
        ("seen", "visitor", 1),
    ]  # fmt: skip


def test_units_carry_what_the_gateway_knew_when_it_gave_the_arm(tmp_path: Path) -> None:
    """Also where the reward took two days more: the hour on the venue's clock, the person whom the unit names."""
    home = make_home(tmp_path, BANDIT | {"unit": "user", "reward_days": 2})
    at = datetime(2026, 1, 8, 16, 30)  # half past midnight in Shanghai, of the same event date
    matures = FIRST + 2 * DAY
    put(home, "visitor_contexts", FIRST, [
        {"venue_id": "harbour", "user_id": "ann", "segment": "important_value"},
        {"venue_id": "riverside", "user_id": "cy", "segment": "visitor"},
    ])  # fmt: skip
    put(home, "visitor_contexts", matures, [{"venue_id": "harbour", "user_id": "ann", "segment": "visitor"}])
    given = {"experiment_id": "voucher", "arm": "tea", "propensity": 0.4}
    put(home, "assignments", FIRST, [
        given | {"unit_id": u, "recorded_at": at, "local_time": at + timedelta(hours=8)} for u in ("t9", "cy")
    ])  # fmt: skip
    put(home, "assignments", matures, [])
    put(home, "identity_map", matures, [{"terminal_user_id": "t9", "member_user_id": "ann"}])
    put(home, "experiment_units", matures, [
        given | {"unit_id": u, "kpi": "conversion", "position": p, "assigned_on": FIRST, "assigned_at": at,
                 "reward": 1.0, "user_id": "somebody else"} for u in ("cy", "t9") for p in (0, 1)
    ])  # fmt: skip
    compute(home, matures, tables=["bandit_units"])
    found = [
        (r["unit_id"], r["venue_id"], r["weekday"], r["hour"], r["segment"], r["assigned_on"])
        for r in rows(home, "bandit_units", matures)
    ]
    assert found == [
        ("cy", "harbour", 4, 0, None, FIRST),
        ("t9", "harbour", 4, 0, "important_value", FIRST),
    ]


# What each arm has brought -------------------------------------------------------------------------------------------


def test_statistics_add_up_rewards_by_date_leaf_and_arm(tmp_path: Path) -> None:
    home = bandit_home(tmp_path, kpi="amount", reward_bound=50)
    made = [unit(n, ARMS[n % 2], 10 * (n % 5), FIRST, propensity=0.5 if n % 2 else 0.25) for n in range(60)]
    put(home, "bandit_units", FIRST, made)
    found = statistics(home, FIRST)
    tree = tree_of(home, FIRST)["tree"]
    assert sum(row["units"] for row in found) == 60
    assert {row["leaf"] for row in found} == {node["id"] for node in tree["nodes"] if not node["split"]}
    assert sum(row["total"] for row in found) == pytest.approx(sum(u["reward"] for u in made) / 50)
    assert sum(row["total_squares"] for row in found) == pytest.approx(sum((u["reward"] / 50) ** 2 for u in made))
    assert sum(row["total_weight"] for row in found) == pytest.approx(30 * 4 + 30 * 2)
    assert sum(row["total_weight_squares"] for row in found) == pytest.approx(30 * 16 + 30 * 4)


def test_units_are_in_the_leaf_of_what_was_known_of_them(tmp_path: Path) -> None:
    home = bandit_home(tmp_path)
    units = [unit(n, "none", 0, FIRST) for n in range(9)] + [unit(9, "none", 0, FIRST, segment=None)]
    put(home, "bandit_units", FIRST, units)
    assert [(r["leaf"], r["units"]) for r in statistics(home, FIRST)] == [(KEEP, 3), (OTHERS, 7)]


def test_all_units_since_the_beginning_count_under_the_tree_in_force(tmp_path: Path) -> None:
    """What was learned before a refit is not lost: it is told by the new groups."""
    home = bandit_home(tmp_path, refit_days=2, covariates=["segment", "hour"])
    # From the first date on, only the hour tells who buys.
    for n, day in enumerate((FIRST, FIRST + DAY)):
        put(home, "bandit_units", day, [
            unit(3000 * n + i, ARMS[i % 2], i // 6 % 2, day, hour=11 if i // 6 % 2 else 18) for i in range(3000)
        ])  # fmt: skip
    assert {r["leaf"] for r in statistics(home, FIRST)} == {KEEP, OTHERS}
    before = Counter[tuple[date, str]]()
    for row in rows(home, "bandit_statistics", FIRST):
        before[row["assigned_on"], row["arm"]] += row["units"]  # type: ignore[index, operator]
    refitted = statistics(home, FIRST + DAY)
    tree = tree_of(home, FIRST + DAY)
    assert tree["fitted_on"] == FIRST + DAY
    leaves = {node["id"]: node["prediction"] for node in tree["tree"]["nodes"] if not node["split"]}
    assert {r["leaf"] for r in refitted} <= set(leaves)
    after = Counter[tuple[date, str]]()
    for row in refitted:
        after[row["assigned_on"], row["arm"]] += row["units"]
    assert {key: n for key, n in after.items() if key[0] == FIRST} == before
    assert sum(after.values()) == 6000


def test_a_reward_out_of_bounds_is_refused_counted_and_told(tmp_path: Path) -> None:
    home = bandit_home(tmp_path, kpi="amount", reward_bound=50)
    put(home, "bandit_units", FIRST, [unit(n, "tea", r, FIRST) for n, r in enumerate((50, 50.01, -1, 0))])
    found = statistics(home, FIRST)
    assert sum(r["units"] for r in found) == 2
    assert sum(r["refused"] for r in found) == 2
    assert sum(r["total"] for r in found) == 1.0
    passed, figures = checks(home, FIRST)["rewards_within_bounds"]
    assert not passed
    assert figures == {"units": 4, "refused": 2, "first_experiment": "voucher"}


def test_units_that_a_gateway_put_elsewhere_are_told(tmp_path: Path) -> None:
    home = bandit_home(tmp_path)
    by_shares = {"allocation_id": "a"}
    put(home, "bandit_units", FIRST, [unit(n, "tea", 0, FIRST, leaf_id=OTHERS, **by_shares) for n in (1, 2, 4, 5)])
    decide(home, FIRST)
    assert checks(home, FIRST)["gateways_agree"] == (True, {"units": 4, "in_another_leaf": 0})
    wrong = [
        unit(0, "tea", 0, FIRST, leaf_id=OTHERS, **by_shares),  # belongs to the other leaf
        unit(1, "tea", 0, FIRST, leaf_id=None, **by_shares),
        unit(2, "tea", 0, FIRST, leaf_id=None),  # under fixed shares there is no leaf
    ]
    put(home, "bandit_units", FIRST, wrong)
    decide(home, FIRST)
    assert checks(home, FIRST)["gateways_agree"] == (False, {"units": 3, "in_another_leaf": 2})


# Shares ---------------------------------------------------------------------------------------------------------------


def one_by_one(units: list[int], total: list[float], visits: int, exploration: float) -> list[int]:
    """DESIGN's rule, literally."""
    n, given = list(units), [0] * len(units)
    pooled = sum(total) / sum(units) if sum(units) else 0.5
    mean = [t / u if u else pooled for t, u in zip(total, units, strict=True)]
    for _ in range(visits):
        t = sum(n)
        index = [m + exploration * sqrt(2 * log(t) / k) if k else inf for m, k in zip(mean, n, strict=True)]
        best = index.index(max(index))
        n[best] += 1
        given[best] += 1
    return given


def test_shares_follow_the_rule_of_the_design(tmp_path: Path) -> None:
    home = bandit_home(tmp_path, exploration=0.2, floor=0.1)
    days = [FIRST + n * DAY for n in range(8)]
    bought = {"none": 4, "tea": 3, "half": 2}  # every so many buy
    for d, day in enumerate(days):
        # The third arm was not given yet in the first leaf, which has every third unit.
        made = [unit(1000 * d + i, ARMS[i % 2 if i % 3 == 0 else i % 3], 0, day) for i in range(30 + 3 * d)]
        for i, u in enumerate(made):
            u["reward"] = float(i % bought[u["arm"]] == 0)
        put(home, "bandit_units", day, made)
    found = decide(home, days[-1])
    assert [(r["leaf"], r["arm"], r["position"]) for r in found] == [
        (leaf, arm, n) for leaf in (KEEP, OTHERS) for n, arm in enumerate(ARMS)
    ]
    assert {r["event_date_of_shares"] for r in found} == {days[-1] + DAY}
    assert {r["rule"] for r in found if r["leaf"] == OTHERS} == {
        f"segment in {SEGMENTS[1]}, {SEGMENTS[2]} (or unknown)"
    }
    assert {r["rule"] for r in found if r["leaf"] == KEEP} == {f"segment in {SEGMENTS[0]}"}
    for leaf in (KEEP, OTHERS):
        of_leaf = [r for r in found if r["leaf"] == leaf]
        summed = [
            [sum(r[what] for r in statistics(home, days[-1]) if (r["leaf"], r["arm"]) == (leaf, arm)) for arm in ARMS]
            for what in ("units", "total")
        ]
        assert [r["units"] for r in of_leaf] == summed[0]
        # Shares are for a Friday; there was one before, the second date.
        forecast = sum(
            r["units"] for r in statistics(home, days[-1]) if (r["leaf"], r["assigned_on"]) == (leaf, days[1])
        )
        assert {r["forecast"] for r in of_leaf} == {forecast}
        given = one_by_one(*summed, forecast, 0.2)  # type: ignore[arg-type]
        assert [r["share"] for r in of_leaf] == pytest.approx([0.1 + 0.7 * g / forecast for g in given])
        for row, n, total in zip(of_leaf, *summed, strict=True):
            if n:
                assert row["mean"] == pytest.approx(total / n)
                assert row["index"] == pytest.approx(total / n + 0.2 * sqrt(2 * log(sum(summed[0])) / n))
            else:
                assert (row["mean"], row["index"]) == (None, None)


def test_the_first_shares_are_due_on_the_date_before(tmp_path: Path) -> None:
    """Nothing is known yet: of one expected unit, the control gets its first."""
    found = decide(bandit_home(tmp_path, floor=0.1), EVE)
    assert {r["event_date_of_shares"] for r in found} == {FIRST}
    assert [(r["units"], r["mean"], r["forecast"]) for r in found] == [(0, None, 1)] * 6
    assert [r["share"] for r in found] == pytest.approx([0.8, 0.1, 0.1] * 2)


def test_visits_before_the_experiment_are_no_units_that_could_be_expected(tmp_path: Path) -> None:
    """A unit is one that was given an arm: 200 visits a date went before, and still one unit is expected."""
    home = bandit_home(tmp_path)
    assert [len(rows(home, "sessions", EVE - n * DAY)) for n in (0, 1, 2)] == [200] * 3
    assert {r["forecast"] for r in decide(home, EVE)} == {1}


def test_nor_are_units_that_have_not_matured(tmp_path: Path) -> None:
    """With rewards of two days, the control gets all but the floors on the first three dates."""
    home = bandit_home(tmp_path, unit="user", reward_days=2, covariates=[], floor=0.1)
    nothing(home, FIRST, FIRST + DAY)
    put(home, "bandit_units", FIRST + 2 * DAY, [unit(i, ARMS[i % 3], 0, FIRST) for i in range(30)])
    found = {day: decide(home, day) for day in (EVE, FIRST, FIRST + DAY, FIRST + 2 * DAY)}
    assert [[r["share"] for r in of] for of in list(found.values())[:3]] == [pytest.approx([0.8, 0.1, 0.1])] * 3
    assert [{r["forecast"] for r in of} for of in found.values()] == [{1}, {1}, {1}, {30}]


def test_no_shares_from_the_last_date_on(tmp_path: Path) -> None:
    home = bandit_home(tmp_path, last_date=FIRST + DAY, reward_days=2, unit="user")
    assert [len(decide(home, day)) > 0 for day in (EVE - DAY, EVE, FIRST, FIRST + DAY, FIRST + 2 * DAY)] == [
        False, True, True, False, False,
    ]  # fmt: skip


def test_the_forecast_is_that_of_dates_whose_units_are_known(tmp_path: Path) -> None:
    """Units take two days to mature: the last dates are not empty, they are not known."""
    home = bandit_home(tmp_path, unit="user", reward_days=2, covariates=[])
    for n, day in enumerate(FIRST + k * DAY for k in range(4)):
        put(home, "bandit_units", day + 2 * DAY, [unit(100 * n + i, "tea", 0, day) for i in range(10)])
    nothing(home, FIRST, FIRST + DAY)
    assert {r["forecast"] for r in decide(home, FIRST + 5 * DAY)} == {10}


def test_a_date_without_units_counts_in_the_forecast(tmp_path: Path) -> None:
    home = bandit_home(tmp_path, covariates=[])
    put(home, "bandit_units", FIRST, [unit(i, "tea", 0, FIRST) for i in range(11)])
    nothing(home, FIRST + DAY)
    assert {r["forecast"] for r in decide(home, FIRST + DAY)} == {6}  # (11 + 0) / 2, half up


def test_a_rerun_gives_the_same_allocation_and_other_shares_another(tmp_path: Path) -> None:
    home = bandit_home(tmp_path)
    put(home, "bandit_units", FIRST, [unit(n, ARMS[n % 3], n % 2, FIRST) for n in range(90)])
    first = decide(home, FIRST)
    path = Lake(home.lake).path("bandit_allocations", FIRST)
    content = path.read_bytes()
    assert decide(home, FIRST) == first
    assert path.read_bytes() == content
    assert len({r["allocation_id"] for r in first}) == 1
    put(home, "bandit_units", FIRST, [unit(n, ARMS[n % 3], n % 3 == 2, FIRST) for n in range(90)])
    assert {r["allocation_id"] for r in decide(home, FIRST)} != {r["allocation_id"] for r in first}


def test_two_bandits_do_not_mix(tmp_path: Path) -> None:
    other = BANDIT | {"id": "other", "unit": "user", "arms": ["x", "y"], "covariates": []}
    home = make_home(tmp_path, BANDIT, other)
    nothing(home, EVE)
    put(home, "bandit_units", FIRST, [unit(1, "tea", 1, FIRST), unit(1, "y", 0, FIRST, experiment_id="other")])
    found = decide(home, FIRST)
    assert [(r["experiment_id"], r["arm"], r["units"]) for r in found] == [
        ("other", "x", 0), ("other", "y", 1), ("voucher", "none", 0), ("voucher", "tea", 1), ("voucher", "half", 0),
    ]  # fmt: skip
