"""Before against after, weekday by weekday."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from venue_assets.methods.effect import Effect, NotComputable
from venue_assets.methods.matched_weekdays import matched_weekdays


def test_one_week_each_is_the_paired_t_test() -> None:
    before, after = [10, 12, 11, 15, 20, 30, 28], [12, 13, 15, 15, 24, 33, 29]
    week = list(range(7))
    found = matched_weekdays(before, after, before_weekdays=week, after_weekdays=week)
    expected = ttest_rel(after, before)
    assert isinstance(found, Effect)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))


def test_any_calendar_is_least_squares_with_weekday_levels() -> None:
    rng = np.random.default_rng(7)
    before_days, after_days = rng.integers(0, 7, 40), rng.integers(0, 7, 25)
    before, after = rng.normal(before_days, 1), rng.normal(after_days + 0.5, 1)
    days = np.concatenate([before_days, after_days])
    x = np.column_stack([days[:, None] == np.arange(7), np.repeat([0.0, 1.0], [40, 25])]).astype(float)
    y = np.concatenate([before, after])
    coefficients, residual, *_ = np.linalg.lstsq(x, y)
    error = np.sqrt(residual[0] / (65 - 8) * np.linalg.inv(x.T @ x)[7, 7])
    found = matched_weekdays(before, after, before_weekdays=before_days, after_weekdays=after_days)
    assert isinstance(found, Effect)
    assert found.effect == pytest.approx(coefficients[7])
    assert found.standard_error == pytest.approx(error)
    assert found.df == 57


def test_more_weekends_after_are_no_effect() -> None:
    """Weekends bring 20, other days 10, give or take 1: the plain means differ, the matched ones do not."""
    before, after = [9, 10, 11, 19, 21], [9, 11, 19, 20, 20, 21]
    found = matched_weekdays(before, after, before_weekdays=list("wwwee"), after_weekdays=list("wweeee"))
    assert isinstance(found, Effect)
    assert np.mean(after) - np.mean(before) > 2
    assert found.effect == pytest.approx(0)


def test_weekdays_of_one_period_only_take_no_part() -> None:
    found = matched_weekdays([1, 2, 9], [2, 4, 50], before_weekdays=[0, 1, 2], after_weekdays=[0, 1, 3])
    alone = matched_weekdays([1, 2], [2, 4], before_weekdays=[0, 1], after_weekdays=[0, 1])
    assert found == alone


@pytest.mark.parametrize(
    ("before", "after", "cause"),
    [
        ({}, {0: 1.0}, "empty_control"),
        ({0: 1.0}, {}, "empty_arm"),
        ({0: 1.0, 1: 2.0}, {2: 1.0, 3: 2.0}, "no_common_weekday"),
        ({0: 1.0}, {0: 2.0}, "too_few_units"),
        ({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}, "no_variance"),
    ],
)
def test_what_cannot_be_computed(before: dict[int, float], after: dict[int, float], cause: str) -> None:
    found = matched_weekdays(
        list(before.values()), list(after.values()), before_weekdays=list(before), after_weekdays=list(after)
    )
    assert isinstance(found, NotComputable)
    assert found.cause == cause


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="before: 2 values and 1 weekdays"):
        matched_weekdays([1, 2], [1], before_weekdays=[1], after_weekdays=[1])
    with pytest.raises(ValueError, match="after: a day has no value"):
        matched_weekdays([1], [float("nan")], before_weekdays=[1], after_weekdays=[1])
