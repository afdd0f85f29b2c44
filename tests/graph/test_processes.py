"""Several processes on one home: killed ones, concurrent ones, and readers that look on."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from tests.conftest import REPOSITORY
from venue_assets.home import Home
from venue_assets.simulate import Options, simulate

FIRST = date(2026, 1, 5)
DAYS = [FIRST, FIRST + timedelta(days=1)]
KILLS = 2
"""Moments tried in every test run; VENUE_KILLS=20 tries as many as the acceptance asks for."""


def venue(home: Home, *arguments: str) -> subprocess.Popen[str]:
    """A `venue` process of its own, with the bytecode cache on: half of its time is imports."""
    environment = {**os.environ, "VENUE_DATA": str(home.root), "PYTHONDONTWRITEBYTECODE": ""}
    return subprocess.Popen(
        [sys.executable, "-c", "from venue_assets.cli import main; main()", *arguments],
        cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    return out


def lake_bytes(home: Home) -> dict[str, str]:
    return {
        str(path.relative_to(home.lake)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.lake.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two days, landed and materialized by one process that nobody disturbed."""
    root = tmp_path_factory.mktemp("undisturbed")
    shutil.copyfile(REPOSITORY / "data" / "site.toml", root / "site.toml")
    home = Home(root)
    simulate(home.site, home.landing, Options(FIRST, days=len(DAYS), visits=200))
    finish(venue(home, "materialize", f"{DAYS[0]}...{DAYS[-1]}"))
    return home


def test_killed_at_any_moment_then_rerun_equals_an_undisturbed_run(undisturbed: Home, tmp_path: Path) -> None:
    moments = random.Random(7)  # seeded, so that a failure can be had again
    expected = lake_bytes(undisturbed)
    home = Home(tmp_path / "home")
    home.root.mkdir()
    shutil.copyfile(undisturbed.site_file, home.site_file)
    shutil.copytree(undisturbed.landing, home.landing)
    killed_under_way = 0
    for _ in range(int(os.environ.get("VENUE_KILLS", KILLS))):
        shutil.rmtree(home.lake, ignore_errors=True)
        shutil.rmtree(home.published, ignore_errors=True)
        process = venue(home, "materialize", f"{DAYS[0]}...{DAYS[-1]}")
        # A moment is a share of the work: kill when so many files lie in the lake.
        files = moments.randrange(1, len(expected))
        while process.poll() is None and len(list(home.lake.glob("*/*/part-0.parquet"))) < files:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed_under_way += process.returncode == -signal.SIGKILL
        out = finish(venue(home, "rerun", "--failed"))
        if process.returncode == -signal.SIGKILL:
            assert "Materialized" in out, out
        assert lake_bytes(home) == expected
        assert not [p for p in home.lake.rglob("*") if p.is_file() and p.name != "part-0.parquet"]
    assert killed_under_way


def test_two_processes_and_a_reader_never_meet_a_lock(undisturbed: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(undisturbed.root, home.root, symlinks=True)
    published = home.published / "venue.duckdb"
    question = "SELECT event_date, count(*), sum(pv) FROM metrics.primary_metrics GROUP BY ALL ORDER BY ALL"
    with duckdb.connect(str(published), read_only=True) as held_open:
        before = held_open.sql(question).fetchall()
        processes = [venue(home, "rerun", "--date", str(day)) for day in DAYS]
        while any(process.poll() is None for process in processes):
            # Whoever opens the file now gets a whole publication; whoever has one open keeps it.
            with duckdb.connect(str(published.resolve()), read_only=True) as con:
                assert con.sql(question).fetchall() == before
            assert held_open.sql(question).fetchall() == before
        for process in processes:
            out = finish(process)
            assert "lock" not in out.lower()
    assert lake_bytes(home) == lake_bytes(undisturbed)
