"""A written project, and the tools that check it; a test that needs what is absent says so and is skipped."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import SHARED
from venue_assets.powerbi.project import write_project

NPM = Path(__file__).parent / "npm"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as it is published. Tests read it; what damages it works on a copy."""
    folder = tmp_path_factory.mktemp("powerbi")
    write_project(folder, publication_id="000001-0123456789ab")
    return folder


@pytest.fixture(scope="session")
def schemas() -> Path:
    """Microsoft's JSON schemas."""
    folder = SHARED / "pbip_schemas"
    if not folder.is_dir():
        pytest.skip("Microsoft's schemas of the Power BI project format (../shared/pbip_schemas) are not here")
    return folder


@pytest.fixture(scope="session")
def tools() -> Path:
    """Microsoft's tools from npm, in a folder of the user's cache that is named after their versions."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js, which Microsoft's checks of Power BI projects run on, is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < 20:
        pytest.skip(f"Microsoft's checks of Power BI projects need Node.js 20 or later; {version} is installed")
    files = sorted(path for path in NPM.rglob("*") if path.is_file())
    versions = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "venue-assets-tests"
    folder = cache / f"powerbi-{versions}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            building = folder.with_suffix(".building")
            shutil.rmtree(building, ignore_errors=True)
            shutil.copytree(NPM, building)
            ran = subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=building,
                capture_output=True,
                text=True,
                check=False,
            )
            if ran.returncode:
                pytest.skip(f"Microsoft's checks could not be installed from npm: {ran.stderr.strip()[-300:]}")
            building.rename(folder)
    return folder
