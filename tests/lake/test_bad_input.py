"""What bad input gets: refused or quarantined with a sentence that names file, line and remedy, or exit code 2's sentence.

All bad segments and lines lie beside good ones in one landing that is computed once; each case then looks at what
became of it. Nothing crashes, nothing is lost, and what is good is processed.
"""

# ruff: noqa: E501  (tables read better with one case per line)

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import zstandard

from edge_collector.contract import STREAMS
from edge_collector.segment import MANIFEST_SUFFIX, SEGMENT_SUFFIX, folder, write_segment
from edge_collector.site import SiteError, load_site
from tests.conftest import REPOSITORY, compute, rows
from venue_assets.home import Home
from venue_assets.lake.engine import Engine
from venue_assets.lake.freshness import Freshness
from venue_assets.lake.landing_index import scan
from venue_assets.lake.store import Lake
from venue_assets.tables.catalogue import catalogue

DAY, NEXT_DAY = date(2026, 1, 5), date(2026, 1, 6)
CREATED_AT = datetime(2026, 1, 6, 4, tzinfo=UTC)
GATEWAY = "sim_riverside"

RECORD: dict[str, Any] = {
    "gateway_id": GATEWAY,
    "venue_id": "riverside",
    "recorded_at": "2026-01-05T12:00:00.000+01:00",
    "clock": "synced",
}
_COUNTS = {
    "interval_start": "2026-01-05T11:00:00Z",
    "interval_end": "2026-01-05T11:15:00Z",
    "in_count": 5,
    "out_count": 4,
    "unpaired_count": None,
    "in_total": 5,
    "out_total": 4,
    "device_epoch": 1,
}
OWN: dict[str, dict[str, Any]] = {
    "boundary_counts": {"device_id": "boundary_north", **_COUNTS},
    "entrance_counts": {"device_id": "entrance", **_COUNTS},
    "face_visits": {"device_id": "terminal", "user_id": "k1:" + "0" * 32, "direction": "enter"},
    "orders": {
        "device_id": "till",
        "order_id": "o",
        "order_no": 1,
        "user_id": None,
        "ordered_at": "2026-01-05T11:00:00Z",
        "category_id": "c",
        "quantity": 1,
        "amount": "10.00",
        "currency": "EUR",
        "status": "completed",
    },
    "assignments": {
        "device_id": "assigner",
        "experiment_id": "e",
        "unit_id": "u",
        "arm": "a",
        "propensity": 0.5,
        "leaf_id": None,
        "allocation_id": None,
    },
    "identity_links": {
        "device_id": "member_desk",
        "terminal_user_id": "t",
        "member_user_id": "m",
        "action": "link",
    },
    "gateway_events": {"device_id": "gateway", "kind": "heartbeat", "subject": None, "value": None, "detail": None},
}
_ASSIGNING = """
[[devices]]
id = "assigner"
venue_id = "riverside"
gateway_id = "sim_riverside"
stream = "assignments"
"""


def line(stream: str, *, boot_id: str = "good", seq: Any = 1, **changes: Any) -> bytes:
    """A record of `stream` that holds, but for the changes."""
    record = {**RECORD, "boot_id": boot_id, "seq": seq, **OWN[stream]}
    if "order_id" in record:
        record["order_id"] = f"{boot_id}-{seq}"
    return json.dumps({**record, **changes}, ensure_ascii=False).encode()


def land(home: Home, stream: str, lines: list[bytes], *, boot_id: str = "good", day: date = DAY) -> Path:
    """A segment that nothing is wrong with, whatever its lines are; the manifest's path."""
    return write_segment(
        home.landing,
        stream=stream,
        event_date=day,
        gateway_id=GATEWAY,
        boot_id=boot_id,
        lines=lines,
        seqs=range(1, max(2, len(lines) + 1)),
        created_at=CREATED_AT,
    )


def land_good(home: Home, day: date = DAY) -> None:
    """One good record in every stream."""
    path = home.root / "site.toml"
    if _ASSIGNING not in path.read_text():
        path.write_text(
            (REPOSITORY / "data" / "site.toml")
            .read_text()
            .replace("[[activities]]", _ASSIGNING + "\n[[activities]]", 1)
        )
    for stream in STREAMS:
        land(home, stream, [line(stream, boot_id=f"good{day.day}").replace(b"2026-01-05", str(day).encode())], boot_id=f"good{day.day}", day=day)  # fmt: skip


def pack(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


def manifest_of(packed: bytes, *, boot_id: str, rows: int = 1, **changes: Any) -> dict[str, Any]:
    """The manifest of an orders segment with number 1, but for the changes."""
    stated = {
        "schema": 1,
        "stream": "orders",
        "event_date": str(DAY),
        "gateway_id": GATEWAY,
        "boot_id": boot_id,
        "first_seq": 1,
        "last_seq": 1,
        "seq_ranges": [[1, 1]],
        "rows": rows,
        "sha256": hashlib.sha256(packed).hexdigest(),
        "created_at": "2026-01-06T04:00:00Z",
    }
    return {name: value for name, value in {**stated, **changes}.items() if value is not ...}


def conserved(home: Home, day: date = DAY) -> None:
    """Every landed line is a clean row or a quarantined one, per stream."""
    landed = rows(home, "landed_segments", day)
    quarantined = rows(home, "quarantine", day)
    for stream in STREAMS:
        n = sum(row["rows"] for row in landed if row["stream"] == stream)  # type: ignore[misc]
        assert len(rows(home, stream, day)) + sum(row["stream"] == stream for row in quarantined) == n, stream


def good_is_processed(home: Home, day: date = DAY) -> None:
    """The good record of every stream is clean, and the figures of the venue are there."""
    for stream in STREAMS:
        assert f"good{day.day}" in [row["boot_id"] for row in rows(home, stream, day)], stream
    assert [row["venue_id"] for row in rows(home, "primary_metrics", day)] == ["riverside"]


# Segments and manifests -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BadSegment:
    """What lies in the folder instead of a good segment, and what becomes of it. `reason` None: it is accepted."""

    reason: str | None
    words: str = ""
    content: Callable[[bytes], bytes] = lambda content: content
    packed: Callable[[bytes], bytes] = lambda packed: packed
    stated: dict[str, Any] = field(default_factory=dict)
    manifest: Callable[[bytes], bytes] = lambda text: text
    name: str | None = None
    place: Callable[[Path], None] | None = None
    """Puts something else where the manifest would lie."""

    def write(self, home: Home, boot_id: str) -> str:
        """Lands it; returns the segment's name."""
        packed = self.packed(pack(self.content(line("orders", boot_id=boot_id) + b"\n")))
        stem = self.name or f"{GATEWAY}-{boot_id}-1-1"
        at = folder(home.landing, "orders", DAY)
        if self.place:
            self.place(at / (stem + MANIFEST_SUFFIX))
        else:
            stated = manifest_of(self._hashed(packed), **{"boot_id": boot_id, **self.stated})
            (at / (stem + MANIFEST_SUFFIX)).write_bytes(self.manifest(json.dumps(stated).encode()))
        (at / (stem + SEGMENT_SUFFIX)).write_bytes(packed)
        return stem + SEGMENT_SUFFIX

    def _hashed(self, packed: bytes) -> bytes:
        """What the manifest's hash is of: not of these bytes where they were altered on the way."""
        return packed + b"altered" if self.reason == "hash" else packed


def _altered(packed: bytes) -> bytes:
    return packed[:12] + bytes([packed[12] ^ 1]) + packed[13:]


_DEEP = b"[" * 100_000
SEGMENTS: dict[str, BadSegment] = {
    # the segment
    "altered": BadSegment("hash", "sha256 is", packed=_altered),
    "cut short, hash and all": BadSegment("undecodable", "cut short", packed=lambda p: p[:-3]),
    "zero bytes": BadSegment("undecodable", "cut short", packed=lambda _: b""),
    "no zstd": BadSegment("undecodable", "Unknown frame", packed=lambda _: b"this is no zstd frame"),
    "rubbish after the frame": BadSegment("undecodable", "Unknown frame", packed=lambda p: p + b"rubbish"),
    "a frame cut short after a whole one": BadSegment("undecodable", "cut short", packed=lambda p: p + p[:-3]),
    "two frames": BadSegment(None, packed=lambda p: p + pack(b"")),
    "rubbish in a skippable frame": BadSegment(None, packed=lambda p: p + b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"),
    "no line in it": BadSegment("row_count", "0 non-empty lines", content=lambda _: b""),
    "no line in it, as stated": BadSegment(None, content=lambda _: b"", stated={"rows": 0}),
    "only blank lines, as stated": BadSegment(None, content=lambda _: b"\n" * 100_000, stated={"rows": 0}),
    "blank lines around": BadSegment(None, content=lambda c: b"\n\n\n" + c + b"\n" * 100_000),
    "last line without its end": BadSegment(None, content=lambda c: c[:-1]),
    # numbers of the manifest
    "one row too many": BadSegment("row_count", "1 non-empty lines, the manifest states 2", stated={"rows": 2}),
    "10^30 rows": BadSegment("row_count", "states 1000000000000", stated={"rows": 10**30}),
    "fewer than no rows": BadSegment("row_count", "states -1", stated={"rows": -1}),
    "rows as text": BadSegment("manifest", "rows: ", stated={"rows": "1"}),
    "rows as fraction": BadSegment("manifest", "rows: ", stated={"rows": 1.0}),
    "rows of 5,000 digits": BadSegment("manifest", "out of range", manifest=lambda t: t.replace(b'"rows": 1', b'"rows": ' + b"9" * 5000)),
    "rows missing": BadSegment("manifest", "rows: Field required", stated={"rows": ...}),
    "seq_ranges of fractions": BadSegment("manifest", "seq_ranges.0.0", stated={"seq_ranges": [[1.5, 2]]}),
    "seq_ranges of one number": BadSegment("manifest", "seq_ranges.0", stated={"seq_ranges": [[1]]}),
    "seq_ranges of 50,000 pairs": BadSegment(None, stated={"seq_ranges": [[2 * n + 1, 2 * n + 1] for n in range(50_000)]}),
    "seq_ranges without end": BadSegment(None, stated={"seq_ranges": [[1, 10**30]]}),
    "schema 2": BadSegment("schema", "schema: Input should be 1, given '2'", stated={"schema": 2}),
    "schema 10^30": BadSegment("schema", "schema", stated={"schema": 10**30}),
    "schema as text": BadSegment("manifest", "schema", stated={"schema": "1"}),
    # texts of the manifest
    "created_at without offset": BadSegment("manifest", "timezone", stated={"created_at": "2026-01-06T04:00:00"}),
    "created_at of no calendar": BadSegment("manifest", "created_at", stated={"created_at": "2026-02-30T04:00:00Z"}),
    "created_at null": BadSegment("manifest", "created_at", stated={"created_at": None}),
    "no sha256": BadSegment("manifest", "sha256", stated={"sha256": "x" * 64}),
    "sha256 in capitals": BadSegment("manifest", "sha256", stated={"sha256": "A" * 64}),
    "of another stream": BadSegment("folder", "states face_visits/", stated={"stream": "face_visits"}),
    "of no stream": BadSegment("folder", "states a\0b/", stated={"stream": "a\0b"}),
    "of another date": BadSegment("folder", "states orders/event_date=2026-01-06", stated={"event_date": "2026-01-06"}),
    "of no date": BadSegment("manifest", "event_date", stated={"event_date": "2026-13-45"}),
    "of another gateway": BadSegment("folder", "lies at orders/", stated={"gateway_id": "other"}),
    "a gateway with a slash": BadSegment("manifest", "gateway_id", stated={"gateway_id": "../../x"}),
    "another last number": BadSegment("folder", "lies at orders/", stated={"last_seq": 2}),
    # the manifest as a file
    "manifest of zero bytes": BadSegment("manifest", "Invalid JSON: EOF", manifest=lambda _: b""),
    "manifest cut short": BadSegment("manifest", "Invalid JSON: EOF", manifest=lambda t: t[:-1]),
    "manifest no UTF-8": BadSegment("manifest", "Invalid JSON", manifest=lambda _: b"\xff\xfe"),
    "manifest with half a character": BadSegment("manifest", "Invalid JSON", manifest=lambda t: t.replace(b'"orders"', b'"\\ud800"')),
    "manifest a list": BadSegment("manifest", "Input should be an object", manifest=lambda _: b"[]"),
    "manifest nested deeply": BadSegment("manifest", "recursion limit", manifest=lambda _: _DEEP),
    "manifest nested deeply where nobody looks": BadSegment("manifest", "recursion limit", manifest=lambda t: t[:-1] + b', "x": ' + _DEEP + b"}"),
    "manifest with more than is known": BadSegment(None, stated={"more": {"x": [1]}}),
    "manifest of 5 MB": BadSegment(None, stated={"more": "x" * 5_000_000}),
    "manifest a folder": BadSegment("manifest", "Is a directory", place=Path.mkdir),
    "manifest a link to nowhere": BadSegment("manifest", "No such file", place=lambda p: p.symlink_to("/nowhere/at/all")),
    # the name
    "name in another script": BadSegment("manifest", "gateway_id", stated={"gateway_id": "门"}, name="门-b-1-1"),
    "name of quotes and line ends": BadSegment("folder", "lies at", name="it's\n\"x\"; DROP TABLE orders; ---b-1-1"),
    "name of nothing but the suffix": BadSegment("folder", "lies at", name="x"),
    "name with leading zeros": BadSegment("folder", "lies at", name=f"{GATEWAY}-zeros-001-001", stated={"boot_id": "zeros"}),
}  # fmt: skip


@dataclass(frozen=True)
class Ground:
    """A landing of good and bad side by side, computed."""

    home: Home
    segments: dict[str, str]
    lines: dict[str, int]


# Lines ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BadLine:
    """A line beside good ones. `reason` None: it is clean."""

    reason: str | None
    words: str = ""
    stream: str = "orders"
    changes: dict[str, Any] = field(default_factory=dict)
    edit: Callable[[bytes], bytes] = lambda text: text

    def text(self, seq: int) -> bytes:
        return self.edit(line(self.stream, **{"boot_id": "bad", "seq": seq, **self.changes}))


def _as(name: str, value: Any, reason: str | None, words: str = "", stream: str = "orders") -> BadLine:
    return BadLine(reason, words or (f"{name}: " if reason == "malformed" else ""), stream, {name: value})


def _raw(name: str, text: bytes, reason: str | None, words: str = "", stream: str = "orders") -> BadLine:
    """A value that Python's json would not write."""
    return BadLine(reason, words, stream, {name: "@"}, lambda record: record.replace(b'"@"', text))


def _sized(size: int) -> Callable[[bytes], bytes]:
    return lambda text: text[:-1] + b', "x": "' + b"x" * (size - len(text) - len(b', "x": ""')) + b'"}'


def _more(text: bytes) -> Callable[[bytes], bytes]:
    return lambda record: record[:-1] + b', "more": ' + text + b"}"


LINES: dict[str, BadLine] = {
    # no record
    "no JSON": BadLine("malformed", "Invalid JSON", edit=lambda _: b"no JSON"),
    "a list": BadLine("malformed", "should be an object", edit=lambda t: b"[" + t + b"]"),
    "a number": BadLine("malformed", "should be an object", edit=lambda _: b"1"),
    "null": BadLine("malformed", "should be an object", edit=lambda _: b"null"),
    "nothing in it": BadLine("malformed", "missing (and", edit=lambda _: b"{}"),
    "a blank": BadLine("malformed", "Invalid JSON", edit=lambda _: b" "),
    "NUL bytes": BadLine("malformed", "Invalid JSON", edit=lambda _: b"\0" * 100),
    "a NUL byte after it": BadLine("malformed", "trailing", edit=lambda t: t + b"\0"),
    "two in one": BadLine("malformed", "trailing", edit=lambda t: t + t),
    "cut short": BadLine("malformed", "EOF", edit=lambda t: t[:-5]),
    "byte order mark": BadLine("malformed", "Invalid JSON", edit=lambda t: b"\xef\xbb\xbf" + t),
    "carriage return after it": BadLine(None, edit=lambda t: t + b"\r"),
    "record of another stream": BadLine("malformed", "order_id: missing", edit=lambda _: line("face_visits")),
    # bytes
    "no UTF-8": BadLine("malformed", "unicode", changes={"category_id": "@@"}, edit=lambda t: t.replace(b"@@", b"\xff\xfe")),
    "a surrogate as UTF-8": BadLine("malformed", "unicode", changes={"category_id": "@@"}, edit=lambda t: t.replace(b"@@", b"\xed\xa0\x80")),
    "no UTF-8 where nobody looks": BadLine("malformed", "unicode", edit=_more(b'"\xff"')),
    "no UTF-8 beside an empty user": BadLine("malformed", "", changes={"user_id": ""}, edit=_more(b'"\xff"')),
    "half a character": _raw("category_id", rb'"\ud800"', "malformed", "hex escape"),
    "a character of two halves": _raw("category_id", rb'"\ud83d\ude00"', None),
    "u0000 in a text": _raw("category_id", rb'"a\u0000b"', None),
    "a text of u0000 only": _raw("order_id", rb'"\u0000"', None),
    # size and depth
    "65,536 bytes": BadLine(None, edit=_sized(65_536)),
    "65,537 bytes": BadLine("malformed", "65537 bytes; at most 65536", edit=_sized(65_537)),
    "65,537 bytes of a known field": BadLine("malformed", "at most 65536", changes={"category_id": "c" * 65_200}, edit=lambda t: t.replace(b"ccc", b"c" * (3 + 65_537 - len(t)), 1)),
    "50 MB": BadLine("malformed", "50000000 bytes; at most 65536", edit=_sized(50_000_000)),
    "nested deeply": BadLine("malformed", "recursion limit", edit=lambda _: b"[" * 60_000),
    "nested deeply where nobody looks": BadLine("malformed", "recursion limit", edit=_more(b"[" * 20_000 + b"]" * 20_000)),
    "nested somewhat where nobody looks": BadLine(None, edit=_more(b"[" * 100 + b"]" * 100)),
    "nested somewhat beside an empty user": BadLine(None, changes={"user_id": ""}, edit=_more(b"[" * 100 + b"]" * 100)),
    "5,000 digits where nobody looks": BadLine("malformed", "out of range", edit=_more(b"9" * 5000)),
    "5,000 digits beside an empty user": BadLine("malformed", "out of range", changes={"user_id": ""}, edit=_more(b"9" * 5000)),
    # types
    "number as text": _as("quantity", "1", "malformed"),
    "number as fraction": _as("quantity", 1.0, "malformed"),
    "number as truth": _as("quantity", True, "malformed"),
    "amount as number": _as("amount", 10, "malformed"),
    "text as number": _as("order_id", 5, "malformed"),
    "required null": _as("quantity", None, "malformed"),
    "required empty": _as("order_id", "", "malformed"),
    "optional empty": _as("user_id", "", None),
    "the last of two counts": BadLine("malformed", "seq", edit=lambda t: t[:-1] + b', "seq": "5"}'),
    "seq as text": _as("seq", "5", "malformed"),
    "seq 2^63": _as("seq", 2**63, "malformed"),
    "seq 10^30": _as("seq", 10**30, "malformed"),
    "seq of 5,000 digits": _raw("seq", b"9" * 5000, "malformed", "out of range"),
    "seq 2^63-1": _as("seq", 2**63 - 1, None),
    "seq -2^63": _as("seq", -(2**63), None),
    # numbers
    "quantity 0": _as("quantity", 0, "out_of_range"),
    "quantity 2^63-1": _as("quantity", 2**63 - 1, None),
    "largest amount": BadLine(None, changes={"amount": "9999999999999999.99", "status": "cancelled"}),
    "negative amount": _as("amount", "-9999999999999999.99", "out_of_range"),
    "amount of 17 digits": _as("amount", "99999999999999999", "malformed"),
    "amount of three decimals": _as("amount", "1.005", "malformed"),
    "amount in other digits": _as("amount", "١", "malformed"),
    "amount with line end": _as("amount", "1\n", "malformed"),
    "amount with exponent": _as("amount", "1e5", "malformed"),
    "amount NaN": _as("amount", "NaN", "malformed"),
    "count below 0": _as("in_count", -1, "out_of_range", stream="boundary_counts"),
    "total below its count": _as("in_total", 0, "out_of_range", stream="boundary_counts"),
    "count 2^63": _as("in_count", 2**63, "malformed", stream="boundary_counts"),
    "propensity 1e-400": _raw("propensity", b"1e-400", "out_of_range", stream="assignments"),
    "propensity 1e-320": _raw("propensity", b"1e-320", None, stream="assignments"),
    "propensity 1e400": _raw("propensity", b"1e400", "malformed", "propensity: ", "assignments"),
    "propensity of 400 digits": _raw("propensity", b"1" + b"0" * 400, "malformed", "propensity: ", "assignments"),
    "propensity NaN": _raw("propensity", b"NaN", "malformed", "propensity: ", "assignments"),
    "propensity 0": _as("propensity", 0, "out_of_range", stream="assignments"),
    "propensity 1": _as("propensity", 1, None, stream="assignments"),
    "propensity as text": _as("propensity", "0.5", "malformed", stream="assignments"),
    # time
    "in the future": _as("ordered_at", "2099-01-01T00:00:00Z", "wrong_event_date"),
    "year 1": _as("ordered_at", "0001-01-01T00:00:00Z", "wrong_event_date"),
    "year 9999": _as("ordered_at", "9999-12-31T23:59:59.999999Z", "wrong_event_date"),
    "year 0": _as("ordered_at", "0000-01-01T00:00:00Z", "malformed"),
    "30 February": _as("ordered_at", "2026-02-30T00:00:00Z", "malformed"),
    "24:00": _as("ordered_at", "2026-01-05T24:00:00Z", "malformed"),
    "second 60": _as("ordered_at", "2026-01-05T11:59:60Z", "malformed"),
    "no offset": _as("ordered_at", "2026-01-05T12:00:00", "malformed"),
    "offset of a day": _as("ordered_at", "2026-01-05T12:00:00+24:00", "malformed"),
    "time as number": _as("ordered_at", 1767610800, "malformed"),
    "ends before it begins": _as("interval_end", "0001-01-01T00:00:00Z", "out_of_range", stream="boundary_counts"),
    "ends in 9999": _as("interval_end", "9999-12-31T00:00:00Z", None, stream="boundary_counts"),
    # names
    "id of 300 characters": _as("order_id", "x" * 300, None),
    "id of quotes, line ends and SQL": _as("order_id", "'); DROP TABLE orders; --\n\t\"\\", None),
    "category in another script": _as("category_id", "分类 \u202e", None),
    "device of SQL": _as("device_id", "' OR true --", "unknown_device"),
    "venue of SQL": _as("venue_id", "' OR true --", "unknown_venue"),
    "another currency": _as("currency", "CNY", "out_of_range"),
    "gateway with a blank": _as("gateway_id", "a b", "malformed"),
    "boot with a line end": _as("boot_id", "bad\n", "malformed"),
}  # fmt: skip


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Every bad segment and line at once, beside good ones, computed once."""
    root = tmp_path_factory.mktemp("ground")
    shutil.copyfile(REPOSITORY / "data" / "site.toml", root / "site.toml")
    home = Home(root)
    land_good(home)
    segments = {name: bad.write(home, f"s{n}") for n, (name, bad) in enumerate(SEGMENTS.items())}
    numbers: dict[str, int] = {}
    for stream in STREAMS:
        own = {name: bad for name, bad in LINES.items() if bad.stream == stream}
        numbers |= {name: n for n, name in enumerate(own, start=1)}
        if own:
            land(home, stream, [bad.text(n) for n, bad in enumerate(own.values(), start=1)], boot_id="bad")
    at = folder(home.landing, "orders", DAY)
    # What a killed writer leaves behind, and what never was a segment.
    for left in (
        f".{GATEWAY}-x-1-1{MANIFEST_SUFFIX}.77.part",
        f".{GATEWAY}-x-1-1{SEGMENT_SUFFIX}.77.part",
        "README",
        "x.json",
    ):
        (at / left).write_bytes(b"rubbish")
    (at / f"{GATEWAY}-lonely-1-1{SEGMENT_SUFFIX}").write_bytes(b"a segment without manifest does not exist")
    (home.landing / "README").write_bytes(b"rubbish")
    (home.landing / f"a-b-1-1{MANIFEST_SUFFIX}").write_bytes(b"{}")
    for stray in (
        "orders/event_date=2026-13-45",
        "orders/event_date=garbage",
        "orders/event_date=",
        "no_stream/event_date=2026-01-05",
    ):
        (home.landing / stray).mkdir(parents=True)
        (home.landing / stray / f"a-b-1-1{MANIFEST_SUFFIX}").write_bytes(b"{}")
    compute(home, DAY)
    return Ground(home, segments, numbers)


def test_good_is_processed_and_nothing_is_lost(ground: Ground) -> None:
    good_is_processed(ground.home)
    conserved(ground.home)
    assert scan(ground.home.landing).dates() == [DAY]


@pytest.mark.parametrize("name", SEGMENTS)
def test_segment(ground: Ground, name: str) -> None:
    bad, segment = SEGMENTS[name], ground.segments[name]
    refused = {row["segment"]: row for row in rows(ground.home, "refused_segments", DAY)}
    landed = {row["segment"]: row for row in rows(ground.home, "landed_segments", DAY)}
    assert segment in landed
    if bad.reason is None:
        assert segment not in refused
        return
    row = refused[segment]
    assert (row["stream"], row["reason"]) == ("orders", bad.reason)
    assert bad.words in str(row["detail"])
    assert str(row["remedy"]).split()[0] in ("ship", "write", "move")
    assert landed[segment]["rows"] == 0


def test_nothing_is_refused_but_what_has_to_be(ground: Ground) -> None:
    bad = {ground.segments[name] for name, case in SEGMENTS.items() if case.reason}
    assert {row["segment"] for row in rows(ground.home, "refused_segments", DAY)} == bad


@pytest.mark.parametrize("name", LINES)
def test_line(ground: Ground, name: str) -> None:
    bad, number = LINES[name], ground.lines[name]
    (row,) = (
        row
        for row in rows(ground.home, f"raw_{bad.stream}", DAY)
        if str(row["segment"]).startswith(f"{GATEWAY}-bad-") and row["line"] == number
    )
    assert row["reason"] == bad.reason
    quarantined = [
        q
        for q in rows(ground.home, "quarantine", DAY)
        if (q["stream"], q["segment"], q["line"]) == (bad.stream, row["segment"], number)
    ]
    if bad.reason is None:
        assert not quarantined
        return
    (found,) = quarantined
    text = bad.text(number)
    assert (found["text_bytes"], found["text_sha256"]) == (len(text), hashlib.sha256(text).hexdigest())
    assert found["text"] == text[:4096].decode("utf-8", "replace")
    assert (found["problem"] is not None) == (bad.reason == "malformed")
    assert bad.words in str(found["problem"])


def test_sql_in_ids_stays_text(ground: Ground) -> None:
    ids = {row["order_id"] for row in rows(ground.home, "order_lines", DAY)}
    assert "'); DROP TABLE orders; --\n\t\"\\" in ids
    assert "\0" in ids


# The landing changes while a date is computed -------------------------------------------------------------------------


def _remove_segment(at: Path) -> None:
    next(at.glob("*-late-*" + SEGMENT_SUFFIX)).unlink()


def _remove_manifest(at: Path) -> None:
    next(at.glob("*-late-*" + MANIFEST_SUFFIX)).unlink()


def _cut_short(at: Path) -> None:
    segment = next(at.glob("*-late-*" + SEGMENT_SUFFIX))
    segment.write_bytes(segment.read_bytes()[:-3])


@pytest.mark.parametrize(
    ("change", "reasons", "orders"),
    [(_remove_segment, ["missing"], 1), (_remove_manifest, [], 1), (_cut_short, ["hash"], 1), (shutil.rmtree, [], 0)],
    ids=["segment gone", "manifest gone", "segment cut short", "folder gone"],
)
def test_landing_changes_between_scan_and_read(
    home: Home, change: Callable[[Path], None], reasons: list[str], orders: int
) -> None:
    land_good(home)
    land(home, "orders", [line("orders", boot_id="late")], boot_id="late")
    with duckdb.connect() as con:
        engine = Engine(home, catalogue(), con, scan(home.landing))
        change(folder(home.landing, "orders", DAY))
        for table in catalogue():
            engine.compute(table, DAY)
    assert [row["reason"] for row in rows(home, "refused_segments", DAY)] == reasons
    assert len(rows(home, "orders", DAY)) == orders
    conserved(home)
    compute(home, DAY)
    conserved(home)
    assert Freshness(home, catalogue(), scan(home.landing)).state(catalogue()["raw_orders"], DAY).condition == "fresh"


# The lake -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 20], ids=["empty", "magic only", "rubbish"])
@pytest.mark.parametrize("table", ["raw_orders", "orders", "venue_figures"])
def test_partition_that_cannot_be_read_is_missing_and_computed_again(home: Home, table: str, content: bytes) -> None:
    land_good(home)
    some = [*list(catalogue().lake_inputs(catalogue()[table])), table]
    compute(home, DAY)
    path = Lake(home.lake).path(table, DAY)
    whole = path.read_bytes()
    path.write_bytes(content)
    state = Freshness(home, catalogue(), scan(home.landing)).state(catalogue()[table], DAY)
    assert (state.condition, table in state.why) == ("missing", True)
    compute(home, DAY, tables=some)
    assert path.read_bytes() == whole


def test_what_a_killed_process_left_in_the_lake_is_passed_over(home: Home) -> None:
    land_good(home)
    at = Lake(home.lake).path("orders", DAY).parent
    at.mkdir(parents=True)
    (at / ".part-0.parquet.4711").write_bytes(b"half a partition")
    (at / ".failure.json.4711.part").write_bytes(b"{")
    (home.lake / "orders" / "event_date=garbage").mkdir()
    (home.lake / "orders" / ".DS_Store").write_bytes(b"")
    compute(home, DAY)
    good_is_processed(home)
    assert Lake(home.lake).dates("orders") == [DAY]


# The site file --------------------------------------------------------------------------------------------------------

SITE = (REPOSITORY / "data" / "site.toml").read_text()
_ZONE, _OPENED, _ENTRANCE = 'time_zone = "Asia/Shanghai"', "opened_on = 2026-01-01", 'stream = "entrance_counts"'


def _instead(old: str, new: str) -> str:
    assert old in SITE
    return SITE.replace(old, new, 1)


MISTAKES: dict[str, tuple[str, list[str]]] = {
    "zone unknown": (_instead(_ZONE, 'time_zone = "Asia/Shangai"'), ["venues[1].time_zone: 'Asia/Shangai' is given; an IANA time zone such as Europe/Berlin is expected"]),
    "zone empty": (_instead(_ZONE, 'time_zone = ""'), ["venues[1].time_zone: '' is given; an IANA"]),
    "zone a folder": (_instead(_ZONE, 'time_zone = "Europe"'), ["venues[1].time_zone: 'Europe' is given; an IANA"]),
    "zone a path": (_instead(_ZONE, 'time_zone = "../../etc/passwd"'), ["venues[1].time_zone: "]),
    "zone with NUL": (_instead(_ZONE, 'time_zone = "\\u0000"'), ["venues[1].time_zone: "]),
    "zone a number": (_instead(_ZONE, "time_zone = 8"), ["venues[1].time_zone: 8 is given; input should be a valid string"]),
    "zone missing": (_instead(_ZONE + "\n", ""), ["venues[1].time_zone: missing; it is required"]),
    "currency": (_instead('"CNY"', '"cny"'), ["venues[1].currency: 'cny' is given; an ISO 4217 code"]),
    "start of day": (_instead('"04:00"', '"4 am"'), ["venues[0].day_starts_at: '4 am' is given; a time of day such as \"04:00\""]),
    "start of day 24:00": (_instead('"04:00"', '"24:00"'), ["venues[0].day_starts_at: '24:00' is given"]),
    "opened on no date": (_instead(_OPENED, 'opened_on = "soon"'), ["venues[0].opened_on: 'soon' is given"]),
    "opened at a time": (_instead(_OPENED, "opened_on = 2026-01-01T10:00:00"), ["venues[0].opened_on: "]),
    "opened true": (_instead(_OPENED, "opened_on = true"), ["venues[0].opened_on: True is given"]),
    "id empty": (_instead('id = "riverside"', 'id = ""'), ["venues[0].id: '' is given"]),
    "key unknown": (_instead(_ZONE, _ZONE + '\ncolour = "red"'), ["venues[1].colour: is not known here"]),
    "part unknown": (SITE + "\n[[visitors]]\nid = 1\n", ["visitors: is not known here"]),
    "identity": (_instead('"shared"', '"both"'), ["identity: 'both' is given; input should be 'shared' or 'linked'"]),
    "stream": (_instead(_ENTRANCE, 'stream = "entrance"'), ["devices[2].stream: 'entrance' is given; input should be 'boundary_counts'"]),
    "gateway": (_instead('"sim_riverside"', '"sim-riverside"'), ["devices[0].gateway_id: 'sim-riverside' is given; letters, digits"]),
    "position of one": (_instead("[52.5206, 13.4098]", "[52.5206]"), ["devices[0].position: [52.5206] is given"]),
    "share above 1": (_instead(_ENTRANCE, _ENTRANCE + '\ncounting = "passages"\nin_share = 50'), ["devices[2].in_share: 50 is given"]),
    "share no number": (_instead(_ENTRANCE, _ENTRANCE + '\ncounting = "passages"\nin_share = nan'), ["devices[2].in_share: nan is given"]),
    "share of directions": (_instead(_ENTRANCE, _ENTRANCE + "\nin_share = 0.5"), ["devices[2].in_share: 0.5 is given; it belongs to"]),
    "passages at the boundary": (_instead('"boundary_counts"', '"boundary_counts"\ncounting = "passages"'), ["devices[0].counting: 'passages' is given"]),
    "venue twice": (SITE.replace('"harbour"', '"riverside"').replace('"terminal"', '"t"', 1).replace('"till"', '"u"', 1).replace('"gateway"', '"v"', 1).replace("2026-01-12", "2026-01-19"), ["venues[1].id: 'riverside' is given twice"]),
    "device twice": (_instead('"boundary_south"', '"boundary_north"'), ["devices[1].id: 'riverside/boundary_north' is given twice"]),
    "venue unknown": (_instead('venue_id = "riverside"', 'venue_id = "nowhere"'), ["devices[0].venue_id: 'nowhere' is given; one of ['harbour', 'riverside']"]),
    "activities overlap": (SITE + '\n[[activities]]\nid = "x"\nname = "X"\nvenue_id = "riverside"\nfirst_date = 2026-01-18\nlast_date = 2026-01-19\n', ["activities[2]: overlaps activities[0] (winter_fair)"]),
    "activity ends first": (_instead("last_date = 2026-01-18", "last_date = 2026-01-08"), ["activities[0].last_date: 2026-01-08 is given; 2026-01-09 or later"]),
    "activity none": (_instead('"winter_fair"', '"none"'), ["activities[0].id: 'none' is given"]),
    "radius 0": (_instead("radius_m = 150", "radius_m = 0"), ["activities[0].radius_m: 0 is given"]),
    "no venues": ("venues = []", ["venues: [] is given"]),
    "venues no list": ("venues = 5", ["venues: 5 is given"]),
    "venue no table": ('venues = [1, "a"]', ["venues[0]: 1 is given", "venues[1]: 'a' is given"]),
    "empty": ("", ["venues: missing; it is required"]),
    "several at once": (
        SITE.replace(_ZONE, 'time_zone = "x"').replace('"EUR"', '"euro"').replace('"sim_riverside"', '"a b"', 1),
        ["venues[0].currency: 'euro' is given", "venues[1].time_zone: 'x' is given", "devices[0].gateway_id: 'a b' is given"],
    ),
    "several that contradict": (
        SITE.replace('"winter_fair"', '"none"').replace('venue_id = "riverside"', 'venue_id = "x"', 1).replace("last_date = 2026-01-25", "last_date = 2026-01-02"),
        ["devices[0].venue_id: 'x' is given", "activities[0].id: 'none' is given", "activities[1].last_date: 2026-01-02 is given"],
    ),
}  # fmt: skip

NO_TOML: dict[str, bytes] = {
    "no TOML": b"venues = many",
    "no UTF-8": b"\xff\xfe",
    "byte order mark": b"\xef\xbb\xbf" + SITE.encode(),
    "NUL": b'identity = "\0"',
    "key twice": b'identity = "shared"\nidentity = "shared"',
    "no date": b"x = 2026-13-45",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_site_mistakes(tmp_path: Path, name: str) -> None:
    text, expected = MISTAKES[name]
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(SiteError) as refused:
        load_site(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
    assert len(refused.value.mistakes) == len(expected), refused.value.mistakes
    for found, beginning in zip(refused.value.mistakes, expected, strict=True):
        assert found.startswith(beginning)


@pytest.mark.parametrize("name", NO_TOML)
def test_site_that_is_no_toml(tmp_path: Path, name: str) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(NO_TOML[name])
    with pytest.raises(SiteError, match="not valid TOML") as refused:
        load_site(path)
    assert os.fspath(path) in str(refused.value)
