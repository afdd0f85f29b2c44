"""What a tree consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Label = bool | str
"""A level of a factor or a class of the response."""


@dataclass(frozen=True, slots=True)
class Test:
    """One covariate's test of independence from the response in one node.

    `p_value` is adjusted for the number of covariates tested there (Bonferroni only). Where it is too small for a
    float and reads 0, its natural logarithm `log_p_value` still tells covariates apart.
    """

    statistic: float
    p_value: float
    log_p_value: float


@dataclass(frozen=True, slots=True)
class Split:
    """Where the rows of a node go.

    Numeric and ordered covariates have a `cut`, a value that was observed: x <= cut goes to the first child. All
    others have `levels`, those of the first child, and `other_levels`, those of the second.

    `first_share` is the share of the first child among the training rows whose value was not missing.
    """

    column: str
    cut: float | str | None
    levels: tuple[Label, ...] | None
    other_levels: tuple[Label, ...] | None
    first_share: float

    @property
    def first_is_larger(self) -> bool:
        """Whether rows without a side of their own follow the first child; children of equal size: the second."""
        return self.first_share > 0.5


@dataclass(frozen=True, slots=True)
class Node:
    """One node: `n` training rows, what it predicts, the tests made in it, and its two children, if any.

    `prediction` is the mean of a numeric response, else the most frequent class (of equally frequent ones the first).
    `distribution` holds the share of each class, in the order of the tree's `classes`; it is None for a numeric
    response. `tests` is empty where none was made: too few rows, too deep, or a response that does not vary.
    `response` is for trees put together from nodes of different responses: what this one's prediction and tests are of.
    """

    id: int
    n: int
    prediction: float | Label
    tests: dict[str, Test]
    split: Split | None
    children: tuple[int, ...]
    distribution: tuple[float, ...] | None = None
    # Left out of the document where there is none, which is all that a tree with one response has to say.
    response: Annotated[str | None, Field(exclude_if=lambda response: response is None)] = None
