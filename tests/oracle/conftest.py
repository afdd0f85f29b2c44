"""An empty landing for the examples that are worked out by hand."""

from pathlib import Path

import pytest

from tests.oracle.hand_made import Landing


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path)
