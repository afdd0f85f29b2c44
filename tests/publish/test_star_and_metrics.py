"""The star and the views of metrics: equal to the primary metrics, and the same however a publication came about."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from tests.publish.home import DAYS, are_equal, ask, bring_back, lose_a_segment, publish, set_smallest_cell, take_away
from venue_assets.home import Home
from venue_assets.publish.record import Publication
from venue_assets.semantic_layer.metrics import registry
from venue_assets.semantic_layer.star import star


def test_there_is_a_view_per_metric_with_the_currency_of_money(published: tuple[Home, Publication]) -> None:
    home, _ = published
    columns = {
        str(view): str(names).split(",")
        for view, names in ask(
            home,
            "SELECT table_name, string_agg(column_name, ',' ORDER BY column_index) "
            "FROM duckdb_columns() WHERE schema_name = 'metric' GROUP BY 1",
        )
    }
    by = ["event_date", "venue_id", "activity_id"]
    assert columns == {m.name: [*by, *(["currency"] if m.is_money else []), m.name] for m in registry()}


def test_views_of_metrics_say_what_the_primary_metrics_say(published: tuple[Home, Publication]) -> None:
    home, _ = published
    names = {str(row[0]) for row in ask(home, "SELECT column_name FROM (DESCRIBE metrics.primary_metrics)")}
    compared = [m for m in registry() if m.name in names]
    assert len(compared) > 10
    for metric in compared:
        # A view has no row where there is nothing to count; a table says 0 there.
        nothing = "0" if metric.type != "DOUBLE" else "NULL"
        different = ask(
            home,
            f"SELECT p.event_date, p.venue_id, p.{metric.name}, m.{metric.name} FROM metrics.primary_metrics AS p "
            f"LEFT JOIN metric.{metric.name} AS m USING (event_date, venue_id) "
            f"WHERE coalesce(m.{metric.name}, {nothing}) IS DISTINCT FROM coalesce(p.{metric.name}, {nothing})",
        )
        assert different == [], metric.name


@pytest.mark.parametrize("smallest", [0, 5])
def test_however_it_came_about_a_publication_holds_the_same(four_dates: Home, tmp_path: Path, smallest: int) -> None:
    """Date after date, corrected, without a date, with another site: as if made from nothing."""
    home = set_smallest_cell(four_dates, smallest)
    take_away(home, DAYS[-1])
    publish(home)
    bring_back(home, DAYS[-1])
    _hold_the_same(home, tmp_path)
    lose_a_segment(home, DAYS[0])  # first entries move to later dates
    _hold_the_same(home, tmp_path)
    take_away(home, DAYS[1])
    _hold_the_same(home, tmp_path)
    bring_back(home, DAYS[1])
    home.site_file.write_text(home.site_file.read_text().replace("Harbour Market", "Market by the Harbour"))
    home = Home(home.root)
    _hold_the_same(home, tmp_path)
    assert ask(home, "SELECT venue FROM star.dim_venue ORDER BY ALL")[0] == ("Market by the Harbour",)
    lose_a_segment(home, DAYS[2])
    _hold_the_same(home, tmp_path)


def _hold_the_same(home: Home, tmp_path: Path) -> None:
    """Publish, and publish the same lake as if it were the first time: rows, Parquet and CSV are equal."""
    publish(home)
    fresh = Home(tmp_path / "fresh")
    shutil.copytree(home.root, fresh.root, ignore=shutil.ignore_patterns("published"))
    publish(fresh)
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{home.published / 'venue.duckdb'}' AS one (READ_ONLY)")
        con.execute(f"ATTACH '{fresh.published / 'venue.duckdb'}' AS other (READ_ONLY)")
        tables = con.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
            "WHERE database_name = 'one' AND table_name <> 'publication'"
        ).fetchall()
        assert {f"star.{table.name}" for table in star()} < {name for (name,) in tables}
        for (name,) in tables:
            are_equal(con, f"one.{name}", f"other.{name}")
        for folder in ("parquet", "csv"):
            files = [_files(published / folder) for published in (home.published, fresh.published)]
            assert files[0] == files[1]
            for file in files[0]:
                if folder == "csv":
                    texts = {(p / folder / file).read_bytes() for p in (home.published, fresh.published)}
                    assert len(texts) == 1, file
                else:
                    are_equal(con, *(f"'{p / folder / file}'" for p in (home.published, fresh.published)))
    shutil.rmtree(fresh.root)


def _files(folder: Path) -> list[str]:
    """All but the record of which publication it is."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*.*") if p.suffix != ".json")
