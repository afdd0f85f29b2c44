"""Drafts: rows become what the map's rules say, or are rejected with a reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_collector.foreign_files.cells import Cell
from edge_collector.foreign_files.column_map import BoundMap
from edge_collector.foreign_files.drafts import Mapped, Row, map_counts, map_orders, map_visits
from tests.edge.maps import ORDERS, bind, orders_map

COLUMNS = ("order", "time", "member", "category", "pieces", "amount")
NOON = "2026-03-01 12:00:00"


def run(bound: BoundMap, *rows: Sequence[Cell], columns: Sequence[str] = COLUMNS) -> Mapped:
    numbered = [Row(line, cells) for line, cells in enumerate(rows, start=1)]
    return map_orders(bound, columns, numbered, lambda number: f"k1:{number}")


# Orders ---------------------------------------------------------------------------------------------------------------


def fields(mapped: Mapped, *names: str) -> list[tuple[object, ...]]:
    order = ("order_id", "order_no", "user_id", "ordered_at", "category_id", "quantity", "amount", "currency", "status")
    return [tuple(draft.fields[order.index(name)] for name in names) for draft in mapped.drafts]


def test_amount_of_the_line(tmp_path: Path) -> None:
    mapped = run(orders_map(tmp_path), ("A", NOON, "m", "x", "3", "10.005"), ("A", NOON, "", "x", "1", "-0.015"))
    assert fields(mapped, "order_no", "amount", "user_id") == [(1, "10.01", "k1:m"), (2, "-0.02", None)]


def test_amount_from_the_unit_price(tmp_path: Path) -> None:
    mapped = run(orders_map(tmp_path, amount_is="unit_price"), ("A", NOON, "m", "x", "3", "0.285"))
    assert fields(mapped, "amount") == [("0.86",)]


def test_amount_from_the_order_total(tmp_path: Path) -> None:
    mapped = run(
        orders_map(tmp_path, amount_is="order_total"),
        ("A", NOON, "m", "x", "?", "12.50"),
        ("A", NOON, "m", "x", "1", "12.50"),
        ("B", NOON, "m", "x", "1", "3"),
        ("A", NOON, "m", "x", "1", "12.50"),
        ("A", NOON, "m", "x", "1", "12.60"),
    )
    assert fields(mapped, "order_id", "order_no", "amount") == [
        ("A", 2, "12.50"),
        ("B", 1, "3.00"),
        ("A", 3, "0.00"),
    ]
    assert [r.line for r in mapped.rejects] == [1, 5]
    assert "the order's total 12.50 as on line 2 is expected" in mapped.rejects[1].reason


def test_status_by_prefix_and_positive_amounts(tmp_path: Path) -> None:
    bound = orders_map(
        tmp_path, tables='[status]\ncancelled = { column = "order", prefix = "C" }\n', amount_is="unit_price"
    )
    mapped = run(bound, ("C1", NOON, "m", "x", "-3", "2"), ("1", NOON, "m", "x", "-3", "2"))
    assert fields(mapped, "status", "quantity", "amount") == [("cancelled", 3, "6.00"), ("completed", -3, "-6.00")]


def test_status_by_column(tmp_path: Path) -> None:
    text = ORDERS.format(more="", tables='[values.status]\nBack = "refunded"\n').replace(
        'amount = "amount"', 'amount = "amount"\nstatus = "state"'
    )
    row = ("A", NOON, "m", "x", "1", "-2")
    mapped = run(bind(tmp_path, text), (*row, "Back"), (*row, "completed"), (*row, "?"), columns=(*COLUMNS, "state"))
    assert fields(mapped, "status", "amount") == [("refunded", "2.00"), ("completed", "-2.00")]
    assert "add it to the map's [values.status]" in mapped.rejects[0].reason


def test_smallest_time_of_an_order_counts(tmp_path: Path) -> None:
    mapped = run(
        orders_map(tmp_path),
        ("A", "2026-03-02 04:01:00", "m", "x", "1", "1"),
        ("A", "2026-03-02 03:59:00", "m", "x", "1", "1"),
    )
    assert {f[0] for f in fields(mapped, "ordered_at")} == {"2026-03-02T03:59:00.000+01:00"}
    assert {str(d.event_date) for d in mapped.drafts} == {"2026-03-01"}


@pytest.mark.parametrize(
    ("local", "instant", "ambiguous", "nonexistent"),
    [
        ("2026-03-29 02:30:00", "2026-03-29T03:30:00.000+02:00", 0, 1),
        ("2026-10-25 02:30:00", "2026-10-25T02:30:00.000+02:00", 1, 0),
        ("2026-10-25 03:30:00", "2026-10-25T03:30:00.000+01:00", 0, 0),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00.000+01:00", 0, 0),
    ],
)
def test_clock_changes(tmp_path: Path, local: str, instant: str, ambiguous: int, nonexistent: int) -> None:
    mapped = run(orders_map(tmp_path), ("A", local, "m", "x", "1", "1"))
    assert fields(mapped, "ordered_at") == [(instant,)]
    assert (mapped.ambiguous, mapped.nonexistent) == (ambiguous, nonexistent)


def test_time_zone_of_the_file(tmp_path: Path) -> None:
    mapped = run(orders_map(tmp_path, more='time_zone = "UTC"'), ("A", NOON, "m", "x", "1", "1"))
    assert fields(mapped, "ordered_at") == [("2026-03-01T13:00:00.000+01:00",)]


def test_time_formats(tmp_path: Path) -> None:
    bound = orders_map(tmp_path, more='time_formats = ["%d/%m/%Y %H:%M", "%m-%d-%y %I:%M %p"]')
    for text in ("01/03/2026 12:00", "03-01-26 12:00 PM", NOON, datetime(2026, 3, 1, 12)):
        assert fields(run(bound, ("A", text, "m", "x", "1", "1")), "ordered_at") == [("2026-03-01T12:00:00.000+01:00",)]
    for text in ("03/31/2026 12:00", "2026-02-30 10:00:00", "0001-01-01 00:00:00"):
        assert len(run(bound, ("A", text, "m", "x", "1", "1")).rejects) == 1


@pytest.mark.parametrize(
    ("numbers", "text", "amount"),
    [
        ('thousands = ","', "1,234,567.5", "1234567.50"),
        ('thousands = ","', "1234.5", "1234.50"),
        ('thousands = ","', "12,34.5", None),
        ('thousands = ","', "1,23", None),
        ("", "1,234", None),
        ('decimal = ","\nthousands = "."', "1.234,56", "1234.56"),
        ('decimal = ","\nthousands = "."', "-1.234", "-1234.00"),
        ('decimal = ","\nthousands = "."', "1.23", None),
        ('decimal = ","\nthousands = " "', "1\u202f234\u00a0567,5", "1234567.50"),
        ('thousands = "\'"', "1'234.5", "1234.50"),
        ("", ".5", "0.50"),
        ("", "+5.", "5.00"),
        ("", "1e3", None),
        ("", "nan", None),
        ("", "-", None),
        ("", ".", None),
        ("", "١٢", None),
        ("", "9" * 17, None),
        ('decimal = ","', Decimal("1.5"), "1.50"),
        ('decimal = ","', 7, "7.00"),
        ("", Decimal("Infinity"), None),
    ],
)
def test_numbers(tmp_path: Path, numbers: str, text: Cell, amount: str | None) -> None:
    mapped = run(orders_map(tmp_path, tables=f"[numbers]\n{numbers}\n"), ("A", NOON, "m", "x", 1, text))
    assert [f[0] for f in fields(mapped, "amount")] == ([] if amount is None else [amount])
    assert len(mapped.rejects) == (amount is None)


@given(st.integers(-(10**6), 10**6), st.decimals(-(10**6), 10**6, places=4))
def test_unit_price_agrees_with_decimal_arithmetic(
    tmp_path_factory: pytest.TempPathFactory, n: int, price: Decimal
) -> None:
    bound = orders_map(tmp_path_factory.mktemp("map"), amount_is="unit_price")
    expected = (n * price).quantize(Decimal("0.01"), ROUND_HALF_UP)
    ((amount,),) = fields(run(bound, ("A", NOON, "m", "x", str(n), format(price, "f"))), "amount")
    assert Decimal(str(amount)) == expected


@pytest.mark.parametrize("cell", ["13085", "13085.0", 13085, Decimal("13085"), Decimal("13085.0"), " 13085 "])
def test_member_numbers_are_read_alike(tmp_path: Path, cell: Cell) -> None:
    assert fields(run(orders_map(tmp_path), ("A", NOON, cell, "x", "1", "1")), "user_id") == [("k1:13085",)]


def test_null_values(tmp_path: Path) -> None:
    bound = orders_map(tmp_path, more='null_values = ["NULL", "0"]')
    mapped = run(bound, ("A", NOON, "NULL", "x", "1", "1"), ("A", NOON, "0", "x", "1", "1"))
    assert fields(mapped, "user_id") == [(None,), (None,)]


def test_reasons_never_show_the_member_number(tmp_path: Path) -> None:
    for row in (
        ("", NOON, "m77", "x", "m77", "1"),
        ("A", "at m77", "m77", "x", "1", "1"),
        ("A", NOON, "m77", "x", "1", "m77"),
        ("A", NOON, "m77", "x", "1", "y" * 58 + "m77"),
        ("A", NOON, "77.0", "x", "1", "77.0x"),
    ):
        (reject,) = run(orders_map(tmp_path), row).rejects
        assert "77" not in reject.reason
        assert "m7" not in reject.reason


def test_too_long_texts(tmp_path: Path) -> None:
    (reject,) = run(orders_map(tmp_path), ("A", NOON, "m", "x" * 1001, "1", "1")).rejects
    assert reject.reason == "category_id: 1001 characters are given; at most 1000 are expected"


# Visits and counts ----------------------------------------------------------------------------------------------------


def test_visits(tmp_path: Path) -> None:
    bound = bind(
        tmp_path,
        'kind = "visits"\nname = "terminal"\nvenue = "hall"\ndevice = "terminal"\n'
        '[columns]\nuser_id = "m"\nrecorded_at = "t"\n[constants]\ndirection = "leave"\n',
    )
    mapped = map_visits(bound, ("t", "m"), [Row(1, (NOON, "7")), Row(2, ("x", "7"))], lambda n: f"k1:{n}")
    assert [d.fields for d in mapped.drafts] == [("k1:7", "leave")]
    assert mapped.drafts[0].recorded_at == mapped.drafts[0].instant
    assert mapped.rejects[0].line == 2


def test_interval_end_from_a_column_is_a_duration_in_real_time(tmp_path: Path) -> None:
    bound = bind(
        tmp_path,
        'kind = "counts"\nname = "door"\nvenue = "hall"\ndevice = "door"\n'
        '[columns]\ninterval_start = "from"\ninterval_end = "to"\nin_count = "n"\n',
    )
    rows = [
        Row(1, ("2026-03-29 01:30:00", "2026-03-29 02:30:00", "5")),
        Row(2, ("2026-03-29 05:30:00", "2026-03-29 05:30:00", "5")),
    ]
    mapped = map_counts(bound, ("from", "to", "n"), rows)
    assert str(mapped.drafts[0].end) == "2026-03-29 01:30:00+00:00"
    assert (mapped.ambiguous, mapped.nonexistent) == (0, 0)
    assert "a time after interval_start is expected" in mapped.rejects[0].reason


def test_needs_nothing_but_what_a_gateway_has() -> None:
    code = (
        "import sys, edge_collector.foreign_files.drafts\n"
        "bad = {'polars', 'pyarrow', 'duckdb', 'dagster', 'numpy', 'venue_assets'} & set(sys.modules)\n"
        "sys.exit(', '.join(bad) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
