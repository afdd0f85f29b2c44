"""Voices: what is said under one device's address, and whether it can all come from one run of one device.

What does not belong here: whom to believe, and what is counted (`totals`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

_FOLLOWS: Final = 64
"""A frame follows another when fewer numbers than this lie between: a minute of loss, a quarter of all packet ids."""
_DAY: Final = 86_400.0


@dataclass(frozen=True)
class Rules:
    """What may be set to a site's devices. `pause_seconds`: how long a living device may well be silent;
    `reorder_seconds`: how late a relayed frame may be and still be innocent."""

    settle_seconds: float = 60
    pause_seconds: float = 30
    reorder_seconds: float = 2
    people_per_second: float = 10
    people_at_once: int = 500

    def plausible(self, rise: int, seconds: float) -> bool:
        return rise <= self.people_at_once + self.people_per_second * seconds


RULES: Final = Rules()


@dataclass(frozen=True, slots=True)
class Point:
    """What one frame said. `number` is its encryption counter, or else its packet id."""

    ins: int
    outs: int | None
    number: int | None

    def covers(self, other: Point) -> bool:
        """Whether the same run can have said `other` before."""
        if self.outs is None or other.outs is None:
            return self.outs is other.outs and self.ins >= other.ins
        return self.ins >= other.ins and self.outs >= other.outs

    def follows(self, other: Point, numbers: int) -> bool:
        """Whether its number is the same as the other's or one of the next, where they have one."""
        return self.number is None or other.number is None or (self.number - other.number) % numbers < _FOLLOWS

    def rise(self, other: Point) -> int:
        return max(self.ins - other.ins, (self.outs or 0) - (other.outs or 0))


@dataclass(frozen=True, slots=True)
class Voice:
    """Frames that continue each other. `mark` is a point of it that waits to be contradicted, since `marked_at`."""

    newest: Point
    mark: Point
    marked_at: float
    changed_at: float
    heard_at: float
    frames: int = 1
    doubted_at: float | None = None
    """When anybody else was last heard under its address."""
    disputed: bool = False
    """Whether somebody else was heard shortly before its newest point, or was behind it later."""
    rose_at: float = 0.0
    """When its newest totals were first said."""

    @property
    def unanswered_since(self) -> float:
        """Since when its newest totals are said and nobody else is heard."""
        return self.rose_at if self.doubted_at is None else max(self.rose_at, self.doubted_at)

    @classmethod
    def of(cls, point: Point, at: float) -> Voice:
        return cls(point, point, at, at, at, rose_at=at)

    def hear(self, point: Point, at: float) -> Voice:
        changed = self.changed_at if point == self.newest else at
        rose = self.rose_at if (point.ins, point.outs) == (self.newest.ins, self.newest.outs) else at
        return replace(self, newest=point, changed_at=changed, rose_at=rose, heard_at=at, frames=self.frames + 1)

    def marked(self, at: float) -> Voice:
        """With its newest point as the next that waits."""
        return replace(self, mark=self.newest, marked_at=at)

    def waits_anew(self, at: float) -> Voice:
        doubted_at = None if self.doubted_at is None else at
        return replace(self, marked_at=at, rose_at=at, changed_at=at - _DAY, heard_at=at - _DAY, doubted_at=doubted_at)

    def waits_on(self, silent: float, at: float) -> Voice:
        """As if so many seconds had not passed. No wait begins later than now."""
        marked_at, rose_at = min(at, self.marked_at + silent), min(at, self.rose_at + silent)
        doubted_at = None if self.doubted_at is None else min(at, self.doubted_at + silent)
        return replace(self, marked_at=marked_at, rose_at=rose_at, doubted_at=doubted_at)

    def has_late(self, point: Point, at: float, rules: Rules) -> bool:
        """Whether this is one of its own frames that another one overtook."""
        return self.newest.covers(point) and at <= self.changed_at + rules.reorder_seconds

    def contradicted(self, point: Point, at: float, rules: Rules) -> bool:
        """Whether somebody is still behind the mark who should have passed it."""
        return not point.covers(self.mark) and at > self.marked_at + rules.reorder_seconds
