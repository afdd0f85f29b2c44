"""The groups of a bandit: from what was known in time, the same on whatever date they are asked for."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest

from tests.conftest import compute, rows
from tests.experiments.bandits import BANDIT, EVE, SEGMENTS, levelled, nothing, put_history, split_of, tree_of, unit
from tests.experiments.lab import DAY, FIRST, make_home, put
from venue_assets.home import Home
from venue_assets.lake.freshness import Freshness
from venue_assets.lake.landing_index import scan
from venue_assets.lake.store import Lake
from venue_assets.tables.catalogue import Window, catalogue
from venue_assets.tables.experiments.context_tree import HISTORY_DAYS, fitted_on, picture

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
    leaves = [node["prediction"] for node in row["tree"]["nodes"] if not node["split"]]
    assert sorted(leaves) == pytest.approx([0, 0.4], abs=0.1)


def test_groups_of_effect_without_refit_stay_one_group_and_say_so(tmp_path: Path) -> None:
    row = tree_of(bandit_home(tmp_path, target="effect"), EVE)
    assert str(row["remark"]).endswith("; without refit_days it stays so")


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


def test_a_longer_history_than_is_read_is_told(tmp_path: Path) -> None:
    assert catalogue()["context_tree"].inputs["sessions"].before == HISTORY_DAYS
    remark = tree_of(bandit_home(tmp_path, history_days=200), EVE)["remark"]
    assert str(remark).startswith("200 days of history are asked for, the last 90 are read; ")


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
    evil = table.set_column(1, "target", [["<script>alert(1)</script>\x00&"]])
    root = ElementTree.fromstring(picture(evil))
    texts = [element.text or "" for element in root.iter() if element.tag.endswith("text")]
    assert not [element for element in root.iter() if "script" in element.tag]
    assert any("<script>" in text for text in texts)
    assert {"segment", "p < 0.001", "leaf 2", "leaf 3", "n = 201", "general_keep"} <= set(texts), texts
    assert ElementTree.fromstring(picture(table.slice(0, 0))) is not None
