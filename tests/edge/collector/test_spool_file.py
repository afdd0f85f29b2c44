"""The spool as a file: whose it is, its layout, its log, its room on the disk, and whether it is whole."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_collector.spool import Entry, Spool, SpoolDamaged, SpoolProblem
from edge_collector.spool import spool as spool_module
from edge_collector.spool.file import transaction
from edge_collector.spool.seal import seal
from tests.edge.collector.damaged_spool import damage, numbers, opened, page_of
from tests.edge.collector.spooled import AT_ONCE, NOW, SITE, arm, lines, stamp, visit


def test_one_process_at_a_time(spool: Spool) -> None:
    with pytest.raises(SpoolProblem, match="in use by another"):
        Spool(spool.path, gateway_id="gw", boot_id="b2", max_bytes=10**8)


def test_a_file_that_is_no_spool_is_told(tmp_path: Path) -> None:
    (tmp_path / "spool.db").write_bytes(b"no database at all, but long enough to be looked at" * 20)
    with pytest.raises(SpoolDamaged, match="is damaged"):
        Spool(tmp_path / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)


OTHER_TABLES = """
CREATE TABLE delivered (key TEXT PRIMARY KEY, version TEXT NOT NULL, wall_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE states (subject TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE segments (
  id INTEGER PRIMARY KEY, stream TEXT NOT NULL, event_date TEXT NOT NULL, name TEXT NOT NULL, rows INTEGER NOT NULL,
  refused TEXT, packed BLOB NOT NULL, manifest BLOB NOT NULL
);
CREATE INDEX segments_in_order ON segments (refused IS NOT NULL, id);
CREATE TABLE assigned (
  experiment_id TEXT NOT NULL, unit_id TEXT NOT NULL, answer TEXT NOT NULL, PRIMARY KEY (experiment_id, unit_id)
) WITHOUT ROWID;
"""
EARLIER_LAYOUTS = {
    1: """
CREATE TABLE records (
  id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, venue_id TEXT NOT NULL,
  device_id TEXT NOT NULL, wall_ms INTEGER NOT NULL, monotonic_ms INTEGER NOT NULL, clock_id TEXT NOT NULL,
  synced INTEGER NOT NULL, dated_ms INTEGER NOT NULL, own_times INTEGER NOT NULL, shift_ms INTEGER NOT NULL DEFAULT 0,
  body TEXT NOT NULL
);
CREATE INDEX records_by_stream ON records (stream, boot_id, seq);
""",
    2: """
CREATE TABLE records (
  stream TEXT NOT NULL, boot_id TEXT NOT NULL, seq INTEGER NOT NULL, venue_id TEXT NOT NULL, device_id TEXT NOT NULL,
  wall_ms INTEGER NOT NULL, monotonic_ms INTEGER NOT NULL, clock_id TEXT NOT NULL, synced INTEGER NOT NULL,
  dated_ms INTEGER NOT NULL, own_times INTEGER NOT NULL, shift_ms INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL,
  PRIMARY KEY (stream, boot_id, seq)
) WITHOUT ROWID;
""",
}
"""As earlier edge-collectors made them."""
TOLD = '{"experiment_id": "e", "unit_id": "u", "arm": "tea", "propensity": 0.5, "remark": ""}'


def earlier(path: Path, layout: int = 1) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA auto_vacuum=INCREMENTAL")
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(f"{EARLIER_LAYOUTS[layout]}{OTHER_TABLES} PRAGMA user_version={layout};")
    for n in range(300):
        body = f'"user_id":"k1:{n}","direction":"enter"'
        wall_ms = int(NOW.timestamp() * 1000) + n
        db.execute(
            "INSERT INTO records (boot_id, stream, seq, venue_id, device_id, wall_ms, monotonic_ms, clock_id, synced,"
            " dated_ms, own_times, shift_ms, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ("b0", "face_visits", n, "riverside", "terminal", wall_ms, 1000, "m1", 1, wall_ms, 0, 60_000, body),
        )
        db.execute("INSERT INTO delivered VALUES (?, '', ?)", (f"t/{n}", wall_ms))
    db.execute("INSERT INTO states VALUES ('zkteco/1', '9')")
    db.execute("INSERT INTO assigned VALUES ('e', 'u', ?)", (TOLD,))
    db.commit()
    db.close()


@pytest.mark.parametrize("layout", EARLIER_LAYOUTS)
def test_a_spool_of_an_earlier_layout_goes_on(tmp_path: Path, layout: int) -> None:
    path = tmp_path / "spool.db"
    earlier(path, layout)
    spool = Spool(path, gateway_id="gw", boot_id="b1", max_bytes=10**8)
    assert spool.states() == {"zkteco/1": "9"}
    assert spool.take(Entry([visit(0, key="t/0"), visit(300, key="t/300")]), stamp()).result().repeated == 1
    assert spool.take(Entry([arm("u", "cake")]), stamp()).result().told == TOLD
    sealed = seal(spool, SITE, AT_ONCE, stamp(), everything=True)
    assert [segment.name for segment in sealed] == ["gw-b0-0-299", "gw-b1-0-0"]
    first = lines(sealed[0])
    assert [(r["seq"], r["user_id"]) for r in first] == [(n, f"k1:{n}") for n in range(300)]
    assert first[7]["recorded_at"] == "2026-03-02T13:01:00.007+01:00"  # with the shift
    assert spool.check() == ""
    spool.close()
    again = Spool(path, gateway_id="gw", boot_id="b2", max_bytes=10**8)
    assert again.depth().segments == 2
    again.close()


@pytest.mark.parametrize("layout", EARLIER_LAYOUTS)
def test_a_damaged_spool_of_an_earlier_layout_is_read(tmp_path: Path, layout: int) -> None:
    path = tmp_path / "spool.db"
    earlier(path, layout)
    damage(path, page_of(path, b"t/299"))
    spool, found = opened(path)
    assert found
    assert (found.damaged, found.read["records"], found.read["assigned"]) == (["delivered"], 300, 1)
    assert numbers(spool) == set(range(300))
    spool.close()


def test_a_spool_that_has_no_room_to_change_its_layout_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    earlier(path)
    pages = path.stat().st_size // 4096
    connect = sqlite3.connect

    def small(*given: Any, **more: Any) -> sqlite3.Connection:
        db = connect(*given, **more)
        db.execute(f"PRAGMA max_page_count={pages + 2}")
        return db

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sqlite3, "connect", small)
        with pytest.raises(SpoolProblem, match="is full"):
            Spool(path, gateway_id="gw", boot_id="b1", max_bytes=10**8)
    spool = Spool(path, gateway_id="gw", boot_id="b1", max_bytes=10**8)
    assert spool.depth().records == 300
    spool.close()


def test_no_commit_waits_for_the_log_to_grow(tmp_path: Path) -> None:
    """That takes a flush twice as long. So it is as long as it gets from the start on."""
    spool = Spool(tmp_path / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
    log = tmp_path / "spool.db-wal"
    before = log.stat().st_size
    assert before > 10_000_000
    for n in range(500):
        assert spool.take_at_once(Entry([visit(n)]), stamp())
    assert log.stat().st_size == before
    assert spool.bytes() < 1_000_000  # and the file itself holds nothing for it
    spool.close()


def test_opening_on_a_full_disk_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    path = tmp_path / "spool.db"
    spool = Spool(path, gateway_id="gw", boot_id="b1", max_bytes=10**8)
    spool.take(Entry([visit(1)]), stamp()).result()
    spool.close()
    before = path.read_bytes()
    spool = Spool(path, gateway_id="gw", boot_id="b2", max_bytes=10**8)
    assert path.read_bytes() == before
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) == len(before)
    spool.close()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        spool = Spool(tmp_path / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
        spool.take(Entry([visit(1)]), stamp()).result()
    finally:
        os.umask(before)
    assert {p.name: oct(p.stat().st_mode & 0o777) for p in tmp_path.iterdir()} == {
        "spool.db": "0o600", "spool.db-wal": "0o600",
    }  # fmt: skip
    spool.close()


def test_whoever_is_in_a_hurry_does_not_tidy_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the log goes into the file now and then, which takes long; an event loop would stand still."""
    monkeypatch.setattr(spool_module, "LOG_PAGES", 10)
    spool = Spool(tmp_path / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
    for n in range(20):
        spool.take(Entry([visit(n)]), stamp()).result()
    before = spool.path.read_bytes()
    for n in range(30):
        assert spool.take_at_once(Entry([visit(n)]), stamp())
    assert spool.path.read_bytes() == before
    spool.take(Entry([visit(99)]), stamp()).result()
    assert spool.path.read_bytes() != before
    spool.close()


def test_a_check_ends_in_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**9)

    def fill() -> None:
        with transaction(spool._db):
            for _ in range(600):
                spool._db.execute(
                    "INSERT INTO segments (stream, event_date, name, rows, packed, manifest)"
                    " VALUES ('orders', '2026-01-01', 'x', 1, zeroblob(100000), x'00')"
                )

    spool._submit(fill).result()

    def took(seconds: float | None) -> float:
        began = time.monotonic()
        assert spool.check(seconds) == ""
        return time.monotonic() - began

    at_leisure = min(took(None) for _ in range(3))
    assert min(took(at_leisure / 10) for _ in range(5)) < at_leisure / 2
    assert spool.depth().segments == 600  # nothing else is interrupted
    spool.close()
