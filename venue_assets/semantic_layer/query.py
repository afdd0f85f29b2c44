"""A question about metrics as one SQL statement over the star: which metrics, by which dimensions, of which rows.

Each fact is aggregated once, the results are put side by side, and expressions are worked out on top. Money is null
where a group holds two currencies; with `smallest_cell`, what rests on fewer people is null too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import sqlglot
from sqlglot import exp

from venue_assets.semantic_layer.metrics import Aggregate, Dimension, Metric, Registry
from venue_assets.semantic_layer.star import Star, StarTable

T = TypeVar("T", Metric, Dimension)

SCHEMA: Final = "star"


class QuestionError(ValueError):
    """A question that has no answer: says what was asked and what can be."""


def dimensions_of(registry: Registry, star: Star, metric: Metric) -> list[Dimension]:
    """What a metric can be split by: the dimensions that all facts behind it have."""
    facts = [star[fact] for fact in registry.facts(metric)]
    excluded = registry.excluded(metric)
    return [d for d in registry.dimensions.values() if d.name not in excluded and all(_has(f, d) for f in facts)]


def question(
    registry: Registry,
    star: Star,
    metrics: Sequence[str],
    *,
    by: Sequence[str] = (),
    where: str | None = None,
    smallest_cell: int = 0,
    schema: str = SCHEMA,
) -> str:
    """SQL that gives one row per combination of `by` that occurs, with one column per metric, ordered by `by`.

    `where` is a condition on dimensions by their names. Without `by` there is one row. Raises QuestionError for a
    metric or dimension that does not exist, or that do not go together.
    """
    asked = [_known(registry.metrics, name, "metric") for name in metrics]
    split = [_known(registry.dimensions, name, "dimension") for name in by]
    condition = sqlglot.parse_one(where, dialect="duckdb") if where else None
    filtered = sorted({c.name for c in condition.find_all(exp.Column)}) if condition else []
    used = list(dict.fromkeys([*split, *(_known(registry.dimensions, name, "dimension") for name in filtered)]))
    for metric in asked:
        possible = dimensions_of(registry, star, metric)
        for dimension in used:
            if dimension not in possible:
                raise QuestionError(
                    f"{metric.name} by {dimension.name} means nothing; "
                    f"it can be asked by {', '.join(d.name for d in possible) or 'nothing'}"
                )
    money = {name for m in asked for name, a in registry.aggregates(m).items() if _is_money(registry, name)}
    grouped: dict[tuple[str, str | None, str | None], dict[str, Aggregate]] = defaultdict(dict)
    for metric in asked:
        for name, aggregate in registry.aggregates(metric).items():
            grouped[aggregate.fact, aggregate.per, aggregate.having][name] = aggregate
    scans = [
        _scan(star[fact], aggregates, used, split, where, money, smallest_cell, schema)
        for (fact, _, _), aggregates in grouped.items()
    ]
    keys = "".join(f"{d.name}, " for d in split)
    names = [name for aggregates in grouped.values() for name in aggregates]
    columns = ", ".join(f'any_value("{name}") AS "{name}"' for name in names)
    shown = ", ".join(f"{_expression(registry, m)}::{m.type} AS {m.name}" for m in asked)
    aside = "\n  UNION ALL BY NAME\n".join(scans)
    return (
        f"WITH aside AS (\n{aside}\n),\naggregates AS (\n  SELECT {keys}{columns} FROM aside"
        f"{f' GROUP BY {keys[:-2]}' if split else ''}\n)\nSELECT {keys}{shown}\nFROM aggregates"
        f"{f' ORDER BY {keys[:-2]}' if split else ''}"
    )


def _scan(
    fact: StarTable,
    aggregates: Mapping[str, Aggregate],
    used: Sequence[Dimension],
    split: Sequence[Dimension],
    where: str | None,
    money: set[str],
    smallest_cell: int,
    schema: str,
) -> str:
    """One pass over one fact: its aggregates per group, with the dimensions of the question joined."""
    joins = "".join(
        f" LEFT JOIN {schema}.{table} USING ({column})"
        for table in dict.fromkeys(d.of for d in used if d.of)
        for column in [_reference(fact, table)]
    )
    taken = ", ".join(["fact.*", *(f"{d.of}.{d.column} AS {d.name}" for d in used if d.of)])
    rows = f"SELECT {taken} FROM {schema}.{fact.name} AS fact{joins}"
    rows = f"SELECT * FROM ({rows}) WHERE {where}" if where else rows
    keys = ", ".join(d.column if d.of is None else d.name for d in split)
    first = next(iter(aggregates.values()))
    if first.per:
        per = ", ".join(filter(None, (keys, first.per)))
        rows = f"SELECT {per} FROM ({rows}) GROUP BY {per} HAVING {first.having}"
    people = first.per or "user_id" if first.per or "user_id" in fact.columns else None
    columns = []
    for name, aggregate in aggregates.items():
        sql = aggregate.sql
        if name in money:
            sql = f"CASE WHEN count(DISTINCT currency) <= 1 THEN TRY_CAST({sql} AS DECIMAL(18, 2)) END"
        if smallest_cell > 1:
            behind = f"count(DISTINCT {people})" if people else "sum(in_count)"
            sql = f"CASE WHEN {behind} >= {smallest_cell} THEN {sql} END"
        columns.append(f'{sql} AS "{name}"')
    return (
        f"  SELECT {', '.join(filter(None, (keys, *columns)))}\n  FROM ({rows}){f' GROUP BY {keys}' if split else ''}"
    )


def _expression(registry: Registry, metric: Metric) -> str:
    """The metric in terms of the aggregates."""
    if metric.aggregate:
        return f'"{metric.name}"'
    tree = sqlglot.parse_one(metric.sql, dialect="duckdb")

    def resolve(node: Any) -> Any:
        if not isinstance(node, exp.Column):
            return node
        if node.name in metric.parts:
            return exp.column(exp.to_identifier(f"{metric.name}.{node.name}", quoted=True))
        return sqlglot.parse_one(f"({_expression(registry, registry[node.name])})", dialect="duckdb")

    return f"({tree.transform(resolve).sql(dialect='duckdb')})"


def _is_money(registry: Registry, name: str) -> bool:
    return name in registry.metrics and registry[name].is_money


def _has(fact: StarTable, dimension: Dimension) -> bool:
    if dimension.of is None:
        return dimension.column in fact.columns
    return dimension.of in fact.refers.values()


def _reference(fact: StarTable, dimension: str) -> str:
    return next(column for column, table in fact.refers.items() if table == dimension)


def _known(among: Mapping[str, T], name: str, what: str) -> T:
    if name not in among:
        raise QuestionError(f"there is no {what} {name!r}; there are {', '.join(among)}")
    return among[name]
