"""Signed manifests: what is signed is what lies in the file, to the last field; and files that are whole or absent."""

from __future__ import annotations

import json
import os
import stat
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_collector.durable import create_atomically, make_folder, staged, write_atomically
from edge_collector.key_file import KeyProblem
from edge_collector.segment import (
    Manifest,
    Refused,
    pack_segment,
    parse_manifest,
    read_manifest,
    segment_of,
    unpacked_lines,
    verify_segment,
    write_segment,
)
from edge_collector.signing import (
    KEY_VARIABLE,
    BadSignature,
    load_signing_key,
    public_key_of,
    public_key_text,
    signed_manifest,
    verify_manifest,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def packed(**changed: object) -> tuple[Manifest, bytes]:
    given = {
        "stream": "orders", "event_date": date(2026, 1, 5), "gateway_id": "g1", "boot_id": "b1",
        "lines": [b"{}", b"[]"], "seqs": [3, 4], "created_at": datetime(2026, 1, 6, tzinfo=UTC),
    }  # fmt: skip
    return pack_segment(**{**given, **changed})  # type: ignore[arg-type]


def test_what_is_packed_is_what_is_written(tmp_path: Path) -> None:
    manifest, content = packed()
    path = write_segment(
        tmp_path, stream="orders", event_date=date(2026, 1, 5), gateway_id="g1", boot_id="b1", lines=[b"{}", b"[]"],
        seqs=[3, 4], created_at=datetime(2026, 1, 6, tzinfo=UTC),
    )  # fmt: skip
    assert (path.read_bytes(), segment_of(path).read_bytes()) == (manifest.to_bytes(), content)
    assert parse_manifest(manifest.to_bytes(), ("orders", "event_date=2026-01-05", path.name)) == read_manifest(path)


@pytest.mark.parametrize("lines", [[], [b"{}"], [b"{}", b'{"a":1}'] * 5000, [b"x" * 300_000, b"y"]])
def test_verifying_counts_rows_as_reading_does(lines: list[bytes]) -> None:
    manifest, content = packed(lines=lines)
    verify_segment(content, manifest)
    assert [line[:65_537] for line in unpacked_lines(content)] == [line[:65_537] for line in lines]
    with pytest.raises(Refused, match="row_count"):
        verify_segment(content, manifest.model_copy(update={"rows": len(lines) + 1}))
    with pytest.raises(Refused, match="hash"):
        verify_segment(content + b"x", manifest)


def test_a_signed_manifest_is_verified_by_its_public_key_alone() -> None:
    manifest = signed_manifest(packed()[0], KEY)
    verify_manifest(manifest.to_bytes(), public_key_of(public_key_text(KEY)))
    assert signed_manifest(manifest, KEY) == manifest
    # White space and the order of fields are nobody's.
    shuffled = dict(reversed(json.loads(manifest.to_bytes()).items()))
    verify_manifest(json.dumps(shuffled).encode(), KEY.public_key())
    with pytest.raises(BadSignature, match="not of this manifest and key"):
        verify_manifest(manifest.to_bytes(), Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize("field", [name for name in json.loads(packed()[0].to_bytes()) if name != "signature"])
def test_no_field_can_be_changed_dropped_or_repeated(field: str) -> None:
    content = signed_manifest(packed()[0], KEY).to_bytes()
    document = json.loads(content)
    dropped = {name: value for name, value in document.items() if name != field}
    changed = document | {field: "something else"}
    repeated = b"{" + json.dumps({field: document[field]}).encode()[1:-1] + b"," + content.strip()[1:]
    for wrong in (json.dumps(dropped).encode(), json.dumps(changed).encode(), repeated):
        with pytest.raises(BadSignature):
            verify_manifest(wrong, KEY.public_key())


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"{}", b'{"signature":null}', b'{"signature":"x"}', b'{"signature":"","rows":1e400}',
     b'{"signature":"","rows":99999999999999999999}', b"[" * 100_000, b'{"signature":"","a":"\\ud800"}', b"\xff"],
)  # fmt: skip
def test_whatever_else_is_no_signed_manifest(content: bytes) -> None:
    with pytest.raises(BadSignature):
        verify_manifest(content, KEY.public_key())


def test_a_key_comes_from_the_environment_or_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "signing.key"
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(KeyProblem, match="no signing key"):
        load_signing_key(file)
    made = load_signing_key(file, make=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert public_key_text(load_signing_key(file)) == public_key_text(made)
    file.chmod(0o644)
    with pytest.raises(KeyProblem, match="chmod 600"):
        load_signing_key(file)
    monkeypatch.setenv(KEY_VARIABLE, KEY.private_bytes_raw().hex())
    assert public_key_text(load_signing_key(file)) == public_key_text(KEY)
    monkeypatch.setenv(KEY_VARIABLE, "secret but no key")
    with pytest.raises(KeyProblem) as wrong:
        load_signing_key(file)
    assert "secret but" not in str(wrong.value)


def test_of_many_who_create_one_file_one_does(tmp_path: Path) -> None:
    path, start, created = tmp_path / "x", threading.Barrier(8), []

    def create(n: int) -> None:
        start.wait()
        created.append((n, create_atomically(path, b"%d" % n * 1000)))

    threads = [threading.Thread(target=create, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [n for n, first in created if first]
    assert path.read_bytes() == b"%d" % winner * 1000
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_nothing_is_left_where_something_fails(tmp_path: Path) -> None:
    with staged({tmp_path / "a": b"1", tmp_path / "b": b"2"}) as parts:
        assert all(part.name.startswith(".") and part.name.endswith(".part") for part in parts.values())
        assert sorted(tmp_path.iterdir()) == sorted(parts.values())
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_with_all_that_is_above_them(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_a_secret_file_is_never_readable_by_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_atomically(tmp_path / "secret", b"x", mode=0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
