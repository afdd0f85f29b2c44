"""DAX of the registry's metrics: measures by the names that people read, blank where they would mean nothing.

That is money of two currencies, and what is cut by a dimension by which a question in SQL is refused
(semantic_layer/query.py). Power BI would answer: it ignores a filter that does not reach a table, so that of a rate one
half would be cut and the other not.

What does not belong here: the formulas (metrics.yaml), and where measures stand in a model (model.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from venue_assets.semantic_layer.metrics import Dimension, Metric, Registry
from venue_assets.semantic_layer.query import meaningless
from venue_assets.semantic_layer.star import Star

_STRING: Final = r'"(?:[^"]|"")*"'
_COLUMN: Final = r"(?:'(?P<quoted>[^']+)'|(?P<table>\b[A-Za-z_]\w*))\[(?P<column>[^\]]+)\]"
_MEASURE: Final = r"\[(?P<measure>[^\]]+)\]"
_CALL: Final = r"\b(?P<function>[A-Za-z][A-Za-z0-9.]*)\s*\("
_TABLE: Final = r"(?P<bare>\b(?!(?:NOT|IN)\b)[A-Za-z_]\w*)"
_TOKEN: Final = re.compile("|".join((_STRING, _COLUMN, _MEASURE, _CALL, _TABLE)))


@dataclass(frozen=True)
class References:
    """What an expression speaks of."""

    columns: frozenset[tuple[str, str]]
    measures: frozenset[str]
    functions: frozenset[str]
    tables: frozenset[str]


def references(expression: str) -> References:
    """The columns, measures, functions and tables that an expression names. Functions are written in capitals."""
    tokens = list(_TOKEN.finditer(expression))
    columns = {(t["quoted"] or t["table"], t["column"]) for t in tokens if t["column"]}
    return References(
        frozenset(columns),
        frozenset(t["measure"] for t in tokens if t["measure"]),
        frozenset(t["function"] for t in tokens if t["function"]),
        frozenset({t["bare"] for t in tokens if t["bare"]} | {table for table, _ in columns}),
    )


def measure_names(registry: Registry, columns: Iterable[str]) -> dict[str, str]:
    """The name of each metric's measure: its English label, or its registry name in words where a column is so called.

    Power BI forbids a measure named like a column beside it, and takes one for the other elsewhere.
    """
    taken = {column.casefold() for column in columns}
    names = {}
    for metric in registry:
        label = metric.label.en
        if label.casefold() in taken:
            label = metric.name.replace("_", " ").capitalize()
        names[metric.name] = label
        taken.add(label.casefold())
    return names


def formula(metric: Metric, names: Mapping[str, str], registry: Registry, star: Star) -> str:
    """The DAX of a metric's measure."""

    def named(token: re.Match[str]) -> str:
        return f"[{names[token['measure']]}]" if token["measure"] else token[0]

    expression = _TOKEN.sub(named, metric.dax.strip())
    conditions = [f"DISTINCTCOUNT({metric.fact}[currency]) <= 1"] if metric.is_money and metric.fact else []
    if metric.aggregate or metric.parts:  # what is made of other measures is blank with them
        conditions += [f"NOT(ISFILTERED({place}))" for place in _guarded(metric, registry, star)]
    if not conditions:
        return expression
    indented = "\n".join(f"    {line}" for line in expression.splitlines())
    return f"IF(\n    {' && '.join(conditions)},\n{indented}\n)"


def _guarded(metric: Metric, registry: Registry, star: Star) -> list[str]:
    """Tables and columns on which a filter would cut the metric by a dimension that means nothing for it."""
    own = registry.facts(metric)
    found = [place for d in meaningless(registry, star, metric) for place in _places(d, own, star)]
    return list(dict.fromkeys(found))


def _places(dimension: Dimension, own: Collection[str], star: Star) -> Iterator[str]:
    """Where a reader can ask for a dimension: in the table that describes it, or else in the facts that have it.

    Of the metric's own facts also by the key of that table, and by a column of their own.
    """
    facts = sorted((table for table in star if table.is_fact), key=lambda table: table.name)
    described = {
        (fact.name, key): table
        for fact in facts
        for key, table in fact.refers.items()
        if table == dimension.of or (dimension.of is None and dimension.column in star[table].columns)
    }
    yield from sorted(set(described.values()))
    yield from (f"{fact}[{key}]" for fact, key in described if fact in own)
    if dimension.of is None:
        having = [fact.name for fact in facts if dimension.column in fact.columns]
        yield from (f"{fact}[{dimension.column}]" for fact in having if fact in own or not described)


def format_string(metric: Metric) -> str:
    """The registry's number format as Power BI writes it."""
    return metric.format.replace(" %", "%")
