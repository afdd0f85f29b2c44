"""`venue ui` ends when it is told to, whoever started it and whatever it is doing, and its children end with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import ROOT, empty_home

IN_THE_BACKGROUND = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
"""What a shell without job control does to what it starts with `&`."""
STARTING, READY = "Starting the Dagster UI", "Dagster UI: http"
START = "from venue_assets.cli import main; main()"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def started(home: Path, *, background: bool) -> subprocess.Popen[str]:
    environment = {**os.environ, "VENUE_DATA": str(home), "PYTHONUNBUFFERED": "1"}
    code = IN_THE_BACKGROUND * background + START
    return subprocess.Popen(
        [sys.executable, "-c", code, "ui", "--port", str(free_port())],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def processes_of(home: Path) -> list[str]:
    """Command lines of processes that work on the home."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc to find children")
@pytest.mark.parametrize(
    ("background", "at", "kind"),
    [
        (False, STARTING, signal.SIGINT),
        (True, STARTING, signal.SIGINT),
        (True, READY, signal.SIGINT),
        (True, READY, signal.SIGTERM),
    ],
    ids=["Ctrl-C while starting", "background while starting", "background INT", "background TERM"],
)
def test_ends_when_told_to(tmp_path: Path, at: str, kind: signal.Signals, *, background: bool) -> None:
    home = empty_home(tmp_path / "home")
    process = started(home, background=background)
    assert process.stdout is not None
    said = ""
    while at not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    process.send_signal(kind)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode in (0, 130, -kind), rest
    assert "Traceback" not in said + rest
    assert processes_of(home) == []
