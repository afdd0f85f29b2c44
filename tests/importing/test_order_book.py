"""A real order book through the whole graph equals a recomputation straight from its source file."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from edge_collector.pseudonym import Pseudonymizer
from tests.conftest import REPOSITORY, compute, rows
from tests.importing.order_book import lines, per_event_date, rfm
from venue_assets.home import Home
from venue_assets.importing import import_file
from venue_assets.lake.store import Lake
from venue_assets.tables.catalogue import catalogue

EXAMPLE = REPOSITORY / "data" / "examples" / "online_retail"
KEY = b"a key for this test only"

# The first and last day, the three days of bad-debt adjustments, the busiest one, and days around clock changes.
DAYS = [
    date(2009, 12, 1),
    date(2010, 3, 28),
    date(2010, 4, 29),
    date(2010, 7, 19),
    date(2010, 10, 20),
    date(2010, 10, 31),
    date(2010, 12, 6),
    date(2010, 12, 9),
]

# The first days, some within the year, the last day on which the window still holds all, those after, and a Saturday.
AS_OF = [
    date(2009, 12, 1),
    date(2009, 12, 2),
    date(2010, 1, 4),
    date(2010, 3, 28),
    date(2010, 7, 19),
    date(2010, 11, 30),
    date(2010, 12, 1),
    date(2010, 12, 4),
    date(2010, 12, 8),
    date(2010, 12, 9),
]


@pytest.fixture(scope="module")
def source(shared: Path) -> Path:
    (found,) = (shared / "data" / "online_retail").glob("*.parquet")
    return found


@pytest.fixture(scope="module")
def book(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The whole book, imported."""
    root = tmp_path_factory.mktemp("book")
    shutil.copyfile(EXAMPLE / "site.toml", root / "site.toml")
    home = Home(root)
    result = import_file(
        home.site, home.landing, "orders", [source], EXAMPLE / "map.toml",
        pseudonymizer=lambda: Pseudonymizer(KEY), rejects_dir=root / "rejects",
    )  # fmt: skip
    assert (result.rows_read, result.landed, result.rejected) == (525_461, 525_461, 0)
    return home


def test_every_figure_of_a_day_is_that_of_the_source(book: Home, source: Path) -> None:
    expected = {row["event_date"]: row for row in per_event_date(source).iter_rows(named=True)}
    compute(book, *DAYS)
    for day in DAYS:
        (found,) = rows(book, "primary_metrics", day)
        row = expected.get(day, {"gmv": 0, "gmv_anonymous": 0, "cancelled_amount": 0})
        for figure in ("gmv", "gmv_anonymous", "cancelled_amount"):
            assert found[figure] * 100 == row[figure], (day, figure)  # type: ignore[operator]
        for figure in ("completed_orders", "paying_users"):
            assert found[figure] == row.get(figure, 0), (day, figure)


def test_what_is_out_of_range_is_quarantined_and_nothing_else(book: Home) -> None:
    compute(book, *DAYS)
    for day in DAYS:
        quarantined = rows(book, "quarantine", day)
        assert {row["reason"] for row in quarantined} <= {"out_of_range"}
        landed = sum(row["rows"] for row in rows(book, "landed_segments", day))  # type: ignore[misc]
        assert landed == len(rows(book, "orders", day)) + len(quarantined)


def test_rfm_of_the_whole_year_is_that_of_the_source(book: Home, source: Path) -> None:
    """Of every date only what orders are made of is computed; what never lands is empty, and copied."""
    landed = {date.fromisoformat(folder.name[-10:]) for folder in (book.landing / "orders").iterdir()}
    first, *others = sorted({*landed, *AS_OF})
    made = ["landed_segments", "raw_orders", "quarantine", "orders", "order_lines", "user_days"]
    needed = _upstream("user_days")
    compute(book, first, tables=needed)
    lake = Lake(book.lake)
    for name in set(needed) - set(made):
        for day in others:
            lake.path(name, day).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(lake.path(name, first), lake.path(name, day))
    compute(book, *others, tables=made)
    compute(book, *AS_OF, tables=["rfm_segments"])
    counted, pseudonym = lines(source), Pseudonymizer(KEY)
    for day in AS_OF:
        expected = {pseudonym(row.pop("customer")): row for row in rfm(counted, day).to_dicts()}
        yesterday = rfm(counted, day - timedelta(days=1))
        before = {pseudonym(row["customer"]): row["segment"] for row in yesterday.to_dicts()}
        found = {row["user_id"]: row for row in rows(book, "rfm_segments", day)}
        assert {user: row["previous_segment"] for user, row in found.items() if row["previous_segment"]} == before
        assert {user for user, row in found.items() if row["segment"]} == expected.keys()
        for user, row in expected.items():
            row["monetary"] = Decimal(row.pop("cents")) / 100
            assert {name: found[user][name] for name in row} == row, (day, user)


def _upstream(name: str) -> list[str]:
    """A table and all that it is made of."""
    found = catalogue().lake_inputs(catalogue()[name])
    return sorted({name}.union(*map(_upstream, found)))
