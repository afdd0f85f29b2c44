"""The groups of a bandit: from what was known in time, the same on whatever date they are asked for."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest

from edge_collector.experiment import LONGEST_HISTORY_DAYS
from tests.conftest import compute, rows
from tests.experiments.bandits import BANDIT, EVE, SEGMENTS, levelled, nothing, put_history, split_of, tree_of, unit
from tests.experiments.lab import DAY, FIRST, make_home, put
from venue_assets.home import Home
from venue_assets.lake.freshness import Freshness
from venue_assets.lake.landing_index import scan
from venue_assets.lake.store import Lake
from venue_assets.tables.catalogue import Window, catalogue
from venue_assets.tables.experiments.context_tree import fitted_on, picture

EARLIER: dict[str, Any] = BANDIT | {
    "id": "flyer",
    "kind": "randomised",
    "first_date": FIRST - 6 * DAY,
    "last_date": EVE,
}
"""A test of the same arms, whose units the bandit can learn from."""
HISTORY = [FIRST - n * DAY for n in (3, 2, 1)]


def bandit_home(root: Path, **changes: Any) -> Home:
    return make_home(root, BANDIT | changes)


def with_history(home: Home) -> Home:
    for day in HISTORY:
        put_history(home, day, levelled(day))
    return home


def test_groups_of_level_come_from_the_history_before_the_experiment(tmp_path: Path) -> None:
    row = tree_of(with_history(bandit_home(tmp_path)), EVE)
    assert (row["target"], row["fitted_on"], row["rows"], row["leaves"]) == ("reward", EVE, 600, 2)
    assert row["remark"] is None
    split = row["tree"]["nodes"][0]["split"]
    assert (split["column"], split["levels"], split["other_levels"]) == ("segment", [SEGMENTS[0]], [*SEGMENTS[1:]])
    assert row["tree"]["control"]["majority"] is True


def test_only_entries_at_the_venue_in_the_history_count(tmp_path: Path) -> None:
    home = with_history(bandit_home(tmp_path, history_days=2))
    assert tree_of(home, EVE)["rows"] == 400
    put_history(home, HISTORY[1], levelled(EVE), venue_id="riverside")
    assert tree_of(home, EVE)["rows"] == 200
    put_history(home, HISTORY[1], levelled(EVE), state="no_entry", enter_at=None, enter_local=None)
    assert tree_of(home, EVE)["rows"] == 200


def test_a_visitor_of_whom_nothing_is_known_goes_with_the_larger_group(tmp_path: Path) -> None:
    home = bandit_home(tmp_path)
    for day in HISTORY:
        put_history(home, day, [*levelled(day), *((f"new{n}", None, 12, False) for n in range(20))])
    row = tree_of(home, EVE)
    assert row["rows"] == 660
    root, first, second = row["tree"]["nodes"]
    assert root["split"]["levels"] == [SEGMENTS[0]]
    assert (first["n"], second["n"]) == (201, 399 + 60)


@pytest.mark.parametrize("kpi", ["conversion", "orders", "amount", "dwell_seconds"])
def test_the_response_is_the_deciding_kpi(tmp_path: Path, kpi: str) -> None:
    home = bandit_home(tmp_path, kpi=[kpi, "orders" if kpi != "orders" else "conversion"])
    if kpi != "conversion":
        home = bandit_home(tmp_path, kpi=[kpi], reward_bound=100)
    put_history(home, EVE, [("ann", None, 12, True), ("bob", None, 12, False)])
    lines = [("a", 1, "completed"), ("a", 2, "completed"), ("b", 4, "completed"), ("c", 8, "cancelled")]
    put(
        home,
        "order_lines",
        EVE,
        [{"session_id": f"{EVE}/0", "order_id": o, "amount": a, "status": s} for o, a, s in lines],
    )
    expected = {"conversion": 1 / 2, "orders": 2 / 2, "amount": 7 / 2, "dwell_seconds": (60 + 120) / 2}[kpi]
    assert tree_of(home, EVE)["tree"]["nodes"][0]["prediction"] == pytest.approx(expected)


def test_units_that_are_users_learn_from_users_and_dates_whose_reward_was_complete(tmp_path: Path) -> None:
    home = bandit_home(tmp_path, unit="user", reward_days=1, kpi="orders", reward_bound=10)
    nothing(home, *HISTORY)
    for n, day in enumerate(HISTORY):
        users = [("ann", 1, n + 1), ("bob", 0, 5)]  # bob only ordered: he was not there to be given an arm
        put(home, "user_days", day, [
            {"venue_id": "harbour", "user_id": user, "entries": entries, "orders": orders, "amount": 0,
             "dwell_seconds": 0.0, "first_hour": 12} for user, entries, orders in users
        ])  # fmt: skip
    row = tree_of(home, EVE)
    assert row["rows"] == 2  # the last date's reward reaches into the experiment
    assert row["tree"]["nodes"][0]["prediction"] == ((1 + 2) + (2 + 3)) / 2


def test_without_refit_later_dates_have_the_same_tree(tmp_path: Path) -> None:
    home = with_history(bandit_home(tmp_path))
    first = tree_of(home, EVE)
    put(home, "bandit_units", FIRST, [unit(n, "none", n % 2, FIRST) for n in range(500)])
    put_history(home, FIRST, levelled(FIRST))
    later = tree_of(home, FIRST + 5 * DAY)
    assert later == first


@pytest.mark.parametrize(
    ("day", "refit_days", "expected"),
    [(0, 7, 0), (6, 7, 0), (7, 7, 7), (13, 7, 7), (14, 7, 14), (3, 1, 3), (100, None, 0)],
)
def test_a_tree_is_refitted_every_so_many_days(day: int, refit_days: int | None, expected: int) -> None:
    assert fitted_on(FIRST, refit_days, EVE + timedelta(days=day)) == EVE + timedelta(days=expected)


def test_a_refit_sees_the_controls_units_up_to_its_date_and_no_later_ones(tmp_path: Path) -> None:
    home = with_history(bandit_home(tmp_path, refit_days=2))
    for n, day in enumerate((FIRST, FIRST + DAY, FIRST + 2 * DAY)):
        nothing(home, day)
        arms = BANDIT["arms"]
        put(home, "bandit_units", day, [unit(1000 * n + i, arms[i % 3], i % 2, day) for i in range(300)])
    assert tree_of(home, FIRST)["rows"] == 600
    refitted = tree_of(home, FIRST + DAY)
    assert (refitted["fitted_on"], refitted["rows"]) == (FIRST + DAY, 600 + 2 * 100)
    assert tree_of(home, FIRST + 2 * DAY) == refitted


def test_groups_of_effect_wait_for_units_and_then_say_whose_effect(tmp_path: Path) -> None:
    home = with_history(bandit_home(tmp_path, target="effect", refit_days=1))
    waiting = tree_of(home, EVE)
    assert (waiting["leaves"], waiting["rows"], waiting["target"]) == (1, 0, "effect")
    assert waiting["remark"] == ("no units of two arms yet whose effects could be compared: everybody is one group")
    # Tea works on the last segment only; everybody's level is the same.
    made = [
        unit(n, arm, n % 10 < (7 if arm == "tea" and n % 3 == 2 else 3), FIRST)
        for n in range(3000)
        for arm in [BANDIT["arms"][n // 3 % 3]]
    ]
    put(home, "bandit_units", FIRST, made)
    row = tree_of(home, FIRST)
    assert (row["target"], row["rows"], split_of(row)) == ("effect of tea against none", 3000, "segment")
    assert {node["response"] for node in row["tree"]["nodes"]} == {"tea against none"}
    leaves = [node["prediction"] for node in row["tree"]["nodes"] if not node["split"]]
    assert sorted(leaves) == pytest.approx([0, 0.4], abs=0.1)


def test_groups_of_effect_without_refit_stay_one_group_and_say_so(tmp_path: Path) -> None:
    row = tree_of(bandit_home(tmp_path / "a", target="effect"), EVE)
    assert str(row["remark"]).endswith("; without refit_days or learn_from it stays so")
    row = tree_of(learner(tmp_path / "b"), EVE)
    assert str(row["remark"]).endswith("; without refit_days it stays so")


def learner(root: Path, earlier: dict[str, Any] | None = None, **changes: Any) -> Home:
    """A home of the earlier test and a bandit that learns from it."""
    return make_home(root, EARLIER | (earlier or {}), BANDIT | {"target": "effect", "learn_from": "flyer"} | changes)


def flyers(day: date, n: int = 1500, **others: Any) -> list[dict[str, Any]]:
    """Units of the earlier test: tea works on people of the last segment, half a price on the others before noon."""
    rng = Random(day.toordinal())
    made = []
    for i in range(n):
        arm, early = BANDIT["arms"][rng.randrange(3)], i % 2 == 0
        works = (arm == "tea" and i % 3 == 2) or (arm == "half" and i % 3 < 2 and early)
        made.append(
            {
                "experiment_id": "flyer", "unit_id": f"u{i}/{day}", "user_id": f"u{i}", "session_id": f"{day}/{i}",
                "kpi": "conversion", "position": 0, "arm": arm, "propensity": 1 / 3, "assigned_on": day,
                "matched": True, "reward": float(rng.random() < (0.8 if works else 0.3)),
            } | others
        )  # fmt: skip
    return made


def put_test(home: Home, day: date, units: list[dict[str, Any]]) -> None:
    """What a test left of one date: its units, their sessions, and what was known of the people."""
    people = [(f"u{i}", SEGMENTS[i % 3], 10 if i % 2 == 0 else 17, False) for i in range(len(units))]
    put_history(home, day, people)
    put(home, "experiment_units", day, units)
    nothing(home, day)


def test_groups_of_effect_come_from_an_earlier_test_before_the_bandit_has_units(tmp_path: Path) -> None:
    home = learner(tmp_path)
    for day in HISTORY:
        put_test(home, day, flyers(day))
    row = tree_of(home, EVE)
    assert (row["fitted_on"], row["rows"], row["leaves"], row["remark"]) == (EVE, 3 * 1500, 3, None)
    assert row["target"] == "effect of tea against none, half against none"
    of = {node["split"]["column"]: node["response"] for node in row["tree"]["nodes"] if node["split"]}
    assert of == {"segment": "tea against none", "hour": "half against none"}
    leaves = {node["response"]: node["prediction"] for node in row["tree"]["nodes"] if not node["split"]}
    assert leaves["tea against none"] == pytest.approx(0.5, abs=0.1)


def test_the_groups_are_the_same_on_whatever_date_and_in_whatever_order_they_are_asked_for(tmp_path: Path) -> None:
    home = learner(tmp_path)
    for day in HISTORY:
        put_test(home, day, flyers(day))
    later = tree_of(home, FIRST + 5 * DAY)
    put_test(home, FIRST + DAY, flyers(FIRST + DAY))
    assert tree_of(home, FIRST + DAY) == tree_of(home, EVE) == later


def test_only_matured_units_of_that_test_and_kpi_in_the_history_count(tmp_path: Path) -> None:
    home = learner(tmp_path, {"kpi": ["orders", "conversion"]}, history_days=2)
    day, before = EVE, FIRST - 3 * DAY
    good = flyers(day, 200, position=1)
    put_test(home, day, [
        *good, *flyers(day, 200, experiment_id="another"), *flyers(day, 200, kpi="orders"),
        *flyers(day, 200, assigned_on=before, unit_id="before"),
    ])  # fmt: skip
    put_test(home, before, flyers(before, 200))
    put_test(home, FIRST, flyers(FIRST, 200))
    assert tree_of(home, FIRST)["rows"] == 200


def test_own_units_join_those_of_the_earlier_test_after_a_refit(tmp_path: Path) -> None:
    home = learner(tmp_path, refit_days=1)
    put_test(home, EVE, flyers(EVE, 300))
    nothing(home, FIRST)
    put(home, "bandit_units", FIRST, [unit(n, BANDIT["arms"][n % 3], n % 2, FIRST) for n in range(90)])
    assert tree_of(home, EVE)["rows"] == 300
    assert tree_of(home, FIRST)["rows"] == 390


def test_users_of_an_earlier_test_have_the_hour_of_their_first_entry(tmp_path: Path) -> None:
    users = {"unit": "user", "covariates": ["hour"]}
    home = learner(tmp_path, users, **users)
    made = [row | {"session_id": None} for row in flyers(EVE, 3000)]
    for row, n in zip(made, range(3000), strict=True):
        row["reward"] = float(n % 10 < (8 if row["arm"] == "tea" and n % 2 else 3))
    put_test(home, EVE, made)
    put(home, "user_days", EVE, [
        {"venue_id": "harbour", "user_id": f"u{n}", "entries": 1, "first_hour": 17 if n % 2 else 10}
        for n in range(3000)
    ])  # fmt: skip
    row = tree_of(home, EVE)
    assert row["target"] == "effect of tea against none"
    assert (row["tree"]["nodes"][0]["split"]["column"], row["tree"]["nodes"][0]["split"]["cut"]) == ("hour", 10)


def test_without_history_covariates_or_differences_there_is_one_group_with_the_reason(tmp_path: Path) -> None:
    assert tree_of(bandit_home(tmp_path / "a"), EVE)["remark"] == (
        "0 rows, fewer than the 100 that groups need: everybody is one group"
    )
    none = tree_of(with_history(bandit_home(tmp_path / "b", covariates=[])), EVE)
    assert (none["leaves"], none["rows"]) == (1, 600)
    assert none["remark"] == "no covariates are given: everybody is one group"
    alike = tree_of(with_history(bandit_home(tmp_path / "c", covariates=["weekday"])), EVE)
    assert alike["remark"] == "no covariate tells groups apart at alpha 0.05: everybody is one group"


def test_a_covariate_that_nobody_has_does_no_harm(tmp_path: Path) -> None:
    row = tree_of(with_history(bandit_home(tmp_path, covariates=["segment", "category", "value"])), EVE)
    assert split_of(row) == "segment"


def test_the_longest_history_that_a_site_may_ask_for_is_read(tmp_path: Path) -> None:
    """What lies before the windows would be left out without a word."""
    inputs = catalogue()["context_tree"].inputs
    before = {name: window.before for name, window in inputs.items() if window.since and name != "bandit_units"}
    assert before == dict.fromkeys(
        ["experiment_units", "visitor_contexts", "sessions", "order_lines", "user_days"], LONGEST_HISTORY_DAYS
    )
    home = bandit_home(tmp_path, history_days=LONGEST_HISTORY_DAYS)
    for days in (LONGEST_HISTORY_DAYS, LONGEST_HISTORY_DAYS + 1):
        put_history(home, FIRST - days * DAY, levelled(FIRST))
    assert tree_of(home, EVE)["rows"] == 200


def test_no_bandit_no_rows(tmp_path: Path) -> None:
    home = bandit_home(tmp_path)
    nothing(home, EVE - DAY)
    compute(home, EVE - DAY, tables=["context_tree"])
    assert rows(home, "context_tree", EVE - DAY) == []


def test_a_rerun_gives_the_same_bytes(tmp_path: Path) -> None:
    home = with_history(bandit_home(tmp_path))
    tree_of(home, EVE)
    path = Lake(home.lake).path("context_tree", EVE)
    before = path.read_bytes()
    tree_of(home, EVE)
    assert path.read_bytes() == before


def test_a_bandits_window_begins_on_the_date_before_it(tmp_path: Path) -> None:
    home = bandit_home(tmp_path)
    freshness = Freshness(home, catalogue(), scan(home.landing))

    def first(day: date, **window: Any) -> date:
        return freshness.dates("sessions", day, Window(since="experiment", **window))[0]

    assert first(EVE, before=90) == EVE - 90 * DAY
    assert first(FIRST + DAY) == EVE
    assert first(EVE - DAY) == EVE - DAY


def test_the_picture_shows_nodes_and_leaves_and_no_markup_of_others(tmp_path: Path) -> None:
    home = with_history(bandit_home(tmp_path, covariates=["segment"]))
    tree_of(home, EVE)
    table = pq.ParquetFile(Lake(home.lake).path("context_tree", EVE)).read()
    evil = table.set_column(0, "experiment_id", [["<script>alert(1)</script>\x00&"]])
    root = ElementTree.fromstring(picture(evil))
    texts = [element.text or "" for element in root.iter() if element.tag.endswith("text")]
    assert not [element for element in root.iter() if "script" in element.tag]
    assert any("<script>" in text for text in texts)
    # Covariates and segments by their names.
    assert {"Segment", "p < 0.001", "leaf 2", "leaf 3", "n = 201", "General keep"} <= set(texts), texts
    assert ElementTree.fromstring(picture(table.slice(0, 0))) is not None


def test_the_picture_says_whose_effect_each_node_is_about(tmp_path: Path) -> None:
    home = learner(tmp_path)
    put_test(home, EVE, flyers(EVE, 4000))
    about = [node["response"] for node in tree_of(home, EVE)["tree"]["nodes"]]
    root = ElementTree.fromstring(picture(pq.ParquetFile(Lake(home.lake).path("context_tree", EVE)).read()))
    texts = [element.text or "" for element in root.iter() if element.tag.endswith("text")]
    assert set(about) == {"tea against none", "half against none"}
    assert sorted(text for text in texts if text in about) == sorted(about)
