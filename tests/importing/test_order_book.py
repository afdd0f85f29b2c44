"""A real order book, landed and through the whole graph, equals a recomputation straight from its source file."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from edge_collector import contract
from edge_collector.pseudonym import Pseudonymizer
from tests.conftest import REPOSITORY, compute, rows, upstream
from tests.importing.conftest import Bench
from tests.importing.order_book import amount, lines, per_event_date, rfm
from venue_assets.home import Home
from venue_assets.importing import import_file
from venue_assets.lake.store import Lake

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


def test_online_retail(book: Home, source: Path) -> None:
    """Every line of the book has landed as the source has it, and no member number in clear."""
    written = Bench(book.root, book.site).lines("orders")
    records = json.loads(b"[%s]" % b",".join(written))
    assert Counter(r["status"] for r in records) == {"completed": 515_255, "cancelled": 10_206}
    assert sum(r["user_id"] is None for r in records) == 107_927
    assert sum(r["quantity"] < 1 for r in records) == 2_121
    assert sum(r["amount"].startswith("-") for r in records) == 3
    assert len({(r["order_id"], r["order_no"]) for r in records}) == len(records)
    times: dict[str, set[str]] = {}
    for r in records:
        times.setdefault(r["order_id"], set()).add(r["ordered_at"])
    assert len(times) == 28_816
    assert all(len(t) == 1 for t in times.values())

    columns = [pl.col("Invoice").str.starts_with("C"), "Quantity", "Price"]
    expected = {"cancelled": Decimal(), "completed": Decimal()}
    for cancelled, quantity, price, n in pl.read_parquet(source).group_by(columns).len().iter_rows():
        each = amount(quantity, price)
        expected["cancelled" if cancelled else "completed"] += n * (abs(each) if cancelled else each)
    landed = {"cancelled": Decimal(), "completed": Decimal()}
    for (status, each), n in Counter((r["status"], r["amount"]) for r in records).items():
        landed[status] += n * Decimal(each)
    assert landed == expected

    pattern = re.compile(contract.canonical_pattern("orders"))
    assert all(pattern.match(line.decode()) for line in written)
    customers = pl.read_parquet(source, columns=["Customer ID"]).drop_nulls()
    text = b"\n".join(written)
    for number in customers["Customer ID"].unique().sort().cast(int).to_list()[::500]:
        assert f'"{number}'.encode() not in text


@pytest.fixture(scope="module")
def computed(book: Home) -> Home:
    """The figures of some dates of the book, and what they are made of."""
    compute(book, *DAYS, tables=upstream("primary_metrics"))
    return book


@pytest.fixture(scope="module")
def counted(source: Path) -> pl.DataFrame:
    """The lines of the source that count."""
    return lines(source)


def test_every_figure_of_a_day_is_that_of_the_source(computed: Home, counted: pl.DataFrame) -> None:
    expected = {row["event_date"]: row for row in per_event_date(counted).iter_rows(named=True)}
    for day in DAYS:
        (found,) = rows(computed, "primary_metrics", day)
        row = expected.get(day, {"gmv": 0, "gmv_anonymous": 0, "cancelled_amount": 0})
        for figure in ("gmv", "gmv_anonymous", "cancelled_amount"):
            assert found[figure] * 100 == row[figure], (day, figure)  # type: ignore[operator]
        for figure in ("completed_orders", "paying_users"):
            assert found[figure] == row.get(figure, 0), (day, figure)


def test_what_is_out_of_range_is_quarantined_and_nothing_else(computed: Home) -> None:
    for day in DAYS:
        quarantined = rows(computed, "quarantine", day)
        assert {row["reason"] for row in quarantined} <= {"out_of_range"}
        landed = sum(row["rows"] for row in rows(computed, "landed_segments", day))  # type: ignore[misc]
        assert landed == len(rows(computed, "orders", day)) + len(quarantined)


def test_rfm_of_the_whole_year_is_that_of_the_source(book: Home, counted: pl.DataFrame) -> None:
    """Of every date only what orders are made of is computed; what never lands is empty, and copied."""
    landed = {date.fromisoformat(folder.name[-10:]) for folder in (book.landing / "orders").iterdir()}
    first, *others = sorted({*landed, *AS_OF})
    made = ["landed_segments", "raw_orders", "quarantine", "orders", "order_lines", "user_days"]
    needed = upstream("user_days")
    compute(book, first, tables=needed)
    lake = Lake(book.lake)
    for name in set(needed) - set(made):
        for day in others:
            lake.path(name, day).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(lake.path(name, first), lake.path(name, day))
    compute(book, *others, tables=made)
    compute(book, *AS_OF, tables=["rfm_segments"])
    pseudonym = Pseudonymizer(KEY)
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
