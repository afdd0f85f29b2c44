"""The way to a landing that tests and simulations can cut.

What does not belong here: when it is cut.
"""

from __future__ import annotations

from random import Random

from edge_collector.ship import Confirmed, Target, Unreachable
from edge_collector.ship.target import Segment


class Uplink:
    """A target that cannot be reached while `up` is False, and of whose answers only the share `answers` arrives.

    `failures` counts both.
    """

    def __init__(self, target: Target, chance: Random, *, answers: float = 1.0) -> None:
        self._target, self._chance = target, chance
        self.up, self.answers, self.failures = True, answers, 0

    def mend(self) -> None:
        """Nothing fails any more."""
        self.up, self.answers = True, 1.0

    async def put(self, segment: Segment) -> Confirmed:
        if not self.up:
            raise self._failure("the uplink is down")
        confirmed = await self._target.put(segment)
        if self._chance.random() >= self.answers:
            raise self._failure("the answer got lost")
        return confirmed

    async def check(self) -> None:
        await self._target.check()

    async def close(self) -> None:
        await self._target.close()

    def _failure(self, why: str) -> Unreachable:
        self.failures += 1
        return Unreachable(why)
