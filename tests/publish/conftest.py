"""A home whose lake is computed once for all tests of publication, and copies of it to publish and to change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.publish.home import make, publish
from venue_assets.home import Home
from venue_assets.publish.record import Publication


@pytest.fixture(scope="package")
def lake_of_four_dates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("computed")).root


@pytest.fixture
def four_dates(lake_of_four_dates: Path, tmp_path: Path) -> Home:
    """Computed, not published; the test's own."""
    shutil.copytree(lake_of_four_dates, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture(scope="package")
def published(lake_of_four_dates: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Publication]:
    """A home and its first publication; for tests that only read."""
    root = tmp_path_factory.mktemp("published")
    shutil.copytree(lake_of_four_dates, root, dirs_exist_ok=True)
    return Home(root), publish(Home(root))
