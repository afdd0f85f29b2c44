"""The gateway of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge.collector.box import Box, device
from tests.edge.collector.folder.exports import FOLDER, ORDERS, VISITS


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """It watches a folder of orders and one of visits."""
    (tmp_path / "in").mkdir()
    (tmp_path / "door").mkdir()
    (tmp_path / "till.toml").write_text(ORDERS)
    (tmp_path / "door.toml").write_text(VISITS)
    edge = FOLDER.format(path="in", map="till") + FOLDER.format(path="door", map="door") + device("gateway", "gateway")
    return Box(tmp_path).write(edge)
