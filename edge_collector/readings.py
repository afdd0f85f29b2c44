"""Readings: what codecs make of bytes, and what every source hands to the intake. Values only.

A reading is not a record yet: it has no number, no pseudonym and, unless the device has a clock, no time. Member
numbers in it are as the device sent them, so readings are never written anywhere; the intake makes records of them.

What does not belong here: how bytes are read (`codecs`), what a reading becomes (`intake`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Something that one device said.

    `device` is the device's name at its source: a Bluetooth address (`AA:BB:CC:DD:EE:FF`), a serial number, or the id
    of site.toml. `key` is what makes it the same reading when it is delivered again; None where a repetition cannot
    do harm, because the reading is a running total. `heard_at` is when the gateway overheard it, in seconds by the
    clock that does not step; None where that is when it is handed over.
    """

    device: str
    key: str | None = None
    heard_at: float | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Totals(Reading):
    """Running totals of a counter. `out_total` is None where the sensor counts one way only."""

    in_total: int
    out_total: int | None = None
    packet_id: int | None = None
    """0 to 255, one more with each new content; BTHome object 0x00."""
    counter: int | None = None
    """Of an encrypted frame, 0 to 2^32 - 1; None says that the frame was not encrypted."""
    battery: int | None = None
    """Percent."""


@dataclass(frozen=True, kw_only=True)
class Trigger(Reading):
    """One of the two sensors of a pair was triggered. `at` is seconds by the clock that both sensors share."""

    sensor: Literal["outer", "inner"]
    at: float
    counter: int | None = None


@dataclass(frozen=True, kw_only=True)
class Visit(Reading):
    """A terminal recognised somebody. `member_number` is None for a member who opted out: counted, never named."""

    member_number: str | None = field(repr=False)
    direction: Literal["enter", "leave"]
    at: datetime | None = None
    """By the device's clock, with offset; None where it has none, and the gateway's time counts."""


@dataclass(frozen=True, kw_only=True)
class OrderLine(Reading):
    """One line of an order of the back office or a till."""

    order_id: str
    order_no: int
    member_number: str | None = field(repr=False)
    ordered_at: datetime | None
    category_id: str
    quantity: int
    amount: Decimal
    currency: str
    status: Literal["completed", "cancelled", "refunded"]


@dataclass(frozen=True, kw_only=True)
class Link(Reading):
    """A terminal's member number and a back office's are, or are no longer, the same person."""

    terminal_number: str = field(repr=False)
    member_number: str = field(repr=False)
    action: Literal["link", "unlink"]


@dataclass(frozen=True, kw_only=True)
class Alive(Reading):
    """A device was heard and said nothing that is recorded: a battery level, a motion edge."""

    battery: int | None = None
    motion: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Dropped(Reading):
    """Something that was left out on purpose, counted by `reason`: an image, a wrong key, a broken frame.

    `reason` is a short word of letters and '_' (it becomes a label of a metric and the subject of a record); `detail`
    says what was given and expected, without member numbers, secrets or content.
    """

    reason: str
    detail: str = ""
    count: int = 1


AnyReading = Totals | Trigger | Visit | OrderLine | Link | Alive | Dropped
