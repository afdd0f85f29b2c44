"""Serving an ASGI application as one task among others: uvicorn, without its hold on the process and its signals.

Nobody can keep a connection for nothing: whoever does not come to the end of a request's headers, in time and within
some KiB, is sent away, and so is who asks and asks and does not take the answers; bodies have a limit of size and time.

What a screen waits for can be answered `AtOnce`, without a task and an application between the question and its answer:
they take two thirds of what HTTP takes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEADER_SECONDS: Final = 10.0
_HEADER_BYTES: Final = 64 * 1024
_ANSWERED: Final = 200
"""Connections; of more, a request is answered with 503."""
_KEPT: Final = 2 * _ANSWERED
"""Connections; of more, none is heard, for each is one of the files that a process may have open, and under TLS takes
0.3 MB before anybody knows who it is."""
_OF_ONE: Final = _ANSWERED // 2
"""Connections from one address: whoever has gone mad there leaves room for the others."""
_AHEAD: Final = 32
"""Requests that may wait on a connection for the one before them. Nobody sends so many but to fill the memory: one read
can hold fifteen thousand."""


AtOnce = Callable[[bytes], str | None]
"""The JSON that answers the body of a POST, which is all there. Where it returns None, or raises, the application is
asked, and says what is wrong."""


class CannotListen(RuntimeError):
    """The address, or the certificate, is not to be had. The message says what to do."""


class BodyRefused(Exception):
    """A body that is too long or too slow; `status` is the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_body(request: Request, most: int, seconds: float) -> bytes:
    """The body, as long as it is not too long, nor too slow. Raises BodyRefused, ClientDisconnect."""
    parts, size, more = [], 0, True
    try:
        async with asyncio.timeout(seconds):
            while more:
                message = await request.receive()  # as request.stream() does, without its generator
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                part, more = message.get("body", b""), message.get("more_body", False)
                size += len(part)
                if size > most:
                    raise BodyRefused(413, f"more than {most} bytes are given; send less at a time")
                parts.append(part)
    except TimeoutError:
        raise BodyRefused(408, f"the body took longer than {seconds:g} s; send it again") from None
    return b"".join(parts)


class FewAhead(HttpToolsProtocol):
    """uvicorn reads ahead whatever comes and keeps it in memory; this refuses who does not wait for answers."""

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= _AHEAD:
            raise ConnectionAbortedError("too many requests wait on this connection")  # uvicorn answers 400
        super().on_headers_complete()


class _Impatient(FewAhead):
    """uvicorn waits for ever for the headers of a request, for the rest of one that was refused, and for somebody to
    take answers; this does not.

    Nor does it keep headers that do not end. (uvicorn's other reader of HTTP, h11, has such a limit; it takes 0.15 ms
    more for each request, half of what a screen waits for its answer.)
    """

    header_seconds = _HEADER_SECONDS
    _unread = 0
    """Bytes since the last that made sense: the end of headers, or a piece of a body."""
    _deadline: asyncio.TimerHandle | None = None
    _held: bytes | None = None
    """As much of the body as there is, of a request that the application has not been told of."""
    _told = False
    """Whether a request of this read was answered at once. Others behind it wait: nobody else would get his turn."""

    def __init__(self, *given: Any, at_once: Mapping[bytes, AtOnce], **more: Any) -> None:
        super().__init__(*given, **more)
        self._at_once = at_once

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does so for sockets that it made itself; without it every answer waits 40 ms for an acknowledgement.
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        self._told = False
        super().data_received(data)
        if self._held is not None and not self.transport.is_closing():
            self._hand_over()  # its body comes in pieces
        if self._unread > _HEADER_BYTES:
            self.transport.abort()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._rest()
        self._watch()

    def on_headers_complete(self) -> None:
        self._unread = 0
        self._unset_keepalive_if_required()  # wound up by an answer to what came in the same read
        if (
            self.url in self._at_once
            and not self._told
            and self.parser.get_http_version() == "1.1"
            and self.parser.get_method() == b"POST"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and not self._answering()
            and not self.flow.write_paused
        ):
            self._held = b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        if self._held is not None:
            self._held += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._held is not None:
            answer = None
            with suppress(Exception):  # the application comes to the same, and says so
                answer = self._at_once[self.url](self._held)
            if answer is not None:
                self._tell(answer.encode())
                return
            self._hand_over()
        super().on_message_complete()

    def _hand_over(self) -> None:
        """To the application, what it has not been told of."""
        assert self._held is not None
        body, self._held = self._held, None
        super().on_headers_complete()
        if body:
            super().on_body(body)

    def _tell(self, answer: bytes) -> None:
        self._held, self._told = None, True
        headers = b"".join(b"%b: %b\r\n" % header for header in self.server_state.default_headers)
        kind = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
        self.transport.write(b"".join((b"HTTP/1.1 200 OK\r\n", headers, kind, answer)))
        self._rest()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        if self._answering() and not self.flow.write_paused:
            self._rest()
        elif self._deadline is None:  # also of one that is closed as soon as its last answer is taken
            self._deadline = self.loop.call_later(self.header_seconds, self.transport.abort)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Listener(socket.socket):
    """One that hangs up on whoever comes while too many are there."""

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(listening.family, listening.type, listening.proto, listening.detach())
        self._here = WeakKeyDictionary[socket.socket, str]()

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        here = [of for other, of in self._here.items() if other.fileno() >= 0]
        if len(here) >= _KEPT or here.count(address[0]) >= _OF_ONE:
            connection.close()
            raise ConnectionAbortedError("too many connections")  # asyncio asks for the next one
        self._here[connection] = address[0]
        return connection, address


class _Server(uvicorn.Server):
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()  # they are for whoever runs the whole


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises CannotListen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _Listener(socket.create_server(address[:2], family=family, backlog=256))
    except OSError as error:
        # socket.create_server adds to the reason what the message says anyway.
        why = error.strerror if isinstance(error, socket.gaierror) or not error.errno else os.strerror(error.errno)
        raise CannotListen(
            f"{host}:{port} cannot be listened on ({why}); choose another gateway.health or http.listen in edge.toml"
        ) from None


def expect_certificate(tls_cert: Path, tls_key: Path) -> None:
    """Raises CannotListen unless the two are a certificate and its key."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tls_cert, tls_key, password=lambda: "")
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise CannotListen(
            f"{tls_cert} and {tls_key} are no certificate and its key, PEM without a password ({why})"
        ) from None


async def serve(
    application: Starlette,
    listener: socket.socket,
    *,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    at_once: Mapping[str, AtOnce] | None = None,
) -> None:
    """Serve on `listener` until cancelled; what is under way then is finished first. `at_once` is by path."""
    quick = {path.encode(): answer for path, answer in (at_once or {}).items()}
    config = uvicorn.Config(
        application,
        http=partial(_Impatient, at_once=quick),  # type: ignore[arg-type]
        ws="none",
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
        access_log=False,  # paths can hold tokens
        log_config=None,
        server_header=False,
        lifespan="off",
        limit_concurrency=_ANSWERED,
        timeout_graceful_shutdown=1,  # what was not answered is sent again
    )
    server = _Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
