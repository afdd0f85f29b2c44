"""A small site and maps for it, and the records that an import landed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_collector.pseudonym import Pseudonymizer
from edge_collector.segment import numbered_lines, read_manifest, read_segment, segment_of
from edge_collector.site import Site, load_site
from tests import hall
from venue_assets.importing import ImportResult, import_file

VISITS_MAP = """
kind = "visits"
name = "terminal"
venue = "hall"
device = "terminal"

[columns]
user_id = "member"
recorded_at = "time"
direction = "way"

[values.direction]
IN = "enter"
OUT = "leave"
"""

COUNTS_MAP = """
kind = "counts"
name = "door"
venue = "hall"
device = "door"
interval = "30min"

[columns]
interval_start = "time"
in_count = "in"
out_count = "out"
"""

FLOWS_MAP = """
kind = "counts"
name = "door"
venue = "hall"
device = "door"
interval = "30min"
time_formats = ["%m/%d/%y %H:%M:%S"]

[csv]
header = false
column_names = ["time", "people"]

[columns]
interval_start = "time"
count = "people"

[flows]
in_count = "*inflow*.csv"
out_count = "*outflow*.csv"
"""

MAPS = {"orders": hall.ORDERS_MAP, "visits": VISITS_MAP, "counts": COUNTS_MAP, "flows": FLOWS_MAP}


HEADER = "order,time,member,category,pieces,amount\n"
ORDERS = (
    HEADER
    + "A1,2026-03-01 10:00:00,memberOne,food,2,10.00\n"
    + "A1,2026-03-01 10:00:00,memberOne,food,2,10.00\n"
    + "A2,2026-03-01 11:00:00,,drink,1,3.50\n"
    + "A3,2026-03-02 12:00:00,memberTwo,drink,1,4\n"
)


@dataclass
class Bench:
    """A venue's data folder in which files are written and imported."""

    root: Path
    site: Site

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def map(self, kind: str, *changes: tuple[str, str]) -> Path:
        text = MAPS[kind]
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return self.write(f"{kind}.toml", text)

    def run(self, kind: Any, *files: Path, map_path: Path | None = None, key: bytes = b"k" * 16) -> ImportResult:
        return import_file(
            self.site,
            self.landing,
            kind,
            files,
            map_path or self.map(kind),
            pseudonymizer=lambda: Pseudonymizer(key),
            rejects_dir=self.root / "rejects",
        )

    def lines(self, stream: str) -> list[bytes]:
        found = []
        for manifest in sorted((self.landing / stream).glob("*/*.manifest.json")):
            content = read_segment(segment_of(manifest), read_manifest(manifest))
            found += [line for _, line in numbered_lines(content)]
        return found

    def records(self, stream: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines(stream)]

    def snapshot(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.root)): p.read_bytes() for p in self.landing.rglob("*") if p.is_file()}


def rejected(bench: Bench) -> list[dict[str, str]]:
    (path,) = (bench.root / "rejects").glob("*.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "site.toml").write_text(hall.IMPORTING)
    return Bench(tmp_path, load_site(tmp_path / "site.toml"))


@pytest.fixture
def example_bench(tmp_path: Path) -> Callable[[str], Bench]:
    """The bench of a shipped example: its site, an empty landing."""
    examples = Path(__file__).resolve().parents[2] / "data" / "examples"
    return lambda name: Bench(tmp_path, load_site(examples / name / "site.toml"))
