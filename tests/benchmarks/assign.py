"""Which arm a unit gets: how long a screen waits, in a library call and over loopback HTTP, against the bare disk.

    uv run python tests/benchmarks/assign.py

The record of an assignment is flushed before the answer, so no answer is faster than one fsync of this disk. `sqlite`
is that and nothing else: one row inserted and committed (WAL, synchronous=FULL). `new` units are asked for the first
time; `known` ones again, which writes nothing. `bare` is uvicorn, as the gateway serves, with an application that
answers two bytes: what HTTP takes. Questions over HTTP come one by one over one kept connection, written and read as
plain bytes, so that it is the gateway and not the client that is measured. All are asked in turn, some hundred times
each, so that a busy second of the machine hits all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import goal, machine, table

SITE = """
[[venues]]
id = "riverside"
name = "Riverside"
time_zone = "Europe/Berlin"
currency = "EUR"
opened_on = 2026-01-01

[[devices]]
id = "screen"
venue_id = "riverside"
gateway_id = "gw"
stream = "assignments"

[[experiments]]
id = "voucher"
venue_id = "riverside"
kind = "bandit"
unit = "visit"
arms = ["none", "tea", "cake"]
kpi = "conversion"
minimum_effect = 0.1
first_date = {today}
last_date = {today}
"""
ROUND = 250
EDGE = """
[gateway]
id = "gw"
health = "127.0.0.1:{port}"

[landing]
target = "landing"

[allocations]
source = "published"
public_key = "{key}"

[[devices]]
id = "screen"
venue_id = "riverside"
source = "gateway"
"""


def prepare(folder: Path, port: int, users: int) -> None:
    """A gateway with an allocation of a tree of fifteen nodes and many known users."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from edge_collector.allocation import path_of, signed
    from edge_collector.event_time import event_date
    from edge_collector.signing import public_key_text
    from edge_collector.site import load_site

    key = Ed25519PrivateKey.generate()
    site = folder / "site.toml"
    site.write_text(SITE.format(today="2026-01-01"))
    venue = load_site(site).venues[0]
    today = event_date(datetime.now(UTC), venue.time_zone, venue.day_starts_at)
    site.write_text(SITE.format(today=today))
    files = (("edge.toml", EDGE.format(port=port, key=public_key_text(key))), ("pseudonym.key", "0123456789abcdef" * 2))
    for name, content in files:
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
    (folder / "landing").mkdir()
    nodes: list[dict[str, Any]] = []

    def grow(depth: int) -> int:
        number = len(nodes) + 1
        nodes.append({"id": number, "split": None, "children": []})
        if depth:
            nodes[number - 1]["children"] = [grow(depth - 1), grow(depth - 1)]
            nodes[number - 1]["split"] = {"column": "hour", "cut": 8.0 + depth * 3}
        return number

    grow(3)
    leaves = [node["id"] for node in nodes if not node["children"]]
    document = {
        "schema": 1, "experiment_id": "voucher", "allocation_id": "a1", "event_date": str(today), "unit": "visit",
        "arms": ["none", "tea", "cake"], "fixed_shares": [1 / 3] * 3, "floor": 0.05, "seed": 1,
        "tree": {"nodes": nodes}, "shares": {str(n): {"none": 0.2, "tea": 0.3, "cake": 0.5} for n in leaves},
        "leaf_of_user": {f"k1:{n:032x}": leaves for n in range(users)}, "default_leaf": leaves,
    }  # fmt: skip
    path = path_of(folder / "allocations", "voucher", today)
    path.parent.mkdir(parents=True)
    path.write_bytes(signed(document, key))


Ask = Callable[[int], object]
"""Asked with -1 before each round, whose time does not count."""


@contextmanager
def sqlite_commits(folder: Path) -> Iterator[Ask]:
    with closing(sqlite3.connect(folder / "plain.db", isolation_level=None)) as db:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "locking_mode=EXCLUSIVE"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, body TEXT)")
        yield lambda n: db.execute("INSERT INTO records (body) VALUES (?)", ("x" * 300,))


@contextmanager
def library(folder: Path) -> Iterator[Ask]:
    from edge_collector.collector import Collector
    from edge_collector.gateway import load_gateway

    collector = Collector(load_gateway(folder / "edge.toml"))
    assign = collector.assigner.assign
    assert assign("voucher", member_number="first", visit="0").allocation_id == "a1"
    try:
        yield lambda n: assign("voucher", member_number=str(n % 977), visit=f"a{n}")
    finally:
        collector.spool.close()
        collector.health_listener.close()


@contextmanager
def loopback(folder: Path, port: int) -> Iterator[tuple[Ask, int]]:
    """And the process that answers."""
    collecting = "from edge_collector.cli import main; main()"
    with started(collecting, "run", "-c", str(folder / "edge.toml")) as process:
        client = Client(port)

        def ask(n: int) -> None:
            question = {"experiment_id": "voucher", "member_number": str(n % 977), "visit": f"b{n}"}
            client.post(json.dumps(question).encode(), anew=n < 0)

        yield ask, process.pid


BARE = """
import asyncio, sys
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from edge_collector.serving import listen, serve
async def answer(request):
    await request.body()
    return Response(b"{}")
listener = listen("127.0.0.1", int(sys.argv[1]))
print("listening", flush=True)
asyncio.run(serve(Starlette(routes=[Route("/assign", answer, methods=["POST"])]), listener))
"""


@contextmanager
def bare(port: int) -> Iterator[Ask]:
    question = b'{"experiment_id": "voucher", "member_number": "13", "visit": "b13"}'
    with started(BARE, str(port)):
        client = Client(port)
        yield lambda n: client.post(question, anew=n < 0)


@contextmanager
def started(program: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.terminate()
        process.wait()


class Client:
    """One connection that is kept, but not through the rounds of others, which are longer than a server waits."""

    def __init__(self, port: int) -> None:
        self._port = port

    def post(self, body: bytes, *, anew: bool) -> None:
        if anew:
            self._connection = socket.create_connection(("127.0.0.1", self._port))
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"POST /assign HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(body)}\r\n\r\n"
        self._connection.sendall(head.encode() + body)
        answer = self._connection.recv(65536)
        while not answer.endswith(b"}"):
            more = self._connection.recv(65536)
            assert more, answer
            answer += more
        assert answer.startswith(b"HTTP/1.1 200 "), answer


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def cpu_of(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def at(found: list[float], share: float) -> float:
    return found[min(len(found) - 1, int(len(found) * share))] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--users", type=int, default=20_000, help="Known to the allocation.")
    given = parser.parse_args()
    found: dict[str, list[float]] = {}
    cpu = 0.0
    with tempfile.TemporaryDirectory(prefix="venue-bench-", dir=Path.cwd()) as name, ExitStack() as opened:
        folders = [Path(name) / kind for kind in ("library", "served")]
        ports = [free_port() for _ in folders]
        for folder, port in zip(folders, ports, strict=True):
            folder.mkdir()
            prepare(folder, port, given.users)
        over_http, gateway = opened.enter_context(loopback(folders[1], ports[1]))
        in_library = opened.enter_context(library(folders[0]))
        contenders: dict[str, Ask] = {
            "sqlite: insert, commit": opened.enter_context(sqlite_commits(Path(name))),
            "loopback HTTP, bare": opened.enter_context(bare(free_port())),
            "library call, new unit": in_library,
            "loopback HTTP, new unit": over_http,
            "library call, known unit": in_library,
            "loopback HTTP, known unit": over_http,
        }
        for first in range(0, given.count, ROUND):
            for label, ask in contenders.items():
                ask(-1)
                cpu -= cpu_of(gateway) if label == "loopback HTTP, new unit" else 0
                for n in range(first, min(first + ROUND, given.count)):
                    began = time.perf_counter()
                    ask(n)
                    found.setdefault(label, []).append(time.perf_counter() - began)
                cpu += cpu_of(gateway) if label == "loopback HTTP, new unit" else 0
    for times in found.values():
        times.sort()
    plain = found["sqlite: insert, commit"]
    rows = [["", "p50 ms", "p99 ms", "max ms", "p50 / sqlite", "p99 / sqlite"]]
    for label, times in found.items():
        cells = [f"{at(times, share):.3f}" for share in (0.5, 0.99, 1)]
        rows.append([label, *cells, *(f"{at(times, share) / at(plain, share):.2f}" for share in (0.5, 0.99))])
    print(f"{given.count:,} questions each, {given.users:,} users in the allocation; {machine()}\n")
    table(rows)
    print("\nA new unit waits for one fsync of the spool's disk: what that takes is the row of sqlite.")
    print(f"The gateway takes {cpu / given.count * 1e6:.0f} cpu us for a new unit over HTTP.\n")
    met = [
        goal(f"ms at p99, {label}", at(times, 0.99), 1)
        for label, times in found.items()
        if label not in ("sqlite: insert, commit", "loopback HTTP, bare")
    ]
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
