"""BTHome v2: published frames, what every object is worth, and that nothing forged gets in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_collector.codecs.bthome import decode, encode
from edge_collector.readings import Alive, AnyReading, Dropped, Totals, Trigger
from tests.edge.codecs.samples import ADDRESS, KEY


def totals(in_total: int, out_total: int | None = None, **more: int) -> Totals:
    return Totals(device=ADDRESS, in_total=in_total, out_total=out_total, **more)  # type: ignore[arg-type]


def alive(**more: int | bool) -> Alive:
    return Alive(device=ADDRESS, **more)  # type: ignore[arg-type]


def triggered(sensor: str, at: float) -> Trigger:
    return Trigger(device=ADDRESS, key=f"{at:.3f}/{sensor}", sensor=sensor, at=at)  # type: ignore[arg-type]


FRAMES: list[tuple[str, str, list[AnyReading]]] = [
    ("bthome.io, temperature and humidity", "40 02c409 03bf13", [alive()]),
    ("bthome.io, count of 8 bits", "40 0960", [totals(96)]),
    ("bthome.io, count of 16 bits", "40 3d0960", [totals(24585)]),
    ("bthome.io, count of 32 bits", "40 3e2a2c0960", [totals(1611213866)]),
    ("bthome.io, battery", "40 0161", [alive(battery=97)]),
    ("bthome.io, motion", "40 2101", [alive(motion=True)]),
    (
        "bthome.io, timestamp, text, raw",
        "40 505d396164 530c48656c6c6f20576f726c6421 540c48656c6c6f20576f726c6421",
        [alive()],
    ),
    ("Shelly BLU H&T display: packet id, battery, light", "40 002e 0164 1e01 2e34 451601", [alive(battery=100)]),
    ("only triggered frames: bit 2", "44 0960", [totals(96)]),
    ("in, out, packet id, battery", "40 0007 0161 3d0a00 3d0800", [totals(10, 8, packet_id=7, battery=97)]),
    ("counts of unlike width, first is in", "40 0905 3e07000000", [totals(5, 7)]),
    ("a third count says nothing", "40 0905 0906 0907", [totals(5, 6)]),
    ("ids that do not ascend", "40 0905 0007", [totals(5, packet_id=7)]),
    ("signed counts", "40 5905 5a0700 5b09000000", [totals(5, 7)]),
    ("motion beside a count: the total counts", "40 0905 2101", [totals(5)]),
    ("nothing but the information byte", "40", [alive()]),
    ("address included", "42 a5808fe64854 0905", [totals(5)]),
    ("a command with two arguments, then a count", "40 3b0201aabb 3d0500", [totals(5)]),
    ("a text that is empty", "40 0905 5300", [totals(5)]),
    ("both sensors of a pair, the inner one", "40 2100 2101 42f40100 5001000000", [triggered("inner", 1.5)]),
    ("two motions without a time", "40 2100 2101", [alive(motion=True)]),
]
REFUSED: list[tuple[str, str, list[str]]] = [
    ("nothing", "", ["too_short"]),
    ("version 1", "20 0905", ["wrong_version"]),
    ("version 7", "e1 02000c", ["wrong_version"]),
    ("encrypted without key", "41 a47266c95f73 00112233 78237214", ["no_key"]),
    ("encrypted and too short for a counter", "41 00112233", ["too_short"]),
    ("address included, cut off", "42 a580", ["too_short"]),
    ("address of another", "42 010203040506 0905", ["wrong_address"]),
    ("a total below zero", "40 59ff", ["out_of_range"]),
]
PARTLY: list[tuple[str, str, list[str]]] = [
    ("unknown object after a count", "40 0905 ef00", ["unknown_object"]),
    ("a count cut off after a whole one", "40 0905 3d01", ["truncated"]),
    ("a text longer than the frame", "40 0905 53ff41", ["truncated"]),
    ("a text without its length", "40 0905 53", ["truncated"]),
]


@pytest.mark.parametrize(("what", "frame", "expected"), FRAMES, ids=[what for what, _, _ in FRAMES])
def test_a_frame_says(what: str, frame: str, expected: list[AnyReading]) -> None:
    assert decode(bytes.fromhex(frame), ADDRESS) == expected


@pytest.mark.parametrize(("what", "frame", "reasons"), REFUSED, ids=[what for what, _, _ in REFUSED])
def test_a_frame_is_refused(what: str, frame: str, reasons: list[str]) -> None:
    assert [r.reason for r in decode(bytes.fromhex(frame), ADDRESS) if isinstance(r, Dropped)] == reasons


@pytest.mark.parametrize(("what", "frame", "reasons"), PARTLY, ids=[what for what, _, _ in PARTLY])
def test_what_comes_before_the_end_of_a_frame_is_taken(what: str, frame: str, reasons: list[str]) -> None:
    first, *refused = decode(bytes.fromhex(frame), ADDRESS)
    assert first == totals(5)
    assert [r.reason for r in refused if isinstance(r, Dropped)] == reasons


def test_published_encrypted_frame() -> None:
    """The example of bthome.io/encryption; tag as bthome-ble and AES-CCM without associated data have it."""
    frame = bytes.fromhex("41 a47266c95f73 00112233 78237214")
    assert decode(frame, ADDRESS, KEY) == [alive()]
    for other in (KEY[::-1], bytes(16)):
        assert [r.reason for r in decode(frame, ADDRESS, other) if isinstance(r, Dropped)] == ["wrong_key"]
    (refused,) = decode(frame, "54:48:E6:8F:80:A6", KEY)
    assert isinstance(refused, Dropped)
    assert refused.reason == "wrong_key"


def test_a_plain_frame_of_a_device_with_a_key_is_a_downgrade() -> None:
    assert decode(bytes.fromhex("40 0905"), ADDRESS, KEY) == [Dropped(device=ADDRESS, reason="downgraded")]


def test_without_an_address_nothing_can_be_decrypted_unless_the_frame_has_it() -> None:
    frame = encode(totals(5), key=KEY, counter=1)
    (refused,) = decode(frame, "0F6A-NOT-AN-ADDRESS", KEY)
    assert isinstance(refused, Dropped)
    assert refused.reason == "wrong_address"


def test_a_sensor_of_a_pair_needs_a_clock() -> None:
    frame = bytes.fromhex("40 2101 42f40100 5001000000")
    assert decode(frame, ADDRESS, sensor="outer") == [triggered("outer", 1.5)]
    (refused,) = decode(bytes.fromhex("40 2101"), ADDRESS, sensor="outer")
    assert isinstance(refused, Dropped)
    assert refused.reason == "no_clock"
    assert decode(bytes.fromhex("40 2100"), ADDRESS, sensor="outer") == [alive(motion=False)]


U8, U32 = st.integers(0, 255), st.integers(0, 2**32 - 1)
ADDRESSES = st.binary(min_size=6, max_size=6).map(lambda b: b.hex(":").upper())
READINGS = st.one_of(
    st.builds(
        Totals,
        device=ADDRESSES,
        in_total=U32,
        out_total=st.none() | U32,
        packet_id=st.none() | U8,
        battery=st.none() | st.integers(0, 100),
    ),
    st.builds(
        lambda device, sensor, ms: replace(triggered(sensor, ms / 1000), device=device),
        ADDRESSES,
        st.sampled_from(["outer", "inner"]),
        st.integers(0, 2**32 * 1000 - 1),
    ),
    st.builds(Alive, device=ADDRESSES, battery=st.none() | st.integers(0, 100), motion=st.none() | st.booleans()),
)


@given(READINGS)
def test_plain_round_trip(reading: Totals | Trigger | Alive) -> None:
    assert decode(encode(reading), reading.device) == [reading]


@given(READINGS, st.binary(min_size=16, max_size=16), U32)
def test_encrypted_round_trip(reading: Totals | Trigger | Alive, key: bytes, counter: int) -> None:
    frame = encode(reading, key=key, counter=counter)
    assert len(frame) <= 24  # what one legacy advertisement holds
    expected = reading if isinstance(reading, Alive) else replace(reading, counter=counter)
    assert decode(frame, reading.device, key) == [expected]


@given(st.integers(0, 8 * 22 - 1))
def test_one_bit_changed_in_an_encrypted_frame_lets_nothing_through(bit: int) -> None:
    frame = bytearray(encode(totals(5, 3, packet_id=1), key=KEY, counter=77))
    frame[bit // 8 % len(frame)] ^= 1 << bit % 8
    assert all(isinstance(r, Dropped) for r in decode(bytes(frame), ADDRESS, KEY))
