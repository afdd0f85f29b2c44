"""Dates whose tables do not fit together: what was published of them stays, whatever else changes, and is named."""

from __future__ import annotations

import pytest

from tests.publish.home import DAYS, ask, publish, set_smallest_cell
from venue_assets.graph.build import engine_resource
from venue_assets.home import Home
from venue_assets.lake.store import Lake
from venue_assets.publish import building
from venue_assets.publish import publication as publications
from venue_assets.tables.catalogue import catalogue

WAITING = DAYS[1]
ROWS = f"SELECT count(*) FROM clean.face_visits WHERE event_date = '{WAITING}'"


@pytest.fixture
def waiting(four_dates: Home) -> Home:
    """Published, and then one date lost a table."""
    publish(four_dates)
    Lake(four_dates.lake).remove("primary_metrics", WAITING)
    publish(four_dates)
    return four_dates


def test_the_database_names_them(waiting: Home) -> None:
    assert ask(waiting, "SELECT value FROM main.settings WHERE name = 'waiting'") == [(str(WAITING),)]


def test_a_new_setting_keeps_their_rows_and_guards_them(waiting: Home) -> None:
    rows = ask(waiting, ROWS)
    publication = publish(set_smallest_cell(waiting, 5))
    assert publication.waiting == [str(WAITING)]
    assert publication.dates == set(DAYS)
    assert ask(waiting, ROWS) == rows != [(0,)]
    small = f"SELECT count(*) FROM metrics.hourly_metrics WHERE event_date = '{WAITING}' AND uv BETWEEN 1 AND 4"
    assert ask(waiting, small) == [(0,)]
    assert (waiting.published / "csv" / "primary_metrics" / f"{WAITING}.csv").exists()


def test_new_code_keeps_their_rows(waiting: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ask(waiting, ROWS)
    monkeypatch.setattr(building, "code", lambda *_: "another")
    assert publish(waiting).dates == set(DAYS)
    assert ask(waiting, ROWS) == rows


def test_what_was_laid_out_otherwise_is_left_out_with_a_word(waiting: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "code", lambda *_: "another")
    monkeypatch.setattr(publications.carrying, "why_not", lambda *_: "metrics.kpi had other columns")
    told: list[str] = []
    publication = publications.publish(waiting, catalogue(), engine_resource(), log=told.append)
    assert publication.dates == set(DAYS) - {WAITING}
    assert any(str(WAITING) in line and "metrics.kpi had other columns" in line for line in told)


def test_other_columns_are_seen(waiting: Home) -> None:
    database = waiting.published / "venue.duckdb"
    assert publications.carrying.why_not(database.resolve(), catalogue()) is None
    missing = database.with_name("missing.duckdb")
    assert "cannot be opened" in str(publications.carrying.why_not(missing, catalogue()))
