"""Which segments are refused for which reason, and what is read from the others; worked out by hand from the design."""

from hashlib import sha256

import pytest

from tests.oracle.hand_made import DAY, good


@pytest.mark.parametrize(
    ("damages", "reason"),
    [
        (("manifest_json",), "manifest"),
        (("manifest_no_rows",), "manifest"),
        (("manifest_rows_text",), "manifest"),
        (("manifest_rows_float",), "manifest"),
        (("manifest_schema_text",), "manifest"),
        (("manifest_no_date",), "manifest"),
        (("manifest_no_instant",), "manifest"),
        (("manifest_ranges_twice",), "manifest"),
        (("schema",), "schema"),
        (("folder_stream",), "folder"),
        (("folder_date",), "folder"),
        (("folder_gateway",), "folder"),
        (("folder_boot",), "folder"),
        (("folder_seq",), "folder"),
        (("missing",), "missing"),
        (("hash",), "hash"),
        (("undecodable",), "undecodable"),
        (("truncated",), "undecodable"),
        (("row_count",), "row_count"),
        # The first that applies.
        (("manifest_no_rows", "schema"), "schema"),
        (("schema", "folder_date"), "schema"),
        (("folder_date", "missing"), "folder"),
        (("manifest_ranges_twice", "folder_date"), "folder"),
        (("manifest_ranges_twice", "missing"), "manifest"),
        (("missing", "hash"), "missing"),
        (("hash", "undecodable"), "hash"),
        (("truncated", "row_count"), "undecodable"),
    ],
)
def test_refused_whole(landing, damages, reason):
    name = landing.put("face_visits", {}, damages=damages)
    kept = landing.put("face_visits", {"direction": "leave"})
    oracle = landing.compute()
    assert oracle.refused == [(name, reason)]
    assert oracle.landed["face_visits"] == 1
    assert [row["segment"] for row in oracle.clean["face_visits"]] == [kept]
    assert oracle.quarantine == []


def test_a_segment_without_manifest_does_not_exist(landing):
    landing.put("face_visits", {}, damages=("no_manifest",))
    oracle = landing.compute()
    assert (oracle.landed["face_visits"], oracle.refused, oracle.primary_metrics) == (0, [], [])


@pytest.mark.parametrize("packing", ["plain", "no_content_size", "checksum", "two_frames"])
def test_packings(landing, packing):
    landing.put("face_visits", {}, {}, packing=packing)
    assert landing.compute().landed["face_visits"] == 2


def test_empty_lines_are_no_rows_but_are_counted_in_the_numbering(landing):
    lines = [b"", good(seq=1), b"\n\nbad \xff", good(seq=2), b""]
    name = landing.put("face_visits", *lines)
    oracle = landing.compute()
    assert oracle.landed["face_visits"] == 3
    assert [row["line"] for row in oracle.clean["face_visits"]] == [2, 6]
    assert oracle.quarantine == [
        {
            "stream": "face_visits",
            "event_date": DAY,
            "reason": "malformed",
            "segment": name,
            "line": 5,
            "text": "bad \ufffd",
            "length": 5,
            "sha256": sha256(b"bad \xff").hexdigest(),
        }
    ]


def test_quarantine_keeps_the_first_4_kib(landing):
    landing.put("face_visits", b"x" * 70000)
    (row,) = landing.compute().quarantine
    assert (len(row["text"]), row["length"]) == (4096, 70000)
