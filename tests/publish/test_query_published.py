"""`venue query --published` and `venue publish` as people meet them."""

from __future__ import annotations

import re

import pytest

from tests.cli.commands import done, is_refused, venue
from tests.publish.home import DAYS, lose_a_segment
from venue_assets.home import Home
from venue_assets.publish.record import Publication


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT venue FROM dim_venue",
        "FROM star.dim_venue",
        "SELECT event_date, currency, gmv FROM gmv",
        "FROM metric.pv",
        "FROM primary_metrics",
        "FROM publication",
        "SELECT value FROM settings",
        "PIVOT fact_session ON venue_id USING count(*) GROUP BY hour",
    ],
)
def test_every_schema_is_on_the_path(published: tuple[Home, Publication], sql: str) -> None:
    home, _ = published
    assert done(home.root, "query", "--published", sql)


def test_it_asks_what_is_published_not_the_lake(four_dates: Home) -> None:
    count = "SELECT count(DISTINCT event_date) AS n FROM primary_metrics"
    done(four_dates.root, "publish")
    (four_dates.lake / "primary_metrics" / f"event_date={DAYS[0]}" / "part-0.parquet").unlink()
    assert done(four_dates.root, "query", "--format", "csv", count).split() == ["n", "3"]
    assert done(four_dates.root, "query", "--published", "--format", "csv", count).split() == ["n", "4"]


def test_where_nothing_is_published_it_says_what_to_do(home: Home) -> None:
    said = venue(home.root, "query", "--published", "FROM pv")
    is_refused(said, "nothing is published", "venue publish")


def test_it_only_reads_and_only_that_file(published: tuple[Home, Publication]) -> None:
    home, _ = published
    is_refused(venue(home.root, "query", "--published", "DROP TABLE star.dim_venue"), "one SELECT")
    is_refused(
        venue(home.root, "query", "--published", "FROM read_csv('/etc/passwd')"), "venue.duckdb and nothing else"
    )
    is_refused(venue(home.root, "query", "--published", "FROM fact_sesion"), "fact_session")


def test_publish_says_what_changed(four_dates: Home) -> None:
    assert re.search(r"Publication 000001-\w+: 4 event dates \(4 new\)", done(four_dates.root, "publish"))
    assert "4 event dates (nothing changed)" in done(four_dates.root, "publish")
    lose_a_segment(four_dates, DAYS[0])
    four_dates.site_file.write_text(four_dates.site_file.read_text().replace("Harbour Market", "Harbour"))
    assert "4 event dates (1 changed, another site.toml)" in done(four_dates.root, "publish")
