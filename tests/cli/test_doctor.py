"""`venue doctor`: what it finds is told once, and in a way that can be copied at any width."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from tests.cli.commands import DAY, done, on_a_terminal, simulated, venue
from venue_assets.lake.store import Lake


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One simulated day with a refused segment, materialized."""
    root = simulated(tmp_path_factory.mktemp("computed"), days=1, visits=20)
    next((root / "landing" / "orders" / f"event_date={DAY}").glob("*.zst")).write_bytes(b"cut short")
    done(root, "materialize", DAY)
    return root


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_what_does_not_fit_in_a_table_is_told_in_whole_lines(home: Path, columns: int) -> None:
    lines = on_a_terminal(home, columns, "doctor").splitlines()
    assert "│" not in "".join(lines)
    at = next(n for n, line in enumerate(lines) if line.startswith("warning  refused segments: 1, the last one of"))
    assert re.fullmatch(r' +-> venue query "SELECT event_date, .* FROM refused_segments"', lines[at + 1]), (
        "a command is copied as it stands"
    )
    assert "ok       landing/: can be written" in lines


def test_what_fits_is_a_table(home: Path) -> None:
    assert " warning │ refused segments " in on_a_terminal(home, 240, "doctor")


@pytest.mark.parametrize("read_data", [False, True])
def test_a_file_that_is_damaged_is_told_once(home: Path, read_data: bool) -> None:
    path = Lake(home / "lake").path("face_visits", date.fromisoformat(DAY))
    path.write_bytes(path.read_bytes()[:100])
    said = venue(home, "doctor", *(["--read-data"] if read_data else []))
    assert said.code == 1
    (error,) = (line for line in said.out.splitlines() if line.startswith(" error"))
    assert "face_visits" in error
    assert f"venue materialize {DAY} " in error
