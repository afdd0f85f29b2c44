"""The catalogue: every table with its contract, its SQL and its place among the others.

A table is a pair of files, `<layer>/<name>.sql` and `<layer>/<name>.yaml`. Columns of raw and clean tables come from
the record contract, columns that are metrics from the registry; which tables a table reads comes from its SQL, which
dates of them from its YAML. What is numerics rather than SQL is a `<name>.py` instead, whose `compute(con, day)` reads
the same inputs by name.

What does not belong here: how a table is computed or where it lies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import Final, Literal

import duckdb
import pyarrow as pa
import sqlglot
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlglot import exp

from edge_collector.contract import STREAMS
from edge_collector.contract import columns as contract_columns
from venue_assets.semantic_layer.metrics import FILE as REGISTRY
from venue_assets.semantic_layer.metrics import registry
from venue_assets.tables import CatalogueError
from venue_assets.tables.references import REFERENCES

LAYERS: Final = ("raw", "clean", "behaviour", "metrics", "segments", "experiments")
_FOLDER: Final = Path(__file__).parent

ARROW_TYPES: Final[Mapping[str, pa.DataType]] = {
    "BOOLEAN": pa.bool_(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "DECIMAL(18,2)": pa.decimal128(18, 2),
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}
"""The column types there are: those that every reader of Parquet and ODBC takes without harm."""


Compute = Callable[[duckdb.DuckDBPyConnection, date], pa.Table]
"""The rows of one event date, from a connection that knows the table's inputs by name."""


Picture = Callable[[pa.Table, duckdb.DuckDBPyConnection], str]
"""The rows of one event date as SVG."""


class _Yaml(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TableColumn(_Yaml):
    """A column: SQL type, unit, meaning, and whether it may be null.

    Every number and every time has a unit; `ordinal` is that of numbers that tell things apart and measure nothing.
    """

    type: Literal["BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "DECIMAL(18,2)", "VARCHAR", "DATE", "TIMESTAMP"]
    description: str
    unit: str = ""
    nullable: bool = False


class Check(_Yaml):
    """A check: its SQL gives one row with a Boolean `passed` and the figures that it rests on.

    A blocking one keeps a partition from being written; another one warns.
    """

    description: str
    sql: str
    blocking: bool = False


class Window(_Yaml):
    """Which event dates of an input a table reads: the last `days` ending at its own, or all up to its own.

    `since` goes back further where need be: to the first date of an activity or experiment that is on, and `before`
    days more.
    """

    days: int | Literal["all"] = 1
    since: Literal["activity", "experiment"] | None = None
    before: int = 0

    @property
    def words(self) -> str:
        """The same for readers; empty where it is just the table's own date."""
        if self.days == "all":
            return "all dates up to this one"
        last = f"the last {self.days} dates" if self.days > 1 else ""
        since = f"since the {self.since} began" if self.since else ""
        before = f", and {self.before} dates before" if self.before else ""
        return " or ".join(filter(None, (last, since))) + before


class _Contract(_Yaml):
    description: str
    grain: str
    key: tuple[str, ...]
    record: str | None = None
    without: tuple[str, ...] = ()
    columns: dict[str, TableColumn | Literal["metric"]] = {}
    inputs: dict[str, Window] = {}
    checks: dict[str, Check] = {}
    picture: str | None = None
    """Module of venue_assets.pictures that draws a table of SQL; one of Python may draw itself."""
    owner: str = "team:data-engineering"


@dataclass(frozen=True)
class Table:
    """One table of the graph: made by its `sql`, by its `compute`, or (the raw layer's ground) from the landing."""

    name: str
    layer: str
    description: str
    grain: str
    key: tuple[str, ...]
    columns: Mapping[str, TableColumn]
    inputs: Mapping[str, Window]
    checks: Mapping[str, Check]
    owner: str
    sql: str | None
    compute: Compute | None = None
    picture: Picture | None = None
    """Its rows as SVG, for people who look rather than read; its inputs can be read by name."""
    stream: str | None = None
    code: str = field(default="", compare=False)

    @property
    def is_landed(self) -> bool:
        """Whether it is made from the landing itself, and of no other table."""
        return self.sql is None and self.compute is None

    @cached_property
    def meaning(self) -> str:
        """Everything that readers are told of it, and its code, as text: differs where anything of that does."""
        columns = {name: column.model_dump() for name, column in self.columns.items()}
        return repr([self.name, self.layer, self.description, self.grain, self.key, self.owner, columns, self.code])

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns as Arrow types, without the event date, which the partition's folder carries."""
        return pa.schema([pa.field(n, ARROW_TYPES[c.type], nullable=c.nullable) for n, c in self.columns.items()])


@dataclass(frozen=True)
class Catalogue:
    """All tables, in an order in which each comes after those it reads."""

    tables: Mapping[str, Table]
    references: Mapping[str, Mapping[str, str]]

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables.values())

    def __getitem__(self, name: str) -> Table:
        return self.tables[name]

    def computed_from(self, table: Table) -> dict[str, Window]:
        """The inputs that decide what the table holds; those that only its checks read are left out."""
        checked = frozenset[str]().union(*(tables_read(check.sql) for check in table.checks.values()))
        read = tables_read(table.sql) if table.sql else frozenset(table.inputs) - checked
        return {name: window for name, window in table.inputs.items() if name in read}

    def lake_inputs(self, table: Table) -> dict[str, Window]:
        """The inputs that are tables themselves."""
        return {name: window for name, window in table.inputs.items() if name in self.tables}

    def downstream(self, name: str) -> list[str]:
        """`name` and every table that reads it, directly or not, in order."""
        reached = {name}
        for table in self.tables.values():
            if reached & set(self.lake_inputs(table)):
                reached.add(table.name)
        return [t for t in self.tables if t in reached]


@lru_cache(maxsize=512)
def tables_read(sql: str) -> frozenset[str]:
    """The names that a query selects from, without those it defines itself."""
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    defined = {cte.alias for cte in tree.find_all(exp.CTE)}
    return frozenset({table.name for table in tree.find_all(exp.Table) if table.name} - defined)


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """Read all contracts. Raises CatalogueError where a file is wrong or two contradict each other."""
    found: dict[str, Table] = {}
    for stream in STREAMS:
        found[f"raw_{stream}"] = _raw(stream)
    for layer in LAYERS:
        for path in sorted((_FOLDER / layer).glob("*.yaml")):
            found[path.stem] = _table(layer, path)
    order = TopologicalSorter({n: [i for i in t.inputs if i in found] for n, t in found.items()}).static_order()
    return Catalogue({name: found[name] for name in _stable(order, found)}, REFERENCES)


def _stable(order: Iterable[str], found: Mapping[str, Table]) -> list[str]:
    """By layer, then in dependency order, so that lists read as the data flows."""
    position = {name: i for i, name in enumerate(order)}
    return sorted(found, key=lambda name: (LAYERS.index(found[name].layer), position[name], name))


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same, ten times as fast where PyYAML has its C parser."""

_JUDGED: Final[Mapping[str, TableColumn]] = {
    "segment": TableColumn(type="VARCHAR", description="File name of the segment"),
    "line": TableColumn(type="BIGINT", unit="ordinal", description="Line in the unpacked segment, from 1"),
    "reason": TableColumn(
        type="VARCHAR",
        nullable=True,
        description="Why the line cannot be clean: the first reason that applies, or null",
    ),
    "problem": TableColumn(type="VARCHAR", nullable=True, description="What is wrong with a malformed line, in words"),
    "text": TableColumn(
        type="VARCHAR", nullable=True, description="First 4 KiB of a line that cannot be clean, invalid bytes as U+FFFD"
    ),
    "text_bytes": TableColumn(
        type="BIGINT", nullable=True, unit="bytes", description="Length of a line that cannot be clean"
    ),
    "text_sha256": TableColumn(type="VARCHAR", nullable=True, description="SHA-256 of a line that cannot be clean"),
    "local_time": TableColumn(
        type="TIMESTAMP",
        nullable=True,
        unit="local wall clock",
        description="The time that counts, on the venue's wall clock; null where the event date is wrong",
    ),
}


def _raw(stream: str) -> Table:
    contract = _contract(_FOLDER / "raw" / "raw_stream.yml")
    fields = {n: c.model_copy(update={"nullable": True}) for n, c in _record_columns(stream).items()}
    return Table(
        name=f"raw_{stream}",
        layer="raw",
        description=contract.description.format(stream=stream, record=_first_line(STREAMS[stream].__doc__)),
        grain=contract.grain,
        key=contract.key,
        columns=dict(_JUDGED) | fields,
        inputs=contract.inputs,
        checks=contract.checks,
        owner=contract.owner,
        sql=None,
        stream=stream,
        code=_digest([_FOLDER / "raw" / "judge.py"]),
    )


def _table(layer: str, path: Path) -> Table:
    contract = _contract(path)
    columns = _record_columns(contract.record) if contract.record else {}
    columns = {n: c for n, c in columns.items() if n not in contract.without} | {
        n: _metric_column(path, n) if c == "metric" else c for n, c in contract.columns.items()
    }
    source = path.with_suffix(".sql")
    sql = source.read_text(encoding="utf-8") if source.exists() else None
    try:
        read = frozenset[str]().union(*(tables_read(q) for q in (sql, *(c.sql for c in contract.checks.values())) if q))
    except sqlglot.ParseError as error:
        raise CatalogueError(f"{source if sql else path}: {error}") from None
    module = import_module(f"{__package__}.{layer}.{path.stem}") if path.with_suffix(".py").exists() else None
    if sql is not None and read - {path.stem} != set(contract.inputs):
        raise CatalogueError(
            f"{path}: inputs {sorted(contract.inputs)} are given, but the SQL reads {sorted(read - {path.stem})}"
        )
    return Table(
        name=path.stem,
        layer=layer,
        description=contract.description,
        grain=contract.grain,
        key=contract.key,
        columns=columns,
        inputs=contract.inputs,
        checks=contract.checks,
        owner=contract.owner,
        sql=sql,
        compute=getattr(module, "compute", None),
        picture=_picture(path, contract.picture) if contract.picture else getattr(module, "picture", None),
        stream=contract.record,
        code=_digest([path, *((source,) if sql else ()), *(_code_of(path) if module else ())]),
    )


def _picture(path: Path, name: str) -> Picture:
    """What draws a table: the function `picture` of a module of venue_assets.pictures."""
    try:
        found: Picture = import_module(f"venue_assets.pictures.{name}").picture
    except (ModuleNotFoundError, AttributeError):
        raise CatalogueError(
            f"{path}: picture: there is no function picture in venue_assets/pictures/{name}.py"
        ) from None
    return found


def _code_of(path: Path) -> list[Path]:
    """What a table in Python is made of: its module, those beside it that are no tables, all methods, and labels."""
    beside = [file for file in sorted(path.parent.glob("*.py")) if not file.with_suffix(".yaml").exists()]
    return [path.with_suffix(".py"), *beside, *sorted((_FOLDER.parent / "methods").rglob("*.py")), REGISTRY]


def _digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _contract(path: Path) -> _Contract:
    try:
        return _Contract.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER))  # noqa: S506 (a safe one)
    except yaml.YAMLError as error:
        raise CatalogueError(f"{path}: {error}") from None
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise CatalogueError(f"{path}: {mistakes}") from None


def _metric_column(path: Path, name: str) -> TableColumn:
    """A column that holds a metric: type, unit and meaning are those of the registry."""
    if name not in (metrics := registry().metrics):
        raise CatalogueError(f"{path}: columns.{name}: metric is given, but there is no such metric in metrics.yaml")
    metric = metrics[name]
    return TableColumn(type=metric.type, unit=metric.unit, description=metric.description.en, nullable=True)


def _record_columns(stream: str) -> dict[str, TableColumn]:
    return {
        c.name: TableColumn.model_validate(
            {"type": c.type, "description": c.description, "unit": c.unit or _counter(c.type), "nullable": c.nullable}
        )
        for c in contract_columns(stream)
    }


def _counter(kind: str) -> str:
    """The unit of a number that the record contract gives none: it tells things apart, and measures nothing."""
    return "ordinal" if kind == "BIGINT" else ""


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0].rstrip(".")
