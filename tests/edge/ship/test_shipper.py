"""The shipper in virtual time: order, back-off, days without an uplink, and what is deleted when."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from edge_collector.ship import Confirmed, Conflict, Denied, Refused, Segment, Shipper, Unreachable
from edge_collector.ship.shipper import LONGEST_PAUSE, REFUSED_PAUSE
from edge_collector.testing.clock import VirtualClock

HOUR = 3600.0


@dataclass(frozen=True)
class Item:
    id: int
    stream: str = "orders"
    event_date: str = "2026-01-05"
    manifest: bytes = b"{}"

    @property
    def name(self) -> str:
        return f"gw_1-b1-{self.id}-{self.id}"

    @property
    def packed(self) -> bytes:
        return b"%d" % self.id


@dataclass
class Box:
    """An outbox in memory."""

    waiting: dict[int, Item] = field(default_factory=dict)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    trouble: Exception | None = None

    @classmethod
    def of(cls, count: int) -> Box:
        return cls({n: Item(n) for n in range(count)})

    def segment(self, *, newest: bool = False, beside: Sequence[int] = ()) -> Item | None:
        if self.trouble:
            raise self.trouble
        free = self.waiting.keys() - set(beside)
        return self.waiting[max(free) if newest else min(free)] if free else None

    def confirmed(self, segment_id: int) -> None:
        del self.waiting[segment_id]

    def refused(self, segment_id: int, why: str) -> None:
        self.refusals.append((segment_id, why))


@dataclass
class Landing:
    """A target in memory that answers as it is told."""

    clock: VirtualClock
    problem: Exception | None = None
    only: set[int] | None = None
    seconds: float = 0
    wrong_hash: bool = False
    asked: list[tuple[float, int]] = field(default_factory=list)
    held: dict[int, bytes] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0

    async def put(self, segment: Segment) -> Confirmed:
        number = int(segment.packed)
        self.asked.append((self.clock.monotonic(), number))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.clock.sleep(self.seconds)
        finally:
            self.at_once -= 1
        if self.problem and (self.only is None or number in self.only):
            raise self.problem
        new = number not in self.held
        self.held[number] = segment.packed
        digest = hashlib.sha256(b"other" if self.wrong_hash else segment.packed).hexdigest()
        return Confirmed(digest, new)

    async def check(self) -> None: ...

    async def close(self) -> None: ...


class World:
    """A shipper at work."""

    def __init__(self, box: Box, *, workers: int = 4) -> None:
        self.clock, self.box = VirtualClock(), box
        self.landing = Landing(self.clock)
        self.shipper = Shipper(box, self.landing, self.clock, workers=workers, jitter=lambda low, high: high)

    async def __aenter__(self) -> World:
        self.task = asyncio.create_task(self.shipper.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def rest(self) -> None:
        """Until everybody waits for time to pass."""
        before = None
        while before != (before := (len(self.landing.asked), self.clock.sleepers)):
            await self.clock.advance(0)

    async def passes(self, seconds: float, step: float = 1.0) -> None:
        end = self.clock.monotonic() + seconds
        await self.rest()
        while self.clock.monotonic() < end:
            await self.clock.advance(min(step, end - self.clock.monotonic()))
            await self.rest()


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outbox answers within the loop's turn, so that virtual time knows when everybody waits for it."""

    async def here(call: Any, *arguments: Any, **named: Any) -> Any:
        return call(*arguments, **named)

    monkeypatch.setattr("asyncio.to_thread", here)


def run(scenario: Any) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def test_everything_is_shipped_once_and_then_forgotten() -> None:
    async def scenario() -> None:
        world = World(Box.of(50))
        await world.shipper.run(until_empty=True)
        assert sorted(n for _, n in world.landing.asked) == list(range(50))
        assert world.box.waiting == {}
        shipped = world.shipper.shipped
        assert (shipped.confirmed, shipped.repeated, shipped.last_problem) == (50, 0, "")
        assert shipped.bytes == sum(len(b"%d" % n) for n in range(50))

    run(scenario())


def test_fresh_segments_get_through_while_a_backlog_is_shipped() -> None:
    async def scenario() -> None:
        async with World(Box.of(1000)) as world:
            world.landing.seconds = 10
            await world.passes(60, step=10)
            assert len(world.landing.held) < 100
            world.box.waiting[5000] = Item(5000)
            await world.passes(20, step=10)
            assert 5000 in world.landing.held
            assert {0, 1, 2} <= world.landing.held.keys()  # nor does live data starve the backlog
            assert world.landing.most_at_once == 4

    run(scenario())


def test_a_slow_old_segment_does_not_hold_up_new_ones() -> None:
    async def scenario() -> None:
        async with World(Box.of(2), workers=2) as world:
            world.landing.seconds = 1
            await world.rest()
            world.landing.seconds = 0
            world.box.waiting[9] = Item(9)
            await world.passes(1)
            assert world.landing.held.keys() == {0, 1, 9}

    run(scenario())


def test_without_an_uplink_for_days_it_asks_seldom_and_loses_nothing() -> None:
    async def scenario() -> None:
        async with World(Box.of(20)) as world:
            world.landing.problem = Unreachable("no route to host")
            await world.passes(24 * HOUR, step=LONGEST_PAUSE)
            assert len(world.box.waiting) == 20
            assert len(world.landing.asked) <= 4 * (24 * HOUR / LONGEST_PAUSE + 10)
            times = sorted({moment for moment, _ in world.landing.asked})
            assert times[:5] == [0, 1, 3, 7, 15]
            assert max(b - a for a, b in pairwise(times)) <= LONGEST_PAUSE
            assert world.shipper.shipped.last_problem == "no route to host"
            assert world.box.refusals == []
            world.landing.problem = None
            await world.passes(LONGEST_PAUSE, step=LONGEST_PAUSE)
            assert world.box.waiting == {}
            assert sorted(world.landing.held) == list(range(20))

    run(scenario())


def test_the_first_success_ends_everybodys_pause() -> None:
    async def scenario() -> None:
        async with World(Box.of(20)) as world:
            world.landing.problem, world.landing.only = Unreachable("busy"), {0, 1}
            world.landing.seconds = 1
            await world.passes(30)
            assert world.box.waiting.keys() == {0, 1}
            asked = len(world.landing.asked)
            world.landing.problem = None
            await world.passes(LONGEST_PAUSE)
            assert world.box.waiting == {}
            assert len(world.landing.asked) == asked + 2

    run(scenario())


def test_it_waits_as_long_as_it_was_asked_to() -> None:
    async def scenario() -> None:
        async with World(Box.of(2), workers=2) as world:
            world.landing.problem = Unreachable("too fast", retry_after=40)
            await world.passes(39)
            assert [moment for moment, _ in world.landing.asked] == [0, 0]
            world.landing.problem = None
            await world.passes(2)
            assert world.box.waiting == {}

    run(scenario())


@pytest.mark.parametrize("kind", [Refused, Conflict])
def test_a_refused_segment_is_told_kept_and_tried_seldom_while_others_pass(kind: type[Refused]) -> None:
    async def scenario() -> None:
        async with World(Box.of(10)) as world:
            world.landing.problem, world.landing.only = kind("look at it"), {3}
            await world.passes(60)
            assert world.box.waiting.keys() == {3}
            assert world.box.refusals == [(3, f"{kind.__name__}: look at it")]
            await world.passes(REFUSED_PAUSE * 4, step=10)
            tries = [moment for moment, n in world.landing.asked if n == 3]
            assert 4 <= len(tries) <= 5
            world.landing.problem = None
            await world.passes(REFUSED_PAUSE + 10, step=10)
            assert world.box.waiting == {}
            assert world.shipper.shipped.problems[kind.__name__] == len(tries)

    run(scenario())


def test_a_wrong_token_is_no_segments_fault() -> None:
    async def scenario() -> None:
        async with World(Box.of(10)) as world:
            world.landing.problem = Denied("no valid token")
            await world.passes(HOUR, step=60)
            assert world.box.refusals == []
            assert len(world.box.waiting) == 10
            assert world.shipper.shipped.last_problem == "no valid token"
            world.landing.problem = None
            await world.passes(LONGEST_PAUSE, step=60)
            assert world.box.waiting == {}

    run(scenario())


def test_a_segment_is_kept_unless_its_own_hash_was_confirmed() -> None:
    async def scenario() -> None:
        async with World(Box.of(3)) as world:
            world.landing.wrong_hash = True
            await world.passes(60)
            assert len(world.box.waiting) == 3
            assert world.shipper.shipped.problems["Unconfirmed"] > 3
            world.landing.wrong_hash = False
            await world.passes(LONGEST_PAUSE, step=30)
            assert world.box.waiting == {}
            assert world.shipper.shipped.repeated == 3

    run(scenario())


def test_an_outbox_in_trouble_is_asked_again() -> None:
    async def scenario() -> None:
        async with World(Box.of(3)) as world:
            world.box.trouble = OSError("disk full")
            await world.passes(60)
            assert not world.task.done()
            world.box.trouble = None
            await world.passes(LONGEST_PAUSE, step=30)
            assert world.box.waiting == {}

    run(scenario())


def test_what_was_sealed_goes_at_once_when_it_is_told() -> None:
    async def scenario() -> None:
        async with World(Box.of(0)) as world:
            await world.rest()
            world.box.waiting[1] = Item(1)
            world.shipper.wake()
            await world.rest()
            assert world.box.waiting == {}
            assert world.clock.monotonic() == 0

    run(scenario())


def test_one_worker_would_starve_one_side() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        World(Box.of(0), workers=1)
