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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from venue_assets.cli import disk
from venue_assets.graph.instance import prepare
from venue_assets.home import Home

_LOOK_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 10.0
"""How long the server has to end in order; Dagster itself would wait for its children for two minutes."""


class CannotServe(RuntimeError):
    """The UI cannot be served; the message says why and what to do."""


def dagster_dev(home: Home, *, host: str, port: int, ready: Callable[[], None]) -> int:
    """Serve the UI and run the daemon until Ctrl-C or SIGTERM; returns the exit status.

    `ready` is called when the UI answers. Raises CannotServe where the port is taken, or where another `venue ui`
    serves this home: two daemons would launch every date twice.
    """
    prepare(home)
    if why := disk.trouble(home.dagster):
        raise CannotServe(disk.unwritable(home.dagster, why))
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
    with lock, _stop_signals() as asked:
        # Where the command was typed, there may be another project's pyproject.toml; the home has none.
        # In a session of its own it and its children can be ended together, and Ctrl-C reaches it through us only.
        server = subprocess.Popen(command, cwd=home.dagster, env=_environment(), start_new_session=True)
        answers = threading.Event()
        threading.Thread(target=_announce, args=(server, host, port, ready, answers), daemon=True).start()
        try:
            while server.poll() is None and not asked.wait(_LOOK_SECONDS):
                pass
            if asked.is_set() and answers.is_set():
                server.terminate()  # what is still loading would only complain; there is nothing to wait for yet
                with suppress(subprocess.TimeoutExpired):
                    server.wait(_PATIENCE_SECONDS)
            return 0 if asked.is_set() else server.returncode
        finally:
            _kill_group(server)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that is set when the command is to stop.

    A handler is installed also where SIGINT was ignored from the start, as shells have it for what they start in the
    background: a child would inherit that and could not be stopped at all.
    """
    asked = threading.Event()
    kinds = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {kind: signal.signal(kind, lambda *_: asked.set()) for kind in kinds}
    try:
        yield asked
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _kill_group(server: subprocess.Popen[bytes]) -> None:
    """What is left of the server's session. A run that is cut off here is computed again by `venue rerun --failed`."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _announce(
    server: subprocess.Popen[bytes], host: str, port: int, ready: Callable[[], None], answers: threading.Event
) -> None:
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/server_info", timeout=2):
                answers.set()
                ready()
                return
        except OSError:
            time.sleep(0.5)


def _environment() -> dict[str, str]:
    """The child's environment: it must find this package even where it is run from a checkout."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, "PYTHONPATH": path}
