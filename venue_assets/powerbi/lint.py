"""What schemas and parsers of a Power BI project miss: names that lead nowhere, and parts that do not fit together.

Reads a written project, not the objects that it was written from. What does not belong here: the JSON schemas, the
grammars of DAX and M (tests/powerbi asks other people's tools), and whether a figure is right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from venue_assets.powerbi.dax import references
from venue_assets.powerbi.lint_report import lint_report
from venue_assets.powerbi.project import MODEL
from venue_assets.powerbi.tmdl import Node, TmdlError, read, unquoted

FUNCTIONS: Final = frozenset(
    {"AVERAGE", "CALCULATE", "COUNTROWS", "DISTINCTCOUNT", "DISTINCTCOUNTNOBLANK", "DIVIDE", "FALSE", "FILTER", "IF"}
    | {"ISBLANK", "ISFILTERED", "MEDIAN", "NOT", "PERCENTILE.INC", "SELECTEDVALUE", "SUM", "SWITCH", "TRUE", "VALUES"}
)
"""The DAX that we use, all of it old and common."""

TYPES: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"type text", "text"}),
    "int64": frozenset({"Int64.Type"}),
    "double": frozenset({"type number"}),
    "decimal": frozenset({"Currency.Type"}),
    "boolean": frozenset({"type logical"}),
    "dateTime": frozenset({"type date", "type datetime"}),
}
"""Type of a column in the model -> types that Power Query may give it."""

RESERVED: Final = frozenset({"measures", "goal"})
"""Names of tables that Power BI keeps for itself."""

_TYPED: Final = re.compile(r'\{"(\w+)", ([\w. ]+)\}|(\w+) = ([\w.]+)(?=[,\]])')
_GUARD: Final = re.compile(r"NOT\(ISFILTERED\(([^()]+)\)\)")
_NUMBER_FORMAT: Final = re.compile(r"(#,)?0(\.0+)?%?")
_DATE_FORMAT: Final = re.compile(r"yyyy-mm-dd( hh:nn:ss)?")
_REQUIRED: Final = ("database.tmdl", "model.tmdl", "relationships.tmdl", "expressions.tmdl")


@dataclass
class Model:
    """A semantic model as it was read: what can be referred to."""

    columns: dict[str, dict[str, Node]] = field(default_factory=dict)
    measures: dict[str, Node] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    """Measure -> its table."""


def lint(project: Path) -> list[str]:
    """Everything that is wrong with a written project, one sentence each. Empty where nothing is."""
    definition = project / MODEL / "definition"
    findings: list[str] = []
    files: dict[str, list[Node]] = {}
    for path in sorted(definition.rglob("*.tmdl")):
        name = path.relative_to(definition).as_posix()
        try:
            files[name] = read(path.read_text(encoding="utf-8"))
        except (TmdlError, UnicodeDecodeError) as error:
            findings.append(f"{name}: {error}")
    findings += [f"{name}: is not there" for name in _REQUIRED if not (definition / name).exists()]
    nodes = [node for found in files.values() for node in found]
    model = Model()
    findings += _tables(nodes, model)
    for check in (_references, _columns, _measures, _relationships, _cultures, _partitions, _identities):
        findings += check(nodes, model)
    fields = {table: set(columns) for table, columns in model.columns.items()}
    findings += lint_report(project, fields, model.homes, _blank_by(model))
    return findings


def _blank_by(model: Model) -> dict[str, frozenset[str]]:
    """Of each measure the tables and columns by which it is cut into blanks, those of what it is made of included."""
    own = {name: frozenset(_GUARD.findall(measure.value or "")) for name, measure in model.measures.items()}
    used = {name: references(measure.value or "").measures for name, measure in model.measures.items()}
    return {
        name: frozenset().union(places, *(own.get(of, frozenset()) for of in _reached(name, used)))
        for name, places in own.items()
    }


def _tables(nodes: list[Node], model: Model) -> Iterator[str]:
    for table in (n for n in nodes if n.kind == "table"):
        if table.name in model.columns:
            yield f"table {table.name}: is there twice"
        if table.name.casefold() in RESERVED:
            yield f"table {table.name}: Power BI keeps this name for itself"
        if not table.description:
            yield f"table {table.name}: has no description"
        if len(list(table.of("partition"))) != 1:
            yield f"table {table.name}: has not one partition"
        columns: dict[str, Node] = {}
        for column in table.of("column"):
            if column.name in columns:
                yield f"column {table.name}[{column.name}]: is there twice"
            columns[column.name] = column
        model.columns[table.name] = columns
        for measure in table.of("measure"):
            if measure.name in model.measures:
                yield f"measure {measure.name}: is there twice"
            model.measures[measure.name] = measure
            model.homes[measure.name] = table.name
    dates = [n for n in nodes if n.kind == "table" and n.text("dataCategory") == "Time"]
    if len(dates) != 1:
        yield f"{len(dates)} tables are marked as date table; one is expected"
    for table in dates:
        if not any(c.properties.get("isKey") and c.text("dataType") == "dateTime" for c in table.of("column")):
            yield f"table {table.name}: is a date table without a key of type dateTime"


def _references(nodes: list[Node], model: Model) -> Iterator[str]:
    """model.tmdl names every table and culture that has a file, and no other; annotations and parameters are there."""
    for kind in ("table", "cultureInfo"):
        named = Counter(n.name for n in nodes if n.kind == "ref" and n.value == kind)
        there = {n.name for n in nodes if n.kind == kind}
        for name in sorted(set(named) ^ there):
            yield f"model.tmdl: {kind} {name} is {'named but has no file' if name in named else 'not named'}"
        yield from (f"model.tmdl: {kind} {name} is named {count} times" for name, count in named.items() if count > 1)
    for database in (n for n in nodes if n.kind == "database"):
        if not database.text("compatibilityLevel").isdigit():
            yield "database.tmdl: has no compatibilityLevel"
    if not any(n.text("defaultPowerBIDataSourceVersion") == "powerBI_V3" for n in nodes if n.kind == "model"):
        yield "model.tmdl: defaultPowerBIDataSourceVersion is not powerBI_V3"


def _columns(nodes: list[Node], model: Model) -> Iterator[str]:
    for table, columns in model.columns.items():
        if sum(bool(c.properties.get("isKey")) for c in columns.values()) > 1:
            yield f"table {table}: has two keys"
        for name, column in columns.items():
            what = f"column {table}[{name}]"
            kind, shape = column.text("dataType"), column.text("formatString")
            if kind not in TYPES:
                yield f"{what}: {kind or 'no'} data type; one of {', '.join(TYPES)} is expected"
            if not column.description:
                yield f"{what}: has no description"
            if not column.text("sourceColumn"):
                yield f"{what}: has no sourceColumn"
            if column.text("summarizeBy") != "none":
                yield f"{what}: is summed up by itself; measures do that"
            expected = _DATE_FORMAT if kind == "dateTime" else _NUMBER_FORMAT
            if kind not in ("string", "boolean") and not expected.fullmatch(shape):
                yield f"{what}: {shape or 'no'} format for {kind}"
            order = unquoted(column.text("sortByColumn"))
            if order and (order not in columns or order == name):
                yield f"{what}: is sorted by {order}, which the table has not"


def _measures(nodes: list[Node], model: Model) -> Iterator[str]:
    columns = {column.casefold(): table for table, names in model.columns.items() for column in names}
    used: dict[str, frozenset[str]] = {}
    for name, measure in model.measures.items():
        what = f"measure {name}"
        if name.casefold() in columns:
            yield f"{what}: is named like a column of {columns[name.casefold()]}"
        for wanted, value in (
            ("description", measure.description),
            ("folder", measure.text("displayFolder")),
            ("format", measure.text("formatString")),
        ):
            if not value:
                yield f"{what}: has no {wanted}"
        if not _NUMBER_FORMAT.fullmatch(measure.text("formatString")):
            yield f"{what}: {measure.text('formatString')!r} is no format that we know"
        found = references(measure.value or "")
        used[name] = found.measures
        for table, column in sorted(found.columns):
            if column not in model.columns.get(table, {}):
                yield f"{what}: speaks of {table}[{column}], which is not there"
        yield from (f"{what}: speaks of table {t}, which is not there" for t in found.tables - set(model.columns))
        yield from (f"{what}: speaks of [{m}], which is not there" for m in found.measures - set(model.measures))
        yield from (f"{what}: calls {f}, which we do not know" for f in found.functions - FUNCTIONS)
        if (measure.value or "").count("(") != (measure.value or "").count(")"):
            yield f"{what}: its parentheses do not match"
        yield from _unguarded(name, measure.value or "", model)
    for name in used:
        if name in _reached(name, used):
            yield f"measure {name}: rests on itself"


def _unguarded(name: str, expression: str, model: Model) -> Iterator[str]:
    """Money that is added up must be of one currency."""
    for table, column in re.findall(r"SUM\((\w+)\[(\w+)\]\)", expression):
        given = model.columns.get(table, {}).get(column)
        is_money = given is not None and given.text("dataType") == "decimal"
        if is_money and f"DISTINCTCOUNT({table}[currency]) <= 1" not in expression:
            yield f"measure {name}: adds up {table}[{column}] whatever its currency"


def _reached(start: str, used: Mapping[str, frozenset[str]]) -> set[str]:
    reached: set[str] = set()
    ahead = set(used.get(start, ()))
    while ahead:
        name = ahead.pop()
        reached.add(name)
        ahead |= set(used.get(name, ())) - reached
    return reached


def _relationships(nodes: list[Node], model: Model) -> Iterator[str]:
    links: list[tuple[str, str]] = []
    ends: Counter[tuple[str, str]] = Counter()
    for link in (n for n in nodes if n.kind == "relationship"):
        what = f"relationship {link.text('fromColumn')} -> {link.text('toColumn')}"
        ends[link.text("fromColumn"), link.text("toColumn")] += 1
        found = []
        for end in ("fromColumn", "toColumn"):
            table, _, column = link.text(end).partition(".")
            node = model.columns.get(unquoted(table), {}).get(unquoted(column))
            if node is None:
                yield f"{what}: {link.text(end)} is not there"
            else:
                found.append((unquoted(table), node))
        if len(found) < 2:
            continue
        (many, one_of_many), (one, key) = found
        if one_of_many.text("dataType") != key.text("dataType"):
            yield f"{what}: {one_of_many.text('dataType')} refers to {key.text('dataType')}"
        if not key.properties.get("isKey"):
            yield f"{what}: {link.text('toColumn')} is not the key of its table"
        if link.text("crossFilteringBehavior") not in ("", "oneDirection"):
            yield f"{what}: filters in both directions"
        if link.text("isActive") != "false":
            links.append((many, one))
    yield from (f"relationship {a} -> {b}: is there {count} times" for (a, b), count in ends.items() if count > 1)
    for table in sorted({many for many, _ in links}):
        for target, paths in sorted(_paths(table, links).items()):
            if paths > 1:
                yield f"table {table}: reaches {target} on {paths} paths"


def _paths(start: str, links: list[tuple[str, str]]) -> Counter[str]:
    """How many ways there are from a table to each that it refers to, directly or not."""
    counts: Counter[str] = Counter()
    ahead = [start]
    while ahead and sum(counts.values()) <= 1000:  # a circle has no end
        table = ahead.pop()
        for many, one in links:
            if many == table:
                counts[one] += 1
                ahead.append(one)
    return counts


def _cultures(nodes: list[Node], model: Model) -> Iterator[str]:
    for culture in (n for n in nodes if n.kind == "cultureInfo"):
        translated: set[tuple[str, str, str]] = set()
        roots = [m for translations in culture.of("translations") for m in translations.of("model")]
        for table in (t for root in roots for t in root.of("table")):
            if table.name not in model.columns:
                yield f"{culture.name}: table {table.name} is not there"
                continue
            translated.add(("table", table.name, ""))
            captions: Counter[str] = Counter()
            for child in table.children:
                there = child.name in model.columns[table.name] or model.homes.get(child.name) == table.name
                if child.kind not in ("column", "measure") or not there:
                    yield f"{culture.name}: {child.kind} {child.name} of {table.name} is not there"
                for wanted in ("caption", "description"):
                    if not child.text(wanted):
                        yield f"{culture.name}: {child.kind} {child.name} of {table.name} has no {wanted}"
                captions[child.text("caption")] += 1
                translated.add((child.kind, table.name, child.name))
            for caption, count in captions.items():
                if caption and count > 1:
                    yield f"{culture.name}: in {table.name} the caption {caption} is there {count} times"
        expected = {("table", table, "") for table in model.columns}
        expected |= {("column", table, name) for table, names in model.columns.items() for name in names}
        expected |= {("measure", home, name) for name, home in model.homes.items()}
        for kind, table_name, name in sorted(expected - translated):
            yield f"{culture.name}: {kind} {name or table_name} is not translated"


def _partitions(nodes: list[Node], model: Model) -> Iterator[str]:
    parameters = {n.name: n.value or "" for n in nodes if n.kind == "expression"}
    for name, value in parameters.items():
        if "IsParameterQuery=true" not in value or "IsParameterQueryRequired=true" not in value:
            yield f"expression {name}: is not a required parameter"
    for table in (n for n in nodes if n.kind == "table"):
        for partition in table.of("partition"):
            code = partition.text("source")
            what = f"table {table.name}"
            if partition.value != "m" or partition.text("mode") != "import":
                yield f"{what}: is not imported by M"
            typed = {a or c: b or d for a, b, c, d in _TYPED.findall(code)}
            for name, column in model.columns[table.name].items():
                given = typed.get(column.text("sourceColumn"))
                if given is None:
                    yield f"column {table.name}[{name}]: its query gives no {column.text('sourceColumn')}"
                elif given not in TYPES.get(column.text("dataType"), ()):
                    yield f"column {table.name}[{name}]: is {column.text('dataType')}, its query gives {given}"
            if "#table(" in code:
                continue
            for parameter in re.findall(r"\b(Folder|Source)\b(?!\.)", code):
                if parameter not in parameters:
                    yield f"{what}: asks for {parameter}, which is no parameter"
            for expected in (rf"\parquet\{table.name}", f'FROM star.{table.name}"', r"\venue.duckdb;"):
                if expected not in code:
                    yield f"{what}: does not read {expected}"
            if re.search(r'[A-Za-z]:\\|"/', code):
                yield f"{what}: reads a path of one machine"


def _identities(nodes: list[Node], model: Model) -> Iterator[str]:
    tags: Counter[str] = Counter()
    for node in nodes:
        tags.update(tag for n in (node, *node.children) if (tag := n.text("lineageTag")))
    yield from (f"lineageTag {tag}: is there {count} times" for tag, count in tags.items() if count > 1)
    names = Counter(n.name for n in nodes if n.kind == "relationship")
    yield from (f"relationship {name}: is there {count} times" for name, count in names.items() if count > 1)
