"""Serving an ASGI application as one task among others: uvicorn, without its hold on the process and its signals."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import uvicorn
from starlette.applications import Starlette


class CannotListen(RuntimeError):
    """The address is not to be had. The message says what to do."""


class _Server(uvicorn.Server):
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()  # they are for whoever runs the whole


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises CannotListen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=256)
    except OSError as error:
        raise CannotListen(
            f"{host}:{port} cannot be listened on ({error.strerror}); choose another in edge.toml"
        ) from None


async def serve(
    application: Starlette, listener: socket.socket, *, tls_cert: Path | None = None, tls_key: Path | None = None
) -> None:
    """Serve on `listener` until cancelled; what is under way then is finished first."""
    config = uvicorn.Config(
        application,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
        access_log=False,  # paths can hold tokens
        log_config=None,
        server_header=False,
        lifespan="off",
        limit_concurrency=200,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
