"""Column maps: mistakes are told at once, rows become drafts by the map's rules."""

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

from edge_collector.column_map import (
    BoundMap,
    Cell,
    MapError,
    Mapped,
    Row,
    load_map,
    map_counts,
    map_orders,
    map_visits,
)
from edge_collector.site import Site

SITE = Site.model_validate(
    {
        "venues": [
            {"id": "hall", "name": "Hall", "time_zone": "Europe/Berlin", "currency": "EUR", "opened_on": "2026-01-01"}
        ],
        "devices": [
            {"id": "till", "venue_id": "hall", "gateway_id": "import_till", "stream": "orders"},
            {"id": "terminal", "venue_id": "hall", "gateway_id": "import_terminal", "stream": "face_visits"},
            {"id": "door", "venue_id": "hall", "gateway_id": "import_door", "stream": "entrance_counts"},
        ],
    }
)

ORDERS = """
kind = "orders"
name = "till"
venue = "hall"
device = "till"
amount_is = "line"
{more}
[columns]
order_id = "order"
ordered_at = "time"
user_id = "member"
category_id = "category"
quantity = "pieces"
amount = "amount"
{tables}
"""
COLUMNS = ("order", "time", "member", "category", "pieces", "amount")
NOON = "2026-03-01 12:00:00"


def bind(folder: Path, text: str) -> BoundMap:
    path = folder / "map.toml"
    path.write_text(text)
    return load_map(path, SITE)


def orders_map(folder: Path, more: str = "", tables: str = "", amount_is: str = "line") -> BoundMap:
    return bind(folder, ORDERS.format(more=more, tables=tables).replace('"line"', f'"{amount_is}"'))


def run(bound: BoundMap, *rows: Sequence[Cell], columns: Sequence[str] = COLUMNS) -> Mapped:
    numbered = [Row(line, cells) for line, cells in enumerate(rows, start=1)]
    return map_orders(bound, columns, numbered, lambda number: f"k1:{number}")


def mistakes(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(MapError) as raised:
        bind(folder, text)
    assert str(raised.value).startswith(f"{folder / 'map.toml'}: ")
    return raised.value.mistakes


# Mistakes -------------------------------------------------------------------------------------------------------------


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    text = """
        kind = "orders"
        name = "my till"
        venue = "hall"
        time_zone = "Europe/Atlantis"
        time_formats = ["%d/%m"]
        amount_is = "guess"
        colour = "red"
        [csv]
        encoding = "utf-16"
        delimiter = ";;"
        [columns]
        order_id = 5
    """
    found = mistakes(tmp_path, text)
    for words in (
        "name: 'my till' is given; letters, digits",
        "device: missing; it is required",
        "time_zone: 'Europe/Atlantis' is given; an IANA time zone such as Europe/Berlin is expected",
        "time_formats[0]: '%d/%m' is given",
        "amount_is: 'guess' is given; input should be 'line', 'order_total' or 'unit_price'",
        "colour: is not known here; remove it or correct its name",
        "csv.encoding: 'utf-16' is given; an encoding that extends ASCII",
        "csv.delimiter: ';;' is given; one character",
        "columns.order_id: 5 is given; input should be a valid string",
        "columns.amount: missing",
    ):
        assert any(m.startswith(words) for m in found), (words, found)


def test_mistakes_against_the_site(tmp_path: Path) -> None:
    orders = ORDERS.format(more="", tables="")
    assert "'park' is given; one of site.toml's ['hall']" in mistakes(tmp_path, orders.replace('"hall"', '"park"'))[0]
    assert (
        'gateway_id = "import_till" and stream = "orders"'
        in mistakes(tmp_path, orders.replace('device = "till"', 'device = "safe"'))[0]
    )
    found = mistakes(tmp_path, orders.replace('device = "till"', 'device = "door"'))
    assert "'import_till' is expected" in found[0]
    assert "has stream 'entrance_counts' in site.toml; orders is expected" in found[1]
    assert "'EUR' is expected" in mistakes(tmp_path, orders + '[constants]\ncurrency = "USD"\n')[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind = ", "not valid TOML"),
        ("name = 'x'", 'kind: missing; "counts"'),
        ("kind = 'sales'", "kind: 'sales' is given"),
        (ORDERS.format(more="", tables='[csv]\nheader = false\n'), "csv.column_names: missing"),
        (ORDERS.format(more="", tables='[csv]\ncolumn_names = ["a"]\n'), "csv.column_names: are given"),
        (ORDERS.format(more="", tables='[csv]\nheader = false\ncolumn_names = ["a"]\n'), "columns.order_id: 'order'"),
        (ORDERS.format(more="", tables='[numbers]\nthousands = "."\n'), "numbers.thousands"),
        (ORDERS.format(more="", tables='[status]\ncancelled = { column = "order" }\n'), "either prefix or equals"),
        (ORDERS.format(more="", tables='[constants]\nquantity = 1\n'), "constants.quantity: is given, and columns"),
        (ORDERS.format(more="", tables="").replace('quantity = "pieces"', ""), "set constants.quantity = 1"),
        (ORDERS.format(more="", tables='[values.status]\nX = "refunded"\n'), "columns.status is expected"),
    ],
)  # fmt: skip
def test_one_mistake(tmp_path: Path, text: str, words: str) -> None:
    assert words in "; ".join(mistakes(tmp_path, text))


def test_mistakes_of_counts(tmp_path: Path) -> None:
    head = 'kind = "counts"\nname = "door"\nvenue = "hall"\ndevice = "door"\n'
    found = mistakes(tmp_path, head + '[columns]\ninterval_start = "t"\ncount = "n"\n')
    assert [m.split(":")[0] for m in found] == ["interval", "columns.in_count", "columns.count"]
    flows = '[flows]\nin_count = "a.csv"\nout_count = "a.csv"\n'
    found = mistakes(tmp_path, head + 'interval = "1h"\n[columns]\ninterval_start = "t"\nin_count = "n"\n' + flows)
    assert [m.split(":")[0] for m in found] == ["columns.count", "columns.in_count", "flows.out_count"]
    assert (
        "a duration such as"
        in mistakes(tmp_path, head + 'interval = "half an hour"\n[columns]\ninterval_start = "t"')[0]
    )


def test_absent_map(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="cannot be read"):
        load_map(tmp_path / "absent.toml", SITE)


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
        "import sys, edge_collector.column_map\n"
        "bad = {'polars', 'pyarrow', 'duckdb', 'dagster', 'numpy', 'venue_assets'} & set(sys.modules)\n"
        "sys.exit(', '.join(bad) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
