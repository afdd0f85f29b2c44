"""The semantic model: every table of the star, one measure per metric, relationships and captions, as TMDL objects.

What does not belong here: how objects are written (tmdl.py), how tables are loaded (power_query.py), DAX (dax.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from uuid import UUID, uuid5

from venue_assets.powerbi import funnel, power_query
from venue_assets.powerbi.captions import column_description, measure_description, table_description
from venue_assets.powerbi.cultures import CULTURES, translations
from venue_assets.powerbi.dax import format_string, formula, measure_names, references
from venue_assets.powerbi.tmdl import Node, quoted
from venue_assets.semantic_layer.metrics import Metric, Registry
from venue_assets.semantic_layer.star import Star, StarTable
from venue_assets.tables.catalogue import TableColumn

MEASURES: Final = "metric"
"""The table that holds the measures, named like the database's schema of metrics; Power BI reserves `Measures`."""

DATE_TABLE: Final = "dim_date"
SORTED_BY: Final = {"weekday": "weekday_number"}
"""Columns whose texts have another order than the alphabet's; months as YYYY-MM sort by themselves."""

DATA_TYPES: Final = {
    "BOOLEAN": "boolean",
    "INTEGER": "int64",
    "BIGINT": "int64",
    "DOUBLE": "double",
    "DECIMAL(18,2)": "decimal",
    "VARCHAR": "string",
    "DATE": "dateTime",
    "TIMESTAMP": "dateTime",
}
_FORMATS: Final = {
    "INTEGER": "0",
    "BIGINT": "#,0",
    "DOUBLE": "#,0.00",
    "DECIMAL(18,2)": "#,0.00",
    "DATE": "yyyy-mm-dd",
    "TIMESTAMP": "yyyy-mm-dd hh:nn:ss",
}
_NAMESPACE: Final = UUID("5f0a2c1e-6a1b-5a52-9a53-5b8f2f1c7d10")


def identity(*path: str) -> str:
    """A GUID that is always the same for the same thing."""
    return str(uuid5(_NAMESPACE, "/".join(path)))


@dataclass(frozen=True)
class SemanticModel:
    """The registry and the star as a semantic model."""

    registry: Registry
    star: Star

    @cached_property
    def tables(self) -> list[StarTable]:
        """The tables of the star by name: dimensions first, then facts."""
        return sorted(self.star, key=lambda table: table.name)

    @cached_property
    def names(self) -> dict[str, str]:
        """Metric -> name of its measure."""
        columns = {column for table in self.tables for column in table.columns}
        return measure_names(self.registry, columns)

    @cached_property
    def relationships(self) -> list[tuple[str, str, str, str]]:
        """From table and column (many) to table and column (one).

        Facts refer to every dimension. A dimension refers to another one only where no table then reaches that one
        twice: Power BI activates no ambiguous path.
        """
        links = [(t.name, c, d, c) for t in self.tables if t.is_fact for c, d in sorted(t.refers.items())]
        for table in (t for t in self.tables if not t.is_fact):
            for column, dimension in sorted(table.refers.items()):
                reaching = {fact for fact, _, to, _ in links if to == table.name}
                if not any(fact in reaching and to == dimension for fact, _, to, _ in links):
                    links.append((table.name, column, dimension, column))
        return links

    @cached_property
    def hidden(self) -> frozenset[tuple[str, str]]:
        """Columns that readers need not see.

        Keys; what a fact repeats of a dimension; and what measures are computed from, for a measure overrides a
        slicer on the columns that it filters itself.
        """
        computed = {c for metric in self.registry for c in references(metric.dax).columns}
        related = {(table, column) for table, column, _, _ in self.relationships}
        repeated = {
            (t.name, column)
            for t in self.tables
            for dimension in t.refers.values()
            for column in self.star[dimension].columns
            if t.is_fact and column in t.columns
        }
        keys = {(t.name, column) for t in self.tables for column in t.columns if column.endswith("_key")}
        return frozenset(computed | related | repeated | keys)

    def files(self, publication_id: str) -> Iterator[tuple[str, list[Node]]]:
        """Every file of the model's definition: its path there, and its objects."""
        yield "database.tmdl", [Node("database", properties={"compatibilityLevel": "1606"})]
        yield "model.tmdl", self._model(publication_id)
        yield "expressions.tmdl", [self._parameter(name) for name in power_query.PARAMETERS]
        yield "relationships.tmdl", [self._relationship(*link) for link in self.relationships]
        yield f"tables/{MEASURES}.tmdl", [self._measures()]
        yield f"tables/{funnel.TABLE}.tmdl", [self._funnel()]
        for table in self.tables:
            yield f"tables/{table.name}.tmdl", [self._table(table)]
        for culture in CULTURES:
            translated = translations(culture, self.registry, self.star, self.names, MEASURES)
            yield f"cultures/{culture}.tmdl", [translated]

    def _model(self, publication_id: str) -> list[Node]:
        flags: dict[str, str | bool] = {"legacyRedirects": True, "returnErrorValuesAsNull": True}
        model = Node(
            "model",
            "Model",
            properties={
                "culture": "en-US",
                "defaultPowerBIDataSourceVersion": "powerBI_V3",
                "sourceQueryCulture": "en-US",
            },
            children=[Node("dataAccessOptions", properties=flags)],
        )
        names = [MEASURES, funnel.TABLE, *(table.name for table in self.tables)]
        annotations = {
            "__PBI_TimeIntelligenceEnabled": "0",
            "PBI_QueryOrder": json.dumps([*power_query.PARAMETERS, *names]),
            "Venue_PublicationId": publication_id,
        }
        return [
            model,
            *(Node("annotation", name, value) for name, value in annotations.items()),
            *(Node("ref", name, "table") for name in names),
            *(Node("ref", culture, "cultureInfo") for culture in CULTURES),
        ]

    def _parameter(self, name: str) -> Node:
        meaning = {
            power_query.FOLDER: "Folder that holds parquet and venue.duckdb · 包含 parquet 与 venue.duckdb 的文件夹",
            power_query.SOURCE: f"What is read · 数据来源: {power_query.PARQUET} / {power_query.ODBC}",
        }
        return Node(
            "expression",
            name,
            power_query.PARAMETERS[name],
            {"lineageTag": identity("expression", name)},
            [Node("annotation", "PBI_ResultType", "Text")],
            meaning[name],
        )

    def _relationship(self, table: str, column: str, to_table: str, to_column: str) -> Node:
        ends: dict[str, str | bool] = {
            "fromColumn": f"{quoted(table)}.{quoted(column)}",
            "toColumn": f"{quoted(to_table)}.{quoted(to_column)}",
        }
        return Node("relationship", identity("relationship", table, column, to_table), properties=ends)

    def _measures(self) -> Node:
        return Node(
            "table",
            MEASURES,
            properties={"lineageTag": identity("table", MEASURES)},
            children=[
                *(self._measure(metric) for metric in self.registry),
                self._funnel_measure(),
                _own_column(MEASURES, "placeholder", "string", "Holds nothing", isHidden=True),
                _partition(MEASURES, f"let\n    Empty = {power_query.EMPTY}\nin\n    Empty"),
            ],
            description=table_description(MEASURES, None, "en"),
        )

    def _funnel_measure(self) -> Node:
        properties: dict[str, str | bool] = {
            "formatString": "#,0",
            "displayFolder": self.registry.folders[funnel.FOLDER].en,
            "lineageTag": identity("measure", funnel.MEASURE),
        }
        formula_ = funnel.formula(self.names)
        return Node(
            "measure", funnel.MEASURE, formula_, properties, description=table_description(funnel.TABLE, None, "en")
        )

    def _funnel(self) -> Node:
        return Node(
            "table",
            funnel.TABLE,
            properties={"lineageTag": identity("table", funnel.TABLE)},
            children=[
                _own_column(
                    funnel.TABLE, funnel.NUMBER, "int64", "Number of the stage", isHidden=True, formatString="0"
                ),
                _own_column(funnel.TABLE, funnel.STAGE, "string", "Name of the stage", sortByColumn=funnel.NUMBER),
                _partition(funnel.TABLE, funnel.rows(self.registry)),
            ],
            description=table_description(funnel.TABLE, None, "en"),
        )

    def _measure(self, metric: Metric) -> Node:
        return Node(
            "measure",
            self.names[metric.name],
            formula(metric, self.names, self.registry, self.star),
            {
                "formatString": format_string(metric),
                "displayFolder": self.registry.folders[metric.folder].en,
                "lineageTag": identity("measure", metric.name),
            },
            description=measure_description(metric, self.registry, self.star, "en"),
        )

    def _table(self, table: StarTable) -> Node:
        properties: dict[str, str | bool] = {"lineageTag": identity("table", table.name)}
        if table.name == DATE_TABLE:
            properties["dataCategory"] = "Time"
        return Node(
            "table",
            table.name,
            properties=properties,
            children=[
                *(self._column(table, name, column) for name, column in table.columns.items()),
                _partition(table.name, power_query.partition(table)),
            ],
            description=table_description(table.name, table, "en"),
        )

    def _column(self, table: StarTable, name: str, column: TableColumn) -> Node:
        properties: dict[str, str | bool] = {"dataType": DATA_TYPES[column.type]}
        if (table.name, name) in self.hidden:
            properties["isHidden"] = True
        if table.key == (name,) and not table.is_fact:
            properties["isKey"] = True
        if column.type in _FORMATS:
            fraction = column.unit in ("fraction", "probability")
            properties["formatString"] = "0.0%" if fraction and column.type == "DOUBLE" else _FORMATS[column.type]
        properties |= {
            "lineageTag": identity("column", table.name, name),
            "summarizeBy": "none",
            "sourceColumn": name,
        }
        if name in SORTED_BY:
            properties["sortByColumn"] = SORTED_BY[name]
        description = column_description(table.name, name, column, self.registry, "en")
        return Node("column", name, properties=properties, description=description)


def _own_column(table: str, name: str, kind: str, description: str, **more: str | bool) -> Node:
    """A column of a table that is not of the star."""
    properties: dict[str, str | bool] = {
        "dataType": kind,
        **more,
        "lineageTag": identity("column", table, name),
        "summarizeBy": "none",
        "sourceColumn": name,
    }
    return Node("column", name, properties=properties, description=description)


def _partition(table: str, source: str) -> Node:
    return Node("partition", table, "m", {"mode": "import", "source": source})
