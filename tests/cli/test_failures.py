"""What goes wrong is told, stays told until it is repaired, and is repaired by the command that is advised."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_commands import DAY, RANGE, done, empty_home, venue
from venue_assets.cli import disk
from venue_assets.home import Home

OTHER = "2026-01-06"
ALL_WELL = "Nothing failed: every run ended well. Missing and stale dates: venue status --problems\n"


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated days, materialized."""
    root = empty_home(tmp_path_factory.mktemp("computed"))
    done(root, "simulate", "--days", "2", "--visits", "60")
    done(root, "materialize", RANGE)
    return root


@pytest.fixture
def home(computed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(computed, tmp_path / "home", symlinks=True))


def row_of(home: Path, day: str) -> str:
    (row,) = (line for line in done(home, "status", day).splitlines() if line.strip().startswith(day))
    return row


def advised(said: str) -> list[list[str]]:
    """The commands that a status advises, as arguments."""
    lines = said.partition("Next: ")[2].splitlines()
    return [line.split()[1:] for line in lines if line.strip().startswith("venue ")]


def test_a_table_that_cannot_be_written_stays_failed_until_it_is_repaired(home: Path) -> None:
    folder = home / "lake" / "sessions" / f"event_date={DAY}"
    shutil.rmtree(folder)
    folder.touch()

    ended = venue(home, "materialize", RANGE)
    assert ended.code == 1
    assert f"Materialized {OTHER} in 1 run" in ended.out
    assert f"Failed: {DAY}, in 1 run" in ended.out
    assert f"error: {DAY}: sessions: " in ended.err
    assert "failed" in row_of(home, DAY)
    assert str(folder) in row_of(home, DAY)
    assert "failed" not in row_of(home, OTHER)
    assert venue(home, "rerun", "--failed").code == 1

    folder.unlink()
    assert "failed" in row_of(home, DAY)
    assert "rerun --failed" in done(home, "status")
    assert f"Materialized {DAY} in 1 run" in done(home, "rerun", "--failed")
    assert "stale" in row_of(home, OTHER), "its windows were computed without the date that failed"
    done(home, "materialize", OTHER)
    assert done(home, "status", "--problems") == "Every date is fresh\n"
    assert done(home, "rerun", "--failed") == ALL_WELL


def test_a_publication_that_cannot_be_written_stays_failed_until_it_is_repaired(home: Path) -> None:
    shutil.rmtree(home / "published")
    (home / "published").touch()

    ended = venue(home, "rerun", "--date", DAY)
    assert ended.code == 1
    assert "Materialized" not in ended.out
    assert "published: " in row_of(home, DAY)
    assert "failed" in row_of(home, DAY)

    (home / "published").unlink()
    assert f"Materialized {DAY} in 1 run" in done(home, "rerun", "--failed")
    assert done(home, "status", "--problems") == "Every date is fresh\n"


def test_a_failed_run_of_a_fresh_date_is_not_called_a_success(home: Path) -> None:
    (home / "published").rename(home / "aside")
    (home / "published").touch()
    assert venue(home, "rerun", "--date", DAY).code == 1
    (home / "published").unlink()
    (home / "aside").rename(home / "published")
    said = done(home, "rerun", "--failed")
    assert f"the last run of {DAY} failed, but every table is fresh" in said


@pytest.mark.parametrize("lost", ["lake/primary_metrics", "lake", "published"])
def test_what_status_advises_works_as_it_is_typed(home: Path, lost: str) -> None:
    shutil.rmtree(home / lost)
    commands = advised(done(home, "status"))
    assert commands == [["publish"] if lost == "published" else ["materialize", RANGE]]
    for command in commands:
        done(home, *command)
    assert done(home, "status", "--problems") == "Every date is fresh\n"


def test_a_date_without_records_is_said_to_be_one(home: Path) -> None:
    assert "nothing landed for 2026-01-20" in done(home, "materialize", "2026-01-20")
    assert "nothing landed" not in done(home, "materialize", DAY)


# The disk -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def full_disk(computed: Path, tmp_path: Path) -> Iterator[Path]:
    """A home on a disk of its own, with a few KB left."""
    root = tmp_path / "full"
    root.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", root], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        shutil.copytree(computed, root, symlinks=True, dirs_exist_ok=True)
        with (root / "ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, disk.free_bytes(root) - 16 * 1024)
        yield root
    finally:
        subprocess.run(["umount", "-l", root], check=True)


def test_a_full_disk_is_one_sentence_and_an_error_of_the_doctor(full_disk: Path) -> None:
    for line in ("status", f"materialize {DAY}", "rerun --failed"):
        ended = venue(full_disk, *line.split())
        assert ended.code == 1
        assert ended.err.count("\n") == 1, ended.err
        assert all(w in ended.err for w in ("error: ", str(full_disk), "No space left", "MiB free", "make room"))
    ended = venue(full_disk, "ui")
    assert ended.code
    assert all(w in ended.err for w in ("error: ", str(full_disk), "No space left", "make room"))
    said = venue(full_disk, "doctor")
    assert said.code == 1
    assert "No space left on device" in said.out
    (full_disk / "ballast").unlink()
    assert done(full_disk, "status", "--problems") == "Every date is fresh\n"


@pytest.mark.parametrize("broken", ["file is not a database", "unable to open"])
def test_databases_of_dagster_that_cannot_be_used_are_one_sentence(home: Path, broken: str) -> None:
    database = home / "dagster" / "history" / "runs.db"
    database.unlink()
    database.write_bytes(b"x" * 4096) if "not a database" in broken else database.mkdir()
    ended = venue(home, "status")
    assert ended.code == 1
    assert ended.err.count("\n") == 1, ended.err
    assert f"{home / 'dagster'} cannot be used ({broken}" in ended.err


def test_the_doctor_tries_every_folder(home: Path) -> None:
    shutil.rmtree(home / "dagster" / "history")
    (home / "dagster" / "history").touch()
    said = venue(home, "doctor")
    assert said.code == 1
    assert f"{home / 'dagster' / 'history'} cannot be written (Not a directory)" in said.out


def test_a_disk_with_little_room_is_an_error(computed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from venue_assets.cli.doctor import examine

    for free, level in ((99, "error"), (101, "warning"), (4096, "ok")):
        monkeypatch.setattr(disk, "free_bytes", lambda _, free=free: free * 1024**2)
        assert [f.level for f in examine(Home(computed)) if f.subject == "free disk"] == [level]
