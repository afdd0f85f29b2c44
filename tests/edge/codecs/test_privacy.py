"""No image, template or embedding gets past a codec, under whatever name it comes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_collector.codecs import hikvision, plain, zkteco
from edge_collector.codecs.privacy import is_biometric, take_json, take_xml
from edge_collector.readings import AnyReading, Dropped, Visit
from tests.edge.codecs.samples import (
    ACCESS,
    ATTLOG,
    ATTPHOTO,
    BIODATA,
    EMBEDDING,
    HIKVISION,
    HIKVISION_JSON,
    HIKVISION_XML,
    JPEG,
    OPERLOG,
    TEMPLATE,
    form,
)

PICTURE = base64.b64encode(JPEG).decode()
ESCAPED = repr(JPEG)[2:-1]
"""No way in which anybody sends a picture; it gets nowhere either, but is not counted as one."""
SECRETS: tuple[str, ...] = (TEMPLATE, PICTURE, JPEG.hex(), ESCAPED, "data:image/jpeg;base64,/9j/4AAQSkZJRg")
HOLDERS: list[Any] = [*SECRETS, EMBEDDING, [[x, x] for x in EMBEDDING[:10]], {"face": TEMPLATE}, [TEMPLATE, PICTURE]]

Decode = Callable[[bytes], list[AnyReading]]
POSTS: list[tuple[str, Decode, bytes]] = [
    ("zkteco operations", lambda b: zkteco.decode("OPERLOG", b, "CJ1", "UTC"), OPERLOG),
    ("zkteco templates", lambda b: zkteco.decode("BIODATA", b, "CJ1", "UTC"), BIODATA),
    ("zkteco templates as attendance", lambda b: zkteco.decode("ATTLOG", b, "CJ1", "UTC"), ATTLOG + BIODATA),
    ("zkteco photographs", lambda b: zkteco.decode("ATTPHOTO", b, "CJ1", "UTC"), ATTPHOTO),
    ("zkteco photographs as attendance", lambda b: zkteco.decode("ATTLOG", b, "CJ1", "UTC"), ATTPHOTO),
    ("hikvision form", lambda b: hikvision.decode(b, form(b"")[1], "DS1", "UTC"), form(HIKVISION_JSON)[0]),
    ("hikvision form, wrong type", lambda b: hikvision.decode(b, "text/xml", "DS1", "UTC"), form(HIKVISION_JSON)[0]),
    (
        "hikvision picture in XML",
        lambda b: hikvision.decode(b, "application/xml", "DS1", "UTC"),
        HIKVISION_XML.replace(b"<name>X</name>", f"<Picture>{PICTURE}</Picture><face>{TEMPLATE}</face>".encode()),
    ),
]


def pieces(readings: list[AnyReading]) -> str:
    """Everything that is in the readings, in one text."""
    return " ".join(repr(vars(reading)) for reading in readings)


def holds(text: str, secret: str) -> bool:
    """Whether any 12 characters in a row of the secret are in the text."""
    return any(secret[at : at + 12] in text for at in range(len(secret) - 11))


@pytest.mark.parametrize(("name", "decode", "body"), POSTS, ids=[name for name, _, _ in POSTS])
def test_vendors_posts_leave_nothing_of_a_picture_or_template(name: str, decode: Decode, body: bytes) -> None:
    readings = decode(body)
    text = pieces(readings)
    assert not any(holds(text, secret) for secret in SECRETS)
    assert any(isinstance(r, Dropped) for r in readings)


PLACES = [*ACCESS, "Picture", "faceFeature", "employeeNo"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: str(holder)[:16])
def test_hikvision_event_with_a_secret_in_any_field(place: str, holder: Any) -> None:
    for body in (
        HIKVISION | {"AccessControllerEvent": ACCESS | {place: holder}},
        HIKVISION | {place: holder},
        {"EventNotificationAlert": HIKVISION | {"AccessControllerEvent": {**ACCESS, "more": {place: [holder]}}}},
    ):
        readings = hikvision.decode(json.dumps(body).encode(), "application/json", "DS1", "UTC")
        text = pieces(readings)
        assert not any(holds(text, secret) for secret in (*SECRETS, *map(str, EMBEDDING[:20])))
        assert holder == ESCAPED or any(isinstance(r, Dropped) and r.reason == "biometric" for r in readings)


@given(
    st.dictionaries(
        st.sampled_from(["id", "member_number", "direction", "at", "face", "extra"]),
        st.recursive(
            st.sampled_from([TEMPLATE, PICTURE, EMBEDDING, "13085", "enter", 5, None]),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
            max_leaves=5,
        ),
    )
)
def test_plain_entry_with_secrets_anywhere(entry: dict[str, Any]) -> None:
    readings = plain.decode(json.dumps({"visits": [entry], "notes": [entry]}).encode(), "till")
    text = pieces(readings)
    assert not any(holds(text, secret) for secret in (TEMPLATE, PICTURE, *map(str, EMBEDDING[:5])))
    has_secret = any(secret in json.dumps(entry) for secret in (TEMPLATE, PICTURE, json.dumps(EMBEDDING)))
    assert any(isinstance(r, Dropped) and r.reason == "biometric" for r in readings) == has_secret


def test_a_visit_survives_beside_its_photograph() -> None:
    body, content_type = form(HIKVISION_JSON, JPEG)
    biometric, visit = hikvision.decode(body, content_type, "DS1", "UTC")
    assert isinstance(biometric, Dropped)
    assert biometric.detail == f"a part of {len(JPEG)} bytes that is no text"
    assert isinstance(visit, Visit)


TEXTS = [
    ("13085", False),
    ("x" * 256, False),
    ("x" * 257, True),
    ("QUJD\r\n" * 100, True),
    ("a sentence of words, " * 50, False),
    ("data:image/png;base64,iVBOR", True),
    ("00ff" * 80, True),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_what_looks_like_a_template(text: str, expected: bool) -> None:
    assert is_biometric(text) == expected


def test_only_what_is_named_is_taken() -> None:
    body = {"a": 1, "b": {"c": "x", "d": "y"}, "e": [{"c": "z"}, 5], "f": {"c": 1}}
    shape = {"a": None, "b": {"c": None}, "e": {"c": None}, "f": None}
    assert take_json(json.dumps(body).encode(), shape) == ({"a": 1, "b": {"c": "x"}, "e": [{"c": "z"}, {}]}, 0)
    document = b"<r><a>1</a><b><c>x</c><d>y</d></b><f><c>1</c></f></r>"
    taken, _ = take_xml(document, {"r": shape})
    assert taken == {"r": {"a": "1", "b": {"c": "x"}, "f": ""}}
