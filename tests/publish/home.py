"""What the tests of publication share: a small home whose lake is computed once, and questions to what is published."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import duckdb

from tests.conftest import REPOSITORY, compute
from venue_assets.graph.build import engine_resource
from venue_assets.home import Home
from venue_assets.publish.publication import publish as publish_
from venue_assets.publish.record import Publication
from venue_assets.simulate import Options, simulate
from venue_assets.tables.catalogue import catalogue

FIRST = date(2026, 1, 30)
DAYS = [FIRST + timedelta(days=n) for n in range(4)]  # into February, so that there are two months


def make(root: Path, visits: int = 60) -> Home:
    """A home with four computed dates."""
    shutil.copyfile(REPOSITORY / "data" / "site.toml", root / "site.toml")
    home = Home(root)
    simulate(home.site, home.landing, Options(FIRST, days=len(DAYS), visits=visits))
    compute(home, *DAYS)
    return home


def publish(home: Home) -> Publication:
    return publish_(home, catalogue(), engine_resource())


def ask(home: Home, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home.published / "venue.duckdb"), read_only=True) as con:
        return con.sql(sql).fetchall()


def are_equal(con: duckdb.DuckDBPyConnection, one: str, other: str) -> None:
    """As many rows in both, and none more often in one of them than in the other."""
    found = con.execute(
        f"SELECT (SELECT count(*) FROM {one}), (SELECT count(*) FROM {other}), "
        f"(SELECT count(*) FROM (FROM {one} EXCEPT ALL FROM {other}))"
    ).fetchall()
    rows = found[0][0]
    assert found == [(rows, rows, 0)], (one, other)


def lose_a_segment(home: Home, day: date, tables: list[str] | None = None) -> None:
    """Take away a segment of visits and compute the date (or some of its tables) again."""
    folder = home.landing / "face_visits" / f"event_date={day}"
    sorted(folder.glob("*.manifest.json"))[0].unlink()
    compute(home, day, tables=tables)


def set_smallest_cell(home: Home, people: int) -> Home:
    """The same home with the setting in its site file."""
    text = home.site_file.read_text()
    home.site_file.write_text(f"{text}\n[publication]\nsmallest_cell = {people}\n")
    return Home(home.root)


def rename_a_venue(home: Home) -> Home:
    """The same home with another name in its site file, so that there is something to publish."""
    home.site_file.write_text(home.site_file.read_text().replace('name = "', 'name = "The ', 1))
    return Home(home.root)


def take_away(home: Home, day: date) -> None:
    """Take the partitions of a date out of the lake, so that the next publication is without it."""
    for folder in home.lake.glob(f"*/event_date={day}"):
        aside = home.root / "aside" / folder.parent.name
        aside.mkdir(parents=True, exist_ok=True)
        folder.rename(aside / folder.name)


def bring_back(home: Home, day: date) -> None:
    """Undo `take_away`."""
    for folder in (home.root / "aside").glob(f"*/event_date={day}"):
        folder.rename(home.lake / folder.parent.name / folder.name)
