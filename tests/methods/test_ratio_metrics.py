"""Ratios of sums by the delta method: reference values, and what is done about divisors of 0."""

from __future__ import annotations

import numpy as np
import pytest

from venue_assets.methods.effect import Effect, NotComputable
from venue_assets.methods.ratio_metrics import RatioSample, difference_of_ratios
from venue_assets.methods.two_sample import Sample, difference_of_means

CONTROL = RatioSample.of([3, 5, 4, 6, 2, 4, 7, 5], [1, 2, 1, 2, 1, 1, 3, 2])
ARM = RatioSample.of([6, 8, 5, 9, 4, 7, 8], [2, 3, 1, 3, 2, 2, 3])


def test_the_delta_method_agrees_with_tea_tasting() -> None:
    """tea-tasting 1.14.0, `RatioOfMeans("y", "d", use_t=False)`."""
    found = difference_of_ratios(CONTROL, ARM)
    assert isinstance(found, Effect)
    assert (found.control, found.arm) == pytest.approx((2.769230769230769, 2.9375))
    assert found.interval == pytest.approx((-0.41709941662996286, 0.7536378781684245))
    assert found.p_value == pytest.approx(0.5731567965014206)


def test_a_divisor_of_1_makes_it_a_difference_of_means() -> None:
    y = ([3.0, 5, 4, 6], [6.0, 8, 5, 9])
    ratio = difference_of_ratios(*(RatioSample.of(values, np.ones(4)) for values in y))
    mean = difference_of_means(*(Sample.of(values) for values in y))
    assert isinstance(ratio, Effect)
    assert isinstance(mean, Effect)
    assert ratio.effect == mean.effect
    assert ratio.standard_error == pytest.approx(mean.standard_error)


def test_the_interval_covers_the_true_difference() -> None:
    """2,000 experiments without effect, 400 users an arm with 1 to 5 sessions each, whose amounts hang together."""
    rng = np.random.default_rng(4)
    false = 0
    for _ in range(2000):
        samples = []
        for _ in range(2):
            sessions = rng.integers(1, 6, 400)
            samples.append(RatioSample.of(rng.gamma(2, 1, 400) * rng.poisson(3, 400) * sessions, sessions))
        found = difference_of_ratios(*samples)
        assert isinstance(found, Effect)
        false += found.significant
    assert 0.04 <= false / 2000 <= 0.06


@pytest.mark.parametrize(
    ("control", "arm", "cause"),
    [
        (RatioSample.of([], []), ARM, "empty_control"),
        (CONTROL, RatioSample.of([1], [1]), "too_few_units"),
        (CONTROL, RatioSample.of([0, 0], [0, 0]), "zero_denominator"),
        (RatioSample.of([2, 4], [1, 2]), RatioSample.of([3, 6], [1, 2]), "no_variance"),
    ],
)
def test_what_cannot_be_computed(control: RatioSample, arm: RatioSample, cause: str) -> None:
    found = difference_of_ratios(control, arm)
    assert isinstance(found, NotComputable)
    assert found.cause == cause


def test_one_of_each_per_unit() -> None:
    with pytest.raises(ValueError, match="2 numerators and 3 denominators"):
        RatioSample.of([1, 2], [1, 2, 3])
