"""Column maps: mistakes are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_collector.foreign_files.column_map import MapError, load_map
from tests.edge.maps import ORDERS, SITE, bind


def mistakes(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(MapError) as raised:
        bind(folder, text)
    assert str(raised.value).startswith(f"{folder / 'map.toml'}: ")
    return raised.value.mistakes


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
