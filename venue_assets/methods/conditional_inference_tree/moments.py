"""Mean and covariance of the influence function over the rows of a test: conditional on these, all else is chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

TOLERANCE = float(np.sqrt(np.finfo(np.float64).eps))
"""Eigenvalues up to this share of the largest count as zero, as in partykit (libcoin)."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Of h(y) over n rows: `centred` = h(y) - mean, shape (q, n), and its covariance (divisor n) as eigenvalues, shape
    (q,), and eigenvectors, shape (q, q)."""

    n: int
    mean: FloatArray
    centred: FloatArray
    eigenvalues: FloatArray
    eigenvectors: FloatArray

    @classmethod
    def of(cls, h: FloatArray, out: FloatArray | None = None) -> Moments:
        """Moments of `h`, shape (q, n); `out`, of the same shape, is memory for `centred`."""
        n = h.shape[1]
        mean = h.mean(axis=1)
        centred = np.subtract(h, mean[:, np.newaxis], out=out)
        # einsum and not a matrix product: at q rows by n, threads cost more than they save.
        eigenvalues, eigenvectors = np.linalg.eigh(np.einsum("in,jn->ij", centred, centred) / n)
        return cls(n, mean, centred, eigenvalues, eigenvectors)

    def restricted(self, kept: NDArray[np.bool_]) -> Moments:
        """The same over some of the rows, at least one: those whose covariate is known."""
        return Moments.of(self.centred[:, kept])

    @property
    def constant(self) -> bool:
        """Whether the response does not vary over these rows, or by less than a square root of a float can tell."""
        return bool(self.eigenvalues[-1] == 0 or (self.centred.min(axis=1) == self.centred.max(axis=1)).all())

    def whitening(self) -> FloatArray:
        """W, shape (q, rank), such that a deviation d has the quadratic form |d W|² under the pseudo-inverse."""
        kept = self.eigenvalues > TOLERANCE * self.eigenvalues[-1]
        whitening: FloatArray = self.eigenvectors[:, kept] / np.sqrt(self.eigenvalues[kept])
        return whitening
