"""The way from landing to published figures, as the commands of `venue` go it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.cli.commands import DAY, RANGE, done, empty_home, files, venue
from venue_assets.tables.catalogue import catalogue


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated days, materialized."""
    root = empty_home(tmp_path_factory.mktemp("home"))
    said = done(root, "simulate", "--days", "2", "--visits", "60")
    assert re.search(r"Landed [\d,]+ lines in \d+ segments", said)
    assert f"Next: export VENUE_DATA={root}\n      uv run venue materialize {RANGE}  - " in said
    assert (root / "truth.json").exists()
    states = done(root, "status")
    assert states.count("missing") >= 2
    assert f"Next: venue materialize {RANGE}" in states
    said = done(root, "materialize", RANGE)
    assert f"Materialized {RANGE} in 1 run" in said
    assert "Next: venue status --problems, or venue report --date 2026-01-06" in said
    return root


def test_status_all_fresh(home: Path) -> None:
    said = done(home, "status")
    for day in ("2026-01-05", "2026-01-06"):
        (row,) = (line for line in said.splitlines() if line.strip().startswith(day))
        assert row.count("fresh") == 7
    assert not {"stale", "failed", "missing", "Next:"} & set(said.split())
    assert done(home, "status", "--problems") == "Every date is fresh\n"
    assert "2026-01-06" not in done(home, "status", DAY)
    said = done(home, "status", "2026-01-09")
    assert "Nothing landed and nothing computed for 2026-01-09; landed are event dates 2026-01-05 to 2026-01-06" in said


def test_status_problems_lists_only_what_is_not_fresh(home: Path) -> None:
    partition = next((home / "lake" / "primary_metrics" / "event_date=2026-01-06").glob("*.parquet"))
    content = partition.read_bytes()
    partition.unlink()
    try:
        listed, ended = done(home, "status"), venue(home, "status", "--problems")
        elsewhere = venue(home, "status", DAY, "--problems")
    finally:
        partition.write_bytes(content)
    assert ended.code == 1, "for scripts: there is a problem"
    assert elsewhere.code == 0, "not on the date that was asked for"
    said = ended.out
    assert "2026-01-05" not in said
    assert "2026-01-05" in listed
    assert "primary_metrics: never computed" in said
    assert "Next: venue materialize 2026-01-06" in said


def test_query(home: Path) -> None:
    sql = "SELECT event_date, venue_id, pv FROM primary_metrics ORDER BY ALL"
    rows = list(csv.DictReader(io.StringIO(done(home, "query", sql, "--format", "csv"))))
    assert [(row["event_date"], row["venue_id"]) for row in rows] == [
        (day, venue_id) for day in ("2026-01-05", "2026-01-06") for venue_id in ("harbour", "riverside")
    ]
    assert sum(int(row["pv"]) for row in rows) > 0
    found = json.loads(done(home, "query", sql, "--format", "json"))
    assert [{name: str(value) for name, value in row.items()} for row in found] == rows
    assert "2 of 4 rows" in done(home, "query", sql, "--limit", "2")
    assert "of 4 rows" not in done(home, "query", sql, "--limit", "0")


def test_query_shows_brackets_as_they_are(home: Path) -> None:
    shown = done(home, "query", "SELECT '[/x]' AS \"[/y]\", '[bold]z' AS b")
    assert all(text in shown for text in ("[/x]", "[/y]", "[bold]z"))


def test_publish_says_that_nothing_changed(home: Path) -> None:
    before = files(home / "published")
    assert re.search(r"Publication \S+: 2 event dates \(nothing changed\)", done(home, "publish"))
    assert files(home / "published") == before


def test_rerun_failed_has_nothing_to_do_and_says_where_it_looked(home: Path) -> None:
    before = files(home / "lake", home / "published")
    said = done(home, "rerun", "--failed")
    assert re.search(rf"^Nothing failed: looked at the runs in {home}/dagster \(the newest \d+\), and at ", said)
    assert f"the notes of failures in {home}/lake\nMissing and stale dates: venue status --problems\n" in said
    assert files(home / "lake", home / "published") == before


def test_rerun_from_a_table_computes_what_reads_it_and_nothing_else(home: Path) -> None:
    before = files(home / "lake", home / "published")
    said = done(home, "rerun", "--date", DAY, "--from", "sessions")
    assert f"Materialized {DAY} in 1 run" in said
    assert "Next: venue status --problems" in said
    after = files(home / "lake", home / "published")
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed == {
        home / "lake" / table / f"event_date={DAY}" / "part-0.parquet" for table in catalogue().downstream("sessions")
    }
    assert done(home, "status", "--problems") == "Every date is fresh\n"


def test_doctor_finds_no_error(home: Path) -> None:
    said = done(home, "doctor")
    assert "event dates 2026-01-05 to 2026-01-06" in said
    assert "error" not in said.split()
    subjects = [line.split("│")[1].strip() for line in said.splitlines() if "│" in line]
    assert len(set(subjects)) == len(subjects), "every row is about something else"
