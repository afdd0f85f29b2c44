"""A damaged spool: the gateway goes on with what can be read, keeps the file, and says so until somebody has been."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from edge_collector import salvage
from edge_collector.salvage import Salvaged, lying_aside, open_spool
from edge_collector.seal import SealPolicy, seal
from edge_collector.spool import Assigned, Entry, Spool
from tests.edge.collector.box import Box, device
from tests.edge.collector.test_spool import NOW, SITE, lines, stamp, visit

PAGE = 4096
ASIDE = f"spool.db.damaged-{NOW:%Y%m%dT%H%M%S}"


def fill(path: Path, records: int = 4000, segments: int = 10) -> None:
    """Sealed segments of a hundred visits each, records behind them, their keys, a state and an arm."""
    spool = Spool(path, gateway_id="gw", boot_id="b1", max_bytes=10**9)
    numbers = iter(range(10**6))
    for _ in range(segments):
        spool.take(
            Entry([visit(n, key=f"{n:07d}") for _, n in zip(range(100), numbers, strict=False)]), stamp()
        ).result()
        seal(spool, SITE, SealPolicy(100, timedelta(0)), stamp())
    visits = [visit(n, key=f"{n:07d}") for _, n in zip(range(records), numbers, strict=False)]
    spool.take(Entry(visits, {"log/AA": "1:2"}), stamp()).result()
    spool.take(Entry(assigned=Assigned("e", "u", "{}")), stamp()).result()
    spool.close()


def page_of(path: Path, text: bytes) -> int:
    """The page in which `text` stands first."""
    return path.read_bytes().index(text) // PAGE


def damage(path: Path, *pages: int) -> None:
    content = bytearray(path.read_bytes())
    for page in pages:
        assert page > 0
        content[page * PAGE : (page + 1) * PAGE] = random.Random(page).randbytes(PAGE)
    path.write_bytes(content)


def opened(path: Path) -> tuple[Spool, Salvaged | None]:
    return open_spool(path, gateway_id="gw", boot_id="b2", max_bytes=10**9, now=NOW)


def numbers(spool: Spool) -> set[int]:
    """Of all that can still land."""
    seal(spool, SITE, SealPolicy(10_000, timedelta(0)), stamp(), everything=True)
    found: set[int] = set()
    while (segment := spool.segment()) is not None:
        found |= {record["seq"] for record in lines(segment)}
        spool.confirmed(segment.id)
    return found


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
    assert sorted(p.name for p in path.parent.iterdir()) == ["for the archive", "spool.db"]


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


@pytest.mark.parametrize("page", range(12))
def test_whatever_page_is_gone_it_opens_and_takes_more(path: Path, page: int) -> None:
    """Also the first one, with which all is gone, and the roots of tables and indexes."""
    content = bytearray(path.read_bytes())
    content[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(content)
    spool, _ = opened(path)
    assert spool.take(Entry([visit(1, key="new")]), stamp()).result().written == 1
    assert spool.check() == ""
    spool.close()
    again, found = opened(path)
    assert found is None  # once, and not at every start
    assert again.depth().records >= 1
    again.close()


def test_what_has_no_room_stays_in_the_file_that_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(path, page_of(path, b'"k1:3000"'))
    insert = salvage._insert

    def full(db: sqlite3.Connection, table: str, *more: object) -> None:
        if table == "segments":
            raise sqlite3.OperationalError("database or disk is full")
        insert(db, table, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(salvage, "_insert", full)
    spool, found = opened(path)
    assert "there was no room for all of it" in str(found)
    assert min(numbers(spool)) == 1000
    spool.close()


@pytest.mark.parametrize("steps", range(1, 13))
def test_a_kill_in_the_midst_of_it_is_made_up_for(path: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any of its steps the power goes; the next start ends with the same spool and one file that is kept."""
    damage(path, page_of(path, b'"k1:3000"'))
    path.with_name("spool.db-wal").touch()
    left = steps

    class PowerCut(BaseException):
        pass

    def step(name: str) -> None:
        did = getattr(salvage, name) if hasattr(salvage, name) else getattr(Path, name)

        def cut(*given: object, **more: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                raise PowerCut
            return did(*given, **more)

        monkeypatch.setattr(salvage if hasattr(salvage, name) else Path, name, cut)

    for name in ("write_atomically", "rename", "flush_folder", "_make_empty", "_copy", "unlink"):
        step(name)
    with suppress(PowerCut):
        opened(path)[0].close()
    monkeypatch.undo()
    spool, _ = opened(path)
    assert 5000 - 60 < len(numbers(spool)) < 5000
    spool.close()
    names = sorted(p.name for p in path.parent.iterdir() if not p.name.endswith((".part", "-wal")))
    assert names == ["spool.db", ASIDE]


# The whole gateway ----------------------------------------------------------------------------------------------------


def test_a_gateway_whose_spool_has_a_damaged_page_runs_lands_and_says_so(tmp_path: Path, path: Path) -> None:
    box = Box(tmp_path).write(device("terminal", "http") + device("gateway", "gateway"))
    damage(path, page_of(path, b'"k1:3000"'))

    async def main() -> None:
        async with box.running() as collector:
            port = collector.health_listener.getsockname()[1]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                answer = await client.get("/health")
            assert answer.status_code == 503
            said = answer.json()["alarms"]["spool damaged"]
            assert "something of records cannot be read" in said
            assert "spool.db.damaged-" in said

    asyncio.run(main())
    landed = {r["seq"] for r in box.landed("face_visits") if r["boot_id"] == "b1"}
    assert 5000 - 60 < len(landed) < 5000
    (told,) = (e for e in box.landed("gateway_events") if e["kind"] == "refused")
    assert (told["subject"], told["detail"]) == ("damaged", "spool")

    async def again() -> None:
        async with box.running() as collector:
            await collector._watch_spool()
            assert "spool damaged" in collector.tally.alarms  # also after a restart
            next(tmp_path.glob("spool.db.damaged-*")).unlink()
            await collector._watch_spool()
            assert "spool damaged" not in collector.tally.alarms

    asyncio.run(again())
