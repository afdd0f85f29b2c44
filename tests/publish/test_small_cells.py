"""Figures that rest on fewer people than the site's `smallest_cell` are null, in every published form."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from edge_collector.site import SiteError
from tests.publish.home import DAYS, ask, publish, set_smallest_cell
from venue_assets.home import Home

SMALLEST = 5

# Computed apart: who is behind each hour's visits and sales.
PEOPLE = """
SELECT h.event_date, h.venue_id, h.hour, h.pv, h.uv, h.lov_mean_seconds, h.gmv, h.paying_users, h.pf_range, h.ocr,
  (SELECT count(DISTINCT user_id) FROM behaviour.sessions AS s WHERE s.venue_id = h.venue_id
    AND s.event_date = h.event_date AND hour(s.enter_local) = h.hour) AS visitors,
  (SELECT count(DISTINCT user_id) FROM behaviour.sessions AS s WHERE s.venue_id = h.venue_id
    AND s.event_date = h.event_date AND hour(s.enter_local) = h.hour AND s.state = 'complete') AS stayed,
  (SELECT count(DISTINCT coalesce(user_id, order_id)) FROM behaviour.order_lines AS o WHERE o.venue_id = h.venue_id
    AND o.event_date = h.event_date AND hour(o.local_time) = h.hour AND o.status = 'completed') AS buyers
FROM metrics.hourly_metrics AS h
"""


@pytest.fixture
def guarded(four_dates: Home) -> Home:
    home = set_smallest_cell(four_dates, SMALLEST)
    publish(home)
    return home


def test_hours_with_few_people_tell_nothing_and_others_do(guarded: Home) -> None:
    few = f"BETWEEN 1 AND {SMALLEST - 1}"
    shown, hidden = (
        f"SELECT count(*) FROM ({PEOPLE}) WHERE visitors NOT {few} AND (pv IS NULL OR uv IS NULL) AND visitors > 0 "
        f"OR buyers > {SMALLEST - 1} AND gmv IS NULL",
        f"SELECT count(*) FROM ({PEOPLE}) WHERE visitors {few} AND (pv IS NOT NULL OR uv IS NOT NULL) "
        f"OR stayed {few} AND lov_mean_seconds IS NOT NULL OR buyers {few} AND gmv IS NOT NULL "
        f"OR paying_users {few} OR pf_range {few} OR pf_range IS NULL AND ocr IS NOT NULL",
    )
    assert ask(guarded, shown) == [(0,)]
    assert ask(guarded, hidden) == [(0,)]
    ((small, large),) = ask(guarded, f"SELECT count(*) FILTER (visitors {few}), count(pv) FROM ({PEOPLE})")
    assert int(str(small)) > 10
    assert int(str(large)) > 10


def test_no_published_form_tells_a_small_figure(guarded: Home) -> None:
    few = f"BETWEEN 1 AND {SMALLEST - 1}"
    for table, columns in {
        "metrics.primary_metrics": ("uv", "paying_users", "pf_range", "pf_entrance"),
        "metrics.hourly_metrics": ("uv", "paying_users", "pf_range", "pf_entrance"),
        "metrics.venue_figures": ("uv", "paying_users", "pf_range", "pf_entrance"),
        "metrics.kpi": ("users", "paying_users", "repurchasing_users", "repurchasing_users_days"),
        "segments.rfm_migrations": ("users",),
        "star.fact_segment_migration": ("users",),
        "metric.uv": ("uv",),
        "metric.paying_users": ("paying_users",),
        "metric.pf_range": ("pf_range",),
    }.items():
        for column in columns:
            assert ask(guarded, f"SELECT count(*) FROM {table} WHERE {column} {few}") == [(0,)], (table, column)
    hourly = pl.read_parquet(guarded.published / "parquet" / "hourly_metrics.parquet")
    assert hourly.filter(pl.col("uv").is_between(1, SMALLEST - 1)).is_empty()
    assert hourly["uv"].is_null().any()
    for day in DAYS:
        csv = pl.read_csv(guarded.published / "csv" / "primary_metrics" / f"{day}.csv")
        assert csv.filter(pl.col("paying_users").cast(pl.Int64).is_between(1, SMALLEST - 1)).is_empty()


def test_the_setting_is_in_the_database_and_rows_of_persons_stay(guarded: Home) -> None:
    assert ask(guarded, "SELECT value FROM main.settings WHERE name = 'smallest_cell'") == [(str(SMALLEST),)]
    assert ask(guarded, "SELECT count(*) > 0 FROM star.fact_session") == [(True,)]
    # The star is computed before figures are left out of the layers.
    assert ask(
        guarded, "SELECT count(*) FROM star.fact_session WHERE NOT is_counted_too AND venue_id = 'riverside'"
    ) == [(0,)]


def test_what_is_left_of_visitors_tells_neither_part(guarded: Home) -> None:
    """UV is the sum of new and returning visitors: where one is left out, so is the other."""
    few = f"BETWEEN 1 AND {SMALLEST - 1}"
    parts = (
        "SELECT n.new_visitors, r.returning_visitors, "
        "count(DISTINCT u.user_id) FILTER (u.is_first_entry) AS first_time, "
        "count(DISTINCT u.user_id) FILTER (NOT u.is_first_entry) AS again FROM metric.new_visitors AS n "
        "JOIN metric.returning_visitors AS r USING (event_date, venue_id, activity_id) "
        "JOIN star.fact_user_day AS u USING (event_date, venue_id) WHERE u.entries > 0 GROUP BY ALL"
    )
    told = ask(guarded, f"SELECT new_visitors, returning_visitors FROM ({parts}) WHERE first_time {few} OR again {few}")
    assert told
    assert set(told) == {(None, None)}


def test_switching_it_off_tells_everything_again(guarded: Home) -> None:
    text = guarded.site_file.read_text()
    guarded.site_file.write_text(text.replace(f"smallest_cell = {SMALLEST}", "smallest_cell = 0"))
    publish(Home(guarded.root))
    assert ask(guarded, "SELECT count(*) FROM metrics.hourly_metrics WHERE uv IS NULL AND venue_id = 'harbour'") == [
        (0,)
    ]


@pytest.mark.parametrize("given", ["-1", "2.5", "'5'", "true", "1001"])
def test_what_is_no_number_of_people_is_told_with_its_place(home: Home, given: str) -> None:
    path: Path = home.site_file
    path.write_text(f"{path.read_text()}\n[publication]\nsmallest_cell = {given}\n")
    with pytest.raises(SiteError, match=r"publication\.smallest_cell: "):
        _ = home.site


def test_an_unknown_setting_is_told(home: Home) -> None:
    home.site_file.write_text(f"{home.site_file.read_text()}\n[publication]\nsmalest_cell = 5\n")
    with pytest.raises(SiteError, match=r"publication\.smalest_cell: is not known here"):
        _ = home.site
