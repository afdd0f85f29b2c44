"""What every comparison of an arm with the control answers: an effect, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, inf, sqrt
from statistics import NormalDist
from typing import Literal

from scipy.special import stdtr, stdtrit

Cause = Literal["empty_control", "empty_arm", "too_few_units", "no_variance", "zero_denominator", "no_common_weekday"]


@dataclass(frozen=True)
class Effect:
    """Arm minus control, in the KPI's unit, with its two-sided p-value and interval at level `alpha`.

    `df` are the degrees of freedom of Student's t, infinite where the normal distribution is used.
    """

    control: float
    arm: float
    standard_error: float
    alpha: float = 0.05
    df: float = inf

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}, expected a fraction between 0 and 1, such as 0.05.")

    @property
    def effect(self) -> float:
        return self.arm - self.control

    @property
    def statistic(self) -> float:
        """The effect in standard errors."""
        return self.effect / self.standard_error

    @property
    def p_value(self) -> float:
        if self.df == inf:
            return erfc(abs(self.statistic) / sqrt(2))
        return float(2 * stdtr(self.df, -abs(self.statistic)))

    @property
    def interval(self) -> tuple[float, float]:
        """Covers the true effect in 1 - alpha of experiments."""
        lower = NormalDist().inv_cdf(self.alpha / 2) if self.df == inf else float(stdtrit(self.df, self.alpha / 2))
        return self.effect + lower * self.standard_error, self.effect - lower * self.standard_error

    @property
    def significant(self) -> bool:
        return self.p_value < self.alpha


@dataclass(frozen=True)
class NotComputable:
    """No effect can be stated: `cause` for programs and translations, `reason` for people."""

    cause: Cause
    reason: str
