"""Verdicts under a bandit that moves its shares every day, by the one-analysis rule: how often they are wrong.

200 experiments of each world, so the limits leave room for chance; tests/benchmarks/error_rates.py runs thousands.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from tests.methods.batch_bandit import ALPHA, World, verdicts

RUNS = 200
NO_EFFECT = {
    "one leaf": World([[0.1, 0.1]]),
    "three arms, four leaves": World([[0.05] * 3, [0.08] * 3, [0.12] * 3, [0.2] * 3]),
    "amounts": World([[0.3, 0.3]], minimum_effect=0.8, amounts=(2, 3, 5, 10, 40)),
}
EFFECT = {
    "one best arm": World([[0.1, 0.12]]),
    "another best arm in each leaf": World([[0.05, 0.08], [0.10, 0.10], [0.12, 0.10], [0.20, 0.23]]),
    "a quiet venue": World([[0.2, 0.3], [0.4, 0.4]], units=60, minimum_effect=0.1),
}


@pytest.mark.parametrize("world", NO_EFFECT.values(), ids=list(NO_EFFECT))
def test_false_positives_are_as_many_as_alpha_says(world: World) -> None:
    found = verdicts(world, RUNS, seed=1)
    low, high = binom.ppf([0.001, 0.999], RUNS, ALPHA)
    assert low <= sum(found.any_significant) <= high


@pytest.mark.parametrize("world", EFFECT.values(), ids=list(EFFECT))
def test_intervals_cover_the_true_effect(world: World) -> None:
    found = verdicts(world, RUNS, seed=2)
    assert sum(found.covered) >= binom.ppf(0.001, RUNS, 1 - ALPHA)
    # The mean of the errors is 0, give or take its own error and a tenth of one run's: the day depends on the rewards.
    assert abs(np.mean(found.error)) < (3.3 / RUNS**0.5 + 0.1) * np.mean(found.standard_error)


def test_welch_would_be_wrong() -> None:
    """Leaves of different level, shares that differ among them: what looks like an effect of the arm is the leaf's."""
    found = verdicts(NO_EFFECT["three arms, four leaves"], RUNS, seed=3)
    assert np.mean(found.plain_any_significant) > 0.3


def test_an_effect_of_the_planned_size_is_found_at_least_as_often_as_planned() -> None:
    found = verdicts(EFFECT["one best arm"], RUNS, seed=4)
    assert max(found.day) < 30, "enough samples in all runs"
    assert np.mean(found.any_significant) > 0.8
