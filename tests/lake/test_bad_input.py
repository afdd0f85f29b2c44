"""What bad input gets: refused or quarantined with a sentence that says what was given and what is expected.

All bad segments and lines lie beside good ones in one landing that is computed once; each case then looks at what
became of it. Nothing crashes, nothing is lost, and what is good is processed.
"""

# ruff: noqa: E501  (tables read better with one case per line)

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edge_collector.contract import STREAMS
from edge_collector.segment import MANIFEST_SUFFIX, SEGMENT_SUFFIX, folder
from tests.conftest import REPOSITORY, compute, rows
from tests.lake.bad_input import (
    DAY,
    GATEWAY,
    JUDGED,
    BadSegment,
    conserved,
    good_is_processed,
    land,
    land_good,
    line,
    pack,
)
from venue_assets.home import Home
from venue_assets.lake.landing_index import scan

# Segments and manifests -----------------------------------------------------------------------------------------------


def _altered(packed: bytes) -> bytes:
    return packed[:12] + bytes([packed[12] ^ 1]) + packed[13:]


def _numbered(boot_id: str, seq_ranges: list[list[int]], words: str = "") -> BadSegment:
    """A segment of the numbers 1 to 4 whose manifest states these ranges; without `words` it is accepted."""
    stated = {"boot_id": boot_id, "last_seq": 4, "seq_ranges": seq_ranges}
    return BadSegment("manifest" if words else None, words, stated=stated, name=f"{GATEWAY}-{boot_id}-1-4")


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
    "seq_ranges of 50,000 pairs": BadSegment(None, stated={"boot_id": "pairs", "last_seq": 99_999, "seq_ranges": [[2 * n + 1, 2 * n + 1] for n in range(50_000)]}, name=f"{GATEWAY}-pairs-1-99999"),
    "seq_ranges beyond last_seq": BadSegment("manifest", "seq_ranges: [1, 2] is given; ascending ranges within 1 to 1 without overlap are expected", stated={"seq_ranges": [[1, 2]]}),
    "seq_ranges below first_seq": BadSegment("manifest", "seq_ranges: [0, 1] is given", stated={"seq_ranges": [[0, 1]]}),
    "seq_ranges twice the same": BadSegment("manifest", "seq_ranges: [1, 1] is given", stated={"seq_ranges": [[1, 1], [1, 1]]}),
    "seq_ranges that descend": _numbered("descend", [[3, 4], [1, 2]], "seq_ranges: [1, 2] is given; ascending ranges within 1 to 4"),
    "seq_ranges that overlap": _numbered("overlap", [[1, 3], [3, 4]], "seq_ranges: [3, 4] is given"),
    "seq_ranges that end before they begin": _numbered("reverse", [[4, 1]], "seq_ranges: [4, 1] is given"),
    "seq_ranges that touch": _numbered("touch", [[1, 2], [3, 4]]),
    "seq_ranges without end": BadSegment("manifest", "seq_ranges: [1, 1000000000000000000000000000000] is given", stated={"seq_ranges": [[1, 10**30]]}),
    "no seq_ranges": BadSegment(None, stated={"seq_ranges": []}),
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
    "NaN where nobody looks": BadLine("malformed", "Invalid JSON: expected value at line 1 column 371; NaN and Infinity are no JSON numbers", edit=_more(b"NaN")),
    "Infinity where nobody looks": BadLine("malformed", "NaN and Infinity are no JSON numbers", edit=_more(b'{"x": [Infinity]}')),
    "-Infinity beside an empty user": BadLine("malformed", "NaN and Infinity are no JSON numbers", changes={"user_id": ""}, edit=_more(b"-Infinity")),
    "NaN and Infinity as texts": BadLine(None, edit=_more(b'["NaN", "Infinity"]')),
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
    "quantity 0": _as("quantity", 0, "out_of_range", "quantity 0 is given; 1 or more is expected"),
    "quantity 2^63-1": _as("quantity", 2**63 - 1, None),
    "largest amount": BadLine(None, changes={"amount": "9999999999999999.99", "status": "cancelled"}),
    "negative amount": _as("amount", "-9999999999999999.99", "out_of_range", "amount -9999999999999999.99 is given; 0 or more is expected"),
    "amount of 17 digits": _as("amount", "99999999999999999", "malformed"),
    "amount of three decimals": _as("amount", "1.005", "malformed"),
    "amount in other digits": _as("amount", "١", "malformed"),
    "amount with line end": _as("amount", "1\n", "malformed"),
    "amount with exponent": _as("amount", "1e5", "malformed"),
    "amount NaN": _as("amount", "NaN", "malformed"),
    "count below 0": _as("in_count", -1, "out_of_range", "in_count -1 is given; 0 or more is expected", "boundary_counts"),
    "unpaired count below 0": _as("unpaired_count", -1, "out_of_range", "unpaired_count -1 is given; 0 or more", "entrance_counts"),
    "count and total below 0": BadLine("out_of_range", "out_count -2 is given; 0 or more is expected; out_total -3 is given; 0 or more is expected", "entrance_counts", {"out_count": -2, "out_total": -3}),
    "total below its count": _as("in_total", 0, "out_of_range", "in_total 0 is given; 5 or more is expected", "boundary_counts"),
    "count 2^63": _as("in_count", 2**63, "malformed", stream="boundary_counts"),
    "propensity 1e-400": _raw("propensity", b"1e-400", "out_of_range", "propensity 0.0 is given", "assignments"),
    "propensity 1e-320": _raw("propensity", b"1e-320", None, stream="assignments"),
    "propensity 1e400": _raw("propensity", b"1e400", "malformed", "propensity: ", "assignments"),
    "propensity of 400 digits": _raw("propensity", b"1" + b"0" * 400, "malformed", "propensity: ", "assignments"),
    "propensity NaN": _raw("propensity", b"NaN", "malformed", "propensity: ", "assignments"),
    "propensity 0": _as("propensity", 0, "out_of_range", "propensity 0.0 is given; more than 0 and at most 1 is expected", "assignments"),
    "propensity 1": _as("propensity", 1, None, stream="assignments"),
    "propensity as text": _as("propensity", "0.5", "malformed", stream="assignments"),
    # time
    "in the future": _as("ordered_at", "2099-01-01T00:00:00Z", "wrong_event_date", "ordered_at 2099-01-01 00:00:00 UTC lies outside the event date 2026-01-05 of venue riverside; 2026-01-05 03:00:00 to 2026-01-06 03:00:00 UTC is expected"),
    "a visit of the next day": _as("recorded_at", "2026-01-06T03:00:00Z", "wrong_event_date", "recorded_at 2026-01-06 03:00:00 UTC lies outside the event date 2026-01-05", "face_visits"),
    "counts of the day before": BadLine("wrong_event_date", "interval_start 2026-01-05 02:45:00 UTC lies outside the event date", "boundary_counts", {"interval_start": "2026-01-05T02:45:00Z", "interval_end": "2026-01-05T03:00:00Z"}),
    "year 1": _as("ordered_at", "0001-01-01T00:00:00Z", "wrong_event_date"),
    "year 9999": _as("ordered_at", "9999-12-31T23:59:59.999999Z", "wrong_event_date"),
    "year 0": _as("ordered_at", "0000-01-01T00:00:00Z", "malformed"),
    "30 February": _as("ordered_at", "2026-02-30T00:00:00Z", "malformed"),
    "24:00": _as("ordered_at", "2026-01-05T24:00:00Z", "malformed"),
    "second 60": _as("ordered_at", "2026-01-05T11:59:60Z", "malformed"),
    "no offset": _as("ordered_at", "2026-01-05T12:00:00", "malformed"),
    "offset of a day": _as("ordered_at", "2026-01-05T12:00:00+24:00", "malformed"),
    "time as number": _as("ordered_at", 1767610800, "malformed"),
    "ends before it begins": _as("interval_end", "0001-01-01T00:00:00Z", "out_of_range", "interval_end 0001-01-01 00:00:00 UTC is given; a time after interval_start 2026-01-05 11:00:00 UTC is expected", "boundary_counts"),
    "ends in 9999": _as("interval_end", "9999-12-31T00:00:00Z", None, stream="boundary_counts"),
    # names
    "id of 300 characters": _as("order_id", "x" * 300, None),
    "id of quotes, line ends and SQL": _as("order_id", "'); DROP TABLE orders; --\n\t\"\\", None),
    "category in another script": _as("category_id", "分类 \u202e", None),
    "device of SQL": _as("device_id", "' OR true --", "unknown_device", "device ' OR true -- is not in site.toml for venue riverside, stream orders and gateway sim_riverside"),
    "device of 60,000 characters": _as("device_id", "d" * 60_000, "unknown_device", "device ddd"),
    "device of braces": _as("device_id", "{} {0} %s", "unknown_device", "device {} {0} %s is not in site.toml"),
    "device of another stream": _as("device_id", "terminal", "unknown_device", "device terminal is not in site.toml for venue riverside, stream orders"),
    "venue of SQL": _as("venue_id", "' OR true --", "unknown_venue", "venue ' OR true -- is not in site.toml"),
    "seen before": BadLine("duplicate", f"seq 1 of {GATEWAY}/bad was already seen; once is expected", "face_visits", {"seq": 1}),
    "another currency": _as("currency", "CNY", "out_of_range", "currency CNY is given; EUR, the venue's, is expected"),
    "gateway with a blank": _as("gateway_id", "a b", "malformed"),
    "boot with a line end": _as("boot_id", "bad\n", "malformed"),
}  # fmt: skip


# What becomes of them -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ground:
    """A landing of good and bad side by side, computed."""

    home: Home
    segments: dict[str, str]
    lines: dict[str, int]


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
    assert found["problem"]
    assert len(str(found["problem"])) <= 500
    assert bad.words in str(found["problem"])


def test_sql_in_ids_stays_text(ground: Ground) -> None:
    ids = {row["order_id"] for row in rows(ground.home, "order_lines", DAY)}
    assert "'); DROP TABLE orders; --\n\t\"\\" in ids
    assert "\0" in ids


def test_time_long_after_the_segment_was_sealed(home: Home) -> None:
    land_good(home)
    late = line("orders", boot_id="late", ordered_at="2026-01-05T11:00:00.001Z")
    land(home, "orders", [late], boot_id="late", created_at=datetime(2026, 1, 4, 11, tzinfo=UTC))
    compute(home, DAY, tables=JUDGED)
    (found,) = rows(home, "quarantine", DAY)
    assert found["reason"] == "out_of_range"
    assert found["problem"] == (
        "ordered_at 2026-01-05 11:00:00.001 UTC is given; at most 24 h after the segment was sealed at "
        "2026-01-04 11:00:00 UTC is expected"
    )


def test_site_that_changes_after_a_line_was_judged(home: Home) -> None:
    land_good(home)
    land(home, "orders", [line("orders", boot_id="bad", currency="USD")], boot_id="bad")
    compute(home, DAY, tables=JUDGED)
    site = home.root / "site.toml"
    site.write_text(site.read_text().replace('"EUR"', '"USD"'))
    compute(Home(home.root), DAY, tables=["quarantine"])
    (found,) = rows(home, "quarantine", DAY)
    assert found["problem"] == "site.toml or the landing changed after the line was judged; rerun the date"
