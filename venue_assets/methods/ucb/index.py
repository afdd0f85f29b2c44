"""Upper confidence bounds: how good an arm may still be, given what it has shown in its leaf.

All take arrays that broadcast against each other, one entry per leaf and arm, and give that shape: `mean` and
`variance` of rewards on [0, 1] (`rewards`), `n` units of the arm, `t` units of the leaf. An arm without units has index
infinity, so that it comes first. An index falls when n grows and rises when t does.

`units_at` is the inverse: the (fractional) n at which an arm's index comes down to a level above its mean, which lets
`allocation` hand out a million visits without counting to a million.

Which one: UCB1 with a small `exploration` is the default. For rewards that are 0 or 1, KLUCB knows that rates near 0 or
1 vary little and has nothing to tune. UCBV does the same for any bounded reward, from the variance seen, and is
cautious while n is small.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_NEWTON_STEPS: Final = 50


class Index(Protocol):
    """An upper confidence bound."""

    def value(self, mean: FloatArray, variance: FloatArray, n: FloatArray, t: FloatArray) -> FloatArray:
        """The index of each arm."""

    def units_at(self, level: FloatArray, mean: FloatArray, variance: FloatArray, t: FloatArray) -> FloatArray:
        """n at which the index is `level`; infinity where the level is not above the mean."""


@dataclass(frozen=True)
class UCB1:
    """mean + exploration · √(2 ln t / n). Raises ValueError for an exploration below 0.

    `exploration` 1 is the weight of the proof, for rewards spread over all of [0, 1]; conversion rates differ by so
    little that it explores far too long there, and 0.1 to 0.3 pays.
    Source: Auer, Cesa-Bianchi & Fischer, "Finite-time Analysis of the Multiarmed Bandit Problem", Machine Learning 47
    (2002), policy UCB1.
    """

    exploration: float = 1.0

    def __post_init__(self) -> None:
        if not (isfinite(self.exploration) and self.exploration >= 0):
            raise ValueError(
                f"exploration is {self.exploration}, expected a number from 0 on; 0.2 suits conversion rates."
            )

    def value(self, mean: FloatArray, variance: FloatArray, n: FloatArray, t: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            index = mean + self.exploration * np.sqrt(2 * np.log(t) / n)
        return np.where(n > 0, index, np.inf)

    def units_at(self, level: FloatArray, mean: FloatArray, variance: FloatArray, t: FloatArray) -> FloatArray:
        above = np.maximum(level - mean, 0)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            units = 2 * np.log(t) * (self.exploration / above) ** 2
        return np.where(above > 0, units, np.inf)


@dataclass(frozen=True)
class KLUCB:
    """The largest q with n · kl(mean, q) ≤ ln t, kl between two coins: the tightest bound for rewards that are 0 or 1.

    Found by Newton's method from above, which converges monotonically as kl is convex in q.
    Source: Garivier & Cappé, "The KL-UCB Algorithm for Bounded Stochastic Bandits and Beyond", COLT 2011, with c = 0 as
    recommended there for practice.
    """

    def value(self, mean: FloatArray, variance: FloatArray, n: FloatArray, t: FloatArray) -> FloatArray:
        seen = n > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            radius = np.where(seen, np.log(t) / n, 0.0)
        p, radius = np.broadcast_arrays(mean, radius)
        # Two bounds from above: Pinsker's inequality, and kl(p, q) >= (1 - p) ln 1/(1 - q) - entropy(p) for q near 1.
        with np.errstate(divide="ignore"):
            far = np.where(p < 1, -np.expm1(-(radius + _entropy(p)) / np.maximum(1 - p, 1e-300)), 1.0)
        q = np.minimum(p + np.sqrt(radius / 2), far)
        for _ in range(_NEWTON_STEPS):
            with np.errstate(divide="ignore", invalid="ignore"):
                step = (_kl(p, q) - radius) * q * (1 - q) / (q - p)
            step = np.where((q > p) & (q < 1) & (step > 0), step, 0.0)
            q = np.maximum(q - step, p)
            if not (step > 1e-15).any():
                break
        return np.where(np.broadcast_to(seen, q.shape), q, np.inf)

    def units_at(self, level: FloatArray, mean: FloatArray, variance: FloatArray, t: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            units = np.log(t) / _kl(mean, np.minimum(level, 1.0))
        return np.where(level > mean, units, np.inf)


@dataclass(frozen=True)
class UCBV:
    """mean + √(2·variance·E/n) + 3·E/n with E = zeta · ln t, variance with divisor n. Raises ValueError for zeta ≤ 0.

    Source: Audibert, Munos & Szepesvári, "Exploration-exploitation tradeoff using variance estimates in multi-armed
    bandits", Theoretical Computer Science 410 (2009), with b = c = 1 and their zeta.
    """

    zeta: float = 1.2

    def __post_init__(self) -> None:
        if not (isfinite(self.zeta) and self.zeta > 0):
            raise ValueError(f"zeta is {self.zeta}, expected a number above 0; 1.2 is what its authors use.")

    def value(self, mean: FloatArray, variance: FloatArray, n: FloatArray, t: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            exploring = self.zeta * np.log(t) / n
            index = mean + np.sqrt(2 * variance * exploring) + 3 * exploring
        return np.where(n > 0, index, np.inf)

    def units_at(self, level: FloatArray, mean: FloatArray, variance: FloatArray, t: FloatArray) -> FloatArray:
        above = np.maximum(level - mean, 0)
        exploring = self.zeta * np.log(t)
        # A quadratic equation in 1/√n; this form of its solution loses no digits where `above` is small.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            root = np.sqrt(2 * variance * exploring)
            units = ((root + np.sqrt(root**2 + 12 * exploring * above)) / (2 * above)) ** 2
        return np.where(above > 0, units, np.inf)


def _kl(p: FloatArray, q: FloatArray) -> FloatArray:
    """Kullback-Leibler divergence between coins with success rates p and q; q in (0, 1) or equal to p."""
    return _times_log(p, q) + _times_log(1 - p, 1 - q)


def _entropy(p: FloatArray) -> FloatArray:
    return -_times_log(p, np.ones_like(p)) - _times_log(1 - p, np.ones_like(p))


def _times_log(x: FloatArray, y: FloatArray) -> FloatArray:
    """x · ln(x/y), which is 0 for x = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x > 0, x * np.log(x / y), 0.0)
