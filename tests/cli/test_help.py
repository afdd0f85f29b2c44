"""What `venue` says of itself, and the script that is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import ROOT, SCRIPT, Ended, done, empty_home, is_refused

COMMANDS = ["demo", "simulate", "import", "materialize", "status", "rerun", "query", "publish", "report", "ui"]
COMMANDS += ["doctor", "experiment", "landing"]


def script(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "VENUE_DATA": str(home)}
    return subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_script_lists_the_commands_in_the_order_of_use(tmp_path: Path) -> None:
    shown = script(tmp_path, "--help")
    assert shown.returncode == 0
    assert re.findall(r"^\W*([a-z]+)  +[A-Z]", shown.stdout.partition("Commands")[2], re.MULTILINE) == COMMANDS


def test_script_ends_with_2(tmp_path: Path) -> None:
    ended = script(empty_home(tmp_path), "materialize", "2026-13-01")
    is_refused(Ended(ended.returncode, ended.stdout, ended.stderr), "'2026-13-01' is given")


def test_script_tells_its_version_and_how_to_begin(tmp_path: Path) -> None:
    assert re.fullmatch(r"venue \d+\.\d+\.\d+\n", script(tmp_path, "--version").stdout)
    assert "Example: venue demo" in script(tmp_path, "--help").stdout


def test_help_starts_without_dagster() -> None:
    """Else every `venue --help` would take seconds."""
    code = "import sys, venue_assets.cli; print({'dagster', 'duckdb', 'polars', 'pyarrow'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout == "set()\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(tmp_path: Path, command: str) -> None:
    assert f"Example: venue {command}" in " ".join(done(tmp_path, command, "--help").split())
