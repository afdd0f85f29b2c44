"""The report of a real order book, of a venue that only sells: imported, computed, published, and looked at."""

from __future__ import annotations

import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from edge_collector.pseudonym import Pseudonymizer
from tests.conftest import REPOSITORY, compute
from tests.importing.order_book import lines, per_event_date
from tests.report.conftest import Look, cards, reading
from venue_assets.graph.build import engine_resource
from venue_assets.home import Home
from venue_assets.importing import import_file
from venue_assets.publish.publication import publish
from venue_assets.report import render
from venue_assets.tables.catalogue import catalogue

EXAMPLE = REPOSITORY / "data" / "examples" / "online_retail"
DAYS = [date(2010, 11, 25), date(2010, 11, 30), date(2010, 12, 1), date(2010, 12, 2)]


@pytest.fixture(scope="module")
def source(shared: Path) -> Path:
    (found,) = (shared / "data" / "online_retail").glob("*.parquet")
    return found


@pytest.fixture(scope="module")
def book(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Some dates within eight days of the book."""
    root = tmp_path_factory.mktemp("book")
    shutil.copyfile(EXAMPLE / "site.toml", root / "site.toml")
    part = root / "part.parquet"
    of_days = pl.col("InvoiceDate").str.slice(0, 10).is_in([str(day) for day in DAYS])
    pl.read_parquet(source).filter(of_days).write_parquet(part)
    home = Home(root)
    import_file(
        home.site, home.landing, "orders", [part], EXAMPLE / "map.toml",
        pseudonymizer=lambda: Pseudonymizer(b"a key for this test only"), rejects_dir=root / "rejects",
    )  # fmt: skip
    compute(home, *DAYS)
    publish(home, catalogue(), engine_resource())
    return home


def test_its_figures_are_those_of_the_source(book: Home, source: Path) -> None:
    (venue,) = [venue.id for venue in book.site.venues]
    with reading(book) as con:
        shown = cards(render(con, DAYS[-1]), venue)
    (expected,) = per_event_date(lines(source)).filter(pl.col("event_date") == DAYS[-1]).to_dicts()
    assert f"{Decimal(expected['gmv']) / 100:,.2f} GBP" in shown["gmv"]
    assert f" {expected['completed_orders']:,} " in shown["completed_orders"]
    assert f" {expected['paying_users']:,} " in shown["paying_users"]
    assert shown["gmv"].endswith("vs Thu, 25 Nov")


@pytest.mark.parametrize("width", [1280, 390])
def test_it_can_be_looked_at(look: Look, book: Home, width: int) -> None:
    with reading(book) as con:
        page = render(con, DAYS[-1])
    looked = look(page, width)
    assert looked.complaints == []
    marks = looked.each("[data-chart]", "e => e.querySelectorAll('svg [class^=mark-] path').length")
    assert len(marks) >= 3
    assert min(marks) > 0
    assert looked.too_wide == []
    assert len(page.encode()) < 2_000_000
