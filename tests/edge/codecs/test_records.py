"""The record service: frames as documented, pieces, gaps, repetitions, and records that are broken for good."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_collector.codecs.entries import MAX_TEXT
from edge_collector.codecs.records import (
    Control,
    Identity,
    RecordDecoder,
    decode,
    decode_control,
    decode_identity,
    encode,
    encode_control,
    encode_identity,
    key_of,
    position_of,
)
from edge_collector.readings import AnyReading, Dropped, Link, OrderLine, Visit
from tests.edge.codecs.samples import ADDRESS, LINK, ORDER, VISIT

LOG = "00112233445566aa"


def decoder(expected: int = 1) -> RecordDecoder:
    return RecordDecoder(ADDRESS, LOG, expected)


def reasons(readings: list[AnyReading]) -> list[str]:
    return [r.reason if isinstance(r, Dropped) else type(r).__name__ for r in readings]


FRAMES = [
    (
        VISIT,
        "01 80 07000000  01 babe1a159c01  05 3133303835  05 656e746572  e52327f6",
    ),
    (
        replace(VISIT, member_number=None, direction="leave", at=None),
        "01 80 07000000  01 000000000000  00  05 6c65617665  21c26516",
    ),
    (LINK, "01 80 07000000  03 000000000000  03 542d34  05 3133303835  04 6c696e6b  7317b4cb"),
    (
        ORDER,
        "01 80 07000000  02 babe1a159c01  04 38383132  01 31  00  06 e59296e595a1  01 32  04 372e3630  03 455552"
        "  09 636f6d706c65746564  5ecc8bf4",
    ),
]


@pytest.mark.parametrize(("reading", "frame"), FRAMES)
def test_a_frame_is_as_documented(reading: Visit | OrderLine | Link, frame: str) -> None:
    assert [f.hex() for f in encode(reading, 7)] == [bytes.fromhex(frame).hex()]
    key = key_of(LOG, 7, bytes.fromhex(frame)[-4:])
    assert decoder(7).feed(bytes.fromhex(frame)) == [replace(reading, key=key)]
    assert position_of(key) == (LOG, 7)


BROKEN = [
    ("no body", "01", "too_short"),
    ("another type", "09 000000000000 00", "unknown_type"),
    ("a field that is cut off", "01 000000000000 05 3133", "truncated"),
    ("fields that are missing", "01 000000000000 05 3133303835", "truncated"),
    ("no UTF-8", "01 000000000000 01 ff 05 656e746572", "broken"),
    ("another direction", "01 000000000000 01 31 02 7570", "bad_entry"),
    ("a time after year 9999", "01 ffffffffffff 01 31 05 656e746572", "bad_time"),
    (
        "a quantity that is no number",
        "02 000000000000 0131 0131 00 0131 0178 0131 03455552 09636f6d706c65746564",
        "bad_entry",
    ),
    ("a control character", "01 000000000000 01 07 05 656e746572", "bad_entry"),
]


@pytest.mark.parametrize(("what", "record", "reason"), BROKEN, ids=[what for what, _, _ in BROKEN])
def test_a_record_is_refused(what: str, record: str, reason: str) -> None:
    refused = decode(bytes.fromhex(record), ADDRESS, "k")
    assert isinstance(refused, Dropped)
    assert refused.reason == reason
    assert "13085" not in refused.detail


def test_fields_after_those_known_are_left_to_later_versions() -> None:
    record = bytes.fromhex("01 000000000000 01 31 05 656e746572 04 61626364")
    assert decode(record, ADDRESS, "k") == Visit(device=ADDRESS, key="k", member_number="1", direction="enter")


TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=40)
TIMES = st.none() | st.integers(1, 4_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
READINGS = st.one_of(
    st.builds(
        Visit,
        device=st.just(ADDRESS),
        member_number=st.none() | TEXTS,
        direction=st.sampled_from(["enter", "leave"]),
        at=TIMES,
    ),
    st.builds(
        OrderLine,
        device=st.just(ADDRESS),
        order_id=TEXTS,
        order_no=st.integers(-(2**63), 2**63 - 1),
        member_number=st.none() | TEXTS,
        ordered_at=TIMES,
        category_id=TEXTS,
        quantity=st.integers(-1000, 1000),
        amount=st.decimals(-(10**6), 10**6, places=2).map(Decimal),
        currency=st.sampled_from(["EUR", "CNY"]),
        status=st.sampled_from(["completed", "cancelled", "refunded"]),
    ),
    st.builds(
        Link,
        device=st.just(ADDRESS),
        terminal_number=TEXTS,
        member_number=TEXTS,
        action=st.sampled_from(["link", "unlink"]),
    ),
)


@given(READINGS, st.integers(0, 2**32 - 2), st.integers(20, 244))
def test_round_trip_at_any_mtu(reading: Visit | OrderLine | Link, sequence: int, value_bytes: int) -> None:
    frames = encode(reading, sequence, value_bytes=value_bytes)
    assert max(map(len, frames)) <= value_bytes
    receiver = decoder(sequence)
    key = key_of(LOG, sequence, b"".join(f[6:] for f in frames)[-4:])
    assert [r for f in frames for r in receiver.feed(f)] == [replace(reading, key=key)]
    assert (receiver.expected, receiver.resume_from) == (sequence + 1, None)


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_whatever_is_lost_doubled_or_reordered_each_record_comes_once_and_in_order(seed: int, count: int) -> None:
    """A device that sends from where it is told to, over a link that loses and repeats notifications."""
    rng = random.Random(seed)
    log = {n: encode(replace(VISIT, member_number=str(n)), n, value_bytes=20) for n in range(1, count + 1)}
    receiver, got = decoder(), list[AnyReading]()
    receiver.connected(Identity(LOG, 1, count + 1))
    for attempt in range(200):
        if receiver.expected > count:
            break
        start = receiver.resume_from or receiver.expected
        receiver.resumed()
        for frame in (f for n in range(start, count + 1) for f in log[n]):
            chance = rng.random() if attempt < 150 else 1.0
            for _ in range(0 if chance < 0.1 else 2 if chance < 0.2 else 1):
                got += receiver.feed(frame)
    visits = [r for r in got if isinstance(r, Visit)]
    assert [v.member_number for v in visits] == [str(n) for n in range(1, count + 1)]
    assert [position_of(v.key or "") for v in visits] == [(LOG, n) for n in range(1, count + 1)]


def test_a_gap_is_asked_for_once_however_much_is_under_way() -> None:
    receiver = decoder(5)
    assert reasons(receiver.feed(encode(VISIT, 7)[0])) == ["gap"]
    assert receiver.resume_from == 5
    receiver.resumed()
    assert reasons([r for n in (8, 9) for r in receiver.feed(encode(VISIT, n)[0])]) == ["gap", "gap"]
    assert receiver.resume_from is None
    assert reasons([r for n in (5, 6, 6) for r in receiver.feed(encode(VISIT, n)[0])]) == [
        "Visit",
        "Visit",
        "duplicate",
    ]


def test_a_link_lost_in_mid_record_starts_the_record_again() -> None:
    receiver, frames = decoder(), encode(VISIT, 1, value_bytes=20)
    receiver.feed(frames[0])
    assert receiver.connected(Identity(LOG, 1, 2)) == []
    assert receiver.resume_from == 1
    receiver.resumed()
    assert reasons([r for f in frames for r in receiver.feed(f)]) == ["Visit"]


def test_a_record_that_is_broken_in_the_device_does_not_hold_up_the_others() -> None:
    receiver, frame = decoder(), bytearray(encode(VISIT, 1)[0])
    frame[-1] ^= 1
    for asked_again in (1, 1, None):
        assert reasons(receiver.feed(bytes(frame))) == ["bad_checksum"]
        assert receiver.resume_from == asked_again
        receiver.resumed()
    assert reasons(receiver.feed(encode(VISIT, 2)[0])) == ["Visit"]


@pytest.mark.parametrize(
    ("identity", "resumes", "lost"),
    [
        (Identity(LOG, 1, 10), 5, 0),
        (Identity(LOG, 8, 10), 8, 3),  # the device's memory was too small
        (Identity("ff" * 8, 40, 45), 40, 0),  # a new log
    ],
)
def test_where_to_resume(identity: Identity, resumes: int, lost: int) -> None:
    receiver = decoder(5)
    dropped = receiver.connected(identity)
    assert sum(r.count for r in dropped if isinstance(r, Dropped)) == lost
    assert (receiver.resume_from, receiver.log_id) == (resumes, identity.log_id)


def test_a_log_that_goes_back_is_read_again_and_only_what_is_new_in_it_has_a_new_key() -> None:
    """A device that wrote 1 to 4 lost 3 and 4 with its power, and gave 3 once more, to another visit."""
    receiver = decoder()
    receiver.connected(Identity(LOG, 1, 5))
    before = [replace(VISIT, member_number=str(n)) for n in range(1, 5)]
    earlier = {r.key for n, visit in enumerate(before, 1) for f in encode(visit, n) for r in receiver.feed(f)}
    assert reasons(receiver.connected(Identity(LOG, 2, 4))) == ["rolled_back"]
    assert (receiver.resume_from, receiver.generation, receiver.log_id) == (2, 1, LOG)
    receiver.resumed()
    other = replace(VISIT, member_number="x")
    again = [r for f in (*encode(before[1], 2), *encode(other, 3), *encode(before[3], 4)) for r in receiver.feed(f)]
    assert [r.key in earlier for r in again] == [True, False, True]
    assert receiver.connected(Identity(LOG, 2, 5)) == []
    assert (receiver.resume_from, receiver.generation) == (5, 1)


@given(st.sampled_from(["resume", "acknowledge"]), st.integers(0, 2**32 - 1), st.binary(max_size=12))
def test_control_and_identity(command: str, sequence: int, noise: bytes) -> None:
    control = Control(command, sequence)  # type: ignore[arg-type]
    assert decode_control(encode_control(control)) == control
    identity = Identity(LOG, sequence // 2, sequence)
    assert decode_identity(encode_identity(identity)) == identity
    assert len(noise) == 5 or decode_control(noise) is None
    assert decode_identity(noise) is None


def test_texts_are_bounded() -> None:
    long = replace(VISIT, member_number="x" * (MAX_TEXT + 1))
    assert reasons([r for f in encode(long, 1) for r in decoder().feed(f)]) == ["bad_entry"]
