"""Effects under adaptive assignment: the sums say what the units would, and too little data is said."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from venue_assets.methods.adaptive import BatchRewards, adaptive_effect
from venue_assets.methods.effect import Effect, NotComputable
from venue_assets.methods.two_sample import Sample, difference_of_means


def unit_by_unit(
    batch: np.ndarray, leaf: np.ndarray, arm: np.ndarray, y: np.ndarray, shares: np.ndarray
) -> tuple[float, float]:
    """Arm 1 against 0 by the definition in the module's docstring, one unit after the other: effect and its error."""
    scores, weights = [], []
    for b in range(shares.shape[0]):
        inside = np.flatnonzero(batch == b)
        h = 1 / np.sqrt(np.mean([1 / shares[b, leaf[i], 0] + 1 / shares[b, leaf[i], 1] for i in inside]))
        before = batch < b
        for i in inside:
            e, expected = shares[b, leaf[i]], []
            for j in range(2):
                own = before & (arm == j)
                if own.any():
                    mean = y[own].mean()
                else:
                    now = (batch == b) & (arm == j)
                    mean = np.average(y[now], weights=1 / shares[b, leaf[now], j])
                own &= leaf == leaf[i]
                expected.append((y[own].sum() + 10 * mean) / (own.sum() + 10))
            score = expected[1] - expected[0]
            if arm[i] < 2:
                score += (1 if arm[i] else -1) * (y[i] - expected[arm[i]]) / e[arm[i]]
            scores.append(score)
            weights.append(h)
    s, w = np.array(scores), np.array(weights)
    effect = (w * s).sum() / w.sum()
    return effect, np.sqrt((w**2 * (s - effect) ** 2).sum()) / w.sum()


def test_sums_say_what_units_say() -> None:
    """Three arms, two leaves and uneven shares; amounts, not successes."""
    rng = np.random.default_rng(8)
    shares = rng.dirichlet([5, 5, 5], size=(4, 2))
    batch, leaf = np.repeat(np.arange(4), 60), rng.integers(0, 2, 240)
    arm = np.array([rng.choice(3, p=shares[b, x]) for b, x in zip(batch, leaf, strict=True)])
    y = rng.gamma(2, 10, 240) + 20 * leaf + 3 * arm
    sums = np.zeros((3, 4, 2, 3))
    for of, values in zip(sums, (np.ones(240), y, y**2), strict=True):
        np.add.at(of, (batch, leaf, arm), values)
    found = adaptive_effect(BatchRewards.of(*sums, shares), 1)
    assert isinstance(found, Effect)
    assert (found.effect, found.standard_error) == pytest.approx(unit_by_unit(batch, leaf, arm, y, shares))


def test_one_batch_of_equal_shares_is_the_difference_of_means() -> None:
    control, arm = Sample.of_sums(500, 60, 60), Sample.of_sums(500, 80, 80)
    found = adaptive_effect(BatchRewards.of([[[500, 500]]], [[[60, 80]]], [[[60, 80]]], [[[0.5, 0.5]]]), 1)
    plain = difference_of_means(control, arm)
    assert isinstance(found, Effect)
    assert isinstance(plain, Effect)
    assert found.effect == pytest.approx(plain.effect)
    assert found.standard_error == pytest.approx(plain.standard_error, rel=2e-3)


def test_a_busy_good_leaf_does_not_make_an_arm_good() -> None:
    """Leaf 0 succeeds in 10 %, leaf 1 in 50 %, whatever the arm; the arm got most of leaf 1."""
    n = np.array([[[900, 100], [100, 900]]] * 5, dtype=float)
    won = n * [[0.1], [0.5]]
    found = adaptive_effect(BatchRewards.of(n, won, won, n / 1000), 1)
    assert isinstance(found, Effect)
    assert won.sum(axis=(0, 1)) / n.sum(axis=(0, 1)) == pytest.approx([0.14, 0.46])
    assert found.effect == pytest.approx(0, abs=1e-9)


def test_days_and_leaves_without_units_change_nothing() -> None:
    n = np.array([[[50, 50]], [[80, 20]]], dtype=float)
    won = np.array([[[5, 7]], [[9, 4]]], dtype=float)
    shares = np.array([[[0.5, 0.5]], [[0.8, 0.2]]])
    gap = np.zeros((1, 1, 2))
    with_gap = [np.concatenate([x[:1], gap, x[1:]]) for x in (n, won, won)]
    unknown = np.concatenate([shares[:1], np.full((1, 1, 2), np.nan), shares[1:]])
    plain = adaptive_effect(BatchRewards.of(n, won, won, shares), 1)
    assert adaptive_effect(BatchRewards.of(*with_gap, unknown), 1) == plain
    with_leaf = [np.concatenate([x, np.zeros((2, 1, 2))], axis=1) for x in (n, won, won, shares)]
    assert adaptive_effect(BatchRewards.of(*with_leaf), 1) == plain


@pytest.mark.parametrize(
    ("n", "won", "cause"),
    [
        ([[[0, 9]]], [[[0, 3]]], "empty_control"),
        ([[[9, 0]]], [[[3, 0]]], "empty_arm"),
        ([[[9, 1]]], [[[3, 1]]], "too_few_units"),
        ([[[9, 9]]], [[[0, 0]]], "no_variance"),
        ([[[9, 9]]], [[[0, 9]]], "no_variance"),
    ],
)
def test_what_cannot_be_computed(n: list[list[list[int]]], won: list[list[list[int]]], cause: str) -> None:
    found = adaptive_effect(BatchRewards.of(n, won, won, [[[0.5, 0.5]]]), 1)
    assert isinstance(found, NotComputable)
    assert found.cause == cause


def batch_rewards(**changed: object) -> BatchRewards:
    given = {"n": [[[9, 9]]], "total": [[[3, 4]]], "squares": [[[3, 4]]], "propensity": [[[0.5, 0.5]]]} | changed
    return BatchRewards.of(**given)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: batch_rewards(propensity=[[[0.5, 0.4]]]), r"\[0.5, 0.4\] of one batch and leaf add up to 0.9, not 1"),
        (lambda: batch_rewards(propensity=[[[1.0, 0.0]]]), "A propensity is not above 0"),
        (lambda: batch_rewards(propensity=[[[np.nan, 0.5]]]), "A propensity is not above 0"),
        (lambda: batch_rewards(n=[[[9, -9]]]), "n from 0 on"),
        (lambda: batch_rewards(total=[[[np.nan, 1]]]), "Leave out units without a reward"),
        (lambda: batch_rewards(n=[[9, 9]]), r"expected \(batches, leaves, arms\) in all four"),
        (lambda: adaptive_effect(batch_rewards(), 0), "arm is 0, expected 1 to 1: the control is 0"),
        (lambda: adaptive_effect(batch_rewards(), 2), "arm is 2"),
    ],
)
def test_what_is_refused(wrong: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        wrong()
