"""CSV: a bad line costs itself, never its neighbours."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_collector.foreign_files.column_map import CsvOptions, MapError
from edge_collector.foreign_files.csv_lines import parse_fields, read_csv


def read(tmp_path: Path, content: str | bytes, **options: object) -> tuple[list[tuple[int, list[object]]], list[int]]:
    path = tmp_path / "file.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    _, rows, rejects = read_csv(path, CsvOptions.model_validate(options))
    return [(row.line, list(row.cells)) for row in rows], [reject.line for reject in rejects]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a,b", ["a", "b"]),
        ("", [""]),
        (",", ["", ""]),
        ('"a,b",c', ["a,b", "c"]),
        ('"a ""b""",c', ['a "b"', "c"]),
        ('"",""', ["", ""]),
        ('7" plate,c', ['7" plate', "c"]),
    ],
)
def test_fields_of_a_line(text: str, fields: list[str]) -> None:
    assert parse_fields(text, ",").fields == fields


def test_stray_quote_costs_one_line(tmp_path: Path) -> None:
    rows, rejects = read(tmp_path, 't,n\n"a",1\n"\n"b",2\n"c",3\n"\n"d",4\n')
    assert [cells for _, cells in rows] == [["a", "1"], ["b", "2"], ["c", "3"], ["d", "4"]]
    assert [line for line, _ in rows] == [2, 4, 5, 7]
    assert rejects == [3, 6]


def test_two_stray_quotes_that_would_join_into_a_good_row(tmp_path: Path) -> None:
    rows, rejects = read(tmp_path, 't,n\nx,"open\na,1\nb,2\nclose"\nc,3\n')
    assert [cells for _, cells in rows] == [["a", "1"], ["b", "2"], ["c", "3"]]
    assert rejects == [2, 5]


def test_quoted_field_over_several_lines_is_one_row(tmp_path: Path) -> None:
    rows, rejects = read(tmp_path, 'a,b,c\n"two\r\nlines",1,2\nx,"three\nmore\nlines",3\ny,4,5\n')
    assert rows == [(2, ["two\r\nlines", "1", "2"]), (4, ["x", "three\nmore\nlines", "3"]), (7, ["y", "4", "5"])]
    assert rejects == []


def test_quote_open_at_the_end_of_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, 'a,b\n1,2\n3,"4') == ([(2, ["1", "2"])], [3])


def test_wrong_number_of_columns_and_text_after_a_quote(tmp_path: Path) -> None:
    rows, rejects = read(tmp_path, 'a,b\n1\n1,2,3\n"1"x,2\n1,2\n')
    assert (rows, rejects) == ([(5, ["1", "2"])], [2, 3, 4])


def test_blank_lines_are_no_rows_but_keep_their_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, "\n\na,b\n\n1,2\r\n \r\n3,4\r\n\r\n") == ([(5, ["1", "2"]), (7, ["3", "4"])], [])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    text = "Größe" if encoding == "cp1252" else "上海门店𠮷"
    content = f"{text},b\r\n{text},1\r\n".encode(encoding)
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    columns, rows, rejects = read_csv(path, CsvOptions(encoding=encoding))
    assert (columns, [list(row.cells) for row in rows], rejects) == ([text, "b"], [[text, "1"]], [])


def test_bad_bytes_cost_one_line(tmp_path: Path) -> None:
    assert read(tmp_path, b"a,b\n1,\xff\n2,3\n") == ([(3, ["2", "3"])], [2])


def test_without_header(tmp_path: Path) -> None:
    assert read(tmp_path, "1;2\n", header=False, column_names=["a", "b"], delimiter=";") == ([(1, ["1", "2"])], [])


def test_empty_file_and_unreadable_header(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="empty"):
        read(tmp_path, "")
    with pytest.raises(MapError, match="line 1: not utf-8"):
        read(tmp_path, b"\xff,b\n1,2\n")
    with pytest.raises(MapError, match="open quote"):
        read(tmp_path, '"a,b\n1,2\n')


cell = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=6)


@given(st.lists(st.lists(cell, min_size=3, max_size=3), min_size=1, max_size=20))
def test_agrees_with_the_csv_module_on_what_that_writes(rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    lines = text.getvalue().removesuffix("\r\n").split("\r\n")
    assert [parse_fields(line, ",").fields for line in lines] == rows


@given(st.lists(st.sampled_from(['"a",1', "b,2", '"', '"x', 'y"', "a,b,c", '"p""q",3', 'm "n",4', ""]), max_size=30))
def test_every_line_is_a_row_or_rejected_or_part_of_one(
    tmp_path_factory: pytest.TempPathFactory, body: list[str]
) -> None:
    rows, rejects = read(tmp_path_factory.mktemp("csv"), "\n".join(["t,n", *body]))
    good = [n for n, line in enumerate(body, start=2) if line in ('"a",1', "b,2", '"p""q",3')]
    assert set(good) <= {line for line, _ in rows}
    assert not {line for line, _ in rows} & set(rejects)
    assert all(len(cells) == 2 for _, cells in rows)
