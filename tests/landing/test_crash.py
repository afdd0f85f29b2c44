"""The service is killed while gateways ship, again and again: everything lands exactly once, and always whole."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import pytest

from edge_collector.clock import SystemClock
from edge_collector.contract import STREAMS
from edge_collector.segment import manifests, read_manifest, read_segment, segment_of
from edge_collector.ship import Shipper, target_of
from tests.landing.harness import DAY, Authority, Process, Sealed, landed, put, sealed
from venue_assets.home import Home
from venue_assets.landing.receive import sweep
from venue_assets.landing.tokens import FILE, add_token

KILLS = int(os.environ.get("VENUE_KILLS", "3"))
"""In every test run; VENUE_KILLS=100 tries as many as anybody has patience for."""
SEGMENTS = 40 * KILLS


class Impatient(SystemClock):
    """Days of back-off in seconds."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds / 50, 0.1))


class Box:
    """An outbox in memory, which sees that nothing is confirmed twice."""

    def __init__(self, segments: Sequence[Sealed]) -> None:
        self._lock = Lock()
        self.waiting = {segment.id: segment for segment in segments}
        self.refusals: list[str] = []

    def segment(self, *, newest: bool = False, beside: Sequence[int] = ()) -> Sealed | None:
        with self._lock:
            free = self.waiting.keys() - set(beside)
            return self.waiting[max(free) if newest else min(free)] if free else None

    def confirmed(self, segment_id: int) -> None:
        with self._lock:
            del self.waiting[segment_id]

    def refused(self, segment_id: int, why: str) -> None:
        self.refusals.append(why)


def readable(landing: Path) -> int:
    """How many segments a reader finds. Each of them must be whole."""
    found = [path for stream in STREAMS for path in manifests(landing, stream, DAY)]
    for path in found:
        read_segment(segment_of(path), read_manifest(path))
    return len(found)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_at_random_moments_the_service_loses_and_doubles_nothing(home: Home, authority: Authority) -> None:
    token = add_token(home.root / FILE, "gw_1")
    segments = [sealed(n * 10, rows=10, stream=random.choice(["orders", "face_visits"])) for n in range(SEGMENTS)]
    box = Box(segments)

    async def scenario() -> None:
        process = await asyncio.to_thread(Process, home, authority)
        port = process.serving.port
        target = target_of(process.serving.address, token=token, ca_file=authority.ca_file)
        shipping = asyncio.create_task(Shipper(box, target, Impatient()).run(until_empty=True))
        for n in range(KILLS):
            enough = SEGMENTS - (SEGMENTS - 5) * (n + 1) // (KILLS + 1)
            while len(box.waiting) > enough and not shipping.done():
                await asyncio.sleep(0.002)
            await asyncio.sleep(random.uniform(0, 0.03))
            process.kill()
            readable(home.landing)
            process = await asyncio.to_thread(Process, home, authority, port=port)
        await asyncio.wait_for(shipping, 300)
        await target.close()
        assert await asyncio.to_thread(process.terminate) == 0

    asyncio.run(scenario())
    assert box.waiting == {}
    assert box.refusals == []
    assert readable(home.landing) == len(segments)
    expected = {path: content for segment in segments for path, content in segment.files(home.landing).items()}
    whole = {path: content for path, content in landed(home.landing).items() if not path.name.endswith(".part")}
    assert whole == expected
    sweep(home.landing, now=1e12)
    assert landed(home.landing) == expected


def test_asked_to_end_it_finishes_what_is_under_way(home: Home, authority: Authority) -> None:
    token = add_token(home.root / FILE, "gw_1")
    process = Process(home, authority)
    with process.serving.client(token) as client:
        assert put(client, sealed()).status_code == 201
        assert process.terminate() == 0
    assert landed(home.landing) == sealed().files(home.landing)


def test_only_what_was_abandoned_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "orders" / f"event_date={DAY}"
    folder.mkdir(parents=True)
    for name in (".old.part", ".new.part", "segment.jsonl.zst"):
        (folder / name).write_bytes(b"x")
    for name in (".old.part", "segment.jsonl.zst"):
        os.utime(folder / name, (1000, 1000))
    os.utime(folder / ".new.part", (9000, 9000))
    assert sweep(tmp_path, now=9100) == 1
    assert sorted(path.name for path in folder.iterdir()) == [".new.part", "segment.jsonl.zst"]
    assert sweep(tmp_path / "absent", now=9100) == 0
