"""Units and rewards equal an independent recomputation from the landed files, and what does not count is told.

On simulated days with assignments of five experiments, and on adversarial ones.
"""

from __future__ import annotations

import json
import math
import random
import tempfile
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_collector.site import load_site
from tests.conftest import compute, rows
from tests.experiments.lab import DAY, FIRST, TEST, Assignment, land_assignments, make_home, upstream
from tests.experiments.units_oracle import baselines, units
from tests.oracle.adversarial import landings
from tests.oracle.landing_writer import Scenario, Segment, line_of, stamp
from tests.oracle.oracle import Oracle, recompute
from tests.oracle.places import folder_for
from venue_assets.home import Home
from venue_assets.lake.engine import CheckResult
from venue_assets.simulate import Options, simulate
from venue_assets.tables.catalogue import catalogue

VISIT_KPIS = ["conversion", "orders", "amount", "dwell_seconds"]
USER_KPIS = [*VISIT_KPIS, "visits"]
DAY_KPIS = ["gmv", "pv", "uv", "ocr", "completed_orders", "paying_users", "lov_mean_seconds"]
MINUTE = timedelta(minutes=1)


def assert_units(data: Path, *days: date) -> dict[date, list[dict[str, Any]]]:
    """Compute the dates by the system and by the oracle, and compare every column of every unit."""
    home = Home(data)
    compute(home, *sorted(days), tables=upstream("experiment_units", "experiment_baselines"))
    oracles = {day: recompute(data, day) for day in sorted(days)}
    found = {}
    for day in sorted(days):
        found[day] = [dict(row) for row in rows(home, "experiment_units", day)]
        expected = units(data, oracles, day)
        by_key = {(r["experiment_id"], r["unit_id"], r["kpi"]): r for r in found[day]}
        assert by_key.keys() == expected.keys(), day
        for key, row in expected.items():
            assert by_key[key] == row, (day, key)
        assert found[day] == sorted(found[day], key=lambda r: (r["experiment_id"], r["unit_id"], r["position"])), day
        _assert_baselines(home, data, oracles, day)
    return found


def _assert_baselines(home: Home, data: Path, oracles: dict[date, Oracle], day: date) -> None:
    found = {(r["experiment_id"], r["kpi"]): r for r in rows(home, "experiment_baselines", day)}
    expected = baselines(data, oracles, day)
    assert found.keys() == expected.keys(), day
    for key, values in expected.items():
        row = found[key]
        assert row["units"] == len(values), (day, key)
        assert (row["mean"] is None) == (not values)
        assert (row["variance"] is None) == (len(values) < 2)
        if values:
            assert math.isclose(float(str(row["mean"])), fmean(values), rel_tol=1e-12)
        if len(values) > 1:
            assert math.isclose(float(str(row["variance"])), variance(values), rel_tol=1e-9, abs_tol=1e-12)


# Simulated days -------------------------------------------------------------------------------------------------------

EXPERIMENTS: list[dict[str, Any]] = [
    TEST | {"kpi": VISIT_KPIS},
    TEST | {"id": "tea", "unit": "user", "kpi": USER_KPIS, "reward_days": 2, "last_date": FIRST + DAY},
    TEST
    | {"id": "late", "kind": "before_after", "unit": "venue_day", "kpi": DAY_KPIS, "minimum_effect": 0.5}
    | {"changed_on": FIRST + DAY},
    TEST
    | {"id": "bandit", "venue_id": "harbour", "kind": "bandit", "arms": ["none", "tea", "half"]}
    | {"kpi": ["conversion", "amount"], "first_date": FIRST + DAY},
    TEST | {"id": "music", "venue_id": "harbour", "unit": "venue_day", "kpi": DAY_KPIS, "minimum_effect": 0.5},
]


def test_simulated_days(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    options = Options(FIRST - 3 * DAY, days=7, visits=60)
    simulate(home.site, home.landing, options)
    oracles = {day: recompute(home.root, day) for day in options.dates}
    home = make_home(tmp_path / "home", *EXPERIMENTS)
    land_assignments(home, _assignments(oracles))
    found = assert_units(home.root, *options.dates)
    everything = [row for of in found.values() for row in of]
    assert {row["experiment_id"] for row in everything} == {e["id"] for e in EXPERIMENTS}
    for experiment in EXPERIMENTS:
        own = [row for row in everything if row["experiment_id"] == experiment["id"]]
        assert {row["kpi"] for row in own} == set(experiment["kpi"])
        assert any(row["reward"] > 0 for row in own), experiment["id"]
        if experiment["unit"] != "venue_day":
            assert {row["matched"] for row in own} == {True, False}
            assert any(row["pre_value"] is not None for row in own)


def _assignments(oracles: dict[date, Oracle]) -> list[Assignment]:
    """What gateways would have assigned to those who came, with every kind of mistake."""
    dice, made = random.Random(5), []
    for day, oracle in oracles.items():
        noon = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=8)
        for n, session in enumerate(s for s in oracle.sessions if s["enter_at"]):
            venue_id, user_id, enter_at = session["venue_id"], session["user_id"], session["enter_at"]
            at = enter_at + dice.choice((0, 1, -5, 9.9, 10, -10, 12)) * MINUTE
            unit_id = dice.choice((f"{user_id}/{n}", f"{user_id}/{n}", user_id, f"anon-{day}-{n}"))
            if folder_for({"time_zone": "UTC", "day_starts_at": "00:00"}, at) != day:
                continue
            arms = dice.choice((["plain", "greeting"], ["plain", "greeting"], ["nobody knows"]))
            if venue_id == "riverside":
                of_screen = Assignment(unit_id, dice.choice(arms), at, day)
                of_tea = Assignment(user_id, dice.choice(arms), at, day, experiment_id="tea")
                made += [of_screen, of_tea] + [of_screen] * dice.randrange(2)
                made += [Assignment(f"{user_id} ", "plain", at, day, experiment_id="tea")] * dice.randrange(2)
            else:
                arm = dice.choice(("none", "tea", "half"))
                more = {"propensity": 1 / 3, "leaf_id": dice.randrange(3), "allocation_id": "a"}
                made.append(Assignment(unit_id, arm, at, day, experiment_id="bandit", venue_id="harbour", **more))
                elsewhere = Assignment(unit_id, arm, at, day, experiment_id="screen_test", venue_id="harbour")
                made.append(elsewhere)
        for unit_id, arm in (("quay", "plain"), ("harbour", "greeting"), ("harbour", "plain")):
            made.append(Assignment(unit_id, arm, noon, day, experiment_id="music", venue_id="harbour"))
        made.append(Assignment("riverside", "plain", noon, day, experiment_id="late"))
    return made


# Adversarial days -----------------------------------------------------------------------------------------------------

STEPS = (0 * MINUTE, 5 * MINUTE, 10 * MINUTE, -10 * MINUTE, 10 * MINUTE + timedelta(microseconds=1), -11 * MINUTE)


@st.composite
def experimental(draw: st.DrawFn) -> Scenario:
    """An adversarial landing with experiments on it, and assignments around the enters that it holds."""
    scenario = draw(landings(max_stories=14))
    venues = [v["id"] for v in scenario.site["venues"]]
    experiments = []
    for experiment_id, of_unit in zip(
        ("exp", "Exp"), draw(st.permutations(("visit", "user", "venue_day"))), strict=False
    ):
        kind = draw(st.sampled_from(("randomised", "before_after" if of_unit == "venue_day" else "bandit")))
        first = scenario.event_date + draw(st.integers(-2, 0)) * DAY
        last = first + draw(st.integers(1, 3)) * DAY
        kpis = {"visit": VISIT_KPIS, "user": USER_KPIS, "venue_day": DAY_KPIS}[of_unit]
        experiment = {
            "id": experiment_id,
            "venue_id": draw(st.sampled_from(venues)),
            "kind": kind,
            "unit": of_unit,
            "arms": ["control", "b"],
            "kpi": ["conversion", *draw(st.permutations(kpis[1:]))] if of_unit != "venue_day" else kpis,
            "minimum_effect": 0.1,
            "first_date": first,
            "last_date": last,
        }
        if kind == "before_after":
            experiment["changed_on"] = last
        if of_unit == "user":
            experiment["reward_days"] = draw(st.integers(0, 2))
        experiments.append(experiment)
    scenario.site["experiments"] = experiments
    scenario.segments += _around_enters(scenario, draw(st.lists(st.integers(0, 2**32 - 1), max_size=12)))
    return scenario


def _around_enters(scenario: Scenario, seeds: list[int]) -> list[Segment]:
    venues = {v["id"]: v for v in scenario.site["venues"]}
    devices = [d for d in scenario.site["devices"] if d["stream"] == "assignments"]
    seen = []
    for segment in scenario.segments:
        for line in segment.lines if segment.stream == "face_visits" else ():
            try:
                record = json.loads(line)
                seen.append((record["venue_id"], record["user_id"], datetime.fromisoformat(record["recorded_at"])))
            except (ValueError, KeyError, TypeError, RecursionError):  # what no visit can be read from
                continue
    seen = [s for s in seen if isinstance(s[0], str) and s[0] in venues and isinstance(s[1], str)]
    seen = [s for s in seen if s[2].tzinfo and 2000 < s[2].year < 2090]
    of: dict[tuple[str, date], list[bytes]] = defaultdict(list)
    ends: dict[tuple[str, date], datetime] = {}
    for n, seed in enumerate(seeds if seen and devices else ()):
        dice = random.Random(seed)
        venue_id, user_id, at = dice.choice(seen)
        here = [d for d in devices if d["venue_id"] == venue_id]
        if not here:
            continue
        at = at.astimezone(UTC) + dice.choice(STEPS)
        device = dice.choice(here)
        record = {
            "gateway_id": device["gateway_id"], "boot_id": "around", "seq": 10**9 + n, "venue_id": venue_id,
            "device_id": device["id"], "recorded_at": stamp(at, None, 6), "clock": "synced",
            "experiment_id": dice.choice(("exp", "exp", "Exp", "Exp", "ex")),
            "unit_id": dice.choice((user_id, f"{user_id}/1", f"{user_id}/1/2", "/", "nobody", f"nobody/{n}", venue_id)),
            "arm": dice.choice(("control", "b", "b", "B")), "propensity": dice.choice((0.5, 1, 0.1)),
            "leaf_id": dice.choice((None, 3)), "allocation_id": dice.choice((None, "a1")),
        }  # fmt: skip
        key = device["gateway_id"], folder_for(venues[venue_id], at)
        of[key].append(line_of(record))
        ends[key] = max(at, ends.get(key, at))
    made = []
    for n, ((gateway_id, day), lines) in enumerate(of.items()):
        first = 10**9 + 1000 * n
        seqs = list(range(first, first + len(lines)))
        made.append(Segment("assignments", day, gateway_id, "around", seqs, lines, ends[gateway_id, day]))
    return made


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(experimental())
def test_adversarial_days(scenario: Scenario) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = scenario.write(Path(folder))
        load_site(data / "site.toml")
        assert_units(data, *scenario.dates)


# What does not count, and what is told of it --------------------------------------------------------------------------

NOON = datetime(2026, 1, 8, 11, tzinfo=UTC)


def _checks(home: Home, day: date = FIRST) -> dict[str, CheckResult]:
    land_nothing(home, day)
    computed = compute(home, day, tables=upstream("experiment_units"))
    (own,) = (c for c in computed if c.table.name == "experiment_units")
    return {check.name: check for check in own.checks}


def land_nothing(home: Home, day: date) -> None:
    """A date on which the venue was open."""
    simulate(home.site.model_copy(update={"experiments": []}), home.landing, Options(day, days=1, visits=3))


def test_assignments_that_do_not_count_are_told_by_reason(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST, EXPERIMENTS[2], EXPERIMENTS[4])
    plain = Assignment("a", "plain", NOON, FIRST)
    land_assignments(
        home,
        [
            plain,
            Assignment("a", "plain", NOON + MINUTE, FIRST),
            Assignment("a", "greeting", NOON + 2 * MINUTE, FIRST),
            Assignment("b", "purple", NOON, FIRST),
            Assignment("b", "greeting", NOON + MINUTE, FIRST),
            Assignment("c", "plain", NOON, FIRST, experiment_id="gone"),
            Assignment("d", "plain", NOON, FIRST, venue_id="harbour"),
            Assignment("riverside", "plain", NOON, FIRST, experiment_id="late"),
            Assignment("tuesday", "plain", NOON, FIRST, experiment_id="music", venue_id="harbour"),
        ],
    )
    told = _checks(home)["assignments_count"]
    assert not told.passed
    assert told.figures == {
        "assignments": 9,
        "unknown_experiment": 1,
        "unknown_arm": 1,
        "other_venue": 1,
        "outside_dates": 0,
        "not_a_unit_of_the_experiment": 2,
        "repeated": 2,
        "repeated_with_another_arm": 1,
    }
    found = {(r["experiment_id"], r["unit_id"]): r["arm"] for r in rows(home, "experiment_units", FIRST)}
    # One that could not count does not take the place of one that does.
    assert found["screen_test", "a"] == "plain"
    assert found["screen_test", "b"] == "greeting"
    assert {unit_id for experiment_id, unit_id in found if experiment_id == "screen_test"} == {"a", "b"}


def test_an_assignment_outside_the_dates_is_told(tmp_path: Path) -> None:
    bandit = EXPERIMENTS[3] | {"kpi": ["conversion"]}  # is seen from the date before its first one
    home = make_home(tmp_path, bandit)
    land_assignments(home, [Assignment("a", "tea", NOON, FIRST, experiment_id="bandit", venue_id="harbour")])
    told = _checks(home)["assignments_count"]
    assert not told.passed
    assert told.figures["outside_dates"] == 1
    assert rows(home, "experiment_units", FIRST) == []


@pytest.mark.parametrize(
    ("propensities", "passed", "sums"),
    [
        pytest.param({"plain": [0.5], "greeting": [0.5]}, True, None, id="they do"),
        pytest.param({"plain": [0.5]}, True, None, id="an arm was never given"),
        pytest.param({"plain": [0.3], "greeting": [0.3]}, False, 0.6, id="too little"),
        pytest.param({"plain": [0.7], "greeting": [0.7]}, False, 1.4, id="too much"),
        pytest.param({"plain": [0.6, 0.7]}, False, 1.3, id="two of one arm"),
        pytest.param({"plain": [0.4, 0.3], "greeting": [0.3]}, False, 1.0, id="two that still add up to 1"),
    ],
)
def test_propensities_that_do_not_add_up_are_told(
    tmp_path: Path, propensities: dict[str, list[float]], passed: bool, sums: float | None
) -> None:
    home = make_home(tmp_path, TEST)
    land_assignments(
        home,
        [
            Assignment(f"{arm}{p}", arm, NOON, FIRST, propensity=p, leaf_id=4)
            for arm, of in propensities.items()
            for p in of
        ],
    )
    told = _checks(home)["propensities_add_up"]
    assert told.passed is passed
    assert told.figures["that_do_not_add_up"] == (not passed)
    if sums is not None:
        assert told.figures["highest_sum"] == pytest.approx(sums)
        assert told.figures["first_experiment"] == "screen_test"


def test_visits_without_a_session_are_counted(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST)
    land_assignments(home, [Assignment(f"nobody{n}", "plain", NOON + timedelta(hours=14), FIRST) for n in range(3)])
    told = _checks(home)["units_are_met"]
    assert not told.passed
    assert told.figures["visits"] == told.figures["without_a_session"] == 3


def test_a_day_without_assignment_or_figure_is_told(tmp_path: Path) -> None:
    home = make_home(tmp_path, EXPERIMENTS[2] | {"kpi": ["gmv"]}, EXPERIMENTS[4] | {"kpi": ["gmv", "pv"]})
    told = _checks(home)["days_count"]
    assert not told.passed
    assert told.figures == {"figures": 3, "left_out": 2, "first_left_out": "music gmv"}


def test_a_unit_matures_once(tmp_path: Path) -> None:
    """A user's unit appears reward_days after its assignment, and on no other date."""
    home = make_home(tmp_path, EXPERIMENTS[1])
    land_assignments(home, [Assignment("a", "plain", NOON, FIRST, experiment_id="tea")])
    for n in range(4):
        land_nothing(home, FIRST + n * DAY)
    compute(home, *(FIRST + n * DAY for n in range(4)), tables=upstream("experiment_units"))
    assert [len(rows(home, "experiment_units", FIRST + n * DAY)) for n in range(4)] == [0, 0, 5, 0]


def test_every_experiment_table_is_in_the_catalogue_with_its_code() -> None:
    for name in ("experiment_units", "experiment_baselines", "sample_size_checks", "experiment_verdicts"):
        assert catalogue()[name].layer == "experiments"
        assert (catalogue()[name].sql is None) == (catalogue()[name].compute is not None)
