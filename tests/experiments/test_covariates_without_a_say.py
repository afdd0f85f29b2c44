"""Covariates and histories that cannot tell groups apart: everybody is one group, with the reason, and shares go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import compute, rows
from tests.experiments.bandits import BANDIT, EVE, levelled, nothing, put_history, split_of, tree_of
from tests.experiments.lab import make_home
from venue_assets.home import Home

ALIKE = "no covariate tells groups apart at alpha 0.05: everybody is one group"


def bandit(root: Path, n: int = 200, **changes: Any) -> Home:
    """With so many visits on the date before the first one; whoever is of value buys more."""
    home = make_home(root, BANDIT | changes)
    put_history(home, EVE, levelled(EVE, n))
    return home


def shares(home: Home) -> list[float]:
    nothing(home, EVE)
    compute(home, EVE, tables=["context_tree", "bandit_statistics", "bandit_allocations"])
    return [float(str(row["share"])) for row in rows(home, "bandit_allocations", EVE)]


@pytest.mark.parametrize(
    ("covariate", "why"),
    [
        pytest.param("venue_id", "all visits are at one venue", id="constant"),
        pytest.param("weekday", "all visits are of one date", id="constant number"),
        pytest.param("category", "nobody has a category", id="all missing"),
        pytest.param("mean_dwell_seconds", "nobody has been there before", id="all missing number"),
    ],
)
def test_a_covariate_that_is_constant_or_missing_makes_one_group_and_says_so(
    tmp_path: Path, covariate: str, why: str
) -> None:
    home = bandit(tmp_path, covariates=[covariate])
    row = tree_of(home, EVE)
    assert (row["leaves"], row["rows"], row["remark"]) == (1, 200, ALIKE), why
    assert shares(home) == pytest.approx([0.9, 0.05, 0.05])


@pytest.mark.parametrize("covariate", ["venue_id", "weekday", "category", "mean_dwell_seconds"])
def test_beside_another_covariate_it_changes_nothing(tmp_path: Path, covariate: str) -> None:
    alone = tree_of(bandit(tmp_path / "alone", covariates=["segment"]), EVE)
    beside = tree_of(bandit(tmp_path / "beside", covariates=[covariate, "segment"]), EVE)
    assert split_of(beside) == split_of(alone) == "segment"
    assert beside["leaves"] == alone["leaves"]
    # Not a test that was made, so it takes no part in the adjustment for their number.
    p_values = [row["tree"]["nodes"][0]["tests"]["segment"]["p_value"] for row in (alone, beside)]
    assert p_values[0] == p_values[1]


@pytest.mark.parametrize(("n", "leaves"), [(99, 1), (100, 2)])
def test_a_history_of_fewer_rows_than_minsplit_makes_one_group_and_says_so(tmp_path: Path, n: int, leaves: int) -> None:
    """100 rows are enough to be split in two halves of 50."""
    home = make_home(tmp_path, BANDIT | {"covariates": ["segment"]})
    halves = [(f"u{i}", ("important_value", "general_keep")[i % 2], 12, i % 2 == 0) for i in range(n)]
    put_history(home, EVE, halves)
    row = tree_of(home, EVE)
    assert row["leaves"] == leaves
    assert row["remark"] == (
        None if leaves > 1 else "99 rows, fewer than the 100 that groups need: everybody is one group"
    )


def test_the_check_tells_of_a_bandit_with_one_group(tmp_path: Path) -> None:
    home = bandit(tmp_path, covariates=["venue_id"])
    nothing(home, EVE)
    (computed,) = compute(home, EVE, tables=["context_tree"])
    told = {check.name: check for check in computed.checks}["groups_were_found"]
    assert not told.passed
    assert told.figures == {"bandits": 1, "with_one_group": 1, "first_one": f"voucher: {ALIKE}"}
