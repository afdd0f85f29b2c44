"""Segments: written atomically with the manifest last, verified on reading, refused with a reason and a remedy."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from edge_collector.segment import (
    Refused,
    SegmentName,
    count_rows,
    manifests,
    ranges,
    read_manifest,
    read_segment,
    segment_of,
    write_segment,
)

DAY = date(2026, 1, 5)


def land(landing: Path, lines: list[bytes] | None = None, **changed: Any) -> Path:
    given_ = {
        "stream": "orders", "event_date": DAY, "gateway_id": "g1", "boot_id": "b1",
        "lines": lines or [b"{}", b"[]"], "seqs": [3, 4], "created_at": datetime(2026, 1, 6, tzinfo=UTC),
    }  # fmt: skip
    return write_segment(landing, **{**given_, **changed})  # type: ignore[arg-type]


def test_a_reader_gets_what_was_written(tmp_path: Path) -> None:
    path = land(tmp_path)
    assert path == tmp_path / "orders" / "event_date=2026-01-05" / "g1-b1-3-4.manifest.json"
    manifest = read_manifest(path)
    assert (manifest.rows, manifest.seq_ranges, manifest.stream) == (2, [[3, 4]], "orders")
    assert read_segment(segment_of(path), manifest) == b"{}\n[]\n"


def test_writing_again_leaves_the_same_bytes(tmp_path: Path) -> None:
    path = land(tmp_path)
    before = (path.read_bytes(), segment_of(path).read_bytes())
    assert land(tmp_path) == path
    assert (path.read_bytes(), segment_of(path).read_bytes()) == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["g1-b1-3-4.jsonl.zst", "g1-b1-3-4.manifest.json"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda p: segment_of(p).unlink(), "missing"),
        (lambda p: segment_of(p).write_bytes(segment_of(p).read_bytes()[:-1]), "hash"),
        (lambda p: segment_of(p).write_bytes(b""), "hash"),
        (lambda p: _restate(p, rows=3), "row_count"),
        (lambda p: _repack(p, b"no zstd at all"), "undecodable"),
        (lambda p: _repack(p, zstandard.compress(b"{}\n[]\n" * 9)[:-4]), "undecodable"),
        (lambda p: _restate(p, schema=2), "schema"),
        (lambda p: _restate(p, schema=2, rows=None), "schema"),
        (lambda p: _restate(p, schema="1"), "manifest"),
        (lambda p: _restate(p, rows="2"), "manifest"),
        (lambda p: _restate(p, created_at="yesterday"), "manifest"),
        (lambda p: p.write_text("{"), "manifest"),
        (lambda p: _restate(p, event_date="2026-01-06"), "folder"),
        (lambda p: _restate(p, stream="face_visits"), "folder"),
        (lambda p: _restate(p, last_seq=5), "folder"),
    ],
)
def test_what_does_not_hold_is_refused_with_a_remedy(tmp_path: Path, spoil: Any, reason: str) -> None:
    path = land(tmp_path)
    spoil(path)
    with pytest.raises(Refused) as refused:
        read_segment(segment_of(path), read_manifest(path))
    assert refused.value.reason == reason
    assert refused.value.remedy
    assert refused.value.detail


def test_a_few_bytes_that_unpack_to_gigabytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_collector.segment.MAX_SEGMENT_BYTES", 10_000_000)
    path = land(tmp_path)
    _repack(path, zstandard.compress(b"\n" * 50_000_000))
    with pytest.raises(Refused, match="more than 10000000 bytes"):
        read_segment(segment_of(path), read_manifest(path))


def test_manifests_come_in_byte_order_and_segments_without_one_do_not_exist(tmp_path: Path) -> None:
    for first in (9, 10, 100):
        land(tmp_path, seqs=[first])
    land(tmp_path, seqs=[5]).unlink()
    names = [path.name for path in manifests(tmp_path, "orders", DAY)]
    assert names == ["g1-b1-10-10.manifest.json", "g1-b1-100-100.manifest.json", "g1-b1-9-9.manifest.json"]
    assert manifests(tmp_path, "face_visits", DAY) == []


@pytest.mark.parametrize("changed", [{"stream": "nonsense"}, {"gateway_id": "a-b"}, {"boot_id": "../x"}, {"seqs": []}])
def test_a_segment_that_has_no_place_is_not_written(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|at least"):
        land(tmp_path, **changed)
    assert list(tmp_path.rglob("*.zst")) == []


@given(st.sets(st.integers(0, 60)))
def test_ranges_hold_exactly_the_numbers(numbers: set[int]) -> None:
    found = ranges(numbers)
    assert [n for first, last in found for n in range(first, last + 1)] == sorted(numbers)
    assert all(b > a + 1 for (_, a), (b, _) in pairwise(found))


@given(
    st.from_regex(r"\A[A-Za-z0-9_.]{1,8}\Z"), st.from_regex(r"\A[A-Za-z0-9_.]{1,8}\Z"), st.integers(0), st.integers(0)
)
def test_a_name_tells_its_parts(gateway: str, boot: str, first: int, last: int) -> None:
    name = SegmentName(gateway, boot, first, last)
    assert SegmentName.parse(str(name)) == name


def test_rows_are_the_non_empty_lines() -> None:
    assert count_rows(b"a\n\n\nb\n \nc") == 4


def _restate(path: Path, **changed: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def _repack(path: Path, packed: bytes) -> None:
    import hashlib

    segment_of(path).write_bytes(packed)
    _restate(path, sha256=hashlib.sha256(packed).hexdigest())
