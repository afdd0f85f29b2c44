"""Which child a row goes to: the same rule for training rows and for new ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from venue_assets.methods.conditional_inference_tree.control import Control
from venue_assets.methods.conditional_inference_tree.covariates import MISSING, Column
from venue_assets.methods.conditional_inference_tree.nodes import Split

_SECOND, _FIRST, _NEITHER = 0, 1, 2


def goes_first(split: Split, column: Column, values: NDArray[Any], node_id: int, control: Control) -> NDArray[np.bool_]:
    """Whether each of the encoded values, shape (n,), goes to the first child.

    Levels that the node had not seen follow the larger child. Missing values do so with `majority`; else they are dealt
    out at random, in proportion to the children. With a seed, the same rows in the same order are dealt out alike:
    training rows passed through the finished tree reach the leaves that they helped to make.
    """
    if column.kind == "numeric":
        first = values <= split.cut
        missing = np.isnan(values)
    else:
        sides = _sides(split, column)[values]
        first, missing = sides == _FIRST, sides == _NEITHER
    if missing.any():
        if control.majority:
            first[missing] = split.first_is_larger
        else:
            seed = None if control.seed is None else (control.seed, node_id)
            first[missing] = np.random.default_rng(seed).random(np.count_nonzero(missing)) < split.first_share
    return first


def _sides(split: Split, column: Column) -> NDArray[np.int8]:
    """The side of each code: of all levels, then of a level never seen, last (where -1 points to) of a missing one."""
    sides = np.full(len(column.levels) + 2, _FIRST if split.first_is_larger else _SECOND, dtype=np.int8)
    sides[MISSING] = _NEITHER
    code = {level: code for code, level in enumerate(column.levels)}
    if isinstance(split.cut, str):
        after = code[split.cut] + 1
        sides[:after], sides[after : column.unseen] = _FIRST, _SECOND
    for side, levels in ((_FIRST, split.levels), (_SECOND, split.other_levels)):
        sides[[code[level] for level in levels or ()]] = side
    return sides
