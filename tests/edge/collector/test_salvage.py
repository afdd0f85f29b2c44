"""A damaged spool: the gateway goes on with what can be read, keeps the file, and says so until somebody has been."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from edge_collector import damaged_file, salvage
from edge_collector.damaged_file import Key
from edge_collector.salvage import Salvaged, lying_aside, open_spool
from edge_collector.sources.folder import FILES_FORGOTTEN
from edge_collector.spool import Entry, Spool
from edge_collector.spool.seal import SealPolicy, seal
from tests.edge.collector.damaged_spool import ASIDE, PAGE, beside, damage, fill, killed, numbers, opened, page_of
from tests.edge.collector.spooled import NOW, SITE, arm, stamp, visit


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("filled") / "spool.db"
    fill(path)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, filled: bytes) -> Path:
    (tmp_path / "spool.db").write_bytes(filled)
    return tmp_path / "spool.db"


@pytest.fixture
def salvaged(path: Path) -> Iterator[tuple[Spool, Salvaged]]:
    damage(path, page_of(path, b'"k1:3000"'))
    spool, found = opened(path)
    assert found is not None
    yield spool, found
    spool.close()


def test_a_whole_spool_is_opened_as_it_is(path: Path) -> None:
    spool, found = opened(path)
    assert (found, lying_aside(path)) == (None, "")
    assert numbers(spool) == set(range(5000))
    spool.close()


def test_a_page_in_the_middle_costs_what_stood_on_it(salvaged: tuple[Spool, Salvaged]) -> None:
    spool, found = salvaged
    assert found.damaged == ["records"]
    assert (found.read["segments"], found.read["assigned"], spool.states()) == (10, 1, {"log/AA": "1:2"})
    missing = set(range(5000)) - numbers(spool)
    assert 2900 < min(missing) < 3100
    assert missing == set(range(min(missing), max(missing) + 1))  # the landing sees a gap in the numbers
    assert len(missing) < 60
    assert spool.check() == ""


def test_an_arm_is_saved_with_its_record_also_one_that_says_why_the_fixed_shares_hold(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    spool = Spool(path, gateway_id="gw", boot_id="b1", max_bytes=10**9)
    told = spool.take(Entry([arm("u", remark="there is no allocation")]), stamp()).result().told
    spool.close()
    spool, found = open_spool(path, gateway_id="gw", boot_id="b2", max_bytes=10**9, now=NOW, suspect=True)
    assert found
    assert (found.damaged, found.read["records"]) == ([], 1)
    assert spool.take(Entry([arm("u", "cake")]), stamp()).result().told == told
    spool.close()


def test_what_was_delivered_before_is_recognised_after_it(salvaged: tuple[Spool, Salvaged]) -> None:
    spool, _ = salvaged
    again = spool.take(Entry([visit(n, key=f"{n:07d}") for n in range(5000)]), stamp()).result()
    assert (again.written, again.repeated) == (0, 5000)


def test_the_damaged_file_is_kept_and_told_until_somebody_takes_it_away(path: Path) -> None:
    damage(path, page_of(path, b'"k1:3000"'))
    before = path.read_bytes()
    spool, found = opened(path)
    spool.close()
    aside = path.with_name(ASIDE)
    assert aside.read_bytes()[PAGE:] == before[PAGE:]  # the first page counts how often the file was opened
    assert str(aside) in str(found)
    assert str(aside) in lying_aside(path)
    aside.rename(path.with_name("for the archive"))
    assert lying_aside(path) == ""
    assert beside(path) == ["for the archive", "spool.db"]


def test_what_lies_between_two_damaged_places_is_read(path: Path) -> None:
    damage(path, *(page_of(path, f'"k1:{n}"'.encode()) for n in (1500, 2200, 3000, 3001, 4500)))
    spool, found = opened(path)
    assert found
    assert found.damaged == ["records"]
    assert len(numbers(spool)) > 5000 - 5 * 60
    spool.close()


def test_keys_between_two_damaged_places_are_read(path: Path) -> None:
    pages = [page_of(path, f"{n:07d}".encode()) for n in (500, 2500, 4400)]
    damage(path, *pages)
    spool, found = opened(path)
    assert found
    assert found.damaged == ["delivered"]
    assert numbers(spool) == set(range(5000))
    again = spool.take(Entry([visit(n, key=f"{n:07d}") for n in range(5000)]), stamp()).result()
    assert again.repeated > 5000 - 3 * 300
    spool.close()


def test_a_segment_that_is_not_whole_any_more_is_never_shipped(path: Path) -> None:
    db = sqlite3.connect(path)
    packed = bytes(db.execute("SELECT packed FROM segments WHERE id = 4").fetchone()[0])
    db.close()
    content = path.read_bytes()
    at = content.index(packed[100:160])
    path.write_bytes(content[:at] + bytes(60) + content[at + 60 :])
    spool, found = open_spool(path, gateway_id="gw", boot_id="b2", max_bytes=10**9, now=NOW, suspect=True)
    assert found
    assert (found.damaged, found.read["segments"]) == (["segments"], 9)
    assert set(range(5000)) - numbers(spool) == set(range(300, 400))
    spool.close()


WHOLE = {"states": 1, "records": 4001, "assigned": 1, "delivered": 5000, "segments": 10}


@pytest.mark.parametrize("page", range(12))
def test_whatever_page_is_gone_it_opens_and_takes_more(path: Path, page: int) -> None:
    """Also the first one, with which all is gone, and the roots of tables and indexes: what lies elsewhere is saved."""
    content = bytearray(path.read_bytes())
    content[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(content)
    spool, found = opened(path)
    if found is not None and page:
        assert len(found.damaged) <= 1
        assert {t: n for t, n in found.read.items() if t not in found.damaged} == {
            t: n for t, n in WHOLE.items() if t not in found.damaged
        }
    assert spool.take(Entry([visit(1, key="new")]), stamp()).result().written == 1
    assert spool.check() == ""
    spool.close()
    again, found = opened(path)
    assert found is None  # once, and not at every start
    assert again.depth().records >= 1
    again.close()


@pytest.mark.parametrize("pages", [1, 30])
def test_a_file_that_is_too_short_is_read_as_far_as_it_goes(path: Path, pages: int) -> None:
    os.truncate(path, path.stat().st_size - pages * PAGE)
    spool, found = opened(path)
    assert found
    assert found.read["segments"] == 10
    assert len(numbers(spool)) > 5000 - pages * 60
    spool.close()


def test_what_lies_between_the_first_and_the_last_segment_is_read(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    spool = Spool(path, gateway_id="gw", boot_id="b1", max_bytes=10**9)
    for k in range(12):
        visits = [visit(n, key=f"{k}/{n}", version=random.Random(n).randbytes(9).hex()) for n in range(400)]
        told = [
            replace(one, fields={**one.fields, "user_id": random.Random(k * 400 + n).randbytes(16).hex()})
            for n, one in enumerate(visits)
        ]
        spool.take(Entry(told), stamp()).result()
        seal(spool, SITE, SealPolicy(400, timedelta(0)), stamp())
    spool.close()
    with closing(sqlite3.connect(path)) as db:
        packed = [row[0] for row in db.execute("SELECT packed FROM segments ORDER BY id")]
    damage(path, page_of(path, packed[0][:60]), page_of(path, packed[-1][:60]))
    spool, found = opened(path)
    assert found
    assert found.damaged == ["segments"]
    assert found.read["segments"] >= 4  # a page has the beginnings of four
    spool.close()


@pytest.mark.parametrize(
    ("after", "before", "kinds", "middle"),
    [
        (None, None, ["INTEGER"], (64,)),
        (None, (65,), ["INTEGER"], (32,)),
        ((3,), (4,), ["INTEGER"], None),
        ((b"a", 3), (b"a", 9), ["TEXT", "INTEGER"], (b"a", 6)),
        ((b"a", 3), (b"a\0",), ["TEXT", "INTEGER"], (b"a", 70)),
        (("\u00e4".encode(),), ("\u00f6".encode(),), ["TEXT"], (b"\xc3\xad" + bytes(11),)),
    ],
)
def test_a_key_between_two_others(after: Key | None, before: Key | None, kinds: list[str], middle: Key | None) -> None:
    assert damaged_file._between(after, before, kinds) == middle


# What is read at every start ------------------------------------------------------------------------------------------


def test_a_lost_page_of_states_that_the_check_did_not_reach_is_found_at_the_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'states'").fetchone()
    damage(path, root - 1)
    monkeypatch.setattr(Spool, "check", lambda *_: "")
    spool, found = opened(path)
    assert found
    assert found.damaged == ["states"]
    assert "are taken as read" in str(found)
    assert numbers(spool) == set(range(5000))
    assert set(spool.states()) == {FILES_FORGOTTEN}
    spool.close()


@pytest.mark.parametrize(
    ("subject", "state"),
    [
        ("counter/riverside/north", "{}"),
        ("counter/riverside/north", '{"state": 1, "pair": null, "clock_id": "x"}'),
        ("file/a", "[]"),
        ("file/a", '{"found": 7}'),
        ("log/AA", "1"),
        ("file/" + "a" * 5000, "{"),
    ],
)
def test_a_state_that_its_reader_cannot_read_does_not_end_every_start(path: Path, subject: str, state: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        # And it was lost before, long ago.
        db.executemany("INSERT OR REPLACE INTO states VALUES (?, ?)", [(subject, state), (FILES_FORGOTTEN, "1")])
        db.commit()
    spool, found = opened(path)
    assert found
    assert found.damaged == ["states"]
    assert spool.states().keys() == {"log/AA", FILES_FORGOTTEN} - {subject}
    assert int(spool.states()[FILES_FORGOTTEN]) == int(NOW.timestamp()) * 10**9
    spool.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [("wall_ms", 2**60), ("dated_ms", 2**60), ("dated_ms", -(2**60)), ("boot_id", "b\x001"), ("body", '"kind":1')],
)
def test_a_record_that_cannot_be_sealed_keeps_no_other_from_it(path: Path, column: str, value: object) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE records SET {column} = ? WHERE seq = 4000", (value,))
        db.commit()
    spool, found = open_spool(path, gateway_id="gw", boot_id="b2", max_bytes=10**9, now=NOW, suspect=True)
    assert found
    assert found.damaged == ["records"]
    assert numbers(spool) == set(range(5000)) - {4000}
    spool.close()


# Around it ------------------------------------------------------------------------------------------------------------


def test_the_new_spool_is_nobody_elses(path: Path) -> None:
    before = os.umask(0o022)
    try:
        damage(path, page_of(path, b'"k1:3000"'))
        opened(path)[0].close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_was_taken_away_in_the_midst_of_it_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    path.with_name("spool.db.salvage").write_text("spool.db.damaged-x")
    spool, found = opened(path)
    spool.close()
    assert found is None
    assert beside(path) == ["spool.db"]


def test_reading_it_writes_nothing_beside_it(tmp_path: Path) -> None:
    """There may be no room for it."""
    path = killed(tmp_path / "a")
    log = path.with_name("spool.db-wal").read_bytes()
    spool, _ = open_spool(path, gateway_id="gw", boot_id="b2", max_bytes=10**9, now=NOW, suspect=True)
    assert len(numbers(spool)) == 3000
    spool.close()
    assert beside(path) == ["spool.db", ASIDE, f"{ASIDE}-wal"]
    assert path.with_name(f"{ASIDE}-wal").read_bytes() == log
    path.with_name(ASIDE).rename(path.with_name("for the archive"))
    assert f"{ASIDE}-wal" in lying_aside(path)  # both belong there


def test_what_has_no_room_stays_in_the_file_that_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(path, page_of(path, b'"k1:3000"'))
    insert = salvage._insert
    monkeypatch.setattr(salvage, "_insert", lambda db, table, *more: table != "segments" and insert(db, table, *more))
    spool, found = opened(path)
    assert "there was no room for all of it" in str(found)
    assert min(numbers(spool)) == 1000
    spool.close()


def test_the_new_spool_gets_the_last_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(path)[0].close()
    room = path.with_name("spool.db.room")
    assert room.stat().st_size > 2**20
    damage(path, page_of(path, b'"k1:3000"'))
    monkeypatch.setattr(salvage, "_free", lambda _: 1000)
    spool, found = opened(path)
    assert found
    assert (found.no_room, sum(found.read.values()), room.exists()) == (True, 0, False)
    assert "nothing is missing" not in str(found)
    assert set(spool.states()) == {FILES_FORGOTTEN}
    assert spool.take(Entry([visit(1)]), stamp()).result().written == 1
    spool.close()


def test_a_disk_that_damages_every_spool_is_not_filled_in_a_minute(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(salvage.time, "sleep", waited.append)
    for _ in range(5):
        open_spool(path, gateway_id="gw", boot_id="b2", max_bytes=10**9, now=NOW, suspect=True)[0].close()
    assert len(list(path.parent.glob("spool.db.damaged-*"))) == 5
    assert len(waited) == 2  # before the fourth and the fifth
    assert min(waited) >= 60


def test_a_kill_in_the_midst_of_it_is_made_up_for(
    tmp_path: Path, filled: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any of its steps the power goes; the next start ends with the same spool and one file that is kept."""

    class PowerCut(BaseException):
        pass

    def cut_after(steps: int, path: Path) -> bool:
        """Whether there were so many."""
        left = steps

        def step(name: str) -> None:
            of = salvage if hasattr(salvage, name) else Path
            did = getattr(of, name)

            def cut(*given: object, **more: object) -> object:
                nonlocal left
                left -= 1
                if left == 0:
                    raise PowerCut
                return did(*given, **more)

            patched.setattr(of, name, cut)

        with monkeypatch.context() as patched:
            for name in ("write_atomically", "rename", "replace", "flush_folder", "_make_empty", "_copy", "unlink"):
                step(name)
            with suppress(PowerCut):
                opened(path)[0].close()
                return False
        return True

    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "spool.db").write_bytes(filled)
    damage(tmp_path / "0" / "spool.db", page := page_of(tmp_path / "0" / "spool.db", b'"k1:3000"'))
    spool, _ = opened(tmp_path / "0" / "spool.db")
    expected = numbers(spool)
    spool.close()
    for steps in count(1):
        path = tmp_path / str(steps) / "spool.db"
        path.parent.mkdir()
        path.write_bytes(filled)
        damage(path, page)
        path.with_name("spool.db-wal").touch()
        were = cut_after(steps, path)
        spool, _ = opened(path)
        assert numbers(spool) == expected
        spool.close()
        assert [name for name in beside(path) if not name.endswith((".part", "-wal"))] == ["spool.db", ASIDE]
        if not were:
            break
    assert steps > 12
