"""Receiving: a segment and its manifest are judged together and then written, both or neither.

Everything is judged before anything is written, so what lies under a name is always what a gateway sealed under it, and
a reader never meets a half. What is there is never overwritten; the same again is good.

What does not belong here: who may send (`tokens`), how it came (`service`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic_core import from_json

from edge_collector.contract import INTEGER_RANGE, MAX_LINE_BYTES, STREAMS
from edge_collector.durable import PART_SUFFIX, flush_folder, make_folder, name_first, staged
from edge_collector.segment import (
    MANIFEST_SUFFIX,
    SEGMENT_SUFFIX,
    Manifest,
    SegmentName,
    folder,
    parse_manifest,
    unpacked_lines,
    verify_segment,
)
from edge_collector.signing import verify_manifest

_LONGEST_NAME = 200
"""File systems take 255 bytes, and what is written beside needs some of them."""
_ABANDONED_SECONDS = 3600


class ForeignRecord(Exception):
    """A record says that another gateway captured it. The message says which record."""


class Conflict(Exception):
    """Under the name lies other content. The message says under which."""


@dataclass(frozen=True)
class Place:
    """Where a segment belongs."""

    stream: str
    event_date: date
    name: SegmentName

    @classmethod
    def parse(cls, stream: str, day: str, name: str) -> Place:
        """Of `<stream>`, `event_date=YYYY-MM-DD` and `<gateway_id>-<boot_id>-<first_seq>-<last_seq>`.

        Raises ValueError.
        """
        if stream not in STREAMS:
            raise ValueError(f"stream {stream[:60]!r} is given; one of {', '.join(STREAMS)} is expected")
        try:
            event_date = date.fromisoformat(day.removeprefix("event_date="))
        except ValueError:
            event_date = None
        if event_date is None or day != f"event_date={event_date}":
            raise ValueError(f"{day[:60]!r} is given; event_date=YYYY-MM-DD is expected")
        parsed = SegmentName.parse(name) if len(name) <= _LONGEST_NAME else None
        if parsed is None or parsed.last_seq > INTEGER_RANGE[1] or str(parsed) != name:
            raise ValueError(
                f"{name[:60]!r} is given; <gateway_id>-<boot_id>-<first_seq>-<last_seq> of at most {_LONGEST_NAME} "
                "characters is expected, numbers without leading zeros"
            )
        return cls(stream, event_date, parsed)


def receive(
    landing: Path, place: Place, manifest: bytes, packed: bytes, public_key: Ed25519PublicKey | None
) -> tuple[Manifest, bool]:
    """Land a segment; returns its manifest and whether it was new. When this returns, a power cut takes nothing back.

    Raises segment.Refused, signing.BadSignature or ForeignRecord where the two are not what they should be, Conflict,
    OSError.
    """
    files = {f"{place.name}{SEGMENT_SUFFIX}": packed, f"{place.name}{MANIFEST_SUFFIX}": manifest}
    stated = parse_manifest(
        manifest, (place.stream, f"event_date={place.event_date}", f"{place.name}{MANIFEST_SUFFIX}")
    )
    if public_key is not None:
        verify_manifest(manifest, public_key)
    verify_segment(packed, stated)
    _expect_own_records(packed, place.name.gateway_id)
    target = folder(landing, place.stream, place.event_date)
    make_folder(target)
    missing = [name for name, content in files.items() if not _holds(target / name, content)]
    new = False
    with staged({target / name: files[name] for name in missing}) as parts:
        for path, part in parts.items():
            new = name_first(part, path)  # the last one, the manifest, is named by one sender only
            if not new:
                _holds(path, files[path.name])
    flush_folder(target)
    return stated, new


def sweep(landing: Path, now: float) -> int:
    """Delete what kills have left behind: parts that nobody has written to for an hour. Returns how many."""
    swept = 0
    for path in landing.glob(f"*/event_date=*/.*{PART_SUFFIX}"):
        try:
            if now - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()
                swept += 1
        except FileNotFoundError:
            continue
    return swept


def _expect_own_records(packed: bytes, gateway_id: str) -> None:
    """A record under another gateway's identity would make that gateway's true one a duplicate. Raises ForeignRecord.

    Lines that are no records at all are none of this room's business: they go to quarantine.
    """
    for number, line in enumerate(unpacked_lines(packed), start=1):
        if len(line) > MAX_LINE_BYTES:
            continue
        try:
            record = from_json(line)
        except ValueError:
            continue
        claimed = record.get("gateway_id") if isinstance(record, dict) else None
        if isinstance(claimed, str) and claimed != gateway_id:
            raise ForeignRecord(f"record {number} is of gateway {claimed[:60]!r}")


def _holds(path: Path, content: bytes) -> bool:
    """Whether the file is there, with this content. Raises Conflict if it is there with another."""
    try:
        with path.open("rb") as file:
            same = os.fstat(file.fileno()).st_size == len(content) and file.read() == content
    except FileNotFoundError:
        return False
    if not same:
        raise Conflict(path.name)
    return True
