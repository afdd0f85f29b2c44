"""The plain JSON endpoint: good entries are taken, bad ones left out one by one with a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from edge_collector.codecs.entries import opaque
from edge_collector.codecs.plain import decode
from edge_collector.readings import AnyReading, Dropped, OrderLine, Totals, Visit
from tests.edge.codecs.samples import EMBEDDING, LINK, ORDER, PLAIN, TEMPLATE, VISIT

GOOD: dict[str, dict[str, Any]] = {name: entries[0] for name, entries in json.loads(PLAIN).items()}


def post(**lists: Any) -> list[AnyReading]:
    return decode(json.dumps(lists).encode(), "till")


def test_all_four_kinds() -> None:
    assert decode(PLAIN, "till") == [
        Totals(device="till", in_total=120, out_total=96),
        replace(VISIT, device="till", key=opaque("f3c1")),
        replace(ORDER, device="till", key=opaque("8812/1")),
        replace(LINK, device="till", key=opaque("77")),
    ]


def test_what_may_be_missing() -> None:
    (visit,) = post(visits=[{"id": "1", "member_number": "", "direction": "leave"}])
    assert visit == Visit(device="till", key=opaque("1"), member_number=None, direction="leave")
    assert post(counts=[{"in_total": 0}]) == [Totals(device="till", in_total=0)]
    (order,) = post(orders=[{k: v for k, v in GOOD["orders"].items() if k != "ordered_at"}])
    assert isinstance(order, OrderLine)
    assert order.ordered_at is None


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("counts", {"in_total": "120"}, "in_total: Input should be a valid integer"),
    ("counts", {"in_total": 120.0}, "in_total: Input should be a valid integer"),
    ("counts", {"in_total": True}, "in_total: Input should be a valid integer"),
    ("counts", {"in_total": -1}, "in_total: Input should be greater than or equal to 0"),
    ("counts", {"in_total": 2**63}, "in_total: Input should be less than or equal to 9223372036854775807"),
    ("visits", {"id": None}, "id: Input should be a valid string"),
    ("visits", {"id": 7}, "id: Input should be a valid string"),
    ("visits", {"member_number": 13085}, "member_number: Input should be a valid string"),
    ("visits", {"member_number": "x" * 129}, "member_number: String should have at most 128 characters"),
    ("visits", {"direction": "in"}, "direction: Input should be 'enter' or 'leave'"),
    ("visits", {"at": "2026-01-31 18:30"}, "at: Value error, a time such as 2026-01-31T18:30:00+01:00 is expected"),
    ("visits", {"at": "2026-02-30T18:30:00Z"}, "at: Value error, a time between 1900 and 9000 is expected"),
    ("visits", {"at": 1769880600}, "at: Input should be a valid datetime"),
    ("orders", {"amount": 7.6}, "amount: Input should be a valid string"),
    ("orders", {"amount": "7,60"}, "amount: String should match pattern"),
    ("orders", {"quantity": "2"}, "quantity: Input should be a valid integer"),
    ("orders", {"currency": "euro"}, "currency: String should match pattern"),
    ("orders", {"status": "open"}, "status: Input should be 'completed', 'cancelled' or 'refunded'"),
    ("links", {"member_number": ""}, "member_number: String should have at least 1 character"),
]


@pytest.mark.parametrize(("kind", "change", "sentence"), BAD)
def test_a_bad_entry_is_left_out_and_the_good_one_stays(kind: str, change: dict[str, Any], sentence: str) -> None:
    refused, taken = post(**{kind: [GOOD[kind] | change, GOOD[kind]]})
    assert isinstance(refused, Dropped)
    assert refused.reason == "bad_entry"
    assert refused.detail.startswith(f"{kind}[0].{sentence}")
    assert not isinstance(taken, Dropped)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, entry in GOOD.items() for name in entry])
def test_only_times_and_the_second_total_may_be_missing(kind: str, name: str) -> None:
    (reading,) = post(**{kind: [{k: v for k, v in GOOD[kind].items() if k != name}]})
    assert isinstance(reading, Dropped) == (name not in ("at", "ordered_at", "out_total"))


BODIES = [
    (b"", ["broken"]),
    (b"[]", ["broken"]),
    (b"{}", ["broken"]),
    (b'{"people": []}', ["broken"]),
    (b'{"counts": [{"in_total": NaN}]}', ["broken"]),
    (b'{"counts": {"in_total": 1}}', ["bad_entry"]),
    (b'{"counts": [1, null, "x", []]}', ["bad_entry"] * 4),
    (b'{"counts": []}', []),
    (b'{"counts": 5}', ["broken"]),
    (b"[" * 100_000, ["broken"]),
    (b'{"visits": [' + b"{}," * 50_000 + b"{}]}", ["broken"]),
    (b'{"counts": [{"in_total": ' + b"9" * 5000 + b"}]}", ["broken"]),
]


@pytest.mark.parametrize(("body", "reasons"), BODIES)
def test_a_body_is_refused(body: bytes, reasons: list[str]) -> None:
    assert [r.reason for r in decode(body, "till") if isinstance(r, Dropped)] == reasons


def test_templates_are_left_out_and_a_visit_under_a_template_is_none() -> None:
    visit = GOOD["visits"]
    counted, taken = post(visits=[visit | {"face": TEMPLATE, "embedding": EMBEDDING}])
    assert isinstance(counted, Dropped)
    assert (counted.reason, counted.count) == ("biometric", 2)
    assert isinstance(taken, Visit)
    counted, refused = post(visits=[visit | {"member_number": TEMPLATE}])
    assert isinstance(refused, Dropped)
    assert refused.detail == "visits[0].member_number: Field required"


@pytest.mark.parametrize(("kind", "change", "_"), BAD)
def test_a_detail_shows_no_value(kind: str, change: dict[str, Any], _: str) -> None:
    entry = GOOD[kind] | change
    (refused,) = post(**{kind: [entry]})
    assert isinstance(refused, Dropped)
    assert not any(repr(value) in refused.detail for value in entry.values() if len(repr(value)) > 2)
