"""CSV of behaviour events and primary metrics per event date: read back, it is exactly what was published."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.publish.home import DAYS, lose_a_segment, publish
from venue_assets.home import Home
from venue_assets.publish import files
from venue_assets.publish.record import Publication
from venue_assets.tables.catalogue import catalogue

READ = "header = true, auto_detect = false, delim = ',', nullstr = '', allow_quoted_nulls = false"


def differences(con: duckdb.DuckDBPyConnection, path: Path, table: str, columns: dict[str, str]) -> int:
    """Rows that are in one of the two only."""
    names = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items()) + "}"
    given = f"read_csv('{path}', columns = {names}, {READ})"
    found = 0
    for one, other in ((given, table), (table, given)):
        found += con.execute(f"SELECT count(*) FROM (FROM {one} EXCEPT ALL FROM {other})").fetchall()[0][0]
    return found


@pytest.mark.parametrize("name", files.CSV_TABLES)
def test_every_date_round_trips_exactly(published: tuple[Home, Publication], name: str) -> None:
    home, _ = published
    table = catalogue()[name]
    columns = {"event_date": "DATE"} | {column: c.type for column, c in table.columns.items()}
    folder = home.published / "csv" / name
    assert sorted(path.name for path in folder.iterdir()) == [f"{day}.csv" for day in DAYS]
    with duckdb.connect(str(home.published / "venue.duckdb"), read_only=True) as con:
        for day in DAYS:
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE of_the_date AS FROM {table.layer}.{name} WHERE event_date = '{day}'"
            )
            path = folder / f"{day}.csv"
            assert path.read_text(encoding="utf-8").splitlines()[0] == ",".join(columns)
            assert differences(con, path, "of_the_date", columns) == 0


def test_texts_of_every_kind_round_trip(tmp_path: Path) -> None:
    """Also those that a careless reader or writer would change: null and empty, quotes, line ends, formulas."""
    texts = [
        None, "", " ", '"', '""', ",", "a,b", 'say "no"', "two\nlines", "two\r\nlines", "cr\ronly", "=1+1", "+1", "@x",
        "-", "'", "null", "NULL", "场所，“引号”", "🙂", "\t", "tail ", "0x1F", "1e5", "\\n", "a;b", "#no comment", "…",
    ]  # fmt: skip
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS venue; CREATE SCHEMA venue.metrics")
        con.execute(
            "CREATE TABLE venue.metrics.t (n INTEGER, words VARCHAR, amount DECIMAL(18,2), x DOUBLE, moment TIMESTAMP)"
        )
        con.executemany(
            "INSERT INTO venue.metrics.t VALUES (?, ?, ?, ?, ?)",
            [[n, text, "-0.10", 0.1 * n / 3, "2026-01-05 04:00:00.123456"] for n, text in enumerate(texts)],
        )
        written = files.File("t.csv", "SELECT * FROM venue.metrics.t ORDER BY n", is_changed=True)
        files.write(con, tmp_path, [written], None, files.CSV)
        columns = {"n": "INTEGER", "words": "VARCHAR", "amount": "DECIMAL(18,2)", "x": "DOUBLE", "moment": "TIMESTAMP"}
        assert differences(con, tmp_path / "t.csv", "venue.metrics.t", columns) == 0
    assert "=1+1" in (tmp_path / "t.csv").read_text(encoding="utf-8")


def test_files_of_unchanged_dates_are_linked(four_dates: Home) -> None:
    publish(four_dates)
    paths = [four_dates.published / "csv" / name / f"{day}.csv" for name in files.CSV_TABLES for day in DAYS]
    before = [path.stat().st_ino for path in paths]
    lose_a_segment(four_dates, DAYS[-1])
    publish(four_dates)
    changed = [path for path, inode in zip(paths, before, strict=True) if path.stat().st_ino != inode]
    assert changed == [four_dates.published / "csv" / name / f"{DAYS[-1]}.csv" for name in files.CSV_TABLES]
