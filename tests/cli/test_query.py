"""`venue query` as people and programs meet it: nothing is cut off, nothing is written, and errors help."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.cli.commands import done, is_refused, on_a_terminal, simulated, venue
from tests.conftest import compute
from venue_assets.home import Home
from venue_assets.lake.store import Lake

DAY = date(2026, 1, 5)
WIDE = "SELECT * FROM hourly_metrics LIMIT 24"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One simulated day, computed."""
    root = simulated(tmp_path_factory.mktemp("home [1]"), days=1, visits=60)
    compute(Home(root), DAY)
    return root


def test_in_a_pipe_every_row_is_one_line_and_whole(home: Path) -> None:
    reason = "x" * 300
    lines = done(home, "query", f"SELECT *, '{reason}' AS reason FROM hourly_metrics LIMIT 24").splitlines()
    assert len(lines) == 2 + 24
    assert all(line.rstrip().endswith(reason) for line in lines[2:])
    assert "…" not in "".join(lines)


def test_a_narrow_terminal_gets_one_column_per_line(home: Path) -> None:
    shown = on_a_terminal(home, 80, "query", WIDE)
    assert "row 24" in shown
    assert shown.count("lov_median_seconds") == 24
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_terminal_folds_long_text_beside_narrow_columns(home: Path) -> None:
    words = " ".join(f"word{n}" for n in range(40))
    shown = on_a_terminal(home, 80, "query", f"SELECT DATE '{DAY}' AS day, 'orders' AS stream, '{words}' AS remedy")
    assert "2026-01-05" in shown
    assert all(word in shown for word in words.split())
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    "sql",
    [
        "FROM sessions",
        "WITH s AS (FROM sessions) SELECT count(*) FROM s;",
        "PIVOT sessions ON venue_id USING count(*) GROUP BY state",
        "DESCRIBE sessions",
        "SUMMARIZE sessions",
        "EXPLAIN SELECT * FROM sessions",
        "explain (format json) FROM sessions",
        "EXPLAIN ANALYZE FROM sessions",
    ],
)
def test_what_reads_is_answered(home: Path, sql: str) -> None:
    assert done(home, "query", sql)


def test_nothing_is_written_even_into_the_lake(home: Path) -> None:
    for target in (home / "lake" / "x.csv", home / "x.csv"):
        is_refused(venue(home, "query", f"EXPLAIN ANALYZE COPY sessions TO '{target}'"), "COPY")
        assert not target.exists()


def test_tables_are_listed_only_where_one_is_unknown(home: Path) -> None:
    is_refused(venue(home, "query", "SELECT 'x'::INTEGER"), "Conversion Error")
    assert "primary_metrics" not in venue(home, "query", "SELECT 'x'::INTEGER").err
    assert "primary_metrics" not in venue(home, "query", "SELECT nope(1)").err
    unknown = venue(home, "query", "FROM sequences")
    is_refused(unknown, "sequences does not exist", "primary_metrics")
    assert "pg_" not in unknown.err
    is_refused(venue(home, "query", "FROM sesions"), "(did you mean sessions?)")


def test_a_damaged_partition_is_named_with_the_command_that_repairs_it(home: Path) -> None:
    path = Lake(home / "lake").path("face_visits", DAY)
    content = path.read_bytes()
    middle = len(content) // 2
    try:
        path.write_bytes(content[: len(content) // 2])
        is_refused(venue(home, "query", "FROM face_visits"), f"face_visits of {DAY}", f"venue materialize {DAY}")
        said = venue(home, "doctor")
        assert said.code == 1
        assert "never been heard of in face_visits" not in said.out

        path.write_bytes(content[: middle - 100] + b"\xff" * 200 + content[middle + 100 :])
        assert venue(home, "doctor").code == 0
        deep = venue(home, "doctor", "--read-data")
        assert deep.code == 1
        assert f"{path}: its bytes are not those that were written" in deep.out
        assert f"venue materialize {DAY}" in deep.out
    finally:
        path.write_bytes(content)
    assert venue(home, "doctor", "--read-data").code == 0
