"""The record contract, landing schema 1: what one line of a segment must be, for each of the seven streams.

Everything that depends on the shape of a record (the reference parser, the columns of raw and clean tables,
the pattern by which well-formed lines are recognised in bulk) is derived from the models here.

What does not belong here: what makes a well-formed record wrong for a venue (unknown device, wrong date, out of range);
that is judged where the tables are made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import UnionType
from typing import Annotated, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, from_json

LANDING_SCHEMA: Final = 1
MAX_LINE_BYTES: Final = 64 * 1024
"""A longer line is malformed, whatever it holds: no device has that much to say, and a reader must bound its memory."""


@dataclass(frozen=True)
class Kind:
    """What a field's JSON value looks like, and the column it becomes.

    `pattern` matches JSON texts that are certainly valid, in the syntax shared by Rust's regex, RE2 and Python.
    It may refuse valid texts (escapes, February 29): those lines take the way through the reference parser.
    """

    column: str
    pattern: str
    unit: str = ""


_TEXT: Final = r'"[^"\\\x00-\x1f\x7f]+"'
_ASCII_TEXT: Final = r'"[ !#-\[\]-~]+"'
_DATE: Final = (
    r"[1-8][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_OFFSET: Final = r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"

RFC_3339: Final = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_TIME}{_OFFSET}$"
DECIMAL: Final = r"^-?[0-9]{1,16}(?:\.[0-9]{1,2})?$"

INTEGER_RANGE: Final = (-(2**63), 2**63 - 1)

Text = Annotated[str, Field(min_length=1), Kind("VARCHAR", _TEXT)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$"), Kind("VARCHAR", r'"[A-Za-z0-9_.]+"')]
Instant = Annotated[str, Field(pattern=RFC_3339), Kind("TIMESTAMP", f'"{_DATE}T{_TIME}{_OFFSET}"', "UTC")]
Integer = Annotated[
    int, Field(ge=INTEGER_RANGE[0], le=INTEGER_RANGE[1]), Kind("BIGINT", r"(?:0|-?[1-9][0-9]{0,17})", "count")
]
Money = Annotated[
    str, Field(pattern=DECIMAL), Kind("DECIMAL(18,2)", r'"-?[0-9]{1,16}(?:\.[0-9]{1,2})?"', "currency of the line")
]
Fraction = Annotated[float, Field(allow_inf_nan=False), Kind("DOUBLE", r"(?:0|1|[01]\.[0-9]{1,15})", "fraction")]


class Record(BaseModel):
    """What every record carries. (gateway_id, boot_id, seq) together with the stream is a record's identity."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    gateway_id: Name = Field(description="Gateway that captured the record")
    boot_id: Name = Field(description="Run of the gateway in which the record was captured")
    seq: Integer = Field(description="Consecutive number of the record per gateway, boot and stream")
    venue_id: Text = Field(description="Venue where it happened")
    device_id: Text = Field(description="Device that observed it")
    recorded_at: Instant = Field(description="When the gateway recorded it")
    clock: Literal["synced", "unsynced"] = Field(description="Whether the gateway's clock was synchronised")


class BoundaryCount(Record):
    """Stream a: one reporting interval of one pair A of presence sensors at the venue's boundary."""

    interval_start: Instant = Field(description="Start of the reporting interval")
    interval_end: Instant = Field(description="End of the reporting interval")
    in_count: Integer = Field(description="People counted inwards in the interval")
    out_count: Integer = Field(description="People counted outwards in the interval")
    unpaired_count: Integer | None = Field(None, description="Triggers of one sensor without its opposite")
    in_total: Integer = Field(description="Inward counts since the device's epoch began")
    out_total: Integer = Field(description="Outward counts since the device's epoch began")
    device_epoch: Integer = Field(description="Number of the device's counting epoch; a reset opens a new one")


class EntranceCount(Record):
    """Stream b: one reporting interval of one entrance sensor B."""

    interval_start: Instant = Field(description="Start of the reporting interval")
    interval_end: Instant = Field(description="End of the reporting interval")
    in_count: Integer = Field(description="People counted inwards in the interval")
    out_count: Integer | None = Field(None, description="People counted outwards in the interval")
    unpaired_count: Integer | None = Field(None, description="Triggers of one sensor without its opposite")
    in_total: Integer = Field(description="Inward counts since the device's epoch began")
    out_total: Integer | None = Field(None, description="Outward counts since the device's epoch began")
    device_epoch: Integer = Field(description="Number of the device's counting epoch; a reset opens a new one")


class FaceVisit(Record):
    """Stream c: the recognition terminal saw a member come or go. Never an image, template or embedding."""

    user_id: Text = Field(description="Pseudonym of the recognised person")
    direction: Literal["enter", "leave"] = Field(description="Whether the person came or went")


class Order(Record):
    """Stream d: one line of an order of the back office."""

    order_id: Text = Field(description="Order, as the back office numbers it")
    order_no: Integer = Field(description="Number of the line in its order")
    user_id: Text | None = Field(None, description="Pseudonym of the member who ordered, if known")
    ordered_at: Instant = Field(description="When the order was placed; one per order")
    category_id: Text = Field(description="Category of what was ordered")
    quantity: Integer = Field(description="Pieces on this line")
    amount: Money = Field(description="Amount of this line")
    currency: Text = Field(description="ISO 4217 code of the amount's currency")
    status: Literal["completed", "cancelled", "refunded"] = Field(description="State of the line")


class Assignment(Record):
    """Which arm of an experiment a unit was given, and how probable that was."""

    experiment_id: Text = Field(description="Experiment")
    unit_id: Text = Field(description="Unit of the experiment: a user, a visit or a venue")
    arm: Text = Field(description="Arm given")
    propensity: Fraction = Field(description="Probability with which this arm was given")
    leaf_id: Integer | None = Field(None, description="Leaf of the context tree that decided")
    allocation_id: Text | None = Field(None, description="Allocation that decided; null under fixed shares")


class IdentityLink(Record):
    """A terminal's user was found to be, or no longer to be, a member of the back office."""

    terminal_user_id: Text = Field(description="Pseudonym by which terminals know the person")
    member_user_id: Text = Field(description="Pseudonym by which orders know the person")
    action: Literal["link", "unlink"] = Field(description="Whether the two are joined or parted")


class GatewayEvent(Record):
    """What a gateway tells of itself."""

    kind: Literal["heartbeat", "clock_step", "epoch_opened", "refused"] = Field(description="What happened")
    subject: Text | None = Field(None, description="What it happened to")
    value: Integer | None = Field(None, description="Figure that belongs to it")
    detail: Text | None = Field(None, description="Further words")


STREAMS: Final[Mapping[str, type[Record]]] = {
    "boundary_counts": BoundaryCount,
    "entrance_counts": EntranceCount,
    "face_visits": FaceVisit,
    "orders": Order,
    "assignments": Assignment,
    "identity_links": IdentityLink,
    "gateway_events": GatewayEvent,
}

TIME_THAT_COUNTS: Final[Mapping[str, str]] = {
    "boundary_counts": "interval_start",
    "entrance_counts": "interval_start",
    "orders": "ordered_at",
} | dict.fromkeys(("face_visits", "assignments", "identity_links", "gateway_events"), "recorded_at")
"""The field whose event date decides into which folder a record belongs."""


@dataclass(frozen=True)
class Column:
    """One field of a stream as a column: SQL type, whether null is allowed, unit and meaning."""

    name: str
    type: str
    nullable: bool
    unit: str
    description: str
    json_pattern: str
    repeats: bool
    """Whether it is a text that many records share: who captured them, or one of a few words."""

    @property
    def ascii_pattern(self) -> str:
        """`json_pattern` without characters beyond ASCII, which is found faster."""
        return self.json_pattern.replace(_TEXT, _ASCII_TEXT)


@lru_cache
def columns(stream: str) -> tuple[Column, ...]:
    """The fields of `stream` in the order in which they are written."""
    return tuple(_column(name, STREAMS[stream]) for name in STREAMS[stream].model_fields)


def _column(name: str, model: type[Record]) -> Column:
    field = model.model_fields[name]
    annotation, nullable = field.annotation, False
    kinds = [m for m in field.metadata if isinstance(m, Kind)]
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(a for a in get_args(annotation) if a is not type(None))
        nullable = True
        kinds = [m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Kind)]
    if get_origin(annotation) is Literal:
        values = "|".join(re.escape(v) for v in get_args(annotation))
        kinds = [Kind("VARCHAR", f'"(?:{values})"', " or ".join(get_args(annotation)))]
    (kind,) = kinds
    unit = "" if name in ("seq", "order_no", "leaf_id", "device_epoch") else kind.unit
    pattern = f"(?:null|{kind.pattern})" if nullable else kind.pattern
    repeats = kind.column == "VARCHAR" and (name in Record.model_fields or get_origin(annotation) is Literal)
    return Column(name, kind.column, nullable, unit, field.description or "", pattern, repeats)


def canonical_pattern(stream: str, *, ascii_only: bool = False) -> str:
    """A regular expression that matches only well-formed lines of `stream` as `canonical` writes them.

    A match proves every rule of the contract at once, so that lines can be checked in bulk; no match proves nothing.
    `ascii_only` refuses lines with other characters, and is found faster.
    """
    fields = ",".join(f'"{c.name}":{c.ascii_pattern if ascii_only else c.json_pattern}' for c in columns(stream))
    return rf"^\{{{fields}\}}$"


class Malformed(ValueError):
    """A line that is no record of its stream. The message says what was given and what is expected."""


def parse(stream: str, line: bytes) -> Record:
    """The record that `line` holds: the reference that every faster way must agree with.

    JSON types are not coerced ("5" is no integer, 5.0 is none either), of a name given twice the last one counts
    (as in Python's json), fields that the contract does not know are ignored.

    Raises Malformed when the line is not UTF-8, not one JSON object, longer than 64 KiB, or a field is missing, null,
    empty or of another type than the contract's. An empty text in a field that may be null is null.
    """
    if len(line) > MAX_LINE_BYTES:
        raise Malformed(f"{len(line)} bytes; at most {MAX_LINE_BYTES} are expected")
    try:
        record = STREAMS[stream].model_validate_json(line)
    except ValidationError as error:
        found = error.errors(include_url=False)
        empty = {str(e["loc"][0]): None for e in found if _is_empty_optional(stream, e)}
        if empty and len(empty) == len(found):
            return _without(stream, line, empty)
        raise Malformed(_sentence(found)) from None
    if b"NaN" in line or b"Infinity" in line:
        _check_numbers(line)
    _check_instants(record)
    return record


def canonical(stream: str, line: bytes) -> str:
    """`line` as the one text that stands for its record: compact, all fields, in the contract's order.

    Raises Malformed as `parse` does.
    """
    return parse(stream, line).model_dump_json()


def _is_empty_optional(stream: str, error: ErrorDetails) -> bool:
    if error["input"] != "" or not error["loc"]:
        return False
    field = STREAMS[stream].model_fields.get(str(error["loc"][0]))
    return field is not None and not field.is_required()


def _without(stream: str, line: bytes, empty: Mapping[str, None]) -> Record:
    text = json.dumps({**json.loads(line), **empty})
    return parse(stream, text.encode())


def _check_numbers(line: bytes) -> None:
    """pydantic lets NaN and Infinity through where nobody looks; JSON (RFC 8259) has no such numbers."""
    try:
        from_json(line, allow_inf_nan=False)
    except ValueError as error:
        raise Malformed(f"Invalid JSON: {error}; NaN and Infinity are no JSON numbers") from None


def _check_instants(record: Record) -> None:
    """The pattern of an instant lets the 30th of February through; the calendar does not."""
    for column in columns(_stream_of(type(record))):
        if column.type == "TIMESTAMP":
            text = getattr(record, column.name)
            try:
                datetime.fromisoformat(text).astimezone(UTC)
            except ValueError as error:
                raise Malformed(f"{column.name}: {text} is given; {error}") from None
            except OverflowError:
                raise Malformed(f"{column.name}: {text} is given; the years 1 to 9999 UTC are expected") from None


def _stream_of(model: type[Record]) -> str:
    return next(stream for stream, m in STREAMS.items() if m is model)


def _sentence(errors: Sequence[ErrorDetails]) -> str:
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if first["type"] == "missing":
        return f"{where}: missing{more}"
    given = "" if first["type"] == "json_invalid" else f", given {str(first['input'])[:60]!r}"
    return f"{where + ': ' if where else ''}{first['msg']}{given}{more}"
