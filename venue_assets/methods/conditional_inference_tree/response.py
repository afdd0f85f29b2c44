"""The response as influence function h(y), and what a node says about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from venue_assets.methods.conditional_inference_tree.covariates import LARGEST, codes_of, is_text, levels_of, too_large
from venue_assets.methods.conditional_inference_tree.nodes import Label

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Response:
    """What was to be explained: a number, or one of `classes`."""

    classes: tuple[Label, ...] | None

    def summary(self, mean: FloatArray) -> tuple[float | Label, tuple[float, ...] | None]:
        """Prediction and class shares of a node from the mean of h(y) in it, shape (q,)."""
        if self.classes is None:
            return float(mean[0]), None
        shares = mean if len(self.classes) > 2 else np.array([1 - mean[0], mean[0]])[: len(self.classes)]
        return self.classes[int(np.argmax(shares))], tuple(float(share) for share in shares)


def influence(y: pl.Series) -> tuple[Response, FloatArray]:
    """The response and its h(y), shape (q, rows).

    Numeric y stays as it is (q = 1); two classes become the indicator of the second (q = 1), more classes an indicator
    each (q = number of classes). Raises ValueError for missing or infinite values and for types that are no response.
    """
    if not isinstance(y, pl.Series):
        raise ValueError(f"y is given as {type(y).__name__}; a polars Series is expected: pl.Series('y', values)")
    missing = y.null_count() + (int(y.is_nan().sum()) if y.dtype.is_float() else 0)
    if missing:
        raise ValueError(f"y has {missing} missing values; leave those rows out of X and y, or say what they stand for")
    if y.dtype.is_numeric():
        h = y.cast(pl.Float64).to_numpy()
        if too_large(h):
            raise ValueError(
                f"y has infinite values or some beyond ±{LARGEST:g}; smaller numbers are expected: leave those rows "
                "out or bound them"
            )
        return Response(None), h[np.newaxis]
    classes: tuple[Label, ...]
    if isinstance(y.dtype, pl.Boolean):
        classes = (False, True)
    elif is_text(y.dtype):
        classes = levels_of(y)
    else:
        raise ValueError(f"y is {y.dtype}; a numeric, Boolean, String, Enum or Categorical Series is expected")
    codes = codes_of(y, classes)
    indicated = range(len(classes)) if len(classes) > 2 else (1,)
    return Response(classes), np.stack([(codes == code).astype(np.float64) for code in indicated])
