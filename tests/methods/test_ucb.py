"""The three indices: their definitions, and that `units_at` turns them round."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from venue_assets.methods.ucb import KLUCB, UCB1, UCBV, Index

INDICES = [UCB1(1.0), UCB1(0.1), KLUCB(), UCBV()]
means = st.floats(0, 1)
counts = st.integers(1, 10**7)


def value(index: Index, mean: float, n: float, t: float, variance: float = 0.0) -> float:
    return float(index.value(*(np.array([x], dtype=float) for x in (mean, variance, n, t)))[0])


def units_at(index: Index, level: float, mean: float, t: float, variance: float = 0.0) -> float:
    return float(index.units_at(*(np.array([x], dtype=float) for x in (level, mean, variance, t)))[0])


def test_ucb1_by_hand() -> None:
    assert value(UCB1(0.5), 0.3, 20, 100) == pytest.approx(0.3 + 0.5 * sqrt(2 * log(100) / 20))
    assert value(UCB1(0), 0.3, 20, 100) == 0.3


def test_ucbv_by_hand() -> None:
    e = 1.2 * log(100)
    assert value(UCBV(), 0.3, 20, 100, 0.04) == pytest.approx(0.3 + sqrt(2 * 0.04 * e / 20) + 3 * e / 20)


@settings(deadline=None)
@given(means, counts, st.integers(0, 10**7))
def test_kl_ucb_against_scipy(mean: float, n: int, others: int) -> None:
    """scipy.optimize.brentq on the definition n · kl(mean, q) = ln t."""
    budget = log(n + others) / n

    def kl(q: float) -> float:
        first = mean * log(mean / q) if mean > 0 else 0.0
        return first + ((1 - mean) * log((1 - mean) / (1 - q)) if mean < 1 else 0.0)

    low, high = max(mean, 1e-300), 1 - 1e-16
    found = value(KLUCB(), mean, n, n + others)
    assert mean <= found <= 1
    if mean < high and budget > 0 and kl(high) > budget:
        assert found == pytest.approx(brentq(lambda q: kl(q) - budget, low, high, xtol=1e-14), abs=1e-9)


def test_kl_ucb_at_the_ends() -> None:
    """kl(0, q) = -ln(1 - q), so q = 1 - t^(-1/n); from 1 there is no way up."""
    assert value(KLUCB(), 0, 10, 50) == pytest.approx(1 - 50 ** (-1 / 10))
    assert value(KLUCB(), 1, 10, 50) == 1


@settings(deadline=None)
@given(means, counts, counts)
def test_kl_ucb_is_never_above_ucb1_with_weight_one_half(mean: float, n: int, others: int) -> None:
    """Pinsker: kl(p, q) ≥ 2(p - q)², so the radius is at most √(ln t / 2n)."""
    t = n + others
    assert value(KLUCB(), mean, n, t) <= value(UCB1(0.5), mean, n, t) + 1e-12


@pytest.mark.parametrize("index", INDICES, ids=str)
@settings(deadline=None)
@given(mean=means, variance=st.floats(0, 0.25), n=counts, others=counts)
def test_more_units_lower_an_index_and_more_time_raises_it(
    index: Index, mean: float, variance: float, n: int, others: int
) -> None:
    now = value(index, mean, n, n + others, variance)
    assert value(index, mean, n + 1, n + others, variance) <= now + 1e-12
    assert value(index, mean, n, 2 * (n + others), variance) >= now - 1e-12


@pytest.mark.parametrize("index", INDICES, ids=str)
@settings(deadline=None)
@given(mean=st.floats(0.01, 0.9), variance=st.floats(0, 0.25), n=st.integers(5, 10**6), others=counts)
def test_units_at_turns_an_index_round(index: Index, mean: float, variance: float, n: int, others: int) -> None:
    level = value(index, mean, n, n + others, variance)
    if mean + 1e-6 < level < 1 - 1e-6:
        assert units_at(index, level, mean, n + others, variance) == pytest.approx(n, rel=1e-4)


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_a_level_at_the_mean_takes_any_number(index: Index) -> None:
    assert units_at(index, 0.3, 0.3, 100) == np.inf
    assert units_at(index, 0.2, 0.3, 100) == np.inf


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_an_arm_never_seen_comes_first_and_shapes_are_kept(index: Index) -> None:
    n = np.array([[0, 5], [7, 0]], dtype=float)
    found = index.value(np.full((2, 2), 0.2), np.full((2, 2), 0.1), n, n.sum(axis=1, keepdims=True))
    assert found.shape == (2, 2)
    assert np.isinf(found).tolist() == [[True, False], [False, True]]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"exploration is -1, expected a number from 0 on"):
        UCB1(-1)
    with pytest.raises(ValueError, match="zeta is 0"):
        UCBV(0)
