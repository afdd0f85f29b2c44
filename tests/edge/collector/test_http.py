"""Over HTTP: what is answered with 200 lands, once; what is not taken is said and counted; strangers get nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_collector.collector import Collector
from edge_collector.readings import AnyReading
from edge_collector.signing import verify_manifest
from edge_collector.sources import http
from tests.edge.collector.box import Box, device

Post = Callable[..., Awaitable[httpx.Response]]
NOW = datetime.now(UTC).isoformat(timespec="seconds")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path).write(
        device("entrance", "http")
        + device("terminal", "zkteco", serial="ZK1")
        + device("till", "http")
        + device("desk", "http", token_file="desk.token")
        + device("gateway", "gateway"),
    )


def run(box: Box, talk: Callable[[Collector, httpx.AsyncClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with box.running() as collector:
            assert collector.http_listener is not None
            port = collector.http_listener.getsockname()[1]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                await talk(collector, client)

    box.secret("desk.token", "open sesame")
    asyncio.run(main())


def order(n: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"8812/{n}", "order_id": "8812", "order_no": n, "member_number": "13085", "ordered_at": NOW,
        "category_id": "coffee", "quantity": 2, "amount": "7.60", "currency": "EUR", "status": "completed",
    } | more  # fmt: skip


def test_orders_land_once_however_often_they_are_sent(box: Box) -> None:
    async def talk(_: Collector, client: httpx.AsyncClient) -> None:
        for _ in range(3):
            answer = await client.post("/readings/riverside/till", json={"orders": [order(1), order(2)]})
            assert answer.status_code == 200, answer.text
        assert answer.json()["repeated"] == 2

    run(box, talk)
    landed = box.landed("orders")
    assert [(r["order_id"], r["order_no"], r["amount"]) for r in landed] == [("8812", 1, "7.60"), ("8812", 2, "7.60")]
    assert all(r["user_id"].startswith("k1:") for r in landed)
    assert "13085" not in str(landed)


def test_a_bad_entry_is_told_and_the_good_ones_stay(box: Box) -> None:
    async def talk(_: Collector, client: httpx.AsyncClient) -> None:
        answer = await client.post("/readings/riverside/till", json={"orders": [order(1), order(2, quantity="2")]})
        assert answer.status_code == 200
        assert answer.json()["written"] == 1
        assert answer.json()["refused"] == {"bad_entry": 1}
        assert "orders[1]" in answer.json()["problems"][0]
        answer = await client.post("/readings/riverside/till", content=b"\xff not json")
        assert answer.status_code == 422

    run(box, talk)
    assert len(box.landed("orders")) == 1
    told = [(e["subject"], e["value"], e["detail"]) for e in box.landed("gateway_events") if e["kind"] == "refused"]
    assert told == [("bad_entry", 1, "http"), ("broken", 1, "http")]


def test_a_terminal_posts_its_log(box: Box) -> None:
    async def talk(_: Collector, client: httpx.AsyncClient) -> None:
        hello = await client.get("/iclock/cdata", params={"SN": "ZK1", "options": "all"})
        assert hello.text.startswith("GET OPTION FROM: ZK1")
        local = datetime.now().astimezone(UTC)
        line = f"13085\t{local:%Y-%m-%d %H:%M:%S}\t0\t15\t0\n13085\t{local:%Y-%m-%d %H:%M:%S}\t1\t15\t0\n"
        for _ in range(2):
            answer = await client.post("/iclock/cdata", params={"SN": "ZK1", "table": "ATTLOG"}, content=line.encode())
            assert answer.text == "OK: 2"
        photo = await client.post("/iclock/cdata", params={"SN": "ZK1", "table": "ATTPHOTO"}, content=b"\xff\xd8" * 99)
        assert photo.status_code == 200

    run(box, talk)
    assert [r["direction"] for r in box.landed("face_visits")] == ["enter", "leave"]
    (refused,) = (e for e in box.landed("gateway_events") if e["subject"] == "biometric")
    assert refused["value"] >= 1


LONG = {
    "plain": ("/readings/riverside/till", b'{"orders": [' + b"{}," * 30_000 + b"{}]}"),
    "zkteco": ("/iclock/cdata?SN=ZK1&table=ATTLOG", b"nonsense\n" * 10_000),
    "hikvision": ("/hikvision/HK1", b'{"eventType": "' + b"x" * 100_000 + b'"}'),
}


@pytest.mark.parametrize("codec", LONG)
def test_while_a_long_body_is_read_others_are_answered(
    tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = device("till", "http") + device("terminal", "zkteco", serial="ZK1")
    edge = edge if codec != "hikvision" else device("terminal", "hikvision", serial="HK1") + device("till", "http")
    module = getattr(http, codec)
    path, body = LONG[codec]
    reading, answered = threading.Event(), threading.Event()

    def decode(*given: Any, **more: Any) -> list[AnyReading]:
        if body in given:
            reading.set()
            assert answered.wait(10)
        decoded: list[AnyReading] = as_before(*given, **more)
        return decoded

    as_before = module.decode
    monkeypatch.setattr(module, "decode", decode)

    async def talk(_: Collector, client: httpx.AsyncClient) -> None:
        posting = asyncio.ensure_future(client.post(path, content=body))
        await asyncio.to_thread(reading.wait)
        assert (await client.post("/readings/riverside/till", json={"orders": [order(1)]})).status_code == 200
        answered.set()
        assert (await posting).status_code in (200, 422)

    run(Box(tmp_path).write(edge), talk)


def test_a_terminal_is_told_how_far_its_log_is_durable_here_also_after_a_restart(box: Box) -> None:
    """So that it does not send all of it again. What was not kept is not counted as kept."""
    hello = {"SN": "ZK1", "options": "all"}
    log = {"SN": "ZK1", "table": "ATTLOG"}

    def line(second: int) -> bytes:
        return f"13085\t{datetime.now(UTC):%Y-%m-%d %H:%M}:{second:02d}\t0\t15\t0\n".encode()

    async def first(collector: Collector, client: httpx.AsyncClient) -> None:
        assert "\nATTLOGStamp=None\n" in (await client.get("/iclock/cdata", params=hello)).text
        await client.post("/iclock/cdata", params=log | {"Stamp": "821310630"}, content=line(1))
        assert "\nATTLOGStamp=821310630\n" in (await client.get("/iclock/cdata", params=hello)).text
        collector.spool.max_bytes = 0
        answer = await client.post("/iclock/cdata", params=log | {"Stamp": "821310640"}, content=line(2))
        assert answer.status_code == 503
        collector.spool.max_bytes = 10**9
        for other in (
            {"table": "OPERLOG", "Stamp": "9"},
            {"table": "ATTLOG", "Stamp": "1\r\nX: y"},
            {"table": "ATTLOG"},
            {"Stamp": "99999999999999999999"},
            {"Stamp": "4294967296"},
        ):
            (await client.post("/iclock/cdata", params=log | other, content=line(3))).raise_for_status()
        for nothing in (b"", b"\n\n", b"13085\n", line(4).replace(b"\t0\t", b"\t77\t")):
            (
                await client.post("/iclock/cdata", params=log | {"Stamp": "821310650"}, content=nothing)
            ).raise_for_status()
        assert "\nATTLOGStamp=821310630\n" in (await client.get("/iclock/cdata", params=hello)).text

    async def later(_: Collector, client: httpx.AsyncClient) -> None:
        assert "\nATTLOGStamp=821310630\n" in (await client.get("/iclock/cdata", params=hello)).text

    run(box, first)
    run(box, later)


def test_strangers_and_wrong_tokens_get_the_same_answer(box: Box) -> None:
    async def talk(collector: Collector, client: httpx.AsyncClient) -> None:
        link = {"links": [{"id": "1", "terminal_number": "T4", "member_number": "13085", "action": "link"}]}
        answers = [
            await client.post("/readings/riverside/nobody", json=link),
            await client.post("/readings/riverside/desk", json=link),
            await client.post("/readings/riverside/desk", json=link, headers={"Authorization": "Bearer open"}),
            await client.post("/with/open/readings/riverside/desk", json=link),
        ]
        assert {(a.status_code, a.text) for a in answers} == {(401, answers[0].text)}
        assert ("http", "identity_links") not in collector.tally.captured
        good = [
            await client.post("/readings/riverside/desk", json=link, headers={"Authorization": "Bearer open sesame"}),
            await client.post("/readings/riverside/desk", json=link, auth=("desk", "open sesame")),
            await client.post("/with/open sesame/readings/riverside/desk", json=link),
        ]
        assert [a.status_code for a in good] == [200, 200, 200]

    run(box, talk)
    assert len(box.landed("identity_links")) == 1


def test_a_body_that_is_too_long_is_not_read_to_its_end(box: Box) -> None:
    async def talk(_: Collector, client: httpx.AsyncClient) -> None:
        answer = await client.post("/readings/riverside/till", content=b" " * (9 * 1024**2))
        assert answer.status_code == 413

    run(box, talk)


def test_without_room_senders_are_asked_to_come_back(box: Box) -> None:
    async def talk(collector: Collector, client: httpx.AsyncClient) -> None:
        collector.spool.max_bytes = 0
        answer = await client.post("/readings/riverside/till", json={"orders": [order(1)]})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert "spool" in collector.tally.alarms
        collector.spool.max_bytes = 10**9
        answer = await client.post("/readings/riverside/till", json={"orders": [order(1)]})
        assert answer.json()["written"] == 1
        assert "spool" not in collector.tally.alarms

    run(box, talk)
    assert len(box.landed("orders")) == 1


def test_running_totals_become_intervals(box: Box) -> None:
    async def talk(collector: Collector, client: httpx.AsyncClient) -> None:
        for total in (100, 103, 107):
            await client.post("/readings/riverside/entrance", json={"counts": [{"in_total": total, "out_total": 50}]})
        await collector.intake.close_intervals()
        await client.post("/readings/riverside/entrance", json={"counts": [{"in_total": 110, "out_total": 52}]})

    run(box, talk)
    landed = box.landed("entrance_counts")
    assert [(r["in_count"], r["out_count"], r["in_total"]) for r in landed] == [(7, 0, 107), (3, 2, 110)]
    assert landed[0]["interval_end"] == landed[1]["interval_start"]


def test_manifests_bear_the_signature_of_the_key_that_is_in_force_when_they_leave(tmp_path: Path) -> None:
    """What was captured before a change of key goes under the new one."""
    landing = tmp_path / "landing"
    signed = '[landing]\ntarget = "landing"\nsegment_seconds = 10\nsigning_key_file = "signing.key"\n'
    box = Box(tmp_path).write(device("till", "http") + device("gateway", "gateway"))
    edge = (tmp_path / "edge.toml").read_text().replace('[landing]\ntarget = "landing"\nsegment_seconds = 10\n', signed)
    box.secret("edge.toml", edge)

    async def talk(_: Collector, client: httpx.AsyncClient) -> None:
        (await client.post("/readings/riverside/till", json={"orders": [order(1)]})).raise_for_status()

    box.secret("signing.key", "11" * 32)
    landing.rename(tmp_path / "away")  # the uplink is down until the key has been changed
    run(box, talk)
    (tmp_path / "away").rename(landing)
    box.secret("signing.key", "22" * 32)

    async def nothing(_: Collector, __: httpx.AsyncClient) -> None: ...

    run(box, nothing)
    (manifest,) = landing.glob("orders/*/*.manifest.json")
    verify_manifest(manifest.read_bytes(), Ed25519PrivateKey.from_private_bytes(bytes.fromhex("22" * 32)).public_key())


def test_a_stop_in_the_midst_of_a_heartbeat_tells_what_was_left_out_once(box: Box) -> None:
    async def talk(collector: Collector, client: httpx.AsyncClient) -> None:
        await client.post("/readings/riverside/till", json={"orders": [{}, {}, {}]})
        beating = asyncio.create_task(collector.beat())
        while ("http", "bad_entry") not in collector._told_refused and not beating.done():
            await asyncio.sleep(0)
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)

    run(box, talk)
    told = [e["value"] for e in box.landed("gateway_events") if e["subject"] == "bad_entry"]
    assert told == [3]


def test_a_heartbeat_that_is_stopped_and_finds_no_room_is_told_later(box: Box) -> None:
    async def talk(collector: Collector, client: httpx.AsyncClient) -> None:
        collector._started -= 1
        await client.post("/readings/riverside/till", json={"orders": [{}, {}, {}]})
        collector.spool.max_bytes = 0
        go_on = threading.Event()
        beating = asyncio.create_task(collector.beat())
        while ("http", "bad_entry") not in collector._told_refused and not beating.done():
            await asyncio.sleep(0)
        collector.spool._submit(go_on.wait)
        beating.cancel()
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(beating, return_exceptions=True)
        assert beating.cancelled()
        collector.spool.max_bytes = 10**9

    run(box, talk)
    told = [e["value"] for e in box.landed("gateway_events") if e["subject"] == "bad_entry"]
    assert told == [3]
