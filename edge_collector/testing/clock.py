"""A clock that a test moves: wall and monotonic time apart, jumps, loss of sync, and sleepers that wake in order."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from datetime import UTC, datetime, timedelta

_TURNS = 50
"""Rounds of the event loop that whoever was woken gets before time moves on. A notification through the virtual
radio, from one host to the other, takes about ten."""


class VirtualClock:
    """An `edge_collector.clock.Clock` whose time passes in `advance` only."""

    def __init__(self, start: datetime = datetime(2026, 11, 2, 9, 0, tzinfo=UTC), *, synced: bool = True) -> None:
        self._start = start.astimezone(UTC)
        self._elapsed = 0.0
        self._shift = timedelta()
        self._synced = synced
        self._tie = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed) + self._shift

    def monotonic(self) -> float:
        return self._elapsed

    def synced(self) -> bool:
        return self._synced

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        # However short, some time passes: whoever waits for a moment in small steps gets there.
        moment = max(self._elapsed + seconds, math.nextafter(self._elapsed, math.inf))
        heapq.heappush(self._sleepers, (moment, next(self._tie), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many wait for time to pass: what a test waits for before it lets it pass."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Let time pass. Everybody who sleeps wakes at their own moment, and has acted when the next one wakes."""
        end = self._elapsed + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            moment, _, woken = heapq.heappop(self._sleepers)
            if woken.done():  # whoever slept was cancelled
                continue
            self._elapsed = max(self._elapsed, moment)
            woken.set_result(None)
            if not (self._sleepers and self._sleepers[0][0] <= self._elapsed):
                await self._settle()
        self._elapsed = end

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back. The monotonic one does not notice."""
        self._shift += timedelta(seconds=seconds)

    def lose_sync(self) -> None:
        """The time source is gone."""
        self._synced = False

    def sync(self, error: float = 0.0) -> None:
        """A time source is found; it leaves the wall clock this many seconds from the truth."""
        self._shift = timedelta(seconds=error)
        self._synced = True

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)


class MachineClock:
    """One machine's clocks in the time of a `VirtualClock`, which is the true one: wrong, set and synced for itself.

    Its monotonic clock begins when it is made: a machine that was without power has a new one.
    """

    def __init__(self, time: VirtualClock, *, synced: bool = True, error: float = 0.0) -> None:
        self._time, self._synced = time, synced
        self._began = time.monotonic()
        self._shift = timedelta(seconds=error)

    def now(self) -> datetime:
        return self._time.now() + self._shift

    def monotonic(self) -> float:
        return self._time.monotonic() - self._began

    def synced(self) -> bool:
        return self._synced

    async def sleep(self, seconds: float) -> None:
        await self._time.sleep(seconds)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back."""
        self._shift += timedelta(seconds=seconds)

    def lose_sync(self) -> None:
        """The time source is gone."""
        self._synced = False

    def sync(self) -> None:
        """A time source is found, and the wall clock set right."""
        self._shift = timedelta()
        self._synced = True
