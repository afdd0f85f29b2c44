"""What stands in the dictionary, gathered from where it is defined: nothing is described here a second time.

A text whose `zh` is empty is defined in English only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import sqlglot

from venue_assets.dictionary.questions import Question, measure_names, questions
from venue_assets.powerbi.captions import column_caption, column_description, table_caption, table_description
from venue_assets.powerbi.dax import formula
from venue_assets.semantic_layer.metrics import Dimension, Metric, Text, registry
from venue_assets.semantic_layer.query import dimensions_of, question
from venue_assets.semantic_layer.star import StarTable, star
from venue_assets.tables.catalogue import Catalogue, Table, TableColumn, catalogue

_LAYERS: Final[Mapping[str, Text]] = {
    "raw": Text(en="Raw: what landed, judged line by line", zh="原始层：逐行判定的落地数据"),
    "clean": Text(en="Clean: records that meet the contract", zh="清洗层：符合约定的记录"),
    "behaviour": Text(en="Behaviour: sessions, orders and days of people", zh="行为层：会话、订单与用户日"),
    "metrics": Text(en="Metrics: figures of dates, hours and windows", zh="指标层：按日期、小时与窗口的数值"),
    "segments": Text(en="Segments: who the customers are", zh="分群层：顾客是谁"),
    "experiments": Text(en="Experiments: what works", zh="实验层：什么有效"),
}
_DIMENSIONS: Final = Text(en="Star schema: dimensions", zh="星型模型：维度表")
_FACTS: Final = Text(en="Star schema: facts", zh="星型模型：事实表")
_PARTITION: Final = Text(
    en="One partition per event date, computed again whenever an input or the definition changes.",
    zh="每个日期一个分区；输入或定义改变后重新计算。",
)
_WINDOWS: Final = Text(en=" Reads more than its own date of {}.", zh="还读取其他日期：{}。")
_PUBLISHED: Final = Text(
    en="Brought up to date by every publication, from the published layers and site.toml.",
    zh="每次发布时根据已发布的各层与 site.toml 更新。",
)
_MONTHLY: Final = Text(en=" In Parquet it is one file per month.", zh="Parquet 中每月一个文件。")
_LANDING: Final = "the landing"
_STAR_OWNER: Final = "team:analytics"
_SHOWN: Final = 6
"""Columns of a sample query."""


@dataclass(frozen=True)
class ColumnEntry:
    """A column as readers see it."""

    name: str
    caption: Text | None
    """What it is called, where it is called something."""
    type: str
    unit: Text
    nullable: bool
    is_key: bool
    description: Text


@dataclass(frozen=True)
class TableEntry:
    """A table as readers see it."""

    schema: str
    name: str
    caption: Text | None
    description: Text
    grain: str
    key: tuple[str, ...]
    freshness: Text
    owner: str
    columns: tuple[ColumnEntry, ...]
    made_of: tuple[str, ...]
    """Anchors of tables, where they are in the dictionary, else names."""
    read_by: tuple[str, ...]
    sample: str

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class MetricEntry:
    """A metric as readers see it."""

    metric: Metric
    unit: Text
    folder: Text
    dimensions: tuple[Dimension, ...]
    measure: str
    sql: str
    dax: str
    sample: str


@dataclass(frozen=True)
class Group:
    """Tables of a layer, or metrics of a folder."""

    anchor: str
    title: Text
    tables: tuple[TableEntry, ...] = ()
    metrics: tuple[MetricEntry, ...] = ()


@dataclass(frozen=True)
class Contents:
    """The whole dictionary."""

    metrics: tuple[Group, ...]
    questions: tuple[Question, ...]
    tables: tuple[Group, ...]
    dimensions: tuple[Dimension, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How much there is of each."""
        return {
            "metrics": sum(len(group.metrics) for group in self.metrics),
            "questions": len(self.questions),
            "tables": sum(len(group.tables) for group in self.tables),
        }


def contents() -> Contents:
    """Everything, in the order in which readers need it."""
    return Contents(
        metrics=tuple(
            Group(f"metrics-{folder}", label, metrics=tuple(_metric(m) for m in registry() if m.folder == folder))
            for folder, label in registry().folders.items()
        ),
        questions=questions(),
        tables=(
            Group("star-dimensions", _DIMENSIONS, tuple(_star(t) for t in _by_name() if not t.is_fact)),
            Group("star-facts", _FACTS, tuple(_star(t) for t in _by_name() if t.is_fact)),
            *(
                Group(layer, title, tuple(_layer(catalogue(), t) for t in catalogue() if t.layer == layer))
                for layer, title in _LAYERS.items()
            ),
        ),
        dimensions=tuple(registry().dimensions.values()),
    )


def _by_name() -> list[StarTable]:
    return sorted(star(), key=lambda table: table.name)


def _metric(metric: Metric) -> MetricEntry:
    names = measure_names()
    sql = question(registry(), star(), [metric.name], by=["venue_id"])
    return MetricEntry(
        metric,
        registry().units[metric.unit],
        registry().folders[metric.folder],
        tuple(dimensions_of(registry(), star(), metric)),
        names[metric.name],
        sqlglot.transpile(sql, read="duckdb", write="duckdb", pretty=True)[0],
        formula(metric, names, registry(), star()),
        f"SELECT * FROM metric.{metric.name} ORDER BY event_date DESC, venue_id LIMIT 10",
    )


def _layer(tables: Catalogue, table: Table) -> TableEntry:
    event_date = TableColumn(type="DATE", description=registry().dimensions["event_date"].description.en)
    columns = {"event_date": event_date} | dict(table.columns)
    inputs = tables.lake_inputs(table)
    windows = "; ".join(f"{name} ({window.words})" for name, window in inputs.items() if window.words)
    return TableEntry(
        schema=table.layer,
        name=table.name,
        caption=None,
        description=_english(table.description.strip()),
        grain=f"{table.grain}, within an event date",
        key=("event_date", *table.key),
        freshness=_joined(_PARTITION, _filled(_WINDOWS, windows)) if windows else _PARTITION,
        owner=table.owner,
        columns=_columns(columns, ("event_date", *table.key)),
        made_of=tuple(inputs) or (_LANDING,),
        read_by=tuple(t.name for t in tables if table.name in t.inputs)
        + tuple(t.name for t in _by_name() if table.name in t.reads),
        sample=_when_empty(table.description)
        + _sample(f"{table.layer}.{table.name}", tuple(columns), table.key, newest=True),
    )


def _star(table: StarTable) -> TableEntry:
    return TableEntry(
        schema="star",
        name=table.name,
        caption=table_caption(table.name),
        description=Text(en=table.description, zh=table_description(table.name, table, "zh")),
        grain=table.grain,
        key=table.key,
        freshness=_joined(_PUBLISHED, _MONTHLY) if table.monthly else _PUBLISHED,
        owner=_STAR_OWNER,
        columns=_columns(table.columns, table.key),
        made_of=tuple(sorted(n for n in table.reads if not n.startswith("site_")))
        + (("site.toml",) if any(n.startswith("site_") for n in table.reads) else ()),
        read_by=tuple(t.name for t in _by_name() if table.name in t.reads)
        + tuple(m.name for m in registry() if table.name in registry().facts(m)),
        sample=_sample(
            f"star.{table.name}",
            tuple(table.columns),
            table.key,
            newest=table.is_fact and "event_date" in table.columns,
        ),
    )


def _columns(columns: Mapping[str, TableColumn], key: tuple[str, ...]) -> tuple[ColumnEntry, ...]:
    return tuple(
        ColumnEntry(
            name,
            _caption(name),
            column.type,
            registry().units.get(column.unit) or _english(column.unit),
            column.nullable,
            name in key,
            Text(en=column.description, zh=_chinese().get((name, column.description), "")),
        )
        for name, column in columns.items()
    )


def _caption(name: str) -> Text | None:
    """A column is called the same in every table."""
    if metric := registry().metrics.get(name):
        return metric.label
    try:
        return column_caption(name, registry())
    except KeyError:
        return None


@lru_cache(maxsize=1)
def _chinese() -> Mapping[tuple[str, str], str]:
    """The Chinese of a column, by its name and English description: of what the registry or the star describe alike."""
    metrics = {(metric.name, metric.description.en): metric.description.zh for metric in registry()}
    dimensions = {(d.column, d.description.en): d.description.zh for d in registry().dimensions.values()}
    stars = {
        (name, column.description): column_description(table.name, name, column, registry(), "zh")
        for table in star()
        for name, column in table.columns.items()
    }
    return metrics | dimensions | stars


def _english(text: str) -> Text:
    return Text(en=text, zh="")


def _joined(*texts: Text) -> Text:
    return Text(en="".join(t.en for t in texts), zh="".join(t.zh for t in texts))


def _filled(text: Text, value: str) -> Text:
    return Text(en=text.en.format(value), zh=text.zh.format(value))


def _when_empty(description: str) -> str:
    """As a comment, when a table has no rows: who runs the sample of one that is empty would take it for broken."""
    said = re.search(r"\bEmpty [^.;]+", description)
    return f"-- {said[0]}\n" if said else ""


def _sample(table: str, columns: tuple[str, ...], key: tuple[str, ...], *, newest: bool) -> str:
    """A few rows of the newest date, a few columns of each: the key, and then what comes first."""
    shown = [*(c for c in columns if c in key), *(c for c in columns if c not in key)][:_SHOWN]
    where = f"WHERE event_date = (SELECT max(event_date) FROM {table})\n" if newest else ""
    return f"SELECT {', '.join(shown)}\nFROM {table}\n{where}ORDER BY {', '.join(key)}\nLIMIT 10"
