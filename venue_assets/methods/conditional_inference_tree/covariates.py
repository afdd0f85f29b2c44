"""Covariates as arrays: floats with NaN for numeric columns, level codes for all others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from venue_assets.methods.conditional_inference_tree.nodes import Label

Kind = Literal["numeric", "boolean", "factor", "ordered"]

MISSING = -1
"""The code of a missing value. It picks the last entry of a table by code, so such tables end with one for it."""

LARGEST = 1e150
"""Numbers are at most this large, so that their squares can be summed up."""


@dataclass(frozen=True, slots=True)
class Column:
    """A covariate as it was at `fit`; `levels` in their order, none for numeric columns."""

    name: str
    kind: Kind
    levels: tuple[Label, ...] = ()

    @property
    def unseen(self) -> int:
        """The code of a level that was not there at `fit`."""
        return len(self.levels)


def columns_of(table: pl.DataFrame, ordered: Collection[str]) -> list[Column]:
    """What the columns of a training table are.

    Raises ValueError for a column of a type that is no covariate, and for names in `ordered` without an order.
    """
    if isinstance(ordered, str) or not all(isinstance(name, str) for name in ordered):
        raise ValueError(f"ordered is {ordered!r}; a list of column names is expected")
    if unknown := sorted(set(ordered) - set(table.columns)):
        raise ValueError(f"ordered names {unknown}, which X does not have; its columns are {table.columns}")
    return [_column(series, series.name in ordered) for series in table]


def encode(table: pl.DataFrame, columns: Sequence[Column]) -> list[NDArray[Any]]:
    """One array of shape (rows,) per column: float64 with NaN, or signed integer codes with `MISSING`.

    Raises ValueError where the table has a column in another kind than at `fit`.
    """
    return [_encode(table[column.name], column) for column in columns]


def expect_columns(table: pl.DataFrame, columns: Sequence[Column]) -> None:
    """Raises ValueError unless `table` is a table with all these columns."""
    if not isinstance(table, pl.DataFrame):
        raise ValueError(f"X is given as {type(table).__name__}; a polars DataFrame is expected")
    if absent := [column.name for column in columns if column.name not in table.columns]:
        raise ValueError(f"X lacks the columns {absent}; the tree was fitted with {[c.name for c in columns]}")


def known(column: Column, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the encoded values, shape (rows,), are not missing."""
    kept: NDArray[np.bool_] = ~np.isnan(values) if column.kind == "numeric" else values != MISSING
    return kept


def too_large(x: NDArray[np.float64]) -> bool:
    """Whether any number, NaN apart, is infinite or beyond `LARGEST`."""
    return bool(np.fmax.reduce(x) > LARGEST or np.fmin.reduce(x) < -LARGEST)


def is_text(dtype: pl.DataType) -> bool:
    """Whether values of this type are names of levels."""
    return isinstance(dtype, (pl.String, pl.Enum, pl.Categorical))


def levels_of(series: pl.Series) -> tuple[str, ...]:
    """The levels of a column of names: those of the Enum in its order, else the values that occur, sorted."""
    if isinstance(series.dtype, pl.Enum):
        return tuple(series.dtype.categories)
    return tuple(series.unique().drop_nulls().cast(pl.String).sort())


def codes_of(series: pl.Series, levels: Sequence[Label]) -> NDArray[np.signedinteger[Any]]:
    """Positions in `levels`, shape (rows,): `len(levels)` for any other value, `MISSING` for null."""
    unseen = len(levels)
    if isinstance(series.dtype, pl.Boolean):
        physical, table = series.cast(pl.Int8), np.arange(2)
    else:
        if isinstance(series.dtype, pl.Categorical):
            series = series.cast(pl.String)
        if not isinstance(series.dtype, pl.Enum):
            series = series.cast(pl.Enum(levels_of(series)))
        position = {level: code for code, level in enumerate(levels)}
        physical = series.to_physical()
        table = np.array([position.get(level, unseen) for level in series.dtype.categories], dtype=np.int64)  # type: ignore[attr-defined]
    # The narrowest type that holds all codes: rows are copied from node to node.
    table = np.append(table, MISSING).astype(np.min_scalar_type(-unseen - 1))
    if not physical.null_count() and np.array_equal(table[:-1], np.arange(table.size - 1)):
        return physical.to_numpy().astype(table.dtype)
    codes: NDArray[np.signedinteger[Any]] = table[physical.cast(pl.Int64).fill_null(MISSING).to_numpy()]
    return codes


def _column(series: pl.Series, ordered: bool) -> Column:
    if ordered:
        if not isinstance(series.dtype, pl.Enum):
            raise ValueError(
                f"ordered names {series.name!r}, which is {series.dtype}: the order of its levels is not known; "
                "cast it to a pl.Enum of its levels from lowest to highest"
            )
        return Column(series.name, "ordered", levels_of(series))
    if isinstance(series.dtype, pl.Boolean):
        return Column(series.name, "boolean", (False, True))
    if is_text(series.dtype):
        return Column(series.name, "factor", levels_of(series))
    if _is_numeric(series.dtype):
        return Column(series.name, "numeric")
    raise ValueError(
        f"column {series.name!r} is {series.dtype}; a numeric, Boolean, String, Enum or Categorical column is "
        "expected: turn it into one of these (a date, say, into a weekday) or leave it out"
    )


def _is_numeric(dtype: pl.DataType) -> bool:
    """A column without any value has the type Null; it takes no part in any test, whatever it was meant to be."""
    return dtype.is_numeric() or isinstance(dtype, pl.Null)


def _encode(series: pl.Series, column: Column) -> NDArray[Any]:
    if column.kind == "numeric":
        if _is_numeric(series.dtype):
            return series.cast(pl.Float64).to_numpy()
    elif isinstance(series.dtype, pl.Null):
        return np.full(len(series), MISSING, dtype=np.min_scalar_type(-column.unseen - 1))
    elif isinstance(series.dtype, pl.Boolean) if column.kind == "boolean" else is_text(series.dtype):
        return codes_of(series, column.levels)
    raise ValueError(
        f"column {series.name!r} is {series.dtype}, but was {column.kind} when the tree was fitted; "
        "cast it to what it was"
    )
