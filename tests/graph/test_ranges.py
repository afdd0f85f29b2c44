"""A range of dates in one run: the same rows as day by day, and one bad date fails alone."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from tests.conftest import REPOSITORY, rows
from venue_assets.graph.instance import open_instance
from venue_assets.graph.runs import OutsidePartitions, materialize, ranges
from venue_assets.home import Home
from venue_assets.lake.freshness import Freshness
from venue_assets.lake.landing_index import scan
from venue_assets.lake.store import Lake
from venue_assets.publish.record import current
from venue_assets.simulate import Dirt, Options, simulate
from venue_assets.tables.catalogue import catalogue

FIRST = date(2026, 1, 5)
DAYS = [FIRST + timedelta(days=n) for n in range(3)]


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of a simulated venue, landed once for all tests of this room."""
    root = tmp_path_factory.mktemp("landed")
    shutil.copyfile(REPOSITORY / "data" / "site.toml", root / "site.toml")
    simulate(Home(root).site, root / "landing", Options(FIRST, days=len(DAYS), visits=80, dirt=Dirt()))
    return root


@pytest.fixture
def landed_home(landed: Path, tmp_path: Path) -> Home:
    shutil.copytree(landed, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def instance(landed_home: Home) -> Iterator[dg.DagsterInstance]:
    with open_instance(landed_home) as opened:
        yield opened


def lake_bytes(home: Home) -> dict[str, str]:
    """Every partition of the lake with the digest of its file."""
    return {
        str(path.relative_to(home.lake)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.lake.rglob("*.parquet"))
    }


def conditions(home: Home) -> dict[date, set[str]]:
    freshness = Freshness(home, catalogue(), scan(home.landing))
    return {d: {freshness.state(t, d).condition for t in catalogue().tables.values()} for d in DAYS}


def test_a_range_is_one_run_and_gives_the_same_bytes_as_day_by_day(
    landed_home: Home, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    outcomes = materialize(landed_home, instance, DAYS)
    assert [o.success for o in outcomes] == [True]
    in_a_range = lake_bytes(landed_home)
    assert len(in_a_range) == len(catalogue().tables) * len(DAYS)
    shutil.rmtree(landed_home.lake)
    for day in DAYS:
        assert materialize(landed_home, instance, [day])[0].success
    assert lake_bytes(landed_home) == in_a_range


def test_after_a_range_with_one_bad_date_that_date_alone_is_failed(
    landed_home: Home, instance: dg.DagsterInstance
) -> None:
    bad = DAYS[1]
    blocked = landed_home.lake / "sessions" / f"event_date={bad}"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder is expected")

    (outcome,) = materialize(landed_home, instance, DAYS)

    assert not outcome.success
    assert str(bad) in outcome.error
    assert "sessions" in outcome.error
    publication = current(landed_home)
    assert publication is not None
    assert publication.dates == set(DAYS) - {bad}
    dagster_says = instance.get_materialized_partitions(dg.AssetKey("primary_metrics"))
    assert dagster_says == {str(day) for day in DAYS if day != bad}
    assert instance.get_materialized_partitions(dg.AssetKey("face_visits")) == {str(day) for day in DAYS}
    blocked.unlink()
    assert {day for day, found in conditions(landed_home).items() if found != {"fresh"}} == {bad}

    assert materialize(landed_home, instance, [bad])[0].success
    behind = [day for day, found in conditions(landed_home).items() if found != {"fresh"}]
    assert all(day > bad for day in behind), "only windows that were computed without the bad date"
    assert all(outcome.success for outcome in materialize(landed_home, instance, behind))
    assert all(found == {"fresh"} for found in conditions(landed_home).values())
    after = current(landed_home)
    assert after is not None
    assert after.dates == set(DAYS)


def test_a_failed_computation_is_noted_and_leaves_the_earlier_partition(
    landed_home: Home, instance: dg.DagsterInstance
) -> None:
    day = DAYS[0]
    materialize(landed_home, instance, [day])
    before = lake_bytes(landed_home)
    # A later segment with an impossible manifest cannot fail a date; a table that cannot be read can.
    broken = landed_home.lake / "face_visits" / f"event_date={day}" / "part-0.parquet"
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])

    (outcome,) = materialize(landed_home, instance, [day], tables=["sessions"])

    assert not outcome.success
    failure = Lake(landed_home.lake).failure("sessions", day)
    assert failure is not None
    assert failure.run_id == outcome.run_id
    broken.write_bytes(content)
    assert lake_bytes(landed_home) == before


def test_late_data_makes_a_date_stale_and_a_rerun_makes_it_correct(tmp_path: Path) -> None:
    root = tmp_path / "home"
    root.mkdir()
    shutil.copyfile(REPOSITORY / "data" / "site.toml", root / "site.toml")
    home = Home(root)
    run = simulate(home.site, home.landing, Options(FIRST, days=len(DAYS), visits=80), hold_late=True)
    with open_instance(home) as instance:
        materialize(home, instance, DAYS)
        assert all(found == {"fresh"} for found in conditions(home).values())
        late = {parcel.event_date for parcel in run.late}
        assert late
        run.land_late()
        stale = {d for d, found in conditions(home).items() if "stale" in found}
        assert stale == late
        materialize(home, instance, sorted(stale))
        behind = [d for d, found in conditions(home).items() if found != {"fresh"}]
        assert all(d > min(late) for d in behind), "later windows hold the late date too, and are shown as stale"
        materialize(home, instance, behind)
        assert all(found == {"fresh"} for found in conditions(home).values())
    published = {(row["venue_id"], day): row["pv"] for day in DAYS for row in rows(home, "primary_metrics", day)}
    expected = {(venue, day): f.metrics.pv for (venue, day), f in run.truth.expected.figures.items()}
    assert published == expected


def test_days_become_few_ranges() -> None:
    year = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    assert len(ranges(year)) == 12
    assert ranges([date(2026, 1, 3), date(2026, 1, 1), date(2026, 1, 2), date(2026, 2, 1)]) == [
        (date(2026, 1, 1), date(2026, 1, 3)),
        (date(2026, 2, 1), date(2026, 2, 1)),
    ]


def test_dates_without_a_partition_are_refused(landed_home: Home, instance: dg.DagsterInstance) -> None:
    with pytest.raises(OutsidePartitions, match=r"2025-12-31 is given; dates from 2026-01-01"):
        materialize(landed_home, instance, [date(2025, 12, 31)])
