"""One landed line as a record: the JSON text, the fields of each stream and the values that they may have."""

import json
import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

MAX_LINE_BYTES = 64 * 1024
MAX_DEPTH = 190
CENT = Decimal("0.01")

# What a field must be. A trailing "?" means that it may be null. A tuple lists the values that an enumeration has.
# Decision: a gateway_id or boot_id that does not match its pattern is malformed, as any other value of a wrong form.
TEXT, INT, NUMBER, INSTANT, AMOUNT, NAME_PART = "text", "int", "number", "instant", "amount", "name_part"

COMMON = {
    "gateway_id": NAME_PART,
    "boot_id": NAME_PART,
    "seq": INT,
    "venue_id": TEXT,
    "device_id": TEXT,
    "recorded_at": INSTANT,
    "clock": ("synced", "unsynced"),
}
COUNTS = {
    "interval_start": INSTANT,
    "interval_end": INSTANT,
    "in_count": INT,
    "out_count": INT,
    "unpaired_count": INT + "?",
    "in_total": INT,
    "out_total": INT,
    "device_epoch": INT,
}
STREAMS: dict[str, dict] = {
    "boundary_counts": COMMON | COUNTS,
    "entrance_counts": COMMON | COUNTS | {"out_count": INT + "?", "out_total": INT + "?"},
    "face_visits": COMMON | {"user_id": TEXT, "direction": ("enter", "leave")},
    "orders": COMMON
    | {
        "order_id": TEXT,
        "order_no": INT,
        "user_id": TEXT + "?",
        "ordered_at": INSTANT,
        "category_id": TEXT,
        "quantity": INT,
        "amount": AMOUNT,
        "currency": TEXT,
        "status": ("completed", "cancelled", "refunded"),
    },
    "assignments": COMMON
    | {
        "experiment_id": TEXT,
        "unit_id": TEXT,
        "arm": TEXT,
        "propensity": NUMBER,
        "leaf_id": INT + "?",
        "allocation_id": TEXT + "?",
    },
    "identity_links": COMMON | {"terminal_user_id": TEXT, "member_user_id": TEXT, "action": ("link", "unlink")},
    "gateway_events": COMMON
    | {
        "kind": ("heartbeat", "clock_step", "epoch_opened", "refused"),
        "subject": TEXT + "?",
        "value": INT + "?",
        "detail": TEXT + "?",
    },
}
TIME_THAT_COUNTS = dict.fromkeys(STREAMS, "recorded_at") | {
    "boundary_counts": "interval_start",
    "entrance_counts": "interval_start",
    "orders": "ordered_at",
}

NAME_PART_PATTERN = re.compile(r"[A-Za-z0-9_.]+")
AMOUNT_PATTERN = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,2})?")
INSTANT_PATTERN = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
DATE_PATTERN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Malformed(ValueError):
    """The line or manifest is not what the record contract asks for."""


def parse_instant(text: object) -> datetime:
    """`YYYY-MM-DDTHH:MM:SS[.f{1,6}](Z|±HH:MM)` as an instant in UTC."""
    if type(text) is not str:
        raise Malformed("not text")
    match = INSTANT_PATTERN.fullmatch(text)
    if match is None:
        raise Malformed("no timestamp")
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    offset = timedelta(0)
    if sign is not None:
        # Decision: an offset is a time of day, as RFC 3339 has it: 00:00 to 23:59, either sign.
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            raise Malformed("no offset")
        offset = timedelta(hours=int(offset_hours), minutes=int(offset_minutes))
        if sign == "-":
            offset = -offset
    microsecond = int(fraction.ljust(6, "0")) if fraction else 0
    try:
        written = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), microsecond, UTC)
        return written - offset
    except (ValueError, OverflowError):  # no calendar date; second 60; before the year 1 or after 9999 in UTC
        raise Malformed("no calendar date") from None


def parse_date(text: str) -> date | None:
    if DATE_PATTERN.fullmatch(text) is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def is_int(value: object) -> bool:
    """A JSON integer: not true, not 5.0, within 64 bits."""
    return type(value) is int and -(2**63) <= value < 2**63


def parse_value(kind: str | tuple[str, ...], value: object) -> object:
    """The value of a required field; raises Malformed."""
    if kind == INT:
        if is_int(value):
            return value
    elif kind == NUMBER:
        if type(value) in (int, float) and (type(value) is int or math.isfinite(value)):
            return value
    elif kind == INSTANT:
        return parse_instant(value)
    elif type(value) is str and value != "":
        if kind == TEXT:
            return value
        if kind == NAME_PART and NAME_PART_PATTERN.fullmatch(value):
            return value
        if kind == AMOUNT and AMOUNT_PATTERN.fullmatch(value):
            return Decimal(value).quantize(CENT)
        if type(kind) is tuple and value in kind:
            return value
    raise Malformed(f"not {kind}")


def parse_record(stream: str, line: bytes) -> dict:
    """One landed line as a record with parsed values; raises Malformed. Unknown extra fields are left out."""
    if len(line) > MAX_LINE_BYTES:
        raise Malformed("over 64 KiB")
    given = parse_json(line)
    if type(given) is not dict:
        raise Malformed("not an object")
    record = {}
    for name, kind in STREAMS[stream].items():
        value = given.get(name)
        if type(kind) is str and kind.endswith("?"):
            record[name] = None if value is None or value == "" else parse_value(kind[:-1], value)
        else:
            record[name] = parse_value(kind, value)  # null is of no kind
    return record


def parse_json(line: bytes) -> object:
    try:
        text = line.decode("utf-8")  # strict: no invalid bytes, no encoded surrogates; a leading BOM fails below
        if too_deep(text):
            raise Malformed("too deep")
        if "\\u" in text:
            return json.loads(text, object_pairs_hook=object_of_real_text, parse_constant=no_number)
        return json.loads(text, parse_constant=no_number)  # of a name given twice the last counts
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise Malformed("not JSON") from None


def no_number(text: str) -> object:
    """Python reads NaN, Infinity and -Infinity; JSON has no such numbers."""
    raise ValueError(text)


def object_of_real_text(pairs: list[tuple[str, object]]) -> dict:
    """A JSON object, after a look at all its names and texts, also those that a later name replaces."""
    for name, value in pairs:
        must_be_real_text(name)
        must_be_real_text(value)
    return dict(pairs)


def must_be_real_text(value: object) -> None:
    if type(value) is str:
        value.encode("utf-8")  # raises UnicodeEncodeError, a ValueError, on a lone surrogate
    elif type(value) is list:
        for element in value:
            must_be_real_text(element)


def too_deep(text: str) -> bool:
    """Whether arrays and objects are nested more than MAX_DEPTH levels."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth, in_text, escaped = 0, False, False
    for character in text:
        if in_text:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_text = False
        elif character == '"':
            in_text = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif character in "]}":
            depth -= 1
    return False
