"""Hikvision events: JSON and XML, alone and beside photographs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from edge_collector.codecs import hikvision
from edge_collector.readings import Alive, AnyReading, Dropped, Visit
from tests.edge.codecs.samples import ACCESS, HEARTBEAT, HIKVISION, HIKVISION_JSON, HIKVISION_XML, JPEG, form

JSON, XML = "application/json", "application/xml"


def decode(body: bytes, content_type: str = JSON, **options: Any) -> list[AnyReading]:
    return hikvision.decode(body, content_type, "DS1", "Europe/Berlin", **options)


def event(access: dict[str, Any] | None = None, **fields: Any) -> bytes:
    """The sample with some fields changed; None takes a field away."""
    changed = HIKVISION | {"AccessControllerEvent": ACCESS | (access or {})} | fields
    changed["AccessControllerEvent"] = {k: v for k, v in changed["AccessControllerEvent"].items() if v is not None}
    return json.dumps({k: v for k, v in changed.items() if v is not None}).encode()


def what(readings: list[AnyReading]) -> list[str]:
    return [r.reason if isinstance(r, Dropped) else type(r).__name__ for r in readings]


def the_visit(readings: list[AnyReading]) -> Visit:
    (visit,) = (r for r in readings if isinstance(r, Visit))
    return visit


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (HIKVISION_JSON, JSON, ["Visit"]),
        (HIKVISION_JSON, "", ["Visit"]),
        (HIKVISION_XML, XML, ["Visit"]),
        (HIKVISION_XML, JSON, ["Visit"]),
        (json.dumps({"EventNotificationAlert": HIKVISION}).encode(), JSON, ["Visit"]),
        (*form(HIKVISION_JSON), ["biometric", "Visit"]),
        (*form(HIKVISION_XML, JPEG, JPEG), ["biometric", "biometric", "Visit"]),
        (*form(HIKVISION_JSON, subtype="mixed"), ["biometric", "Visit"]),
    ],
)
def test_the_same_event_in_every_dress(body: bytes, content_type: str, expected: list[str]) -> None:
    readings = decode(body, content_type)
    assert what(readings) == expected
    visit = the_visit(readings)
    assert (visit.device, visit.member_number, visit.direction) == ("DS1", "13085", "enter")
    assert visit.at == datetime(2026, 1, 31, 17, 30, tzinfo=UTC)
    assert visit.key == the_visit(decode(HIKVISION_JSON)).key


EVENTS: list[tuple[str, bytes, list[str]]] = [
    ("heartbeat", json.dumps(HEARTBEAT).encode(), ["Alive"]),
    ("heartbeat of cameras", event(eventType="videoloss", eventState="inactive"), ["Alive"]),
    ("motion", event(eventType="VMD", AccessControllerEvent={}), ["unrecognised"]),
    ("another event", b'{"eventType": "doorbell"}', ["not_recorded"]),
    ("nobody recognised", event({"employeeNoString": "", "subEventType": 76}), ["unrecognised"]),
    ("no number", event({"employeeNoString": None}), ["unrecognised"]),
    ("number as a number", event({"employeeNoString": None, "employeeNo": 13085}), ["Visit"]),
    ("refused at the door", event({"subEventType": 9}), ["not_recorded"]),
    ("an operation", event({"majorEventType": 3}), ["not_recorded"]),
    ("no minor event", event({"subEventType": None}), ["not_recorded"]),
    ("a status that is none", event({"attendanceStatus": "undefined"}), ["no_direction"]),
    ("no time", event(dateTime=None), ["bad_time"]),
    ("an impossible time", event(dateTime="2026-02-30T18:30:00+01:00"), ["bad_time"]),
    ("a number too long", event({"employeeNoString": "9" * 200}), ["bad_entry"]),
    ("a template as number", event({"employeeNoString": "QUJD" * 100}), ["biometric", "unrecognised"]),
    ("a type that is text", event({"majorEventType": "five"}), ["bad_entry"]),
    ("several events in a list", b'{"EventNotificationAlert": [{}]}', ["bad_entry"]),
    ("events in a list", b'{"AccessControllerEvent": [{}]}', ["bad_entry"]),
    ("an array", b"[]", ["broken"]),
    ("half a JSON", HIKVISION_JSON[:-20], ["broken"]),
    ("half an XML", HIKVISION_XML[:-20], ["broken"]),
    ("nothing", b"", ["broken"]),
    ("a photograph", JPEG, ["biometric"]),
    ("JSON without end", b'{"a":' * 5000, ["broken"]),
    ("XML without end", b"<a>" * 5000, ["broken"]),
]


@pytest.mark.parametrize(("name", "body", "expected"), EVENTS, ids=[name for name, _, _ in EVENTS])
def test_an_event_says(name: str, body: bytes, expected: list[str]) -> None:
    assert what(decode(body)) == expected


def test_entities_are_not_expanded() -> None:
    lots = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'
    (refused,) = decode(lots, XML)
    assert isinstance(refused, Dropped)
    assert (refused.reason, refused.detail) == ("broken", "XML with a document type, which is not read")


@pytest.mark.parametrize(("status", "direction"), hikvision.STATUSES.items())
def test_directions(status: str, direction: str) -> None:
    assert the_visit(decode(event({"attendanceStatus": status}))).direction == direction


def test_readers_and_doors_may_tell_the_direction() -> None:
    undefined = event({"attendanceStatus": "undefined", "cardReaderNo": 2})
    assert the_visit(decode(undefined, statuses={"reader 1": "enter", "reader 2": "leave"})).direction == "leave"
    assert the_visit(decode(undefined, statuses={"door 1": "enter"})).direction == "enter"
    assert the_visit(decode(HIKVISION_JSON, direction="leave")).direction == "leave"


def test_a_time_without_offset_is_the_venues() -> None:
    assert the_visit(decode(event(dateTime="2026-07-31T18:30:00"))).at == datetime(2026, 7, 31, 16, 30, tzinfo=UTC)


def test_keys_tell_events_apart() -> None:
    bodies = (event(), event({"serialNo": 998}), event({"serialNo": None}), event(dateTime="2026-01-31T18:30:01+01:00"))
    keys = {the_visit(decode(body)).key for body in bodies}
    assert len(keys) == len(bodies)
    assert the_visit(decode(event({"serialNo": None}))).key in keys


FORMS = [
    (*form(event({"x": "y" * 70_000})), ["too_long", "biometric"]),
    (form(HIKVISION_JSON)[0][:-60], form(b"")[1], ["biometric", "Visit"]),
    (
        form(HIKVISION_JSON)[0].partition(b'\r\n--MIME_boundary\r\nContent-Disposition: form-data; name="P')[0],
        form(b"")[1],
        ["Visit"],
    ),
    (form(HIKVISION_JSON)[0][:500], form(b"")[1], ["broken"]),
    (form(HIKVISION_JSON)[0], "multipart/form-data", ["broken"]),
    (form(HIKVISION_JSON)[0], "multipart/form-data; boundary=other", ["broken"]),
    (b"", "multipart/form-data; boundary=x", ["broken"]),
    (*form(JPEG, JPEG), ["biometric", "biometric"]),
]


@pytest.mark.parametrize(("body", "content_type", "expected"), FORMS)
def test_a_form_says(body: bytes, content_type: str, expected: list[str]) -> None:
    assert what(decode(body, content_type)) == expected


def test_alive_names_the_device() -> None:
    assert decode(json.dumps(HEARTBEAT).encode()) == [Alive(device="DS1")]
