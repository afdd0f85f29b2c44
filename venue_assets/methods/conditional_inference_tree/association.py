"""Is a covariate independent of the response? The quadratic permutation statistic and its limiting p-value.

The linear statistic T = Σ g(x_i) h(y_i)ᵀ has, over all permutations of y, expectation μ and covariance
Σ = V(h) ⊗ S(g) with S(g) = n/(n-1) Σ (g_i - ḡ)(g_i - ḡ)ᵀ; c = (T - μ) Σ⁺ (T - μ)ᵀ is then χ² with rank(Σ) degrees of
freedom. g is x itself for numbers, the level's position for ordered factors, an indicator per level for others.

Strasser, H. & Weber, C. (1999). On the asymptotic theory of permutation statistics. Mathematical Methods of Statistics
8, 220-250. Hothorn, Hornik & Zeileis (2006), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from venue_assets.methods.conditional_inference_tree.chi_squared import log_survival
from venue_assets.methods.conditional_inference_tree.covariates import Column, known
from venue_assets.methods.conditional_inference_tree.moments import TOLERANCE, FloatArray, Moments

_BLOCK = 1 << 15
"""Rows worked on at once, so that they stay in the cache."""


@dataclass(frozen=True, slots=True)
class Association:
    """A statistic and the logarithm of its p-value, not adjusted; `testable` unless x or y does not vary."""

    statistic: float
    log_p: float
    testable: bool = True


_NONE = Association(0.0, 0.0, testable=False)


def association(column: Column, values: NDArray[Any], moments: Moments) -> Association | None:
    """The test of one encoded covariate, shape (n,), against the response; None where all its values are missing."""
    kept = known(column, values)
    if not kept.any():
        return None
    if not kept.all():
        values, moments = values[kept], moments.restricted(kept)
    if moments.constant:
        return _NONE
    if column.kind == "numeric":
        return _numeric(values, moments)
    counts, deviations = level_sums(values, len(column.levels), moments)
    if column.kind == "ordered":
        return _ordered(counts, deviations, moments)
    return _factor(counts, deviations, moments)


def level_sums(codes: NDArray[Any], levels: int, moments: Moments) -> tuple[FloatArray, FloatArray]:
    """Sufficient statistics of a factor: rows per level, shape (levels,), and Σ (h(y) - mean), shape (levels, q)."""
    counts = np.bincount(codes, minlength=levels).astype(np.float64)
    deviations = [np.bincount(codes, weights=h, minlength=levels) for h in moments.centred]
    return counts, np.stack(deviations, axis=1)


def _numeric(x: FloatArray, moments: Moments) -> Association:
    if x.min() == x.max():
        return _NONE
    mean, squares, cross = x.mean(), 0.0, np.zeros(len(moments.mean))
    for start in range(0, x.size, _BLOCK):
        centred = x[start : start + _BLOCK] - mean
        squares += float(np.einsum("n,n->", centred, centred))
        cross += np.einsum("qn,n->q", moments.centred[:, start : start + _BLOCK], centred)
    if squares == 0:  # values so close together that their squared differences underflow
        return _NONE
    return _quadratic(cross[np.newaxis], np.array([[squares]]), moments)


def _ordered(counts: FloatArray, deviations: FloatArray, moments: Moments) -> Association:
    if np.count_nonzero(counts) < 2:
        return _NONE
    scores = np.arange(1.0, len(counts) + 1)
    scores -= scores @ counts / moments.n
    return _quadratic((scores @ deviations)[np.newaxis], np.array([[counts @ scores**2]]), moments)


def _factor(counts: FloatArray, deviations: FloatArray, moments: Moments) -> Association:
    present = counts > 0
    counts, deviations = counts[present], deviations[present]
    if len(counts) < 2:
        return _NONE
    eigenvalues = moments.eigenvalues[moments.eigenvalues > TOLERANCE * moments.eigenvalues[-1]]
    if counts.min() * eigenvalues[0] <= TOLERANCE * counts.max() * eigenvalues[-1]:
        return _quadratic(deviations, np.diag(counts) - np.outer(counts, counts) / moments.n, moments)
    # No eigenvalue but the sure zeros can fall below the tolerance: those of S(g) lie between the smallest and the
    # largest count. Then diag(1 / counts) serves as inverse, in L steps instead of L³.
    squares = (deviations @ moments.whitening()) ** 2
    statistic = float((squares / counts[:, np.newaxis]).sum()) * (moments.n - 1) / moments.n
    return _judged(statistic, (len(counts) - 1) * len(eigenvalues))


def _quadratic(deviation: FloatArray, scatter: FloatArray, moments: Moments) -> Association:
    """From T - μ, shape (p, q), and Σ (g_i - ḡ)(g_i - ḡ)ᵀ, shape (p, p).

    The eigenvalues of a Kronecker product are the products of those of its factors, so the pq × pq matrix is not built.
    """
    spread, axes = np.linalg.eigh(scatter * (moments.n / (moments.n - 1)))
    # Each factor in units of its largest eigenvalue, so that no product leaves the range of a float.
    eigenvalues = np.outer(spread / spread[-1], moments.eigenvalues / moments.eigenvalues[-1])
    kept = eigenvalues > TOLERANCE
    coordinates = axes.T @ deviation @ moments.eigenvectors / np.sqrt(spread[-1]) / np.sqrt(moments.eigenvalues[-1])
    return _judged(float((coordinates[kept] ** 2 / eigenvalues[kept]).sum()), int(kept.sum()))


def _judged(statistic: float, df: int) -> Association:
    return Association(statistic, log_survival(statistic, df))
