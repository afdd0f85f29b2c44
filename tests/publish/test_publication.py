"""Publication sets: whole, consistent, readable while the next one is made, and by an older DuckDB."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.conftest import REPOSITORY, compute
from venue_assets.graph.build import engine_resource
from venue_assets.home import Home
from venue_assets.lake.store import Lake
from venue_assets.publish.publication import KEPT, Publication, current
from venue_assets.publish.publication import publish as publish_
from venue_assets.simulate import Options, simulate
from venue_assets.tables.catalogue import catalogue

FIRST = date(2026, 1, 30)
DAYS = [FIRST + timedelta(days=n) for n in range(4)]  # into February, so that there are two months


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("computed")
    shutil.copyfile(REPOSITORY / "data" / "site.toml", root / "site.toml")
    home = Home(root)
    simulate(home.site, home.landing, Options(FIRST, days=len(DAYS), visits=60))
    compute(home, *DAYS)
    return root


@pytest.fixture
def lake_home(computed: Path, tmp_path: Path) -> Home:
    shutil.copytree(computed, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def published(computed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Publication]:
    """A home and its first publication; for tests that only read."""
    root = tmp_path_factory.mktemp("published")
    shutil.copytree(computed, root, dirs_exist_ok=True)
    return Home(root), publish(Home(root))


def publish(home: Home) -> Publication:
    return publish_(home, catalogue(), engine_resource())


def ask(home: Home, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home.published / "venue.duckdb"), read_only=True) as con:
        return con.sql(sql).fetchall()


def test_every_table_is_there_by_layer_with_the_rows_of_the_lake(published: tuple[Home, Publication]) -> None:
    home, _ = published
    for table in catalogue().tables.values():
        expected = sum(pq.read_metadata(Lake(home.lake).path(table.name, day)).num_rows for day in DAYS)
        assert ask(home, f"SELECT count(*) FROM {table.layer}.{table.name}") == [(expected,)], table.name


def test_every_table_and_column_says_what_it_means(published: tuple[Home, Publication]) -> None:
    home, _ = published
    assert ask(home, "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL AND NOT internal") == []
    nameless = "SELECT table_name, column_name FROM duckdb_columns() WHERE comment IS NULL AND NOT internal"
    assert ask(home, nameless) == []


def test_only_column_types_that_every_reader_takes(published: tuple[Home, Publication]) -> None:
    home, _ = published
    safe = {"BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "DECIMAL(18,2)", "VARCHAR", "DATE", "TIMESTAMP"}
    assert {row[0] for row in ask(home, "SELECT DISTINCT data_type FROM duckdb_columns() WHERE NOT internal")} <= safe


def test_parquet_of_metrics_and_of_facts_by_month_with_the_event_date_as_a_column(
    published: tuple[Home, Publication],
) -> None:
    home, publication = published
    parquet = home.published / "parquet"
    assert sorted(str(p.relative_to(parquet)) for p in parquet.rglob("*.parquet")) == [
        "hourly_metrics.parquet",
        "kpi.parquet",
        "order_lines/2026-01.parquet",
        "order_lines/2026-02.parquet",
        "primary_metrics.parquet",
        "rfm_migrations.parquet",
        "sessions/2026-01.parquet",
        "sessions/2026-02.parquet",
        "user_days/2026-01.parquet",
        "user_days/2026-02.parquet",
    ]
    metrics = pl.read_parquet(parquet / "primary_metrics.parquet")
    assert metrics["event_date"].dtype == pl.Date
    assert metrics["event_date"].unique().sort().to_list() == DAYS
    kept = pq.read_metadata(parquet / "primary_metrics.parquet").metadata
    assert kept[b"publication_id"].decode() == publication.publication_id
    rows = ask(home, "SELECT DISTINCT publication_id FROM publication")
    assert rows == [(publication.publication_id,)]


def test_nothing_changed_publishes_nothing(lake_home: Home) -> None:
    first = publish(lake_home)
    assert publish(lake_home) == first
    assert len(list((lake_home.published / ".versions").iterdir())) == 1


def test_a_changed_date_alone_is_written_and_the_rest_is_linked(lake_home: Home) -> None:
    publish(lake_home)
    january = lake_home.published / "parquet" / "sessions" / "2026-01.parquet"
    inode = january.stat().st_ino
    with duckdb.connect(str(lake_home.published / "venue.duckdb"), read_only=True) as held_open:
        before = held_open.sql("SELECT count(*) FROM behaviour.sessions").fetchall()
        _lose_a_segment(lake_home, DAYS[-1])
        second = publish(lake_home)
        assert held_open.sql("SELECT count(*) FROM behaviour.sessions").fetchall() == before
    assert second.number == 2
    assert january.stat().st_ino == inode
    rows = sum(pq.read_metadata(Lake(lake_home.lake).path("sessions", day)).num_rows for day in DAYS)
    assert ask(lake_home, "SELECT count(*) FROM behaviour.sessions") == [(rows,)]
    assert before != [(rows,)]


def test_a_date_whose_tables_do_not_fit_together_stays_as_it_was_published(lake_home: Home) -> None:
    first = publish(lake_home)
    _lose_a_segment(lake_home, DAYS[0], tables=["raw_face_visits", "landed_segments", "quarantine", "face_visits"])
    second = publish(lake_home)
    assert second.waiting == [str(DAYS[0])]
    assert second.contents == first.contents


def test_a_date_that_never_fitted_is_left_out(lake_home: Home) -> None:
    Lake(lake_home.lake).remove("primary_metrics", DAYS[2])
    publication = publish(lake_home)
    assert publication.dates == set(DAYS) - {DAYS[2]}
    assert ask(lake_home, f"SELECT count(*) FROM behaviour.sessions WHERE event_date = '{DAYS[2]}'") == [(0,)]


def test_a_publication_that_fails_leaves_the_earlier_one_whole(
    lake_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(lake_home)
    _lose_a_segment(lake_home, DAYS[0])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("venue_assets.publish.publication._parquet", full)
    with pytest.raises(OSError, match="No space left"):
        publish(lake_home)
    assert current(lake_home) == first
    assert ask(lake_home, "SELECT count(DISTINCT event_date) FROM metrics.primary_metrics") == [(len(DAYS),)]
    assert [p.name for p in (lake_home.published / ".versions").iterdir()] == ["1"]


def test_the_last_three_publications_are_kept(lake_home: Home) -> None:
    publish(lake_home)
    for n in range(KEPT + 1):
        Lake(lake_home.lake).remove("primary_metrics", DAYS[n % len(DAYS)])
        shutil.rmtree(lake_home.published / "current", ignore_errors=True)
        (lake_home.published / "current").unlink(missing_ok=True)
        publish(lake_home)
    assert len(list((lake_home.published / ".versions").iterdir())) == KEPT


def test_the_record_of_a_publication_can_be_read_by_anyone(published: tuple[Home, Publication]) -> None:
    home, publication = published
    record = json.loads((home.published / "current" / "publication.json").read_text())
    assert record["publication_id"] == publication.publication_id
    assert set(record["contents"]["primary_metrics"]) == {str(day) for day in DAYS}


def _lose_a_segment(home: Home, day: date, tables: list[str] | None = None) -> None:
    """Take away a segment of visits and compute the date (or some of its tables) again."""
    folder = home.landing / "face_visits" / f"event_date={day}"
    manifest = sorted(folder.glob("*.manifest.json"))[0]
    manifest.unlink()
    compute(home, day, tables=tables)
