"""Lines that are read by the block say what the reference parser says of each, and of no line more than it allows."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_collector.contract import STREAMS, Column, canonical, canonical_pattern, columns, parse
from edge_collector.segment import numbered_lines
from tests.conftest import compute, upstream
from venue_assets.home import Home
from venue_assets.lake import alike as module
from venue_assets.lake.alike import alike, row_schema
from venue_assets.lake.lines import Lines
from venue_assets.lake.store import Lake
from venue_assets.simulate import Options, simulate

SHAPES: dict[str, list[Any]] = {
    "VARCHAR": ["k1_0a.b", "x", "Grüße"],
    "BIGINT": [0, 7, -1, -10, 42, 2**31, 10**17, -(10**18), 2**63 - 1],
    "TIMESTAMP": [
        "2026-01-31T23:59:59.999Z",
        "2026-12-09T00:00:00Z",
        "2024-02-29T12:00:00.5Z",
        "2026-03-01T00:30:00.123456+23:59",
        "1000-01-01T00:00:00.000-23:59",
    ],
    "DECIMAL(18,2)": ["0", "-0.00", "12.5", "007.25", "9" * 16 + ".99", "-" + "9" * 16],
    "DOUBLE": [0, 1, 0.5, 0.123456789012345, 1.5, 1e-7],
}
"""Values of each kind, of as many shapes as the contract allows."""

ODD = b'0123456789-+:.,"\\ TZz_{}\n\x00\x7f\xc3\xff'


@pytest.fixture(autouse=True)
def two_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEWEST", 2)


def record(stream: str, data: st.DataObject) -> dict[str, Any]:
    drawn = {}
    for column in columns(stream):
        values: list[Any] = list(SHAPES[column.type])
        if column.repeats:
            values = ["g1", "b_2"] if column.name.endswith("_id") else _words(column)
        drawn[column.name] = data.draw(st.sampled_from(values + [None] * column.nullable), label=column.name)
    return drawn


def _words(column: Column) -> list[str]:
    return column.unit.split(" or ")


def said(stream: str, line: bytes) -> dict[str, Any]:
    """What the reference parser says, as the values of the columns."""
    values = parse(stream, line).model_dump()
    for column in columns(stream):
        value = values[column.name]
        if column.type == "TIMESTAMP":
            values[column.name] = datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
        elif column.type == "DECIMAL(18,2)":
            values[column.name] = Decimal(value)
    return values


def found(stream: str, lines: Lines) -> dict[int, dict[str, Any]]:
    """The lines that were found alike, and what they say, by position."""
    rows: dict[int, dict[str, Any]] = {}
    for positions, table in alike(stream, lines):
        assert table.schema == row_schema(stream)
        table.validate(full=True)
        assert len(positions) == len(table)
        assert not rows.keys() & set(positions.tolist()), "a line is in two tables"
        rows |= zip(positions.tolist(), table.to_pylist(), strict=True)
    return rows


@settings(deadline=None)
@given(st.data())
def test_what_is_read_by_the_block_is_what_the_reference_says(data: st.DataObject) -> None:
    """Some bytes of a line are changed in each of the others: in a value, a name or between them."""
    stream = data.draw(st.sampled_from(sorted(STREAMS)))
    line = json.dumps(record(stream, data), separators=(",", ":"), ensure_ascii=False).encode()
    place, byte = st.integers(0, len(line) - 1), st.sampled_from(ODD)
    changes = data.draw(st.lists(st.dictionaries(place, byte, max_size=3), min_size=1, max_size=12))
    changed = [bytes(change.get(at, octet) for at, octet in enumerate(line)) for change in changes]
    lines = Lines.of(b"\n".join([line, line, *changed, line]) + data.draw(st.sampled_from([b"", b"\n"])))
    rows = found(stream, lines)
    for line, values in zip(lines.each(np.array([*rows], dtype=np.int64)), rows.values(), strict=True):
        assert values == said(stream, line)


@settings(deadline=None)
@given(st.data())
def test_lines_that_one_program_wrote_are_found(data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from(sorted(STREAMS)))
    values = record(stream, data)
    counted = [column.name for column in columns(stream) if column.type == "BIGINT"]
    written = [json.dumps(values | dict.fromkeys(counted, n)).encode() for n in range(10, 99)]
    lines = Lines.of(b"\n".join([*(canonical(stream, line).encode() for line in written), b"", b"another"]))
    if re.search(canonical_pattern(stream, ascii_only=True), lines.text()[0].removesuffix("\n")):
        assert found(stream, lines).keys() == set(range(len(written)))


def test_bad_lines_at_the_beginning_do_not_hide_the_good_ones() -> None:
    good = canonical("identity_links", json.dumps(_link()).encode()).encode()
    bad = good.replace(b'"clock"', b'"clack"')
    lines = Lines.of(b"\n".join([*[bad] * 20, *[good] * 20, b""]))
    assert set(found("identity_links", lines)) >= set(range(20, 39))


def _link() -> dict[str, Any]:
    names = {"gateway_id": "g", "boot_id": "b", "seq": 1, "venue_id": "v", "device_id": "d", "clock": "synced"}
    told = {"terminal_user_id": "t", "member_user_id": "m", "action": "link"}
    return {**names, **told, "recorded_at": "2026-01-05T10:00:00.123Z"}


@pytest.mark.parametrize("fewest", [2, 10**9])
def test_a_date_is_the_same_however_its_lines_are_read(
    home: Home, monkeypatch: pytest.MonkeyPatch, fewest: int
) -> None:
    """By the block or line by line: the same rows, in the same order, as the same bytes."""
    options = Options(date(2026, 1, 5), days=1, visits=150)
    simulate(home.site, home.landing, options)
    contents = []
    for few in (fewest, 64):
        monkeypatch.setattr(module, "_FEWEST", few)
        compute(home, options.dates[0], tables=upstream(*(f"raw_{stream}" for stream in STREAMS)))
        made = [Lake(home.lake).provenance(f"raw_{stream}", options.dates[0]) for stream in STREAMS]
        contents.append([provenance and provenance.content for provenance in made])
    assert contents[0] == contents[1]
    assert None not in contents[0]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=6).map(lambda line: line.replace(b"\r", b"\n")), max_size=8), st.data())
def test_lines_are_the_non_empty_ones(contents: list[bytes], data: st.DataObject) -> None:
    expected = [numbered for content in contents for numbered in numbered_lines(content)]
    lines = Lines.joined([Lines.of(content) for content in contents]) if contents else Lines.of(b"")
    everywhere = np.arange(len(lines))
    assert list(zip(lines.numbers.tolist(), lines.each(everywhere), strict=True)) == expected
    chosen = data.draw(st.lists(st.sampled_from(everywhere.tolist()), unique=True).map(sorted)) if len(lines) else []
    taken = lines.take(np.array(chosen, dtype=np.int64))
    assert [line and line.rstrip("\n").encode() for line in taken.text().to_list()] == [
        line if _is_utf8(line) else None for line in (expected[at][1] for at in chosen)
    ]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
