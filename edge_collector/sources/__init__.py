"""Sources: the I/O that feeds codecs and hands their readings to the intake. One module per way in.

What all of them share is how they hand over: `await sink(readings)` returns when the readings are durable, and only
then may a source tell its device that they have arrived. A sink that has no room raises `Busy`; the source keeps what
it has, tells the device nothing, and asks again.

What does not belong here: what bytes mean (`codecs`), what readings become (`intake`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Final, Protocol

from edge_collector.clock import Clock
from edge_collector.readings import AnyReading

_FAREWELL: Final = 1.0


class Busy(RuntimeError):
    """There is no room now. Nothing of what was handed over has been kept; it has to be handed over again."""


class Sink(Protocol):
    """Where readings go."""

    async def __call__(self, readings: Sequence[AnyReading], /) -> None:
        """Return when all of them are durable, or raise Busy and keep none."""
        ...


class Backoff:
    """How long to wait after a failure: twice as long each time, shortened by chance so that nobody keeps step."""

    def __init__(self, clock: Clock, first: float = 1.0, longest: float = 60.0) -> None:
        self._clock, self._first, self._longest = clock, first, longest
        self._next = first

    def reset(self) -> None:
        """It worked."""
        self._next = self._first

    async def wait(self) -> None:
        """It did not."""
        seconds, self._next = self._next, min(2 * self._next, self._longest)
        await self._clock.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)


def patience(seconds: float) -> float:
    """How long to wait for a Bluetooth stack when something ends: one that is stuck must not hold up an orderly stop,
    after which BlueZ forgets this process anyway.
    """
    task = asyncio.current_task()
    return min(seconds, _FAREWELL) if task is not None and task.cancelling() else seconds


def heed_cancellation() -> None:
    """Raise CancelledError where this task was cancelled and a library has kept that to itself.

    Python 3.11's `asyncio.wait_for` does so when it has its answer in the same moment. To be called after what a
    Bluetooth stack was asked, and before anything is waited for that may take long.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def hand_over(readings: Sequence[AnyReading], sink: Sink, clock: Clock) -> None:
    """Return when the sink has taken the readings; ask again for as long as it is busy."""
    backoff = Backoff(clock, longest=30.0)
    while True:
        try:
            await sink(readings)
        except Busy:
            await backoff.wait()
        else:
            return
