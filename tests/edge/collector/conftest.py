"""What tests of several parts of the collector begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_collector.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
    yield spool
    spool.close()
