"""The gates before a verdict: what they count, what they ask for, and what they say of units that cannot be used."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import compute
from tests.experiments.lab import DAY, FIRST, TEST, gates, judge, make_home, put_days, unit, verdict
from venue_assets.home import Home
from venue_assets.lake.engine import CheckResult

BASELINE = [
    {"experiment_id": "screen_test", "kpi": "conversion", "position": 0, "units": 500, "mean": 0.3, "variance": 0.21}
]
Z = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)


def arm_units(first: int, arm: str, n: int, successes: int, day: date, **others: Any) -> list[dict[str, Any]]:
    return [unit(first + k, arm, k < successes, day, **others) for k in range(n)]


def both(day: date, n: tuple[int, int], successes: tuple[int, int]) -> list[dict[str, Any]]:
    first = 10_000 * day.day
    return [
        *arm_units(first, "plain", n[0], successes[0], day),
        *arm_units(first + 5000, "greeting", n[1], successes[1], day),
    ]


def checks(home: Home, day: date) -> dict[str, CheckResult]:
    (computed,) = compute(home, day, tables=["sample_size_checks"])
    return {check.name: check for check in computed.checks}


@pytest.mark.parametrize("days", [1, 3, 8])
def test_a_test_with_fixed_shares(tmp_path: Path, days: int) -> None:
    home = make_home(tmp_path, TEST)
    dates = [FIRST + n * DAY for n in range(days)]
    put_days(home, {day: both(day, (60, 58), (18, 29)) for day in dates}, BASELINE)
    told = checks(home, dates[-1])
    found = gates(home, dates[-1])
    assert list(found) == ["plain", "greeting"]
    observed = 0.3 * 0.7 + 0.25
    planned = 0.3 * 0.7 + 0.4 * 0.6
    required = math.ceil(max(observed, planned) / 0.01 * Z**2)
    for arm, n in (("plain", 60), ("greeting", 58)):
        row = found[arm]
        assert (row["n_units"], row["n"], row["units_left_out"]) == (n * days, n * days, 0)
        assert row["variance"] == pytest.approx(observed)
        assert row["planned_variance"] == pytest.approx(planned)
        assert (row["delta"], row["alpha"], row["power"]) == (0.1, 0.05, 0.8)
        assert row["required_n"] == required
        assert row["enough"] == (n * days >= required)
        assert row["samples_needed"] == max(0, required - n * days)
        assert row["days_needed"] == math.ceil(max(0, required - n * days) / n)
        assert row["detectable_effect"] == pytest.approx(math.sqrt(observed / (58 * days)) * Z)
        assert row["sample_ratio_ok"]
    assert told["enough_samples"].passed == (58 * days >= required)
    assert told["sample_ratio"].passed
    assert told["enough_samples"].figures["experiments"] == 1


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(*[st.integers(0, 80)] * 4), min_size=1, max_size=6))
def test_the_verdict_falls_on_the_first_date_on_which_every_gate_holds(
    tmp_path_factory: pytest.TempPathFactory, traffic: list[tuple[int, int, int, int]]
) -> None:
    """Against loops: and every later date repeats it."""
    home = make_home(tmp_path_factory.mktemp("home"), TEST | {"last_date": FIRST + 5 * DAY, "minimum_effect": 0.2})
    days = [FIRST + n * DAY for n in range(6)]
    of = {day: both(day, (a, b), (min(c, a), min(d, b))) for day, (a, b, c, d) in zip(days, traffic * 6, strict=False)}
    put_days(home, of, BASELINE)
    judge(home, *days)
    expected, n, won = None, [0, 0], [0, 0]
    for day in days:
        for row in of[day]:
            n[row["arm"] == "greeting"] += 1
            won[row["arm"] == "greeting"] += row["reward"] == 1
        rates = [w / max(1, m) for w, m in zip(won, n, strict=True)]
        observed = sum(p * (1 - p) for p in rates) if min(n) >= 2 else 0
        enough = min(n) >= max(2, math.ceil(max(observed, 0.21 + 0.25) / 0.04 * Z**2 - 1e-9))
        half = sum(n) / 2
        chi = sum((m - half) ** 2 / half for m in n) if half else 0
        if expected is None and enough and math.erfc(math.sqrt(chi / 2)) >= 0.001:
            expected = day, n[1], n[0], rates[1] - rates[0]
        found = verdict(home, day)
        if expected:
            assert found["status"] == "verdict"
            assert (found["analysed_on"], found["n_arm"], found["n_control"]) == expected[:3]
            assert found["effect"] is None or found["effect"] == pytest.approx(expected[3])
        else:
            assert found["status"] != "verdict"
            assert [found[c] for c in ("method", "effect", "low", "high", "p_value", "significant")] == [None] * 6
    assert (verdict(home, days[-1])["status"] != "running") is True


@pytest.mark.parametrize(
    ("made", "known", "expected"),
    [
        pytest.param([], [], {"n_units": 0, "required_n": None, "days_needed": None}, id="nothing at all"),
        pytest.param([], BASELINE, {"n_units": 0, "required_n": 354, "samples_needed": 354}, id="no units yet"),
        pytest.param(
            arm_units(0, "greeting", 50, 20, FIRST), [], {"required_n": None, "enough": False}, id="no control"
        ),
        pytest.param(both(FIRST, (500, 500), (0, 0)), [], {"required_n": None, "variance": 0.0}, id="no variance"),
        pytest.param(both(FIRST, (9, 9), (0, 0)), BASELINE, {"required_n": 354, "variance": 0.0}, id="none so far"),
        pytest.param(both(FIRST, (1, 1), (1, 0)), BASELINE, {"variance": None, "enough": False}, id="one unit each"),
        pytest.param(
            both(FIRST, (2, 2), (1, 1)),
            [BASELINE[0] | {"mean": 1.0}],
            {"planned_variance": pytest.approx(0.09)},
            id="no room above the rate",
        ),
    ],
)
def test_too_little_is_known(
    tmp_path: Path, made: list[dict[str, Any]], known: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    home = make_home(tmp_path, TEST)
    put_days(home, {FIRST: made}, known)
    told = checks(home, FIRST)
    control = gates(home, FIRST)["plain"]
    assert {name: control[name] for name in expected} == expected
    assert not told["enough_samples"].passed
    assert not any(row["enough"] and row["required_n"] is None for row in gates(home, FIRST).values())


def test_an_absurd_amount_asks_for_an_absurd_number_of_units(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST | {"kpi": "amount", "minimum_effect": 0.001})
    amounts = [
        unit(n, arm, reward, FIRST, kpi="amount")
        for n, (arm, reward) in enumerate([("plain", 1e16), ("plain", 0), ("greeting", 1), ("greeting", 0)])
    ]
    put_days(home, {FIRST: amounts})
    checks(home, FIRST)
    assert gates(home, FIRST)["greeting"]["required_n"] == 2**53


def test_units_that_were_lost_of_one_arm(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST)
    put_days(home, {FIRST: both(FIRST, (500, 400), (150, 120))}, BASELINE)
    told = checks(home, FIRST)["sample_ratio"]
    assert not told.passed
    assert told.figures["first_experiment"] == "screen_test"
    assert told.figures["lowest_p"] == pytest.approx(math.erfc(math.sqrt(100**2 / 900 / 2)))


# A bandit's log -------------------------------------------------------------------------------------------------------

BANDIT = TEST | {"kind": "bandit", "arms": ["plain", "greeting", "song"]}


def drawn(
    shares: dict[str, float], n: dict[str, int], day: date = FIRST, leaf: int = 1, allocation: str | None = "a"
) -> list[dict[str, Any]]:
    """Units of one allocation and leaf, a third of each arm's rewarded."""
    first = 100_000 * day.day + 10_000 * leaf
    return [
        made
        for at, arm in enumerate(n)
        for made in arm_units(
            first + 1000 * at, arm, n[arm], n[arm] // 3, day,
            propensity=shares[arm], leaf_id=leaf, allocation_id=allocation,
        )
    ]  # fmt: skip


def test_a_bandit_counts_what_its_units_are_worth(tmp_path: Path) -> None:
    home = make_home(tmp_path, BANDIT)
    first = drawn({"plain": 0.5, "greeting": 0.3, "song": 0.2}, {"plain": 50, "greeting": 30, "song": 20})
    second = drawn({"plain": 0.2, "greeting": 0.2, "song": 0.6}, {"plain": 20, "greeting": 20, "song": 60}, FIRST + DAY)
    put_days(home, {FIRST: first, FIRST + DAY: second}, BASELINE)
    checks(home, FIRST + DAY)
    found = gates(home, FIRST + DAY)
    assert [row["n_units"] for row in found.values()] == [70, 50, 80]
    weights = [1 / 0.5] * 50 + [1 / 0.2] * 20
    assert found["plain"]["n"] == pytest.approx(sum(weights) ** 2 / sum(w * w for w in weights))
    assert found["plain"]["n"] < 70
    assert found["plain"]["alpha"] == 0.025
    assert found["plain"]["sample_ratio_p"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("shares", "n", "kept"),
    [
        pytest.param({"plain": 0.5, "greeting": 0.3}, {"plain": 5, "greeting": 3}, True, id="an arm never drawn"),
        pytest.param({"plain": 0.5}, {"plain": 5}, True, id="only one ever drawn"),
        pytest.param({"plain": 0.5, "greeting": 0.5}, {"plain": 5, "greeting": 5}, False, id="nothing left for one"),
        pytest.param({"plain": 0.9, "greeting": 0.9}, {"plain": 5, "greeting": 5}, False, id="too much"),
        pytest.param(
            {"plain": 0.2, "greeting": 0.2, "song": 0.2}, {"plain": 5, "greeting": 5, "song": 5}, False, id="too little"
        ),
        pytest.param(
            {"plain": 1e-300, "greeting": 0.4, "song": 0.6}, {"plain": 1, "greeting": 4, "song": 6}, False, id="tiny"
        ),
    ],
)
def test_propensities_that_do_not_add_up_are_left_out_and_counted(
    tmp_path: Path, shares: dict[str, float], n: dict[str, int], kept: bool
) -> None:
    home = make_home(tmp_path, BANDIT)
    even = dict.fromkeys(("plain", "greeting", "song"), 1 / 3)
    good = drawn(even, {"plain": 30, "greeting": 30, "song": 30}, leaf=2, allocation=None)
    put_days(home, {FIRST: good + drawn(shares, n)}, BASELINE)
    told = checks(home, FIRST)["propensities_are_usable"]
    assert told.passed is kept
    assert told.figures["units_left_out"] == (0 if kept else sum(n.values()))
    found = gates(home, FIRST)
    assert sum(row["n_units"] for row in found.values()) == 90 + (sum(n.values()) if kept else 0)
