"""More bad input, by what it used to break: whole dates, silent figures, runs that hung."""

from __future__ import annotations

import os
import shutil
import signal
import tracemalloc
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from edge_collector.segment import MANIFEST_SUFFIX, SEGMENT_SUFFIX, folder, read_manifest, read_segment
from tests.conftest import compute, rows
from tests.lake.bad_input import (
    DAY,
    GATEWAY,
    JUDGED,
    BadSegment,
    conserved,
    good_is_processed,
    land,
    land_good,
    line,
    pack,
)
from venue_assets.graph.sensors import changed_dates
from venue_assets.home import Home
from venue_assets.lake.freshness import Freshness
from venue_assets.lake.landed import Landing
from venue_assets.lake.landing_index import scan
from venue_assets.tables.catalogue import catalogue


def _late(*_: object) -> None:
    pytest.fail("it hangs")


signal.signal(signal.SIGALRM, _late)
signal.signal(signal.SIGPROF, _late)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _file_instead(folder: str) -> Callable[[Home], None]:
    def put(home: Home) -> None:
        at = home.landing / folder
        shutil.rmtree(at)
        at.write_text("x")

    return put


PENDING = {
    "manifest a loop of links": BadSegment("manifest", "Too many levels", place=_loop),
    "manifest a pipe": BadSegment("manifest", "not a regular file", place=os.mkfifo),
    "name no UTF-8": BadSegment("folder", "lies at", name=os.fsdecode(b"g\xff-b-1-1")),
    "name numbers to 10^30": BadSegment("manifest", "Invalid JSON", manifest=lambda _: b"", name=f"a-b-1-{10**30}"),
    "name numbers to 2^63-1": BadSegment("manifest", "Invalid JSON", manifest=lambda _: b"", name=f"a-b-0-{2**63 - 1}"),
    "numbers to 10^30": BadSegment("manifest", "last_seq", stated={"last_seq": 10**30}, name=f"{GATEWAY}-p-1-{10**30}"),
    "numbers below 0": BadSegment("manifest", "first_seq", stated={"first_seq": -5}, name=f"{GATEWAY}-p--5-1"),
    "created before the year 1": BadSegment(
        "manifest", "years 1 to 9999", stated={"created_at": "0001-01-01T00:00:00+14:00"}
    ),
    "created after the year 9999": BadSegment(
        "manifest", "years 1 to 9999", stated={"created_at": "9999-12-31T23:59:59-14:00"}
    ),
    "created_at a number": BadSegment("manifest", "created_at", stated={"created_at": 1767672000}),
    "event_date a number": BadSegment("manifest", "event_date", stated={"event_date": 1767571200}),
    "schema true": BadSegment("manifest", "schema", stated={"schema": True}),
    "schema 1.0": BadSegment("manifest", "schema", stated={"schema": 1.0}),
}


@pytest.mark.parametrize("name", PENDING)
def test_segment(home: Home, name: str) -> None:
    land_good(home)
    bad = PENDING[name]
    bad.write(home, "p")
    signal.alarm(20)
    compute(home, DAY, tables=JUDGED)
    changed_dates(scan(home.landing), {}, 1e12)
    signal.alarm(0)
    good_is_processed(home)
    conserved(home)
    (row,) = rows(home, "refused_segments", DAY)
    assert row["reason"] == bad.reason, row
    assert bad.words in str(row["detail"]), row


@pytest.mark.parametrize("where", ["assignments", "assignments/event_date=2026-01-05"])
def test_a_file_where_a_folder_is_expected(home: Home, where: str) -> None:
    land_good(home)
    _file_instead(where)(home)
    compute(home, DAY, tables=JUDGED)
    assert rows(home, "orders", DAY)
    (row,) = rows(home, "refused_segments", DAY)
    assert "cannot be listed" in str(row["detail"])


@pytest.mark.parametrize("name", ["event_date=20260105", "event_date=2026-W02-1"])
def test_other_names_of_a_date(home: Home, name: str) -> None:
    land_good(home)
    before = scan(home.landing).date_fingerprint(DAY)
    at = home.landing / "orders" / name
    at.mkdir()
    (at / f"a-b-1-1{MANIFEST_SUFFIX}").write_bytes(b"{}")
    assert scan(home.landing).date_fingerprint(DAY) == before


def test_a_link_to_nowhere_hides_nothing(home: Home) -> None:
    land_good(home)
    (folder(home.landing, "orders", DAY) / f"a-b-1-1{MANIFEST_SUFFIX}").symlink_to("/nowhere")
    assert len(scan(home.landing).entries["orders", DAY]) == 2


@pytest.mark.parametrize("far", ["1970-01-01", "2099-01-01", "9999-12-31"])
def test_dates_that_cannot_be_computed_are_no_missing_ones(home: Home, far: str) -> None:
    land_good(home)
    land(home, "orders", [b"x"], day=date.fromisoformat(far))
    assert Freshness(home, catalogue(), scan(home.landing)).operating_dates() == [DAY]


LARGE = {
    "amounts": ("orders", {"amount": "9999999999999999.99"}, "gmv"),
    "cancelled amounts": ("orders", {"amount": "9999999999999999.99", "status": "cancelled"}, "cancelled_amount"),
    "counts": ("boundary_counts", {"in_count": 2**62, "in_total": 2**63 - 1}, "pf_range"),
}


@pytest.mark.parametrize("name", LARGE)
def test_sums_that_no_column_holds(home: Home, name: str) -> None:
    stream, changes, figure = LARGE[name]
    land_good(home)
    land(home, stream, [line(stream, boot_id="l", seq=n, **changes) for n in range(1, 5)], boot_id="l")
    compute(home, DAY)
    good_is_processed(home)
    assert rows(home, "primary_metrics", DAY)[0][figure] is None


def test_entrance_counts_that_no_integer_holds(home: Home) -> None:
    land_good(home)
    land(
        home,
        "entrance_counts",
        [line("entrance_counts", boot_id="l", seq=n, in_count=2**62, in_total=2**63 - 1) for n in range(1, 5)],
        boot_id="l",
    )
    compute(home, DAY)
    assert rows(home, "primary_metrics", DAY)[0]["pf_entrance"] == float(2**64)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_instants_that_utc_does_not_have(home: Home, at: str) -> None:
    land_good(home)
    land(home, "orders", [line("orders", boot_id="l", recorded_at=at)], boot_id="l")
    compute(home, DAY, tables=JUDGED)
    assert [row["reason"] for row in rows(home, "quarantine", DAY)] == ["malformed"]
    conserved(home)


def test_millions_of_empty_frames(tmp_path: Path) -> None:
    bad = BadSegment(None, packed=lambda p: p + pack(b"") * 300_000)
    home = Home(tmp_path)
    folder(home.landing, "orders", DAY).mkdir(parents=True)
    name = bad.write(home, "f")
    at = folder(home.landing, "orders", DAY) / name
    signal.setitimer(signal.ITIMER_PROF, 10)  # of this process, however busy the machine is
    manifest = read_manifest(at.with_name(name.removesuffix(SEGMENT_SUFFIX) + MANIFEST_SUFFIX))
    assert read_segment(at, manifest).count(b"\n") == 1
    signal.setitimer(signal.ITIMER_PROF, 0)


@pytest.mark.parametrize("line", [b"a\n", b"a\n\n"])
@pytest.mark.parametrize("stated", [1, 10**30])
def test_lines_that_are_not_as_many_as_stated_take_no_memory(home: Home, line: bytes, stated: int) -> None:
    """Each line that is held takes many times its byte, so they are counted first."""
    content = line * 10**6
    land_good(home)
    BadSegment("row_count", content=lambda _: content, stated={"rows": stated}).write(home, "many")
    tracemalloc.start()
    found = Landing(home.landing, DAY).segments()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    told = [segment.refused.detail for segment in found if segment.refused]
    assert told == [f"1000000 non-empty lines, the manifest states {stated}"]
    assert peak < 4 * len(content)
