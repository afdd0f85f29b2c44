"""The Dagster UI with its daemon, on the home's own instance."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from venue_assets.graph.instance import prepare
from venue_assets.home import Home


class CannotServe(RuntimeError):
    """The UI cannot be served; the message says why and what to do."""


def dagster_dev(home: Home, *, host: str, port: int, ready: Callable[[], None]) -> int:
    """Serve the UI and run the daemon until Ctrl-C or SIGTERM; returns the exit status.

    `ready` is called when the UI answers. Raises CannotServe where the port is taken, or where another `venue ui`
    serves this home: two daemons would launch every date twice.
    """
    prepare(home)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotServe(f"{host}:{port} cannot be listened on ({error.strerror}); try another --port") from None
    try:
        lock = FileLock(home.dagster / "ui.lock", timeout=0).acquire()
    except Timeout:
        raise CannotServe(f"another venue ui serves {home.root} already; stop it first") from None
    command = [sys.executable, "-W", "ignore", "-m", "dagster", "dev", "-m", "venue_assets.definitions"]
    command += ["-h", host, "-p", str(port), "--log-level", "warning"]
    with lock:
        # Where the command was typed, there may be another project's pyproject.toml; the home has none.
        server = subprocess.Popen(command, cwd=home.dagster, env=_environment())
        signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGINT))
        threading.Thread(target=_announce, args=(server, host, port, ready), daemon=True).start()
        while True:
            try:
                return server.wait()
            except KeyboardInterrupt:
                continue  # the server got it too, and needs a moment to end its children


def _announce(server: subprocess.Popen[bytes], host: str, port: int, ready: Callable[[], None]) -> None:
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/server_info", timeout=2):
                ready()
                return
        except OSError:
            time.sleep(0.5)


def _environment() -> dict[str, str]:
    """The child's environment: it must find this package even where it is run from a checkout."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, "PYTHONPATH": path}
