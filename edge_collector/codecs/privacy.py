"""The allow-list: of a structured payload only the fields that a codec names go any further, and only plain values.

A terminal sends photographs, face templates and fingerprints beside the few words that are wanted. What is not named
is not taken, whatever it is; what looks like an image, a template or an embedding is not taken under any name, and is
counted. The counting is for the record; the protection is the list.

What does not belong here: which fields a codec names, and what they must hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from xml.parsers import expat

from pydantic_core import from_json

Shape = Mapping[str, "Shape | None"]
"""The names of a payload that may be taken. None stands for a plain value, a shape for an object or a list of them."""
Kept = dict[str, Any]

MAX_ENCODED: Final = 256
"""Characters of base64 or hexadecimal in one go that nothing else than an image or a template has."""
MAX_NUMBERS: Final = 16
"""Numbers in one list that nothing else than an embedding has."""
MAX_ENTRIES: Final = 50_000
"""Of one list. A body of 8 MiB has room for millions of empty ones: they would take a gigabyte and half a minute."""
_MAX_DEPTH: Final = 32
_ENCODED: Final = re.compile(r"[A-Za-z0-9+/_=-]+")
_IMAGES: Final = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\x00", b"MM\x00*", b"\x00\x00\x00")
"""How JPEG, PNG, GIF, BMP, WebP, TIFF and HEIF files begin."""


class Unreadable(ValueError):
    """A payload that is not of its format. The message shows nothing of it."""


def is_image(content: bytes) -> bool:
    """Whether these bytes begin as an image file does."""
    return content.startswith(_IMAGES)


def is_biometric(text: str) -> bool:
    """Whether a text carries an image or a template: a data URI, or more base64 than any number or name has."""
    if text.startswith("data:"):
        return True
    joined = text.replace("\r", "").replace("\n", "") if len(text) > MAX_ENCODED else text
    return len(joined) > MAX_ENCODED and any(len(run) > MAX_ENCODED for run in _ENCODED.findall(joined))


def take_json(body: bytes, shape: Shape) -> tuple[Kept, int]:
    """What `shape` names of a JSON object, and how many images, templates and embeddings were left out.

    Raises Unreadable when the body is no JSON object, and for a named list with more than `MAX_ENTRIES`.
    """
    try:
        value = from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError:
        raise Unreadable("not valid JSON") from None
    if not isinstance(value, dict):
        raise Unreadable("JSON, but not an object")
    return _named(value, shape), _biometrics(value)


def _named(value: Mapping[str, Any], shape: Shape) -> Kept:
    kept: Kept = {}
    for name, inner in shape.items():
        given = value.get(name)
        if name not in value:
            continue
        if inner is None:
            if given is None or (isinstance(given, str) and not is_biometric(given)) or isinstance(given, int | float):
                kept[name] = given
        elif isinstance(given, list):
            if len(given) > MAX_ENTRIES:
                raise Unreadable(f"{name}: {len(given)} are given; at most {MAX_ENTRIES} at a time are expected")
            kept[name] = [_named(entry, inner) if isinstance(entry, dict) else {} for entry in given]
        elif isinstance(given, dict):
            kept[name] = _named(given, inner)
    return kept


def _biometrics(value: Any) -> int:
    """How many images, templates and embeddings a payload holds, under whatever names."""
    if isinstance(value, str):
        return is_biometric(value)
    if isinstance(value, dict):
        return sum(map(_biometrics, value.values()))
    if isinstance(value, list):
        return 1 if _numbers(value) > MAX_NUMBERS else sum(map(_biometrics, value))
    return 0


def _numbers(value: Any) -> int:
    """How many numbers a list holds, those of lists in it included."""
    return sum(map(_numbers, value)) if isinstance(value, list) else isinstance(value, int | float)


def take_xml(body: bytes, shape: Shape) -> tuple[Kept, int]:
    """What `shape` names of an XML document, values as text, and how many images and templates were left out.

    Of elements that are not named nothing is kept. Document types are not read, so no entity can grow. Raises
    Unreadable when the body is not well-formed UTF-8 XML.
    """
    reader = _XmlReader(shape)
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.document_type
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.characters
    parser.EndElementHandler = reader.end
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        raise Unreadable("not well-formed XML") from None
    return reader.kept, reader.biometrics


class _XmlReader:
    """Follows a document and keeps the texts of named elements. A name given twice holds the last value."""

    def __init__(self, shape: Shape) -> None:
        self.kept: Kept = {}
        self.biometrics = 0
        self._text = ""
        self._open: list[tuple[str, Kept | None, Shape | None]] = [("", self.kept, shape)]
        """Elements around this place: name, what is kept of them if they are named objects, and their shape."""

    def document_type(self, *_: object) -> None:
        """A document type begins."""
        raise Unreadable("XML with a document type, which is not read")

    def start(self, tag: str, _attributes: object) -> None:
        """An element begins."""
        if len(self._open) > _MAX_DEPTH:
            raise Unreadable(f"XML more than {_MAX_DEPTH} elements deep")
        name = tag.rpartition(":")[2]
        _, around, shape = self._open[-1]
        inner = shape.get(name) if shape else None
        kept: Kept | None = None
        if around is not None and inner is not None:
            kept = around[name] = {}
        self._open.append((name, kept, inner))
        self._text = ""

    def characters(self, text: str) -> None:
        """Some of the text of the innermost element; what is too long to be taken is cut off."""
        self._text += text[: 2 * MAX_ENCODED - len(self._text)]

    def end(self, _tag: str) -> None:
        """The innermost element ends."""
        name, _, _ = self._open.pop()
        _, around, shape = self._open[-1]
        text, self._text = self._text.strip(), ""
        if is_biometric(text):
            self.biometrics += 1
        elif around is not None and shape is not None and shape.get(name, ...) is None:
            around[name] = text
