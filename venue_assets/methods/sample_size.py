"""How many units an arm needs before a verdict may be spoken, and what a given number of units can show.

n = σ²/δ² · (z₁₋α/₂ + z₁₋β)² per arm, two-sided, where σ² is the *sum* of the variances of arm and control, so that σ²/n
is the variance of the difference of two means of n units each: Chow, Shao, Wang & Lokhnygina, "Sample Size Calculations
in Clinical Research" (2018), sections 3.2 and 4.2. It rests on the normal approximation: Student's t asks for a unit or
two more.

δ, the minimum effect, is absolute and in the KPI's unit, variances in its square; α and power are fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite, sqrt
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_NORMAL: Final = NormalDist()
_ROUNDING: Final = 1e-12
"""Relative error that floating point may have put on top of a whole number; it must not cost a unit."""


def minimum_sample_size(*, delta: float, variance: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Units per arm that detect an effect of `delta` at level `alpha` with probability `power`.

    `variance` is that of arm plus that of control (`ratio_variance`, `continuous_variance`). Raises ValueError as
    `exact_sample_size` does.
    """
    exact = exact_sample_size(delta=delta, variance=variance, alpha=alpha, power=power)
    return max(1, ceil(exact * (1 - _ROUNDING)))


def exact_sample_size(*, delta: float, variance: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """`minimum_sample_size` before it is rounded up.

    Raises ValueError where delta or variance is not a positive number, or alpha or power is not between 0 and 1.
    """
    _positive(
        "delta",
        delta,
        "State the smallest effect worth knowing as an absolute difference in the KPI's unit: 0.02 for two points.",
    )
    _positive_variance(variance)
    return variance / delta**2 * (_critical(alpha) + _required(power)) ** 2


def detectable_effect(n: float, variance: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest effect that `n` units per arm detect: the inverse of `exact_sample_size`, in the KPI's unit.

    `n` may be Kish's effective n. Raises ValueError for an n that is not positive, and as `exact_sample_size` does.
    """
    _positive("n", n, "Ask again when the experiment has units.")
    _positive_variance(variance)
    return sqrt(variance / n) * (_critical(alpha) + _required(power))


def power(n: float, delta: float, variance: float, *, alpha: float = 0.05) -> float:
    """Probability that `n` units per arm find an effect of `delta` significant, and in the right direction.

    Significance in the wrong direction (at most α/2) is not counted, as the formula of the sample size does not count
    it either: the two are exact inverses. Raises ValueError as `detectable_effect` does.
    """
    _positive("n", n, "Ask again when the experiment has units.")
    _positive("delta", delta, "The power to detect no effect is not defined.")
    _positive_variance(variance)
    return _NORMAL.cdf(delta * sqrt(n / variance) - _critical(alpha))


def power_curve(ns: Sequence[float], delta: float, variance: float, *, alpha: float = 0.05) -> list[float]:
    """`power` at each of `ns` units per arm, to be drawn."""
    return [power(n, delta, variance, alpha=alpha) for n in ns]


def ratio_variance(control_rate: float, arm_rate: float) -> float:
    """P_A(1 - P_A) + P_B(1 - P_B) of a KPI that is 0 or 1 per unit. Raises ValueError for a rate outside [0, 1]."""
    for name, rate in (("control_rate", control_rate), ("arm_rate", arm_rate)):
        if not 0 <= rate <= 1:
            raise ValueError(
                f"{name} is {rate}, but the share of units with a success lies between 0 and 1. For a KPI with other "
                "values use continuous_variance; for a planned rate choose a minimum effect that stays below 1."
            )
    return control_rate * (1 - control_rate) + arm_rate * (1 - arm_rate)


def continuous_variance(control_variance: float, arm_variance: float) -> float:
    """s_A² + s_B² of any other KPI. Raises ValueError for a variance that is negative or not a number."""
    for name, variance in (("control_variance", control_variance), ("arm_variance", arm_variance)):
        if not (isfinite(variance) and variance >= 0):
            raise ValueError(
                f"{name} is {variance}, but a variance is a number from 0 on. Is the arm without two units?"
            )
    return control_variance + arm_variance


def planned_ratio_variance(rate: float, delta: float) -> float:
    """The variance to plan with, from the rate of a pre-period: P_B = P_A + δ. Raises as `ratio_variance`."""
    return ratio_variance(rate, rate + delta)


def planned_continuous_variance(variance: float) -> float:
    """The variance to plan with, from that of a pre-period: 2·s_A². Raises as `continuous_variance`."""
    return continuous_variance(variance, variance)


def gate_variance(*, observed: float | None, planned: float | None) -> float:
    """The variance that decides how many units are enough: the larger, so that a quiet start does not open the gate.

    None where there is no pre-period, or too few units to observe one. Raises ValueError where both are missing.
    """
    known = [variance for variance in (observed, planned) if variance is not None]
    if not known:
        raise ValueError(
            "Neither an observed nor a planned variance is known, so no sample size can be stated. "
            "Wait for two units in every arm, or give the KPI a pre-period."
        )
    return max(known)


def comparison_alpha(alpha: float, arms: int) -> float:
    """α of each comparison with the control among `arms` arms, the control counted: α/(arms - 1) (Bonferroni).

    Raises ValueError for fewer than two arms or an alpha outside (0, 1).
    """
    if arms < 2:
        raise ValueError(
            f"An experiment with {arms} arm(s) compares nothing: name the control and at least one more arm."
        )
    _fraction("alpha", alpha)
    return alpha / (arms - 1)


def kish_effective_n(weights: ArrayLike, counts: ArrayLike = 1) -> float:
    """Kish's effective number of units (Σw)²/Σw², of shape () from weights of any shape; 0.0 without units.

    Under adaptive assignment w = 1/propensity. `counts`, broadcast against `weights`, says how many units share a
    weight. Raises ValueError for weights that are not positive or counts below 0.
    Source: Kish, "Survey Sampling" (1965).
    """
    w: NDArray[np.float64] = np.asarray(weights, dtype=np.float64)
    n: NDArray[np.float64] = np.asarray(counts, dtype=np.float64)
    if not (np.isfinite(w).all() and (w > 0).all()):
        raise ValueError(
            "A weight is not a positive number: weights are 1/propensity, and a propensity lies in (0, 1]."
        )
    if not (n >= 0).all():
        raise ValueError("A count is below 0 or not a number: counts are the units that share a weight.")
    total, squares = float((n * w).sum()), float((n * w * w).sum())
    return total * total / squares if squares else 0.0


def _critical(alpha: float) -> float:
    """z₁₋α/₂, as -z_α/2: exact also for a tiny alpha."""
    _fraction("alpha", alpha)
    return -_NORMAL.inv_cdf(alpha / 2)


def _required(power: float) -> float:
    """z₁₋β."""
    _fraction("power", power)
    return _NORMAL.inv_cdf(power)


def _fraction(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(
            f"{name} is {value}, expected a fraction between 0 and 1, such as 0.05 for alpha or 0.8 for power."
        )


def _positive(name: str, value: float, remedy: str) -> None:
    if not (isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value}, expected a number above 0. {remedy}")


def _positive_variance(variance: float) -> None:
    _positive(
        "variance",
        variance,
        "Where all units have the same reward nothing can be tested: wait for rewards that differ, or check the KPI.",
    )
