"""What the repository promises of itself: pins, what is not committed, and README examples that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, version

import pytest
import typer
from packaging.requirements import Requirement

from tests.conftest import REPOSITORY
from venue_assets.cli.app import app

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def tracked() -> list[str]:
    if shutil.which("git") is None or not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    out = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    return out.splitlines()


def test_what_is_installed_is_what_is_pinned() -> None:
    pins = [Requirement(pin) for pin in PROJECT["tool"]["uv"]["constraint-dependencies"]]
    assert len(pins) > 50
    for pin in pins:
        if pin.marker and not pin.marker.evaluate():
            continue
        try:
            installed = version(pin.name)
        except PackageNotFoundError:
            continue  # of a group that is not installed
        assert pin.specifier.contains(installed), (
            f"{pin.name} {installed} is installed, {pin} is pinned: python .ci/pin"
        )


def test_the_top_level_holds_what_the_design_names_and_nothing_else() -> None:
    tops = {name.split("/")[0] for name in tracked()}
    expected = {
        "pyproject.toml",
        "workspace.yaml",
        "README.md",
        "LICENSE",
        "venue_assets",
        "edge_collector",
        "tests",
        "data",
    }
    assert {top for top in tops if not top.startswith(".")} == expected


def test_nothing_generated_is_committed() -> None:
    for name in tracked():
        assert name != "uv.lock"
        assert not name.endswith((".duckdb", ".zst", ".parquet", ".pyc", ".key")), name


def test_the_gateway_needs_nothing_of_the_venue() -> None:
    for path in (REPOSITORY / "edge_collector").rglob("*.py"):
        assert "venue_assets" not in re.sub(r'"""(.|\n)*?"""|`[^`]*`|#.*', "", path.read_text()), path.name


def test_every_command_of_the_readme_exists() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"uv run venue ([a-z]+)", (REPOSITORY / "README.md").read_text()))
    assert named
    assert named <= commands
