"""An arm against the control under fixed shares: means, and shares of successes.

Not for adaptively assigned units (`venue_assets.methods.adaptive`): there the plain mean of an arm is biased.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from venue_assets.methods.effect import Effect, NotComputable

_ROUNDING: Final = 1e-12
"""Relative size of what floating point leaves where rewards do not vary: not a variance to test with."""


@dataclass(frozen=True)
class Sample:
    """One arm's units: how many, their mean reward, and its variance with divisor n - 1 (0 for fewer than two)."""

    n: int
    mean: float
    variance: float

    def __post_init__(self) -> None:
        if self.n < 0 or self.variance < 0 or not (isfinite(self.mean) and isfinite(self.variance)):
            raise ValueError(
                f"A sample has n {self.n}, mean {self.mean} and variance {self.variance}; expected n and variance "
                "from 0 on and finite numbers. Leave units without a reward out before summing up."
            )

    @classmethod
    def of(cls, rewards: ArrayLike) -> Sample:
        """From rewards of shape (n,). Raises ValueError for a reward that is missing or infinite."""
        values: NDArray[np.float64] = np.asarray(rewards, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("A reward is missing or infinite: leave such units out, and count them.")
        n = len(values)
        variance = float(values.var(ddof=1)) if n > 1 else 0.0
        if variance <= (_ROUNDING * float(np.abs(values).max(initial=0.0))) ** 2:
            variance = 0.0
        return cls(n, float(values.mean()) if n else 0.0, variance)

    @classmethod
    def of_sums(cls, n: int, total: float, squares: float) -> Sample:
        """From the additive n, Σ and Σ² that tables keep; precise to some 1e-12 of the mean square."""
        mean = total / n if n else 0.0
        spread = squares - n * mean * mean
        return cls(n, mean, spread / (n - 1) if n > 1 and spread > _ROUNDING * squares else 0.0)

    @property
    def squared_error(self) -> float:
        """Variance of the mean."""
        return self.variance / self.n


def difference_of_means(control: Sample, arm: Sample, *, alpha: float = 0.05) -> Effect | NotComputable:
    """Welch's t test: variances may differ. Not computable with fewer than two units in an arm, or without variance.

    Source: Welch, "The generalization of 'Student's' problem when several different population variances are involved",
    Biometrika 34 (1947); degrees of freedom by Satterthwaite (1946).
    """
    missing = missing_units(control.n, arm.n, at_least=2)
    if missing:
        return missing
    a, b = control.squared_error, arm.squared_error
    if a + b == 0:
        return no_variance(control.mean, arm.mean)
    # Shares of the whole instead of its parts: squares of tiny variances would underflow.
    share = a / (a + b)
    df = 1 / (share**2 / (control.n - 1) + (1 - share) ** 2 / (arm.n - 1))
    return Effect(control.mean, arm.mean, sqrt(a + b), alpha, df)


def difference_of_proportions(
    control_successes: int, control_n: int, arm_successes: int, arm_n: int, *, alpha: float = 0.05
) -> Effect | NotComputable:
    """Difference of two shares of successes by the unpooled z test, which its interval always agrees with.

    Variance P(1 - P)/n in each arm, the one that the minimum sample size is planned with. Good from about ten
    successes and ten failures per arm on. Not computable without units in an arm or without variance (all or none
    succeed in both). Raises ValueError for more successes than units.
    Source: Agresti, "Categorical Data Analysis" (2013), section 3.1.
    """
    for name, successes, n in (("control", control_successes, control_n), ("arm", arm_successes, arm_n)):
        if not 0 <= successes <= n:
            raise ValueError(
                f"{name}: {successes} successes among {n} units. Count each unit once, as success or failure."
            )
    missing = missing_units(control_n, arm_n, at_least=1)
    if missing:
        return missing
    a, b = control_successes / control_n, arm_successes / arm_n
    squared_error = a * (1 - a) / control_n + b * (1 - b) / arm_n
    if squared_error == 0:
        return no_variance(a, b)
    return Effect(a, b, sqrt(squared_error), alpha)


def missing_units(control: int, arm: int, *, at_least: int) -> NotComputable | None:
    """Why two arms with so many units cannot be compared; None if they can."""
    if control == 0:
        return NotComputable("empty_control", "The control has no units, so there is nothing to compare with.")
    if arm == 0:
        return NotComputable("empty_arm", "The arm has no units.")
    if min(control, arm) < at_least:
        return NotComputable(
            "too_few_units", f"{control} unit(s) in the control and {arm} in the arm: {at_least} in each are needed."
        )
    return None


def no_variance(control: float, arm: float) -> NotComputable:
    """All units of each arm are alike, so chance cannot be told from effect."""
    return NotComputable(
        "no_variance",
        f"All rewards of the control are {control:g} and all of the arm {arm:g}: no error can be estimated.",
    )
