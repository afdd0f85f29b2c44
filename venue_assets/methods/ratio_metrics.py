"""KPI that are a ratio of two sums over units: amount per session, orders per visit.

ARPU per *assigned user* is a plain mean and needs `two_sample`. This is for divisors that themselves vary by unit: the
sessions of one user are not independent, so they cannot be counted as units.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from venue_assets.methods.effect import Effect, NotComputable
from venue_assets.methods.two_sample import Sample, missing_units, no_variance


@dataclass(frozen=True)
class RatioSample:
    """One arm's units: numerator, denominator, and the covariance of the two with divisor n - 1."""

    numerator: Sample
    denominator: Sample
    covariance: float

    @classmethod
    def of(cls, numerators: ArrayLike, denominators: ArrayLike) -> RatioSample:
        """From two arrays of shape (n,), one entry per unit. Raises ValueError for different lengths."""
        x: NDArray[np.float64] = np.asarray(numerators, dtype=np.float64)
        y: NDArray[np.float64] = np.asarray(denominators, dtype=np.float64)
        if x.shape != y.shape:
            raise ValueError(f"{len(x)} numerators and {len(y)} denominators: expected one of each per unit.")
        covariance = float(np.cov(x, y)[0, 1]) if len(x) > 1 else 0.0
        return cls(Sample.of(x), Sample.of(y), covariance)

    @property
    def ratio(self) -> float:
        return self.numerator.mean / self.denominator.mean

    @property
    def squared_error(self) -> float:
        """Variance of the ratio to first order (delta method): that of (x - R·y) / mean of y, over n."""
        ratio = self.ratio
        spread = self.numerator.variance - 2 * ratio * self.covariance + ratio**2 * self.denominator.variance
        # With x proportional to y nothing but rounding is left, which may be below 0.
        return max(0.0, spread) / self.denominator.mean**2 / self.numerator.n


def difference_of_ratios(control: RatioSample, arm: RatioSample, *, alpha: float = 0.05) -> Effect | NotComputable:
    """Difference of two ratios of sums, normal approximation with the variance of the delta method.

    Not computable with fewer than two units in an arm, where a divisor sums to 0, or without variance.
    Source: Deng, Knoblich & Lu, "Applying the Delta Method in Metric Analytics", KDD 2018.
    """
    missing = missing_units(control.numerator.n, arm.numerator.n, at_least=2)
    if missing:
        return missing
    for name, sample in (("control", control), ("arm", arm)):
        if sample.denominator.mean == 0:
            return NotComputable("zero_denominator", f"The divisor of the {name} sums to 0, so it has no ratio.")
    squared_error = control.squared_error + arm.squared_error
    if squared_error == 0:
        return no_variance(control.ratio, arm.ratio)
    return Effect(control.ratio, arm.ratio, sqrt(squared_error), alpha)
