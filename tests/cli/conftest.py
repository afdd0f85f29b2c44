"""The home that a test of a command may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import copied


@pytest.fixture
def home(computed: Path, tmp_path: Path) -> Path:
    """The test's own copy of what its file calls `computed`: a home made once for the file."""
    return copied(computed, tmp_path)
