"""The record contract: what a line must be, and that the fast way of knowing agrees with the reference parser."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_collector.contract import STREAMS, Malformed, canonical, canonical_pattern, columns, parse

VISIT: dict[str, Any] = {
    "gateway_id": "g1", "boot_id": "b1", "seq": 7, "venue_id": "hall", "device_id": "terminal",
    "recorded_at": "2026-01-05T10:00:00.123+01:00", "clock": "synced", "user_id": "k1:00", "direction": "enter",
}  # fmt: skip
ORDER: dict[str, Any] = {
    "gateway_id": "g1", "boot_id": "b1", "seq": 7, "venue_id": "hall", "device_id": "till",
    "recorded_at": "2026-01-05T10:00:00.123+01:00", "clock": "synced", "order_id": "o1", "order_no": 1, "user_id": None,
    "ordered_at": "2026-01-05T10:00:00.000Z", "category_id": "c", "quantity": 2, "amount": "12.50", "currency": "EUR",
    "status": "completed",
}  # fmt: skip


def line(record: dict[str, Any], **changed: Any) -> bytes:
    return json.dumps({**record, **changed}, ensure_ascii=False).encode()


def test_a_record_is_what_was_written() -> None:
    assert parse("face_visits", line(VISIT)).model_dump() == VISIT
    assert parse("orders", line(ORDER)).model_dump() == ORDER


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"seq": "7"}, "seq: .*integer"),
        ({"seq": 7.0}, "seq: .*integer"),
        ({"seq": True}, "seq: .*integer"),
        ({"seq": 2**63}, "seq: .*less than"),
        ({"user_id": None}, "user_id: .*string"),
        ({"user_id": ""}, "user_id: .*at least 1"),
        ({"user_id": 5}, "user_id: .*string"),
        ({"direction": "sideways"}, "direction: .*'enter' or 'leave'"),
        ({"clock": None}, "clock"),
        ({"gateway_id": "a/b"}, "gateway_id: .*pattern"),
        ({"recorded_at": "2026-01-05"}, "recorded_at: .*pattern"),
        ({"recorded_at": "2026-01-05T10:00:00"}, "recorded_at: .*pattern"),
        ({"recorded_at": "2026-02-30T10:00:00Z"}, "recorded_at: .*day"),
        ({"recorded_at": "2026-01-05T24:00:00Z"}, "recorded_at"),
        ({"recorded_at": 1767600000}, "recorded_at: .*string"),
    ],
)
def test_what_is_malformed_is_said_in_words(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(Malformed, match=says):
        parse("face_visits", line(VISIT, **changed))


@pytest.mark.parametrize("amount", [12.5, "12,50", "1.005", "", "1e3", "٣", "12345678901234567.00", None])
def test_an_amount_is_a_decimal_string_of_at_most_two_places(amount: Any) -> None:
    with pytest.raises(Malformed, match="amount"):
        parse("orders", line(ORDER, amount=amount))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1]",
        b'"x"',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"a":1,}',
        b'{"a":1} {}',
        b'{"a":"\\ud800"}',
        b"x" * 70_000,
        json.dumps(VISIT | {"extra": float("nan")}).encode(),
        json.dumps(VISIT | {"extra": [float("-inf")]}).encode(),
    ],
)
def test_what_is_not_one_json_object_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse("face_visits", text)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Malformed, match="direction: missing"):
        parse("face_visits", json.dumps({k: v for k, v in VISIT.items() if k != "direction"}).encode())


def test_deep_json_does_not_break_the_parser() -> None:
    with pytest.raises(Malformed, match="recursion"):
        parse("face_visits", b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}")


def test_unknown_fields_are_ignored_and_empty_optional_ones_are_null() -> None:
    assert parse("orders", line(ORDER, further={"a": [1]}, user_id="")).model_dump() == ORDER
    without = {k: v for k, v in ORDER.items() if k != "user_id"}
    assert parse("orders", line(without)).model_dump() == ORDER


def test_of_a_name_given_twice_the_last_counts() -> None:
    doubled = line(VISIT)[:-1] + b',"direction":"leave"}'
    assert parse("face_visits", doubled).model_dump()["direction"] == "leave"


def _values(kind: str) -> st.SearchStrategy[Any]:
    odd = st.sampled_from(
        [None, "", 0, -1, 5, 5.0, 2**63, True, "x", "ü", 'a"b', "a\\b", "2026-02-29T10:00:00Z", [], {}]
    )
    good = {
        "VARCHAR": st.text(min_size=1, max_size=8) | st.sampled_from(["enter", "synced", "completed", "g1"]),
        "BIGINT": st.integers(-(2**63) - 1, 2**63),
        "TIMESTAMP": st.datetimes().map(lambda t: t.isoformat(timespec="milliseconds") + "+01:00")
        | st.sampled_from(["2024-02-29T10:00:00Z", "2026-02-29T10:00:00Z", "2026-04-31T00:00:00.5-03:30"]),
        "DECIMAL(18,2)": st.decimals(-(10**6), 10**6, places=2).map(str),
        "DOUBLE": st.floats(0, 1) | st.floats(),
    }[kind]
    return good | odd


@given(st.data())
def test_a_line_that_the_pattern_proves_is_one_that_the_reference_takes_unchanged(data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from(sorted(STREAMS)))
    record = {c.name: data.draw(_values(c.type), label=c.name) for c in columns(stream)}
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=data.draw(st.booleans()))
    if re.search(canonical_pattern(stream), text) and not text.endswith("\n"):
        assert json.loads(canonical(stream, text.encode())) == record


@given(st.data())
def test_most_canonical_lines_are_proven(data: st.DataObject) -> None:
    """The pattern may refuse a valid line, but what gateways write it must know, or reading is slow."""
    stream = data.draw(st.sampled_from(sorted(STREAMS)))
    plain: dict[str, Any] = {"VARCHAR": "k1_0a.b", "BIGINT": 42, "TIMESTAMP": "2026-12-31T23:59:59.999+08:00"}
    plain |= {"DECIMAL(18,2)": "-12.50", "DOUBLE": 0.5}
    record = {c.name: None if c.nullable and data.draw(st.booleans()) else plain[c.type] for c in columns(stream)}
    for name, values in {
        "clock": ["synced"],
        "direction": ["enter"],
        "status": ["refunded"],
        "action": ["link"],
    }.items():
        record |= {name: values[0]} if name in record else {}
    record |= {"kind": "heartbeat"} if "kind" in record else {}
    text = canonical(stream, json.dumps(record).encode())
    assert re.search(canonical_pattern(stream), text)
