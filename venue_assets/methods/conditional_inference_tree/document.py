"""A tree as JSON: everything that classifying and explaining needs, and proof that what is read can be used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from venue_assets.methods.conditional_inference_tree.control import Control
from venue_assets.methods.conditional_inference_tree.covariates import Column
from venue_assets.methods.conditional_inference_tree.nodes import Label, Node, Split
from venue_assets.methods.conditional_inference_tree.response import Response


@dataclass(frozen=True, slots=True)
class Document:
    """A fitted tree."""

    schema: Literal[1]
    method: Literal["conditional_inference_tree"]
    control: Control
    response: Response
    columns: tuple[Column, ...]
    nodes: tuple[Node, ...]


_DOCUMENT = TypeAdapter(Document)


def dump(document: Document) -> dict[str, Any]:
    """The document in JSON's own types."""
    dumped: dict[str, Any] = _DOCUMENT.dump_python(document, mode="json")
    return dumped


def load(given: dict[str, Any]) -> Document:
    """The document that `dump` made.

    Raises ValueError where a key is missing, unknown or of another type, or where the nodes are not a tree over the
    columns; the message says where.
    """
    try:
        text = json.dumps(given, allow_nan=False)
        document = _DOCUMENT.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise _refused(f"{where}: {first['msg']}, but {str(first['input'])[:80]!r} is given") from None
    except (TypeError, ValueError) as error:
        raise _refused(str(error)) from None
    if dump(document) != json.loads(text):
        raise _refused("it has keys that a tree does not have")
    _check_levels(document)
    _check_preorder(document.nodes)
    columns = {column.name: column for column in document.columns}
    for node in document.nodes:
        _check_node(node, document.response, columns)
        if node.split:
            _check_split(f"node {node.id}", node.split, columns)
    return document


def _refused(reason: str) -> ValueError:
    return ValueError(f"this is no tree as to_dict makes it: {reason}. Hand over what to_dict returned, unchanged")


def _expect(holds: bool, reason: str) -> None:
    if not holds:
        raise _refused(reason)


def _check_levels(document: Document) -> None:
    names = [column.name for column in document.columns]
    _expect(len(set(names)) == len(names) > 0, f"columns are named {names}")
    for column in document.columns:
        fits = {"numeric": column.levels == (), "boolean": column.levels == (False, True)}
        _expect(fits.get(column.kind, _are_names(column.levels)), f"column {column.name!r} has levels {column.levels}")
    classes = document.response.classes
    _expect(classes in (None, (False, True)) or _are_names(classes or ()), f"response has the classes {classes}")


def _are_names(levels: Sequence[Label]) -> bool:
    return all(isinstance(level, str) for level in levels) and len(set(levels)) == len(levels)


def _check_preorder(nodes: Sequence[Node]) -> None:
    """Node by node: the next id is the one that is due, and a split node's two children are due before all others."""
    due = [1]
    for node in nodes:
        _expect(bool(due) and node.id == due.pop(), f"node {node.id} stands where preorder has another")
        _expect(len(node.children) == (2 if node.split else 0), f"node {node.id} has {len(node.children)} children")
        _expect(all(node.id < child <= len(nodes) for child in node.children), f"node {node.id} has no such children")
        _expect(not node.children or node.children[0] == node.id + 1, f"node {node.id}'s first child is not the next")
        _expect(
            not node.children or sum(nodes[child - 1].n for child in node.children) == node.n,
            f"node {node.id} has {node.n} rows, its children together another number",
        )
        due += reversed(node.children)
    _expect(not due, f"nodes {due} are missing")


def _check_node(node: Node, response: Response, columns: dict[str, Column]) -> None:
    where = f"node {node.id}"
    _expect(node.n > 0, f"{where} has {node.n} rows")
    if response.classes is None:
        fits = isinstance(node.prediction, float) and node.distribution is None
    else:
        shares = node.distribution or ()
        fits = node.prediction in response.classes and len(shares) == len(response.classes)
        fits = fits and not isinstance(node.prediction, float) and all(0 <= share <= 1 for share in shares)
    _expect(fits, f"{where} predicts {node.prediction!r} with the shares {node.distribution}")
    for name, test in node.tests.items():
        _expect(name in columns, f"{where} tests {name!r}, which is no column")
        _expect(
            test.statistic >= 0 and 0 <= test.p_value <= 1 and test.log_p_value <= 0,
            f"{where}'s test of {name!r} is {test}",
        )


def _check_split(where: str, split: Split, columns: dict[str, Column]) -> None:
    _expect(split.column in columns, f"{where} splits {split.column!r}, which is no column")
    _expect(0 < split.first_share < 1, f"{where} sends a share of {split.first_share} to its first child")
    column = columns[split.column]
    first, second = split.levels, split.other_levels
    if column.kind == "numeric":
        fits = isinstance(split.cut, float) and isfinite(split.cut) and first is second is None
    elif column.kind == "ordered":
        fits = split.cut in column.levels[:-1] and first is second is None
    else:
        both = (*(first or ()), *(second or ()))
        fits = split.cut is None and bool(first) and bool(second) and len(set(both)) == len(both)
        fits = fits and set(both) <= set(column.levels)
    _expect(fits, f"{where} cannot split {split.column!r} ({column.kind}) by {split}")
