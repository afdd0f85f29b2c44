"""The sample-ratio check."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from venue_assets.methods.sample_ratio import sample_ratio


def test_shares_and_counts_agree_with_scipy() -> None:
    expected = chisquare([821, 700, 1500], [755.25, 755.25, 1510.5])
    assert sample_ratio([821, 700, 1500], [0.25, 0.25, 0.5]).p_value == pytest.approx(expected.pvalue)
    assert sample_ratio([821, 700, 1500], [2, 2, 4]).expected == pytest.approx((755.25, 755.25, 1510.5))


def test_a_published_mismatch_is_found() -> None:
    """Kohavi, Tang & Xu, "Trustworthy Online Controlled Experiments" (2020), chapter 21: p = 1.8e-6."""
    found = sample_ratio([821_588, 815_482], [0.5, 0.5])
    assert found.p_value == pytest.approx(1.8e-6, rel=0.05)
    assert found.mismatch


def test_what_chance_brings_is_no_mismatch() -> None:
    assert not sample_ratio([5050, 4950], [1, 1]).mismatch


def test_adaptive_shares_are_added_up_and_the_check_never_cries_wolf_more_often_than_it_says() -> None:
    """4,000 experiments with shares that follow what the day before drew: p below 0.05 at most in 5 %."""
    rng = np.random.default_rng(6)
    runs, drawn, expected, share = 4000, np.zeros((4000, 2)), np.zeros((4000, 2)), np.full(4000, 0.5)
    for _ in range(30):
        arm = rng.binomial(200, share)
        drawn += np.stack([200 - arm, arm], axis=1)
        expected += 200 * np.stack([1 - share, share], axis=1)
        share = np.where(arm > 200 * share, 0.9, 0.1)
    p = np.array(
        [sample_ratio(o, e).p_value for o, e in zip(drawn.astype(int).tolist(), expected.tolist(), strict=True)]
    )
    assert (p < 0.05).sum() / runs < 0.05


def test_arms_never_seen() -> None:
    assert sample_ratio([0, 0], [0.5, 0.5]).p_value == 1
    assert sample_ratio([10, 10, 0], [0.5, 0.5, 0.0]).p_value == 1
    assert sample_ratio([1000, 0], [0.5, 0.5]).mismatch
    assert sample_ratio([10, 1], [1.0, 0.0]).mismatch, "units in an arm that expects none"


@pytest.mark.parametrize(
    ("observed", "expected", "sentence"),
    [
        ([1, 2], [1.0], "one of each for every arm"),
        ([1], [1.0], "at least two arms"),
        ([1, 2], [0.0, 0.0], "not only shares of 0"),
        ([1, -2], [1.0, 1.0], "from 0 on"),
    ],
)
def test_what_is_refused(observed: list[int], expected: list[float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        sample_ratio(observed, expected)
