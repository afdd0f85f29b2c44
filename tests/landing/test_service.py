"""`venue landing` over TLS: what lands, what is the same again, and what is refused with a sentence."""

from __future__ import annotations

import hashlib
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import httpx
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_collector.segment import manifests, read_manifest, read_segment, segment_of
from edge_collector.signing import public_key_text
from tests.landing.conftest import Site
from tests.landing.harness import DAY, Authority, Sealed, landed, put, sealed, serving, with_content
from venue_assets.home import Home
from venue_assets.landing.tokens import FILE, add_token, remove_gateway


def error_of(answer: httpx.Response) -> str:
    return str(answer.json()["error"])


def test_a_segment_lands_once_and_the_same_again_is_good(site: Site) -> None:
    segment = sealed()
    with site.serving.client(site.token) as client:
        first, second = put(client, segment), put(client, segment)
    assert (first.status_code, second.status_code) == (201, 200)
    expected = {"sha256": hashlib.sha256(segment.packed).hexdigest(), "rows": 3}
    assert first.json() == second.json() == expected
    assert landed(site.landing) == segment.files(site.landing)
    (path,) = manifests(site.landing, "orders", DAY)
    assert read_segment(segment_of(path), read_manifest(path)).count(b"\n") == 3


@pytest.mark.parametrize("lost", [0, 1])
def test_what_a_power_cut_took_is_put_back_by_the_same_segment(site: Site, lost: int) -> None:
    segment = sealed()
    with site.serving.client(site.token) as client:
        put(client, segment)
        list(segment.files(site.landing))[lost].unlink()
        assert put(client, segment).status_code == 201
    assert landed(site.landing) == segment.files(site.landing)


def test_other_content_under_a_name_is_never_overwritten(site: Site) -> None:
    segment = sealed()
    with site.serving.client(site.token) as client:
        put(client, segment)
        answer = put(client, sealed(text="other"))
        assert answer.status_code == 409
        assert "not overwritten" in error_of(answer)
        assert put(client, sealed(key=Ed25519PrivateKey.generate())).status_code == 409  # another manifest, same rows
    assert landed(site.landing) == segment.files(site.landing)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic {token}", "Bearer {token}x"])
def test_without_a_valid_token_nothing_is_looked_at(site: Site, authorization: str) -> None:
    with site.serving.client() as client:
        answer = put(client, sealed(), Authorization=authorization.format(token=site.token))
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "venue landing token add" in error_of(answer)
        assert client.get("/allocations/e1").status_code == 401
        assert client.get("/health", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/health").json() == {"status": "ok"}
    assert not site.landing.exists()


def test_a_token_is_good_for_its_own_names_only(site: Site) -> None:
    mine = sealed()
    with site.serving.client(site.token) as client:
        put(client, mine)
    with site.serving.client(site.other_token) as client:
        for segment in (mine, sealed(text="forged"), sealed(first=9)):
            answer = put(client, segment)
            assert answer.status_code == 403
            assert "gw_1" in error_of(answer)
            assert "gw_2" in error_of(answer)
        # Nor by a name of one's own over the manifest of another.
        own = sealed(gateway="gw_2")
        assert put(client, Sealed(1, "orders", str(DAY), own.name, mine.packed, mine.manifest)).status_code == 422
        for method in ("GET", "HEAD", "POST", "DELETE", "PATCH", "OPTIONS"):
            assert client.request(method, f"/landing/{mine.place}").status_code == 405
    assert landed(site.landing) == mine.files(site.landing)


@pytest.mark.parametrize(
    "path",
    [
        "/landing/nonsense/event_date=2026-01-05/gw_1-b1-1-3",
        "/landing/orders/event_date=20260105/gw_1-b1-1-3",
        "/landing/orders/2026-01-05/gw_1-b1-1-3",
        "/landing/orders/event_date=2026-02-30/gw_1-b1-1-3",
        "/landing/orders/event_date=2026-01-05/gw_1-b1-01-3",
        "/landing/orders/event_date=2026-01-05/gw_1-b1-1",
        "/landing/orders/event_date=2026-01-05/gw_1-b1-1-3.jsonl.zst",
        "/landing/orders/event_date=2026-01-05/gw_1-b1-1-99999999999999999999",
        "/landing/orders/event_date=2026-01-05/gw_1-" + "b" * 300 + "-1-3",
        "/landing/orders/event_date=2026-01-05/gw_1-b1-1-3%00",
        "/landing/orders/event_date=2026-01-05/.gw_1-b1-1-3%0a",
        "/landing/orders/event_date=2026-01-06/gw_1-b1-1-3",
        "/landing/face_visits/event_date=2026-01-05/gw_1-b1-1-3",
    ],
)
def test_a_segment_lands_under_the_place_that_its_manifest_states_or_not_at_all(site: Site, path: str) -> None:
    segment = sealed()
    with site.serving.client(site.token) as client:
        headers = {"Manifest-Length": str(len(segment.manifest))}
        answer = client.put(path, content=segment.manifest + segment.packed, headers=headers)
    assert answer.status_code == 422
    assert "expected" in error_of(answer) or "states" in error_of(answer)
    assert not site.landing.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/landing/orders/event_date=2026-01-05/../../../site.toml",
        "/landing/orders/event_date=2026-01-05/..%2f..%2f..%2fgw_1-b1-1-3",
        "/landing/..%2f..%2forders/event_date=2026-01-05/gw_1-b1-1-3",
        "//etc/passwd",
        "/allocations/..%2f..%2fpublic-key.pem",
        "/allocations/../../landing_tokens.toml",
    ],
)
def test_no_path_leads_out_of_the_landing(site: Site, path: str) -> None:
    before = landed(site.serving.home.root)
    segment = sealed()
    with site.serving.client(site.token) as client:
        for method in ("PUT", "GET"):
            # As written: httpx would resolve the dots.
            request = client.build_request(
                method, "/", content=segment.manifest, headers={"Manifest-Length": str(len(segment.manifest))}
            )
            request.url = request.url.copy_with(raw_path=path.encode())
            answer = client.send(request)
            assert answer.status_code in (403, 404, 405, 422)
            assert "error" in answer.json()
    assert landed(site.serving.home.root) == before


@pytest.mark.parametrize(
    ("segment", "why"),
    [
        (with_content(sealed(), sealed().packed[:-1]), "hash"),
        (with_content(sealed(), b""), "hash"),
        (sealed(rows=3, sha256="0" * 64), "hash"),
        (Sealed(1, "orders", str(DAY), "gw_1-b1-1-3", b"", b"{"), "manifest"),
        (Sealed(1, "orders", str(DAY), "gw_1-b1-1-3", b"", b"[" * 100_000), "manifest"),
        (Sealed(1, "orders", str(DAY), "gw_1-b1-1-3", b"", b"\xff\xfe"), "manifest"),
        (Sealed(1, "orders", str(DAY), "gw_1-b1-1-3", b"", b""), "manifest"),
    ],
)
def test_what_is_not_what_it_states_is_refused_and_its_name_stays_free(site: Site, segment: Sealed, why: str) -> None:
    with site.serving.client(site.token) as client:
        answer = put(client, segment)
        assert answer.status_code == 422
        assert error_of(answer).startswith(why)
        assert not site.landing.exists()
        assert put(client, sealed()).status_code == 201


@pytest.mark.parametrize(
    ("packed", "rows", "why"),
    [
        (b"no zstd at all", 3, "undecodable"),
        (zstandard.compress(b"{}\n" * 3)[:-2], 3, "undecodable"),
        (b"", 0, "undecodable"),
        (zstandard.compress(b"{}\n" * 4), 3, "row_count"),
        (zstandard.compress(b"\n" * 50_000_000), 3, "undecodable"),
    ],
    ids=["no zstd", "cut short", "empty", "a row too many", "unpacks to too much"],
)
def test_a_segment_that_cannot_be_read_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, packed: bytes, rows: int, why: str
) -> None:
    monkeypatch.setattr("edge_collector.segment.MAX_SEGMENT_BYTES", 10_000_000)
    segment = with_content(sealed(rows=3, sha256=hashlib.sha256(packed).hexdigest()), packed)
    manifest = json.dumps(json.loads(segment.manifest) | {"rows": rows}).encode()
    with site.serving.client(site.token, timeout=60) as client:
        answer = put(client, Sealed(1, segment.stream, segment.event_date, segment.name, packed, manifest))
    assert answer.status_code == 422
    assert error_of(answer).startswith(why)
    assert not site.landing.exists()


def test_several_frames_and_lines_over_their_borders_are_counted(site: Site) -> None:
    packed = zstandard.compress(b'{"a":1}\n\n{"b"') + zstandard.compress(b":2}\n") + zstandard.compress(b"\n\n{}")
    segment = with_content(sealed(rows=3, sha256=hashlib.sha256(packed).hexdigest()), packed)
    with site.serving.client(site.token) as client:
        assert put(client, segment).status_code == 201


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b'{"gateway_id":"gw_1"}', b'{"gateway_id":"gw_2"}'], 422),
        ([b'{"gateway_id":"gw_1", "gateway\\u005fid" : "gw_2"}'], 422),
        (
            [b'{"gateway_id":"gw_1"}', b"{", b"\xff", b"[" * 9999, b"[1]", b'{"gateway_id":7}', b"x" * 200_000, b"{}"],
            201,
        ),
    ],
    ids=["another's", "another's in disguise", "broken lines are quarantined later"],
)
def test_no_record_goes_under_another_gateways_identity(site: Site, lines: list[bytes], status: int) -> None:
    packed = zstandard.compress(b"\n".join(lines))
    segment = with_content(sealed(sha256=hashlib.sha256(packed).hexdigest()), packed)
    manifest = json.dumps(json.loads(segment.manifest) | {"rows": len(lines)}).encode()
    with site.serving.client(site.token) as client:
        answer = put(client, Sealed(1, segment.stream, segment.event_date, segment.name, packed, manifest))
    assert answer.status_code == status, answer.text


class TestSignatures:
    key = Ed25519PrivateKey.generate()

    @pytest.fixture(autouse=True)
    def _known_key(self, site: Site) -> None:
        self.token = add_token(site.serving.home.root / FILE, "gw_1", public_key_text(self.key))

    def test_what_the_gateway_signed_lands(self, site: Site) -> None:
        with site.serving.client(self.token) as client:
            assert put(client, sealed(key=self.key)).status_code == 201
        with site.serving.client(site.other_token) as client:
            assert put(client, sealed(gateway="gw_2")).status_code == 201  # nothing is known of its key

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda s: sealed(),
            lambda s: sealed(key=Ed25519PrivateKey.generate()),
            lambda s: _edited(s, created_at="2026-01-07T00:00:00Z"),
            lambda s: _edited(s, signature="AAAA"),
            lambda s: _edited(s, signature=7),
            lambda s: _edited(s, unknown_before="x"),
            lambda s: _replaced(s, b'{\n "schema": 1', b'{\n "schema": 1,\n "schema": 1'),
        ],
        ids=["unsigned", "another key", "edited", "no signature", "a number", "a field more", "a field twice"],
    )
    def test_all_else_is_refused(self, site: Site, spoil: Any) -> None:
        with site.serving.client(self.token) as client:
            answer = put(client, spoil(sealed(key=self.key)))
        assert answer.status_code == 422
        assert not site.landing.exists()


def _edited(segment: Sealed, **changed: Any) -> Sealed:
    document = json.loads(segment.manifest) | changed
    return Sealed(1, segment.stream, segment.event_date, segment.name, segment.packed, json.dumps(document).encode())


def _replaced(segment: Sealed, old: bytes, new: bytes) -> Sealed:
    assert old in segment.manifest
    manifest = segment.manifest.replace(old, new)
    return Sealed(1, segment.stream, segment.event_date, segment.name, segment.packed, manifest)


def test_of_many_who_send_one_name_at_once_one_is_first(site: Site) -> None:
    contents = [sealed(text="a"), sealed(text="b")] * 8
    with site.serving.client(site.token) as client, ThreadPoolExecutor(8) as senders:
        statuses = list(senders.map(lambda segment: put(client, segment).status_code, contents))
    assert statuses.count(201) == 1
    winner = contents[statuses.index(201)]
    assert all(status in (200, 201) if segment is winner or segment == winner else status == 409
               for segment, status in zip(contents, statuses, strict=True))  # fmt: skip
    assert landed(site.landing) == winner.files(site.landing)


def test_a_token_that_was_ended_is_good_no_more_and_one_that_is_changed_over_still_is(site: Site) -> None:
    file = site.serving.home.root / FILE
    newer = add_token(file, "gw_1")
    with site.serving.client(site.token) as old, site.serving.client(newer) as new:
        assert put(old, sealed(1)).status_code == put(new, sealed(10)).status_code == 201
        newest = add_token(file, "gw_1")
        assert put(old, sealed(20)).status_code == 401
        assert put(new, sealed(20)).status_code == 201
        assert remove_gateway(file, "gw_1")
        assert put(new, sealed(30)).status_code == 401
    with site.serving.client(newest) as client:
        assert put(client, sealed(30)).status_code == 401


def test_where_tokens_cannot_be_looked_up_nobody_gets_in(site: Site) -> None:
    file = site.serving.home.root / FILE
    with site.serving.client(site.token) as client:
        file.chmod(0o644)
        answer = put(client, sealed())
        assert answer.status_code == 503
        assert str(file) not in answer.text
        file.chmod(0o600)
        assert put(client, sealed()).status_code == 201
        file.write_text("gateways = 3")
        assert put(client, sealed(10)).status_code == 503


def test_no_log_shows_a_secret(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = Ed25519PrivateKey.generate()
    token = add_token(site.serving.home.root / FILE, "gw_1", public_key_text(key))
    with site.serving.client(token) as client:
        put(client, sealed(key=key))
        put(client, sealed())
        put(client, sealed(gateway="gw_9"))
        client.get(f"/landing/{'x' * 40}%0aFORGED LINE")
    with site.serving.client("a-wrong-token") as client:
        put(client, sealed())
    told = "\n".join(f"{record.getMessage()} {record.args}" for record in caplog.records if "venue" in record.name)
    assert "403" in told
    assert "\nFORGED" not in told
    for secret in (token, "a-wrong-token", key.private_bytes_raw().hex()):
        assert secret not in told


def test_a_full_disk_is_the_services_trouble_not_the_segments(
    home: Home, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = add_token(home.root / FILE, "gw_1")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with serving(home, authority) as running, running.client(token) as client:
        with monkeypatch.context() as patched:
            patched.setattr("edge_collector.durable.os.fsync", full)
            answer = put(client, sealed())
            assert answer.status_code == 503
            assert "No space left" in error_of(answer)
        assert put(client, sealed()).status_code == 201
    assert landed(home.landing) == sealed().files(home.landing)


def test_a_date_of_long_ago_is_a_date(site: Site) -> None:
    assert date.fromisoformat("2026-01-05") == DAY
    with site.serving.client(site.token) as client:
        assert client.put("/landing/orders/event_date=0001-01-01/gw_1-b1-1-3").status_code == 422
