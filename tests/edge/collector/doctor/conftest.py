"""The gateway of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_collector.clock import SystemClock
from tests.edge.collector.box import Box
from tests.edge.collector.doctor.examined import EDGE


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    """It has nothing to find, on a machine whose clock follows a source."""
    monkeypatch.setattr(SystemClock, "synced", lambda self: True)
    return Box(tmp_path).write(EDGE)
