"""What tests of Bluetooth share: a hall with a virtual radio and clock, an inbox, and waiting for a condition."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from edge_collector.readings import AnyReading
from edge_collector.sources import Busy
from edge_collector.testing.clock import VirtualClock
from edge_collector.testing.radio import VirtualRadio, virtual_radio

Kind = TypeVar("Kind")


class Inbox:
    """A sink that keeps what it is given, or is busy."""

    def __init__(self) -> None:
        self.readings: list[AnyReading] = []
        self.batches = 0
        self.busy = False
        self.refused = 0

    async def __call__(self, readings: Sequence[AnyReading], /) -> None:
        if self.busy:
            self.refused += 1
            raise Busy("the inbox is full")
        for _ in range(20):  # as long as a disk takes to flush
            await asyncio.sleep(0)
        self.readings += readings
        self.batches += 1

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [reading for reading in self.readings if isinstance(reading, kind)]


class Hall:
    """One radio, one clock, one inbox, and what runs in the background."""

    def __init__(self, radio: VirtualRadio) -> None:
        self.radio, self.clock, self.inbox = radio, VirtualClock(), Inbox()
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def until(self, condition: Callable[[], object], passing: float = 0.0) -> None:
        """Return when the condition holds; let `passing` seconds of the clock pass in each turn meanwhile."""
        try:
            async with asyncio.timeout(10):
                while not condition():
                    if broken := next((t for t in self._tasks if t.done() and not t.cancelled()), None):
                        broken.result()
                    await (self.clock.advance(passing) if passing else asyncio.sleep(0))
        except TimeoutError:
            raise AssertionError(f"waited in vain; the inbox holds {self.inbox.readings[-5:]}") from None

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def in_hall(test: Callable[[Hall], Awaitable[None]]) -> Callable[[], None]:
    """Make a test of a coroutine that wants a hall."""

    async def scenario() -> None:
        with virtual_radio() as radio:
            hall = Hall(radio)
            try:
                await test(hall)
            finally:
                await hall.close()

    def run() -> None:
        asyncio.run(scenario())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
