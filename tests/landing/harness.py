"""What tests of shipping and of the landing share: segments, and a landing service over real sockets."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import trustme
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_collector.segment import MANIFEST_SUFFIX, SEGMENT_SUFFIX, pack_segment
from edge_collector.signing import signed_manifest
from venue_assets.home import Home
from venue_assets.landing.limits import Limits
from venue_assets.landing.server import Listening, configuration

DAY = date(2026, 1, 5)
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Sealed:
    """A segment as a spool holds it."""

    id: int
    stream: str
    event_date: str
    name: str
    packed: bytes
    manifest: bytes

    @property
    def place(self) -> str:
        return f"{self.stream}/event_date={self.event_date}/{self.name}"

    def files(self, landing: Path) -> dict[Path, bytes]:
        """What is to lie in a landing."""
        return {
            landing / f"{self.place}{SEGMENT_SUFFIX}": self.packed,
            landing / f"{self.place}{MANIFEST_SUFFIX}": self.manifest,
        }


def sealed(
    first: int = 1,
    rows: int = 3,
    *,
    gateway: str = "gw_1",
    stream: str = "orders",
    text: str = "x",
    key: Ed25519PrivateKey | None = None,
    **changed: Any,
) -> Sealed:
    """A segment of `rows` lines whose numbers begin at `first`; `changed` are fields of its manifest that lie."""
    lines = [f'{{"gateway_id":"{gateway}","seq":{n},"text":"{text}"}}'.encode() for n in range(first, first + rows)]
    manifest, packed = pack_segment(
        stream=stream, event_date=DAY, gateway_id=gateway, boot_id="b1", lines=lines, seqs=range(first, first + rows),
        created_at=datetime(2026, 1, 6, tzinfo=UTC),
    )  # fmt: skip
    name = str(manifest.name)
    manifest = manifest.model_copy(update=changed)
    if key:
        manifest = signed_manifest(manifest, key)
    return Sealed(first, stream, str(DAY), name, packed, manifest.to_bytes())


def with_content(segment: Sealed, packed: bytes) -> Sealed:
    """The same manifest with another segment."""
    return replace(segment, packed=packed)


def landed(landing: Path) -> dict[Path, bytes]:
    """Every file of a landing, unfinished ones included."""
    return {path: path.read_bytes() for path in sorted(landing.rglob("*")) if path.is_file()}


class Authority:
    """A private authority and a server certificate of it for this machine."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        self.ca_file, self.cert, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(self.key))
        self.key.chmod(0o600)

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)


@dataclass(frozen=True)
class Serving:
    """A service that runs."""

    home: Home
    address: str
    authority: Authority

    def client(self, token: str = "", **options: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.address, headers=headers, verify=self.authority.trusting(), **options)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


@contextmanager
def serving(home: Home, authority: Authority, limits: Limits | None = None) -> Iterator[Serving]:
    """The service over TLS on a free port, in a thread of this process."""
    config = configuration(home, Listening(tls_cert=authority.cert, tls_key=authority.key), limits)
    config.timeout_graceful_shutdown = 2
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            yield Serving(home, f"https://127.0.0.1:{listener.getsockname()[1]}", authority)
        finally:
            server.should_exit = True
            thread.join()


class Process:
    """`venue landing` as a process of its own, over TLS."""

    def __init__(self, home: Home, authority: Authority, *, port: int = 0, options: tuple[str, ...] = ()) -> None:
        command = [sys.executable, "-c", "from venue_assets.cli import main; main()", "landing", "--port", str(port)]
        command += ["--tls-cert", str(authority.cert), "--tls-key", str(authority.key), *options]
        environment = {**os.environ, "VENUE_DATA": str(home.root)}
        self._process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout
        for line in self._process.stdout:
            if found := re.search(r"https://127\.0\.0\.1:(\d+)", line):
                self.serving = Serving(home, found[0], authority)
                return
        raise AssertionError(f"the service did not start: {self._process.wait()}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def terminate(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)


def put(client: httpx.Client, segment: Sealed, **headers: str) -> httpx.Response:
    """Send a segment as it is."""
    return client.put(
        f"/landing/{segment.place}",
        content=segment.manifest + segment.packed,
        headers={"Manifest-Length": str(len(segment.manifest)), **headers},
    )


def wait_until(condition: Any, seconds: float = 20) -> None:
    """Until the condition holds. For what happens in other threads and processes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)
