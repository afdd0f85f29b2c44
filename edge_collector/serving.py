"""Serving an ASGI application as one task among others: uvicorn, without its hold on the process and its signals.

Nobody can keep a connection for nothing: whoever does not come to the end of a request's headers, in time and within
some KiB, is sent away, and bodies have a limit of size and time.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEADER_SECONDS: Final = 10.0
_HEADER_BYTES: Final = 64 * 1024


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


class _Impatient(HttpToolsProtocol):
    """uvicorn waits for ever for the headers of a request, and for the rest of one that was refused; this does not.

    Nor does it keep headers that do not end. (uvicorn's other reader of HTTP, h11, has such a limit; it takes 0.15 ms
    more for each request, half of what a screen waits for its answer.)
    """

    header_seconds = _HEADER_SECONDS
    _unread = 0
    """Bytes since the last that made sense: the end of headers, or a piece of a body."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does so for sockets that it made itself; without it every answer waits 40 ms for an acknowledgement.
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._unread > _HEADER_BYTES:
            self.transport.abort()
        self._watch()

    def on_headers_complete(self) -> None:
        self._unread = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        elif not answering and self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.header_seconds, self.transport.abort)


class _Server(uvicorn.Server):
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()  # they are for whoever runs the whole


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises CannotListen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=256)
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
    application: Starlette, listener: socket.socket, *, tls_cert: Path | None = None, tls_key: Path | None = None
) -> None:
    """Serve on `listener` until cancelled; what is under way then is finished first."""
    config = uvicorn.Config(
        application,
        http=_Impatient,
        ws="none",
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
        access_log=False,  # paths can hold tokens
        log_config=None,
        server_header=False,
        lifespan="off",
        limit_concurrency=200,
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
