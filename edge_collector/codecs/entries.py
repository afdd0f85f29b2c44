"""Entries: the fields by which our own formats say a visit, an order line, a link or a count, and what they must hold.

Both the plain JSON endpoint and the GATT record service bring these. Numbers are whole numbers, amounts decimal texts,
times RFC 3339 with offset. `member_number` must be there, and be null where the member opted out or is not known.

What does not belong here: how entries travel (`plain`, `records`).
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from edge_collector.contract import DECIMAL, INTEGER_RANGE, RFC_3339
from edge_collector.event_time import to_instant
from edge_collector.readings import Link, OrderLine, Totals, Visit

MAX_TEXT: Final = 128
"""Characters of an id, a number or a category."""
YEARS: Final = range(1900, 9001)
_LOCAL: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}")


def instant(text: str) -> datetime:
    """The time that an RFC 3339 text with offset means. Raises ValueError for any other, and for impossible years."""
    if not re.fullmatch(RFC_3339, text):
        raise ValueError("a time such as 2026-01-31T18:30:00+01:00 is expected")
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        moment = datetime.min
    if moment.year not in YEARS:
        raise ValueError(f"a time between {YEARS.start} and {YEARS.stop - 1} is expected")
    return moment


def local_instant(text: str, time_zone: str) -> datetime:
    """The time that a device's local one such as `2026-01-31 18:30:00` means, as `event_time.to_instant` has it.

    Raises ValueError for any other text, and for impossible times.
    """
    if not _LOCAL.fullmatch(text):
        raise ValueError("a time such as 2026-01-31 18:30:00 is expected")
    local = datetime.fromisoformat(text)
    if local.year not in YEARS:
        raise ValueError(f"a time between {YEARS.start} and {YEARS.stop - 1} is expected")
    return to_instant(local, time_zone)[0]


def opaque(*parts: object) -> str:
    """A key that is the same for the same parts and shows none of them: 32 hexadecimal digits."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def mistakes(error: ValidationError) -> str:
    """What is wrong with an entry, without showing any of its values."""
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))


def _null_if_empty(value: Any) -> Any:
    return None if value == "" else value


def _instant_if_text(value: Any) -> Any:
    return instant(value) if isinstance(value, str) else value


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT, pattern=r"^[^\x00-\x1f\x7f]+$")
]
MemberNumber = Annotated[Text | None, BeforeValidator(_null_if_empty)]
Instant = Annotated[datetime | None, BeforeValidator(_instant_if_text)]
Whole = Annotated[int, Field(ge=INTEGER_RANGE[0], le=INTEGER_RANGE[1])]
Total = Annotated[int, Field(ge=0, le=INTEGER_RANGE[1])]


class Entry(BaseModel):
    """What all entries share: nothing is coerced, and what is not named is ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class CountEntry(Entry):
    """Running totals of a counter, which never fall while it runs."""

    in_total: Total
    out_total: Total | None = None
    battery: Annotated[int, Field(ge=0, le=100)] | None = None

    def reading(self, device: str, key: None = None) -> Totals:
        """The reading that this entry is."""
        return Totals(device=device, in_total=self.in_total, out_total=self.out_total, battery=self.battery)


class VisitEntry(Entry):
    """Somebody came or went. Without `at` the time of arrival counts."""

    member_number: MemberNumber
    direction: Literal["enter", "leave"]
    at: Instant = None

    def reading(self, device: str, key: str | None) -> Visit:
        """The reading that this entry is; `key` tells it from all others."""
        return Visit(device=device, key=key, member_number=self.member_number, direction=self.direction, at=self.at)


class OrderEntry(Entry):
    """One line of an order, or a new state of it. The amount is this line's."""

    order_id: Text
    order_no: Whole
    member_number: MemberNumber
    ordered_at: Instant = None
    category_id: Text
    quantity: Whole
    amount: Annotated[str, Field(pattern=DECIMAL)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    status: Literal["completed", "cancelled", "refunded"]

    def reading(self, device: str, key: str | None) -> OrderLine:
        """The reading that this entry is; `key` tells it from all others."""
        return OrderLine(
            device=device,
            key=key,
            order_id=self.order_id,
            order_no=self.order_no,
            member_number=self.member_number,
            ordered_at=self.ordered_at,
            category_id=self.category_id,
            quantity=self.quantity,
            amount=Decimal(self.amount),
            currency=self.currency,
            status=self.status,
        )


class LinkEntry(Entry):
    """A number by which terminals know somebody, and the member's number in the back office, are one person's."""

    terminal_number: Text
    member_number: Text
    action: Literal["link", "unlink"]

    def reading(self, device: str, key: str | None) -> Link:
        """The reading that this entry is; `key` tells it from all others."""
        return Link(
            device=device,
            key=key,
            terminal_number=self.terminal_number,
            member_number=self.member_number,
            action=self.action,
        )
