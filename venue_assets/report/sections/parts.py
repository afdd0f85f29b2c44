"""What sections share: empty blocks, tables of numbers, links to definitions, names of segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from venue_assets.report.blocks import Block, Table
from venue_assets.report.wording import Words
from venue_assets.semantic_layer.metrics import registry

MOST: Final = 10
"""Bars of a ranking."""


def segment_name(words: Words, segment: str) -> str:
    """A segment by its name."""
    known = registry().segments.get(segment)
    return known[words.language] if known else segment


def count(words: Words, n: int | None) -> str:
    """A number of people; none where there are too few to be told."""
    return words.withheld if n is None else words.number(n)


def links(words: Words, *names: str) -> list[tuple[str, str]]:
    return [(name, registry()[name].label[words.language]) for name in names]


def empty(title: str, sentence: str) -> Block:
    return Block(title, sentence, is_empty=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: set[int] | None = None) -> Table:
    """A table whose columns are numbers but for the first one, unless said otherwise."""
    return Table(columns, rows, frozenset(range(1, len(columns)) if right is None else right))
