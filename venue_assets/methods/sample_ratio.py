"""The sample-ratio check: did the arms get the units that they were meant to get?

A mismatch means that assignment, matching or logging lost units of some arm, and then no comparison is fair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Final

from scipy.special import chdtrc

ALPHA: Final = 0.001
"""Below this p-value the check fails. Strict, as it is asked every day: a failure should mean a fault, not chance."""


@dataclass(frozen=True)
class SampleRatio:
    """Observed and expected units per arm, and the p-value of Pearson's χ² with arms - 1 degrees of freedom."""

    observed: tuple[int, ...]
    expected: tuple[float, ...]
    p_value: float

    @property
    def mismatch(self) -> bool:
        return self.p_value < ALPHA


def sample_ratio(observed: Sequence[int], expected: Sequence[float]) -> SampleRatio:
    """Compares units per arm with shares, or with expected units: both are scaled to the number observed.

    Under adaptive shares `expected` is, per arm, the sum of the propensity that *every* unit had of getting that arm:
    Σ over (date, leaf) of units × share. The statistic then is slightly too small, as the variance of a sum of unequal
    propensities is below a multinomial's: the check never cries wolf more often than it says.

    An arm that expects 0 and got none is left out; one that expects 0 and got units is a mismatch with p = 0; p is 1
    where nothing was observed yet. Raises ValueError for fewer than two arms, different lengths, negative numbers, or
    expectations that are all 0.
    Source: Fabijan et al., "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments", KDD 2019.
    """
    if len(observed) != len(expected) or len(observed) < 2:
        raise ValueError(
            f"{len(observed)} observed and {len(expected)} expected counts: give one of each for every arm, "
            "0 for an arm without units, and at least two arms."
        )
    whole = fsum(expected)
    if not whole > 0 or min(expected) < 0 or min(observed) < 0:
        raise ValueError(
            f"Observed {list(observed)}, expected {list(expected)}: "
            "give counts and shares from 0 on, and not only shares of 0."
        )
    units = sum(observed)
    scaled = tuple(units * share / whole for share in expected)
    arms = [(o, e) for o, e, share in zip(observed, scaled, expected, strict=True) if o > 0 or share > 0]
    if units == 0 or len(arms) < 2:
        return SampleRatio(tuple(observed), scaled, 1.0)
    if any(e == 0 for _, e in arms):
        return SampleRatio(tuple(observed), scaled, 0.0)
    statistic = fsum((o - e) ** 2 / e for o, e in arms)
    return SampleRatio(tuple(observed), scaled, float(chdtrc(len(arms) - 1, statistic)))
