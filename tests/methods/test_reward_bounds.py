"""Rewards on [0, 1]: what is refused, counted and said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venue_assets.methods.ucb import RewardBounds

bounded = st.lists(st.floats(-20, 500), min_size=1, max_size=30)


def test_bounds_become_0_and_1() -> None:
    found = RewardBounds(-20, 180).scale([-20, 30, 180])
    assert found.values.tolist() == [0, 0.25, 1]
    assert (found.refusals, found.remark) == (0, "")


def test_what_is_out_of_bounds_is_refused_counted_and_said() -> None:
    found = RewardBounds(0, 500).scale([[12.5, 500.01], [-3, float("nan")]])
    assert found.refused.tolist() == [[False, True], [True, True]]
    assert found.refusals == 3
    assert found.values[0, 0] == 0.025
    assert np.isnan(found.values[found.refused]).all()
    assert found.remark == (
        "3 of 4 rewards are refused (1 without a value): not within 0 … 500, from -3 to 500.01. "
        "Correct these records, or end the experiment and start one with wider bounds."
    )


def test_infinity_is_out_of_any_bounds_and_nothing_is_nothing() -> None:
    assert RewardBounds().scale([float("inf"), float("-inf")]).refusals == 2
    assert RewardBounds().scale([]).refusals == 0


@settings(deadline=None)
@given(bounded)
def test_sums_are_scaled_as_rewards_are(rewards: list[float]) -> None:
    bounds = RewardBounds(-20, 500)
    values = bounds.scale(rewards).values
    y = np.array(rewards)
    total, squares = bounds.scale_sums(len(y), y.sum(), (y**2).sum())
    assert total == pytest.approx(values.sum(), abs=1e-9)
    assert squares == pytest.approx((values**2).sum(), abs=1e-9)


@pytest.mark.parametrize("wrong", [(1, 1), (2, 1), (0, float("inf")), (float("nan"), 1)])
def test_bounds_that_are_none(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="State the smallest and the largest reward"):
        RewardBounds(*wrong)
