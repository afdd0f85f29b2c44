"""The tree as users meet it: fit, apply, predict, to_dict, from_dict."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from venue_assets.methods.conditional_inference_tree.control import Control, TestType
from venue_assets.methods.conditional_inference_tree.covariates import (
    LARGEST,
    Column,
    columns_of,
    encode,
    expect_columns,
    too_large,
)
from venue_assets.methods.conditional_inference_tree.document import Document, dump, load
from venue_assets.methods.conditional_inference_tree.growth import grow
from venue_assets.methods.conditional_inference_tree.nodes import Label, Node
from venue_assets.methods.conditional_inference_tree.response import Response, influence
from venue_assets.methods.conditional_inference_tree.routing import goes_first


class ConditionalInferenceTree:
    """A conditional inference tree (Hothorn, Hornik & Zeileis 2006), as R partykit's `ctree` computes it.

    In each node every covariate is tested for independence from the response (quadratic statistic, chi-squared limit).
    While the smallest p-value is below `alpha` the node is split in two at the best split of that covariate, or, where
    every split of it leaves too few rows on a side, at that of the next significant one.

    alpha: significance level in (0, 1).
    minsplit: a node of fewer rows is not split.
    minbucket, minprob: no child gets fewer rows than max(minbucket, ⌈minprob · n⌉), n rows of its parent; rows whose
        value is missing do not count.
    maxdepth: levels below the root; None for any number.
    testtype: "bonferroni" adjusts p for the number of covariates that vary in the node, "univariate" does not;
        "teststatistic" splits the covariate with the largest statistic where that exceeds 1 - alpha (partykit's
        mincriterion taken literally); the p-values shown are then not adjusted.
    majority: rows whose value is missing go to the larger child; otherwise to either at random, in proportion.
    seed: makes that chance repeatable, in `fit` as in `apply`.
    ordered: names of Enum columns whose order counts.

    Covariates may be numeric, Boolean (a factor of two levels), or String, Enum or Categorical (unordered factors).
    Null and NaN are missing: such a row takes no part in that covariate's test and split. The response may be numeric,
    Boolean, or names of classes. A covariate that does not vary in a node has statistic 0 and p-value 1 there and does
    not count in the adjustment (partykit leaves it out); one without any value has no test.

    Unordered factors of more than 10 levels (present in the node) are split along the order of their mean response,
    which is exact for a numeric or two-class response unless the best split is ruled out by minbucket; for more
    classes, along the first principal component of the class shares, which is a heuristic.

    There are no case weights: as ctree defines them they count rows, so that weights such as 1 / propensity would
    overstate the sample and its significance. For groups of similar effect, fit the propensity-weighted outcome as y.

    Raises ValueError for a setting out of range.
    """

    def __init__(
        self,
        alpha: float = 0.05,
        minsplit: int = 20,
        minbucket: int = 7,
        minprob: float = 0.01,
        maxdepth: int | None = None,
        testtype: TestType = "bonferroni",
        majority: bool = False,
        seed: int | None = None,
        ordered: Collection[str] = (),
    ) -> None:
        self.control = Control(alpha, minsplit, minbucket, minprob, maxdepth, testtype, majority, seed)
        self.ordered = ordered
        self._fitted: tuple[Response, list[Column], list[Node]] | None = None

    def fit(self, X: pl.DataFrame, y: pl.Series) -> ConditionalInferenceTree:
        """Grows the tree from one row per unit: covariates `X`, response `y`. Returns the tree itself.

        Fewer rows than minsplit, or a response that does not vary, give a single leaf. Raises ValueError for tables
        without rows or columns or of different length, columns of other types than those above, missing or infinite
        responses, and infinite covariates.
        """
        if not isinstance(X, pl.DataFrame):
            raise ValueError(f"X is given as {type(X).__name__}; a polars DataFrame is expected")
        if X.height == 0 or X.width == 0:
            raise ValueError(f"X has {X.height} rows and {X.width} columns; at least one of each is expected")
        response, h = influence(y)
        if len(y) != X.height:
            raise ValueError(f"X has {X.height} rows, y has {len(y)}; one response per row is expected")
        columns = columns_of(X, self.ordered)
        values = encode(X, columns)
        for column, x in zip(columns, values, strict=True):
            _refuse_too_large(column, x)
        self._fitted = response, columns, grow(columns, values, response, h, self.control)
        return self

    @property
    def nodes(self) -> list[Node]:
        """All nodes in preorder; node id i stands at i - 1. Raises ValueError before `fit`."""
        return self._tree[2]

    @property
    def classes(self) -> tuple[Label, ...] | None:
        """The classes of the response, in the order of `Node.distribution`; None for a numeric response."""
        return self._tree[0].classes

    def apply(self, X: pl.DataFrame) -> pl.Series:
        """The leaf of each row: ids as Int32 Series `leaf_id`, as long as X.

        Levels that a node had not seen go to its larger child, and infinities to the side where they lie. Raises
        ValueError where X lacks a column of `fit`, or has one that the tree splits in another kind.
        """
        return pl.Series("leaf_id", self._leaves(X))

    def predict(self, X: pl.DataFrame) -> pl.Series:
        """What the leaf of each row predicts, as Series `prediction`: its mean, or its most frequent class.

        Raises ValueError as `apply` does.
        """
        leaves = self._leaves(X)
        return pl.Series("prediction", [node.prediction for node in self.nodes]).gather(leaves - 1)

    def to_dict(self) -> dict[str, Any]:
        """The fitted tree in JSON's own types; equal trees give equal dictionaries. Raises ValueError before `fit`."""
        response, columns, nodes = self._tree
        return dump(Document(1, "conditional_inference_tree", self.control, response, tuple(columns), tuple(nodes)))

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> ConditionalInferenceTree:
        """The tree that `to_dict` wrote down. Raises ValueError for anything else, and says where it differs."""
        document = load(given)
        tree = cls(ordered=tuple(column.name for column in document.columns if column.kind == "ordered"))
        tree.control = document.control
        tree._fitted = document.response, list(document.columns), list(document.nodes)
        return tree

    @property
    def _tree(self) -> tuple[Response, list[Column], list[Node]]:
        if self._fitted is None:
            raise ValueError("this tree has not been fitted; call fit(X, y) first, or from_dict")
        return self._fitted

    def _leaves(self, table: pl.DataFrame) -> NDArray[np.int32]:
        _, columns, nodes = self._tree
        expect_columns(table, columns)
        asked = {node.split.column for node in nodes if node.split}
        column_of = {column.name: column for column in columns if column.name in asked}
        values = dict(zip(column_of, encode(table, list(column_of.values())), strict=True))
        leaves = np.empty(table.height, dtype=np.int32)
        pending = [(nodes[0], np.arange(table.height))]
        while pending:
            node, rows = pending.pop()
            if node.split is None:
                leaves[rows] = node.id
                continue
            column = column_of[node.split.column]
            first = goes_first(node.split, column, values[column.name].take(rows), node.id, self.control)
            for child, side in zip(node.children, (first, ~first), strict=True):
                pending.append((nodes[child - 1], rows.take(np.flatnonzero(side))))
        return leaves


def _refuse_too_large(column: Column, x: NDArray[Any]) -> None:
    if column.kind == "numeric" and too_large(x):
        raise ValueError(
            f"column {column.name!r} has infinite values or some beyond ±{LARGEST:g}; smaller numbers are expected: "
            "bound them, or make them null if they are not known"
        )
