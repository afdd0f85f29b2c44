"""Parquet and XLSX: tables whose cells have types already.

Numbers stay exact: a float becomes the shortest decimal that stands for it (2.1, not 2.10000000000000008882).

What does not belong here: what the cells mean.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastexcel
import polars as pl

from edge_collector.foreign_files.cells import Cell
from edge_collector.foreign_files.column_map import MapError, XlsxOptions
from edge_collector.foreign_files.drafts import Reject, Row


def read_parquet(path: Path, wanted: Collection[str]) -> tuple[list[str], list[Row], list[Reject]]:
    """Columns, and rows numbered from 1. Only the `wanted` columns hold values."""
    try:
        columns = list(pl.read_parquet_schema(path))
        frame = pl.read_parquet(path, columns=[name for name in columns if name in wanted], hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise MapError(path, [f"is no Parquet file that can be read ({_first_line(error)})"]) from None
    return columns, _rows(frame, columns, first_line=1), []


def read_xlsx(path: Path, options: XlsxOptions, wanted: Collection[str]) -> tuple[list[str], list[Row], list[Reject]]:
    """Columns, and rows numbered as in the sheet. Rows without any value are no rows."""
    try:
        book = fastexcel.read_excel(path)
        if options.sheet is not None and options.sheet not in book.sheet_names:
            raise MapError(path, [f"xlsx.sheet: {options.sheet!r} is given; one of {book.sheet_names} is expected"])
        # All rows decide on a column's type: a text after thousands of numbers must not become null.
        sheet = book.load_sheet(
            options.sheet or 0, header_row=options.header_row - 1, skip_rows=0, schema_sample_rows=None
        )
        frame = sheet.to_polars()
    except fastexcel.FastExcelError as error:
        raise MapError(path, [f"is no XLSX sheet that can be read ({_first_line(error)})"]) from None
    empty = pl.all_horizontal(pl.all().is_null())
    rows = _rows(frame, frame.columns, first_line=options.header_row + 1, wanted=wanted)
    kept = frame.select(empty.alias("empty"))["empty"].to_list() if frame.width else []
    return frame.columns, [row for row, is_empty in zip(rows, kept, strict=True) if not is_empty], []


def _rows(
    frame: pl.DataFrame, columns: list[str], *, first_line: int, wanted: Collection[str] | None = None
) -> list[Row]:
    nothing: list[Cell] = [None] * frame.height
    read = [name for name in columns if name in frame.columns and (wanted is None or name in wanted)]
    cells = [_cells(frame[name]) if name in read else nothing for name in columns]
    return [Row(line, row) for line, row in enumerate(zip(*cells, strict=True), start=first_line)]


def _cells(series: pl.Series) -> list[Cell]:
    kind = series.dtype
    if kind == pl.String or kind.is_integer() or isinstance(kind, pl.Decimal):
        return series.to_list()
    if kind.is_float():
        return _each(series, _exact)
    if isinstance(kind, pl.Datetime):
        return series.cast(pl.Datetime("us", kind.time_zone)).to_list()
    if kind == pl.Date:
        return _each(series, lambda day: datetime.combine(day, time()))
    if kind == pl.Boolean:
        return _each(series, lambda value: "true" if value else "false")
    if isinstance(kind, pl.Categorical | pl.Enum) or kind == pl.Null:
        return series.cast(pl.String).to_list()
    return [None if value is None else str(value) for value in series.to_list()]


def _each(series: pl.Series, convert: Callable[[Any], Cell]) -> list[Cell]:
    known: dict[Any, Cell] = {None: None}
    for value in series.unique().to_list():
        if value is not None:
            known[value] = convert(value)
    # NaN equals nothing, not even itself: it is not found, and stands for "no value".
    return [known.get(value) for value in series.to_list()]


def _exact(value: float) -> Cell:
    if value != value:
        return None
    return Decimal(repr(value))


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
