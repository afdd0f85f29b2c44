"""What tables and columns are called in English and Chinese: captions.yaml, and the registry's dimensions.

What does not belong here: metrics, whose labels are in the registry.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml

from venue_assets.semantic_layer.metrics import Language, Metric, Registry, Text
from venue_assets.semantic_layer.query import meaningless
from venue_assets.semantic_layer.star import Star, StarTable
from venue_assets.tables.catalogue import TableColumn

_FILE: Final = Path(__file__).with_name("captions.yaml")


@lru_cache(maxsize=1)
def _captions() -> dict[str, dict[str, Any]]:
    read: dict[str, dict[str, Any]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return read


def table_caption(name: str) -> Text:
    """What a table is called."""
    entry = _captions()["tables"][name]
    return Text(en=entry["en"], zh=entry["zh"])


def table_description(name: str, table: StarTable | None, language: Language) -> str:
    """What a table holds: in English from its contract."""
    if language == "en" and table:
        return f"{table.description} Grain: {table.grain}."
    text: str = _captions()["tables"][name]["description"][language]
    return text


def column_caption(name: str, registry: Registry) -> Text:
    """What a column is called, in whichever table it stands."""
    for dimension in registry.dimensions.values():
        if dimension.column == name:
            return dimension.label
    return Text(**_captions()["columns"][name])


def column_description(
    table: str, name: str, column: TableColumn | None, registry: Registry, language: Language
) -> str:
    """What a column holds: in English from its contract, if it has one."""
    if language == "en" and column:
        return f"{column.description} [{column.unit}]" if column.unit else column.description
    if language == "en":
        return column_caption(name, registry).en
    texts: dict[str, str] = _captions()["descriptions"]
    dimensions = {d.column: d.description.zh for d in registry.dimensions.values()}
    return texts.get(f"{table}.{name}") or texts.get(name) or dimensions[name]


def measure_description(metric: Metric, registry: Registry, star: Star, language: Language) -> str:
    """The definition of a metric with its unit, and where the measure is blank."""
    cut = [dimension.label[language] for dimension in meaningless(registry, star, metric)]
    if language == "en":
        text = f"{metric.description.en} [{registry.units[metric.unit].en}]"
        blank = ["where several currencies meet"] * metric.is_money + [f"by {label}" for label in cut]
        *most, last = blank or [""]
        return f"{text}. Blank {', '.join(most)}{' and ' if most else ''}{last}." if blank else text
    text = f"{metric.description.zh}［{registry.units[metric.unit].zh}］"
    blank = ["多种货币混合时"] * metric.is_money
    blank += [f"按{''.join(f'「{label}」' for label in cut)}划分时"] if cut else []
    return f"{text}。{'、'.join(blank)}为空。" if blank else text
