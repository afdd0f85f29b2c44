"""Publication sets: whole, consistent, readable while the next one is made, and by an older DuckDB."""

from __future__ import annotations

import dataclasses
import json
import shutil
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.publish.home import DAYS, ask, lose_a_segment, publish
from venue_assets.home import Home
from venue_assets.lake.store import Lake
from venue_assets.publish.building import code
from venue_assets.publish.publication import KEPT
from venue_assets.publish.record import Publication, current
from venue_assets.semantic_layer.star import star
from venue_assets.tables.catalogue import Catalogue, TableColumn, catalogue


def test_every_table_is_there_by_layer_with_the_rows_of_the_lake(published: tuple[Home, Publication]) -> None:
    home, _ = published
    for table in catalogue().tables.values():
        expected = sum(pq.read_metadata(Lake(home.lake).path(table.name, day)).num_rows for day in DAYS)
        assert ask(home, f"SELECT count(*) FROM {table.layer}.{table.name}") == [(expected,)], table.name


def test_every_table_and_column_says_what_it_means(published: tuple[Home, Publication]) -> None:
    home, _ = published
    assert ask(home, "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL AND NOT internal") == []
    assert ask(home, "SELECT view_name FROM duckdb_views() WHERE comment IS NULL AND NOT internal") == []
    nameless = "SELECT table_name, column_name FROM duckdb_columns() WHERE comment IS NULL AND NOT internal"
    assert ask(home, nameless) == []


def test_parquet_of_metrics_and_of_facts_by_month_with_the_event_date_as_a_column(
    published: tuple[Home, Publication],
) -> None:
    home, publication = published
    parquet = home.published / "parquet"
    monthly = [*(t.name for t in star() if t.monthly), "sessions", "order_lines", "user_days"]
    whole = [*(t.name for t in star() if not t.monthly), "primary_metrics", "hourly_metrics", "kpi", "rfm_migrations"]
    assert {str(p.relative_to(parquet)) for p in parquet.rglob("*.parquet")} == {
        *(f"{name}.parquet" for name in whole),
        *(f"{name}/{month}.parquet" for name in monthly for month in ("2026-01", "2026-02")),
    }
    metrics = pl.read_parquet(parquet / "primary_metrics.parquet")
    assert metrics["event_date"].dtype == pl.Date
    assert metrics["event_date"].unique().sort().to_list() == DAYS
    kept = pq.read_metadata(parquet / "primary_metrics.parquet").metadata
    assert kept[b"publication_id"].decode() == publication.publication_id
    rows = ask(home, "SELECT DISTINCT publication_id FROM publication")
    assert rows == [(publication.publication_id,)]


def test_nothing_changed_publishes_nothing(four_dates: Home) -> None:
    first = publish(four_dates)
    assert publish(four_dates) == first
    assert len(list((four_dates.published / ".versions").iterdir())) == 1


def test_a_changed_date_alone_is_written_and_the_rest_is_linked(four_dates: Home) -> None:
    publish(four_dates)
    january = four_dates.published / "parquet" / "sessions" / "2026-01.parquet"
    inode = january.stat().st_ino
    with duckdb.connect(str(four_dates.published / "venue.duckdb"), read_only=True) as held_open:
        before = held_open.sql("SELECT count(*) FROM behaviour.sessions").fetchall()
        lose_a_segment(four_dates, DAYS[-1])
        second = publish(four_dates)
        assert held_open.sql("SELECT count(*) FROM behaviour.sessions").fetchall() == before
    assert second.number == 2
    assert january.stat().st_ino == inode
    rows = sum(pq.read_metadata(Lake(four_dates.lake).path("sessions", day)).num_rows for day in DAYS)
    assert ask(four_dates, "SELECT count(*) FROM behaviour.sessions") == [(rows,)]
    assert before != [(rows,)]


def test_a_date_whose_tables_do_not_fit_together_stays_as_it_was_published(four_dates: Home) -> None:
    first = publish(four_dates)
    lose_a_segment(four_dates, DAYS[0], tables=["raw_face_visits", "landed_segments", "quarantine", "face_visits"])
    second = publish(four_dates)
    assert second.waiting == [str(DAYS[0])]
    assert second.contents == first.contents


def test_a_date_that_never_fitted_is_left_out(four_dates: Home) -> None:
    Lake(four_dates.lake).remove("primary_metrics", DAYS[2])
    publication = publish(four_dates)
    assert publication.dates == set(DAYS) - {DAYS[2]}
    assert ask(four_dates, f"SELECT count(*) FROM behaviour.sessions WHERE event_date = '{DAYS[2]}'") == [(0,)]


def test_a_publication_that_fails_leaves_the_earlier_one_whole(
    four_dates: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(four_dates)
    lose_a_segment(four_dates, DAYS[0])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("venue_assets.publish.building.write_parquet", full)
    with pytest.raises(OSError, match="No space left"):
        publish(four_dates)
    assert current(four_dates) == first
    assert ask(four_dates, "SELECT count(DISTINCT event_date) FROM metrics.primary_metrics") == [(len(DAYS),)]
    assert [p.name for p in (four_dates.published / ".versions").iterdir()] == ["1"]


@pytest.mark.parametrize(
    "other",
    [
        {"description": "Another."},
        {"grain": "one row per whatever"},
        {"owner": "team:others"},
        {"columns": {"pv": TableColumn(type="BIGINT", unit="people", description="Visits")}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_readers_are_told_of_a_table_is_part_of_what_is_published(home: Home, other: dict[str, Any]) -> None:
    tables = dict(catalogue().tables)
    told = {**tables, "kpi": dataclasses.replace(tables["kpi"], **other)}
    assert code(Catalogue(told, catalogue().references), home.site) != code(catalogue(), home.site)


def test_the_last_three_publications_are_kept(four_dates: Home) -> None:
    publish(four_dates)
    for n in range(KEPT + 1):
        Lake(four_dates.lake).remove("primary_metrics", DAYS[n % len(DAYS)])
        shutil.rmtree(four_dates.published / "current", ignore_errors=True)
        (four_dates.published / "current").unlink(missing_ok=True)
        publish(four_dates)
    kept = {p.name for p in (four_dates.published / ".versions").iterdir()}
    assert kept == {str(KEPT), str(KEPT + 1), str(KEPT + 2)}


def test_the_record_of_a_publication_can_be_read_by_anyone(published: tuple[Home, Publication]) -> None:
    home, publication = published
    record = json.loads((home.published / "current" / "publication.json").read_text())
    assert record["publication_id"] == publication.publication_id
    assert set(record["contents"]["primary_metrics"]) == {str(day) for day in DAYS}
