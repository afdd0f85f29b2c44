"""Sockets, TLS and signals of the landing service."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import uvicorn

from edge_collector.serving import FewAhead
from venue_assets.home import Home
from venue_assets.landing.limits import Limits
from venue_assets.landing.service import application

_KEEP_ALIVE: Final = 90
"""Seconds; longer than gateways wait between two segments, so that they need no new handshake for each."""
_GRACE: Final = 10
_CONNECTIONS: Final = 1000


class CannotListen(RuntimeError):
    """The service cannot be served like this; the message says why and what to do."""


@dataclass(frozen=True)
class Listening:
    """Where the service listens, and how it shows that it is itself."""

    host: str = "127.0.0.1"
    port: int = 8300
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False


def serve(home: Home, where: Listening, ready: Callable[[str], None], limits: Limits | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C; what is under way then is finished first. `ready` gets the address.

    Raises CannotListen.
    """
    _expect_safe(where)
    with _listen(where) as listener:
        server = uvicorn.Server(configuration(home, where, limits))
        # After its orderly end uvicorn raises the signal once more; to have been asked to end is no failure.
        before = {kind: signal.signal(kind, lambda *_: None) for kind in (signal.SIGTERM, signal.SIGINT)}
        try:
            host, port = listener.getsockname()[:2]
            name = f"[{host}]" if ":" in host else host
            ready(f"{'https' if where.tls_cert else 'http'}://{name}:{port}")
            server.run(sockets=[listener])
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)


def configuration(home: Home, where: Listening, limits: Limits | None = None) -> uvicorn.Config:
    """How uvicorn serves it."""
    return uvicorn.Config(
        application(home, limits),
        http=FewAhead,
        ssl_certfile=where.tls_cert,
        ssl_keyfile=where.tls_key,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
        limit_concurrency=_CONNECTIONS,
    )


def _expect_safe(where: Listening) -> None:
    """Raises CannotListen where tokens would travel readably, or the key of the certificate lies open."""
    if (where.tls_cert is None) != (where.tls_key is None):
        raise CannotListen("--tls-cert and --tls-key are expected together")
    if where.tls_cert is None and not where.insecure and not _is_loopback(where.host):
        raise CannotListen(
            f"--host {where.host} is given without TLS; beyond this machine --tls-cert and --tls-key are expected, or "
            "--insecure where a proxy in front of it does TLS"
        )
    if where.tls_cert is None or where.tls_key is None:
        return
    if os.name == "posix" and stat.S_IMODE(where.tls_key.stat().st_mode) & 0o007:
        raise CannotListen(f"{where.tls_key} can be read by others; run: chmod o= {where.tls_key}")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(where.tls_cert, where.tls_key)
    except ssl.SSLError as error:
        raise CannotListen(
            f"{where.tls_cert} and {where.tls_key} are no certificate and its key, PEM ({error.reason})"
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(where: Listening) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
        # Connections inherit it. asyncio sees to it only for sockets that it made itself, and without it every answer
        # waits 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise CannotListen(
            f"{where.host}:{where.port} cannot be listened on ({error.strerror}); try another --host or --port"
        ) from None
