"""Questions that are answered at once, between two reads of a connection: like all others, only sooner."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from edge_collector import serving
from edge_collector.serving import listen, serve
from tests.edge.collector.box import Box
from tests.edge.collector.desk import ASSIGNED, experiments

Answers = list[tuple[int, bytes]]
IDLE_SECONDS = 0.2
"""After which a connection is closed, in the one test that waits for it."""
MUCH = 20 * 1024**2
"""Bytes: more than two kernels take for somebody who does not read."""


def post(body: bytes, *headers: bytes, path: bytes = b"/quick") -> bytes:
    lines = [b"POST %b HTTP/1.1" % path, b"Host: x", b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


@dataclass
class Line:
    """A connection that is kept."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, *pieces: bytes, answers: int = 1) -> Answers:
        """Status and body of each answer. Between two pieces the other side has read the one before."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            for _ in range(9):  # both sides are of one loop
                await asyncio.sleep(0)
        return [await self._answer() for _ in range(answers)]

    async def _answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
            return int(head.split()[1]), await self.reader.readexactly(size)


async def _told(request: Request) -> Response:
    body = await request.body()
    if body == b"much":
        return PlainTextResponse(b"x" * MUCH)
    if body == b"slow":
        await asyncio.sleep(3 * IDLE_SECONDS)
    return PlainTextResponse(b"at leisure: " + body)


def quick(body: bytes) -> str | None:
    if body == b"fall":
        raise RuntimeError("it fell")
    if body == b"some":
        return json.dumps("x" * 100_000)
    return None if body == b"pass" else json.dumps(f"at once: {body.decode()}")


def served(do: Callable[[Line], Awaitable[None]]) -> None:
    """`/quick` is answered at once, or by the application, which says so."""

    async def main() -> None:
        async with line() as opened:
            await do(opened)

    asyncio.run(main())


@asynccontextmanager
async def line() -> AsyncIterator[Line]:
    listener = listen("127.0.0.1", 0)
    application = Starlette(routes=[Route(path, _told, methods=["POST"]) for path in ("/quick", "/other")])
    working = asyncio.ensure_future(serve(application, listener, at_once={"/quick": quick}))
    opened = Line(*await asyncio.open_connection("127.0.0.1", listener.getsockname()[1]))
    try:
        yield opened
    finally:
        opened.writer.close()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


CHUNKED = b"POST /quick HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
QUESTIONS: dict[str, tuple[Iterable[bytes], list[bytes]]] = {
    "one": ([post(b"a")], [b'"at once: a"']),
    "empty": ([post(b"")], [b'"at once: "']),
    "chunks": ([CHUNKED], [b'"at once: abc"']),
    "one after the other": ([post(b"a"), post(b"b")], [b'"at once: a"', b'"at once: b"']),
    "two in one piece": ([post(b"a") + post(b"b")], [b'"at once: a"', b"at leisure: b"]),
    "of an old client": ([post(b"a", b"Connection: keep-alive").replace(b"/1.1", b"/1.0")], [b"at leisure: a"]),
    "another path": ([post(b"a", path=b"/other")], [b"at leisure: a"]),
    "one that it does not answer": ([post(b"pass")], [b"at leisure: pass"]),
    "one over which it falls": ([post(b"fall")], [b"at leisure: fall"]),
    "headers, then the body": ([post(b"abc")[:-3], b"abc"], [b"at leisure: abc"]),
    "letter by letter": ([bytes([letter]) for letter in post(b"abc")], [b"at leisure: abc"]),
    "half of the next one": ([post(b"a") + post(b"bc")[:-1], b"c"], [b'"at once: a"', b"at leisure: bc"]),
    "behind one at leisure": ([post(b"pass") + post(b"b")], [b"at leisure: pass", b"at leisure: b"]),
    "the last one": ([post(b"a", b"Connection: close")], [b"at leisure: a"]),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_each_question_has_its_answer_in_its_order(name: str) -> None:
    pieces, expected = QUESTIONS[name]

    async def do(line: Line) -> None:
        assert await line.ask(*pieces, answers=len(expected)) == [(200, body) for body in expected]

    served(do)


def test_a_connection_is_not_idle_while_somebody_is_answered_at_leisure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.uvicorn, "Config", partial(uvicorn.Config, timeout_keep_alive=IDLE_SECONDS))

    async def do(line: Line) -> None:
        answers = await line.ask(post(b"a") + post(b"slow", path=b"/other"), answers=2)
        assert answers == [(200, b'"at once: a"'), (200, b"at leisure: slow")]

    served(do)


def test_who_waits_for_leave_to_send_gets_it() -> None:
    async def do(line: Line) -> None:
        line.writer.write(post(b"abc", b"Expect: 100-continue")[:-3])
        assert await line.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert await line.ask(b"abc") == [(200, b"at leisure: abc")]

    served(do)


def test_what_is_no_request_ends_the_connection() -> None:
    async def do(line: Line) -> None:
        line.writer.write(CHUNKED[:-20] + b"nonsense\r\n")
        assert (await line.reader.read()).startswith(b"HTTP/1.1 400")

    served(do)


def test_who_goes_on_asking_is_heard_and_who_stops_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving._Impatient, "header_seconds", 1.5)

    async def do(line: Line) -> None:
        asked_until = asyncio.get_running_loop().time() + 2.5
        while asyncio.get_running_loop().time() < asked_until:
            assert await line.ask(post(b"a")) == [(200, b'"at once: a"')]
        async with asyncio.timeout(10):
            assert await line.reader.read() == b""

    served(do)


UNREAD = {
    "at once": [post(b"some")] * (MUCH // 100_000),
    "at leisure": [2 * post(b"much", path=b"/other")],
    "the last one": [post(b"much", b"Connection: close", path=b"/other")],
}


@pytest.mark.parametrize("name", UNREAD)
def test_who_does_not_take_the_answers_gets_no_more_and_is_sent_away(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = 0

    def counted(body: bytes) -> str | None:
        nonlocal told
        told += 1
        return at_once(body)

    at_once = quick
    monkeypatch.setattr(f"{__name__}.quick", counted)
    monkeypatch.setattr(serving._Impatient, "header_seconds", 0.5)

    async def do(line: Line) -> None:
        with suppress(ConnectionError):
            await line.ask(*UNREAD[name], answers=0)
            async with asyncio.timeout(10):
                while not line.writer.transport.is_closing():  # nothing is read: whoever writes hears of the end
                    line.writer.write(b"P")
                    await asyncio.sleep(0.02)

    served(do)
    assert told < 0.8 * len(UNREAD["at once"])


def test_a_screen_is_told_the_same_whether_the_spool_is_at_work_or_not(tmp_path: Path) -> None:
    box = Box(tmp_path).write(ASSIGNED, experiments(datetime.now(UTC).date() - timedelta(days=1)))

    def question(visit: str) -> bytes:
        asked = {"experiment_id": "voucher", "member_number": "13085", "visit": visit}
        return post(json.dumps(asked).encode(), path=b"/assign")

    async def main() -> None:
        async with box.running() as collector:
            screen = Line(*await asyncio.open_connection(*collector.health_listener.getsockname()[:2]))
            at_once = await screen.ask(question("1"))
            held = Event()
            collector.spool._submit(held.wait)
            asking = asyncio.ensure_future(screen.ask(question("1") + question("2"), answers=2))
            while not collector.spool._waiting:
                await asyncio.sleep(0)
            assert not asking.done()  # nobody is told what is not durable
            held.set()
            again, new = await asking
            assert [again] == at_once
            assert await screen.ask(question("2")) == [new]
            assert collector.tally.captured["assign", "assignments"] == 2
            screen.writer.close()

    asyncio.run(main())
    assert len(box.landed("assignments")) == 2
