"""p-values of several arms or KPI, corrected so that the chance of *any* false positive stays at α."""

from __future__ import annotations

from collections.abc import Sequence


def bonferroni(p_values: Sequence[float]) -> list[float]:
    """min(1, m·p) for each of m p-values. The intervals that agree with it are those at level α/m.

    Raises ValueError for a p-value outside [0, 1].
    Source: Dunn, "Multiple Comparisons Among Means", JASA 56 (1961).
    """
    _check(p_values)
    return [min(1.0, len(p_values) * p) for p in p_values]


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p-values in the order given: never larger than `bonferroni`'s, with the same guarantee, but
    without intervals that agree.

    Raises ValueError for a p-value outside [0, 1].
    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statistics 6 (1979).
    """
    _check(p_values)
    adjusted = [0.0] * len(p_values)
    reached = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = reached
    return adjusted


def _check(p_values: Sequence[float]) -> None:
    for place, p in enumerate(p_values):
        if not 0 <= p <= 1:
            raise ValueError(
                f"p_values[{place}] is {p}, expected a probability. Leave out comparisons that were not computable."
            )
