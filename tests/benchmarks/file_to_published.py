"""From a landed file to a publication that holds its date: `venue ui` with its daemon and sensor, a date at a time.

    uv run --group bench python tests/benchmarks/file_to_published.py

Measured from the rename of the date's last manifest to the moment in which `published/current` lists the date.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import psutil
from measure import goal, machine, table

FIRST = date(2026, 1, 5)
SITE = Path(__file__).resolve().parents[2] / "data" / "site.toml"
POLL = 0.05
PATIENCE = 120


@contextmanager
def serving(root: Path) -> Iterator[None]:
    """`venue ui` over a home, in a process group of its own, until the end of the context; nothing of it stays."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "VENUE_DATA": str(root), "PYTHONWARNINGS": "ignore"}
    environment.pop("DAGSTER_HOME", None)
    command = [sys.executable, "-c", "from venue_assets.cli import main; main()", "ui", "--port", str(port)]
    log = root / "ui.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _until(lambda: _answers(port), server, log)
        yield
    finally:
        _end(server)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=2):
            return True
    except OSError:
        return False


def _until(happened: Callable[[], bool], server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.time() + PATIENCE
    while time.time() < deadline and server.poll() is None:
        if happened():
            return
        time.sleep(POLL)
    raise TimeoutError(f"nothing within {PATIENCE} s; the log ends with:\n{log.read_text()[-2000:]}")


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ends the server and every process that it started, wherever those moved to."""
    try:
        family = psutil.Process(server.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)


def land(prepared: Path, landing: Path, day: date) -> float:
    """Moves one date into the landing, segments before manifests; returns when the last manifest was there.

    Files are as old as their arrival, as those that a gateway ships: the sensor waits until they have lain still.
    """
    files = sorted(prepared.glob(f"*/event_date={day}/*"), key=lambda path: path.name.endswith(".manifest.json"))
    for path in files:
        target = landing / path.relative_to(prepared)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.replace(target)
    return time.time()


def published(root: Path, day: date) -> bool:
    """Whether the current publication holds the primary metrics of a date."""
    try:
        record = json.loads((root / "published" / "current" / "publication.json").read_text())
    except FileNotFoundError:
        return False
    return str(day) in record["contents"].get("primary_metrics", {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=12, help="how many dates land")
    parser.add_argument("--visits", type=int, default=300)
    given = parser.parse_args()

    from venue_assets.home import Home
    from venue_assets.simulate import Dirt, Options, simulate

    days = [FIRST + timedelta(days=n) for n in range(given.times)]
    with tempfile.TemporaryDirectory(prefix="venue-bench-", ignore_cleanup_errors=True) as temporary:
        root = Path(temporary) / "home"
        prepared = Path(temporary) / "prepared"
        (root / "landing").mkdir(parents=True)
        shutil.copyfile(SITE, root / "site.toml")
        options = Options(first_date=FIRST, days=len(days), visits=given.visits, dirt=Dirt.none())
        lines = simulate(Home(root).site, prepared, options).lines
        rng = np.random.default_rng(1)
        waits = []
        with serving(root):
            time.sleep(8)  # the daemon comes up after the page
            for day in days:
                # At another moment of the sensor's rhythm each time.
                time.sleep(float(rng.uniform(0.5, 4)))
                began = land(prepared, root / "landing", day)
                deadline = began + PATIENCE
                while not published(root, day):
                    if time.time() > deadline:
                        sys.exit(f"{day} is not published after {PATIENCE} s:\n{(root / 'ui.log').read_text()[-3000:]}")
                    time.sleep(POLL)
                waits.append(time.time() - began)
                print(f"  {day}  {waits[-1]:.1f} s", file=sys.stderr)
    print(f"{len(days)} dates of {lines // len(days):,} lines, one after the other; {machine()}\n")
    p50, p95 = np.percentile(waits, [50, 95])
    table(
        [
            ["seconds", "p50", "p95", "min", "max", "p95 / p50"],
            ["landed to published", f"{p50:.1f}", f"{p95:.1f}", f"{min(waits):.1f}", f"{max(waits):.1f}",
             f"{p95 / p50:.2f}"],
        ]
    )  # fmt: skip
    print()
    sys.exit(0 if goal("seconds from landed to published, p95", float(p95), 10) else 1)


if __name__ == "__main__":
    main()
