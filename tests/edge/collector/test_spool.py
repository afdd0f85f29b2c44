"""The spool: what `take` has confirmed survives a kill, once each; nothing leaves before the landing has it."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
import zstandard

from edge_collector.segment import Manifest, numbered_lines, verify_segment
from edge_collector.site import Site
from edge_collector.spool import (
    Assigned,
    Capture,
    Entry,
    SealedSegment,
    Spool,
    SpoolDamaged,
    SpoolFull,
    SpoolProblem,
    Stamp,
)
from edge_collector.spool import spool as spool_module
from edge_collector.spool.file import transaction
from edge_collector.spool.seal import SealPolicy, seal

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SITE = Site.model_validate(
    {
        "venues": [
            {
                "id": "riverside",
                "name": "Riverside",
                "time_zone": "Europe/Berlin",
                "currency": "EUR",
                "opened_on": "2026-01-01",
            }
        ]
    }
)
AT_ONCE = SealPolicy(1000, timedelta(0))


def stamp(at: datetime = NOW, *, synced: bool = True, monotonic: float = 100.0, clock_id: str = "m1") -> Stamp:
    return Stamp(at, monotonic, clock_id, synced)


def visit(n: int, **more: Any) -> Capture:
    return Capture("face_visits", "riverside", "terminal", {"user_id": f"k1:{n}", "direction": "enter"}, **more)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
    yield spool
    spool.close()


def lines(segment: SealedSegment) -> list[dict[str, Any]]:
    manifest = Manifest.model_validate_json(segment.manifest)
    verify_segment(segment.packed, manifest)
    content = zstandard.ZstdDecompressor().decompress(segment.packed)
    return [json.loads(line) for _, line in numbered_lines(content)]


def test_numbers_are_consecutive_per_stream(spool: Spool) -> None:
    event = Capture("gateway_events", "riverside", "gw", {"kind": "heartbeat"})
    spool.take(Entry([visit(1), event, visit(2)]), stamp()).result()
    spool.take(Entry([visit(3)]), stamp()).result()
    sealed = {s.stream: s for s in seal(spool, SITE, AT_ONCE, stamp())}
    assert [r["seq"] for r in lines(sealed["face_visits"])] == [0, 1, 2]
    assert sealed["face_visits"].name == "gw-b1-0-2"
    assert sealed["gateway_events"].name == "gw-b1-0-0"


def test_a_second_delivery_is_left_out_and_takes_no_number(spool: Spool) -> None:
    first = spool.take(Entry([visit(1, key="t/1"), visit(2, key="t/2")]), stamp()).result()
    again = spool.take(Entry([visit(1, key="t/1"), visit(2, key="t/2"), visit(3, key="t/3")]), stamp()).result()
    assert (first.written, first.repeated) == (2, 0)
    assert (again.written, again.repeated) == (1, 2)
    (sealed,) = seal(spool, SITE, AT_ONCE, stamp())
    assert [(r["seq"], r["user_id"]) for r in lines(sealed)] == [(0, "k1:1"), (1, "k1:2"), (2, "k1:3")]


def test_a_changed_version_is_new_and_a_change_back_too(spool: Spool) -> None:
    written = [
        spool.take(Entry([visit(1, key="order/1", version=version)]), stamp()).result().written
        for version in ("completed", "completed", "refunded", "refunded", "completed")
    ]
    assert written == [1, 0, 1, 0, 1]


def test_an_entry_is_taken_whole_or_not_at_all(spool: Spool) -> None:
    spool.take(Entry([visit(1)], states={"device": "1"}), stamp()).result()
    bad = Capture("face_visits", "riverside", "terminal", {"user_id": object()})
    with pytest.raises(TypeError):
        spool.take(Entry([visit(2), bad], states={"device": "2"}), stamp()).result()
    assert spool.states() == {"device": "1"}
    assert spool.depth().records == 1
    spool.take(Entry([visit(3)]), stamp()).result()
    (sealed,) = seal(spool, SITE, AT_ONCE, stamp())
    assert [r["seq"] for r in lines(sealed)] == [0, 1]


def test_a_full_spool_takes_nothing_until_there_is_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=200_000)
    taken = 0
    problem: BaseException | None = None
    while problem is None:
        done = spool.take(Entry([visit(taken, key=f"t/{taken}")]), stamp())
        problem = done.exception()
        taken += problem is None
    assert isinstance(problem, SpoolFull)
    assert "is the landing reachable?" in str(problem)
    assert spool.depth().records == taken > 500
    while (segments := seal(spool, SITE, SealPolicy(500, timedelta(0)), stamp())) or spool.segment():
        assert segments or spool.segment()
        while (waiting := spool.segment()) is not None:
            spool.confirmed(waiting.id)
    assert spool.take(Entry([visit(-1)]), stamp()).result().written == 1
    spool.close()


def test_one_process_at_a_time(spool: Spool) -> None:
    with pytest.raises(SpoolProblem, match="in use by another"):
        Spool(spool.path, gateway_id="gw", boot_id="b2", max_bytes=10**8)


def test_a_file_that_is_no_spool_is_told(tmp_path: Path) -> None:
    (tmp_path / "spool.db").write_bytes(b"no database at all, but long enough to be looked at" * 20)
    with pytest.raises(SpoolDamaged, match="is damaged"):
        Spool(tmp_path / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)


def test_a_segment_stays_until_it_is_confirmed(tmp_path: Path) -> None:
    first = Spool(tmp_path / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
    first.take(Entry([visit(1)]), stamp()).result()
    (sealed,) = seal(first, SITE, AT_ONCE, stamp())
    first.close()
    second = Spool(tmp_path / "spool.db", gateway_id="gw", boot_id="b2", max_bytes=10**8)
    waiting = second.segment()
    assert waiting is not None
    assert (waiting.name, waiting.packed, waiting.manifest) == (sealed.name, sealed.packed, sealed.manifest)
    second.confirmed(waiting.id)
    assert second.segment() is None
    assert second.depth().segments == 0
    second.close()


def test_oldest_newest_and_refused_segments(spool: Spool) -> None:
    for n in range(3):
        spool.take(Entry([visit(n)]), stamp()).result()
        seal(spool, SITE, AT_ONCE, stamp())
    oldest, newest = spool.segment(), spool.segment(newest=True)
    assert oldest is not None
    assert newest is not None
    assert (oldest.name, newest.name) == ("gw-b1-0-0", "gw-b1-2-2")
    spool.refused(oldest.id, "another content lies there")
    after = spool.segment()
    assert after is not None
    assert after.name == "gw-b1-1-1"
    assert spool.segment(beside=[after.id, newest.id]) == oldest
    assert spool.depth().refused_segments == 1


def test_a_unit_that_was_assigned_is_remembered(spool: Spool) -> None:
    spool.take(Entry(assigned=Assigned("e", "u", '{"arm":"a"}')), stamp()).result()
    assert spool.assigned("e", "u") == '{"arm":"a"}'
    assert spool.assigned("e", "other") is None
    spool.forget(NOW, ended_experiments=["e"])
    assert spool.assigned("e", "u") is None


def test_old_deliveries_are_forgotten_and_fresh_ones_are_not(spool: Spool) -> None:
    spool.take(Entry([visit(1, key="old")]), stamp(NOW - timedelta(days=401))).result()
    spool.take(Entry([visit(2, key="fresh")]), stamp(NOW - timedelta(days=399))).result()
    spool.forget(NOW)
    assert spool.take(Entry([visit(1, key="old"), visit(2, key="fresh")]), stamp()).result().repeated == 1


# Kills ----------------------------------------------------------------------------------------------------------------


def _fill(path: str, boot_id: str, told: Connection) -> None:
    spool = Spool(Path(path), gateway_id="gw", boot_id=boot_id, max_bytes=10**8)
    n = 0
    while True:
        # Every third delivery is made twice, as a source does that has not heard the answer.
        for _ in range(2 if n % 3 == 0 else 1):
            spool.take(Entry([visit(n, key=f"{boot_id}/{n}")], states={"last": str(n)}), stamp()).result()
        told.send(n)
        n += 1
        if n % 7 == 0:
            seal(spool, SITE, SealPolicy(5, timedelta(0)), stamp())


@pytest.mark.parametrize("run", range(int(os.environ.get("SPOOL_KILLS", "3"))))
def test_whatever_was_confirmed_survives_a_kill_exactly_once(tmp_path: Path, run: int) -> None:
    path = tmp_path / "spool.db"
    context = multiprocessing.get_context("spawn")
    confirmed: dict[str, int] = {}
    for boot in range(3):
        told, tell = context.Pipe(duplex=False)
        child = context.Process(target=_fill, args=(str(path), f"b{boot}", tell))
        child.start()
        tell.close()
        last, until = -1, 15 + 13 * run + 7 * boot
        while last < until:
            last = told.recv()
        child.kill()
        child.join()
        with suppress(EOFError):  # what it had told before it was gone
            while True:
                last = told.recv()
        confirmed[f"b{boot}"] = last
    spool = Spool(path, gateway_id="gw", boot_id="after", max_bytes=10**8)
    seal(spool, SITE, AT_ONCE, stamp(), everything=True)
    found: dict[str, list[tuple[int, str]]] = {}
    beside: list[int] = []
    while (segment := spool.segment(beside=beside)) is not None:
        beside.append(segment.id)
        for record in lines(segment):
            found.setdefault(record["boot_id"], []).append((record["seq"], record["user_id"]))
    for boot_id, last in confirmed.items():
        records = sorted(found[boot_id])
        assert records == [(n, f"k1:{n}") for n in range(len(records))]  # once each, numbers without holes
        assert len(records) in (last + 1, last + 2)  # all that was told, and perhaps one that was under way
    assert spool.kept_log is None  # a kill tears the log, and makes no hole in it
    spool.close()
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_one_entry_that_cannot_be_written_does_not_take_the_others_with_it(spool: Spool) -> None:
    held = Event()
    spool._submit(held.wait)
    good, bad, other = (
        spool.take(entry, stamp())
        for entry in (Entry([visit(1)]), Entry([visit(2)], states={"\udce4": "half a character"}), Entry([visit(3)]))
    )
    held.set()
    assert isinstance(bad.exception(), UnicodeEncodeError)
    assert (good.result().written, other.result().written) == (1, 1)
    (sealed,) = seal(spool, SITE, AT_ONCE, stamp())
    assert [(r["seq"], r["user_id"]) for r in lines(sealed)] == [(0, "k1:1"), (1, "k1:3")]


def test_whoever_is_in_a_hurry_does_not_wait_for_another_thread(spool: Spool) -> None:
    assert spool.take(Entry([visit(1)]), stamp(), at_once=True).done()
    held, holding = Event(), Event()
    spool._submit(lambda: (holding.set(), held.wait()))
    holding.wait()
    waiting = spool.take(Entry([visit(2)]), stamp(), at_once=True)
    assert not waiting.done()  # one at a time, whoever it is
    held.set()
    assert waiting.result().written == 1
    spool.max_bytes = 0
    assert isinstance(spool.take(Entry([visit(3)]), stamp(), at_once=True).exception(), SpoolFull)


def test_many_in_a_hurry_and_many_who_are_not_get_a_number_each(spool: Spool) -> None:
    def bring(n: int) -> None:
        assert spool.take(Entry([visit(n)]), stamp(), at_once=n % 2 == 0).result().written == 1
        if n % 50 == 0:
            sealed.extend(seal(spool, SITE, SealPolicy(5, timedelta(0)), stamp()))

    sealed: list[SealedSegment] = []
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(bring, range(400)))
    sealed += seal(spool, SITE, AT_ONCE, stamp(), everything=True)
    found = [(record["seq"], record["user_id"]) for segment in sealed for record in lines(segment)]
    assert sorted(seq for seq, _ in found) == list(range(400))
    assert {user_id for _, user_id in found} == {f"k1:{n}" for n in range(400)}


def test_what_is_delivered_again_and_again_is_not_forgotten(spool: Spool) -> None:
    """A back office that exports its whole history every night."""
    for day in range(0, 900, 90):
        written = spool.take(Entry([visit(1, key="line")]), stamp(NOW + timedelta(days=day))).result().written
        assert written == (day == 0)
        spool.forget(NOW + timedelta(days=day))


# How the file is ------------------------------------------------------------------------------------------------------

LAYOUT_1 = """
CREATE TABLE records (
  id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, venue_id TEXT NOT NULL,
  device_id TEXT NOT NULL, wall_ms INTEGER NOT NULL, monotonic_ms INTEGER NOT NULL, clock_id TEXT NOT NULL,
  synced INTEGER NOT NULL, dated_ms INTEGER NOT NULL, own_times INTEGER NOT NULL, shift_ms INTEGER NOT NULL DEFAULT 0,
  body TEXT NOT NULL
);
CREATE INDEX records_by_stream ON records (stream, boot_id, seq);
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
PRAGMA user_version=1;
"""
"""As the first edge-collector made it."""


def layout_1(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA auto_vacuum=INCREMENTAL")
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(LAYOUT_1)
    for n in range(300):
        place = ("b0", "face_visits", n, "riverside", "terminal")
        body = f'"user_id":"k1:{n}","direction":"enter"'
        wall_ms = int(NOW.timestamp() * 1000) + n
        db.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (n + 1, *place, wall_ms, 1000, "m1", 1, wall_ms, 0, 60_000, body),
        )
        db.execute("INSERT INTO delivered VALUES (?, '', ?)", (f"t/{n}", wall_ms))
    db.execute("INSERT INTO states VALUES ('zkteco/1', '9')")
    db.commit()
    db.close()


def test_a_spool_of_the_first_layout_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    layout_1(path)
    spool = Spool(path, gateway_id="gw", boot_id="b1", max_bytes=10**8)
    assert spool.states() == {"zkteco/1": "9"}
    assert spool.take(Entry([visit(0, key="t/0"), visit(300, key="t/300")]), stamp()).result().repeated == 1
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


def test_a_spool_that_has_no_room_to_change_its_layout_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    layout_1(path)
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
        spool.take(Entry([visit(n)]), stamp(), at_once=True).result()
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
        assert spool.take(Entry([visit(n)]), stamp(), at_once=True).done()
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
