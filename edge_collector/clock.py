"""Clocks: the wall's, one that nobody sets, and whether the wall's can be trusted. Whatever waits or dates asks here.

The virtual clock of tests is `edge_collector.testing.clock`. What does not belong here: what an untrusted time means
for a record (`intake`, `spool`).
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import time
from datetime import UTC, datetime
from functools import cache
from typing import Final, Protocol

_TIME_ERROR: Final = 5
"""What `adjtimex` answers while the kernel's STA_UNSYNC is set, or the clock is faulty."""
_TIMEX: Final = ctypes.create_string_buffer(512)
"""More than `struct timex` has anywhere. Zeros ask and change nothing, so its layout need not be known; the kernel
leaves the zero that asks, so that any thread may ask with it again."""


class Clock(Protocol):
    """What the collector knows of time."""

    def now(self) -> datetime:
        """The wall clock, in UTC. It can be wrong, and it can jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never jumps and means nothing in another run of the machine."""
        ...

    def synced(self) -> bool:
        """Whether the wall clock follows a time source."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many monotonic seconds."""
        ...


class SystemClock:
    """This machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def synced(self) -> bool:
        """What the Linux kernel was told by chrony, ntpd or systemd-timesyncd; False where it cannot be asked.

        Elsewhere (macOS, Windows: a developer's machine) nothing of the kind can be asked without privileges, and
        the operating system's own time service is taken to work.
        """
        return not sys.platform.startswith("linux") or _kernel_says_synced()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _kernel_says_synced() -> bool:
    try:
        state: int = _library().adjtimex(_TIMEX)
    except (OSError, AttributeError):
        return False
    return 0 <= state < _TIME_ERROR


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
