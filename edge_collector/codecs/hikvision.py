"""Hikvision ISAPI: access terminals that post an `AccessControllerEvent` as soon as somebody shows their face.

A body is JSON or XML, alone or as one part of a multipart whose other parts are photographs. These are left out
unread: of a part that is not text, only its existence is known. Of the text the fields of `_EVENT` are taken.

| event                                              | reading                                                       |
|----------------------------------------------------|---------------------------------------------------------------|
| major 5, minor one of `PASSED`, with a number      | `Visit`                                                       |
| AccessControllerEvent without a number             | left out, `unrecognised`                                      |
| any other AccessControllerEvent                    | left out, `not_recorded`: a refusal, a door, a configuration  |
| heartBeat, or videoloss that is inactive           | `Alive`                                                       |
| any other event                                    | left out, `not_recorded`                                      |

What does not belong here: HTTP, and which device a body came from (`sources`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from edge_collector.codecs.entries import Text, instant, local_instant, mistakes, opaque
from edge_collector.codecs.privacy import Shape, Unreadable, is_image, take_json, take_xml
from edge_collector.codecs.refusals import refuse
from edge_collector.readings import Alive, AnyReading, Dropped, Visit

Direction = Literal["enter", "leave"]

STATUSES: Final[Mapping[str, Direction]] = {
    "checkIn": "enter",
    "breakIn": "enter",
    "overtimeIn": "enter",
    "checkOut": "leave",
    "breakOut": "leave",
    "overtimeOut": "leave",
}
"""What `attendanceStatus` says. A venue may add `reader 1`, `door 2` and so on, where readers and doors tell it."""

PASSED: Final = frozenset(
    (0x01, 0x02, 0x10, 0x26, 0x28, 0x2B, 0x2E, 0x36, 0x39, 0x3C, 0x3F, 0x42, 0x45, 0x48, 0x4B, 0x4D, 0x68, 0x99)
)
"""Minor events of major event 5 that say that somebody was recognised and let pass: MINOR_..._PASS of HCNetSDK."""
_MAJOR_EVENT: Final = 5

_EVENT: Final[Shape] = {
    "eventType": None,
    "eventState": None,
    "dateTime": None,
    "AccessControllerEvent": dict.fromkeys(
        (
            "majorEventType",
            "subEventType",
            "employeeNoString",
            "employeeNo",
            "serialNo",
            "attendanceStatus",
            "cardReaderNo",
            "doorNo",
        )
    ),
}
_SHAPE: Final[Shape] = {**_EVENT, "EventNotificationAlert": _EVENT}

MAX_TEXT_PART: Final = 64 * 1024
"""Bytes; an event has about one thousand."""
_EVENT_TYPES: Final = ("application/json", "application/xml", "text/json", "text/xml")
_ANY_TEXT: Final = ("", "text/plain")
"""Types of a part that is text unless it has the name of a file."""


class _Access(BaseModel):
    """An AccessControllerEvent. JSON gives numbers, XML texts; both are taken."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True, hide_input_in_errors=True)

    major: int | None = Field(None, alias="majorEventType")
    minor: int | None = Field(None, alias="subEventType")
    member_number: Text | None = Field(None, validation_alias=AliasChoices("employeeNoString", "employeeNo"))
    serial: int | None = Field(None, alias="serialNo")
    status: Text | None = Field(None, alias="attendanceStatus")
    reader: int | None = Field(None, alias="cardReaderNo")
    door: int | None = Field(None, alias="doorNo")


def decode(
    body: bytes,
    content_type: str,
    device: str,
    time_zone: str,
    *,
    statuses: Mapping[str, Direction] = STATUSES,
    direction: Direction | None = None,
) -> list[AnyReading]:
    """The visits of one request body, and what was left out.

    `device` is the terminal's serial number. `time_zone` is that of its clock, for times without an offset.
    `direction` is that of a terminal which sees one direction only, whatever status it gives.
    """
    kind, options = parse_options_header(content_type.encode("latin-1", "replace"))
    if not kind.startswith(b"multipart/"):
        return _text(body, device, time_zone, statuses, direction)
    texts, readings = _parts(body, options.get(b"boundary", b""), device)
    for text in texts:
        readings += _text(text, device, time_zone, statuses, direction)
    return readings


def _parts(body: bytes, boundary: bytes, device: str) -> tuple[list[bytes], list[AnyReading]]:
    """The parts of a multipart that are text, and what was left out. Of the others no byte is looked at."""
    reader = _Multipart(device)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": reader.begin,
                "on_header_field": reader.header_field,
                "on_header_value": reader.header_value,
                "on_header_end": reader.header_end,
                "on_part_data": reader.data,
                "on_part_end": reader.end,
            },
        )
        parser.write(body)
        parser.finalize()
        if reader.is_open:  # some firmware forgets the boundary at the end
            reader.end()
    except FormParserError:
        reader.left_out.append(refuse(device, "broken", "the multipart is not well-formed"))
    if not reader.texts and not reader.left_out:
        reader.left_out.append(refuse(device, "broken", "a multipart without parts"))
    return reader.texts, reader.left_out


class _Multipart:
    """What the parser calls for each part in turn."""

    def __init__(self, device: str) -> None:
        self.texts: list[bytes] = []
        self.left_out: list[AnyReading] = []
        self._device = device
        self.begin()
        self.is_open = False

    def begin(self) -> None:
        self._field, self._value, self._type, self._has_file = b"", b"", "", False
        self._text, self._length = bytearray(), 0
        self.is_open = True

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        value, options = parse_options_header(self._value)
        if self._field.lower() == b"content-type":
            self._type = value.decode("latin-1").lower()
        self._has_file = self._has_file or b"filename" in options
        self._field = self._value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self._length += end - start
        if self._is_text and self._length <= MAX_TEXT_PART:
            self._text += data[start:end]

    def end(self) -> None:
        self.is_open = False
        if not self._is_text:
            self.left_out.append(refuse(self._device, "biometric", f"a part of {self._length} bytes that is no text"))
        elif self._length > MAX_TEXT_PART:
            self.left_out.append(refuse(self._device, "too_long", f"a part of {self._length} bytes"))
        else:
            self.texts.append(bytes(self._text))

    @property
    def _is_text(self) -> bool:
        return self._type in _EVENT_TYPES or (self._type in _ANY_TEXT and not self._has_file)


def _text(
    body: bytes, device: str, time_zone: str, statuses: Mapping[str, Direction], only: Direction | None
) -> list[AnyReading]:
    """What one JSON or XML text says. Which of the two it is shows in its first byte; devices mislabel it."""
    text = body.strip(b"\xef\xbb\xbf \t\r\n\0")
    take = {b"{": take_json, b"<": take_xml}.get(text[:1])
    if take is None:
        return [refuse(device, "biometric" if is_image(text) else "broken", f"{len(body)} bytes that are no text")]
    try:
        payload, biometrics = take(text, _SHAPE)
    except Unreadable as error:
        return [refuse(device, "broken", str(error))]
    event = payload.get("EventNotificationAlert", payload)
    readings: list[AnyReading] = [refuse(device, "biometric", count=biometrics)] if biometrics else []
    return [*readings, _event(event, device, time_zone, statuses, only)]


def _event(
    event: Any, device: str, time_zone: str, statuses: Mapping[str, Direction], only: Direction | None
) -> Visit | Alive | Dropped:
    if not isinstance(event, dict):
        return refuse(device, "bad_entry", "one event is expected")
    kind, state = str(event.get("eventType", "")).lower(), event.get("eventState")
    if kind == "heartbeat" or (kind == "videoloss" and state == "inactive"):
        return Alive(device=device)
    fields = event.get("AccessControllerEvent")
    if fields is None:
        return refuse(device, "not_recorded", "another event than AccessControllerEvent")
    if not isinstance(fields, dict):
        return refuse(device, "bad_entry", "one AccessControllerEvent is expected")
    try:
        access = _Access.model_validate({name: value for name, value in fields.items() if value not in ("", None)})
    except ValidationError as error:
        return refuse(device, "bad_entry", mistakes(error))
    if access.member_number is None:
        return refuse(device, "unrecognised", f"event {access.major}/{access.minor}")
    if access.major != _MAJOR_EVENT or access.minor not in PASSED:
        return refuse(device, "not_recorded", f"event {access.major}/{access.minor}")
    words = (access.status or "", f"reader {access.reader}", f"door {access.door}")
    towards = only or next((statuses[word] for word in words if word in statuses), None)
    if towards is None:
        return refuse(device, "no_direction", f"one of {', '.join(statuses)} is expected")
    time = str(event.get("dateTime", ""))
    try:
        at = instant(time)
    except ValueError:
        try:
            at = local_instant(time, time_zone)
        except ValueError as error:
            return refuse(device, "bad_time", str(error))
    told_apart = access.member_number if access.serial is None else access.serial
    key = opaque(device, told_apart, time, access.minor)
    return Visit(device=device, key=key, member_number=access.member_number, direction=towards, at=at)
