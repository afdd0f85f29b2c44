"""Puts a landing on disk: segments with their manifests, whole or damaged, and the site.toml that they belong to.

Own code, standard library and zstandard; nothing of the system is imported, so that a mistake of its writer cannot hide
a mistake of its reader.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import zstandard

from tests.oracle.places import DAY, MIN


@dataclass
class Segment:
    """One segment with its manifest, whole or damaged."""

    stream: str
    event_date: date  # the folder
    gateway_id: str
    boot_id: str
    seqs: list[int]  # what the manifest says it contains, ascending
    lines: list[bytes]
    created_at: datetime
    damages: tuple[str, ...] = ()
    last_line_ends: bool = True
    packing: str = "plain"  # or one of PACKINGS

    @property
    def stem(self) -> str:
        return f"{self.gateway_id}-{self.boot_id}-{self.seqs[0]}-{self.seqs[-1]}"

    @property
    def name(self) -> str:
        return self.stem + ".jsonl.zst"

    def write(self, landing: Path) -> None:
        folder = landing / self.stream / f"event_date={self.event_date.isoformat()}"
        folder.mkdir(parents=True, exist_ok=True)
        unpacked = b"\n".join(self.lines) + (b"\n" if self.last_line_ends else b"")
        packed = pack(unpacked, self.packing)
        if "undecodable" in self.damages:
            packed = b"this is no zstd frame"
        if "truncated" in self.damages:
            packed = packed[:-3]
        manifest: dict = {
            "schema": 1,
            "stream": self.stream,
            "event_date": self.event_date.isoformat(),
            "gateway_id": self.gateway_id,
            "boot_id": self.boot_id,
            "first_seq": self.seqs[0],
            "last_seq": self.seqs[-1],
            "seq_ranges": ranges(self.seqs),
            "rows": sum(1 for line in unpacked.split(b"\n") if line),
            "sha256": hashlib.sha256(packed).hexdigest(),
            "created_at": stamp(self.created_at),
        }
        for damage, spoil in MANIFEST_DAMAGES.items():
            if damage in self.damages:
                spoil(manifest)
        text = json.dumps(manifest)
        if "manifest_json" in self.damages:
            text = text[:-1]
        if "missing" not in self.damages:
            (folder / self.name).write_bytes(packed)
        if "no_manifest" not in self.damages:
            (folder / f"{self.stem}.manifest.json").write_text(text, encoding="utf-8")


def swap(name: str, change: Callable) -> Callable[[dict], None]:
    def damage(manifest: dict) -> None:
        manifest[name] = change(manifest[name])

    return damage


def another_day(text: str) -> str:
    return (date.fromisoformat(text) + DAY).isoformat()


# What can be wrong with a segment; more than one may be, the first in the order of the checks is the reason.
# In this table the later ones can be done to what the earlier ones leave behind.
MANIFEST_DAMAGES: dict[str, Callable[[dict], None]] = {
    "row_count": swap("rows", lambda n: n + 1),
    "hash": swap("sha256", lambda sha: sha[::-1] if sha[::-1] != sha else "0" * 64),
    "folder_stream": swap("stream", lambda s: "orders" if s != "orders" else "face_visits"),
    "folder_date": swap("event_date", another_day),
    "folder_gateway": swap("gateway_id", lambda g: g + "x"),
    "folder_boot": swap("boot_id", lambda b: b + "x"),
    "folder_seq": swap("last_seq", lambda n: n + 1),
    "schema": swap("schema", lambda _: 2),
    "manifest_no_date": swap("event_date", lambda _: "2026-02-30"),
    "manifest_no_instant": swap("created_at", lambda text: text.replace("Z", "")),
    "manifest_schema_text": swap("schema", str),
    "manifest_rows_float": swap("rows", float),
    "manifest_rows_text": swap("rows", str),
    "manifest_no_rows": lambda manifest: manifest.pop("rows") and None,
    "manifest_ranges_twice": swap("seq_ranges", lambda ranges: ranges * 2),
}
DAMAGES = (*MANIFEST_DAMAGES, "manifest_json", "missing", "undecodable", "truncated", "no_manifest")
PACKINGS = ("no_content_size", "checksum", "two_frames")


def pack(unpacked: bytes, packing: str) -> bytes:
    if packing == "no_content_size":
        return zstandard.ZstdCompressor(write_content_size=False).compress(unpacked)
    if packing == "checksum":
        return zstandard.ZstdCompressor(write_checksum=True).compress(unpacked)
    if packing == "two_frames":
        half = len(unpacked) // 2
        return b"".join(zstandard.ZstdCompressor().compress(part) for part in (unpacked[:half], unpacked[half:]))
    return zstandard.ZstdCompressor().compress(unpacked)


def ranges(seqs: list[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for seq in seqs:
        if found and found[-1][1] == seq - 1:
            found[-1][1] = seq
        else:
            found.append([seq, seq])
    return found


@dataclass
class Scenario:
    """A site and its landing. `event_date` is the day it is about, `dates` all days that have something to compare."""

    event_date: date
    site: dict
    segments: list[Segment] = field(default_factory=list)

    @property
    def dates(self) -> list[date]:
        return sorted({self.event_date} | {segment.event_date for segment in self.segments})

    def write(self, path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        (path / "site.toml").write_text(site_toml(self.site), encoding="utf-8")
        (path / "landing").mkdir(exist_ok=True)
        for segment in self.segments:
            segment.write(path / "landing")
        return path


def site_toml(site: dict) -> str:
    """A site as TOML: texts, numbers and dates at the top, then lists of tables."""
    blocks = [toml_lines((k, v) for k, v in site.items() if not isinstance(v, list))]
    for table, rows in site.items():
        if isinstance(rows, list):
            blocks += [f"[[{table}]]\n" + toml_lines(row.items()) for row in rows]
    return "\n".join(blocks)


def toml_lines(items: Iterable[tuple[str, object]]) -> str:
    return "".join(f"{k} = {v.isoformat() if isinstance(v, date) else json.dumps(v)}\n" for k, v in items)


def stamp(instant: datetime, zone: str | None = None, digits: int = 3) -> str:
    """An instant in RFC 3339: in UTC as Z, or with the offset that a zone has at that instant."""
    local = instant.astimezone(UTC if zone is None else ZoneInfo(zone))
    text = local.strftime("%Y-%m-%dT%H:%M:%S")
    if digits:
        text += f".{local.microsecond:06d}"[: 1 + digits]
    if zone is None:
        return text + "Z"
    minutes = local.utcoffset() // MIN
    return text + f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


class Raw(str):
    """JSON as it stands, for values that json.dumps would not write."""


def line_of(record: dict, ascii_only: bool = False, spaces: tuple[str, str] = (",", ":")) -> bytes:
    """One line of a segment."""
    pairs = []
    for name, value in record.items():
        text = value if isinstance(value, Raw) else json.dumps(value, ensure_ascii=ascii_only)
        pairs.append(json.dumps(name) + spaces[1] + text)
    return ("{" + spaces[0].join(pairs) + "}").encode("utf-8")


def with_extra(line: bytes, value: bytes) -> bytes:
    """The line with an unknown extra field, which is ignored whatever it holds, if it is JSON."""
    return b'{"extra":' + value + b"," + line[1:]


def padded(line: bytes, size: int) -> bytes:
    filler = size - len(with_extra(line, b'""'))
    return with_extra(line, b'"' + b"x" * filler + b'"')
