"""BTHome v2: counters and motion sensors that advertise what they have to say. Both ways, plain and encrypted.

The service data (UUID 0xFCD2) of an advertisement, numbers little-endian, as https://bthome.io/format and
https://bthome.io/encryption have it:

    1 byte    device information: bit 0 encrypted, bit 1 address follows, bits 5 to 7 version (2)
    6 bytes   the device's address, reversed; only with bit 1
    ...       objects: an id, then a value whose length the id tells; encrypted with AES-CCM if bit 0 is set
    4 bytes   counter, which rises with each frame                  } only with bit 0
    4 bytes   AES-CCM tag                                           }

The nonce is address, UUID (D2 FC), device information and counter. Ids ascend; an unknown one ends the frame.

What this gateway reads of it: packet id, battery, counts, motion, time. The first count is the total inwards, the
second the total outwards. A raw trigger sensor sends motion with the time at which it was triggered: seconds (0x50)
and the milliseconds to add (0x42). Where one device is both sensors of a pair, the first motion is the outer one.

What does not belong here: whether a frame is new (`counting`), what two triggers mean (`pairing`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from edge_collector.codecs.refusals import refuse
from edge_collector.readings import Alive, AnyReading, Dropped, Totals, Trigger

SERVICE_UUID: Final = "0000fcd2-0000-1000-8000-00805f9b34fb"

_PACKET_ID, _BATTERY, _MOTION, _MILLISECONDS, _TIMESTAMP = 0x00, 0x01, 0x21, 0x42, 0x50
_SIGNED_COUNTS: Final = (0x59, 0x5A, 0x5B)
_COUNTS: Final = (0x09, 0x3D, 0x3E, *_SIGNED_COUNTS)
_COUNT: Final = 0x3E
"""What the counts of all widths are taken for, and how they are sent."""

_LENGTHS: Final = {
    object_id: length
    for length, object_ids in {
        1: "00 01 09 0f 10 11 15-2f 3a 46 57 58 59 60 64 65",
        2: "02 03 06 07 08 0c 0d 0e 12 13 14 3c 3d 3f 40 41 43 44 45 47 48 49 4a 51 52 56 5a 5d 5e 5f 61 f0",
        3: "04 05 0a 0b 42 4b f2",
        4: "3e 4c-50 55 5b 5c 62 63 f1",
    }.items()
    for first, _, last in (part.partition("-") for part in object_ids.split())
    for object_id in range(int(first, 16), int(last or first, 16) + 1)
}
"""Bytes of the value of each object, but for the three that tell their own."""
_TEXTS: Final = (0x53, 0x54)
"""Text and raw bytes: one byte of length before them."""
_COMMAND: Final = 0x3B
"""One byte whose lower five bits are the length of the arguments, then one of the command, then the arguments."""

_ENCRYPTED, _WITH_ADDRESS, _VERSION_2 = 0x01, 0x02, 0x40
_UUID: Final = b"\xd2\xfc"
_TAG_BYTES: Final = 4
_COUNTER_BYTES: Final = 4

Sensor = Literal["outer", "inner"]


def decode(
    service_data: bytes, device: str, key: bytes | None = None, sensor: Sensor | None = None
) -> list[AnyReading]:
    """The readings of one frame: totals if it holds counts, else triggers or a sign of life; and what was left out.

    `device` is the Bluetooth address (`AA:BB:CC:DD:EE:FF`), `key` its 16 bytes if it has one. `sensor` says which one
    of a pair of raw trigger sensors this device is.
    """
    opened = _open(service_data, device, key)
    if isinstance(opened, Dropped):
        return [opened]
    payload, counter = opened
    values: dict[int, list[int]] = {}
    refusals: list[AnyReading] = []
    for item in _objects(payload, device):
        if isinstance(item, Dropped):
            refusals.append(item)
        else:
            object_id, value = item
            number = int.from_bytes(value, "little", signed=object_id in _SIGNED_COUNTS)
            values.setdefault(_COUNT if object_id in _COUNTS else object_id, []).append(number)
    battery = values.get(_BATTERY, [None])[0]
    if _COUNT in values:
        return [_totals(device, values, battery, counter), *refusals]
    motions = values.get(_MOTION, [])
    pair: tuple[Sensor, ...] = (sensor,) if sensor else ("outer", "inner") if len(motions) == 2 else ()
    triggered = [which for which, motion in zip(pair, motions, strict=False) if motion]
    if triggered and _TIMESTAMP in values:
        at = (values[_TIMESTAMP][0] * 1000 + values.get(_MILLISECONDS, [0])[0]) / 1000
        triggers = [Trigger(device=device, key=f"{at:.3f}/{s}", sensor=s, at=at, counter=counter) for s in triggered]
        return [*triggers, *refusals]
    if triggered and sensor:
        return [refuse(device, "no_clock", "motion without object 0x50 is given"), *refusals]
    return [Alive(device=device, battery=battery, motion=any(motions) if motions else None), *refusals]


def _totals(device: str, values: dict[int, list[int]], battery: int | None, counter: int | None) -> Totals | Dropped:
    counts = values[_COUNT]
    if min(counts) < 0:
        return refuse(device, "out_of_range", f"a total of {min(counts)} is given; at least 0 is expected")
    return Totals(
        device=device,
        in_total=counts[0],
        out_total=counts[1] if len(counts) > 1 else None,
        packet_id=values.get(_PACKET_ID, [None])[0],
        counter=counter,
        battery=battery,
    )


def encode(reading: Totals | Trigger | Alive, *, key: bytes | None = None, counter: int = 0) -> bytes:
    """The service data by which a device says `reading`: encrypted, with this counter, if it has a key.

    For virtual devices. Counts are 32 bits wide; a trigger is one of a device that is both sensors of a pair. Raises
    OverflowError for a number that the format cannot hold, ValueError for an address that is none.
    """
    objects: list[tuple[int, int]] = []
    if isinstance(reading, Totals):
        objects = [(_PACKET_ID, reading.packet_id)] if reading.packet_id is not None else []
        objects += [(_BATTERY, reading.battery)] if reading.battery is not None else []
        objects += [(_COUNT, total) for total in (reading.in_total, reading.out_total) if total is not None]
    elif isinstance(reading, Trigger):
        seconds, milliseconds = divmod(round(reading.at * 1000), 1000)
        objects = [(_MOTION, reading.sensor == "outer"), (_MOTION, reading.sensor == "inner")]
        objects += [(_MILLISECONDS, milliseconds), (_TIMESTAMP, seconds)]
    else:
        objects = [(_BATTERY, reading.battery)] if reading.battery is not None else []
        objects += [(_MOTION, reading.motion)] if reading.motion is not None else []
    payload = b"".join(bytes([i]) + int(value).to_bytes(_LENGTHS[i], "little") for i, value in objects)
    if key is None:
        return bytes([_VERSION_2]) + payload
    information, count = bytes([_VERSION_2 | _ENCRYPTED]), counter.to_bytes(_COUNTER_BYTES, "little")
    address = _address(reading.device)
    if address is None:
        raise ValueError(f"{reading.device!r} is given; an address such as AA:BB:CC:DD:EE:FF is expected")
    sealed = AESCCM(key, _TAG_BYTES).encrypt(address + _UUID + information + count, payload, None)
    return information + sealed[:-_TAG_BYTES] + count + sealed[-_TAG_BYTES:]


def _open(frame: bytes, device: str, key: bytes | None) -> tuple[bytes, int | None] | Dropped:
    """The objects of a frame and its counter, if it was encrypted."""
    if not frame:
        return refuse(device, "too_short", "0 bytes are given")
    information, rest = frame[0], frame[1:]
    if information >> 5 != _VERSION_2 >> 5:
        return refuse(device, "wrong_version", f"version {information >> 5} is given; 2 is expected")
    address = _address(device)
    if information & _WITH_ADDRESS:
        if len(rest) < 6:
            return refuse(device, "too_short", f"{len(frame)} bytes are given; an address is expected")
        told, rest = rest[5::-1], rest[6:]
        if address not in (None, told):
            return refuse(device, "wrong_address", f"frame of {told.hex(':').upper()}")
        address = told
    if not information & _ENCRYPTED:
        return refuse(device, "downgraded") if key else (rest, None)
    if len(rest) < _COUNTER_BYTES + _TAG_BYTES:
        return refuse(device, "too_short", f"{len(frame)} bytes are given; counter and tag are expected")
    if key is None:
        return refuse(device, "no_key")
    if address is None:
        return refuse(device, "wrong_address", "an address such as AA:BB:CC:DD:EE:FF is needed to decrypt")
    sealed, counter, tag = rest[:-8], rest[-8:-4], rest[-4:]
    try:
        nonce = address + _UUID + bytes([information]) + counter
        payload = AESCCM(key, _TAG_BYTES).decrypt(nonce, sealed + tag, None)
    except InvalidTag:
        return refuse(device, "wrong_key")
    return payload, int.from_bytes(counter, "little")


def _objects(payload: bytes, device: str) -> Iterator[tuple[int, bytes] | Dropped]:
    """Ids and values in turn; last, what ends the frame too early."""
    at = 0
    while at < len(payload):
        object_id, start = payload[at], at + 1
        if object_id in _TEXTS or object_id == _COMMAND:
            told = payload[start] if start < len(payload) else 0
            length, start = (1 + (told & 0x1F) if object_id == _COMMAND else told), start + 1
        elif object_id in _LENGTHS:
            length = _LENGTHS[object_id]
        else:
            yield refuse(device, "unknown_object", f"object 0x{object_id:02X}")
            return
        at = start + length
        if at > len(payload):
            yield refuse(device, "truncated", f"object 0x{object_id:02X} lacks {at - len(payload)} bytes")
            return
        yield object_id, payload[start:at]


def _address(device: str) -> bytes | None:
    """The six bytes of an address; None for names that some systems give devices instead."""
    match = re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", device)
    return bytes.fromhex(device.replace(":", "")) if match else None
