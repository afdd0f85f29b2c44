"""What a DAX query over the model answers: EVALUATE and the functions of tables that the twelve questions use.

Rows are columns of the model, or columns that the query has made, whose table is "". Dates are numbers of days, as in
DAX, so that one can count with them.

What does not belong here: measures, filters and relationships (dax_evaluator.py), and which answers are expected.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import product
from typing import Any, Final

from tests.powerbi.dax_evaluator import BLANK, Context, Model, Place, comparison, mean, total
from tests.powerbi.dax_syntax import Call, Column, Expression, Let, Literal, Measure, Table, parse

Row = Mapping[Place, Any]

EPOCH: Final = datetime(1899, 12, 30)


def days(value: Any) -> Any:
    """A date or a time as the number of days that it is in DAX; anything else as it is."""
    if isinstance(value, datetime):
        return (value - EPOCH) / timedelta(days=1)
    return float((value - EPOCH.date()).days) if isinstance(value, date) else value


def for_queries(model: Model) -> Model:
    """The model with its dates as numbers, and its rows numbered."""
    tables = {
        name: {column: [days(v) for v in values] for column, values in columns.items()}
        for name, columns in model.tables.items()
    }
    for name, columns in tables.items():
        columns[ROW] = list(range(model.size(name)))
    return Model(tables, model.links, model.measures)


ROW: Final = ""
"""A column of every table that the model holds: the number of the row, by which whole rows are filtered."""


def answer(model: Model, query: str) -> list[dict[str, Any]]:
    """The rows of a query by the names of their columns; the model is one `for_queries`."""
    rows = Query(model, {}).rows(parse(query.removeprefix("EVALUATE")))
    return [{name: value for (_, name), value in row.items() if name != ROW} for row in rows]


@dataclass
class Query(Context):
    """A context with the variables of the query."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Expression] = field(default_factory=dict)
    """How those of the variables that are tables are made."""

    def evaluate(self, expression: Expression) -> Any:
        match expression:
            case Let(variables, body):
                here = self
                for name, value in variables:
                    tables = {name: value} if _is_table(value) else {}
                    known = {**here.variables, name: here.worth(value)}
                    here = replace(here, variables=known, tables={**here.tables, **tables})
                return here.worth(body)
            case Table(name) if name in self.variables:
                return self.variables[name]
            case Measure(name) if ("", name) in self.row:
                return self.row["", name]
            case Call(function, arguments) if function in SCALARS:
                return SCALARS[function](self, *arguments)
        return super().evaluate(expression)

    def worth(self, expression: Expression) -> Any:
        """A value, or the rows of a table."""
        return self.rows(expression) if _is_table(expression) else self.evaluate(expression)

    def rows(self, table: Expression) -> list[Row]:
        match table:
            case Let():
                found: list[Row] = self.evaluate(table)
                return found
            case Table(name) if name in self.variables:
                return list(self.variables[name])
            case Table(name):
                columns = self.model.tables[name]
                kept = self.passing(name)
                return [
                    {(name, c): v for c, v in zip(columns, values, strict=True)}
                    for n, values in enumerate(zip(*columns.values(), strict=True))
                    if kept[n]
                ]
            case Call(function, arguments) if function in ROWS and function not in ("FILTER", "VALUES"):
                return list(ROWS[function](self, *arguments))
        return super().rows(table)

    def count(self, table: Expression) -> int | None:
        if isinstance(table, Table) and table.name not in self.variables:
            return super().count(table)
        return len(self.rows(table)) or BLANK

    def filtering(self, condition: Expression) -> tuple[Place, frozenset[Any]]:
        is_variable = isinstance(condition, Table) and condition.name in self.variables
        if not is_variable and not _is_table(condition):
            return super().filtering(condition)
        place = self.origin(condition)
        return place, frozenset(row[place] for row in self.rows(condition))

    def origin(self, table: Expression) -> Place:
        """What a table is a filter on: one column, or whole rows."""
        match table:
            case Table(name):
                return self.origin(self.tables[name]) if name in self.tables else (name, ROW)
            case Call("FILTER" | "CALCULATETABLE", (inner, *_)):
                return self.origin(inner)
            case Call("ALL" | "TREATAS" | "VALUES", (*_, Column(name, column))):
                return name, column
        raise ValueError(f"{table} is no filter that we know")

    # Functions of tables ----------------------------------------------------------------------------------------------

    def every(self, column: Expression) -> list[Row]:
        """ALL: the values of a column, whatever is filtered."""
        return replace(self, filters={}).rows(Call("VALUES", (column,)))

    def added(self, table: Expression, *more: Expression) -> list[Row]:
        """ADDCOLUMNS"""
        return [{**row, **self.at(row).named(more)} for row in self.rows(table)]

    def selected(self, table: Expression, *more: Expression) -> list[Row]:
        """SELECTCOLUMNS"""
        return [self.at(row).named(more) for row in self.rows(table)]

    def named(self, more: Iterable[Expression]) -> Row:
        """ROW: columns from names and values in turn."""
        names, values = list(more)[::2], list(more)[1::2]
        return {("", self.evaluate(n)): self.evaluate(v) for n, v in zip(names, values, strict=True)}

    def summarised(self, table: Expression, *columns: Column) -> list[Row]:
        """SUMMARIZE without figures: the combinations that occur."""
        places = [(c.table, c.name) for c in columns]
        found = dict.fromkeys(tuple(row[place] for place in places) for row in self.rows(table))
        return [dict(zip(places, values, strict=True)) for values in found]

    def distinct(self, table: Expression) -> list[Row]:
        """DISTINCT of a table"""
        return [dict(row) for row in dict.fromkeys(tuple(row.items()) for row in self.rows(table))]

    def crossed(self, *tables: Expression) -> list[Row]:
        """CROSSJOIN"""
        return [{p: v for row in rows for p, v in row.items()} for rows in product(*map(self.rows, tables))]

    def generated(self, table: Expression, inner: Expression) -> list[Row]:
        """GENERATE: for each row the rows that another table has of it."""
        return [{**row, **found} for row in self.rows(table) for found in self.at(row).rows(inner)]

    def series(self, first: Expression, last: Expression, step: Expression) -> list[Row]:
        """GENERATESERIES"""
        at, end, by = map(self.evaluate, (first, last, step))
        return [{("", "Value"): at + n * by} for n in range(int((end - at) / by) + 1)]

    def dates(self, column: Column, first: Expression, last: Expression) -> list[Row]:
        """DATESBETWEEN: bounds included, whatever is filtered."""
        low, high = self.evaluate(first), self.evaluate(last)
        return [row for row in self.every(column) for value in row.values() if value and low <= value <= high]

    def treated(self, table: Expression, column: Column) -> list[Row]:
        """TREATAS with one column."""
        there = set(self.model.tables[column.table][column.name])
        values = [value for row in self.rows(table) for value in row.values()]
        return [{(column.table, column.name): value} for value in values if value in there]

    def calculated_rows(self, table: Expression, *filters: Expression) -> list[Row]:
        """CALCULATETABLE"""
        return replace(self, filters=self.narrowed(filters), row={}).rows(table)

    def summary(self, *given: Expression) -> list[Row]:
        """SUMMARIZECOLUMNS: columns that exist together in one table, crossed with those of others, not blank."""
        columns = [g for g in given if isinstance(g, Column)]
        names = next((n for n, g in enumerate(given) if isinstance(g, Literal)), len(given))
        filters = [g for g in given[:names] if not isinstance(g, Column)]
        inside = replace(self, filters=self.narrowed(filters), row={})
        existing = [
            inside.existing([c for c in columns if c.table == t]) for t in dict.fromkeys(c.table for c in columns)
        ]
        found = []
        for parts in product(*existing):
            row = {place: value for part in parts for place, value in part.items()}
            cell = replace(inside, filters={**inside.filters, **{p: frozenset({v}) for p, v in row.items()}})
            figures = cell.named(given[names:])
            if any(value is not BLANK for value in figures.values()):
                found.append({**row, **figures})
        return found

    def existing(self, columns: list[Column]) -> list[Row]:
        """The combinations of a table's columns, with its blank row if it has one."""
        table = columns[0].table
        kept = self.passing(table)
        blank = self.model.has_blank_row(table)
        values = zip(*([*self.model.tables[table][c.name], BLANK] for c in columns), strict=True)
        found = dict.fromkeys(v for n, v in enumerate(values) if kept[n] and (blank or n < len(kept) - 1))
        return [{(c.table, c.name): v for c, v in zip(columns, combination, strict=True)} for combination in found]

    def looked_up(self, result: Column, key: Column, value: Expression) -> Any:
        """LOOKUPVALUE with one key."""
        table = self.model.tables[result.table]
        wanted = self.evaluate(value)
        found = {r for r, k in zip(table[result.name], table[key.name], strict=True) if k == wanted}
        return found.pop() if len(found) == 1 else BLANK

    def over(self, table: Expression, each: Expression) -> list[Any]:
        """What SUMX and its like add up: a value per row, without blanks."""
        return [value for row in self.rows(table) if (value := self.at(row).evaluate(each)) is not BLANK]


def _is_table(expression: Expression) -> bool:
    return isinstance(expression, Call) and expression.function in ROWS


def _arithmetic(how: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Blank is nothing, but two of them stay blank."""

    def counted(here: Query, one: Expression, other: Expression) -> Any:
        a, b = here.evaluate(one), here.evaluate(other)
        return BLANK if a is b is BLANK else how(a or 0, b or 0)

    return counted


def _times(here: Query, one: Expression, other: Expression) -> Any:
    a, b = here.evaluate(one), here.evaluate(other)
    return BLANK if BLANK in (a, b) else a * b


def _largest(here: Query, *of: Expression) -> Any:
    """Of a column, or of two values."""
    values = here.known(*of) if len(of) == 1 else [v for v in map(here.evaluate, of) if v is not BLANK]
    return max(values, default=BLANK)


def _text(here: Query, one: Expression, other: Expression) -> str:
    return "".join("" if v is BLANK else str(v) for v in (here.evaluate(one), here.evaluate(other)))


SCALARS: Final[Mapping[str, Callable[..., Any]]] = {
    "AVERAGEX": lambda here, table, each: mean(here.over(table, each)),
    "LOOKUPVALUE": Query.looked_up,
    "MAX": _largest,
    "MIN": lambda here, column: min(here.known(column), default=BLANK),
    "SUMX": lambda here, table, each: total(here.over(table, each)),
    "-": _arithmetic(operator.sub),
    "*": _times,
    "/": lambda here, one, other: here.evaluate(Call("DIVIDE", (one, other))),
    "&": _text,
    "<": comparison(operator.lt),
    "<>": comparison(operator.ne),
}
ROWS: Final[Mapping[str, Callable[..., Iterable[Row]]]] = {
    "ADDCOLUMNS": Query.added,
    "ALL": Query.every,
    "CALCULATETABLE": Query.calculated_rows,
    "CROSSJOIN": Query.crossed,
    "DATESBETWEEN": Query.dates,
    "DISTINCT": Query.distinct,
    "FILTER": Query.rows,
    "GENERATE": Query.generated,
    "GENERATESERIES": Query.series,
    "ROW": lambda here, *more: [here.named(more)],
    "SELECTCOLUMNS": Query.selected,
    "SUMMARIZE": Query.summarised,
    "SUMMARIZECOLUMNS": Query.summary,
    "TREATAS": Query.treated,
    "UNION": lambda here, *tables: [row for table in tables for row in here.rows(table)],
    "VALUES": Query.rows,
    "{}": lambda here, *values: [{("", "Value"): here.evaluate(value)} for value in values],
}
