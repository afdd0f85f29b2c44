"""The listeners among people who mean no good: nobody holds them up, nobody gets in, and every answer is a sentence."""

from __future__ import annotations

import asyncio
import os
import resource
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families

from edge_collector import serving
from edge_collector.allocation_fetch import AllocationFetcher
from edge_collector.collector import Collector
from edge_collector.intake import Receipt
from edge_collector.serving import listen, serve
from edge_collector.sources import http
from tests.edge.allocations import KEY
from tests.edge.collector.box import Box, device
from tests.edge.collector.desk import ALLOCATED, allocate, experiments
from tests.edge.collector.test_crash import order

EDGE = device("till", "http") + device("terminal", "zkteco", serial="ZK1") + device("gateway", "gateway")
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSING = GET.replace(b"Host", b"Connection: close\r\nHost")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path).write(EDGE)


class Door:
    """One address of a gateway at work."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    async def connect(self, address: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))

    async def send(self, *parts: bytes) -> bytes:
        """What comes back, until the other side has enough or says nothing for a while."""
        reader, writer = await self.connect()
        answer = b""
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            async with asyncio.timeout(2):
                while data := await reader.read(65536):
                    answer += data
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
        return answer

    async def is_well(self) -> bool:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            return (await client.get(f"{self.url}/nowhere")).status_code == 404


def attack(box: Box, do: Callable[[Door, Door, Collector], Awaitable[None]]) -> None:
    """Both listeners of a collector, each answering as before when the attack is over."""

    async def main() -> None:
        async with box.running() as collector:
            assert collector.http_listener is not None
            doors = [Door(s.getsockname()[1]) for s in (collector.http_listener, collector.health_listener)]
            await do(doors[0], doors[1], collector)
            assert [await door.is_well() for door in doors] == [True, True]

    asyncio.run(main())


@asynccontextmanager
async def listening(box: Box, **more: Any) -> AsyncIterator[Door]:
    """The HTTP listener alone, with other patience."""

    async def take(source: str, readings: Any) -> Receipt:
        return Receipt(len(readings), 0, {})

    listener = listen("127.0.0.1", 0)
    door = Door(listener.getsockname()[1])
    working = asyncio.ensure_future(serve(http.application(box.gateway(), take, **more), listener))
    try:
        yield door
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def hears_the_end(reader: asyncio.StreamReader) -> None:
    """Return when the other side has ended the connection, in whatever way."""
    with suppress(ConnectionError):
        while await reader.read(4096):
            pass


# Holding up -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [b"", b"GET /health HT", GET[:-2] + b"X-A: b\r\n"], ids=["silent", "line", "headers"])
def test_headers_that_do_not_end(box: Box, monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    monkeypatch.setattr(serving._Impatient, "header_seconds", 0.3)

    async def do(posting: Door, health: Door, _: Collector) -> None:
        for door in (posting, health):
            reader, writer = await door.connect()
            writer.write(start)
            async with asyncio.timeout(10):
                await asyncio.gather(trickle(writer, bool(start)), hears_the_end(reader))
            writer.close()

    async def trickle(writer: asyncio.StreamWriter, some: bool) -> None:
        with suppress(ConnectionError):
            while some and not writer.transport.is_closing():
                writer.write(b"X")
                await writer.drain()
                await asyncio.sleep(0.02)

    attack(box, do)


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /", b"a" * 4096),
        (b"GET /health HTTP/1.1\r\nX-A: ", b"a" * 4096),
        (b"GET /health HTTP/1.1\r\n", b"X-A: b\r\n" * 512),
        (b"POST /assign HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * 4096),
        (GET, GET[:-2] + b"X-A: " + b"a" * 200_000),
    ],
    ids=["path", "header", "headers", "chunk", "second request"],
)
def test_headers_without_an_end_are_not_kept(box: Box, start: bytes, more: bytes) -> None:
    async def do(posting: Door, health: Door, _: Collector) -> None:
        for door in (posting, health):
            reader, writer = await door.connect()
            listening = asyncio.ensure_future(hears_the_end(reader))
            sent = 0
            with suppress(ConnectionError):
                writer.write(start)
                while not listening.done() and sent < 1024**2:
                    writer.write(more)
                    sent += len(more)
                    await writer.drain()
                    await asyncio.sleep(0)
            async with asyncio.timeout(5):
                await listening
            assert sent < 1024**2
            writer.close()

    attack(box, do)


def test_a_connection_that_was_kept_is_not_kept_for_ever(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving._Impatient, "header_seconds", 0.3)

    async def do(_: Door, health: Door, __: Collector) -> None:
        reader, writer = await health.connect()
        writer.write(GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.write(GET[:20])  # half of a second request
        async with asyncio.timeout(10):
            await hears_the_end(reader)
        writer.close()

    attack(box, do)


def test_more_connections_than_there_is_room_for(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_OF_ONE", 1000)

    async def do(posting: Door, health: Door, _: Collector) -> None:
        for door in (posting, health):
            idle = [await door.connect() for _ in range(230)]
            assert (await door.send(CLOSING)).startswith(b"HTTP/1.1 503")
            for _, writer in idle:
                writer.close()
            async with asyncio.timeout(10):  # they are gone, and there is room again
                while (await door.send(CLOSING)).startswith(b"HTTP/1.1 503"):
                    pass

    attack(box, do)


def test_those_who_say_nothing_give_their_room_back(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving._Impatient, "header_seconds", 0.3)
    monkeypatch.setattr(serving, "_OF_ONE", 1000)

    async def do(posting: Door, health: Door, _: Collector) -> None:
        for door in (posting, health):
            idle = [await door.connect() for _ in range(230)]
            async with asyncio.timeout(10):
                await asyncio.gather(*(hears_the_end(reader) for reader, _ in idle))
            assert not (await door.send(CLOSING)).startswith(b"HTTP/1.1 503")
            for _, writer in idle:
                writer.close()

    attack(box, do)


def test_many_more_connections_are_not_even_heard(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may have so many files open, and needs some for itself."""
    monkeypatch.setattr(serving, "_KEPT", 20)

    async def do(posting: Door, health: Door, _: Collector) -> None:
        for door in (posting, health):
            await expect_kept(door, 20)

    attack(box, do)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere this machine has one address")
def test_one_address_leaves_room_for_the_others(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_OF_ONE", 20)

    async def do(posting: Door, health: Door, _: Collector) -> None:
        for door in (posting, health):
            reader, writer = await door.connect("127.0.0.2")
            await expect_kept(door, 20)
            writer.write(GET)
            assert (await reader.readline()).startswith(b"HTTP/1.1 ")
            writer.close()

    attack(box, do)


async def expect_kept(door: Door, kept: int) -> None:
    """Of those who connect and say nothing, the first are kept for a while and the others are sent away at once."""
    opened = [await door.connect() for _ in range(kept + 10)]
    async with asyncio.timeout(5):
        await asyncio.gather(*(hears_the_end(reader) for reader, _ in opened[kept:]))
    assert not any(reader.at_eof() for reader, _ in opened[:kept])
    for _, writer in opened:
        writer.close()
    async with asyncio.timeout(5):
        while not await door.send(CLOSING):
            pass  # the other side has not heard yet that they are gone


def test_without_a_file_to_spare_it_goes_on(tmp_path: Path) -> None:
    """Who opens them all is perhaps another part of this process."""
    box = Box(tmp_path).write(EDGE + device("screen", "gateway") + ALLOCATED, experiments(datetime.now(UTC).date()))
    allocate(box)

    async def do(posting: Door, _: Door, collector: Collector) -> None:
        async with httpx.AsyncClient(base_url=posting.url, trust_env=False) as client:
            assert (await client.post("/readings/riverside/till", json=order(1))).status_code == 200
            with no_more_files():
                await collector._watch_spool()
                assert (
                    await AllocationFetcher(
                        collector.gateway, tmp_path / "allocations", KEY.public_key(), collector.clock, collector.tally
                    ).fetch()
                    == 0
                )
                assert (await client.post("/readings/riverside/till", json=order(2))).status_code == 200
                assert await collector.seal(everything=True) > 0

    attack(box, do)
    assert len(box.landed("orders")) == 2


@contextmanager
def no_more_files() -> Iterator[None]:
    """Within, this process has as many files open as it may."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as opened:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[0]), before[1]))
        with suppress(OSError):
            while True:
                opened.enter_context(Path(os.devnull).open("rb"))
        yield


def test_requests_do_not_wait_by_the_thousand(box: Box) -> None:
    """Each takes 6 KiB, and a read of a connection holds fifteen thousand."""

    async def do(posting: Door, health: Door, _: Collector) -> None:
        for door in (posting, health):
            assert (await door.send(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n" * 3000)).count(b" 404 ") < 100

    attack(box, do)


def test_a_body_that_does_not_end(box: Box) -> None:
    async def main() -> None:
        async with listening(box, body_seconds=0.3) as door:
            head = b"POST /readings/riverside/till HTTP/1.1\r\nHost: x\r\n"
            slow = await door.send(head + b"Content-Length: 100\r\n\r\n{")
            assert slow.startswith(b"HTTP/1.1 408")
            chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
            assert (await door.send(chunked + b"1\r\n{\r\n")).startswith(b"HTTP/1.1 408")
            megabyte = b"100000\r\n" + b" " * 2**20 + b"\r\n"
            assert b" 413 " in await door.send(chunked, *[megabyte] * 20) or await door.is_well()
            assert await door.is_well()

    asyncio.run(main())


def test_headers_without_measure(box: Box) -> None:
    async def do(posting: Door, health: Door, _: Collector) -> None:
        for door in (posting, health):
            for huge in (
                b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 30_000 + b"\r\n",
            ):
                assert (await door.send(huge))[:12] in (b"HTTP/1.1 400", b"")

    attack(box, do)


def test_questions_and_commands_that_are_too_long(box: Box) -> None:
    async def do(_: Door, health: Door, __: Collector) -> None:
        head = b"POST /assign HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert b" 413 " in await health.send(head, b"10000\r\n" + b" " * 2**16 + b"\r\n")

    attack(box, do)


# Getting in -----------------------------------------------------------------------------------------------------------

ODD_PATHS = [
    b"/readings/riverside/%ff%fe", b"/readings/%00/till", b"/readings/../../etc/passwd", b"/../spool.db",
    b"/readings/riverside/till/../gateway", b"/%2e%2e/%2e%2e/etc/passwd", b"//readings//riverside//till",
    b"/with/readings/riverside/gateway", b"/hikvision/%F0%28%8C%28", b"/iclock/cdata?SN=%ff&table=%ff",
    b"/iclock/cdata?SN=ZK1%00", b"/readings/riverside/till%2f..%2fgateway", b"*", b"http://elsewhere/health",
]  # fmt: skip


@pytest.mark.parametrize("path", ODD_PATHS, ids=lambda path: path.decode("latin-1"))
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_odd_paths(box: Box, path: bytes, method: bytes) -> None:
    async def main() -> None:
        async with listening(box) as door:
            request = method + b" " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
            answer = await door.send(request)
            assert answer[9:12] in (b"400", b"401", b"404", b"405"), answer
            assert b"Traceback" not in answer
            assert b"root:" not in answer

    asyncio.run(main())


BROKEN = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /assign HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "length, chunks": b"POST /assign HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "negative length": b"POST /assign HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
    "bad chunk": b"POST /assign HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "upgrade": b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_requests(box: Box, name: str) -> None:
    async def do(posting: Door, health: Door, _: Collector) -> None:
        for door in (posting, health):
            answer = await door.send(BROKEN[name].replace(b"Host", b"Connection: close\r\nHost", name != "upgrade"))
            assert answer[:9] in (b"HTTP/1.1 ", b"")
            assert b" 500 " not in answer[:20]

    attack(box, do)


def test_odd_credentials(box: Box) -> None:
    box.secret("till.token", "sesame")
    text = (box.root / "edge.toml").read_text()
    box.secret("edge.toml", text.replace('source = "http"', 'source = "http"\ntoken_file = "till.token"'))

    async def main() -> None:
        async with listening(box) as door:
            for shown in (
                b"Bearer",
                b"Bearer ",
                b"Basic !!",
                b"Basic \xff\xfe",
                b"bearer sesam",
                b"Digest sesame",
                b"\xe9",
            ):
                head = (
                    b"POST /readings/riverside/till HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + shown
                )
                assert (await door.send(head + b"\r\nContent-Length: 2\r\n\r\n{}"))[9:12] == b"401", shown
            for path in (b"/with//readings/riverside/till", b"/with/%ff/readings/riverside/till"):
                request = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
                assert (await door.send(request))[9:12] in (b"401", b"404")

    asyncio.run(main())


def test_beyond_loopback_there_is_tls_and_a_token(tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    box = Box(tmp_path).write(device("till", "http", token_file="till.token") + device("gateway", "gateway"))
    box.secret("till.token", "sesame")
    box.secret("key.pem", made.private_key_pem.bytes().decode())
    box.secret("cert.pem", b"".join(blob.bytes() for blob in made.cert_chain_pems).decode())
    text = (tmp_path / "edge.toml").read_text()
    tls = 'listen = "0.0.0.0:0"\ntls_cert = "cert.pem"\ntls_key = "key.pem"'
    box.secret("edge.toml", text.replace('listen = "127.0.0.1:0"', tls))
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def main() -> None:
        async with box.running() as collector:
            assert collector.http_listener is not None
            assert collector.health_listener.getsockname()[0] == "127.0.0.1"
            port = collector.http_listener.getsockname()[1]
            async with httpx.AsyncClient(verify=context, trust_env=False) as client:
                path = f"https://localhost:{port}/readings/riverside/till"
                assert (await client.post(path, json=order(1))).status_code == 401
                bearer = {"Authorization": "Bearer sesame"}
                assert (await client.post(path, json=order(1), headers=bearer)).json()["written"] == 1
                for where in ("/health", "/metrics", "/assign"):
                    assert (await client.get(f"https://localhost:{port}{where}")).status_code == 404
            assert not (await Door(port).send(GET)).startswith(b"HTTP/1.1 200")  # in the clear

    asyncio.run(main())
    assert len(box.landed("orders")) == 1


# Metrics --------------------------------------------------------------------------------------------------------------


def test_metrics_are_what_prometheus_reads(box: Box) -> None:
    found: dict[str, dict[tuple[str, ...], float]] = {}

    async def do(posting: Door, health: Door, collector: Collector) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            for n in range(3):
                await client.post(f"{posting.url}/readings/riverside/till", json=order(n))
            await client.post(f"{posting.url}/readings/riverside/till", json={"orders": [{"id": "x"}]})
            collector.tally.alarms['a "strange"\n subject'] = 'and a "reason"\\'
            collector.tally.battery['a "venue"\n\\', "ü"] = 7
            answer = await client.get(f"{health.url}/metrics")
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            state = await client.get(f"{health.url}/health")
            assert (state.status_code, state.json()["status"]) == (503, "alarm")
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(v for _, v in sorted(sample.labels.items()))] = sample.value

    attack(box, do)
    assert found["edge_records_total"]["http", "orders"] == 3
    assert found["edge_refused_total"] == {("bad_entry", "http"): 1}
    assert found["edge_battery_percent"]["ü", 'a "venue"\n\\'] == 7
    assert found["edge_alarms"][()] == 1
    assert found["edge_clock_synced"][()] == 1
    assert ("till", "riverside") in found["edge_last_seen_timestamp_seconds"]
    assert found["edge_spool_records"][()] + found["edge_spool_segment_rows"][()] >= 3
