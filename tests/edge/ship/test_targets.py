"""Targets: a folder, an S3-compatible store and the landing service give the same answers and hold the same bytes."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import obstore
import pytest
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

from edge_collector.durable import flush_folder, make_folder
from edge_collector.segment import manifests, read_manifest, read_segment, segment_of
from edge_collector.ship import (
    Confirmed,
    Conflict,
    Denied,
    Refused,
    ShippingProblem,
    Target,
    TargetError,
    Unreachable,
    object_store,
    target_of,
)
from tests.landing.harness import DAY, Authority, Sealed, landed, sealed, serving
from venue_assets.home import Home
from venue_assets.landing.limits import Limits
from venue_assets.landing.tokens import FILE, add_token, remove_gateway

Objects = Callable[[], dict[str, bytes]]
LATER = datetime(2026, 1, 7, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """A target, and what lies behind it by place."""

    make: Callable[[], Target]
    objects: Objects
    spoil: Callable[[str, bytes | None], None]
    """Put other content at a name, or take it away."""


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


def in_folder(landing: Path, make: Callable[[], Target]) -> World:
    def spoil(name: str, content: bytes | None) -> None:
        (landing / name).unlink() if content is None else (landing / name).write_bytes(content)

    return World(make, lambda: {str(p.relative_to(landing)): c for p, c in landed(landing).items()}, spoil)


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


def put(make: Callable[[], Target], *segments: Sealed) -> list[Any]:
    """What the target answers to each, a problem included."""

    async def ask() -> list[Any]:
        target = make()
        try:
            return await asyncio.gather(*map(target.put, segments), return_exceptions=True)
        finally:
            await target.close()

    return asyncio.run(ask())


def check(make: Callable[[], Target]) -> None:
    async def ask() -> None:
        target = make()
        try:
            await target.check()
        finally:
            await target.close()

    asyncio.run(ask())


def names(segment: Sealed) -> tuple[str, str]:
    return f"{segment.place}.jsonl.zst", f"{segment.place}.manifest.json"


def expected(*segments: Sealed) -> dict[str, bytes]:
    return {
        name: content
        for segment in segments
        for name, content in zip(names(segment), (segment.packed, segment.manifest), strict=True)
    }


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


def test_a_folder_holds_what_readers_of_the_landing_take(tmp_path: Path) -> None:
    put(lambda: target_of(str(tmp_path)), sealed(), sealed(10))
    found = manifests(tmp_path, "orders", DAY)
    assert [read_segment(segment_of(path), read_manifest(path)).count(b"\n") for path in found] == [3, 3]


def test_what_a_kill_left_in_a_folder_disturbs_nobody(tmp_path: Path) -> None:
    segment = sealed()
    folder = tmp_path / "orders" / f"event_date={DAY}"
    folder.mkdir(parents=True)
    for name in names(segment):
        (folder / f".{Path(name).name}.0a1b2c3d.part").write_bytes(b"half")
    assert manifests(tmp_path, "orders", DAY) == []
    assert put(lambda: target_of(str(tmp_path)), segment)[0].new
    assert [path.name for path in manifests(tmp_path, "orders", DAY)] == [f"{segment.name}.manifest.json"]


def test_a_share_that_is_not_mounted_is_not_made_on_the_card(tmp_path: Path) -> None:
    absent = tmp_path / "mnt" / "landing"
    (problem,) = put(lambda: target_of(str(absent)), sealed())
    assert isinstance(problem, Unreachable)
    assert "mount" in str(problem)
    with pytest.raises(Unreachable):
        check(lambda: target_of(str(absent)))
    assert not absent.parent.exists()


def test_with_a_mount_point_nothing_is_written_while_nothing_is_mounted_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where somebody has made the folder on the card."""
    folder = tmp_path / "share" / "landing"
    folder.mkdir(parents=True)
    target = lambda: target_of(str(folder), mount_point=folder.parent)  # noqa: E731
    (problem,) = put(target, sealed())
    assert isinstance(problem, Unreachable)
    assert str(problem) == f"nothing is mounted at {folder.parent}; mount the share that {folder} is on"
    with pytest.raises(Unreachable):
        check(target)
    assert list(folder.iterdir()) == []
    monkeypatch.setattr(Path, "is_mount", lambda path: path == folder.parent)
    assert put(target, sealed())[0].new


@pytest.mark.parametrize("comes_back", [False, True])
def test_what_was_written_on_the_card_when_the_share_went_is_not_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    """It went after it had been looked for and before it was written to; perhaps it is there again at the end."""
    share, card = tmp_path / "share", tmp_path / "card"
    (share / "landing").mkdir(parents=True)
    (card / "landing").mkdir(parents=True)
    point = tmp_path / "point"
    point.symlink_to(share)
    mounted = [True]

    def mount(folder: Path) -> None:
        point.unlink()
        point.symlink_to(folder)
        mounted[0] = folder == share

    def and_it_goes(path: Path) -> None:
        mount(card)
        make_folder(path)

    def and_it_comes_back(path: Path) -> None:
        flush_folder(path)
        mount(share)

    monkeypatch.setattr(Path, "is_mount", lambda path: path == point and mounted[0])
    target = lambda: target_of(str(point / "landing"), mount_point=point)  # noqa: E731
    with monkeypatch.context() as once:
        once.setattr(object_store, "make_folder", and_it_goes)
        once.setattr(Path, "is_mount", lambda path: path == point)  # as was seen a moment ago
        if comes_back:
            once.setattr(object_store, "flush_folder", and_it_comes_back)
        else:
            once.setattr(object_store, "flush_folder", lambda _: once.setattr(Path, "is_mount", lambda _: False))
        (problem,) = put(target, sealed())
        assert isinstance(problem, Unreachable), problem
    assert landed(share / "landing") == {}
    mount(share)
    assert put(target, sealed())[0].new
    assert landed(share / "landing").values()


@pytest.mark.parametrize("where", ["is_dir", "is_mount"])
def test_a_share_that_hangs_holds_up_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    come_back, asked, folder = threading.Event(), threading.Event(), tmp_path / "landing"
    folder.mkdir()
    is_dir = Path.is_dir

    def hang(path: Path) -> bool:
        if path != folder:
            return is_dir(path)
        asked.set()
        return come_back.wait(5)

    monkeypatch.setattr(Path, "is_mount", lambda path: path == folder)
    monkeypatch.setattr(Path, where, hang)
    target = target_of(str(folder), mount_point=folder)

    async def main() -> None:
        under_way = [asyncio.ensure_future(target.put(sealed())), asyncio.ensure_future(target.check())]
        async with asyncio.timeout(10):
            while not asked.is_set():
                await asyncio.sleep(0.01)
            assert not any(task.done() for task in under_way)
            under_way[0].cancel()
            await asyncio.wait(under_way[:1])
            come_back.set()
            await under_way[1]

    asyncio.run(main())


def test_a_file_system_without_links_does_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    world = in_folder(tmp_path, lambda: target_of(str(tmp_path)))
    assert [answer.new for answer in put(world.make, sealed()) + put(world.make, sealed())] == [True, False]
    assert isinstance(put(world.make, sealed(text="other"))[0], Conflict)
    assert world.objects() == expected(sealed())


def test_a_full_disk_is_no_reason_to_forget_a_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge_collector.durable.os.fsync", full)
    (problem,) = put(lambda: target_of(str(tmp_path)), sealed())
    assert isinstance(problem, Unreachable)
    assert "No space left" in str(problem)
    assert landed(tmp_path) == {}


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
