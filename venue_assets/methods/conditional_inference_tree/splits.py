"""Where to split a covariate: the two groups whose standardised difference in the response is largest.

For a group of m of n rows the statistic is c = |W Σ (h_i - h̄)|² · (n-1) / (m (n-m)), the quadratic statistic of its
indicator (Hothorn, Hornik & Zeileis 2006, section 3.2), over all groups that leave `minimum` rows on either side.

Factors with more than `EXHAUSTIVE` levels are not searched through all 2^(L-1) - 1 pairs of groups: the levels are put
in an order and only the L - 1 cuts of it are tried. For a numeric or two-class response that order is the mean
response, and the best of all pairs of groups is among its cuts (Fisher 1958, On grouping for maximum homogeneity), so
the result is exact unless that pair is too small on one side. For more classes the order is that of the first principal
component of the levels' standardised class shares (after Coppersmith, Hong & Hosking 1999, Partitioning nominal
attributes in decision trees), which is a heuristic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from venue_assets.methods.conditional_inference_tree.association import level_sums
from venue_assets.methods.conditional_inference_tree.covariates import Column, known
from venue_assets.methods.conditional_inference_tree.moments import FloatArray, Moments
from venue_assets.methods.conditional_inference_tree.nodes import Split

EXHAUSTIVE = 10

_SAME = 1 - 1e-12
"""Statistics this close are the same but for rounding; the first of them wins, so that the order of rows is nothing."""


def best_split(column: Column, values: NDArray[Any], moments: Moments, minimum: int) -> Split | None:
    """The best split of an encoded covariate, shape (n,), or None where every split leaves too few rows on a side."""
    kept = known(column, values)
    if not kept.all():
        values, moments = values[kept], moments.restricted(kept)
    if column.kind == "numeric":
        return _numeric(column, values, moments, minimum)
    counts, deviations = level_sums(values, len(column.levels), moments)
    if column.kind == "ordered":
        return _ordered(column, counts, deviations, moments, minimum)
    return _factor(column, counts, deviations, moments, minimum)


def _numeric(column: Column, x: FloatArray, moments: Moments, minimum: int) -> Split | None:
    order = np.argsort(x)
    x = x[order]
    # Row i can be the last of the first child if the next one differs.
    last = np.flatnonzero(x[minimum - 1 : len(x) - minimum] < x[minimum : len(x) - minimum + 1]) + minimum - 1
    sums = np.cumsum(moments.centred[:, order], axis=1)[:, last]
    best = _best((last + 1).astype(np.float64), sums.T, moments, minimum)
    if best is None:
        return None
    return Split(column.name, float(x[last[best]]), None, None, float((last[best] + 1) / moments.n))


def _ordered(
    column: Column, counts: FloatArray, deviations: FloatArray, moments: Moments, minimum: int
) -> Split | None:
    sizes = np.cumsum(counts)
    best = _best(sizes, np.cumsum(deviations, axis=0), moments, minimum)
    if best is None:
        return None
    cut = column.levels[best]
    assert isinstance(cut, str)
    return Split(column.name, cut, None, None, float(sizes[best] / moments.n))


def _factor(column: Column, counts: FloatArray, deviations: FloatArray, moments: Moments, minimum: int) -> Split | None:
    present = np.flatnonzero(counts)
    counts, deviations = counts[present], deviations[present]
    search = _among_all_groups if len(present) <= EXHAUSTIVE else _along_first_component
    group = search(counts, deviations, moments, minimum)
    if group is None:
        return None
    first = group == group[0]  # the first level present goes to the first child
    return Split(
        column.name,
        None,
        tuple(column.levels[code] for code in present[first]),
        tuple(column.levels[code] for code in present[~first]),
        float(counts[first].sum() / moments.n),
    )


def _among_all_groups(
    counts: FloatArray, deviations: FloatArray, moments: Moments, minimum: int
) -> NDArray[np.bool_] | None:
    """Which levels make up one side of the best of all ways to form two groups."""
    levels = len(counts)
    numbers = np.arange(2 ** (levels - 1) - 1)[:, np.newaxis]
    groups = np.hstack([np.ones_like(numbers), numbers >> np.arange(levels - 1) & 1])
    best = _best(groups @ counts, groups @ deviations, moments, minimum)
    return None if best is None else groups[best] == 1


def _along_first_component(
    counts: FloatArray, deviations: FloatArray, moments: Moments, minimum: int
) -> NDArray[np.bool_] | None:
    """Which levels make up one side of the best cut through the levels in order of their mean response."""
    means = deviations @ moments.whitening() / counts[:, np.newaxis]
    direction = np.linalg.svd(np.sqrt(counts)[:, np.newaxis] * means, full_matrices=False)[2][0]
    order = np.argsort(means @ direction, kind="stable")
    best = _best(np.cumsum(counts[order]), np.cumsum(deviations[order], axis=0), moments, minimum)
    if best is None:
        return None
    group = np.zeros(len(counts), dtype=np.bool_)
    group[order[: best + 1]] = True
    return group


def _best(sizes: FloatArray, sums: FloatArray, moments: Moments, minimum: int) -> int | None:
    """The best of k groups, from their sizes, shape (k,), and sums of h - mean, shape (k, q)."""
    rest = moments.n - sizes
    admissible = (sizes >= minimum) & (rest >= minimum)
    if not admissible.any():
        return None
    squares = ((sums @ moments.whitening()) ** 2).sum(axis=1)
    statistics = np.divide(squares, sizes * rest, out=np.full(len(sizes), -1.0), where=admissible)
    return int(np.argmax(statistics >= statistics.max() * _SAME))
