"""Limits: size, rate, memory, and senders who take their time; over plain sockets where a client is too polite."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.landing.harness import Authority, Sealed, Serving, landed, put, sealed, serving
from venue_assets.home import Home
from venue_assets.landing.limits import Limits, Rates, Room, TooFast
from venue_assets.landing.tokens import FILE, add_token

TIGHT = Limits(segment_bytes=2000, manifest_bytes=1000, pause_in_body=0.3, body=1.0)


@contextmanager
def tight(home: Home, authority: Authority, limits: Limits = TIGHT) -> Iterator[tuple[Serving, str]]:
    token = add_token(home.root / FILE, "gw_1")
    with serving(home, authority, limits) as running:
        yield running, token


def test_what_is_too_large_is_refused_before_it_is_read(home: Home, authority: Authority) -> None:
    with tight(home, authority) as (running, token), running.client(token) as client:
        large = Sealed(1, "orders", "2026-01-05", "gw_1-b1-1-3", b"x" * 5_000_000, sealed().manifest)
        assert put(client, large).status_code == 413
        assert put(client, Sealed(1, "orders", "2026-01-05", "gw_1-b1-1-3", b"", b"x" * 1001)).status_code == 413
        assert put(client, sealed()).status_code == 201
    assert landed(home.landing) == sealed().files(home.landing)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Manifest-Length": "-1"}, 422),
        ({"Manifest-Length": "1e3"}, 422),
        ({"Manifest-Length": "٣"}, 422),
        ({"Manifest-Length": "9" * 30}, 422),
        ({"Manifest-Length": "900"}, 422),
        ({"Manifest-Length": ""}, 422),
    ],
)
def test_lengths_that_are_none(home: Home, authority: Authority, headers: dict[str, str], status: int) -> None:
    with tight(home, authority) as (running, token), running.client(token) as client:
        sent = {name: value.encode() for name, value in headers.items()}
        answer = client.put(f"/landing/{sealed().place}", content=b"{}", headers=sent)  # type: ignore[arg-type]
        assert answer.status_code == status
        assert "expected" in answer.json()["error"]


def test_a_body_of_unknown_length_is_not_read(home: Home, authority: Authority) -> None:
    with tight(home, authority) as (running, token), running.client(token) as client:
        answer = client.put(f"/landing/{sealed().place}", content=iter([b"x"] * 10), headers={"Manifest-Length": "1"})
        assert answer.status_code == 411


@contextmanager
def half_sent(running: Serving, token: str, segment: Sealed, sent: int) -> Iterator[socket.socket]:
    """A connection on which a PUT stops after so many bytes of its body."""
    body = segment.manifest + segment.packed
    head = (
        f"PUT /landing/{segment.place} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Manifest-Length: {len(segment.manifest)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", running.port), timeout=20) as plain,
        running.authority.trusting().wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(head.encode() + body[:sent])
        yield connection


def test_a_body_that_is_cut_off_lands_nothing(home: Home, authority: Authority) -> None:
    with tight(home, authority) as (running, token):
        whole = len(sealed().manifest + sealed().packed)
        for sent in (0, 1, whole - 1):
            with half_sent(running, token, sealed(), sent):
                pass
        assert landed(home.landing) == {}
        with running.client(token) as client:
            assert put(client, sealed()).status_code == 201


def test_a_body_that_stops_coming_is_given_up(home: Home, authority: Authority) -> None:
    with tight(home, authority) as (running, token), half_sent(running, token, sealed(), 10) as connection:
        answer = b"".join(iter(lambda: connection.recv(4096), b""))  # until it is closed
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"10 of" in answer
    assert landed(home.landing) == {}


def test_a_body_that_trickles_is_given_up(home: Home, authority: Authority) -> None:
    limits = Limits(pause_in_body=5, body=0.3)
    with tight(home, authority, limits) as (running, token), half_sent(running, token, sealed(), 10) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")


def test_who_asks_on_without_waiting_for_answers_is_sent_away(home: Home, authority: Authority) -> None:
    """What waits on a connection is in the memory, and nobody has shown a token yet."""
    with (
        tight(home, authority) as (running, _),
        socket.create_connection(("127.0.0.1", running.port), timeout=20) as plain,
        authority.trusting().wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(b"GET /allocations/voucher HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
        assert b"HTTP/1.1 400" in answers
        assert answers.count(b"HTTP/1.1 ") <= 34


def test_one_gateway_that_asks_too_often_does_not_slow_another(home: Home, authority: Authority) -> None:
    other = add_token(home.root / FILE, "gw_2")
    with tight(home, authority, Limits(requests_per_second=2.5)) as (running, token), running.client(token) as client:
        answers = [put(client, sealed()) for _ in range(12)]
        statuses = [answer.status_code for answer in answers]
        assert statuses[:5] == [201, 200, 200, 200, 200]
        assert 429 in statuses
        busy = next(answer for answer in answers if answer.status_code == 429)
        assert busy.headers["Retry-After"] == "1"
        assert "ask again in 1 s" in busy.json()["error"]
        with running.client(other) as second:
            assert put(second, sealed(gateway="gw_2")).status_code == 201


def test_a_bucket_fills_again_at_its_rate() -> None:
    now = 0.0
    rates = Rates(10, lambda: now)
    for _ in range(20):
        rates.take("a")
    with pytest.raises(TooFast):
        rates.take("a")
    rates.take("b")
    now = 0.1
    rates.take("a")
    with pytest.raises(TooFast) as asked:
        rates.take("a")
    assert asked.value.retry_after == 1
    now = 1000
    for _ in range(20):
        rates.take("a")
    with pytest.raises(TooFast):
        rates.take("a")


def test_room_is_given_back_and_one_body_always_fits() -> None:
    room = Room(100)
    with room.hold(60):
        with room.hold(40), pytest.raises(TooFast), room.hold(1):
            pass
        with room.hold(40):
            pass
    with room.hold(1000), pytest.raises(TooFast), room.hold(1):
        pass
    with pytest.raises(RuntimeError), room.hold(100):
        raise RuntimeError
    with room.hold(100):
        pass
