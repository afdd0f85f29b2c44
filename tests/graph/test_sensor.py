"""The landing sensor launches exactly the dates whose landed content changed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from edge_collector.segment import SEGMENT_SUFFIX, folder, segment_of, write_segment
from tests.conftest import compute
from venue_assets.graph.build import build_definitions
from venue_assets.graph.instance import open_instance
from venue_assets.graph.process import PROCESS_TAG
from venue_assets.graph.sensors import JOB
from venue_assets.home import Home
from venue_assets.lake.landing_index import scan
from venue_assets.lake.store import Lake
from venue_assets.tables.catalogue import catalogue

DAY = date(2026, 1, 5)


def land(
    home: Home, day: date, first: int, *, stream: str = "orders", boot: str = "b1", text: str = "x", age: float = 60
) -> Path:
    """Land a segment of one (malformed, here that does not matter) line, as if `age` seconds ago."""
    manifest = write_segment(
        home.landing, stream=stream, event_date=day, gateway_id="g1", boot_id=boot, lines=[text.encode()],
        seqs=[first], created_at=datetime(2026, 1, 6, tzinfo=UTC),
    )  # fmt: skip
    grow_old(manifest, age)
    return manifest


def grow_old(manifest: Path, age: float) -> None:
    import os

    then = time.time() - age
    for path in (manifest, segment_of(manifest)):
        os.utime(path, (then, then))


class Ticks:
    """A sensor that is ticked by hand, with its cursor kept as the daemon keeps it."""

    def __init__(self, home: Home, instance: dg.DagsterInstance) -> None:
        self.home, self.instance, self.cursor = home, instance, None
        self.keys: list[str] = []
        """Of all runs that were asked for: Dagster launches none twice of the same key."""
        definitions = build_definitions(home, lineage=False, sensor_waits=0)
        self.sensor = definitions.resolve_sensor_def("landing")
        self.repository = definitions.get_repository_def()

    def tick(self) -> list[str]:
        """The dates that this tick launches."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, repository_def=self.repository, sensor_name="landing"
        )
        result = self.sensor.evaluate_tick(context)
        self.cursor = result.cursor
        self.idle = result.skip_message or ""
        self.keys += [str(request.run_key) for request in result.run_requests or []]
        return sorted(str(request.partition_key) for request in result.run_requests or [])


@pytest.fixture
def ticks(home: Home) -> Iterator[Ticks]:
    with open_instance(home) as instance:
        yield Ticks(home, instance)


def test_a_segment_that_may_be_read_at_last_is_seen(home: Home) -> None:
    segment = segment_of(land(home, DAY, 1))
    segment.chmod(0)
    before = scan(home.landing).stat_fingerprint(DAY)
    segment.chmod(0o644)
    assert scan(home.landing).stat_fingerprint(DAY) != before


def test_new_dates_are_launched_once(home: Home, ticks: Ticks) -> None:
    assert ticks.tick() == []
    land(home, DAY, 1)
    land(home, DAY + timedelta(days=1), 2)
    assert ticks.tick() == ["2026-01-05", "2026-01-06"]
    assert ticks.tick() == []


def test_a_late_segment_is_seen_even_where_its_name_sorts_lower(home: Home, ticks: Ticks) -> None:
    land(home, DAY, 500)
    assert ticks.tick() == ["2026-01-05"]
    land(home, DAY, 1)
    assert ticks.tick() == ["2026-01-05"]


def test_landed_again_with_the_same_content_launches_nothing(home: Home, ticks: Ticks) -> None:
    land(home, DAY, 1, age=60)
    assert ticks.tick() == ["2026-01-05"]
    land(home, DAY, 1, age=30)
    assert ticks.tick() == []


def test_landed_again_with_other_content_launches_the_date(home: Home, ticks: Ticks) -> None:
    land(home, DAY, 1, text="x")
    assert ticks.tick() == ["2026-01-05"]
    land(home, DAY, 1, text="y", age=30)
    assert ticks.tick() == ["2026-01-05"]


def test_content_that_comes_back_after_other_content_is_launched_again(home: Home, ticks: Ticks) -> None:
    for age, text in ((60, "x"), (50, "y"), (40, "x"), (30, "y")):
        land(home, DAY, 1, text=text, age=age)
        assert ticks.tick() == ["2026-01-05"]
    assert len(set(ticks.keys)) == 4, "a run_key is never launched twice"


def test_a_cursor_that_an_earlier_version_kept_goes_on(home: Home, ticks: Ticks) -> None:
    """It had no number of changes."""
    land(home, DAY, 1)
    ticks.tick()
    ticks.cursor = json.dumps({day: kept[:2] for day, kept in json.loads(ticks.cursor or "").items()})
    assert ticks.tick() == []
    land(home, DAY, 2, text="y")
    assert ticks.tick() == ["2026-01-05"]


@pytest.mark.parametrize("away", ["orders/event_date=2026-01-05", "orders", "."])
def test_a_landing_that_is_not_there_for_a_while_launches_nothing(home: Home, ticks: Ticks, away: str) -> None:
    """As where a share is unmounted for a minute: what is left would be taken for all there is."""
    for stream in ("orders", "face_visits"):
        land(home, DAY, 1, stream=stream)
    assert ticks.tick() == ["2026-01-05"]
    compute(home, DAY)
    there = home.landing / away
    (there if away != "." else home.landing).rename(home.root / "away")
    assert ticks.tick() == []
    assert "1 not computed (2026-01-05: the segments of " in ticks.idle
    (home.root / "away").rename(there if away != "." else home.landing)
    assert ticks.tick() == []
    assert "gone" not in ticks.idle


def test_a_stream_that_is_gone_for_long_fills_no_disk(
    home: Home, ticks: Ticks, capfd: pytest.CaptureFixture[str]
) -> None:
    """A tick that logs leaves a file behind, and there are thousands in an hour: the reason to skip says it all."""
    land(home, DAY, 1)
    assert ticks.tick() == ["2026-01-05"]
    compute(home, DAY)
    (home.landing / "orders").rename(home.root / "away")
    assert ticks.tick() == []
    assert "WARNING" not in capfd.readouterr().err
    assert "2026-01-05: the segments of orders that it was computed from are gone from landing/" in ticks.idle


def test_what_was_taken_back_and_withdrawn_is_launched_when_it_lands_again(home: Home, ticks: Ticks) -> None:
    manifest = land(home, DAY, 1)
    assert ticks.tick() == ["2026-01-05"]
    compute(home, DAY)
    shutil.rmtree(manifest.parent)
    assert ticks.tick() == []
    for table in catalogue():  # as `venue materialize DATE --withdraw` does
        Lake(home.lake).remove(table.name, DAY)
    assert ticks.tick() == []
    land(home, DAY, 1)
    assert ticks.tick() == ["2026-01-05"]
    assert len(set(ticks.keys)) == 2, "a run_key is never launched twice"
    compute(home, DAY)
    assert ticks.tick() == []


def test_what_was_computed_while_the_landing_was_away_is_launched_when_that_is_back(home: Home, ticks: Ticks) -> None:
    """The share went between the tick and the run, which found nothing and could not know better."""
    land(home, DAY, 1)
    assert ticks.tick() == ["2026-01-05"]
    home.landing.rename(home.root / "away")
    compute(home, DAY)
    assert ticks.tick() == []
    (home.root / "away").rename(home.landing)
    assert ticks.tick() == ["2026-01-05"]


def test_what_lands_beside_a_stream_that_is_gone_waits_for_it(home: Home, ticks: Ticks) -> None:
    for stream in ("orders", "face_visits"):
        land(home, DAY, 1, stream=stream)
    compute(home, DAY)
    assert ticks.tick() == []
    (home.landing / "orders").rename(home.root / "away")
    land(home, DAY, 2, stream="face_visits")
    land(home, DAY + timedelta(days=1), 3, stream="face_visits")
    assert ticks.tick() == ["2026-01-06"], "another date does not wait"
    (home.root / "away").rename(home.landing / "orders")
    assert ticks.tick() == ["2026-01-05"]


def test_a_repaired_segment_under_the_same_manifest_launches_the_date(home: Home, ticks: Ticks) -> None:
    manifest = land(home, DAY, 1)
    good = segment_of(manifest).read_bytes()
    segment_of(manifest).write_bytes(b"cut" + good[3:])
    grow_old(manifest, 50)
    assert ticks.tick() == ["2026-01-05"]
    segment_of(manifest).write_bytes(good)
    grow_old(manifest, 40)
    assert ticks.tick() == ["2026-01-05"]


def test_a_segment_without_manifest_does_not_exist(home: Home, ticks: Ticks) -> None:
    target = folder(home.landing, "orders", DAY)
    target.mkdir(parents=True)
    (target / f"g1-b1-1-1{SEGMENT_SUFFIX}").write_bytes(b"half")
    assert ticks.tick() == []


def test_a_burst_waits_until_the_folder_is_still(home: Home, ticks: Ticks) -> None:
    for n in range(5):
        land(home, DAY, n + 1, age=0)
        assert ticks.tick() == []
    for n in range(5):
        grow_old(land(home, DAY, n + 1), 60)
    assert ticks.tick() == ["2026-01-05"]


def test_a_date_with_a_run_in_flight_waits_for_its_end(home: Home, ticks: Ticks) -> None:
    land(home, DAY, 1)
    in_flight = ticks.instance.create_run_for_job(
        build_definitions(home, lineage=False).resolve_job_def(JOB),
        tags={"dagster/partition": str(DAY)},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert ticks.tick() == []
    ticks.instance.report_run_failed(in_flight)
    assert ticks.tick() == ["2026-01-05"]


def test_a_run_whose_process_is_gone_holds_nobody_up(home: Home, ticks: Ticks) -> None:
    import socket

    land(home, DAY, 1)
    ticks.instance.create_run_for_job(
        build_definitions(home, lineage=False).resolve_job_def(JOB),
        tags={"dagster/partition": str(DAY), PROCESS_TAG: f"{socket.gethostname()}:999999999:1"},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert ticks.tick() == ["2026-01-05"]


def test_a_changed_date_outside_of_the_partitions_is_left_alone(home: Home, ticks: Ticks) -> None:
    land(home, date(2019, 1, 1), 1)
    assert ticks.tick() == []


def test_what_was_computed_before_the_sensor_ever_ran_is_not_launched(home: Home, ticks: Ticks) -> None:
    land(home, DAY, 1)
    compute(home, DAY)
    assert ticks.tick() == []
    shutil.rmtree(home.lake)
    land(home, DAY, 2)
    assert ticks.tick() == ["2026-01-05"]
