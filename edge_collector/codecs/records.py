"""The record service: how terminals and tills of our own hand over what they have logged, over Bluetooth (GATT).

A device keeps a log with consecutive sequence numbers and forgets a record only when it has been acknowledged.

| characteristic | UUID       | access | value, numbers little-endian                                                  |
|----------------|------------|--------|-------------------------------------------------------------------------------|
| records        | `RECORDS`  | notify | one fragment of a record                                                      |
| control        | `CONTROL`  | write  | u8 command, u32 sequence: 1 = send from it on, 2 = acknowledged up to it      |
| identity       | `IDENTITY` | read   | u8 version, 8 bytes log id, u32 oldest kept, u32 next to be given             |

The log id is random and new when a device starts its log afresh. Log id, sequence number and checksum are a reading's
key: a record that is sent again is the same reading, and another one under a number that was given before is not, as
from a device whose memory went back to an earlier state. Such a device is read again from its oldest record on. (One
that has given all these numbers again before it is heard cannot be told from one that has not gone back.)

| fragment: offset | size | field                                                                                    |
|------------------|------|------------------------------------------------------------------------------------------|
| 0                | 1    | version, 1                                                                               |
| 1                | 1    | bits 0 to 6: place of the fragment in its record, from 0; bit 7: it is the last one      |
| 2                | 4    | sequence number of the record                                                            |
| 6                | 238  | part of the record; fewer bytes in the last fragment, and where the MTU is below 247     |

| record: offset   | size | field                                                                                    |
|------------------|------|------------------------------------------------------------------------------------------|
| 0                | 1    | type: 1 visit, 2 order line, 3 link                                                      |
| 1                | 6    | device time, milliseconds since 1970 UTC; 0 = the device has no clock                    |
| 7                | ...  | the fields of the type in the order of `FIELDS`: u8 length, then UTF-8                   |
| end - 4          | 4    | CRC-32 (that of zlib) of the sequence number and all bytes of the record before          |

What does not belong here: connecting, and when to acknowledge (`sources`); what the fields must hold (`entries`).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

from pydantic import ValidationError

from edge_collector.codecs.entries import LinkEntry, OrderEntry, VisitEntry, mistakes
from edge_collector.codecs.refusals import Reason, refuse
from edge_collector.readings import AnyReading, Link, OrderLine, Visit

SERVICE: Final = "14f90001-54b7-4eec-80c4-54dc31d21ffe"
RECORDS: Final = "14f90002-54b7-4eec-80c4-54dc31d21ffe"
CONTROL: Final = "14f90003-54b7-4eec-80c4-54dc31d21ffe"
IDENTITY: Final = "14f90004-54b7-4eec-80c4-54dc31d21ffe"

VERSION: Final = 1
VALUE_BYTES: Final = 244
"""What one notification holds at an MTU of 247."""

FIELDS: Final[Mapping[int, tuple[str, ...]]] = {
    1: ("member_number", "direction"),
    2: ("order_id", "order_no", "member_number", "category_id", "quantity", "amount", "currency", "status"),
    3: ("terminal_number", "member_number", "action"),
}
"""Type of record -> its fields, as `entries` names them. The device time is that of the visit or the order."""
_MODELS: Final[Mapping[int, type[VisitEntry | OrderEntry | LinkEntry]]] = {1: VisitEntry, 2: OrderEntry, 3: LinkEntry}
_READINGS: Final = {1: Visit, 2: OrderLine, 3: Link}
_TIME_FIELD: Final = {1: "at", 2: "ordered_at"}
_WHOLE: Final = ("order_no", "quantity")

_FRAGMENT: Final = struct.Struct("<BBI")
_CONTROL: Final = struct.Struct("<BI")
_IDENTITY: Final = struct.Struct("<B8sII")
_LAST: Final = 0x80
_CRC_BYTES: Final = 4
_HEAD_BYTES: Final = 7
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TRIES: Final = 3
"""How often a record is asked for before it is given up, so that one broken record does not hold up the others."""


class Identity(NamedTuple):
    """Which log a device keeps, the oldest record it still has and the number it will give next."""

    log_id: str
    oldest: int
    following: int


class Control(NamedTuple):
    """What a gateway tells a device."""

    command: Literal["resume", "acknowledge"]
    sequence: int


_COMMANDS: Final[Mapping[int, Literal["resume", "acknowledge"]]] = {1: "resume", 2: "acknowledge"}


def encode_control(control: Control) -> bytes:
    """The value to write."""
    return _CONTROL.pack(1 if control.command == "resume" else 2, control.sequence)


def decode_control(value: bytes) -> Control | None:
    """What was written; None if that is nothing a device understands. For virtual devices."""
    if len(value) != _CONTROL.size or value[0] not in _COMMANDS:
        return None
    command, sequence = _CONTROL.unpack(value)
    return Control(_COMMANDS[command], sequence)


def encode_identity(identity: Identity) -> bytes:
    """The value that is read. For virtual devices."""
    return _IDENTITY.pack(VERSION, bytes.fromhex(identity.log_id), identity.oldest, identity.following)


def decode_identity(value: bytes) -> Identity | None:
    """What was read; None if it is of another length or version, or says that more is kept than was given."""
    if len(value) != _IDENTITY.size or value[0] != VERSION:
        return None
    _, log_id, oldest, following = _IDENTITY.unpack(value)
    return Identity(log_id.hex(), oldest, following) if oldest <= following else None


def encode(reading: Visit | OrderLine | Link, sequence: int, *, value_bytes: int = VALUE_BYTES) -> list[bytes]:
    """The notifications by which a device sends `reading` as its record `sequence`. For virtual devices.

    Raises ValueError for what the format cannot hold: texts of more than 255 bytes, more than 128 fragments.
    """
    kind = next(kind for kind, name in _READINGS.items() if isinstance(reading, name))
    at = getattr(reading, _TIME_FIELD.get(kind, ""), None)
    milliseconds = 0 if at is None else (at - _EPOCH) // timedelta(milliseconds=1)
    record = bytes([kind]) + milliseconds.to_bytes(6, "little")
    for name in FIELDS[kind]:
        value = getattr(reading, name)
        text = ("" if value is None else str(value)).encode()
        record += bytes([len(text)]) + text
    record += _checksum(sequence, record)
    size = value_bytes - _FRAGMENT.size
    parts = [record[start : start + size] for start in range(0, len(record), size)]
    if len(parts) > _LAST:
        raise ValueError(f"{len(parts)} fragments; at most {_LAST} are possible")
    flags = [place | (_LAST if place == len(parts) - 1 else 0) for place in range(len(parts))]
    return [_FRAGMENT.pack(VERSION, flag, sequence) + part for flag, part in zip(flags, parts, strict=True)]


def key_of(log_id: str, sequence: int, checksum: bytes) -> str:
    """What makes a record the same when it is sent again."""
    return f"{log_id}:{sequence}:{checksum.hex()}"


def position_of(key: str) -> tuple[str, int]:
    """Log id and sequence number of a reading's key."""
    log_id, sequence = key.split(":")[:2]
    return log_id, int(sequence)


@dataclass
class RecordDecoder:
    """Puts the records of one device's log together, in order and each once.

    `expected` is the sequence number that is wanted next, in the log `log_id`; both are kept by whoever keeps the
    readings. A record that comes too early is left out, and asked for again with those before it: `resume_from` says
    what to write to the control characteristic, until that has been done and `resumed` is called.

    `generation` counts how often the log went back; what was acknowledged before says nothing of its numbers then.
    """

    device: str
    log_id: str = ""
    expected: int = 0
    generation: int = 0
    resume_from: int | None = None
    _parts: list[bytes] = field(default_factory=list)
    _waiting: bool = False
    """The device has been told where to resume, and what it sent before is still under way."""
    _tries: int = 0

    def connected(self, identity: Identity) -> list[AnyReading]:
        """A link is up, to a device with this identity: what was lost meanwhile, if anything.

        A device with another log than before is read from its oldest record on, and so is one whose log went back: of
        what it kept and what it has written since, only the keys tell which is which.
        """
        before = self.expected
        if identity.log_id != self.log_id:
            self.log_id, before = identity.log_id, identity.oldest
        self.resume_from = self.expected = max(before, identity.oldest)
        self._parts, self._waiting, self._tries = [], False, 0
        kept = f"{before} is expected; the log holds {identity.oldest} up to {identity.following}"
        if identity.following < before:
            self.generation += 1
            self.resume_from = self.expected = identity.oldest
            return [refuse(self.device, "rolled_back", kept)]
        if self.expected == before:
            return []
        return [refuse(self.device, "lost", kept, self.expected - before)]

    def resumed(self) -> None:
        """The device has been told to send from `resume_from` on."""
        self.resume_from, self._waiting, self._parts = None, True, []

    def feed(self, value: bytes) -> list[AnyReading]:
        """The reading that this notification completes, if it does; or why the notification was left out."""
        if len(value) < _FRAGMENT.size:
            return [refuse(self.device, "too_short", f"{len(value)} bytes are given")]
        version, flags, sequence = _FRAGMENT.unpack_from(value)
        place = flags & ~_LAST
        if version != VERSION:
            return [refuse(self.device, "wrong_version", f"version {version} is given; {VERSION} is expected")]
        if sequence < self.expected:
            return [refuse(self.device, "duplicate", f"sequence number {sequence}")]
        if sequence > self.expected or place not in (0, len(self._parts)):
            wanted = f"{self.expected}.{len(self._parts)}"
            self._ask_again()
            return [refuse(self.device, "gap", f"{wanted} is expected; {sequence}.{place} came")]
        if place == 0:
            self._parts, self._waiting = [], False
        self._parts.append(value[_FRAGMENT.size :])
        return [self._complete(sequence)] if flags & _LAST else []

    def _ask_again(self) -> None:
        self._parts = []
        if not self._waiting:
            self.resume_from = self.expected

    def _complete(self, sequence: int) -> AnyReading:
        record, self._parts = b"".join(self._parts), []
        body, checksum = record[:-_CRC_BYTES], record[-_CRC_BYTES:]
        if checksum == _checksum(sequence, body):
            self.expected, self._tries = sequence + 1, 0
            return decode(body, self.device, key_of(self.log_id, sequence, checksum))
        self._tries += 1
        if self._tries < _TRIES:
            self._ask_again()
            return refuse(self.device, "bad_checksum", f"sequence number {sequence}, asked for again")
        self.expected, self._tries = sequence + 1, 0
        return refuse(self.device, "bad_checksum", f"sequence number {sequence}, given up")


def decode(record: bytes, device: str, key: str) -> AnyReading:
    """The reading of one whole record without its checksum."""
    if len(record) < _HEAD_BYTES:
        return refuse(device, "too_short", f"a record of {len(record)} bytes")
    kind, milliseconds = record[0], int.from_bytes(record[1:_HEAD_BYTES], "little")
    if kind not in FIELDS:
        return refuse(device, "unknown_type", f"type {kind} is given; {', '.join(map(str, FIELDS))} are expected")
    entry = _fields(record[_HEAD_BYTES:], FIELDS[kind])
    if isinstance(entry, str):
        return refuse(device, entry, f"a record of type {kind}")
    try:
        if kind in _TIME_FIELD and milliseconds:
            entry[_TIME_FIELD[kind]] = (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat()
        return _MODELS[kind].model_validate(entry).reading(device, key)
    except ValidationError as error:
        return refuse(device, "bad_entry", mistakes(error))
    except OverflowError:
        return refuse(device, "bad_time", f"{milliseconds} ms since 1970")


def _fields(body: bytes, names: tuple[str, ...]) -> dict[str, object] | Reason:
    """The fields of a record by name, or why they cannot be read. Bytes after them are left to later versions."""
    entry: dict[str, object] = {}
    at = 0
    for name in names:
        if at >= len(body) or at + 1 + body[at] > len(body):
            return "truncated"
        try:
            text = body[at + 1 : at + 1 + body[at]].decode()
        except UnicodeDecodeError:
            return "broken"
        whole = name in _WHOLE and re.fullmatch(r"-?[0-9]{1,19}", text, re.ASCII)
        entry[name] = int(text) if whole else text
        at += 1 + body[at]
    return entry


def _checksum(sequence: int, record: bytes) -> bytes:
    return zlib.crc32(record, zlib.crc32(sequence.to_bytes(4, "little"))).to_bytes(_CRC_BYTES, "little")
