"""The whole gateway over a damaged spool: it runs, lands what is left, says so, and ends in order."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from pathlib import Path

import httpx
import pytest

from edge_collector.spool import Spool
from tests.edge.collector.box import Box, device
from tests.edge.collector.damaged_spool import PAGE, damage, fill, page_of
from tests.edge.collector.folder.exports import FOLDER, VISIT_HEADER, VISITS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    fill(tmp_path / "spool.db")
    return tmp_path / "spool.db"


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


def test_a_stop_while_the_spool_cannot_be_read_ends_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path).write(device("gateway", "gateway"))
    closed = []

    def unreadable(*_: object) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    async def main() -> None:
        async with box.running() as collector:
            close = collector._target.close

            async def closing() -> None:
                closed.append(True)
                await close()

            monkeypatch.setattr(collector._target, "close", closing)
            monkeypatch.setattr(collector.spool, "replace", unreadable)
            monkeypatch.setattr(collector.spool, "depth", unreadable)

    asyncio.run(main())
    assert closed
    Spool(tmp_path / "spool.db", gateway_id="gw", boot_id="b", max_bytes=10**9).close()  # it was let go of


def test_who_is_in_files_that_were_read_does_not_come_again(tmp_path: Path) -> None:
    """When it is lost which have been."""
    (tmp_path / "door").mkdir()
    (tmp_path / "door.toml").write_text(VISITS)
    folder = FOLDER.format(path="door", map="door").replace("settle_seconds = 5", "settle_seconds = 0")
    box = Box(tmp_path).write(folder + device("gateway", "gateway"))
    lost = [f"1308{n},2026-03-02 11:30:0{n},enter\n" for n in range(9)]
    (tmp_path / "door" / "a.csv").write_text(VISIT_HEADER + "".join(lost))

    async def read() -> int:
        async with box.running() as collector:
            for _ in range(3):
                await collector.folders[0].look()
                await asyncio.sleep(0.1)
            return collector.tally.captured["folder", "face_visits"]

    assert asyncio.run(read()) == 9
    damage_first_page(tmp_path / "spool.db")
    time.sleep(1.1)
    assert asyncio.run(read()) == 0
    (tmp_path / "door" / "a.csv").write_text(VISIT_HEADER + "".join(lost) + "13099,2026-03-02 11:31:00,enter\n")
    (tmp_path / "door" / "b.csv").write_text(VISIT_HEADER + "13098,2026-03-02 11:31:00,enter\n")
    assert asyncio.run(read()) == 2  # what is new comes, from old files and new ones
    assert len(box.landed("face_visits")) == 11


def damage_first_page(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(PAGE) + path.read_bytes()[PAGE:])
