"""Segments and their manifests in the landing: which are refused, and the lines of the others."""

import hashlib
import re
from datetime import date, datetime
from pathlib import Path

import zstandard

from tests.oracle.records import (
    NAME_PART,
    STREAMS,
    TEXT,
    Malformed,
    is_int,
    parse_date,
    parse_instant,
    parse_json,
    parse_value,
)
from tests.oracle.site import Site

REFUSALS = ("manifest", "schema", "folder", "missing", "hash", "undecodable", "row_count")
MANIFEST_SUFFIX = ".manifest.json"
SEGMENT_SUFFIX = ".jsonl.zst"
MANIFEST_NAME = re.compile(r"([A-Za-z0-9_.]+)-([A-Za-z0-9_.]+)-([0-9]+)-([0-9]+)\.manifest\.json")


class Refused(Exception):
    """The segment is refused whole."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def folder_of(landing: Path, stream: str, event_date: date) -> Path:
    return landing / stream / f"event_date={event_date.isoformat()}"


def names_in(folder: Path) -> list[str]:
    return sorted((entry.name for entry in folder.iterdir()), key=str.encode) if folder.is_dir() else []


def read_manifest(path: Path) -> dict:
    """A manifest with all its fields well-formed; raises Malformed."""
    manifest = parse_json(path.read_bytes())
    if type(manifest) is not dict:
        raise Malformed("not an object")
    if not is_int(manifest.get("schema")):
        raise Malformed("schema")
    # Decision: of another schema nothing else is known, so nothing else can be held against it.
    if manifest["schema"] != 1:
        raise Refused("schema")
    for name in ("first_seq", "last_seq", "rows"):
        if not is_int(manifest.get(name)):
            raise Malformed(name)
    for name in ("gateway_id", "boot_id"):
        parse_value(NAME_PART, manifest.get(name))
    parse_value(TEXT, manifest.get("stream"))
    if parse_date(parse_value(TEXT, manifest.get("event_date"))) is None:
        raise Malformed("event_date")
    if re.fullmatch(r"[0-9a-f]{64}", parse_value(TEXT, manifest.get("sha256"))) is None:
        raise Malformed("sha256")
    ranges = manifest.get("seq_ranges")
    if type(ranges) is not list:
        raise Malformed("seq_ranges")
    for pair in ranges:
        if type(pair) is not list or len(pair) != 2 or not is_int(pair[0]) or not is_int(pair[1]):
            raise Malformed("seq_ranges")
    if manifest.get("signature") is not None and type(manifest["signature"]) is not str:
        raise Malformed("signature")
    manifest["created_at"] = parse_instant(manifest.get("created_at"))
    return manifest


def read_segment(folder: Path, manifest_name: str, stream: str, event_date: date) -> tuple[list[bytes], datetime]:
    """The physical lines of a committed segment and its manifest's created_at; raises Refused."""
    stem = manifest_name.removesuffix(MANIFEST_SUFFIX)
    try:
        manifest = read_manifest(folder / manifest_name)
    except Malformed:
        raise Refused("manifest") from None
    name_parts = [str(manifest[name]) for name in ("gateway_id", "boot_id", "first_seq", "last_seq")]
    if (manifest["stream"], manifest["event_date"]) != (stream, event_date.isoformat()) or "-".join(name_parts) != stem:
        raise Refused("folder")
    # Decision: numbers outside of first_seq to last_seq, or stated twice, make the manifest one that proves nothing.
    free = manifest["first_seq"]
    for first, last in manifest["seq_ranges"]:
        if not free <= first <= last <= manifest["last_seq"]:
            raise Refused("manifest")
        free = last + 1
    segment = folder / (stem + SEGMENT_SUFFIX)
    if not segment.is_file():
        raise Refused("missing")
    packed = segment.read_bytes()
    if hashlib.sha256(packed).hexdigest() != manifest["sha256"]:
        raise Refused("hash")
    lines = unpack(packed).split(b"\n")
    if sum(1 for line in lines if line) != manifest["rows"]:
        raise Refused("row_count")
    return lines, manifest["created_at"]


def unpack(packed: bytes) -> bytes:
    """One or more whole zstd frames; raises Refused on anything else, also on a frame that ends early."""
    unpacked = b""
    while True:
        frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            unpacked += frame.decompress(packed)
        except zstandard.ZstdError:
            raise Refused("undecodable") from None
        if not frame.eof:
            raise Refused("undecodable")
        packed = frame.unused_data
        if not packed:
            return unpacked


def first_landed_date(landing: Path, site: Site, venue_id: str) -> date | None:
    """The smallest date folder with a manifest, accepted or not, from a gateway that has a device at the venue."""
    gateways = {device["gateway_id"] for device in site.devices if device["venue_id"] == venue_id}
    first = None
    for stream in STREAMS:
        for folder_name in names_in(landing / stream):
            event_date = folder_date(folder_name)
            if event_date is None or (first is not None and event_date >= first):
                continue
            for name in names_in(landing / stream / folder_name):
                match = MANIFEST_NAME.fullmatch(name)
                if match is not None and match.group(1) in gateways:
                    first = event_date
                    break
    return first


def folder_date(folder_name: str) -> date | None:
    return parse_date(folder_name.removeprefix("event_date=")) if folder_name.startswith("event_date=") else None
