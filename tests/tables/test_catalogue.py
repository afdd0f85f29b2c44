"""The catalogue: contracts and SQL say the same, and the graph that follows from them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import dagster as dg
import pytest

from edge_collector.contract import STREAMS, columns
from venue_assets.graph.build import build_definitions
from venue_assets.home import Home
from venue_assets.tables import CatalogueError
from venue_assets.tables import catalogue as module
from venue_assets.tables.catalogue import LAYERS, Table, catalogue, tables_read
from venue_assets.tables.lineage import column_lineage
from venue_assets.tables.references import REFERENCES

TABLES = list(catalogue().tables.values())

GRAPH = {
    "raw": {
        *(f"raw_{stream}" for stream in STREAMS),
        "landed_segments",
        "sequence_gaps",
        "quarantine",
        "refused_segments",
    },
    "clean": {*STREAMS, "identity_map"},
    "behaviour": {"sessions", "order_lines", "behaviour_events", "user_days"},
    "metrics": {"venue_figures", "primary_metrics", "hourly_metrics", "kpi"},
    "segments": {"rfm_segments", "rfm_migrations", "visitor_features"},
    "experiments": {
        "experiment_baselines",
        "experiment_units",
        "sample_size_checks",
        "experiment_verdicts",
        "visitor_contexts",
        "bandit_units",
        "context_tree",
        "bandit_statistics",
        "bandit_allocations",
        "activity_comparison",
        "control_visits",
        "improvement_hypotheses",
    },
}


def test_the_tables_there_are() -> None:
    """A changed graph shows here, in review."""
    assert {layer: {t.name for t in TABLES if t.layer == layer} for layer in LAYERS} == GRAPH


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_inputs_are_what_the_sql_reads(table: Table) -> None:
    checked = frozenset[str]().union(*(tables_read(check.sql) for check in table.checks.values()))
    read = (tables_read(table.sql) if table.sql else frozenset(table.inputs)) | checked
    assert set(table.inputs) == read - {table.name}
    assert set(table.inputs) <= set(catalogue().tables) | set(REFERENCES)


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_everything_is_described(table: Table) -> None:
    assert table.description
    assert table.grain
    assert set(table.key) <= set(table.columns)
    assert table.owner.startswith("team:")
    for name, column in table.columns.items():
        assert column.description, f"{table.name}.{name}"
        # A number without a unit is an identifier, and says so by its name.
        if column.type in ("DOUBLE", "DECIMAL(18,2)"):
            assert column.unit, f"{table.name}.{name} has no unit"
    assert not any(table.columns[name].nullable for name in table.key)


def test_each_table_comes_after_those_it_reads() -> None:
    seen: set[str] = set()
    for table in TABLES:
        assert set(catalogue().lake_inputs(table)) <= seen, table.name
        seen.add(table.name)


@pytest.mark.parametrize("stream", STREAMS)
def test_raw_and_clean_columns_come_from_the_record_contract(stream: str) -> None:
    names = [column.name for column in columns(stream)]
    for name in (f"raw_{stream}", stream):
        assert set(names) <= set(catalogue()[name].columns)


def test_lineage_of_a_column_is_read_from_the_sql() -> None:
    lineage = column_lineage(catalogue(), catalogue()["sessions"])
    people = [("face_visits", "user_id"), ("face_visits", "venue_id")]
    assert lineage["dwell_seconds"] == [("face_visits", "direction"), ("face_visits", "recorded_at"), *people]
    assert lineage["user_id"] == [("face_visits", "user_id")]
    figures = column_lineage(catalogue(), catalogue()["venue_figures"])
    assert ("order_lines", "amount") in figures["gmv"]
    assert ("sessions", "user_id") in figures["uv"]


def test_every_asset_says_in_the_ui_what_it_is(home: Home) -> None:
    definitions = build_definitions(home)
    graph = definitions.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {t.name for t in TABLES} | {"published"}
    for table in TABLES:
        node = graph.get(dg.AssetKey(table.name))
        assert node.group_name == table.layer
        assert node.owners
        assert node.partitions_def is not None
        shown = {c.name: c for c in node.metadata["dagster/column_schema"].columns}
        assert list(shown) == list(table.columns)
        for name, column in table.columns.items():
            assert shown[name].type == column.type
            assert column.description in (shown[name].description or "")
            assert column.unit in (shown[name].description or "")
        if table.sql:
            assert "dagster/column_lineage" in node.metadata
    checks = {(c.asset_key.to_user_string(), c.name): c for c in graph.asset_check_keys}
    for table in TABLES:
        assert (table.name, "contract") in checks
    for stream in STREAMS:
        assert (stream, "conservation") in checks


def test_partitions_begin_with_the_first_venue_and_reach_into_tomorrow(home: Home) -> None:
    from datetime import UTC, datetime, timedelta

    node = build_definitions(home, lineage=False).resolve_asset_graph().get(dg.AssetKey("sessions"))
    assert node.partitions_def is not None
    keys = list(node.partitions_def.get_partition_keys())
    assert keys[0] == "2026-01-01"
    assert keys[-1] == str(datetime.now(UTC).date() + timedelta(days=1))


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("orders.yaml", "description: x", "orders.yaml: grain: Field required"),
        ("orders.yaml", "description: [", "orders.yaml: while parsing"),
        ("orders.sql", "SELECT FROM WHERE", "orders.sql: "),
        ("orders.sql", "SELECT * FROM raw_face_visits", "'quarantine', 'raw_orders'] are given, but the SQL reads"),
    ],
)
def test_a_wrong_contract_is_named_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: str, sentence: str
) -> None:
    folder = tmp_path / "tables"
    shutil.copytree(Path(module.__file__).parent, folder)
    (folder / "clean" / file).write_text(content)
    monkeypatch.setattr(module, "_FOLDER", folder)
    with pytest.raises(CatalogueError, match=re.escape(sentence)) as raised:
        module.catalogue.__wrapped__()
    assert str(folder) in str(raised.value)
