"""Limits: what one sender can take from the service, so that there is always some left for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from time import monotonic


@dataclass(frozen=True)
class Limits:
    """The limits and their defaults. Times are seconds."""

    segment_bytes: int = 64 * 1024**2
    manifest_bytes: int = 8 * 1024**2
    held_bytes: int = 256 * 1024**2
    """Of all bodies together that are being received or written."""
    requests_per_second: float = 300
    """Of one gateway, over a while; twice as many at once."""
    pause_in_body: float = 20
    body: float = 600
    """How long one body may take in all: 64 MiB at 110 KB/s."""
    writers: int = 8
    """Segments that are judged and written at a time. They share flushes of the disk."""


class TooFast(Exception):
    """Somebody has to wait: so many seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = max(1, ceil(retry_after))


class Rates:
    """A token bucket for each gateway: `per_second` on average, twice as many at once."""

    def __init__(self, per_second: float, clock: Callable[[], float] = monotonic) -> None:
        self._per_second, self._most, self._clock = per_second, 2 * per_second, clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, gateway_id: str) -> None:
        """Count one request. Raises TooFast."""
        now = self._clock()
        left, since = self._left.get(gateway_id, (self._most, now))
        left = min(self._most, left + (now - since) * self._per_second)
        self._left[gateway_id] = (max(left - 1, 0), now) if left >= 1 else (left, now)
        if left < 1:
            raise TooFast((1 - left) / self._per_second)


class Room:
    """Memory for bodies."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Room for one body. Raises TooFast where there is none now."""
        if self._held and self._held + size > self._most:
            raise TooFast(1)
        self._held += size
        try:
            yield
        finally:
            self._held -= size
