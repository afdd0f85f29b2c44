"""What becomes of damaged state: a landing that changes underneath, a lake, a publication or a truth that is broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from edge_collector.segment import MANIFEST_SUFFIX, SEGMENT_SUFFIX, folder
from tests.conftest import REPOSITORY, compute, rows
from tests.lake.bad_input import DAY, JUDGED, NEXT_DAY, conserved, good_is_processed, land, land_good, line
from venue_assets.cli.demo import is_landed
from venue_assets.cli.query import connect
from venue_assets.home import Home
from venue_assets.lake.engine import Engine, SegmentsGone
from venue_assets.lake.freshness import Freshness
from venue_assets.lake.landing_index import scan
from venue_assets.lake.store import Lake
from venue_assets.publish.record import current
from venue_assets.simulate import Options
from venue_assets.tables.catalogue import catalogue

# The landing changes while a date is computed -------------------------------------------------------------------------


def _remove_segment(at: Path) -> None:
    next(at.glob("*-late-*" + SEGMENT_SUFFIX)).unlink()


def _remove_manifest(at: Path) -> None:
    next(at.glob("*-late-*" + MANIFEST_SUFFIX)).unlink()


def _cut_short(at: Path) -> None:
    segment = next(at.glob("*-late-*" + SEGMENT_SUFFIX))
    segment.write_bytes(segment.read_bytes()[:-3])


@pytest.mark.parametrize(
    ("change", "reasons"),
    [(_remove_segment, ["missing"]), (_remove_manifest, []), (_cut_short, ["hash"])],
    ids=["segment gone", "manifest gone", "segment cut short"],
)
def test_landing_changes_between_scan_and_read(home: Home, change: Callable[[Path], None], reasons: list[str]) -> None:
    land_good(home)
    land(home, "orders", [line("orders", boot_id="late")], boot_id="late")
    with duckdb.connect() as con:
        engine = Engine(home, catalogue(), con, scan(home.landing))
        change(folder(home.landing, "orders", DAY))
        for name in JUDGED:
            engine.compute(catalogue()[name], DAY)
    assert [row["reason"] for row in rows(home, "refused_segments", DAY)] == reasons
    assert len(rows(home, "orders", DAY)) == 1
    conserved(home)
    compute(home, DAY, tables=JUDGED)
    conserved(home)
    assert Freshness(home, catalogue(), scan(home.landing)).state(catalogue()["raw_orders"], DAY).condition == "fresh"


@pytest.mark.parametrize("name", ["raw_orders", "landed_segments"])
def test_a_stream_that_vanishes_between_scan_and_read_is_not_taken_for_an_empty_one(home: Home, name: str) -> None:
    land_good(home)
    with duckdb.connect() as con:
        engine = Engine(home, catalogue(), con, scan(home.landing))
        (home.landing / "orders").rename(home.root / "away")
        with pytest.raises(
            SegmentsGone, match=r"orders/event_date=\S+ vanished while it was read; look whether its disk"
        ):
            engine.compute(catalogue()[name], DAY)
    assert Lake(home.lake).dates(name) == []
    assert Lake(home.lake).failures(name) == {}, "what comes back by itself is no failure to be repaired"
    (home.root / "away").rename(home.landing / "orders")
    assert compute(home, DAY, tables=[name])[0].rows


# The lake -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good record of every stream, and all tables of its date."""
    root = tmp_path_factory.mktemp("computed")
    shutil.copyfile(REPOSITORY / "data" / "site.toml", root / "site.toml")
    land_good(Home(root))
    compute(Home(root), DAY)
    return root


@pytest.fixture
def computed_home(computed: Path, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(computed, tmp_path / "home")))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 20], ids=["empty", "magic only", "rubbish"])
@pytest.mark.parametrize("table", ["raw_orders", "orders", "venue_figures"])
def test_partition_that_cannot_be_read_is_missing_and_computed_again(
    computed_home: Home, table: str, content: bytes
) -> None:
    some = [*list(catalogue().lake_inputs(catalogue()[table])), table]
    path = Lake(computed_home.lake).path(table, DAY)
    whole = path.read_bytes()
    path.write_bytes(content)
    state = Freshness(computed_home, catalogue(), scan(computed_home.landing)).state(catalogue()[table], DAY)
    assert (state.condition, table in state.why) == ("missing", True)
    compute(computed_home, DAY, tables=some)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("given", ["quantity::INTEGER", "quantity::VARCHAR", "NULL::BIGINT"])
def test_sql_that_breaks_its_contract_is_refused_with_table_and_column(computed_home: Home, given: str) -> None:
    orders = catalogue()["orders"]
    broken = replace(orders, sql=f"SELECT * REPLACE ({given} AS quantity) FROM ({orders.sql})")
    with duckdb.connect() as con:
        engine = Engine(computed_home, catalogue(), con, scan(computed_home.landing))
        with pytest.raises(Exception, match="quantity"):
            engine.compute(broken, DAY)
        assert engine.compute(orders, DAY).rows


def test_folder_where_a_partition_would_be_is_replaced(home: Home) -> None:
    land_good(home)
    path = Lake(home.lake).path("orders", DAY)
    (path / "part-0.parquet").mkdir(parents=True)
    freshness = Freshness(home, catalogue(), scan(home.landing))
    assert freshness.state(catalogue()["orders"], DAY).condition == "missing"
    compute(home, DAY, tables=JUDGED)
    assert path.is_file()
    good_is_processed(home)


def test_what_a_killed_process_left_in_the_lake_is_passed_over(home: Home) -> None:
    land_good(home)
    at = Lake(home.lake).path("orders", DAY).parent
    at.mkdir(parents=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    drafts = {pid: at / f".part-0.parquet.{pid}" for pid in (dead.pid, os.getppid())}
    for draft in drafts.values():
        draft.write_bytes(b"half a partition")
    (at / ".failure.json.4711.part").write_bytes(b"{")
    (home.lake / "orders" / "event_date=garbage").mkdir()
    (home.lake / "orders" / ".DS_Store").write_bytes(b"")
    compute(home, DAY, tables=JUDGED)
    good_is_processed(home)
    assert Lake(home.lake).dates("orders") == [DAY]
    assert not drafts[dead.pid].exists()  # and swept away; one that is still being written stays
    assert drafts[os.getppid()].exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"x": 1}', b'{"error": "", "run_id": ""}', b'{"error": 5, "run_id": null}'],
)
def test_failure_that_cannot_be_read(home: Home, content: bytes) -> None:
    land_good(home)
    at = Lake(home.lake).path("orders", DAY).parent
    at.mkdir(parents=True)
    (at / "failure.json").write_bytes(content)
    state = Freshness(home, catalogue(), scan(home.landing)).state(catalogue()["orders"], DAY)
    assert state.condition == "failed"
    assert "orders" in state.why
    assert list(Lake(home.lake).failures("orders")) == [DAY]


@pytest.mark.parametrize("above", ["x=y", "event_date=2020-01-01", "amount=1", "filename=f"])
def test_home_below_a_folder_that_looks_like_a_partition(tmp_path: Path, above: str) -> None:
    home = Home(tmp_path / above)
    home.root.mkdir()
    shutil.copyfile(REPOSITORY / "data" / "site.toml", home.site_file)
    land_good(home)
    compute(home, DAY, tables=JUDGED)
    good_is_processed(home)
    conserved(home)
    with connect(home, catalogue()) as con:
        assert con.sql("SELECT event_date, venue_id FROM primary_metrics").fetchall() == [(DAY, "riverside")]
        assert "x" not in con.sql("SELECT * FROM orders").columns


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"x": 1}',
        json.dumps({"publication_id": "x", "number": 1, "published_at": "", "code": "", "contents": 5}).encode(),
    ],
)
def test_publication_that_cannot_be_read_is_none(home: Home, content: bytes) -> None:
    (home.published / "current").mkdir(parents=True)
    (home.published / "current" / "publication.json").write_bytes(content)
    assert current(home) is None


@pytest.mark.parametrize("content", [b"[]", b"null", b"\xff", b"5"])
def test_truth_that_cannot_be_read(home: Home, content: bytes) -> None:
    (home.root / "truth.json").write_bytes(content)
    assert not is_landed(home, Options(DAY, days=1, visits=10))


def test_truncated_links_of_an_earlier_date_are_named_with_the_remedy(home: Home) -> None:
    land_good(home)
    land_good(home, NEXT_DAY)
    compute(home, DAY, tables=JUDGED)
    Lake(home.lake).path("identity_links", DAY).write_bytes(b"PAR1")
    with pytest.raises(Exception, match=r"identity_links of 2026-01-05 cannot be read .*venue materialize 2026-01-05"):
        compute(home, NEXT_DAY, tables=JUDGED)


def test_home_with_a_pattern_in_its_name_reads_its_own_files(tmp_path: Path) -> None:
    figures = []
    for name, amount in (("a1", "11.00"), ("a[1]", "22.00")):
        root = tmp_path / name
        root.mkdir()
        shutil.copyfile(REPOSITORY / "data" / "site.toml", root / "site.toml")
        home = Home(root)
        land(home, "orders", [line("orders", amount=amount)])
        compute(home, DAY, tables=JUDGED)
        figures.append(str(rows(home, "primary_metrics", DAY)[0]["gmv"]))
    assert figures == ["11.00", "22.00"]
