"""The share of people that a sensor counts: against the definitions, and how often they hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from venue_assets.methods.counted_share import counted_share


@pytest.mark.parametrize(("counted", "true"), [(412, 430), (9, 10), (1, 300), (430, 430)])
def test_ends_are_where_what_was_counted_becomes_improbable(counted: int, true: int) -> None:
    """Clopper and Pearson's definition, with binomial tails summed here."""
    low, high = counted_share(counted, true)
    assert math.fsum(_binomial(n, true, low) for n in range(counted, true + 1)) == pytest.approx(0.025)
    if counted < true:
        assert math.fsum(_binomial(n, true, high) for n in range(counted + 1)) == pytest.approx(0.025)
    else:
        assert high == 1


def test_counts_that_nobody_made_are_a_poisson_number() -> None:
    """Garwood's definition, with Poisson tails summed here."""
    low, high = counted_share(110, 100)
    extra_low, extra_high = (low - 1) * 100, (high - 1) * 100
    assert math.fsum(_poisson(n, extra_low) for n in range(10)) == pytest.approx(0.975)
    assert math.fsum(_poisson(n, extra_high) for n in range(11)) == pytest.approx(0.025)


def _binomial(n: int, of: int, p: float) -> float:
    return math.comb(of, n) * p**n * (1 - p) ** (of - n)


def _poisson(n: int, mean: float) -> float:
    return math.exp(-mean) * mean**n / math.factorial(n)


@pytest.mark.parametrize("share", [0.8, 0.95, 0.99])
def test_intervals_hold_as_often_as_they_say(share: float) -> None:
    counted = np.random.default_rng(7).binomial(400, share, 4_000)
    intervals = {int(c): counted_share(int(c), 400) for c in np.unique(counted)}
    assert np.mean([intervals[int(c)][0] <= share <= intervals[int(c)][1] for c in counted]) >= 0.945


@pytest.mark.parametrize(("counted", "true"), [(0, 10), (10, 0), (-1, 5)])
def test_nothing_says_nothing(counted: int, true: int) -> None:
    with pytest.raises(ValueError, match="at least 1 each"):
        counted_share(counted, true)
