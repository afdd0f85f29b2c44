"""Means and proportions under fixed shares: reference values, and what is done about too little data."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from venue_assets.methods.effect import Effect, NotComputable
from venue_assets.methods.two_sample import Sample, difference_of_means, difference_of_proportions

CONTROL = [3.0, 5, 4, 6, 2, 4, 7, 5]
ARM = [6.0, 8, 5, 9, 4, 7, 8]
whole = arrays(np.float64, st.integers(2, 30), elements=st.integers(-1000, 1000).map(float))


def test_welch_agrees_with_tea_tasting_and_scipy() -> None:
    """tea-tasting 1.14.0, `Mean("y")`, and scipy 1.17.1, `ttest_ind(equal_var=False)`: the same to all digits."""
    found = difference_of_means(Sample.of(CONTROL), Sample.of(ARM))
    assert isinstance(found, Effect)
    assert (found.control, found.arm) == (4.5, pytest.approx(6.714285714285714))
    assert found.effect == pytest.approx(2.2142857142857144)
    assert found.interval == pytest.approx((0.2884001609117528, 4.140171267659676))
    assert found.p_value == pytest.approx(0.027606056786959696)
    assert found.df == pytest.approx(12.190264048488556)
    assert found.significant


@pytest.mark.filterwarnings("ignore:Precision loss occurred")  # scipy's remark on an arm without variance
@settings(deadline=None)
@given(whole, whole)
def test_welch_agrees_with_scipy(control: np.ndarray, arm: np.ndarray) -> None:
    found = difference_of_means(Sample.of(control), Sample.of(arm), alpha=0.1)
    if control.var() == arm.var() == 0:
        assert isinstance(found, NotComputable)
        return
    expected = stats.ttest_ind(arm, control, equal_var=False)
    interval = expected.confidence_interval(0.9)
    assert isinstance(found, Effect)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx((interval.low, interval.high), abs=1e-9)


@settings(deadline=None)
@given(whole)
def test_sums_and_rewards_say_the_same(rewards: np.ndarray) -> None:
    of_sums = Sample.of_sums(len(rewards), float(rewards.sum()), float((rewards**2).sum()))
    of_rewards = Sample.of(rewards)
    assert of_sums.mean == pytest.approx(of_rewards.mean)
    assert of_sums.variance == pytest.approx(of_rewards.variance, abs=1e-6)


@settings(deadline=None)
@given(whole, whole)
def test_p_and_interval_agree(control: np.ndarray, arm: np.ndarray) -> None:
    """Significant exactly when the interval leaves out 0, and exchanging the arms changes the sign only."""
    one, other = Sample.of(control), Sample.of(arm)
    found, turned = difference_of_means(one, other), difference_of_means(other, one)
    if isinstance(found, Effect) and isinstance(turned, Effect) and abs(found.p_value - 0.05) > 1e-9:
        low, high = found.interval
        assert found.significant == (not low <= 0 <= high)
        assert turned.interval == pytest.approx((-high, -low))


def test_unpooled_z_by_hand() -> None:
    """(60/400 - 40/400) / √(0.1·0.9/400 + 0.15·0.85/400) = 2.144…"""
    found = difference_of_proportions(40, 400, 60, 400)
    assert isinstance(found, Effect)
    assert found.statistic == pytest.approx(0.05 / sqrt((0.1 * 0.9 + 0.15 * 0.85) / 400))
    assert found.p_value == pytest.approx(2 * stats.norm.sf(found.statistic))
    assert found.interval == pytest.approx(stats.norm.interval(0.95, 0.05, found.standard_error))


@pytest.mark.parametrize(
    ("control", "arm", "cause"),
    [
        ([], ARM, "empty_control"),
        (CONTROL, [], "empty_arm"),
        ([1.0], ARM, "too_few_units"),
        (CONTROL, [1.0], "too_few_units"),
        ([2.0, 2.0], [3.0, 3.0], "no_variance"),
        ([0.1] * 7, [0.1] * 3, "no_variance"),
    ],
)
def test_what_cannot_be_computed(control: list[float], arm: list[float], cause: str) -> None:
    found = difference_of_means(Sample.of(control), Sample.of(arm))
    assert isinstance(found, NotComputable)
    assert found.cause == cause
    assert found.reason.endswith(".")


def test_equal_rewards_leave_no_variance_in_sums_either() -> None:
    reward = 0.1
    assert Sample.of_sums(7, 7 * reward, 7 * reward**2).variance == 0


def test_one_side_without_variance_is_enough_variance() -> None:
    assert isinstance(difference_of_means(Sample.of([2.0, 2.0]), Sample.of([3.0, 4.0])), Effect)
    assert isinstance(difference_of_proportions(0, 50, 5, 50), Effect)


def test_proportions_that_cannot_be_computed() -> None:
    causes = [
        found.cause
        for found in (
            difference_of_proportions(0, 0, 1, 10),
            difference_of_proportions(1, 10, 0, 0),
            difference_of_proportions(0, 10, 0, 10),
            difference_of_proportions(0, 10, 10, 10),
        )
        if isinstance(found, NotComputable)
    ]
    assert causes == ["empty_control", "empty_arm", "no_variance", "no_variance"]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="control: 3 successes among 2 units"):
        difference_of_proportions(3, 2, 0, 1)
    with pytest.raises(ValueError, match="missing or infinite"):
        Sample.of([1.0, float("nan")])
    with pytest.raises(ValueError, match="missing or infinite"):
        Sample.of([1.0, float("inf")])
    with pytest.raises(ValueError, match="expected n and variance from 0 on"):
        Sample(3, 0.0, -1.0)
    with pytest.raises(ValueError, match=r"alpha is 95, expected a fraction"):
        difference_of_proportions(1, 10, 2, 10, alpha=95)
