"""Which lines are records, and which values their fields may have; worked out by hand from the design."""

from decimal import Decimal

import pytest

from tests.oracle.hand_made import DAY, complete, good, judged, utc
from tests.oracle.landing_writer import Raw, line_of, padded, with_extra
from tests.oracle.records import STREAMS


def test_a_clean_record_has_values_and_not_texts(landing):
    name = landing.put("orders", {"amount": "12.5", "ordered_at": "2026-06-10T23:59:59.25+02:00", "user_id": ""})
    oracle = landing.compute()
    (row,) = oracle.clean["orders"]
    assert row["identity"] == ("g1", "b", 1)
    assert (row["segment"], row["line"], row["event_date"]) == (name, 1, DAY)
    assert row["amount"] == Decimal("12.50")
    assert row["ordered_at"] == utc(2026, 6, 10, 21, 59, 59, 250_000)
    assert row["hour"] == 23
    assert row["user_id"] is None
    assert row["source_user_id"] is None
    assert oracle.landed == dict.fromkeys(STREAMS, 0) | {"orders": 1}
    assert oracle.quarantine == []


@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_has_a_clean_record(landing, stream):
    assert judged(landing, stream, {}) == ["clean"]


@pytest.mark.parametrize(
    "line",
    [
        good() + b"\r",
        b" \t" + good() + b" ",
        with_extra(good(), b'"NaN"'),
        with_extra(good(), b"[" * 100 + b"]" * 100),
        with_extra(good(), b'"' + b"[" * 500 + b'"'),
        with_extra(good(), b'"\\"' + b"[" * 500 + b'"'),  # an escaped quote does not end the text
        with_extra(good(), b'"\\ud83d\\ude00"'),
        padded(good(), 65536),
        b'{"seq":"one",' + good()[1:],
        good()[:-1] + b',"SEQ":"one","":null}',
        good(recorded_at="2026-06-10T10:00:00Z"),
        good(recorded_at="2026-06-10T10:00:00.1-00:00"),
        good(recorded_at="2026-06-10T23:00:00.123456+14:00"),
        good(user_id=" "),
        good(user_id="a\u2028\U0001f600"),
        good(seq=-1),
    ],
)
def test_well_formed(landing, line):
    assert judged(landing, "face_visits", line) == ["clean"]


@pytest.mark.parametrize(
    ("stream", "field"),
    [
        ("boundary_counts", "unpaired_count"),
        ("entrance_counts", "unpaired_count"),
        ("entrance_counts", "out_count"),
        ("entrance_counts", "out_total"),
        ("orders", "user_id"),
        ("assignments", "leaf_id"),
        ("assignments", "allocation_id"),
        ("gateway_events", "subject"),
        ("gateway_events", "value"),
        ("gateway_events", "detail"),
    ],
)
def test_nullable_fields(landing, stream, field):
    """Missing, null and empty are null; another type is malformed. No other field may be null."""
    whole = complete(stream, {}) | {field: None}
    lines = [good(stream, seq=1, **{field: None}), good(stream, seq=2, **{field: ""})]
    del whole[field]
    lines.append(line_of({"gateway_id": "g1", "boot_id": "b", "seq": 3, "device_id": f"{stream}_a"} | whole))
    lines += [good(stream, seq=4, **{field: Raw("true")}), good(stream, seq=5, **{field: Raw("[]")})]
    assert judged(landing, stream, *lines) == ["clean", "clean", "clean", "malformed", "malformed"]
    assert [row[field] for row in landing.compute().clean[stream]] == [None, None, None]


@pytest.mark.parametrize("stream", STREAMS)
def test_all_other_fields_are_required(landing, stream):
    nullable = {"unpaired_count", "leaf_id", "allocation_id", "subject", "value", "detail"}
    nullable |= {"orders": {"user_id"}, "entrance_counts": {"out_count", "out_total"}}.get(stream, set())
    whole = {"gateway_id": "g1", "boot_id": "b", "seq": 1, "device_id": f"{stream}_a"} | complete(stream, {})
    lines = []
    for name in STREAMS[stream]:
        if name not in nullable:
            lines += [line_of({k: v for k, v in whole.items() if k != name})]
            lines += [line_of(whole | {name: value}) for value in (None, "", Raw("[]"), Raw("true"))]
    assert set(judged(landing, stream, *lines)) == {"malformed"}


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        with_extra(good(), b"NaN"),
        with_extra(good(), b"[1,-Infinity]"),
        b"null",
        b"{}",
        b"[" + good() + b"]",
        good() + good(),
        good()[:-1],
        good()[:-1] + b",}",
        b"\xef\xbb\xbf" + good(),
        good().replace(b'"u"', b'"\xff"'),
        with_extra(good(), b'"\\ud800"'),
        b'{"user_id":"\\ud800",' + good()[1:],  # replaced by the later one, but not JSON text all the same
        with_extra(good(), b'["\\ud800"]'),
        good()[:-1] + b',"\\udc00":1}',
        with_extra(good(), b"[" * 400 + b"]" * 400),
        with_extra(good(), b"[" * 30000 + b"]" * 30000),
        with_extra(good(), b'["\\\\",' + b"[" * 400 + b"]" * 401),  # an escaped backslash lets the quote end it
        padded(good(), 65537),
        padded(good(), 65536) + b"\r",
        b" ",
        b"\r",
        *(good(seq=Raw(text)) for text in ("5.0", "5e0", "true", '"5"', "NaN", "9223372036854775808", "01")),
        *(good(user_id=Raw(text)) for text in ("5", "true", "[]", "{}")),
        *(good(direction=text) for text in ("Enter", "enter ", "in")),
        *(good(gateway_id=text) for text in ("g-1", "ü", "g 1")),
        *(
            good(recorded_at=text)
            for text in (
                "2026-06-10T10:00:00",
                "2026-06-10 10:00:00Z",
                "2026-06-10t10:00:00Z",
                "2026-06-10T10:00:00z",
                "2026-06-10T10:00:00+0200",
                "2026-06-10T10:00:00+24:00",
                "2026-06-10T10:00:00.1234567Z",
                "2026-06-10T10:00:00.Z",
                "2026-06-10T10:00Z",
                "2026-06-10T10:00:60Z",
                "2026-06-10T24:00:00Z",
                "2026-02-29T10:00:00Z",
                "2026-06-10T10:00:00Z ",
                "2026-06-10T10:00:00Z\n",
                "2026-06-1０T10:00:00Z",
                Raw("1780000000"),
            )
        ),
    ],
)
def test_malformed(landing, line):
    assert judged(landing, "face_visits", line) == ["malformed"]


@pytest.mark.parametrize("amount", ["1", "1.5", "1.50", "0", "-0.00", "0001.10", "9999999999999999.99"])
def test_amounts(landing, amount):
    assert judged(landing, "orders", {"amount": amount}) == ["clean"]
    assert landing.compute().clean["orders"][0]["amount"] == Decimal(amount)


@pytest.mark.parametrize("amount", ["1.234", ".5", "5.", "1,5", "1e2", "+1", " 1", "١", "1" * 17, "NaN", Raw("1.5")])
def test_no_amounts(landing, amount):
    assert judged(landing, "orders", {"amount": amount}) == ["malformed"]
