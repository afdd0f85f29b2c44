"""A gateway that the doctor looks at, and what it finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_collector.clock import SystemClock
from edge_collector.doctor import examine
from edge_collector.finding import Finding
from tests.edge.collector.box import Box, device

EDGE = device("till", "http") + device("gateway", "gateway")


def healthy(root: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    """A gateway with nothing to find, on a machine whose clock follows a source."""
    monkeypatch.setattr(SystemClock, "synced", lambda self: True)
    return Box(root).write(EDGE)


def change(box: Box, old: str, new: str) -> None:
    text = (box.root / "edge.toml").read_text()
    assert old in text
    box.secret("edge.toml", text.replace(old, new))


def found(box: Box, level: str | None = None) -> list[Finding]:
    return [finding for finding in examine(box.gateway()) if level is None or finding.level == level]


def only(box: Box, level: str = "error") -> Finding:
    (finding,) = found(box, level)
    assert finding.remedy
    return finding
