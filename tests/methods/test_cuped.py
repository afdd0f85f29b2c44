"""CUPED: the same effect with less noise."""

from __future__ import annotations

import numpy as np
import pytest

from venue_assets.methods.cuped import cuped
from venue_assets.methods.effect import Effect, NotComputable
from venue_assets.methods.two_sample import Sample, difference_of_means


def test_by_hand() -> None:
    """θ = (2 + 1)/(2 + 2) and x̄ = 3: control [1, 2, 3] - θ[-2, -1, 0], arm [4, 6, 5] - θ[0, 1, 2]."""
    found = cuped([1, 2, 3], [4, 6, 5], control_before=[1, 2, 3], arm_before=[3, 4, 5])
    plain = difference_of_means(Sample.of([2.5, 2.75, 3.0]), Sample.of([4.0, 5.25, 3.5]))
    assert isinstance(found, Effect)
    assert isinstance(plain, Effect)
    assert found.effect == pytest.approx(plain.effect)
    assert found.p_value == pytest.approx(plain.p_value)


def test_the_effect_is_that_of_least_squares_on_arm_and_covariate() -> None:
    rng = np.random.default_rng(9)
    y, x, arm = rng.normal(size=30), rng.normal(size=30), np.arange(30) >= 18
    coefficients, *_ = np.linalg.lstsq(np.column_stack([np.ones(30), arm, x]), y)
    found = cuped(y[~arm], y[arm], control_before=x[~arm], arm_before=x[arm])
    assert isinstance(found, Effect)
    assert found.effect == pytest.approx(coefficients[1])


def test_noise_known_from_before_is_taken_out_and_the_error_stays_what_it_says() -> None:
    """2,000 experiments, correlation 0.8: the variance falls to 1 - 0.8² of the plain one (Deng et al. 2013)."""
    rng = np.random.default_rng(5)
    plain_errors, errors, covered = [], [], 0
    for _ in range(2000):
        x = rng.normal(size=(2, 200))
        y = 0.8 * x + 0.6 * rng.normal(size=(2, 200)) + [[0.0], [0.3]]
        found = cuped(y[0], y[1], control_before=x[0], arm_before=x[1])
        plain = difference_of_means(Sample.of(y[0]), Sample.of(y[1]))
        assert isinstance(found, Effect)
        assert isinstance(plain, Effect)
        covered += found.interval[0] <= 0.3 <= found.interval[1]
        errors.append(found.effect - 0.3)
        plain_errors.append(plain.effect - 0.3)
    assert np.var(errors) / np.var(plain_errors) == pytest.approx(0.36, abs=0.03)
    assert 0.94 <= covered / 2000 <= 0.96


def test_a_constant_covariate_changes_nothing() -> None:
    y = ([1.0, 2, 4], [3.0, 5, 9])
    assert cuped(*y, control_before=[7.0] * 3, arm_before=[7.0] * 3) == difference_of_means(*map(Sample.of, y))


def test_what_cannot_be_computed() -> None:
    assert isinstance(cuped([], [], control_before=[], arm_before=[]), NotComputable)
    explained = cuped([1, 2, 3], [5, 6, 7], control_before=[1, 2, 3], arm_before=[1, 2, 3])
    assert isinstance(explained, NotComputable)
    assert explained.cause == "no_variance"


def test_one_covariate_per_unit() -> None:
    with pytest.raises(ValueError, match="arm: 2 rewards and 1 covariates"):
        cuped([1, 2], [1, 2], control_before=[1, 2], arm_before=[1])
