"""The Dagster UI with its daemon, on the home's own instance."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from venue_assets.graph.instance import prepare
from venue_assets.home import Home


def dagster_dev(home: Home, *, host: str, port: int) -> int:
    """Serve the UI and run the daemon until Ctrl-C; returns the exit status."""
    prepare(home)
    command = [sys.executable, "-m", "dagster", "dev", "-m", "venue_assets.definitions", "-h", host, "-p", str(port)]
    # Where the command was typed, there may be another project's pyproject.toml; the home has none.
    with subprocess.Popen(command, cwd=home.dagster, env=_environment()) as server:
        try:
            return server.wait()
        except KeyboardInterrupt:
            return server.wait()


def _environment() -> dict[str, str]:
    """The child's environment: it must find this package even where it is run from a checkout."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, "PYTHONPATH": path}
