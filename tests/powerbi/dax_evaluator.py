"""What a measure of a written Power BI project is: its DAX, evaluated over tables along the model's relationships.

An interpreter of the small part of DAX that our lint allows, written from the language's reference (DAX Guide, and
Russo and Ferrari, "The Definitive Guide to DAX", 2nd ed., chapters 4 and 5), with the rules that decide figures:

- a filter is on a column; it reaches the table's rows, and those of every table that refers to the table;
- rows whose key is not in the table that they refer to belong to its blank row, on which every column is blank;
- a filter of CALCULATE takes the place of one on the same column outside, meets one on it beside, and is evaluated
  outside of it;
- CALCULATE, and each measure, turns the row that is looked at into filters first;
- blank is 0 and FALSE in comparisons and sums, but blank divided, or added to blank, stays blank.

What does not belong here: the syntax (dax_syntax.py), queries (dax_query.py), and which figures are expected.
"""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.powerbi.checks import objects
from tests.powerbi.dax_syntax import Call, Column, Expression, Literal, Measure, Table, parse
from venue_assets.powerbi.tmdl import unquoted

Place = tuple[str, str]
"""Table and column."""
Filters = Mapping[Place, frozenset[Any]]
"""Column -> the values that pass."""
Rows = NDArray[np.bool_]

BLANK: Final = None


@dataclass(frozen=True)
class Link:
    """A relationship: many rows of `table` refer by `column` to the one of `to` with this key."""

    table: str
    column: str
    to: str
    key: str


@dataclass
class Model:
    """Measures, relationships, and the tables' values by column."""

    tables: Mapping[str, Mapping[str, list[Any]]]
    links: list[Link]
    measures: Mapping[str, Expression]
    _at: dict[Place, NDArray[np.int64]] = field(default_factory=dict)
    _rows: dict[Place, dict[Any, NDArray[np.int64]]] = field(default_factory=dict)
    _masks: dict[tuple[Place, frozenset[Any]], Rows] = field(default_factory=dict)

    @classmethod
    def of(cls, project: Path, tables: Mapping[str, Mapping[str, list[Any]]]) -> Model:
        """The model of a written project; `tables` are what it would load."""
        links = [
            Link(*_end(node.text("fromColumn")), *_end(node.text("toColumn")))
            for node in objects(project, "relationship")
        ]
        measures = {
            measure.name: parse(measure.value or "")
            for table in objects(project, "table")
            for measure in table.of("measure")
        }
        return cls(tables, links, measures)

    def value(self, measure: str, filters: Mapping[Place, Any] | None = None) -> Any:
        """A measure where each of these columns has this one value, as in a cell of a matrix."""
        return Context(self, {place: frozenset({v}) for place, v in (filters or {}).items()}).measure(measure)

    def values(self, place: Place) -> set[Any]:
        """What a matrix shows of a column: its values, and blank where rows of a fact refer to nothing."""
        table, column = place
        return set(self.tables[table][column]) | ({BLANK} if self.has_blank_row(table) else set())

    def has_blank_row(self, table: str) -> bool:
        """Whether a row of another table refers to nothing in it; the last entry of `at` is that table's blank row."""
        return any((self.at(link)[:-1] == self.size(table)).any() for link in self.links if link.to == table)

    def size(self, table: str) -> int:
        return len(next(iter(self.tables[table].values())))

    def rows_of(self, place: Place) -> Mapping[Any, NDArray[np.int64]]:
        """Every value of a column, and the rows that have it; the blank row comes last in its table."""
        if place not in self._rows:
            table, column = place
            found: dict[Any, list[int]] = {}
            for n, value in enumerate([*self.tables[table][column], BLANK]):
                found.setdefault(value, []).append(n)
            self._rows[place] = {value: np.array(rows) for value, rows in found.items()}
        return self._rows[place]

    def mask(self, place: Place, allowed: frozenset[Any]) -> Rows:
        """The rows of a table whose value in the column is one of these."""
        if (place, allowed) not in self._masks:
            found = np.zeros(self.size(place[0]) + 1, dtype=np.bool_)
            for value in allowed:
                found[self.rows_of(place).get(value, [])] = True
            self._masks[place, allowed] = found
        return self._masks[place, allowed]

    def at(self, link: Link) -> NDArray[np.int64]:
        """The row of the one side for every row of the many side; where there is none, the blank row."""
        place = (link.table, link.column)
        if place not in self._at:
            where = {key: n for n, key in enumerate(self.tables[link.to][link.key])}
            assert len(where) == self.size(link.to), f"{link.to}[{link.key}] is no key"
            found = [where.get(value, self.size(link.to)) for value in [*self.tables[link.table][link.column], BLANK]]
            self._at[place] = np.array(found, dtype=np.int64)
        return self._at[place]


def _end(text: str) -> Place:
    table, _, column = text.partition(".")
    return unquoted(table), unquoted(column)


@dataclass
class Context:
    """Filters, and the columns of the row that is looked at."""

    model: Model
    filters: Filters
    row: Mapping[Place, Any] = field(default_factory=dict)

    @cached_property
    def _passing(self) -> dict[str, Rows | None]:
        return {}

    def passing(self, table: str) -> Rows:
        """Which rows of a table pass, its blank row last."""
        found = self._narrowed(table)
        return np.ones(self.model.size(table) + 1, dtype=np.bool_) if found is None else found

    def _narrowed(self, table: str) -> Rows | None:
        """The same; none where nothing keeps any row away, which is so of most tables in most cells."""
        if table not in self._passing:
            found = [self.model.mask(place, allowed) for place, allowed in self.filters.items() if place[0] == table]
            for link in self.model.links:
                if link.table == table and (above := self._narrowed(link.to)) is not None:
                    found.append(above[self.model.at(link)])
            self._passing[table] = np.logical_and.reduce(found) if found else None
        return self._passing[table]

    def seen(self, column: Expression) -> list[Any]:
        """The values of a column in the rows that pass."""
        assert isinstance(column, Column), column
        values, rows = self.model.tables[column.table][column.name], self.passing(column.table)
        return [values[n] for n in np.flatnonzero(rows[:-1])]

    def known(self, column: Expression) -> list[Any]:
        return [value for value in self.seen(column) if value is not BLANK]

    def measure(self, name: str) -> Any:
        """The measure's value, here."""
        return self.moved().evaluate(self.model.measures[name])

    def moved(self) -> Context:
        """The row that is looked at as filters."""
        return replace(self, filters={**self.filters, **_single(self.row)}, row={})

    def at(self, row: Mapping[Place, Any]) -> Context:
        """Looking at a row, too."""
        return replace(self, row={**self.row, **row})

    def evaluate(self, expression: Expression) -> Any:
        """The value of an expression, here."""
        match expression:
            case Literal(value):
                return value
            case Measure(name):
                return self.measure(name)
            case Column(table, name):
                return self.row[table, name]
            case Call(function, arguments):
                return FUNCTIONS[function](self, *arguments)
        raise ValueError(f"{expression} has no value of its own")

    def calculate(self, expression: Expression, *filters: Expression) -> Any:
        """CALCULATE."""
        return replace(self, filters=self.narrowed(filters), row={}).evaluate(expression)

    def narrowed(self, conditions: Iterable[Expression]) -> Filters:
        """The filters inside of a CALCULATE with these."""
        found: dict[Place, frozenset[Any]] = {}
        for condition in conditions:
            place, values = self.filtering(condition)
            found[place] = found.get(place, values) & values
        return {**self.moved().filters, **found}

    def filtering(self, condition: Expression) -> tuple[Place, frozenset[Any]]:
        """The column that a filter of CALCULATE is on, and its values that pass."""
        (place,) = _columns(condition)
        return place, frozenset(v for v in self.model.rows_of(place) if self.at({place: v}).holds(condition))

    def holds(self, condition: Expression) -> bool:
        return bool(self.evaluate(condition))

    def rows(self, table: Expression) -> list[Mapping[Place, Any]]:
        """A table, as rows to look at."""
        match table:
            case Call("VALUES", (Column(name, column) as of,)):
                blank = [BLANK] if self.model.has_blank_row(name) and self.passing(name)[-1] else []
                return [{(name, column): value} for value in dict.fromkeys([*self.seen(of), *blank])]
            case Call("FILTER", (inner, condition)):
                return [row for row in self.rows(inner) if self.at(row).holds(condition)]
        raise ValueError(f"{table} is no table that we know")

    def count(self, table: Expression) -> int | None:
        """COUNTROWS: of no rows it is blank."""
        if isinstance(table, Table):
            return int(self.passing(table.name)[:-1].sum()) or BLANK
        return len(self.rows(table)) or BLANK

    def is_filtered(self, what: Expression) -> bool:
        """ISFILTERED: whether there is a filter on the column, or on any column of the table, itself."""
        if isinstance(what, Column):
            return (what.table, what.name) in self.filters
        assert isinstance(what, Table), what
        return any(table == what.name for table, _ in self.filters)

    def one_of(self, column: Expression) -> Any:
        """SELECTEDVALUE: the value where it is one."""
        values = [value for row in self.rows(Call("VALUES", (column,))) for value in row.values()]
        return values[0] if len(values) == 1 else BLANK

    def switch(self, what: Expression, *cases: Expression) -> Any:
        """SWITCH without an else."""
        value = self.evaluate(what)
        for case, then in zip(cases[::2], cases[1::2], strict=True):
            if _compared(operator.eq, value, self.evaluate(case)):
                return self.evaluate(then)
        return BLANK

    def choose(self, condition: Expression, then: Expression, otherwise: Expression | None = None) -> Any:
        """IF: without an else it is blank."""
        if self.holds(condition):
            return self.evaluate(then)
        return BLANK if otherwise is None else self.evaluate(otherwise)


def _single(row: Mapping[Place, Any]) -> dict[Place, frozenset[Any]]:
    return {place: frozenset({value}) for place, value in row.items() if place[0]}


def _columns(expression: Expression) -> set[Place]:
    if isinstance(expression, Column):
        return {(expression.table, expression.name)}
    inner = expression.arguments if isinstance(expression, Call) else ()
    return {place for argument in inner for place in _columns(argument)}


def total(values: list[Any]) -> Any:
    """A sum that is the same in any order; of nothing it is blank."""
    if not values:
        return BLANK
    return math.fsum(values) if isinstance(values[0], float) else sum(values)


def mean(values: list[Any]) -> Any:
    return total(values) / len(values) if values else BLANK


def _median(values: list[Any]) -> Any:
    return statistics.median(values) if values else BLANK


def _percentile(values: list[Any], part: float) -> Any:
    """PERCENTILE.INC: linear between the ranks 0 to n - 1."""
    if not values:
        return BLANK
    ordered, rank = sorted(values), part * (len(values) - 1)
    low = ordered[math.floor(rank)]
    return low + (ordered[math.ceil(rank)] - low) * (rank - math.floor(rank))


def _divided(part: Any, whole: Any) -> Any:
    return BLANK if part is BLANK or not whole else float(part) / float(whole)


def _added(one: Any, other: Any) -> Any:
    return BLANK if one is other is BLANK else (one or 0) + (other or 0)


def _compared(how: Callable[[Any, Any], bool], one: Any, other: Any) -> bool:
    """Blank compares as the other side's nothing: 0, FALSE or the empty text."""
    if one is BLANK and other is BLANK:
        return how(0, 0)
    return how(type(other)() if one is BLANK else one, type(one)() if other is BLANK else other)


def comparison(how: Callable[[Any, Any], bool]) -> Callable[..., Any]:
    return lambda here, one, other: _compared(how, here.evaluate(one), here.evaluate(other))


def _distinct(values: Iterable[Any]) -> int | None:
    return len(set(values)) or BLANK


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "AVERAGE": lambda here, column: mean(here.known(column)),
    "CALCULATE": Context.calculate,
    "COUNTROWS": lambda here, table: here.count(table),
    "DISTINCTCOUNT": lambda here, column: _distinct(here.seen(column)),
    "DISTINCTCOUNTNOBLANK": lambda here, column: _distinct(here.known(column)),
    "DIVIDE": lambda here, part, whole: _divided(here.evaluate(part), here.evaluate(whole)),
    "FALSE": lambda here: False,
    "IF": Context.choose,
    "ISBLANK": lambda here, value: here.evaluate(value) is BLANK,
    "ISFILTERED": Context.is_filtered,
    "MEDIAN": lambda here, column: _median(here.known(column)),
    "NOT": lambda here, condition: not here.holds(condition),
    "PERCENTILE.INC": lambda here, column, part: _percentile(here.known(column), here.evaluate(part)),
    "SELECTEDVALUE": Context.one_of,
    "SUM": lambda here, column: total(here.known(column)),
    "SWITCH": Context.switch,
    "TRUE": lambda here: True,
    "+": lambda here, one, other: _added(here.evaluate(one), here.evaluate(other)),
    "&&": lambda here, one, other: here.holds(one) and here.holds(other),
    "||": lambda here, one, other: here.holds(one) or here.holds(other),
    "=": comparison(operator.eq),
    ">": comparison(operator.gt),
    ">=": comparison(operator.ge),
    "<=": comparison(operator.le),
}
"""Functions and operators by name; each gets the context and its arguments as trees."""
TABLES: Final = frozenset({"FILTER", "VALUES"})
"""Functions that give a table (Context.rows)."""
