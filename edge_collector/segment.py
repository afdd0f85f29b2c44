"""Segments and manifests: how records lie in the landing, how they are written and how a reader verifies them.

    landing/<stream>/event_date=YYYY-MM-DD/<gateway_id>-<boot_id>-<first_seq>-<last_seq>.jsonl.zst
    landing/<stream>/event_date=YYYY-MM-DD/<gateway_id>-<boot_id>-<first_seq>-<last_seq>.manifest.json

A segment never changes once it has its name; the manifest, written after it, is the commit marker.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import zstandard
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edge_collector.contract import INTEGER_RANGE, LANDING_SCHEMA, MAX_LINE_BYTES, STREAMS
from edge_collector.durable import write_atomically

SEGMENT_SUFFIX = ".jsonl.zst"
MANIFEST_SUFFIX = ".manifest.json"
MAX_SEGMENT_BYTES = 1024**3
"""A segment that unpacks to more is refused: nothing that a gateway ships comes near it."""
MAX_MANIFEST_BYTES = 64 * 1024**2

_UNPACK_STEP = 1024
"""Packed bytes taken at a time. At zstd's best they unpack to 32 MiB, which is what a hostile segment can make held."""

NAME_PATTERN = r"^[A-Za-z0-9_.]+$"
NAME_PART = re.compile(NAME_PATTERN)
_STEM = re.compile(r"([A-Za-z0-9_.]+)-([A-Za-z0-9_.]+)-([0-9]+)-([0-9]+)")


@dataclass(frozen=True, order=True)
class SegmentName:
    """The four parts of a segment's name."""

    gateway_id: str
    boot_id: str
    first_seq: int
    last_seq: int

    def __str__(self) -> str:
        return f"{self.gateway_id}-{self.boot_id}-{self.first_seq}-{self.last_seq}"

    @classmethod
    def parse(cls, stem: str) -> SegmentName:
        """The parts of a name without suffix. Raises ValueError where it is none."""
        match = _STEM.fullmatch(stem)
        if match is None:
            raise ValueError(f"{stem!r} is no segment name; <gateway_id>-<boot_id>-<first_seq>-<last_seq> is expected")
        return cls(match[1], match[2], int(match[3]), int(match[4]))


def _number(value: Any) -> Any:
    if type(value) is not int:
        raise ValueError("an integer is expected")
    return value


def _text(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError("a text is expected")
    return value


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("an instant within the years 1 to 9999 UTC is expected") from None


Seq = Annotated[int, Field(ge=0, le=INTEGER_RANGE[1])]
SeqRange = Annotated[list[int], Field(min_length=2, max_length=2)]


class Manifest(BaseModel):
    """What a segment holds; the first thing a reader believes, and the last a writer writes."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", populate_by_name=True)

    schema_: Annotated[Literal[1], BeforeValidator(_number)] = Field(LANDING_SCHEMA, alias="schema")
    stream: str
    event_date: Annotated[date, Field(strict=False), BeforeValidator(_text)]
    gateway_id: Annotated[str, Field(pattern=NAME_PATTERN)]
    boot_id: Annotated[str, Field(pattern=NAME_PATTERN)]
    first_seq: Seq
    last_seq: Seq
    seq_ranges: list[SeqRange]
    rows: int
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    created_at: Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_text), AfterValidator(_in_utc)]
    signature: str | None = None

    @property
    def name(self) -> SegmentName:
        """The name of the segment that this manifest belongs to."""
        return SegmentName(self.gateway_id, self.boot_id, self.first_seq, self.last_seq)

    def to_bytes(self) -> bytes:
        """The content of the manifest's file."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=1).encode() + b"\n"


RefusalReason = Literal["manifest", "schema", "folder", "missing", "hash", "undecodable", "row_count"]

_REMEDY: dict[RefusalReason, str] = {
    "manifest": "write the manifest anew at the gateway and ship it again",
    "schema": f"ship it with landing schema {LANDING_SCHEMA}, or update this reader",
    "folder": "move segment and manifest to the folder and name that the manifest states, then rerun the date",
    "missing": "ship the segment again; the gateway keeps it until the target has confirmed it",
    "hash": "ship the segment again; it was altered or cut short on the way",
    "undecodable": "ship the segment again as zstd-compressed JSON Lines",
    "row_count": "ship segment and manifest again; they do not belong together",
}


class Refused(ValueError):
    """A segment that is not landed as a whole: reason, what was found, and what to do."""

    def __init__(self, reason: RefusalReason, detail: str, remedy: str = "") -> None:
        self.reason, self.detail, self.remedy = reason, detail, remedy or _REMEDY[reason]
        super().__init__(f"{reason}: {detail}; {self.remedy}")


def folder(landing: Path, stream: str, event_date: date) -> Path:
    """Where the segments of one stream and event date lie."""
    return landing / stream / f"event_date={event_date.isoformat()}"


def manifests(landing: Path, stream: str, event_date: date) -> list[Path]:
    """The manifests of one stream and event date in byte order of their names; none where nothing landed."""
    try:
        with os.scandir(folder(landing, stream, event_date)) as entries:
            found = [Path(entry.path) for entry in entries if entry.name.endswith(MANIFEST_SUFFIX)]
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda path: os.fsencode(path.name))


def segment_of(manifest: Path) -> Path:
    """The segment that lies beside a manifest."""
    return manifest.with_name(manifest.name.removesuffix(MANIFEST_SUFFIX) + SEGMENT_SUFFIX)


def read_manifest(path: Path) -> Manifest:
    """A manifest that fits its folder and name. Raises Refused."""
    try:
        content = _read(path, MAX_MANIFEST_BYTES)
    except OSError as error:
        raise Refused("manifest", f"cannot be read ({error.strerror})", _remedy_of(error)) from None
    return parse_manifest(content, (path.parent.parent.name, path.parent.name, path.name))


def parse_manifest(content: bytes, found: tuple[str, str, str]) -> Manifest:
    """The manifest in the content of the file `found`: the names of stream, folder and file. Raises Refused."""
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        # Of another schema nothing else is known, so nothing else can be held against it.
        other_schema = [e for e in error.errors() if e["loc"] == ("schema",) and type(e["input"]) is int]
        first = (other_schema or error.errors())[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        reason: RefusalReason = "schema" if other_schema else "manifest"
        message = first["msg"].removeprefix("Value error, ")
        raise Refused(reason, f"{where}: {message}, given {str(first['input'])[:60]!r}") from None
    stated = (manifest.stream, f"event_date={manifest.event_date}", f"{manifest.name}{MANIFEST_SUFFIX}")
    if stated != found:
        raise Refused("folder", f"states {shown('/'.join(stated)[:300])} but lies at {shown('/'.join(found))}")
    if (wrong := _out_of_place(manifest)) is not None:
        expected = f"ascending ranges within {manifest.first_seq} to {manifest.last_seq} without overlap are expected"
        raise Refused("manifest", f"seq_ranges: {str(wrong)[:60]} is given; {expected}")
    return manifest


def _out_of_place(manifest: Manifest) -> list[int] | None:
    """The first of `seq_ranges` that leaves the manifest's own range, or does not begin behind the one before it.

    `rows` proves nothing here: a record may have come twice, and a line may be too broken to have a number.
    """
    free = manifest.first_seq
    for first, last in manifest.seq_ranges:
        if not free <= first <= last <= manifest.last_seq:
            return [first, last]
        free = last + 1
    return None


def _read(path: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes; a pipe or device might never end. Raises OSError."""
    found = path.stat()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    if found.st_size > most:
        raise OSError(errno.EFBIG, f"{found.st_size} bytes; at most {most} are expected", os.fspath(path))
    return path.read_bytes()


def shown(name: str) -> str:
    """A file name as text; bytes of it that are no UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read_segment(path: Path, manifest: Manifest) -> bytes:
    """The unpacked bytes of the segment at `path`, verified against its manifest. Raises Refused."""
    content = unpack_segment(path, manifest)
    expect_rows(count_rows(content), manifest)
    return content


def unpack_segment(path: Path, manifest: Manifest) -> bytes:
    """What `read_segment` gives, for somebody who counts the rows otherwise: see `expect_rows`. Raises Refused."""
    try:
        packed = _read(path, MAX_SEGMENT_BYTES)
    except OSError as error:
        raise Refused("missing", f"the segment cannot be read ({error.strerror})", _remedy_of(error)) from None
    _expect_hash(packed, manifest)
    return _unpack(packed)


def verify_segment(packed: bytes, manifest: Manifest) -> None:
    """Whether these are the bytes that the manifest states; never holds what they unpack to. Raises Refused."""
    _expect_hash(packed, manifest)
    rows, open_line = 0, False
    for piece in _unpacked_in_steps(packed):
        rows += count_rows(piece) - (open_line and piece[:1] != b"\n")
        open_line = piece[-1:] != b"\n"
    expect_rows(rows, manifest)


def unpacked_lines(packed: bytes) -> Iterator[bytes]:
    """The non-empty lines, never all of them at once; of one that no record can be, as much as shows that it is long.

    Raises Refused.
    """
    rest = b""
    for piece in _unpacked_in_steps(packed):
        held = rest + piece
        end = held.rfind(b"\n") + 1
        for line in re.finditer(rb"[^\n]+", held[:end]):
            yield line[0]
        rest = held[end:][: MAX_LINE_BYTES + 1]
    if rest:
        yield rest


def _remedy_of(error: OSError) -> str:
    """What else than shipping it again mends a file that cannot be read; nothing where nothing else does."""
    return "give this user the right to read it, then rerun the date" if isinstance(error, PermissionError) else ""


def _expect_hash(packed: bytes, manifest: Manifest) -> None:
    digest = hashlib.sha256(packed).hexdigest()
    if digest != manifest.sha256:
        raise Refused("hash", f"sha256 is {digest[:12]}..., the manifest states {manifest.sha256[:12]}...")


def expect_rows(rows: int, manifest: Manifest) -> None:
    """Raises Refused where a segment has not as many non-empty lines as its manifest states."""
    if rows != manifest.rows:
        raise Refused("row_count", f"{rows} non-empty lines, the manifest states {manifest.rows}")


def _unpack(packed: bytes) -> bytes:
    """The content of all frames. A frame that is cut short is an error; a stream reader would not tell."""
    try:
        stated = zstandard.frame_content_size(packed)
        if 0 < stated <= MAX_SEGMENT_BYTES:
            return zstandard.ZstdDecompressor().decompress(packed, allow_extra_data=False)
    except zstandard.ZstdError:
        pass  # several frames, or an error that the careful way will name
    return b"".join(_unpacked_in_steps(packed))


def _unpacked_in_steps(packed: bytes) -> Iterator[bytes]:
    """The content in pieces that are not empty."""
    size = 0
    frame = zstandard.ZstdDecompressor().decompressobj()
    view, at = memoryview(packed), 0
    try:
        while at < len(view):
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            piece = view[at : at + _UNPACK_STEP]
            unpacked = frame.decompress(piece)
            at += len(piece) - len(frame.unused_data)
            if (size := size + len(unpacked)) > MAX_SEGMENT_BYTES:
                raise Refused("undecodable", f"unpacks to more than {MAX_SEGMENT_BYTES} bytes")
            if unpacked:
                yield unpacked
    except zstandard.ZstdError as error:
        raise Refused("undecodable", str(error)) from None
    if not frame.eof:
        raise Refused("undecodable", "the zstd frame is cut short")


def count_rows(content: bytes) -> int:
    """Non-empty lines, the unit of "landed rows"."""
    if content.startswith(b"\n") or re.search(rb"\n\n", content):  # `in` takes three times as long
        return sum(1 for _ in re.finditer(rb"[^\n]+", content))  # a list of millions of nothings would take the memory
    return content.count(b"\n") + (content[-1:] not in (b"", b"\n"))


def ranges(seqs: Iterable[int]) -> list[list[int]]:
    """Numbers as [from, to] ranges, ascending: `ranges([3, 1, 2, 7]) == [[1, 3], [7, 7]]`."""
    if isinstance(seqs, range) and seqs.step == 1 and seqs:
        return [[seqs[0], seqs[-1]]]
    ordered = sorted(set(seqs))
    if not ordered:
        return []
    if ordered[-1] - ordered[0] == len(ordered) - 1:
        return [[ordered[0], ordered[-1]]]
    starts = [ordered[0]] + [b for a, b in pairwise(ordered) if b != a + 1]
    ends = [a for a, b in pairwise(ordered) if b != a + 1] + [ordered[-1]]
    return [[a, b] for a, b in zip(starts, ends, strict=True)]


def pack_segment(
    *,
    stream: str,
    event_date: date,
    gateway_id: str,
    boot_id: str,
    lines: Sequence[bytes],
    seqs: Iterable[int],
    created_at: datetime,
) -> tuple[Manifest, bytes]:
    """The manifest and the compressed segment of `lines` (without line ends, none empty) with the numbers `seqs`.

    Writes nothing. The same arguments give the same bytes. Raises ValueError for names or streams that the contract
    does not know.
    """
    if stream not in STREAMS:
        raise ValueError(f"stream {stream!r} is given; one of {', '.join(STREAMS)} is expected")
    for part in (gateway_id, boot_id):
        if not NAME_PART.fullmatch(part):
            raise ValueError(f"{part!r} is part of a file name; letters, digits, '_' and '.' are expected")
    spans = ranges(seqs)
    if not spans:
        raise ValueError("a segment holds at least one sequence number")
    packed = zstandard.ZstdCompressor(level=3).compress(b"\n".join([*lines, b""]))
    manifest = Manifest(
        stream=stream,
        event_date=event_date,
        gateway_id=gateway_id,
        boot_id=boot_id,
        first_seq=spans[0][0],
        last_seq=spans[-1][1],
        seq_ranges=spans,
        rows=len(lines),
        sha256=hashlib.sha256(packed).hexdigest(),
        created_at=created_at.astimezone(UTC),
    )
    return manifest, packed


def write_segment(
    landing: Path,
    *,
    stream: str,
    event_date: date,
    gateway_id: str,
    boot_id: str,
    lines: Sequence[bytes],
    seqs: Iterable[int],
    created_at: datetime,
) -> Path:
    """Land what `pack_segment` makes of the same arguments; returns the manifest's path.

    Atomic: segment flushed and renamed, then the manifest flushed and renamed.
    """
    manifest, packed = pack_segment(
        stream=stream,
        event_date=event_date,
        gateway_id=gateway_id,
        boot_id=boot_id,
        lines=lines,
        seqs=seqs,
        created_at=created_at,
    )
    target = folder(landing, stream, event_date)
    target.mkdir(parents=True, exist_ok=True)
    write_atomically(target / f"{manifest.name}{SEGMENT_SUFFIX}", packed)
    path = target / f"{manifest.name}{MANIFEST_SUFFIX}"
    write_atomically(path, manifest.to_bytes())
    return path


def numbered_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The non-empty lines of an unpacked segment with their line numbers, from 1."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line:
            yield number, line
