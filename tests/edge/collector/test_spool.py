"""The spool: what `take` has confirmed survives a kill, once each; nothing leaves before the landing has it."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event

import pytest

from edge_collector.spool import Capture, Entry, SealedSegment, Spool, SpoolFull
from edge_collector.spool import spool as spool_module
from edge_collector.spool.seal import SealPolicy, seal
from tests.edge.collector.spooled import AT_ONCE, NOW, SITE, arm, lines, stamp, visit


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


def test_a_unit_gets_an_arm_once(spool: Spool) -> None:
    first = spool.take(Entry([arm("u", "tea")]), stamp()).result()
    again = spool.take(Entry([visit(1), arm("u", "cake"), visit(2)]), stamp()).result()
    assert (first.written, again.by_stream) == (1, {"face_visits": 2})
    assert first.told == again.told == spool.assigned("e", "u")
    assert json.loads(str(first.told)) == arm("u", "tea").fields
    assert spool.assigned("e", "other") is None
    spool.forget(NOW, ended_experiments=["e"])
    assert spool.assigned("e", "u") is None


def test_of_two_who_are_taken_together_the_first_gives_the_arm(spool: Spool) -> None:
    held = Event()
    spool._submit(held.wait)
    first, second = (spool.take(Entry([arm("u", name)]), stamp()) for name in ("tea", "cake"))
    held.set()
    assert first.result().told == second.result().told
    assert (first.result().written, second.result().written) == (1, 0)


def test_an_arm_that_was_not_written_is_nobodys(spool: Spool) -> None:
    with pytest.raises(UnicodeEncodeError):
        spool.take(Entry([arm("u", "tea")], states={"\udce4": "half a character"}), stamp()).result()
    assert spool.assigned("e", "u") is None
    assert json.loads(str(spool.take(Entry([arm("u", "cake")]), stamp()).result().told))["arm"] == "cake"


@pytest.mark.parametrize("sealed", [False, True])
def test_a_unit_keeps_its_arm_through_a_kill_whether_its_record_has_gone_or_not(tmp_path: Path, sealed: bool) -> None:
    (tmp_path / "a").mkdir()
    spool = Spool(tmp_path / "a" / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
    told = spool.take(Entry([arm("u", "tea")]), stamp()).result().told
    if sealed:
        seal(spool, SITE, AT_ONCE, stamp(), everything=True)
    shutil.copytree(tmp_path / "a", tmp_path / "killed")
    spool.close()
    for boot_id in ("b2", "b3"):
        spool = Spool(tmp_path / "killed" / "spool.db", gateway_id="gw", boot_id=boot_id, max_bytes=10**8)
        again = spool.take(Entry([arm("u", "cake")]), stamp()).result()
        assert (again.written, again.told) == (0, told)
        seal(spool, SITE, AT_ONCE, stamp(), everything=True)
        assert spool.take(Entry([arm("u", "cake")]), stamp()).result().told == told
        spool.close()


def test_a_unit_keeps_its_arm_where_nothing_could_be_tidied_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spool_module, "_AT_ONCE_IN_LOG", 1)
    (tmp_path / "a").mkdir()
    spool = Spool(tmp_path / "a" / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
    fails = "CREATE TEMP TRIGGER fails BEFORE INSERT ON assigned BEGIN SELECT raise(FAIL, 'the card is dying'); END"
    spool._submit(lambda: spool._db.execute(fails)).result()
    taken = spool.take_at_once(Entry([arm("u", "tea")]), stamp())
    assert taken is not None
    assert spool.assigned("e", "u") == taken.told
    assert "the card is dying" in caplog.text
    shutil.copytree(tmp_path / "a", tmp_path / "killed")
    with pytest.raises(sqlite3.DatabaseError, match="the card is dying"):  # nor does its record go
        seal(spool, SITE, AT_ONCE, stamp(), everything=True)
    spool._submit(lambda: spool._db.execute("DROP TRIGGER fails")).result()
    (sealed,) = seal(spool, SITE, AT_ONCE, stamp(), everything=True)
    waiting = spool.segment()
    assert waiting is not None
    spool.confirmed(waiting.id)
    assert spool.take(Entry([arm("u", "cake")]), stamp()).result().told == taken.told
    spool.close()
    for folder in ("a", "killed"):
        spool = Spool(tmp_path / folder / "spool.db", gateway_id="gw", boot_id="b2", max_bytes=10**8)
        assert spool.take(Entry([arm("u", "cake")]), stamp()).result().told == taken.told
        spool.close()
    assert [record["arm"] for record in lines(sealed)] == ["tea"]


def test_most_arms_are_one_page_to_flush(spool: Spool) -> None:
    """A screen waits for it: three pages more take as long as all else that the gateway does."""

    def pages(n: int) -> int:
        spool._submit(lambda: spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()).result()
        assert spool.take_at_once(Entry([arm(hashlib.sha256(bytes([n])).hexdigest())]), stamp())
        return spool._submit(lambda: spool._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]).result()

    found = [pages(n) for n in range(200)]
    assert found.count(1) > 120
    assert max(found) < 12


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
    assert spool.take_at_once(Entry([visit(1)]), stamp())
    held, holding = Event(), Event()
    spool._submit(lambda: (holding.set(), held.wait()))
    holding.wait()
    assert spool.take_at_once(Entry([visit(2)]), stamp()) is None  # one at a time, whoever it is
    held.set()
    assert spool.take(Entry([visit(2)]), stamp()).result().written == 1
    assert spool.depth().records == 2
    spool.max_bytes = 0
    with pytest.raises(SpoolFull):
        spool.take_at_once(Entry([visit(3)]), stamp())


def test_many_in_a_hurry_and_many_who_are_not_get_a_number_each(spool: Spool) -> None:
    def bring(n: int) -> None:
        taken = spool.take_at_once(Entry([visit(n)]), stamp()) if n % 2 == 0 else None
        assert (taken or spool.take(Entry([visit(n)]), stamp()).result()).written == 1
        if n % 50 == 0:
            sealed.extend(seal(spool, SITE, SealPolicy(5, timedelta(0)), stamp()))

    sealed: list[SealedSegment] = []
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(bring, range(400)))
    sealed += seal(spool, SITE, AT_ONCE, stamp(), everything=True)
    found = [(record["seq"], record["user_id"]) for segment in sealed for record in lines(segment)]
    assert sorted(seq for seq, _ in found) == list(range(400))
    assert {user_id for _, user_id in found} == {f"k1:{n}" for n in range(400)}


@pytest.mark.parametrize("years", [-56, 20], ids=["1970", "2046"])
def test_a_delivery_under_a_clock_that_was_wrong_is_not_forgotten_when_it_is_right(spool: Spool, years: int) -> None:
    wrong = stamp(NOW + timedelta(days=365 * years), synced=False)
    spool.take(Entry([visit(1, key="t/1")]), wrong).result()
    spool.forget(NOW)
    spool.forget(NOW + timedelta(days=399))
    assert spool.take(Entry([visit(1, key="t/1")]), stamp()).result().repeated == 1
    spool.forget(NOW + timedelta(days=401))
    assert spool.take(Entry([visit(1, key="t/1")]), stamp()).result().repeated == 0


def test_what_is_delivered_again_and_again_is_not_forgotten(spool: Spool) -> None:
    """A back office that exports its whole history every night."""
    for day in range(0, 900, 90):
        written = spool.take(Entry([visit(1, key="line")]), stamp(NOW + timedelta(days=day))).result().written
        assert written == (day == 0)
        spool.forget(NOW + timedelta(days=day))
