"""A home with three simulated dates, its UI served as a user would serve it, and a browser that looks at it.

Two dates are materialized before the UI starts; the third one and a late segment of the first are held back.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.cli.commands import done

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
MATERIALIZED = ("2026-01-05", "2026-01-06")
HELD_BACK = "2026-01-07"
_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 120.0
"""After so long what did not come will not come. Nothing here waits that long on a machine that works."""

T = TypeVar("T")


@dataclass
class Ui:
    """A served home: its address, its GraphQL, and what is still to land in it."""

    home: Path
    url: str
    server: subprocess.Popen[bytes]
    log: Path
    held_back: list[tuple[Path, Path]] = field(default_factory=list)
    """Where a file or folder lies now, and where it is to land."""

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return dict(answer["data"])

    def until(self, condition: Callable[[], T | None], what: str) -> T:
        """What `condition` gives, as soon as it gives something; else fails with the server's last words."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if self.server.poll() is not None:
                pytest.fail(f"the UI ended with {self.server.returncode} before {what}\n{self._last_words()}")
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                if found := condition():
                    return found
            time.sleep(0.25)
        pytest.fail(f"{what}: not within {_SECONDS:.0f} s\n{self._last_words()}")

    def partitions(self, asset: str) -> dict[str, str]:
        """Event dates of an asset that are not missing, with their status."""
        query = """query($key: [AssetKeyInput!]!) { assetNodes(assetKeys: $key) { assetPartitionStatuses {
            ... on TimePartitionStatuses { ranges { startKey endKey status } } } } }"""
        (node,) = self.ask(query, key=[{"path": [asset]}])["assetNodes"]
        return {
            day: found["status"]
            for found in node["assetPartitionStatuses"]["ranges"]
            for day in (*MATERIALIZED, HELD_BACK)
            if found["startKey"] <= day <= found["endKey"]
        }

    def sensor_runs(self) -> list[tuple[str, str]]:
        """Event date and status of every run that the landing sensor asked for."""
        query = """{ runsOrError(filter: {tags: [{key: "dagster/sensor_name", value: "landing"}]}) {
            ... on Runs { results { status tags { key value } } } } }"""
        runs = self.ask(query)["runsOrError"]["results"]
        return sorted(
            (tag["value"], run["status"]) for run in runs for tag in run["tags"] if tag["key"] == "dagster/partition"
        )

    def ticks_after(self, moment: float) -> int:
        """How often the sensor has looked at the landing, start to end, since a moment (seconds since 1970)."""
        query = """query($sensor: SensorSelector!, $after: Float) { sensorOrError(sensorSelector: $sensor) {
            ... on Sensor { sensorState { ticks(limit: 20, afterTimestamp: $after) { status } } } } }"""
        sensor = {
            "sensorName": "landing",
            "repositoryName": "__repository__",
            "repositoryLocationName": "venue_assets.definitions",
        }
        ticks = self.ask(query, sensor=sensor, after=moment)["sensorOrError"]["sensorState"]["ticks"]
        assert not [tick for tick in ticks if tick["status"] == "FAILURE"]
        return sum(tick["status"] != "STARTED" for tick in ticks)

    def land(self) -> None:
        """Let what was held back land: segments first, their manifests last."""
        for source, target in self.held_back:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        self.held_back.clear()

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


@pytest.fixture(scope="package")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """`venue ui` over a home of its own."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is absent (Debian: apt-get install chromium)")
    pytest.importorskip("playwright.sync_api", reason="playwright is absent")
    folder = tmp_path_factory.mktemp("ui")
    home = folder / "home"
    home.mkdir()
    shutil.copyfile(_ROOT / "data" / "site.toml", home / "site.toml")
    environment = {**os.environ, "VENUE_DATA": str(home), "PYTHONPATH": str(_ROOT)}
    _venue(environment, "simulate", "--days", "3", "--visits", "100", "--from", MATERIALIZED[0])
    held_back = _hold_back(home / "landing", folder / "held_back")
    done(home, "materialize", "...".join(MATERIALIZED))  # in this process, which has imported Dagster already
    port = _free_port()
    log = folder / "ui.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*_COMMAND, "ui", "--port", str(port)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    served = Ui(home, f"http://127.0.0.1:{port}", server, log, held_back)
    try:
        served.until(lambda: served.partitions("primary_metrics"), "the UI knows the assets")
        yield served
    finally:
        _stop(server, environment["VENUE_DATA"])


@pytest.fixture(scope="package")
def browser(ui: Ui) -> Iterator[Any]:
    """Debian's chromium, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=sandbox)
        yield chromium
        chromium.close()


@pytest.fixture
def page(ui: Ui, browser: Any, tmp_path: Path) -> Iterator[Page]:
    """A page on the UI; what it showed last is in `tmp_path/page.png`."""
    page = browser.new_page(base_url=ui.url, viewport={"width": 1600, "height": 1600})
    page.set_default_timeout(60_000)
    try:
        yield page
    finally:
        page.screenshot(path=tmp_path / "page.png")
        page.close()


_COMMAND = [sys.executable, "-c", "from venue_assets.cli import main; main()"]


def _venue(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run([*_COMMAND, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _hold_back(landing: Path, aside: Path) -> list[tuple[Path, Path]]:
    """Take a whole date and one segment of another out of the landing."""
    late = min((landing / "face_visits" / f"event_date={MATERIALIZED[0]}").glob("*.manifest.json"))
    segment = late.with_name(late.name.replace(".manifest.json", ".jsonl.zst"))
    away = []
    for number, target in enumerate([*landing.glob(f"*/event_date={HELD_BACK}"), segment, late]):
        source = aside / str(number)
        aside.mkdir(exist_ok=True)
        target.replace(source)
        away.append((source, target))
    return away


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(server: subprocess.Popen[bytes], home: str) -> None:
    """End the server as Ctrl-C would, and whatever of its children is left after that."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(20)
    deadline = time.monotonic() + 10
    while left := _processes_of(home):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert time.monotonic() < deadline, f"processes that do not end: {left}"
        time.sleep(0.1)
    server.wait(10)


def _processes_of(home: str) -> list[int]:
    """Living processes that were started for this home, whatever process group they are in now."""
    mark = f"VENUE_DATA={home}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
