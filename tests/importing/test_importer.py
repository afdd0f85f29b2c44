"""import_file on small files: every row is accounted for, nothing lands twice, no member number in clear."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_collector import contract
from edge_collector.foreign_files.column_map import MapError
from edge_collector.pseudonym import load_pseudonymizer
from edge_collector.segment import read_manifest
from tests.importing.conftest import HEADER, ORDERS, Bench, rejected
from venue_assets.importing import importer


def test_orders_land(bench: Bench) -> None:
    result = bench.run("orders", bench.write("orders.csv", ORDERS))
    assert (result.rows_read, result.landed, result.already_landed, result.rejected) == (4, 4, 0, 0)
    assert [str(d) for d in result.event_dates] == ["2026-03-01", "2026-03-02"]
    assert result.rejects_file is None
    records = bench.records("orders")
    assert [(r["order_id"], r["order_no"]) for r in records] == [("A1", 1), ("A1", 2), ("A2", 1), ("A3", 1)]
    assert [r["seq"] for r in records] == [1, 2, 3, 4]
    assert records[0] | {"boot_id": "", "user_id": ""} == {
        "gateway_id": "import_till",
        "boot_id": "",
        "seq": 1,
        "venue_id": "hall",
        "device_id": "till",
        "recorded_at": "2026-03-02T12:00:00.000+01:00",
        "clock": "synced",
        "order_id": "A1",
        "order_no": 1,
        "user_id": "",
        "ordered_at": "2026-03-01T10:00:00.000+01:00",
        "category_id": "food",
        "quantity": 2,
        "amount": "10.00",
        "currency": "EUR",
        "status": "completed",
    }
    assert re.fullmatch("k1:[0-9a-f]{32}", records[0]["user_id"])
    assert records[2]["user_id"] is None


@pytest.mark.parametrize("kind", ["orders", "visits", "counts"])
def test_lines_are_canonical(bench: Bench, kind: str) -> None:
    files = {
        "orders": ORDERS + 'Ä"7\\,2026-03-02 12:00:00,m,门,1,4\n',
        "visits": "member,time,way\nm1,2026-03-01 10:00:00,IN\n",
        "counts": "time,in,out\n2026-03-01 10:00:00,3,\n2026-03-01 10:30:00,3,2\n",
    }
    stream = bench.run(kind, bench.write("file.csv", files[kind])).stream
    lines = bench.lines(stream)
    assert lines
    for line in lines:
        assert contract.canonical(stream, line).encode() == line
        assert "\\" in line.decode() or re.fullmatch(contract.canonical_pattern(stream), line.decode())


def test_manifest_covers_its_records(bench: Bench) -> None:
    result = bench.run("orders", bench.write("orders.csv", ORDERS))
    manifest = read_manifest(result.segments[0])
    assert manifest.seq_ranges == [[1, 3]]
    assert (manifest.rows, manifest.gateway_id) == (3, "import_till")
    assert manifest.created_at.isoformat() == "2026-03-02T11:00:00+00:00"


def test_no_member_number_in_clear_anywhere(bench: Bench) -> None:
    bad = "A4,memberThree,memberThree,x,1,1\nA5,2026-03-01 10:00:00,memberFour,x,memberFour,1\n"
    bench.run("orders", bench.write("orders.csv", ORDERS + bad))
    everything = b"".join(bench.snapshot().values()) + b"".join(bench.lines("orders"))
    everything += b"".join(p.read_bytes() for p in (bench.root / "rejects").iterdir())
    assert b"member" not in everything
    assert [r["line"] for r in rejected(bench)] == ["6", "7"]
    assert "hold the user's number" in rejected(bench)[0]["reason"]


def test_rejects_say_file_line_and_reason(bench: Bench) -> None:
    content = HEADER + (
        ",2026-03-01 10:00:00,m,food,1,1\n"  # 2
        "A1,yesterday,m,food,1,1\n"  # 3
        "A1,2026-03-01 10:00:00,m,,1,1\n"  # 4
        "A1,2026-03-01 10:00:00,m,food,1.5,1\n"  # 5
        "A1,2026-03-01 10:00:00,m,food,1,abc\n"  # 6
        "A1,2025-12-31 10:00:00,m,food,1\n"  # 7
        "A2,2025-12-31 10:00:00,m,food,1,1\n"  # 8
        "A1,2026-03-01 10:00:00,m,food,1,1\n"  # 9
    )
    result = bench.run("orders", bench.write("orders.csv", content))
    assert (result.rows_read, result.landed, result.rejected) == (8, 1, 7)
    reasons = {int(r["line"]): r["reason"] for r in rejected(bench)}
    assert sorted(reasons) == [2, 3, 4, 5, 6, 7, 8]
    for line, words in {
        2: "order_id: empty",
        3: "ordered_at: 'yesterday' is given",
        4: "category_id: empty",
        5: "quantity: '1.5' is given; a whole number",
        6: "amount: 'abc' is given; a number such as 1234.50",
        7: "5 columns are given; 6 are expected",
        8: "event date 2025-12-31 is before 2026-01-01",
    }.items():
        assert words in reasons[line]
    assert {r["file"] for r in rejected(bench)} == {"orders.csv"}
    # A1's line on line 9 is its fifth: unusable lines keep their place.
    assert bench.records("orders")[0]["order_no"] == 5


def test_same_file_twice_changes_nothing(bench: Bench) -> None:
    for kind, content in {
        "orders": ORDERS,
        "visits": "member,time,way\nm1,2026-03-01 10:00:00,IN\nm1,2026-03-01 10:00:00,IN\n",
        "counts": "time,in,out\n2026-03-01 10:00:00,3,2\n",
    }.items():
        file = bench.write(f"{kind}.csv", content)
        bench.run(kind, file)
        before = bench.snapshot()
        again = bench.run(kind, file)
        assert bench.snapshot() == before
        assert again.nothing_new
        assert (again.landed, again.already_landed, again.segments) == (0, again.rows_read, ())


def test_import_into_an_empty_landing_gives_the_same_bytes(bench: Bench) -> None:
    file = bench.write("orders.csv", ORDERS)
    bench.run("orders", file)
    before = bench.snapshot()
    for path in bench.landing.rglob("*"):
        if path.is_file():
            path.unlink()
    bench.run("orders", file)
    assert bench.snapshot() == before


def test_interrupted_import_goes_on_where_it_stopped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "MAX_SEGMENT_ROWS", 2)
    file = bench.write("orders.csv", ORDERS)
    first = bench.run("orders", file)
    whole = bench.snapshot()
    assert len(first.segments) == 3
    for manifest in first.segments[1:]:
        manifest.unlink()
    again = bench.run("orders", file)
    assert (again.landed, again.already_landed) == (2, 2)
    assert bench.snapshot() == whole


def test_later_export_adds_only_what_is_new_or_changed(bench: Bench) -> None:
    bench.run("orders", bench.write("march.csv", ORDERS))
    later = ORDERS.replace("drink,1,4\n", "drink,1,5\n") + "A3,2026-03-02 12:00:00,memberTwo,food,1,7\n"
    result = bench.run("orders", bench.write("later.csv", later))
    assert (result.rows_read, result.landed, result.already_landed) == (5, 2, 3)
    lines = [r for r in bench.records("orders") if (r["order_id"], r["order_no"]) == ("A3", 1)]
    newest = max(lines, key=lambda r: (r["recorded_at"], r["gateway_id"], r["boot_id"], r["seq"]))
    assert [r["amount"] for r in sorted(lines, key=lambda r: r["recorded_at"])] == ["4.00", "5.00"]
    assert newest["amount"] == "5.00"
    # The first export once more: its lines have landed, so the later one stays.
    before = bench.snapshot()
    assert bench.run("orders", bench.root / "march.csv").nothing_new
    assert bench.snapshot() == before


def test_a_status_that_returns_in_a_later_export_lands(bench: Bench) -> None:
    first = HEADER + "A1,2026-03-01 10:00:00,,food,1,1\n"
    bench.run("orders", bench.write("1.csv", first))
    bench.run("orders", bench.write("2.csv", first.replace("food", "drink") + "A2,2026-03-02 10:00:00,,x,1,1\n"))
    third = bench.run("orders", bench.write("3.csv", first + "A3,2026-03-03 10:00:00,,x,1,1\n"))
    assert third.landed == 2
    lines = [r for r in bench.records("orders") if r["order_id"] == "A1"]
    assert [r["category_id"] for r in sorted(lines, key=lambda r: r["recorded_at"])] == ["food", "drink", "food"]


def test_importing_a_folder_of_exports_every_night_comes_to_rest(bench: Bench) -> None:
    for n, content in enumerate([ORDERS, ORDERS.replace("3.50", "3.60"), ORDERS.replace("food", "snack")]):
        bench.write(f"{n}.csv", content)
    nights = []
    for _ in range(3):
        for n in range(3):
            bench.run("orders", bench.root / f"{n}.csv")
        nights.append(bench.snapshot())
    assert nights[0] == nights[1] == nights[2]


def test_export_of_a_part_imported_later_wins(bench: Bench) -> None:
    bench.run("orders", bench.write("all.csv", ORDERS))
    part = HEADER + "A2,2026-03-01 11:00:00,,drink,1,9.99\n"
    bench.run("orders", bench.write("part.csv", part))
    lines = [r for r in bench.records("orders") if r["order_id"] == "A2"]
    assert max(lines, key=lambda r: r["recorded_at"])["amount"] == "9.99"


def test_gaps_do_not_come_from_rejected_or_known_rows(bench: Bench) -> None:
    bench.run("orders", bench.write("orders.csv", ORDERS.replace("drink,1,3.50", "drink,1,?")))
    assert [r["seq"] for r in bench.records("orders")] == [1, 2, 3]


def test_visits_overlap(bench: Bench) -> None:
    head = "member,time,way\n"
    rows = [f"m{n},2026-03-0{n} 10:00:00,{way}\n" for n in (1, 2, 3) for way in ("IN", "OUT")]
    bench.run("visits", bench.write("a.csv", head + "".join(rows[:4])))
    result = bench.run("visits", bench.write("b.csv", head + "".join(rows[2:])))
    assert (result.landed, result.already_landed) == (2, 2)
    records = bench.records("face_visits")
    assert len(records) == 6
    assert [r["direction"] for r in records] == ["enter", "leave"] * 3
    assert records[0]["recorded_at"] == "2026-03-01T10:00:00.000+01:00"


def test_visits_reject_unknown_directions_and_missing_users(bench: Bench) -> None:
    result = bench.run(
        "visits", bench.write("a.csv", "member,time,way\nm,2026-03-01 10:00:00,SIDE\n,2026-03-01 10:00:00,IN\n")
    )
    assert (result.landed, result.rejected) == (0, 2)
    assert "[values.direction]" in rejected(bench)[0]["reason"]
    assert "user_id: empty" in rejected(bench)[1]["reason"]


def test_unknown_column_is_named_and_nothing_is_written(bench: Bench) -> None:
    file = bench.write("orders.csv", ORDERS)
    with pytest.raises(MapError) as raised:
        bench.run("orders", file, map_path=bench.map("orders", ('"amount"', '"price"'), ('"pieces"', '"qty"')))
    assert len(raised.value.mistakes) == 1
    assert (
        "lacks columns that orders.toml names: 'price' (columns.amount), 'qty' (columns.quantity); it has order, time"
        in str(raised.value)
    )
    assert not bench.landing.exists()
    assert not (bench.root / "rejects").exists()


def test_files_that_cannot_be_imported(bench: Bench) -> None:
    with pytest.raises(MapError, match="no such file"):
        bench.run("orders", bench.root / "absent.csv")
    with pytest.raises(MapError, match=r"\.doc is given"):
        bench.run("orders", bench.write("a.doc", ""))
    with pytest.raises(MapError, match="2 data files are given"):
        bench.run("orders", bench.write("a.csv", ORDERS), bench.write("b.csv", ORDERS))
    with pytest.raises(MapError, match="no Parquet file"):
        bench.run("orders", bench.write("a.parquet", b"no"))
    with pytest.raises(MapError, match="no XLSX"):
        bench.run("orders", bench.write("a.xlsx", b"no"))
    with pytest.raises(MapError, match='"orders" is given; "visits" is expected'):
        bench.run("visits", bench.root / "a.csv", map_path=bench.map("orders"))


def order_rows() -> st.SearchStrategy[str]:
    return st.builds(
        lambda *cells: ",".join(cells) + "\n",
        st.sampled_from(["A1", "A2", "A3", ""]),
        st.sampled_from(
            ["2026-03-01 10:00:00", "2026-03-02 03:59:59", "2026-03-29 02:30:00", "2026-10-25 02:30:00", "x"]
        ),
        st.sampled_from(["m1", "m2", "", "13085.0"]),
        st.sampled_from(["food", '"fo,od"', '"', ""]),
        st.sampled_from(["1", "-2", "0", "1.5", "many"]),
        st.sampled_from(["1", "0.005", "-3.335", "1e5", "", "99999999999999999"]),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.lists(order_rows(), max_size=25), added=st.lists(order_rows(), max_size=10))
def test_rows_are_always_accounted_for(bench: Bench, first: list[str], added: list[str]) -> None:
    for old in _files(bench.root / "landing"):
        old.unlink()
    a, b = bench.write("a.csv", HEADER + "".join(first)), bench.write("b.csv", HEADER + "".join(first + added))
    one, two, three = (bench.run("orders", file) for file in (a, b, b))
    for result in (one, two, three):
        assert result.rows_read == result.landed + result.already_landed + result.rejected
    assert three.nothing_new
    assert one.rows_read == len(first)
    assert two.rows_read == len(first + added)
    lines = bench.lines("orders")
    assert len(lines) == one.landed + two.landed
    records = [contract.parse("orders", line).model_dump() for line in lines]
    assert len({(r["boot_id"], r["seq"]) for r in records}) == len(records)


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        ("orders", "a.csv", ('venue = "hall"', 'venue = "nowhere"')),
        ("orders", "a.csv", ('order_id = "order"', 'order_id = "number"')),
        ("orders", "absent.csv", None),
        ("visits", "a.csv", None),
    ],
    ids=["map of no venue", "file without the column", "no file", "file of another kind"],
)
def test_what_cannot_be_imported_makes_no_key(
    bench: Bench, kind: Literal["orders", "visits"], name: str, change: tuple[str, str] | None
) -> None:
    bench.write("a.csv", ORDERS)
    key = bench.root / "pseudonym.key"
    with pytest.raises(MapError):
        importer.import_file(
            bench.site,
            bench.landing,
            kind,
            [bench.root / name],
            bench.map(kind, *([change] if change else [])),
            pseudonymizer=lambda: load_pseudonymizer(key, create=True),
            rejects_dir=bench.root / "rejects",
        )
    assert not key.exists()
