"""What the semantic model is called in each language: captions, descriptions and folders of tables, columns, measures.

What does not belong here: the texts, which are the registry's and captions.yaml's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from venue_assets.powerbi import funnel
from venue_assets.powerbi.captions import (
    column_caption,
    column_description,
    measure_description,
    table_caption,
    table_description,
)
from venue_assets.powerbi.tmdl import Node
from venue_assets.semantic_layer.metrics import Language, Registry
from venue_assets.semantic_layer.star import Star, StarTable

CULTURES: Final[Mapping[str, Language]] = {"en-US": "en", "zh-CN": "zh"}


def translations(culture: str, registry: Registry, star: Star, names: Mapping[str, str], measures: str) -> Node:
    """Everything of the model in the language of a culture; `measures` is the table that holds them, under `names`."""
    language = CULTURES[culture]

    def table(name: str, contract: StarTable | None, columns: Iterable[str], more: Iterable[Node] = ()) -> Node:
        captions = []
        for column in columns:
            given = contract.columns[column] if contract else None
            caption = column_caption(column, registry)[language]
            description = column_description(name, column, given, registry, language)
            captions.append(Node("column", column, properties={"caption": caption, "description": description}))
        texts: dict[str, str | bool] = {
            "caption": table_caption(name)[language],
            "description": table_description(name, contract, language),
        }
        return Node("table", name, properties=texts, children=[*more, *captions])

    def measure(name: str, caption: str, description: str, folder: str) -> Node:
        texts: dict[str, str | bool] = {
            "caption": caption,
            "description": description,
            "displayFolder": registry.folders[folder][language],
        }
        return Node("measure", name, properties=texts)

    metrics = [
        measure(names[m.name], m.label[language], measure_description(m, registry, star, language), m.folder)
        for m in registry
    ]
    stages = table_caption(funnel.TABLE)[language], table_description(funnel.TABLE, None, language)
    translated = [
        table(measures, None, ["placeholder"], [*metrics, measure(funnel.MEASURE, *stages, funnel.FOLDER)]),
        table(funnel.TABLE, None, [funnel.NUMBER, funnel.STAGE]),
        *(table(t.name, t, t.columns) for t in sorted(star, key=lambda t: t.name)),
    ]
    model = Node("model", "Model", children=translated)
    return Node("cultureInfo", culture, children=[Node("translations", children=[model])])
