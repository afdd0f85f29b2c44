"""A question about metrics as one SQL statement over the star: which metrics, by which dimensions, of which rows.

Each fact is aggregated once, the results are put side by side, and expressions are worked out on top. Money is null
where a group holds two currencies. What has no row at all in a group is null there, also where a table would say 0.
With `smallest_cell`, figures of fewer people than that, but some, are null too, and whatever is made of them; nothing
is done against who takes the difference of two larger figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

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


def meaningless(registry: Registry, star: Star, metric: Metric) -> list[Dimension]:
    """What a metric cannot be split by: all the other dimensions."""
    possible = dimensions_of(registry, star, metric)
    return [d for d in registry.dimensions.values() if d not in possible]


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
    asked = [_known(registry.metrics, name, "metric") for name in dict.fromkeys(metrics)]
    split = [_known(registry.dimensions, name, "dimension") for name in dict.fromkeys(by)]
    if not asked:
        raise QuestionError(f"no metric is asked for; there are {', '.join(registry.metrics)}")
    condition = _condition(where) if where is not None else None
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
    rows = condition.sql(dialect="duckdb", comments=False) if condition else None
    behind = {m.name: _behind(registry, m, smallest_cell) for m in asked}
    money = {name for aggregates in behind.values() for name in aggregates if _is_money(registry, name)}
    grouped: dict[tuple[str, str | None, str | None], dict[str, Aggregate]] = defaultdict(dict)
    for metric in asked:
        for name, aggregate in behind[metric.name].items():
            grouped[aggregate.fact, aggregate.per, aggregate.having][name] = aggregate
    scans = [
        _scan(star[fact], aggregates, used, split, rows, money, smallest_cell, schema)
        for (fact, _, _), aggregates in grouped.items()
    ]
    keys = "".join(f"{d.name}, " for d in split)
    names = [name for aggregates in grouped.values() for name in aggregates]
    columns = ", ".join(f'any_value("{name}") AS "{name}"' for name in names)
    if smallest_cell > 1:
        columns += "".join(f', any_value("{name} is small") AS "{name} is small"' for name in names)
    shown = ", ".join(f"{_shown(registry, m, smallest_cell)}::{m.type} AS {m.name}" for m in asked)
    order = ", ".join(f"{d.name} NULLS LAST" for d in split)
    aside = "\n  UNION ALL BY NAME\n".join(scans)
    return (
        f"WITH aside AS (\n{aside}\n),\naggregates AS (\n  SELECT {keys}{columns} FROM aside"
        f"{f' GROUP BY {keys[:-2]}' if split else ''}\n)\nSELECT {keys}{shown}\nFROM aggregates"
        f"{f' ORDER BY {order}' if split else ''}"
    )


def _condition(where: str) -> exp.Condition:
    """A condition that speaks of single rows by their dimensions, and of nothing else."""
    try:
        (found,) = sqlglot.parse(where, dialect="duckdb")
        if isinstance(found, exp.Condition) and not found.find(exp.Query, exp.AggFunc, exp.Window, exp.Command):
            return found
    except (SqlglotError, ValueError):
        pass
    raise QuestionError(
        f"{where!r} is no condition on dimensions; such as venue_id = 'hall' AND hour >= 18 is expected"
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
    taken = ", ".join(
        ["fact.*", *(f"{d.of or 'fact'}.{d.column} AS {d.name}" for d in used if d.of or d.column != d.name)]
    )
    rows = f"SELECT {taken} FROM {schema}.{fact.name} AS fact{joins}"
    rows = f"SELECT * FROM ({rows}) WHERE {where}" if where else rows
    keys = ", ".join(d.name for d in split)
    first = next(iter(aggregates.values()))
    if first.per:
        per = ", ".join(filter(None, (keys, first.per)))
        rows = f"SELECT {per}, {first.having} AS satisfies FROM ({rows}) GROUP BY {per}"
    columns = []
    for name, aggregate in aggregates.items():
        sql = f"{aggregate.sql} FILTER (satisfies)" if aggregate.per else aggregate.sql
        if smallest_cell > 1:
            columns.append(f'{_people(fact, sql)} BETWEEN 1 AND {smallest_cell - 1} AS "{name} is small"')
        if name in money:
            sql = f"CASE WHEN count(DISTINCT currency) <= 1 THEN TRY_CAST({sql} AS DECIMAL(18, 2)) END"
        columns.append(f'{sql} AS "{name}"')
    return (
        f"  SELECT {', '.join(filter(None, (keys, *columns)))}\n  FROM ({rows}){f' GROUP BY {keys}' if split else ''}"
    )


def _behind(registry: Registry, metric: Metric, smallest_cell: int) -> dict[str, Aggregate]:
    """What a metric rests on; with `smallest_cell` also the rest of the same whole, which would give it away."""
    rest = registry.aggregates(registry[metric.rest]) if metric.rest and smallest_cell > 1 else {}
    return registry.aggregates(metric) | rest


def _people(fact: StarTable, sql: str) -> str:
    """How many people are behind an aggregate: those on the rows that its filters let pass."""
    filters = {
        f.expression.this.sql(dialect="duckdb") for f in sqlglot.parse_one(sql, dialect="duckdb").find_all(exp.Filter)
    }
    passing = f" FILTER ({' OR '.join(f'({f})' for f in sorted(filters))})" if filters else ""
    if "order_key" in fact.columns and "DISTINCT user_id" not in sql:
        return f"count(DISTINCT coalesce(user_id, order_key)){passing}"  # an anonymous order is a person
    return f"count(DISTINCT user_id){passing}" if "user_id" in fact.columns else f"sum(in_count){passing}"


def _shown(registry: Registry, metric: Metric, smallest_cell: int) -> str:
    """The metric; with `smallest_cell` null where something that it rests on is small."""
    if smallest_cell <= 1:
        return _expression(registry, metric)
    small = " OR ".join(f'coalesce("{n} is small", false)' for n in _behind(registry, metric, smallest_cell))
    return f"(CASE WHEN NOT ({small}) THEN {_expression(registry, metric)} END)"


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
