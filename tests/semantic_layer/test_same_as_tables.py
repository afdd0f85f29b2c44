"""Questions over the star give exactly what the metrics layer says, on simulated days with all their dirt."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from datetime import date
from typing import Any

import duckdb
import pytest

from tests.conftest import REPOSITORY, compute, upstream
from tests.semantic_layer.towns import build_star
from venue_assets.cli.query import connect
from venue_assets.home import Home
from venue_assets.semantic_layer.metrics import registry
from venue_assets.semantic_layer.query import question
from venue_assets.semantic_layer.star import star
from venue_assets.simulate import Options, simulate
from venue_assets.tables.catalogue import catalogue

OPTIONS = Options(date(2026, 1, 5), days=7, visits=90)
PASSAGES = 'stream = "entrance_counts"\ncounting = "passages"\nin_share = 0.47\nposition = [31.2398, 121.4895]'
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[duckdb.DuckDBPyConnection, Rows]]:
    """A week; afterwards one door turned out to count passages, and one boundary pair and the member desk are gone."""
    root = tmp_path_factory.mktemp("week")
    shutil.copyfile(REPOSITORY / "data" / "site.toml", root / "site.toml")
    simulate(Home(root).site, root / "landing", OPTIONS)
    text = (root / "site.toml").read_text()
    changed = text.replace('stream = "entrance_counts"\nposition = [31.2398, 121.4895]', PASSAGES)
    changed = changed.replace('id = "boundary_south"', 'id = "boundary_gone"')
    assert changed.count("boundary_gone") == changed.count("passages") == 1
    (root / "site.toml").write_text(changed)
    home = Home(root)
    compute(home, *OPTIONS.dates, tables=upstream("hourly_metrics", "primary_metrics", "kpi", "rfm_segments"))
    rows: Rows = {}
    with connect(home, catalogue()) as con:
        for name in (*(t.name for t in catalogue() if any(t.name in made.reads for made in star())), "hourly_metrics"):
            rows[name] = con.sql(f"FROM {name}").to_arrow_table().to_pylist()
        rows["kpi"] = con.sql("FROM kpi").to_arrow_table().to_pylist()
    with duckdb.connect() as con:
        build_star(con, home.site, rows)
        yield con, rows


def asked(con: duckdb.DuckDBPyConnection, metrics: list[str], by: list[str], where: str | None = None) -> Rows:
    sql = question(registry(), star(), metrics, by=by, where=where)
    return {tuple(row[name] for name in by): row for row in con.sql(sql).to_arrow_table().to_pylist()}  # type: ignore[misc]


def differences(found: Any, expected: dict[str, Any], metrics: list[str]) -> dict[str, Any]:
    """A question has no row, or null, where a table says 0; estimates of fractions may differ in the last digit."""
    wrong = {}
    for metric in metrics:
        ours, theirs = (found or {}).get(metric), expected[metric]
        estimated = expected.get("pf_entrance_estimated") and metric in ("pf_entrance", "ocr", "recognition_share")
        close = estimated and None not in (ours, theirs) and math.isclose(ours, theirs, rel_tol=1e-12)
        if not (ours == theirs or close or (ours is None and theirs == 0)):
            wrong[metric] = (ours, theirs)
    return wrong


@pytest.mark.parametrize(
    ("table", "by"),
    [("primary_metrics", ["event_date", "venue_id"]), ("hourly_metrics", ["event_date", "venue_id", "hour"])],
)
def test_figures_of_dates_and_hours(lake: tuple[duckdb.DuckDBPyConnection, Rows], table: str, by: list[str]) -> None:
    con, rows = lake
    metrics = [m.name for m in registry() if m.name in catalogue()[table].columns]
    assert len(metrics) == 14
    found: Any = asked(con, metrics, by)
    assert rows[table]
    for row in rows[table]:
        key = tuple(row[name] for name in by)
        assert not differences(found.get(key), row, metrics), key


def test_figures_of_windows(lake: tuple[duckdb.DuckDBPyConnection, Rows]) -> None:
    con, rows = lake
    metrics = [m.name for m in registry() if m.name in catalogue()["kpi"].columns]
    assert len(metrics) == 12
    assert {row["window_name"] for row in rows["kpi"]} == {"last_30_days", "activity_to_date"}
    for row in rows["kpi"]:
        window = f"event_date BETWEEN '{row['first_date']}' AND '{row['event_date']}'"
        found: Any = asked(con, metrics, ["venue_id"], window)
        assert not differences(found.get((row["venue_id"],)), row, metrics), row


def test_segments_are_called_in_chinese_as_the_registry_calls_them(
    lake: tuple[duckdb.DuckDBPyConnection, Rows],
) -> None:
    _, rows = lake
    named = {(row["segment"], row["segment_zh"]) for row in rows["rfm_segments"]}
    assert len(named) > 3
    assert named <= {(segment, label.zh) for segment, label in registry().segments.items()}


def test_the_week_has_what_is_hard(lake: tuple[duckdb.DuckDBPyConnection, Rows]) -> None:
    _, rows = lake
    assert any(row["pf_entrance_estimated"] for row in rows["primary_metrics"])
    assert {row["state"] for row in rows["sessions"]} >= {"complete", "no_exit", "no_entry"}
    assert {row["status"] for row in rows["order_lines"]} >= {"completed", "cancelled"}
    assert any(row["user_id"] is None for row in rows["order_lines"])
    assert any(row["session_id"] is None for row in rows["order_lines"])
