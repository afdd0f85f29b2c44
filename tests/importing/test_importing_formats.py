"""import_file on Parquet and XLSX: typed cells mean what they mean in CSV."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from edge_collector.foreign_files.column_map import MapError
from tests.importing.conftest import HEADER, Bench, rejected

TYPED = {
    "order": ["A1", "A1", None],
    "time": [None, None, None],
    "member": [13085.0, None, 13086.0],
    "category": ["x", "x", "x"],
    "pieces": [2.0, 3.0, 1.5],
    "amount": [2.1, 0.285, 1.0],
}


def check_typed(bench: Bench, file: Path, first_line: int) -> None:
    map_path = bench.map("orders", ('"line"', '"unit_price"'), ("[columns]", '[numbers]\ndecimal = ","\n\n[columns]'))
    result = bench.run("orders", file, map_path=map_path)
    assert (result.rows_read, result.landed, result.rejected) == (3, 2, 1)
    assert [r["line"] for r in rejected(bench)] == [str(first_line + 2)]
    records = bench.records("orders")
    # 3 x 0.285 = 0.855 in decimal; in floats it would round to 0.85.
    assert [(r["quantity"], r["amount"]) for r in records] == [(2, "4.20"), (3, "0.86")]
    bench.run("orders", bench.write("o.csv", HEADER + "Z,2026-03-01 10:00:00,13085,x,1,1\n"))
    (from_csv,) = (r for r in bench.records("orders") if r["order_id"] == "Z")
    assert from_csv["user_id"] == records[0]["user_id"]
    assert {r["ordered_at"] for r in records} == {"2026-03-01T10:00:00.000+01:00"}


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_parquet(bench: Bench, unit: str) -> None:
    frame = pl.DataFrame(TYPED).with_columns(time=pl.lit("2026-03-01T10:00:00").str.to_datetime(time_unit=unit))  # type: ignore[arg-type]
    frame.write_parquet(bench.root / "orders.parquet")
    check_typed(bench, bench.root / "orders.parquet", first_line=1)


def test_xlsx(bench: Bench) -> None:
    frame = pl.DataFrame(TYPED).with_columns(time=pl.lit("2026-03-01T10:00:00").str.to_datetime(time_unit="ms"))
    frame.write_excel(bench.root / "orders.xlsx")
    check_typed(bench, bench.root / "orders.xlsx", first_line=2)


def test_xlsx_sheet_header_row_blank_rows_and_late_text(bench: Bench) -> None:
    with xlsxwriter.Workbook(bench.root / "book.xlsx") as book:
        book.add_worksheet("cover")
        sheet = book.add_worksheet("sales")
        sheet.write(0, 0, "Sales of March")
        for column, name in enumerate(HEADER.strip().split(",")):
            sheet.write(2, column, name)
        for row in [3, 5, *range(6, 1500)]:
            values = [f"A{row}", "2026-03-01 10:00:00", None, "x", 1, 2.5]
            for column, value in enumerate(values):
                sheet.write(row, column, value)
        sheet.write(1400, 4, "many")
    options = ("[columns]", '[xlsx]\nsheet = "sales"\nheader_row = 3\n\n[columns]')
    result = bench.run("orders", bench.root / "book.xlsx", map_path=bench.map("orders", options))
    assert (result.rows_read, result.landed, result.rejected) == (1496, 1495, 1)
    assert rejected(bench)[0]["line"] == "1401"
    april = bench.map("orders", ("[columns]", '[xlsx]\nsheet = "april"\n\n[columns]'))
    with pytest.raises(MapError, match=r"one of \['cover', 'sales'\] is expected"):
        bench.run("orders", bench.root / "book.xlsx", map_path=april)
