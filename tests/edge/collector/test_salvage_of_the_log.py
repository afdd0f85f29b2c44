"""A write-ahead log that lies alone, or has a hole: nothing of it is deleted, and what is lost is told."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

import pytest

from edge_collector.salvage import lying_aside
from edge_collector.spool import Spool, SpoolDamaged
from tests.edge.collector.damaged_spool import ASIDE, PAGE, killed, numbers, opened


@pytest.mark.parametrize("how", ["empty", "missing"])
def test_a_log_without_its_file_is_not_deleted(tmp_path: Path, how: str) -> None:
    path = killed(tmp_path / "a")
    log = path.with_name("spool.db-wal").read_bytes()
    os.truncate(path, 0) if how == "empty" else path.unlink()
    with pytest.raises(SpoolDamaged, match="its write-ahead log is not"):  # also of doctor
        Spool(path, gateway_id="gw", boot_id="b2", max_bytes=10**9)
    spool, found = opened(path)
    assert found
    assert found.read["records"] == len(numbers(spool)) == 3000
    assert path.with_name(f"{ASIDE}-wal").read_bytes() == log
    spool.close()


@pytest.mark.parametrize("at", [0.0, 0.3])
def test_a_hole_in_the_log_is_told_and_what_lay_behind_it_kept(tmp_path: Path, at: float) -> None:
    path = killed(tmp_path / "a")
    log = path.with_name("spool.db-wal")
    content = bytearray(log.read_bytes())
    hole = int(len(content) * at)
    content[hole : hole + 512] = random.Random(1).randbytes(512)
    log.write_bytes(content)
    spool, found = opened(path)
    assert "the records behind it" in str(found)
    (kept,) = path.parent.glob("spool.db.damaged-*")
    assert kept.read_bytes() == content
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert str(kept) in lying_aside(path)
    assert at == 0 or 0 < len(numbers(spool)) < 3000
    spool.close()
    again, found = opened(path)
    assert found is None  # it is told once, and lies there
    again.close()


@pytest.mark.parametrize("torn", [0, 1, 3])
def test_a_kill_or_a_torn_last_transaction_is_no_hole(tmp_path: Path, torn: int) -> None:
    """A power cut writes some of what was never flushed, in any order."""
    path = killed(tmp_path / "a")
    log = path.with_name("spool.db-wal")
    content = bytearray(log.read_bytes())
    for frame in range(torn):
        at = len(content) - (frame + 2) * (24 + PAGE)
        content[at : at + 24 + PAGE] = bytes(24 + PAGE)
    log.write_bytes(content)
    spool, found = opened(path)
    assert (found, lying_aside(path)) == (None, "")
    assert len(numbers(spool)) == (2900 if torn else 3000)
    spool.close()
