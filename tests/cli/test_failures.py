"""What goes wrong is told, stays told until it is repaired, and is repaired by the command that is advised."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.commands import DAY, RANGE, ROOT, Ended, done, files, is_refused, simulated, venue
from venue_assets.cli import disk
from venue_assets.home import Home
from venue_assets.lake.landing_index import scan

OTHER = "2026-01-06"


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated days, materialized."""
    root = simulated(tmp_path_factory.mktemp("computed"), days=2, visits=60)
    done(root, "materialize", RANGE)
    return root


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
    assert done(home, "rerun", "--failed").startswith("Nothing failed: looked at ")


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


def test_a_damaged_file_that_a_table_reads_is_named_with_the_command_that_mends_it(home: Path) -> None:
    partition = home / "lake" / "sessions" / f"event_date={DAY}" / "part-0.parquet"
    content = bytearray(partition.read_bytes())
    content[100:104] = b"XXXX"
    partition.write_bytes(content)
    ended = venue(home, "rerun", "--date", DAY, "--from", "order_lines")
    assert ended.code == 1
    command = f"venue materialize {DAY} --select 'sessions+'"
    assert f"sessions of {DAY} cannot be read (" in ended.err
    assert f"compute it again: {command}" in ended.err
    assert command in row_of(home, DAY)
    done(home, *shlex.split(command)[1:])
    assert done(home, "status", "--problems") == "Every date is fresh\n"


def test_a_damaged_file_of_another_date_that_keeps_one_from_being_published_is_named(home: Path) -> None:
    """Of some damage DuckDB says only what it stumbled over."""
    partition = home / "lake" / "user_days" / f"event_date={OTHER}" / "part-0.parquet"
    content = bytearray(partition.read_bytes())
    content[4:200] = b"\xff" * 196
    partition.write_bytes(content)
    shutil.rmtree(home / "published")
    ended = venue(home, "rerun", "--date", DAY)
    assert ended.code == 1
    assert f"published: user_days of {OTHER} cannot be read (" in ended.err
    (command,) = re.findall(r"compute it again: (venue .+)", ended.err)
    done(home, *shlex.split(command)[1:])
    assert done(home, "status", "--problems") == "Every date is fresh\n"


UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def unprivileged(home: Path, *lines: str) -> list[Ended]:
    """Commands of somebody for whom permissions hold: root reads everything. One process runs all of them."""
    python = [*(UNPRIVILEGED if os.geteuid() == 0 else []), sys.executable, "-m", "tests.cli.commands", home]
    ended = subprocess.run([*python, *lines], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return [Ended(**fields) for fields in json.loads(ended.stdout)]


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads everything")
@pytest.mark.parametrize("mode", [0, 0o444], ids=["not listed", "listed only"])
@pytest.mark.parametrize("where", ["orders", f"orders/event_date={DAY}"])
def test_a_landing_that_may_not_be_read_is_not_taken_for_an_empty_one(home: Path, where: str, mode: int) -> None:
    before = files(home / "lake", home / "published")
    folder = home / "landing" / where
    folder.chmod(mode)
    try:
        *refused, doctor = unprivileged(
            home, "status", f"materialize {DAY}", f"materialize {DAY} --withdraw", "doctor --read-data"
        )
    finally:
        folder.chmod(0o755)
    for ended in refused:
        is_refused(ended, f"error: {folder}", ": Permission denied")
    assert files(home / "lake", home / "published") == before
    assert doctor.code == 1
    assert re.search(rf"{folder}\S* cannot be read \(Permission denied\)", doctor.out)
    assert "give this user the right to read it" in doctor.out


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads everything")
def test_one_segment_that_may_not_be_read_is_named_and_the_rest_is_computed(home: Path) -> None:
    segment = next((home / "landing" / "face_visits" / f"event_date={DAY}").glob("sim_riverside*.zst"))
    segment.chmod(0)
    (ended,) = unprivileged(home, f"materialize {DAY}")
    assert ended.code == 0, ended
    assert f"Note: 1 refused segment of {DAY}: none of its lines is in any figure; " in ended.out
    (sql,) = re.findall(r'venue query "(.+)"', ended.out)
    said = done(home, "query", sql, "--format", "csv")
    assert f"{segment.name},missing,the segment cannot be read (Permission denied)," in said
    assert "give this user the right to read it, then rerun the date" in said
    figures = "SELECT count(*) FROM primary_metrics WHERE completed_orders > 0"
    assert done(home, "query", f"{figures} AND event_date = DATE '{DAY}'", "--format", "csv").split()[1] == "2"
    segment.chmod(0o644)
    assert f"Next: venue materialize {DAY}" in done(home, "status")
    assert "refused" not in done(home, "materialize", DAY)


def test_a_landing_that_cannot_be_looked_at_just_now_is_not_taken_for_an_empty_one(home: Path) -> None:
    """As where its mount hangs or breaks: here, because a process has all the files open that it may."""
    held, limits = [], resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(home, os.O_RDONLY))
        with pytest.raises(OSError, match="Too many open files") as met:
            scan(home / "landing")
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert disk.explained(met.value, Home(home)).startswith(f"{home / 'landing'}/")


def test_the_doctor_tells_of_refused_segments(home: Path) -> None:
    assert "refused segments" not in done(home, "doctor")
    segment = next((home / "landing" / "face_visits" / f"event_date={DAY}").glob("*.zst"))
    segment.write_bytes(segment.read_bytes()[:100])
    assert f"Note: 1 refused segment of {DAY}" in done(home, "materialize", DAY)
    (row,) = (line for line in done(home, "doctor").splitlines() if "refused segments" in line)
    assert f"1, the last one of {DAY}" in row
    (sql,) = re.findall(r'venue query "(.+)"', row)
    assert segment.name in done(home, "query", sql)


@pytest.mark.parametrize("lost", ["lake/primary_metrics", "lake", "published"])
def test_what_status_advises_works_as_it_is_typed(home: Path, lost: str) -> None:
    shutil.rmtree(home / lost)
    commands = advised(done(home, "status"))
    assert commands == [["publish"] if lost == "published" else ["materialize", RANGE]]
    for command in commands:
        done(home, *command)
    assert done(home, "status", "--problems") == "Every date is fresh\n"


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (('day_starts_at = "04:00"', 'day_starts_at = "05:00"'), "venues: time_zone, day_starts_at"),
        (('identity = "shared"', 'identity = "linked"'), "identity"),
        (("first_date = 2026-01-08", f"first_date = {DAY}"), "experiments"),
        (('gateway_id = "sim_harbour"\nstream = "orders"', 'gateway_id = "n"\nstream = "orders"'), "devices"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_an_edited_site_file_is_named_with_the_part_of_it(home: Path, edit: tuple[str, str], part: str) -> None:
    site = home / "site.toml"
    site.write_text(site.read_text().replace(*edit))
    ended = venue(home, "status", "--problems")
    assert ended.code == 1
    assert f": site.toml ({part}) changed since it was computed" in ended.out


def test_what_is_stale_only_until_another_date_is_back_is_not_advised(home: Path) -> None:
    """The same input gives the same bytes: one date repaired, and what reads it is fresh as it is."""
    (home / "lake" / "user_days" / f"event_date={DAY}" / "part-0.parquet").unlink()
    said = done(home, "status")
    assert "missing" in row_of(home, DAY)
    assert "stale" in row_of(home, OTHER), "its windows read the date"
    assert advised(said) == [["materialize", DAY]]
    assert f"then venue status: {OTHER} may be fresh as it is once that is back" in said
    done(home, "materialize", DAY)
    assert done(home, "status", "--problems") == "Every date is fresh\n"


def test_the_doctor_names_files_that_are_gone_or_damaged_and_what_brings_them_back(home: Path) -> None:
    gone, damaged = (
        home / "lake" / table / f"event_date={day}" / "part-0.parquet"
        for table, day in (("sessions", DAY), ("user_days", OTHER))
    )
    gone.unlink()
    content = bytearray(damaged.read_bytes())
    content[20] ^= 1
    damaged.write_bytes(content)
    said = venue(home, "doctor", "--read-data")
    assert said.code == 1
    rows = {cells[1]: cells for line in said.out.splitlines() if len(cells := [c.strip() for c in line.split("│")]) > 3}
    assert rows[f"sessions of {DAY}"] == ["error", *rows[f"sessions of {DAY}"][1:3], f"venue materialize {DAY}"]
    assert rows[f"sessions of {DAY}"][2].startswith(f"{gone}: does not exist")
    assert rows[f"user_days of {OTHER}"][2] == f"{damaged}: its bytes are not those that were written"
    assert rows[f"user_days of {OTHER}"][3] == f"venue materialize {OTHER}"
    for day in (OTHER, DAY):  # else the damaged file would keep the other date from being published
        done(home, "materialize", day)
    assert venue(home, "doctor", "--read-data").code == 0
    shutil.rmtree(home / "lake")
    said = venue(home, "doctor", "--read-data")
    assert said.code == 0, "a date of which nothing was computed is no damage"
    assert all(f"tables of {day}" in said.out for day in (DAY, OTHER))


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
    for line in (f"materialize {DAY}", "rerun --failed"):
        ended = venue(full_disk, *line.split())
        assert ended.code == 1
        assert ended.err.count("\n") == 1, ended.err
        assert all(w in ended.err for w in ("error: ", str(full_disk), "No space left", "MiB free", "make room"))
    ended = venue(full_disk, "ui")
    assert ended.code
    assert all(w in ended.err for w in ("error: ", str(full_disk), "No space left", "make room"))
    said = venue(full_disk, "doctor")
    assert said.code == 1
    folders = [line.split("│")[1].strip() for line in said.out.splitlines() if "No space left on device" in line]
    assert folders == ["landing/", "lake/", "published/", "dagster/", "dagster/history/"], "one row for one cause"
    (full_disk / "ballast").unlink()
    assert done(full_disk, "status", "--problems") == "Every date is fresh\n"


def test_a_full_disk_keeps_nobody_from_seeing_how_the_dates_stand(full_disk: Path) -> None:
    ended = venue(full_disk, "status")
    assert ended.code == 2, "not everything could be looked at"
    assert all(re.search(rf"^ *{day} .*fresh", ended.out, re.MULTILINE) for day in (DAY, OTHER))
    assert ended.err.startswith("error: the runs cannot be read, and ")
    assert ended.err.count("\n") == 1, ended.err
    assert all(w in ended.err for w in (str(full_disk), "No space left", "MiB free", "make room"))
    ended = venue(full_disk, "status", "--problems")
    assert ended.code == 2
    assert "Every date is fresh" not in ended.out
    (full_disk / "lake" / "sessions" / f"event_date={DAY}" / "part-0.parquet").unlink()
    (full_disk / "ballast2").write_bytes(b"x" * disk.free_bytes(full_disk))
    ended = venue(full_disk, "status", "--problems")
    assert ended.code == 2
    assert "sessions: never computed" in ended.out
    assert f"Next: venue materialize {DAY}" in ended.out


@pytest.mark.parametrize("broken", ["file is not a database", "unable to open"])
def test_databases_of_dagster_that_cannot_be_used_are_one_sentence(home: Path, broken: str) -> None:
    database = home / "dagster" / "history" / "runs.db"
    database.unlink()
    database.write_bytes(b"x" * 4096) if "not a database" in broken else database.mkdir()
    for line, code in ((["status"], 2), (["rerun", "--failed"], 1)):
        ended = venue(home, *line)
        assert ended.code == code
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
