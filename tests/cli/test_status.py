"""`venue status` on the terminal of whoever is on call: nothing that it says is cut off, and it says what to do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import DAY, SCRIPT, done, files, on_a_terminal, simulated, venue

SECOND, THIRD = "2026-01-06", "2026-01-07"
DAYS = f"{DAY}...{THIRD}"


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three simulated days, materialized."""
    root = simulated(tmp_path_factory.mktemp("computed"), days=3, visits=60)
    done(root, "materialize", DAYS)
    return root


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_dates_and_reason_are_shown_in_full_at_any_width(home: Path, columns: int) -> None:
    for day in (DAY, SECOND):
        folder = home / "lake" / "sessions" / f"event_date={day}"
        shutil.rmtree(folder)
    shown = on_a_terminal(home, columns, "status", "--problems")
    assert "…" not in shown
    table = shown.partition("Next:")[0]
    assert all(len(line) <= columns for line in table.splitlines())
    text = " ".join(table.replace("│", " ").split())
    assert DAY in text
    assert "missing" in text
    if columns <= 80:
        assert f"{DAY}...{SECOND} " in text, "what stands alike is said once"
        assert text.count("sessions: never computed, or its partition cannot be read") == 1
    else:
        assert SECOND in text
        assert "never computed," in text


def test_a_stream_that_is_gone_makes_no_neighbour_due_and_is_no_gap_of_it(home: Path) -> None:
    orders = home / "landing" / "orders" / f"event_date={SECOND}"
    orders.rename(home / "away")
    said = venue(home, "status", "--problems").out
    assert said.partition("Next: ")[2].splitlines() == [
        f"bring its segments back to landing/ (is its disk there?), or venue materialize {SECOND} --withdraw"
    ]
    assert "Every date is fresh" in done(home, "status", THIRD, "--problems")
    done(home, "rerun", "--date", THIRD)
    gaps = "SELECT count(*) AS n FROM sequence_gaps WHERE stream = 'orders'"
    assert done(home, "query", gaps, "--format", "csv").splitlines()[1] == "0"
    (home / "away").rename(orders)
    assert done(home, "status", "--problems") == "Every date is fresh\n"


def test_what_failed_on_an_input_that_was_repaired_since_does_not_advise_its_repair_again(home: Path) -> None:
    damaged = home / "lake" / "user_days" / f"event_date={SECOND}" / "part-0.parquet"
    damaged.write_bytes(damaged.read_bytes()[:100])
    venue(home, "materialize", THIRD, "--select", "kpi+")
    assert f"user_days of {SECOND} cannot be read" in venue(home, "status", THIRD).out
    done(home, "materialize", SECOND)
    said = venue(home, "status", THIRD).out
    assert f"kpi: user_days of {SECOND} could not be read, and can be by now" in said
    assert "Next: correct the cause, then venue rerun --failed" in said
    done(home, "rerun", "--failed")
    assert done(home, "status", "--problems") == "Every date is fresh\n"


def test_neighbours_are_due_once_the_stream_was_withdrawn(home: Path) -> None:
    shutil.rmtree(home / "landing" / "orders" / f"event_date={SECOND}")
    done(home, "materialize", SECOND, "--withdraw")
    assert f"Next: venue materialize {THIRD}\n" in done(home, "status")


def test_selected_tables_that_keep_a_date_from_being_published_are_told_with_the_next_command(home: Path) -> None:
    before = files(home / "published")
    segment = next((home / "landing" / "orders" / f"event_date={DAY}").glob("*.zst"))
    segment.write_bytes(segment.read_bytes()[:100])
    said = done(home, "materialize", DAY, "--select", "raw_orders")
    assert said.splitlines()[0].endswith(f" -> {home / 'lake'}")
    assert f"Not published yet: {DAY}; " in said
    assert f"Next: venue materialize {DAY}\n" in said
    assert files(home / "published") == before


def test_selected_tables_that_change_nothing_stay_published(home: Path) -> None:
    said = done(home, "materialize", DAYS, "--select", "sessions")
    assert said.splitlines()[0].endswith(f" -> {home / 'lake'}, {home / 'published'}")
    assert "Not published" not in said
    assert "Next: venue status --problems, or venue report" in said


def test_selected_tables_of_a_date_that_only_waits_for_its_publication(home: Path) -> None:
    shutil.rmtree(home / "published")
    said = done(home, "materialize", DAYS, "--select", "sessions")
    assert f"Not published yet: {DAYS}; " in said
    assert said.endswith("Next: venue publish\n")


def test_a_killed_rerun_of_fresh_dates_is_told_with_what_ends_the_matter(home: Path) -> None:
    process = subprocess.Popen(
        [SCRIPT, "rerun", "--date", DAY], env={**os.environ, "VENUE_DATA": str(home)}, stdout=subprocess.DEVNULL
    )
    partition = home / "lake" / "landed_segments" / f"event_date={DAY}" / "part-0.parquet"
    before = partition.stat().st_ino
    while partition.stat().st_ino == before:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    said = done(home, "status", "--problems")
    assert said.startswith("Every date is fresh\n")
    assert f", of {DAY}, is gone: nothing of it was lost, every table is as it should be\n" in said
    assert "Next: venue rerun --failed" in said
    assert "is gone" not in done(home, "status", THIRD), "of the date that is asked for"
    done(home, "rerun", "--failed")
    assert done(home, "status", "--problems") == "Every date is fresh\n"
