"""How allocations come to the gateway: fetched ahead, kept when they are signed, thrown away when they are old."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_collector.allocation import path_of
from edge_collector.allocation_fetch import AllocationFetcher
from edge_collector.tally import Tally
from edge_collector.testing.clock import VirtualClock
from tests.edge.allocations import KEY, OTHER_KEY, TODAY, put_signed
from tests.edge.collector.box import Box
from tests.edge.collector.desk import ALLOCATED, ASSIGNED, MORNING, allocate, desk, experiments


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path).write(ASSIGNED + ALLOCATED, experiments())


def fetch(box: Box, tally: Tally | None = None, at: datetime = MORNING) -> int:
    clock = VirtualClock(at)
    fetcher = AllocationFetcher(box.gateway(), box.root / "allocations", KEY.public_key(), clock, tally or Tally())
    return asyncio.run(fetcher.fetch())


def publish(box: Box, day: date = TODAY, key: Any = KEY, **changes: Any) -> None:
    put_signed(box.root / "published", day, key, **changes)


def test_allocations_of_today_and_tomorrow_are_fetched_once_and_hold_off_line(box: Box) -> None:
    publish(box)
    publish(box, TODAY + timedelta(days=1), allocation_id="a2")
    publish(box, TODAY + timedelta(days=2), allocation_id="a3")
    assert [fetch(box), fetch(box)] == [2, 0]
    for path in (box.root / "published").rglob("*.json"):
        path.unlink()
    assert fetch(box) == 0
    with desk(box) as opened:
        assert opened.ask("voucher").allocation_id == "a1"
    with desk(box, VirtualClock(MORNING + timedelta(days=1)), boot_id="b2") as opened:
        assert opened.ask("voucher", "2").allocation_id == "a2"


def test_a_badly_signed_file_is_never_kept_and_changes_nothing(box: Box) -> None:
    publish(box)
    tally = Tally()
    assert fetch(box, tally) == 1
    publish(box, key=OTHER_KEY, allocation_id="evil")
    assert fetch(box, tally) == 0
    assert "signature" in tally.alarms["fetched allocation voucher"]
    with desk(box) as opened:
        assert opened.ask("voucher").allocation_id == "a1"
    publish(box, allocation_id="a4")
    assert fetch(box, tally) == 1
    assert tally.alarms == {}


def test_old_allocations_are_thrown_away_a_week_later(box: Box) -> None:
    publish(box)
    fetch(box)
    kept = path_of(box.root / "allocations", "voucher", TODAY)
    fetch(box, at=MORNING + timedelta(days=7))
    assert kept.exists()
    fetch(box, at=MORNING + timedelta(days=8))
    assert kept.exists()  # the last one: of it is said that it is stale
    allocate(box, day=TODAY + timedelta(days=1))
    fetch(box, at=MORNING + timedelta(days=8))
    assert not kept.exists()
