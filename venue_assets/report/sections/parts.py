"""What sections share: empty blocks, tables of numbers, links to definitions, names of segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from venue_assets.report.blocks import Block, Table
from venue_assets.report.wording import Words
from venue_assets.semantic_layer.metrics import registry

MOST: Final = 10
"""Bars of a ranking."""

SEGMENTS_ZH: Final = {
    "important_value": "重要价值",
    "important_develop": "重要发展",
    "important_keep": "重要保持",
    "important_win_back": "重要挽留",
    "general_value": "一般价值",
    "general_develop": "一般发展",
    "general_keep": "一般保持",
    "general_win_back": "一般挽留",
    "visitor": "到访未购",
    "new": "新访客",
}


def segment_name(words: Words, segment: str) -> str:
    """A segment by its name."""
    return words(segment.replace("_", " ").capitalize(), SEGMENTS_ZH.get(segment, segment))


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
