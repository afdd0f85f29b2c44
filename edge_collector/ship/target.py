"""What a target is: where segments go, what it is asked, and what it can answer.

A target writes the segment first and the manifest last, never overwrites, and confirms only what a power cut there
would not take back. Putting the same segment again is harmless, so whoever is in doubt puts it again.

What does not belong here: which one an address means (`address`), when to try again (`shipper`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Segment(Protocol):
    """A sealed segment and its manifest, byte for byte as they are to lie in every landing."""

    @property
    def stream(self) -> str: ...
    @property
    def event_date(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def packed(self) -> bytes: ...
    @property
    def manifest(self) -> bytes: ...


def place_of(segment: Segment) -> str:
    """Where a segment lies in a landing, without suffix."""
    return f"{segment.stream}/event_date={segment.event_date}/{segment.name}"


@dataclass(frozen=True)
class Confirmed:
    """The target holds segment and manifest: the hash of what it holds, and whether they were new to it."""

    sha256: str
    new: bool


class ShippingProblem(Exception):
    """Why a segment is not confirmed. The message says what was found and what to do."""


class Unreachable(ShippingProblem):
    """The target cannot be asked now, or is busy: `retry_after` seconds, if it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(ShippingProblem):
    """The target was asked and does not take the segment. Somebody has to look; trying again soon is of no use."""


class Denied(Refused):
    """The target takes nothing from this gateway: its token or its rights are wrong."""


class Conflict(Refused):
    """Under the segment's name lies other content. It is never overwritten."""


class Target(Protocol):
    """Where segments go."""

    async def put(self, segment: Segment) -> Confirmed:
        """Have the segment landed, durably. Raises ShippingProblem."""
        ...

    async def check(self) -> None:
        """Ask whether segments would be taken, without sending one. Raises ShippingProblem."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class TargetError(ValueError):
    """An address that is no target. The message says what is expected."""
