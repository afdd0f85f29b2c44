"""Targets: a folder, an S3-compatible store and the landing service give the same answers and hold the same bytes."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import obstore
import pytest
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

from edge_collector.ship import (
    Confirmed,
    Conflict,
    Denied,
    Refused,
    ShippingProblem,
    TargetError,
    Unreachable,
    target_of,
)
from tests.edge.ship.targets import World, check, expected, in_folder, names, put
from tests.landing.harness import Authority, sealed, serving
from venue_assets.home import Home
from venue_assets.landing.limits import Limits
from venue_assets.landing.tokens import FILE, add_token, remove_gateway

LATER = datetime(2026, 1, 7, tzinfo=UTC)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    import boto3

    for name, value in (
        ("ENDPOINT_URL", s3), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("REGION", "us-east-1"),
        ("ALLOW_HTTP", "true"),
    ):  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    name = f"venue-{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}"
    boto3.client("s3", endpoint_url=s3, region_name="us-east-1").create_bucket(Bucket=name)
    return name


@pytest.fixture(params=["folder", "file address", "s3", "service"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param in ("folder", "file address"):
        root = tmp_path / "my landing #1 100%"
        root.mkdir()
        yield in_folder(root, lambda: target_of(str(root) if request.param == "folder" else root.as_uri()))
    elif request.param == "s3":
        bucket = request.getfixturevalue("bucket")
        store = S3Store.from_url(f"s3://{bucket}/land")

        def objects() -> dict[str, bytes]:
            listed = [meta["path"] for page in obstore.list(store) for meta in page]
            return {path: bytes(obstore.get(store, path).bytes()) for path in listed}

        def spoil(name: str, content: bytes | None) -> None:
            obstore.delete(store, name) if content is None else obstore.put(store, name, content)

        yield World(lambda: target_of(f"s3://{bucket}/land"), objects, spoil)
    else:
        home: Home = request.getfixturevalue("home")
        authority: Authority = request.getfixturevalue("authority")
        token = add_token(home.root / FILE, "gw_1")
        with serving(home, authority) as running:
            make = lambda: target_of(running.address, token=token, ca_file=authority.ca_file)  # noqa: E731
            yield in_folder(home.landing, make)


def test_a_segment_is_put_once_and_the_same_again_is_confirmed(world: World) -> None:
    segments = [sealed(n, stream=stream) for n in (1, 10) for stream in ("orders", "face_visits")]
    check(world.make)
    digests = [hashlib.sha256(s.packed).hexdigest() for s in segments]
    assert put(world.make, *segments) == [Confirmed(digest, new=True) for digest in digests]
    assert put(world.make, *segments) == [Confirmed(digest, new=False) for digest in digests]
    assert world.objects() == expected(*segments)


def test_other_content_is_a_conflict_and_stays(world: World) -> None:
    segment = sealed()
    put(world.make, segment)
    for other in (sealed(text="other"), sealed(created_at=LATER)):
        (problem,) = put(world.make, other)
        assert isinstance(problem, Conflict)
        assert segment.name in str(problem)
    assert world.objects() == expected(segment)


@pytest.mark.parametrize("lost", [0, 1])
def test_half_of_an_earlier_try_is_completed(world: World, lost: int) -> None:
    segment = sealed()
    put(world.make, segment)
    world.spoil(names(segment)[lost], None)
    assert put(world.make, segment) == [Confirmed(hashlib.sha256(segment.packed).hexdigest(), new=True)]
    assert world.objects() == expected(segment)


def test_of_two_who_put_different_content_at_once_one_is_told(world: World) -> None:
    contents = [sealed(text=text) for text in "abcd"]
    answers = put(world.make, *contents)
    winners = [s for s, answer in zip(contents, answers, strict=True) if isinstance(answer, Confirmed)]
    assert len(winners) == 1
    assert all(isinstance(answer, Confirmed | Conflict) for answer in answers)
    assert world.objects() == expected(*winners)


def test_an_s3_store_that_is_not_there(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(put(lambda: target_of("s3://no-such-bucket/land"), sealed())[0], Unreachable)
    with pytest.raises(Unreachable, match="404 Not Found"):
        check(lambda: target_of("s3://no-such-bucket/land"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    (problem,) = put(lambda: target_of(f"s3://{bucket}/land"), sealed())
    assert isinstance(problem, Unreachable)
    assert "<?xml" not in str(problem)


class TestTheService:
    def test_what_it_refuses_becomes_the_right_problem(self, home: Home, authority: Authority) -> None:
        token = add_token(home.root / FILE, "gw_1")
        with serving(home, authority, Limits(segment_bytes=1000)) as running:
            make = lambda: target_of(running.address, token=token, ca_file=authority.ca_file)  # noqa: E731
            assert type(put(make, sealed(sha256="0" * 64))[0]) is Refused
            assert type(put(make, sealed(rows=9000))[0]) is Refused  # too large
            assert type(put(make, sealed(gateway="gw_2"))[0]) is Denied
            check(make)
            remove_gateway(home.root / FILE, "gw_1")
            with pytest.raises(Denied, match="token"):
                check(make)
            (problem,) = put(make, sealed())
            assert type(problem) is Denied
            assert token not in str(problem)

    def test_it_is_told_how_long_to_wait(self, home: Home, authority: Authority) -> None:
        token = add_token(home.root / FILE, "gw_1")
        with serving(home, authority, Limits(requests_per_second=0.05)) as running:
            make = lambda: target_of(running.address, token=token, ca_file=authority.ca_file)  # noqa: E731
            (problem,) = put(make, sealed())
            assert isinstance(problem, Unreachable)
            assert problem.retry_after is not None
            assert 10 <= problem.retry_after <= 20

    def test_a_certificate_of_nobody_known_is_not_trusted(self, home: Home, authority: Authority) -> None:
        token = add_token(home.root / FILE, "gw_1")
        with serving(home, authority) as running:
            (problem,) = put(lambda: target_of(running.address, token=token), sealed())
        assert isinstance(problem, Unreachable)
        assert "certificate" in str(problem).lower()
        assert not home.landing.exists()

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"no http at all\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n[]",
            b"HTTP/1.1 201 Created\r\nContent-Length: 9000\r\n\r\n" + b"[" * 9000,
            b"HTTP/1.1 503 Busy\r\nContent-Length: 9000\r\n\r\n" + b"[" * 9000,
        ],
    )
    def test_whatever_else_answers_confirms_nothing(self, answer: bytes) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            (problem,) = put(lambda: target_of(address, token="t"), sealed())
            thread.join()
        assert isinstance(problem, Unreachable)


@pytest.mark.parametrize(
    "address",
    ["http://landing.example.org", "ftp://x/y", "s3://", "file://elsewhere/x", "https://x", "gs://bucket", "file://"],
)
def test_what_is_no_target_is_told_at_once(address: str) -> None:
    with pytest.raises(TargetError, match=r"expected|token"):
        target_of(address)


def test_a_token_goes_in_clear_to_this_machine_only(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="https://"):
        target_of("http://192.0.2.1:8300", token="t")
    assert target_of("http://[::1]:8300", token="t")
    with pytest.raises(TargetError, match="certificates"):
        target_of("https://localhost", token="t", ca_file=tmp_path / "absent.pem")
    with pytest.raises(TargetError, match=r"s3://b/p cannot be used: .*absent\.pem: No such file"):
        target_of("s3://b/p", ca_file=tmp_path / "absent.pem")


def test_every_problem_is_one_of_shipping() -> None:
    assert all(issubclass(kind, ShippingProblem) for kind in (Unreachable, Refused, Denied, Conflict))
