"""The shipper: brings sealed segments to the target until none waits, through days without an uplink.

Half of its workers take the oldest segment that waits, the other half the newest: a backlog of days is caught up
with while fresh segments still arrive within seconds. A segment leaves the outbox only when the target has confirmed
the hash of what it holds; whatever happens before that (a kill, a lost answer), the segment is put again, which a
target takes as the same.

What does not belong here: where segments wait (`spool`), how a target is spoken to (`targets`).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import uniform
from typing import Any, Final, Protocol

from edge_collector.clock import Clock
from edge_collector.ship.target import Denied, Refused, Segment, ShippingProblem, Target, Unreachable

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 300.0
REFUSED_PAUSE: Final = 900.0
"""After the target has refused a segment: only a person can change that, so the next try is for their convenience."""
IDLE_PAUSE: Final = 5.0
"""How often the outbox is asked when nothing waits and nobody calls `wake`."""

log = logging.getLogger(__name__)


class Waiting(Segment, Protocol):
    """A segment of the outbox."""

    @property
    def id(self) -> int: ...


class Outbox(Protocol):
    """Where sealed segments wait. Called from threads, several at a time; what the last two return is not looked at."""

    def segment(self, *, newest: bool = False, beside: Sequence[int] = ()) -> Waiting | None:
        """The oldest (or newest) segment that waits, other than those in `beside`."""
        ...

    def confirmed(self, segment_id: int, /) -> object:
        """The target holds the segment: it may go."""
        ...

    def refused(self, segment_id: int, why: str, /) -> object:
        """The target does not take the segment: it stays, and somebody is to be told."""
        ...


class Unconfirmed(ShippingProblem):
    """The target has answered something else than the hash of what was sent."""


@dataclass
class Shipped:
    """What has become of segments since the shipper was made, for whoever shows it."""

    confirmed: int = 0
    repeated: int = 0
    """Of these, those that the target held already."""
    bytes: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    """By kind: Unreachable, Denied, Refused, Conflict, Unconfirmed."""
    last_confirmed_at: datetime | None = None
    last_problem: str = ""
    """Empty while the last segment was confirmed."""
    denied: bool = False
    """Whether that was the target refusing this gateway altogether."""


class Shipper:
    """Ships what waits in `outbox` to `target` while `run` runs."""

    def __init__(
        self,
        outbox: Outbox,
        target: Target,
        clock: Clock,
        *,
        workers: int = 4,
        jitter: Callable[[float, float], float] = uniform,
    ) -> None:
        if workers < 2:
            raise ValueError(f"{workers} workers are given; at least 2 are expected, for old segments and for new ones")
        self.shipped = Shipped()
        self._outbox, self._target, self._clock, self._workers, self._jitter = outbox, target, clock, workers, jitter
        self._under_way: set[int] = set()
        self._refused_until: dict[int, float] = {}
        self._taking = asyncio.Lock()
        self._sealed, self._answered = asyncio.Event(), asyncio.Event()

    async def run(self, *, until_empty: bool = False) -> None:
        """Ship until cancelled; `until_empty` ends when nothing waits but what was refused."""
        async with asyncio.TaskGroup() as workers:
            for n in range(self._workers):
                workers.create_task(self._work(newest=n % 2 == 1, until_empty=until_empty))

    def wake(self) -> None:
        """A segment was sealed: workers with nothing to do look now."""
        _pulse(self._sealed)

    async def _work(self, *, newest: bool, until_empty: bool) -> None:
        failures = 0
        while True:
            segment: Waiting | None = None
            problem: ShippingProblem | None = None
            try:
                if (segment := await self._take(newest)) is not None:
                    problem = await self._ship(segment)
                elif until_empty:
                    return
            except Exception as error:  # of the outbox, perhaps of a full disk: this loop is what makes room again
                log.exception("the outbox cannot be used")
                problem = ShippingProblem(str(error))
            finally:
                if segment is not None:
                    self._under_way.discard(segment.id)
            if problem is not None:
                failures += 1
                # Where the target said how long, another worker's success changes nothing.
                back = None if isinstance(problem, Unreachable) and problem.retry_after else self._answered
                if await self._pause(self._back_off(failures, problem), back):
                    failures = 0
            elif segment is None:
                await self._pause(IDLE_PAUSE, self._sealed)
            else:
                failures = 0
                _pulse(self._answered)

    async def _take(self, newest: bool) -> Waiting | None:
        """A segment that nobody else has under way, and that was not refused a moment ago."""
        async with self._taking:
            now = self._clock.monotonic()
            self._refused_until = {i: until for i, until in self._refused_until.items() if until > now}
            beside = [*self._under_way, *self._refused_until]
            segment = await asyncio.to_thread(self._outbox.segment, newest=newest, beside=beside)
            if segment is not None:
                self._under_way.add(segment.id)
            return segment

    async def _ship(self, segment: Waiting) -> ShippingProblem | None:
        """Put one segment; returns what came between, if anything did."""
        try:
            confirmed = await self._target.put(segment)
            if confirmed.sha256 != hashlib.sha256(segment.packed).hexdigest():
                raise Unconfirmed("the target confirms another hash than that of what was sent; it is sent again")
        except ShippingProblem as problem:
            await self._note(segment, problem)
            return problem
        await asyncio.to_thread(self._outbox.confirmed, segment.id)
        self.shipped.confirmed += 1
        self.shipped.repeated += not confirmed.new
        self.shipped.bytes += len(segment.packed)
        self.shipped.last_confirmed_at = self._clock.now()
        self.shipped.last_problem, self.shipped.denied = "", False
        return None

    async def _note(self, segment: Waiting, problem: ShippingProblem) -> None:
        kind = type(problem).__name__
        self.shipped.problems[kind] += 1
        if self.shipped.last_problem != str(problem):  # once, not every five minutes of a night without uplink
            level = logging.ERROR if isinstance(problem, Refused) else logging.WARNING
            log.log(level, "%s %s/%s: %s", kind, segment.stream, segment.name, problem)
        self.shipped.last_problem, self.shipped.denied = str(problem), isinstance(problem, Denied)
        if isinstance(problem, Refused) and not isinstance(problem, Denied):
            self._refused_until[segment.id] = self._clock.monotonic() + REFUSED_PAUSE
            await asyncio.to_thread(self._outbox.refused, segment.id, f"{kind}: {problem}")

    def _back_off(self, failures: int, problem: ShippingProblem) -> float:
        """Seconds until the next try: doubling, half of it by chance, so that gateways do not come back all at once."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 30))
        asked = (problem.retry_after or 0) if isinstance(problem, Unreachable) else 0
        return max(self._jitter(longest / 2, longest), min(asked, LONGEST_PAUSE))

    async def _pause(self, seconds: float, event: asyncio.Event | None) -> bool:
        """Wait so long; returns whether the event came first."""
        waiters: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._clock.sleep(seconds))]
        if event is not None:
            waiters.append(asyncio.ensure_future(event.wait()))
        try:
            done, _ = await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
        return waiters[0] not in done


def _pulse(event: asyncio.Event) -> None:
    """Wake those who wait for the event at this moment."""
    event.set()
    event.clear()
