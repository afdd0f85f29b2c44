"""The minimum sample size: reference values, what it is the inverse of, and what it refuses."""

from __future__ import annotations

import json
from math import ceil, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from tests.conftest import SHARED
from venue_assets.methods.sample_size import (
    comparison_alpha,
    continuous_variance,
    detectable_effect,
    exact_sample_size,
    gate_variance,
    kish_effective_n,
    minimum_sample_size,
    planned_continuous_variance,
    planned_ratio_variance,
    power,
    power_curve,
    ratio_variance,
)

variances = st.floats(1e-6, 1e8)
levels = st.floats(1e-6, 0.5)
powers = st.floats(0.5, 0.999)


@pytest.fixture(scope="module")
def reference() -> dict[str, list[dict[str, float]]]:
    path = SHARED / "sample_size.json"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    found: dict[str, list[dict[str, float]]] = json.loads(path.read_text())
    return found


def test_proportions_agree_with_the_reference(reference: dict[str, list[dict[str, float]]]) -> None:
    assert reference["proportions"]
    for case in reference["proportions"]:
        given_ = {
            "delta": case["pb"] - case["pa"],
            "variance": ratio_variance(case["pa"], case["pb"]),
            "alpha": case["alpha"],
            "power": case["power"],
        }
        assert exact_sample_size(**given_) == pytest.approx(case["patent"], rel=1e-12, abs=1e-9)
        assert minimum_sample_size(**given_) == ceil(case["patent"])


def test_means_agree_with_the_reference(reference: dict[str, list[dict[str, float]]]) -> None:
    assert reference["continuous"]
    for case in reference["continuous"]:
        given_ = {
            "delta": case["delta"],
            "variance": continuous_variance(case["sd_a"] ** 2, case["sd_b"] ** 2),
            "alpha": case["alpha"],
            "power": case["power"],
        }
        assert exact_sample_size(**given_) == pytest.approx(case["patent"], rel=1e-12, abs=1e-9)
        assert minimum_sample_size(**given_) == ceil(case["patent"])


def test_the_formula_with_the_quantiles_of_scipy() -> None:
    z = norm.ppf(0.975) + norm.ppf(0.9)
    expected = (0.3 * 0.7 + 0.4 * 0.6) / 0.1**2 * z**2
    assert exact_sample_size(delta=0.1, variance=ratio_variance(0.3, 0.4), power=0.9) == pytest.approx(expected)


def test_rounding_errors_cost_no_unit() -> None:
    one = exact_sample_size(delta=1, variance=1)
    for n in (3, 10, 1000, 123_456_789):
        for noise in (-1e-15, 0, 1e-15):
            assert minimum_sample_size(delta=1, variance=n / one * (1 + noise)) == n
        assert minimum_sample_size(delta=1, variance=n / one * (1 + 1e-9)) == n + 1


def test_at_least_one_unit_is_needed() -> None:
    assert minimum_sample_size(delta=1e6, variance=1e-6) == 1


@settings(deadline=None)
@given(st.floats(1e-4, 1e4), variances, levels, powers)
def test_detectable_effect_and_power_are_inverses(delta: float, variance: float, alpha: float, wanted: float) -> None:
    n = exact_sample_size(delta=delta, variance=variance, alpha=alpha, power=wanted)
    assert detectable_effect(n, variance, alpha=alpha, power=wanted) == pytest.approx(delta)
    assert power(n, delta, variance, alpha=alpha) == pytest.approx(wanted)


@settings(deadline=None)
@given(st.floats(0.01, 10), variances)
def test_more_units_more_power(delta: float, variance: float) -> None:
    curve = power_curve([10, 100, 1000, 10_000], delta, variance)
    assert curve == sorted(curve)
    assert curve[1] == power(100, delta, variance)


def test_the_planned_variance_comes_from_the_period_before() -> None:
    assert planned_ratio_variance(0.2, 0.05) == pytest.approx(0.2 * 0.8 + 0.25 * 0.75)
    assert planned_continuous_variance(9.0) == 18
    assert continuous_variance(9.0, 16.0) == 25


def test_the_gate_takes_the_larger_variance() -> None:
    assert gate_variance(observed=1.0, planned=2.0) == 2
    assert gate_variance(observed=3.0, planned=2.0) == 3
    assert gate_variance(observed=None, planned=2.0) == 2
    with pytest.raises(ValueError, match="Wait for two units"):
        gate_variance(observed=None, planned=None)


def test_alpha_is_divided_among_the_comparisons_with_the_control() -> None:
    assert comparison_alpha(0.05, 2) == 0.05
    assert comparison_alpha(0.05, 6) == pytest.approx(0.01)
    with pytest.raises(ValueError, match=r"1 arm\(s\) compares nothing"):
        comparison_alpha(0.05, 1)


def test_kish_by_hand() -> None:
    """(1 + 1 + 2)² / (1 + 1 + 4) = 16/6."""
    assert kish_effective_n([1, 1, 2]) == pytest.approx(16 / 6)
    assert kish_effective_n([1, 2], [2, 1]) == pytest.approx(16 / 6)
    assert kish_effective_n([]) == 0
    assert kish_effective_n([2.0], [0]) == 0


@settings(deadline=None)
@given(st.lists(st.floats(1, 100), min_size=1, max_size=50), st.floats(0.1, 10))
def test_effective_units_are_at_most_the_units(weights: list[float], scale: float) -> None:
    n = kish_effective_n(weights)
    assert 1 - 1e-9 <= n <= len(weights) * (1 + 1e-9)
    assert kish_effective_n([scale * w for w in weights]) == pytest.approx(n)
    assert kish_effective_n([scale] * len(weights)) == pytest.approx(len(weights))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"delta": 0.0, "variance": 1.0}, "delta is 0.0, expected a number above 0"),
        ({"delta": -1.0, "variance": 1.0}, "delta is -1.0"),
        ({"delta": 1.0, "variance": 0.0}, "wait for rewards that differ"),
        ({"delta": 1.0, "variance": float("nan")}, "variance is nan"),
        ({"delta": 1.0, "variance": 1.0, "alpha": 5.0}, "alpha is 5.0, expected a fraction"),
        ({"delta": 1.0, "variance": 1.0, "power": 1.0}, "power is 1.0, expected a fraction"),
    ],
)
def test_what_is_refused(wrong: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        minimum_sample_size(**wrong)


def test_what_helpers_refuse() -> None:
    with pytest.raises(ValueError, match="choose a minimum effect that stays below 1"):
        planned_ratio_variance(0.9, 0.2)
    with pytest.raises(ValueError, match="a variance is a number from 0 on"):
        continuous_variance(-1.0, 1.0)
    with pytest.raises(ValueError, match="n is 0, expected a number above 0"):
        detectable_effect(0, 1.0)
    with pytest.raises(ValueError, match="1/propensity"):
        kish_effective_n([1.0, 0.0])
    with pytest.raises(ValueError, match="count is below 0"):
        kish_effective_n([1.0], [-1])


def test_power_is_what_a_z_test_of_many_samples_has() -> None:
    """The share of N(δ/se, 1) above the critical value."""
    n, delta, variance = 400, 0.1, 0.48
    assert power(n, delta, variance) == pytest.approx(norm.sf(norm.ppf(0.975) - delta / sqrt(variance / n)))
