"""Kills at random moments: what was answered with 200 lands, once, whatever dies, fills up or is set meanwhile.

The collector and the landing service are processes of their own, killed with SIGKILL. Senders repeat until they hear
200, and sometimes once more, as one does that did not hear it. EDGE_KILLS=200 makes 200 kills of it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_collector.people import load_people
from tests.edge.collector.box import Box, device

KILLS = int(os.environ.get("EDGE_KILLS", "10"))
SEED = int(os.environ.get("EDGE_SEED", "1"))
_START = multiprocessing.get_context("forkserver")
_START.set_forkserver_preload(["tests.edge.collector.victim"])


class Uplink:
    """A TCP connection to the landing that can be cut, at any byte, in both directions."""

    def __init__(self, port: int) -> None:
        self._upstream, self._up = port, True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._up = False
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._up = True

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    if not self._up:
                        raise ConnectionError
                    far = socket.create_connection(("127.0.0.1", self._upstream), timeout=5)
                except OSError:
                    near.close()
                    continue
                self._open |= {near, far}
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, a: socket.socket, b: socket.socket) -> None:
        with suppress(OSError):
            a.settimeout(None)
            while data := a.recv(997):
                b.sendall(data)
        for end in (a, b):
            self._open.discard(end)
            end.close()


class Process:
    """One that is started again when it was killed, and must not end by itself."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._target, self._arguments = target, arguments
        self.start()

    def start(self) -> None:
        self._process: BaseProcess = _START.Process(target=self._target, args=self._arguments)
        self._process.start()

    def expect_alive(self) -> None:
        assert self._process.exitcode is None, f"{self._target.__name__} ended by itself: {self._process.exitcode}"

    def kill(self) -> None:
        self.expect_alive()
        self._process.kill()
        self._process.join()

    def end(self) -> int | None:
        assert self._process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)
        self._process.join(60)
        return self._process.exitcode


class Sender(threading.Thread):
    """A till, a terminal or a counter: says the same again until it hears 200."""

    def __init__(self, port: int, name: str, make: Callable[[int], dict[str, Any]], chance: random.Random) -> None:
        super().__init__(daemon=True)
        self._url, self._make, self._chance = f"http://127.0.0.1:{port}/readings/riverside/{name}", make, chance
        self._ended = threading.Event()
        self.acknowledged = 0
        self.answers: Counter[int] = Counter()

    def run(self) -> None:
        with httpx.Client(trust_env=False, timeout=5) as client:
            while not self._ended.is_set():
                entry = self._make(self.acknowledged)
                again = 1 + (self._chance.random() < 0.1)
                while again and not (self._ended.is_set() and self.acknowledged == 0):
                    try:
                        status = client.post(self._url, json=entry).status_code
                    except httpx.HTTPError:
                        status = 0
                    self.answers[status] += 1
                    again -= status == 200
                    if status != 200:
                        time.sleep(0.02)
                self.acknowledged += 1

    def finish(self) -> None:
        self._ended.set()
        self.join(60)
        assert not self.is_alive()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def order(n: int) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    line = {
        "id": f"o{n}", "order_id": f"o{n}", "order_no": 1, "member_number": str(n), "ordered_at": at,
        "category_id": "coffee", "quantity": 1, "amount": "4.50", "currency": "EUR", "status": "completed",
    }  # fmt: skip
    return {"orders": [line]}


def visits(n: int) -> dict[str, Any]:
    """Three at a time; every second batch repeats one of the batch before."""
    first = 3 * n - (n % 2)
    return {
        "visits": [
            {"id": f"v{i}", "member_number": f"v{i}", "direction": "enter"} for i in range(max(first, 0), 3 * n + 3)
        ]
    }


class World:
    """A gateway, a landing and an uplink between them, all of which can be hurt."""

    def __init__(self, root: Path, chance: random.Random, *, service: bool) -> None:
        from tests.edge.collector import victim

        self.chance, self.port = chance, free_port()
        self.box = Box(root).write(
            "".join(device(name, "http") for name in ("entrance", "terminal", "till")) + device("gateway", "gateway")
        )
        text = (root / "edge.toml").read_text().replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{self.port}"')
        self.landing: Process | None = None
        self.uplink: Uplink | None = None
        if service:
            from venue_assets.landing.tokens import FILE, add_token

            landing_port = free_port()
            self.uplink = Uplink(landing_port)
            self.box.secret("landing.token", add_token(root / FILE, "gw"))
            address = f"http://127.0.0.1:{self.uplink.port}"
            text = text.replace('target = "landing"', f'target = "{address}"\ntoken_file = "landing.token"')
            self.landing = Process(victim.landing, str(root), landing_port)
        self.box.secret("edge.toml", text.replace("segment_seconds = 10", "segment_seconds = 1"))
        self.collector = Process(victim.collector, str(root))
        self.kills: Counter[str] = Counter()

    def hurt(self) -> None:
        """Something happens to it."""
        done = ["collector", "collector", "collector", "disk full", "clock set back", "clock set forward"]
        if self.landing is not None:
            done += ["landing", "landing", "uplink", "both"]
        what = self.chance.choice(done)
        self.kills[what] += 1
        if what == "uplink":
            assert self.uplink is not None
            self.uplink.cut()
            self._some_time(0.5)
            self.uplink.mend()
        elif what == "disk full":
            (self.box.root / "full").touch()
            self._some_time(0.5)
            self.collector.kill()
            self.collector.start()
            self._some_time(0.5)
            (self.box.root / "full").unlink()
        elif what.startswith("clock"):
            (self.box.root / "clock").write_text("-3600" if what.endswith("back") else "0")
        if what in ("landing", "both"):
            assert self.landing is not None
            self.landing.kill()
        if what != "landing" and not (what == "uplink" and self.chance.random() < 0.5):
            self.collector.kill()
            self.collector.start()
        if what in ("landing", "both"):
            assert self.landing is not None
            self._some_time(0.3)
            self.landing.start()

    def _some_time(self, most: float) -> None:
        time.sleep(self.chance.uniform(0, most))  # a random moment is what this is about

    def quiet(self, senders: list[Sender], *, more: int) -> None:
        """Wait until every sender has been heard a few times more."""
        until = [sender.acknowledged + more for sender in senders]
        end = time.monotonic() + 60
        while any(s.acknowledged < n for s, n in zip(senders, until, strict=True)):
            self.collector.expect_alive()
            assert time.monotonic() < end, [s.answers for s in senders]
            time.sleep(0.02)

    def settle(self) -> None:
        """End in order, as often as it takes to ship everything."""
        for _ in range(5):
            assert self.collector.end() == 0
            if json.loads((self.box.root / "left.json").read_text()) == [0, 0]:
                return
            self.collector.start()
        raise AssertionError((self.box.root / "left.json").read_text())

    def close(self) -> None:
        for process in (self.collector, self.landing):
            if process is not None:
                process.end()
        if self.uplink is not None:
            self.uplink.close()


@pytest.fixture(params=["folder", "service"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, random.Random(f"{SEED}{request.param}"), service=request.param == "service")
    yield world
    world.close()


def test_nothing_is_lost_and_nothing_lands_twice(world: World) -> None:
    started = time.monotonic()
    counter = {"total": 0, "at": time.monotonic()}

    def counted(n: int) -> dict[str, Any]:
        # People walk in one by one; what a counter says first is where counting begins, and must be nobody.
        if n and time.monotonic() - counter["at"] > 0.5:
            counter.update(total=counter["total"] + 1, at=time.monotonic())
        return {"counts": [{"in_total": counter["total"]}]}

    senders = [
        Sender(world.port, "till", order, random.Random(1)),
        Sender(world.port, "terminal", visits, random.Random(2)),
        Sender(world.port, "entrance", counted, random.Random(3)),
    ]
    for sender in senders:
        sender.start()
    world.quiet(senders, more=2)
    for _ in range(KILLS // 2):
        world.hurt()
        if world.chance.random() < 0.7:  # else the next blow falls while it starts
            world.quiet(senders, more=world.chance.randrange(1, 6))
        else:
            world._some_time(0.3)
    world.quiet(senders, more=3)
    for sender in senders:
        sender.finish()
    world.settle()

    box, people = world.box, load_people(world.box.gateway())
    for stream in ("orders", "face_visits", "entrance_counts", "gateway_events"):
        landed = box.landed(stream)
        numbers: dict[str, list[int]] = {}
        for record in landed:
            numbers.setdefault(record["boot_id"], []).append(record["seq"])
        for boot_id, found in numbers.items():
            assert found == list(range(len(found))), (stream, boot_id)  # no number twice, none missing
    orders = Counter(r["order_id"] for r in box.landed("orders"))
    assert [f"o{n}" for n in range(senders[0].acknowledged) if orders[f"o{n}"] != 1] == []
    seen = Counter(r["user_id"] for r in box.landed("face_visits"))
    wrong = [n for n in range(3 * senders[1].acknowledged) if seen[people.user_id(f"v{n}") or ""] != 1]
    assert wrong == []
    assert set(orders.values()) == set(seen.values()) == {1}
    assert sum(r["in_count"] for r in box.landed("entrance_counts")) == counter["total"]
    assert all(
        datetime.fromisoformat(r["interval_end"]) - datetime.fromisoformat(r["interval_start"]) > timedelta(0)
        for r in box.landed("entrance_counts")
    )
    print(
        f"\n{sum(world.kills.values())} blows {dict(world.kills)}; acknowledged {[s.acknowledged for s in senders]}, "
        f"answers {[dict(s.answers) for s in senders]}, "
        f"{len(orders)} orders, {len(seen)} visits, {counter['total']} people; {time.monotonic() - started:.0f} s"
    )
