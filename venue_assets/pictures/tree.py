"""Conditional inference trees: in each node the covariate and its p-value, on the branches where units go, then leaves.

A tree is drawn from its `to_dict`; covariates and their values are called as the registry calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final

from venue_assets.pictures.svg import CHARACTER, LINE, box, drawing, line, on_white, shortened, text
from venue_assets.semantic_layer.covariates import between, label, level
from venue_assets.semantic_layer.metrics import Language

_WIDE: Final = 186
"""Of a leaf, with the gap beside it."""
_BOX: Final = 128
_HIGH: Final = 176
"""From one level to the next."""
_MARGIN: Final = 24
_LEAF_FILL: Final = "#e8eef4"
_LINES: Final = 4
"""Of a label on a branch."""
_CHARACTERS: Final = 18
"""On a line of a node."""


def _wrapped(response: str) -> list[str]:
    return wrap(response, _CHARACTERS, break_long_words=False, break_on_hyphens=False)


@dataclass(frozen=True)
class Wording:
    """The words on a drawing."""

    language: Language = "en"
    """Of covariates and their values."""
    leaf: str = "leaf"
    mean: str | None = "mean"
    """None: means are not told."""
    written: Callable[[float], str] = "{:.4g}".format
    """How a mean is written."""
    response: Callable[[str], Sequence[str]] = _wrapped
    """What a node is about, in lines, where that differs between nodes."""
    more: str = "and {} more"
    tests: bool = True
    """Whether p-values are told."""
    between: tuple[str, str, str] = (", ", ", ", ": ")
    """Marks between levels, between what is said of a node, and before that; of an outline."""


@dataclass(frozen=True)
class Branch:
    """A node in words: who gets there and what it is; then the nodes below it."""

    words: str
    below: Sequence[Branch]


def outline(tree: Mapping[str, Any], wording: Wording = Wording()) -> Branch:
    """A tree in words, for whom a drawing is too wide or cannot be seen; every level is named."""
    nodes = {node["id"]: node for node in tree["nodes"]}
    listed, apart, then = wording.between

    def branch(number: int, who: str) -> Branch:
        node = nodes[number]
        split = node["split"]
        of = [" ".join(lines)] if (lines := _response(node, wording)) else []
        said = apart.join([*(_inner(node, wording) if split else _leaf(node, wording)), *of])
        if not split:
            sides: tuple[str, ...] = ()
        elif split["cut"] is not None:
            sides = tuple(side for (side,) in _labels(split, wording))
        else:
            sides = tuple(listed.join(_levels(split, side, wording)) for side in ("levels", "other_levels"))
        below = [branch(child, side) for child, side in zip(node["children"], sides, strict=True)]
        return Branch(f"{who}{then}{said}" if who else said, below)

    return branch(1, "")


def forest(trees: Iterable[tuple[str, Mapping[str, Any], Wording]], note: str = "") -> str:
    """Trees below each other, each with its title and its words; `note` at the end."""
    shapes: list[str] = []
    top, width = float(_MARGIN), 400.0
    for title, tree, wording in trees:
        nodes = {node["id"]: node for node in tree["nodes"]}
        place = _places(nodes)
        shapes.append(text(_MARGIN, top, title, anchor="start", bold=True))
        shapes += _tree(nodes, place, top + LINE, wording)
        levels = max(level for _, level in place.values())
        width = max(width, 2 * _MARGIN + _WIDE * (1 + max(x for x, _ in place.values())), len(title) * CHARACTER * 1.2)
        top += levels * _HIGH + 4 * LINE + 3 * _MARGIN
    if not shapes:
        shapes.append(text(_MARGIN, top, "There is no bandit on this date.", anchor="start"))
    elif note:
        shapes.append(text(_MARGIN, top, note, anchor="start"))
        width = max(width, 2 * _MARGIN + len(note) * CHARACTER)
    return drawing(width, top + _MARGIN, shapes)


def _places(nodes: Mapping[int, Mapping[str, Any]]) -> dict[int, tuple[float, int]]:
    """Column and level of each node: leaves side by side, every other node in the middle above its children."""
    level = {1: 0}
    place: dict[int, tuple[float, int]] = {}
    for number, node in sorted(nodes.items()):  # in preorder, so parents first
        level |= dict.fromkeys(node["children"], level[number] + 1)
    leaves = [number for number in sorted(nodes) if not nodes[number]["children"]]
    for number in sorted(nodes, reverse=True):
        children = nodes[number]["children"]
        x = sum(place[child][0] for child in children) / 2 if children else float(leaves.index(number))
        place[number] = x, level[number]
    return place


def _tree(
    nodes: Mapping[int, Mapping[str, Any]], place: Mapping[int, tuple[float, int]], top: float, wording: Wording
) -> Iterable[str]:
    centre = {n: (_MARGIN + _WIDE * (x + 0.5), top + _HIGH * level) for n, (x, level) in place.items()}
    for number, node in nodes.items():
        x, y = centre[number]
        for child, lines in zip(
            node["children"], _labels(node["split"], wording) if node["split"] else (), strict=True
        ):
            to_x, to_y = centre[child]
            below = y + _height(_lines(node, wording))
            yield line(x, below, to_x, to_y)
            # Nearer to the child, where branches are further apart.
            middle_x, middle_y = x + (to_x - x) * 0.72, below + (to_y - below) * 0.72
            for i, words in enumerate(lines):
                yield on_white(middle_x, middle_y + (i - (len(lines) - 1) / 2) * LINE, words)
    for number, node in nodes.items():
        x, y = centre[number]
        lines = _lines(node, wording)
        fill, round_ = ("white", 12) if node["split"] else (_LEAF_FILL, 0)
        yield box(x - _BOX / 2, y, _BOX, _height(lines), fill, round_=round_)
        for i, words in enumerate(lines):
            yield text(x, y + LINE * (i + 1), words, bold=i == 0)


def _height(lines: list[str]) -> float:
    return LINE * len(lines) + 10


def _lines(node: Mapping[str, Any], wording: Wording) -> list[str]:
    """What is written in a node; a line that is too long for it ends in an ellipsis."""
    said = _inner(node, wording) if node["split"] else _leaf(node, wording)
    return [*said, *(shortened(words, _CHARACTERS) for words in _response(node, wording))]


def _inner(node: Mapping[str, Any], wording: Wording) -> list[str]:
    column = node["split"]["column"]
    p = node["tests"][column]["p_value"]
    test = ["p < 0.001" if p < 0.001 else f"p = {p:.3f}"] if wording.tests else []
    return [shortened(label(column, wording.language), _CHARACTERS), *test]


def _leaf(node: Mapping[str, Any], wording: Wording) -> list[str]:
    mean = [f"{wording.mean} {wording.written(float(node['prediction']))}"] if wording.mean else []
    return [f"{wording.leaf} {node['id']}", f"n = {node['n']:,}", *mean]


def _response(node: Mapping[str, Any], wording: Wording) -> Sequence[str]:
    """What the node is about, where that differs between nodes."""
    return wording.response(node["response"]) if node.get("response") else ()


def _labels(split: Mapping[str, Any], wording: Wording) -> tuple[list[str], list[str]]:
    column, cut = split["column"], split["cut"]
    if cut is not None:
        return [between(column, None, cut, wording.language)], [between(column, cut, None, wording.language)]
    return _listed(split, "levels", wording), _listed(split, "other_levels", wording)


def _levels(split: Mapping[str, Any], side: str, wording: Wording) -> list[str]:
    return [level(split["column"], of, wording.language) for of in split[side]]


def _listed(split: Mapping[str, Any], side: str, wording: Wording) -> list[str]:
    lines = [shortened(words, 20) for words in _levels(split, side, wording)]
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], wording.more.format(len(lines) - _LINES + 1)]
