"""DAX of the registry's metrics: measures by the names that people read, and money guarded against two currencies.

What does not belong here: the formulas (metrics.yaml), and where measures stand in a model (model.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from venue_assets.semantic_layer.metrics import Metric, Registry

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


def formula(metric: Metric, names: Mapping[str, str]) -> str:
    """The DAX of a metric's measure."""

    def named(token: re.Match[str]) -> str:
        return f"[{names[token['measure']]}]" if token["measure"] else token[0]

    expression = _TOKEN.sub(named, metric.dax.strip())
    if not metric.is_money or metric.fact is None:
        return expression
    indented = "\n".join(f"    {line}" for line in expression.splitlines())
    return f"IF(\n    DISTINCTCOUNT({metric.fact}[currency]) <= 1,\n{indented}\n)"


def format_string(metric: Metric) -> str:
    """The registry's number format as Power BI writes it."""
    return metric.format.replace(" %", "%")
