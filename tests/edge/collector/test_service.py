"""The systemd unit: systemd understands all of it, and what it allows the service is little."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edge_collector
from edge_collector import collector

UNIT = Path(edge_collector.__file__).with_name("edge-collector.service")
EXPOSURE = "20"
"""In tenths; 10 would be everything. What is left is the network and asking the clock."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """As installed, but for the program, which systemd wants to find."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/edge-collector/bin/edge-collector", sys.executable))
    return path


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


def test_systemd_understands_it(unit: Path) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=no", unit)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_may_do_little(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", unit)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_may_have_all_its_threads() -> None:
    """A thread that cannot be started ends the collector."""
    (most,) = re.findall(r"^TasksMax=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert int(most) >= collector._THREADS + 32
