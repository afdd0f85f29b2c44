"""How a tree grows: test, choose, split, repeat (Hothorn, Hornik & Zeileis 2006, section 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from venue_assets.methods.conditional_inference_tree.association import Association, association
from venue_assets.methods.conditional_inference_tree.chi_squared import bonferroni
from venue_assets.methods.conditional_inference_tree.control import Control
from venue_assets.methods.conditional_inference_tree.covariates import Column
from venue_assets.methods.conditional_inference_tree.moments import FloatArray, Moments
from venue_assets.methods.conditional_inference_tree.nodes import Node, Test
from venue_assets.methods.conditional_inference_tree.response import Response
from venue_assets.methods.conditional_inference_tree.routing import goes_first
from venue_assets.methods.conditional_inference_tree.splits import best_split

TRIED = 2
"""So many covariates, the most significant ones, are searched for a split that leaves enough rows on either side."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A node to come: its rows of every covariate, each of shape (n,), and of h(y), shape (q, n)."""

    values: list[NDArray[Any]]
    h: FloatArray
    depth: int
    parent: int | None


def grow(
    columns: Sequence[Column], values: Sequence[NDArray[Any]], response: Response, h: FloatArray, control: Control
) -> list[Node]:
    """The nodes in preorder, from encoded covariates, each of shape (n,), and h(y), shape (q, n)."""
    nodes: list[Node] = []
    children: list[list[int]] = []
    scratch = np.empty_like(h)
    # Rows are copied from parent to child, so that every pass over a node runs through memory in order. Nodes wait on
    # a stack, not in calls, so that no more than about two copies of the table exist at any time.
    pending = [_Pending(list(values), h, depth=0, parent=None)]
    while pending:
        place = pending.pop()
        node_id = len(nodes) + 1
        if place.parent is not None:
            children[place.parent - 1].append(node_id)
        node, first = _examine(node_id, place, scratch, columns, response, control)
        nodes.append(node)
        children.append([])
        if first is not None:
            pending += [_child(place, rows, node_id) for rows in (np.flatnonzero(~first), np.flatnonzero(first))]
    return [replace(node, children=tuple(found)) for node, found in zip(nodes, children, strict=True)]


def _examine(
    node_id: int, place: _Pending, scratch: FloatArray, columns: Sequence[Column], response: Response, control: Control
) -> tuple[Node, NDArray[np.bool_] | None]:
    """The node without its children, and which of its rows go to the first of them, if it is split."""
    n = place.h.shape[1]
    moments = Moments.of(place.h, scratch[:, :n])
    prediction, distribution = response.summary(moments.mean)
    leaf = Node(node_id, n, prediction, {}, None, (), distribution)
    if n < control.minsplit or place.depth == control.maxdepth or moments.constant:
        return leaf, None
    found = [association(column, x, moments) for column, x in zip(columns, place.values, strict=True)]
    tests = _tests(found, control)
    leaf = replace(leaf, tests={columns[j].name: test for j, test in tests.items()})
    for j in _candidates(tests, control):
        split = best_split(columns[j], place.values[j], moments, control.minimum(n))
        if split is not None:
            return replace(leaf, split=split), goes_first(split, columns[j], place.values[j], node_id, control)
    return leaf, None


def _tests(found: Sequence[Association | None], control: Control) -> dict[int, Test]:
    """The tests made, by position of their covariate, adjusted for the number of covariates that could be tested."""
    testable = sum(1 for tested in found if tested is not None and tested.testable)
    tests = {}
    for j, tested in enumerate(found):
        if tested is not None:
            p_value, log_p = bonferroni(tested.log_p, testable if control.testtype == "bonferroni" else 1)
            tests[j] = Test(tested.statistic, p_value, log_p)
    return tests


def _candidates(tests: dict[int, Test], control: Control) -> Iterator[int]:
    """The covariates to be split, best first; of equally good ones the last, as partykit has it."""
    if control.testtype == "teststatistic":
        ranked = sorted((j for j in tests if tests[j].statistic > 1 - control.alpha), key=lambda j: tests[j].statistic)
    else:
        ranked = sorted((j for j in tests if tests[j].p_value < control.alpha), key=lambda j: -tests[j].log_p_value)
    return iter(ranked[: -TRIED - 1 : -1])


def _child(place: _Pending, rows: NDArray[np.intp], parent: int) -> _Pending:
    return _Pending([x.take(rows) for x in place.values], place.h.take(rows, axis=1), place.depth + 1, parent)
