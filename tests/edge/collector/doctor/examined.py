"""A gateway that the doctor looks at, and what it finds."""

from __future__ import annotations

from edge_collector.doctor import examine
from edge_collector.finding import Finding
from tests.edge.collector.box import Box, device

EDGE = device("till", "http") + device("gateway", "gateway")


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
