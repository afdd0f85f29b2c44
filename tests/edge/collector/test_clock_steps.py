"""Clocks that are set, wrong or lost: nobody is lost or counted twice, and every interval ends after it began."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_collector.collector import Collector
from edge_collector.readings import Visit
from edge_collector.testing.clock import VirtualClock
from tests.edge.collector.box import Box, device
from tests.edge.collector.desk import ASSIGNED, experiments

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR = 3600.0


class Hall:
    """A gateway at work on a virtual clock; people walk through its entrance and past its terminal."""

    def __init__(self, collector: Collector, client: httpx.AsyncClient, clock: VirtualClock, total: int) -> None:
        self.collector, self.clock, self._client = collector, clock, client
        self.total = self._began_with = total
        self.visits = 0

    async def walk(self, people: int) -> None:
        self.total += people
        await self._post("entrance", {"counts": [{"in_total": self.total}]})
        for _ in range(people):
            self.visits += 1
            entry = {"id": f"{id(self)}/{self.visits}", "member_number": str(self.visits), "direction": "enter"}
            await self._post("terminal", {"visits": [entry]})

    async def _post(self, name: str, readings: Any) -> None:
        answer = await self._client.post(f"/readings/riverside/{name}", json=readings)
        assert answer.status_code == 200, answer.text

    async def until(self, so: Callable[[], bool], most: float = 600) -> None:
        """Let virtual seconds pass until something is so."""
        end = self.clock.monotonic() + most
        while not so():
            assert self.clock.monotonic() < end
            await self.clock.advance(1)
            await asyncio.sleep(0.002)  # threads write to the spool meanwhile

    async def interval(self) -> None:
        """Until what was counted so far is recorded."""
        expected = self.total - self._began_with
        await self.until(lambda: self.collector.tally.people["entrance_counts", "in"] >= expected)

    async def step_told(self, times: int = 1) -> None:
        """Until clock steps have been recorded."""
        await self.until(lambda: self.collector.tally.captured["gateway", "gateway_events"] >= times)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path).write(device("entrance", "http") + device("terminal", "http") + device("gateway", "gateway"))


def work(box: Box, clock: VirtualClock, talk: Callable[[Hall], Awaitable[None]], total: int = 100) -> Collector:
    async def main() -> Collector:
        async with box.running(clock) as collector:
            assert collector.http_listener is not None
            port = collector.http_listener.getsockname()[1]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                hall = Hall(collector, client, clock, total)
                await hall.walk(0)
                await talk(hall)
        return collector

    return asyncio.run(main())


def steps(box: Box) -> list[tuple[int, str]]:
    return [(e["value"], e["detail"]) for e in box.landed("gateway_events") if e["kind"] == "clock_step"]


def intervals(box: Box) -> list[tuple[datetime, datetime, int]]:
    """All that were counted, in order of capture; each is checked to end after it began."""
    found = [
        (datetime.fromisoformat(r["interval_start"]), datetime.fromisoformat(r["interval_end"]), r["in_count"])
        for r in box.landed("entrance_counts")
    ]
    assert all(start < end for start, end, _ in found)
    return found


@pytest.mark.parametrize("by", [-HOUR, HOUR, -1.5, 86_400.0], ids=["back", "forward", "a little back", "a day forward"])
def test_a_clock_that_is_set_costs_nobody(box: Box, by: float) -> None:
    clock = VirtualClock(NOON)

    async def talk(hall: Hall) -> None:
        await hall.walk(3)
        await hall.interval()
        await hall.walk(2)
        hall.clock.step(by)
        await hall.walk(4)
        await hall.interval()

    collector = work(box, clock, talk)
    assert sum(n for _, _, n in intervals(box)) == 9
    assert len({r["user_id"] for r in box.landed("face_visits")}) == len(box.landed("face_visits")) == 9
    ((value, detail),) = steps(box)
    assert abs(value - by * 1000) <= 1
    assert detail == "synced"
    assert abs(collector._stepped - by) < 0.001  # what /metrics shows


def test_a_clock_that_slews_is_no_step(box: Box) -> None:
    async def talk(hall: Hall) -> None:
        for _ in range(5):
            hall.clock.step(0.15)
            await hall.clock.advance(20)
        await hall.walk(1)

    work(box, VirtualClock(NOON), talk)
    assert steps(box) == []


def test_what_came_before_the_sync_is_dated_right_by_it(box: Box) -> None:
    clock = VirtualClock(NOON)
    clock.step(-56 * 365 * 86_400.0)  # a box without a battery, in 1970
    clock.lose_sync()

    async def talk(hall: Hall) -> None:
        await hall.walk(2)  # at noon
        await hall.until(lambda: hall.clock.monotonic() >= 90)
        assert box.landed("face_visits") == []
        hall.clock.sync()
        await hall.until(lambda: len(box.landed("face_visits")) == 2)
        await hall.walk(1)
        await hall.interval()

    work(box, clock, talk)
    visits = box.landed("face_visits")
    at = [(datetime.fromisoformat(r["recorded_at"]) - NOON).total_seconds() for r in visits]
    assert at[0] == pytest.approx(0, abs=1)
    assert at[1] == pytest.approx(0, abs=1)
    assert at[2] > 90
    assert {(r["clock"], r["event_date"]) for r in visits} == {("synced", "2026-03-02")}
    counted = intervals(box)
    assert sum(n for _, _, n in counted) == 3
    assert all(NOON - timedelta(seconds=1) <= start for start, _, _ in counted)
    ((value, _),) = steps(box)
    assert value > 55 * 365 * 86_400_000


def test_without_a_sync_records_go_some_time_later_marked(
    box: Box, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge_collector.spool.seal.WAIT_FOR_SYNC", timedelta(minutes=5))  # a day, outside tests
    clock = VirtualClock(NOON, synced=False)

    async def talk(hall: Hall) -> None:
        await hall.walk(2)
        await hall.until(lambda: hall.clock.monotonic() >= 290)
        assert box.landed("face_visits") == []
        await hall.until(lambda: len(box.landed("face_visits")) == 2)
        await hall.until(lambda: len(box.landed("entrance_counts")) > 0)

    work(box, clock, talk)
    assert {r["clock"] for r in box.landed("face_visits")} == {"unsynced"}
    assert sum(n for _, _, n in intervals(box)) == 2
    said = "the clock follows no time source; records wait for one, at most a day"
    assert caplog.messages.count(said) == 1  # whoever watches need not wonder why nothing lands


def test_a_clock_in_another_year_makes_nobody_forget(box: Box) -> None:
    """Neither what was delivered, which would be counted again, nor which arm a unit has."""
    box.write(device("terminal", "http") + ASSIGNED, experiments(NOON.date()))
    clock = VirtualClock(NOON)

    async def talk() -> None:
        async with box.running(clock) as collector:
            visit = Visit(device="riverside/terminal", key="1", member_number="13085", direction="enter")
            await collector.intake.take("http", [visit])
            arm = await asyncio.to_thread(collector.assigner.assign, "greeting", member_number="13085")
            clock.step(20 * 366 * 86_400.0)
            clock.lose_sync()
            await collector._forget()
            assert (await collector.intake.take("http", [visit])).repeated == 1
            assert collector.spool.assigned("greeting", arm.unit_id) is not None

    asyncio.run(talk())


def test_a_restart_before_the_sync_dates_nothing_in_another_age(box: Box) -> None:
    clock = VirtualClock(NOON)
    clock.step(-56 * 365 * 86_400.0)
    clock.lose_sync()

    async def first(hall: Hall) -> None:
        await hall.walk(5)
        await hall.clock.advance(30)

    async def second(hall: Hall) -> None:
        hall.clock.sync()
        await hall.walk(2)
        await hall.interval()

    work(box, clock, first)
    assert box.landed("entrance_counts") == []
    asyncio.run(clock.advance(100))
    work(box, clock, second, total=105)
    counted = intervals(box)
    assert sum(n for _, _, n in counted) == 7
    assert all(NOON - timedelta(seconds=1) <= start < end <= clock.now() for start, end, _ in counted)
    assert counted[0][1] == counted[1][0]  # the interval goes on from where the first run closed it
    assert len(box.landed("face_visits")) == 7


def test_after_a_power_cut_an_interval_covers_the_time_without_power(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    async def walk_in(hall: Hall) -> None:
        await hall.walk(2)
        await hall.clock.advance(10)

    monkeypatch.setattr("edge_collector.collector.clock_id", lambda: "before")
    work(box, VirtualClock(NOON), walk_in)
    monkeypatch.setattr("edge_collector.collector.clock_id", lambda: "after")
    work(box, VirtualClock(NOON + timedelta(hours=2)), walk_in, total=105)
    before, after = intervals(box)
    assert before[1] == after[0]
    assert after[1] - after[0] > timedelta(hours=1.9)
    assert (before[2], after[2]) == (2, 5)  # three came without power: the sensor has counted them


@pytest.mark.parametrize("clock_at_start", [NOON - timedelta(hours=1), datetime(1970, 1, 1, tzinfo=UTC)])
def test_after_a_power_cut_with_a_wrong_clock_an_interval_begins_anew(
    box: Box, monkeypatch: pytest.MonkeyPatch, clock_at_start: datetime
) -> None:
    async def walk_in(hall: Hall) -> None:
        await hall.walk(2)
        await hall.clock.advance(10)

    monkeypatch.setattr("edge_collector.collector.clock_id", lambda: "before")
    work(box, VirtualClock(NOON), walk_in)
    monkeypatch.setattr("edge_collector.collector.clock_id", lambda: "after")
    clock = VirtualClock(clock_at_start, synced=False)

    async def synced_late(hall: Hall) -> None:
        await walk_in(hall)
        hall.clock.step((NOON + timedelta(hours=3) - hall.clock.now()).total_seconds())
        hall.clock._synced = True
        await hall.interval()

    work(box, clock, synced_late, total=102)
    counted = intervals(box)
    assert sum(n for _, _, n in counted) == 4
    assert all(end - start < timedelta(minutes=5) for start, end, _ in counted)
    assert all(start >= NOON - timedelta(minutes=1) for start, _, _ in counted)


def test_any_sequence_of_steps_and_restarts(box: Box) -> None:
    chance = random.Random(7)
    clock = VirtualClock(NOON)
    people = 0
    for _ in range(3):

        async def talk(hall: Hall) -> None:
            for _ in range(4):
                hall.clock.step(chance.choice([-HOUR, HOUR, -86_400.0, 30.0, -0.4, 0.0]))
                chance.choice([hall.clock.lose_sync, lambda: hall.clock.sync(error=chance.uniform(-5, 5))])()
                await hall.walk(chance.randrange(3))
                await hall.clock.advance(chance.choice([0.0005, 1, 7, 61, 130]))
            hall.clock.sync()
            nonlocal people
            people = hall.total - 100
            await hall.clock.advance(6)

        work(box, clock, talk, total=100 + people)
    # What ran without a sync to its end is corrected by the sync of a later run of the same machine.
    assert sum(n for _, _, n in intervals(box)) == people
