"""CUPED: what is known of a unit from before the experiment takes noise out of what it did in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from venue_assets.methods.effect import Effect, NotComputable
from venue_assets.methods.two_sample import Sample, difference_of_means

FloatArray = NDArray[np.float64]


def cuped(
    control: ArrayLike, arm: ArrayLike, *, control_before: ArrayLike, arm_before: ArrayLike, alpha: float = 0.05
) -> Effect | NotComputable:
    """Difference of means after the covariate's part is taken out: Welch's test of y - θ(x - x̄), θ = cov(y, x)/var(x).

    Arrays of shape (n,) per arm, in the KPI's unit; `before` holds each unit's covariate, usually the KPI over the
    pre-period, with 0 for a unit that was not there. It must not be touched by the experiment. θ is pooled within the
    arms; a constant covariate leaves θ = 0, the plain difference. Fixed shares only.

    Raises ValueError for arrays of different length; not computable where `difference_of_means` is not.
    Source: Deng, Xu, Kohavi & Walker, "Improving the Sensitivity of Online Controlled Experiments by Utilizing
    Pre-Experiment Data", WSDM 2013.
    """
    y, x = (_floats(control), _floats(arm)), (_floats(control_before), _floats(arm_before))
    for name, after, before in zip(("control", "arm"), y, x, strict=True):
        if after.shape != before.shape:
            raise ValueError(
                f"{name}: {len(after)} rewards and {len(before)} covariates, expected one per unit. "
                "Fill in 0 for units that were not seen before."
            )
    slope = _slope(y, x)
    everyone = np.concatenate(x)
    centre = float(everyone.mean()) if len(everyone) else 0.0
    adjusted = [Sample.of(after - slope * (before - centre)) for after, before in zip(y, x, strict=True)]
    return difference_of_means(*adjusted, alpha=alpha)


def _slope(y: tuple[FloatArray, FloatArray], x: tuple[FloatArray, FloatArray]) -> float:
    """θ from deviations within the arms, so that an effect does not enter it."""
    products = squares = 0.0
    for after, before in zip(y, x, strict=True):
        if len(before):
            deviation = before - before.mean()
            products += float(deviation @ after)
            squares += float(deviation @ deviation)
    return products / squares if squares > 0 else 0.0


def _floats(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)
