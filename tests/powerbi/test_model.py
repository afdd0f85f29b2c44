"""The semantic model says what the registry and the star say, in names that people and Power BI can read."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from tests.powerbi.checks import objects
from venue_assets.powerbi.dax import format_string, formula, measure_names, references
from venue_assets.powerbi.model import MEASURES, SemanticModel
from venue_assets.powerbi.tmdl import Node
from venue_assets.semantic_layer.metrics import registry
from venue_assets.semantic_layer.star import star

MODEL = SemanticModel(registry(), star())


def written(metric: str) -> str:
    """The DAX of its measure."""
    return formula(registry()[metric], MODEL.names, registry(), star())


@pytest.fixture(scope="session")
def tables(project: Path) -> dict[str, Node]:
    return {table.name: table for table in objects(project, "table")}


def test_every_table_of_the_star_is_there_with_its_columns(tables: dict[str, Node]) -> None:
    for table in star():
        assert [column.name for column in tables[table.name].of("column")] == list(table.columns)


def test_every_metric_is_a_measure_named_by_its_english_label(tables: dict[str, Node]) -> None:
    measures = {measure.name: measure for measure in tables[MEASURES].of("measure")}
    for metric in registry():
        measure = measures[MODEL.names[metric.name]]
        assert measure.description.startswith(metric.description.en)
        assert measure.text("displayFolder") == registry().folders[metric.folder].en
    assert MODEL.names["pv"] == "Visits (PV)"


def test_a_label_that_a_column_has_gives_way_to_the_registrys_name() -> None:
    assert registry()["completed_orders"].label.en == "Orders"
    assert measure_names(registry(), ["orders"])["completed_orders"] == "Completed orders"
    assert measure_names(registry(), [])["completed_orders"] == "Orders"


def test_registry_names_in_dax_become_measures() -> None:
    assert written("average_order_value") == "DIVIDE([GMV], [Completed orders])"


def test_money_and_nothing_else_is_guarded_against_two_currencies() -> None:
    for metric in registry():
        guarded = re.search(r"^IF\(\s+DISTINCTCOUNT\(\w+\[currency\]\) <= 1", written(metric.name)) is not None
        assert guarded == (metric.is_money and metric.fact is not None), metric.name


def test_percentages_are_written_as_power_bi_reads_them() -> None:
    assert format_string(registry()["conversion"]) == "0.0%"
    assert format_string(registry()["gmv"]) == "#,0.00"


def test_what_counts_is_zero_where_its_fact_has_rows_and_blank_where_it_has_none() -> None:
    for metric in registry():
        counts = metric.fact and re.match(r"count\(|coalesce\(", metric.sql) and metric.name != "users"
        starts = metric.dax.startswith(f"IF(COUNTROWS({metric.fact}) > 0, ") and metric.dax.endswith(" + 0)")
        assert starts == bool(counts), metric.name


def test_measures_read_the_facts_that_their_sql_reads() -> None:
    for metric in registry():
        named, ahead = references(metric.dax), set(references(metric.dax).measures)
        tables = set(named.tables)
        while ahead:
            inner = references(registry()[ahead.pop()].dax)
            tables |= inner.tables
            ahead |= inner.measures
        assert tables == set(registry().facts(metric)), metric.name


def test_facts_refer_to_dimensions_and_dimensions_only_where_no_path_is_ambiguous() -> None:
    links = {(table, dimension) for table, _, dimension, _ in MODEL.relationships}
    for fact in (table for table in star() if table.is_fact):
        assert {(fact.name, dimension) for dimension in fact.refers.values()} <= links
    assert ("dim_customer", "dim_venue") not in links
    assert ("dim_experiment", "dim_venue") in links


def test_readers_do_not_see_keys_nor_what_a_slicer_would_not_change() -> None:
    assert {
        ("fact_session", "venue_id"),
        ("fact_session", "customer_key"),
        ("fact_session", "has_entry"),
    } <= MODEL.hidden
    assert ("fact_count", "activity_id") in MODEL.hidden, "the activity's dimension says it"
    assert ("fact_session", "hour") in MODEL.hidden, "the hour's own table says it, of every fact"
    assert not {("dim_date", "event_date"), ("dim_venue", "venue"), ("dim_hour", "hour")} & MODEL.hidden
    assert ("dim_customer", "venue_id") not in MODEL.hidden, "customers have no relationship to venues"


def test_weekdays_are_sorted_from_monday_on(tables: dict[str, Node]) -> None:
    weekday = next(column for column in tables["dim_date"].of("column") if column.name == "weekday")
    assert weekday.text("sortByColumn") == "weekday_number"


@pytest.mark.parametrize(
    ("column", "type_", "shape"),
    [
        ("event_date", "dateTime", "yyyy-mm-dd"),
        ("ordered_local", "dateTime", "yyyy-mm-dd hh:nn:ss"),
        ("amount", "decimal", "#,0.00"),
        ("quantity", "int64", "#,0"),
        ("hour", "int64", "0"),
        ("is_completed", "boolean", ""),
        ("category_id", "string", ""),
    ],
)
def test_columns_have_the_types_of_the_star(tables: dict[str, Node], column: str, type_: str, shape: str) -> None:
    found = next(c for c in tables["fact_order_line"].of("column") if c.name == column)
    assert (found.text("dataType"), found.text("formatString")) == (type_, shape)


def test_monthly_facts_are_read_from_a_listed_folder_and_others_from_one_file(tables: dict[str, Node]) -> None:
    for table in star():
        code = next(tables[table.name].of("partition")).text("source")
        listed = f'Folder.Files(Folder & "\\parquet\\{table.name}")' in code
        alone = f'File.Contents(Folder & "\\parquet\\{table.name}.parquet")' in code
        assert (listed, alone) == (table.monthly, not table.monthly)


def test_what_is_asked_over_odbc_is_sql_that_the_published_database_answers(tables: dict[str, Node]) -> None:
    con = duckdb.connect()
    con.execute("CREATE SCHEMA star")
    for table in star():
        columns = ", ".join(f'"{name}" {column.type}' for name, column in table.columns.items())
        con.execute(f"CREATE TABLE star.{table.name} ({columns})")
        code = next(tables[table.name].of("partition")).text("source")
        asked = re.search(r'"(SELECT (?:[^"]|"")+)"', code)
        assert asked
        answer = con.sql(asked[1].replace('""', '"'))
        assert answer.columns == list(table.columns)
