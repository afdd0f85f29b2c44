"""Rewards on the scale that UCB needs: [0, 1], by bounds stated beforehand and never taken from the data."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Scaled:
    """Rewards on [0, 1], NaN where refused; `refused` marks those, `remark` says so in a sentence (empty: all fine)."""

    values: FloatArray
    refused: NDArray[np.bool_]
    remark: str

    @property
    def refusals(self) -> int:
        return int(self.refused.sum())


@dataclass(frozen=True)
class RewardBounds:
    """The smallest and largest reward a unit can bring, in the KPI's unit. Raises ValueError unless low < high.

    A reward out of bounds is refused, not cut off: a bound that does not hold is a mistake in the experiment's setting
    or in the data, and cutting it off would quietly test another KPI. So an asset leaves the refused units out of the
    bandit's statistics, publishes how many, and fails a check with `remark`.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low < self.high):
            raise ValueError(
                f"Reward bounds {self.low} … {self.high}: expected two numbers, the smaller one first. State the "
                "smallest and the largest reward that a unit can bring, such as 0 and 500 for an amount."
            )

    def scale(self, rewards: ArrayLike) -> Scaled:
        """(reward - low) / (high - low) for rewards of any shape, kept. Never raises for a value."""
        given: FloatArray = np.asarray(rewards, dtype=np.float64)
        refused = ~((given >= self.low) & (given <= self.high))  # so NaN is refused as well
        values = np.where(refused, np.nan, (np.where(refused, self.low, given) - self.low) / (self.high - self.low))
        return Scaled(values, refused, self._remark(given[refused], given.size))

    def scale_sums(self, n: ArrayLike, total: ArrayLike, squares: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Σ and Σ² of the scaled rewards from n, Σ and Σ² of rewards within bounds; arrays of one shape."""
        units, sums, squared = (np.asarray(values, dtype=np.float64) for values in (n, total, squares))
        width = self.high - self.low
        centred = squared - 2 * self.low * sums + self.low**2 * units
        return (sums - self.low * units) / width, centred / width**2

    def _remark(self, refused: FloatArray, among: int) -> str:
        if refused.size == 0:
            return ""
        known = refused[~np.isnan(refused)]
        extent = f", from {known.min():g} to {known.max():g}" if known.size else ""
        missing = f" ({refused.size - known.size} without a value)" if known.size < refused.size else ""
        return (
            f"{refused.size} of {among} rewards are refused{missing}: not within {self.low:g} … {self.high:g}{extent}. "
            "Correct these records, or end the experiment and start one with wider bounds."
        )
