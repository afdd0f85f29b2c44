"""Which arm a unit gets: by today's signed shares or the fixed ones, once for ever, and recorded before it is told."""

from __future__ import annotations

import asyncio
import errno
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_collector.allocation import path_of
from edge_collector.assign import Answer, CannotAssign
from edge_collector.assignment import arm_of
from edge_collector.people import load_people
from edge_collector.spool import SpoolFull
from edge_collector.testing.clock import VirtualClock
from tests.edge.allocations import OTHER_KEY, TODAY
from tests.edge.collector.box import Box, device
from tests.edge.collector.desk import ALLOCATED, ASSIGNED, MORNING, Desk, allocate, desk, experiment, experiments


@pytest.fixture
def box(tmp_path: Path) -> Box:
    edge = '\n[pseudonyms]\nopted_out_file = "opted_out.txt"\n' + ASSIGNED + ALLOCATED
    box = Box(tmp_path).write(edge, experiments())
    box.secret("opted_out.txt", "# nobody\n")
    return box


def test_fixed_shares_decide_a_randomised_test(box: Box) -> None:
    with desk(box) as opened:
        answers = [opened.ask("greeting", str(n)) for n in range(400)]
        records = opened.records()
    for answer, record in zip(answers, records, strict=True):
        assert answer.arm == arm_of("greeting", answer.unit_id, 1, ["none", "tea"], [0.3, 0.7])[0]
        assert answer.propensity == {"none": 0.3, "tea": 0.7}[answer.arm]
        assert (record["unit_id"], record["arm"], record["propensity"]) == (
            answer.unit_id,
            answer.arm,
            answer.propensity,
        )
        assert (record["leaf_id"], record["allocation_id"], answer.remark) == (None, None, "")
        assert record["unit_id"].startswith("k1:")
    assert 80 < Counter(a.arm for a in answers)["none"] < 160
    assert opened.tally.captured["assign", "assignments"] == 400


def test_signed_shares_decide_a_bandit(box: Box) -> None:
    allocate(box, leaf_of_user={}, default_leaf=[3, 4])
    with desk(box) as opened:
        answers = [opened.ask("voucher", str(n)) for n in range(100)]
        records = opened.records()
    assert {(r["leaf_id"], r["allocation_id"]) for r in records} == {(3, "a1")}  # 10:00 is not after 10
    assert {(a.arm, a.propensity) for a in answers} == {("none", 0.25), ("tea", 0.75)}
    assert [(a.unit_id, a.arm) for a in answers] == [(r["unit_id"], r["arm"]) for r in records]
    assert {a.remark for a in answers} == {""}


def other_arms(box: Box) -> None:
    shares = {leaf: {"none": 0.25, "coffee": 0.75} for leaf in ("3", "4", "6", "7")}
    allocate(box, arms=["none", "coffee"], shares=shares)


NOT_IN_FORCE = {
    "absent": (lambda box: None, "there is no allocation"),
    "yesterday's": (
        lambda box: allocate(box, day=TODAY - timedelta(days=1)),
        "the allocation is stale: it is for 2026-01-07, today is 2026-01-08",
    ),
    "yesterday's under today's name": (lambda box: allocate(box, event_date="2026-01-07"), "holds voucher on"),
    "another experiment's": (lambda box: allocate(box, experiment_id="greeting"), "holds greeting on"),
    "signed by somebody else": (lambda box: allocate(box, OTHER_KEY), "the signature is not of this content"),
    "altered": (lambda box: _alter(allocate(box)), "the signature is not of this content"),
    "no JSON": (lambda box: allocate(box).write_bytes(b"\xff{"), "this is no signed allocation"),
    "empty": (lambda box: allocate(box).write_bytes(b""), "this is no signed allocation"),
    "unreadable": (
        lambda box: path_of(box.root / "allocations", "voucher", TODAY).mkdir(parents=True),
        "the allocation cannot be read (Is a directory)",
    ),
    "a later schema": (lambda box: allocate(box, schema=2), "this allocation cannot be used: schema"),
    "shares that do not add up": (lambda box: allocate(box, fixed_shares=[0.5, 0.4]), "cannot be used"),
    "other arms": (other_arms, "the allocation is for the arms none, coffee"),
}


def _alter(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"0.75", b"0.74").replace(b"0.25", b"0.26"))


@pytest.mark.parametrize("name", NOT_IN_FORCE)
def test_without_an_allocation_in_force_the_fixed_shares_hold_and_the_record_says_so(box: Box, name: str) -> None:
    prepare, remark = NOT_IN_FORCE[name]
    prepare(box)
    with desk(box) as opened:
        answer = opened.ask("voucher")
        (record,) = opened.records()
    assert remark in answer.remark
    assert answer.propensity == record["propensity"] == 0.5
    assert (record["leaf_id"], record["allocation_id"]) == (None, None) == (answer.leaf_id, answer.allocation_id)


def test_a_gateway_without_allocations_in_edge_toml_has_the_fixed_shares(box: Box) -> None:
    allocate(box)
    with desk(box, allocations=False) as opened:
        assert opened.ask("voucher").remark == "there is no allocation"


def test_a_bad_allocation_is_an_alarm_until_a_good_one_lies_there(box: Box) -> None:
    allocate(box, OTHER_KEY)
    with desk(box) as opened:
        opened.ask("voucher", "1")
        assert "signature" in opened.tally.alarms["allocation voucher"]
        allocate(box)
        assert opened.ask("voucher", "2").allocation_id == "a1"
        assert "allocation voucher" not in opened.tally.alarms


def test_an_allocation_that_cannot_be_read_at_this_moment_holds_as_soon_as_it_can(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    allocate(box)
    with desk(box) as opened:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "read_bytes", fails_with(errno.EMFILE))
            assert "Too many open files" in opened.ask("voucher", "1").remark
        assert "Too many open files" in opened.tally.alarms["allocation voucher"]
        assert opened.ask("voucher", "2").allocation_id == "a1"
        assert opened.tally.alarms == {}


def fails_with(number: int) -> Callable[[Path], bytes]:
    def fail(_: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    return fail


def test_yesterdays_allocation_is_not_used_after_the_day_has_begun(box: Box) -> None:
    allocate(box)
    clock = VirtualClock(datetime(2026, 1, 9, 2, 59, tzinfo=UTC))  # 03:59 in Berlin: still the event date before
    with desk(box, clock) as opened:
        assert opened.ask("voucher", "1").allocation_id == "a1"
        asyncio.run(clock.advance(60))
        assert opened.ask("voucher", "2").remark.startswith("the allocation is stale: it is for 2026-01-08")


def test_a_stale_allocation_is_told_in_record_and_health_until_todays_is_there(box: Box) -> None:
    for days in (3, 2):
        allocate(box, day=TODAY - timedelta(days=days))
    allocate(box, OTHER_KEY, TODAY - timedelta(days=1))  # nobody's
    with desk(box) as opened:
        stale = "the allocation is stale: it is for 2026-01-06, today is 2026-01-08"
        assert opened.ask("voucher", "1").remark == stale
        assert opened.assigner.in_force() == {"voucher": f"{stale}; the fixed shares hold"}
        allocate(box)
        assert opened.ask("voucher", "2").allocation_id == "a1"
        assert opened.assigner.in_force() == {"voucher": "a1 of 2026-01-08"}
        records = opened.records()
    assert [r.get("remark") for r in records] == [stale, None]
    assert (records[0]["propensity"], records[0]["allocation_id"]) == (0.5, None)


# A unit keeps its arm -------------------------------------------------------------------------------------------------


def test_who_asks_again_is_told_the_same_and_recorded_once(box: Box) -> None:
    with desk(box) as opened:
        first = opened.ask("voucher")
        allocate(box, leaf_of_user={}, default_leaf=[3, 4], shares={s: {"none": 1, "tea": 0} for s in "3467"})
        assert [opened.ask("voucher") for _ in range(3)] == [first] * 3
        assert opened.ask("voucher", visit="2").allocation_id == "a1"
        assert len(opened.records()) == 2
        assert opened.tally.captured["assign", "assignments"] == 2
    with desk(box, boot_id="b2") as restarted:
        assert restarted.ask("voucher") == first
        assert restarted.records() == []


def test_twenty_at_the_same_moment_are_told_the_same(box: Box) -> None:
    with desk(box) as opened, ThreadPoolExecutor(20) as threads:
        for member in map(str, range(10)):
            answers = list(threads.map(lambda _, member=member: opened.ask("voucher", member), range(20)))
            assert answers == [answers[0]] * 20
        assert len(opened.records()) == 10


def test_two_at_once_are_told_the_same_also_when_the_shares_change_in_between(box: Box) -> None:
    with desk(box) as opened:
        before = opened.assigner.begin("voucher", member_number="1", visit="1")
        allocate(box)
        after = opened.assigner.begin("voucher", member_number="1", visit="1")
        assert opened.assigner.told(before.result()) == opened.assigner.told(after.result())
        assert len(opened.records()) == 1


def test_the_venue_has_one_arm_a_day(box: Box) -> None:
    clock = VirtualClock(MORNING)
    with desk(box, clock) as opened:
        days = []
        for _ in range(9):
            answers = [opened.ask("music", None, None), opened.ask("music", "13085", None)]
            assert answers[0] == answers[1]
            days.append(answers[0])
            asyncio.run(clock.advance(86_400))
        records = opened.records()
    assert [r["unit_id"] for r in records] == ["riverside"] * 9
    assert [r["arm"] for r in records] == [a.arm for a in days]
    assert {a.arm for a in days} == {"none", "tea"}


def test_members_who_opted_out_take_no_part(box: Box) -> None:
    box.secret("opted_out.txt", "13085\n")
    with desk(box) as opened:
        for name in ("greeting", "voucher"):
            with pytest.raises(CannotAssign, match="opted out"):
                opened.ask(name)
        assert opened.records() == []


@pytest.mark.parametrize(
    ("name", "member", "visit", "expected"),
    [
        ("unknown", "1", "1", "'unknown' is given; one of site.toml is expected: greeting, music, voucher"),
        ("greeting", None, None, "no member is given"),
        ("greeting", "", None, "no member is given"),
        ("voucher", "1", None, "visit None is given"),
        ("voucher", "1", "a/b", "visit 'a/b' is given"),
        ("voucher", "1", "v" * 129, "of at most 128 characters"),
    ],
)
def test_questions_without_an_answer_are_told_why(
    box: Box, name: str, member: str | None, visit: str | None, expected: str
) -> None:
    with desk(box) as opened:
        with pytest.raises(CannotAssign) as raised:
            opened.ask(name, member, visit)
        assert expected in str(raised.value)
        assert opened.records() == []


def test_nobody_is_assigned_before_or_after(box: Box) -> None:
    for at in (MORNING - timedelta(days=1), MORNING + timedelta(days=10)):
        with desk(box, VirtualClock(at)) as opened, pytest.raises(CannotAssign, match="from 2026-01-08 to 2026-01-17"):
            opened.ask("greeting")


def test_before_and_after_assigns_nobody(tmp_path: Path) -> None:
    box = Box(tmp_path).write(
        ASSIGNED, experiment("shelf", "before_after", "venue_day", "gmv", "changed_on = 2026-01-12")
    )
    with desk(box) as opened, pytest.raises(CannotAssign, match="its arm is the date's"):
        opened.ask("shelf")


def test_a_gateway_without_a_device_for_it_says_so(tmp_path: Path) -> None:
    box = Box(tmp_path).write(device("gateway", "gateway"), experiments())
    with desk(box) as opened, pytest.raises(CannotAssign, match="has no device of assignments at riverside"):
        opened.ask("greeting")


def test_without_room_nobody_is_told_anything(box: Box) -> None:
    with desk(box) as opened:
        opened.spool.max_bytes = 0
        with pytest.raises(SpoolFull):
            opened.ask("greeting")
        assert opened.tally.captured["assign", "assignments"] == 0
        opened.spool.max_bytes = 10**8
        assert opened.ask("greeting").arm in ("none", "tea")
        assert len(opened.records()) == 1


# Durable before it is told --------------------------------------------------------------------------------------------


def _answer(root: str, boot_id: str, told: Connection) -> None:
    opened = Desk(Box(Path(root)), VirtualClock(MORNING), boot_id)
    n = 0
    while True:
        told.send((n, opened.ask("voucher", f"{boot_id}{n}").arm))
        n += 1


def test_what_was_told_is_recorded_also_after_a_kill_at_once(box: Box) -> None:
    context = multiprocessing.get_context("spawn")
    told: dict[str, str] = {}
    for boot in range(2):
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_answer, args=(str(box.root), f"b{boot}", there))
        child.start()
        there.close()
        heard: list[tuple[int, str]] = []
        while len(heard) < 7 + boot:
            heard.append(here.recv())
        child.kill()
        child.join()
        told |= {f"b{boot}{n}": arm for n, arm in heard}
    with desk(box, boot_id="after") as opened:
        assert {who: opened.ask("voucher", who).arm for who in told} == told
        people = load_people(box.gateway())
        recorded = Counter((r["unit_id"], r["arm"]) for r in opened.records())
    assert {(f"{people.user_id(who)}/1", arm) for who, arm in told.items()} <= set(recorded)
    assert set(recorded.values()) == {1}


def test_an_answer_is_what_the_spool_keeps(box: Box) -> None:
    with desk(box) as opened:
        answer = opened.ask("greeting")
        kept = opened.spool.assigned("greeting", answer.unit_id)
    assert kept is not None
    assert Answer(**json.loads(kept)) == answer


# Over loopback --------------------------------------------------------------------------------------------------------


def test_screens_ask_over_loopback(tmp_path: Path) -> None:
    today = datetime.now(UTC).date() - timedelta(days=1)
    box = Box(tmp_path).write(ASSIGNED, experiments(today))

    async def main() -> list[httpx.Response]:
        async with box.running() as collector:
            host, port = collector.health_listener.getsockname()[:2]
            assert host == "127.0.0.1"
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                ask: dict[str, Any] = {"experiment_id": "voucher", "member_number": "13085", "visit": "7"}
                answers = [await client.post("/assign", json=ask) for _ in range(2)]
                asked_by_hand = await client.post("/assign", json=ask | {"member_number": " 13085\n"})
                assert asked_by_hand.text == answers[0].text  # as terminals and tills are read: of one person
                many = await asyncio.gather(*(client.post("/assign", json=ask | {"visit": "8"}) for _ in range(20)))
                assert {answer.text for answer in many} == {many[0].text}
                for wrong in (ask | {"experiment_id": "x"}, ask | {"visit": 7}, ask | {"colour": "red"}, [], "x"):
                    answer = await client.post("/assign", json=wrong)
                    assert answer.status_code == 422, answer.text
                    assert "13085" not in answer.text
                assert (await client.post("/assign", content=b'{"experiment_id": "\xff')).status_code == 422
                assert (await client.post("/assign", content=b" " * 5000)).status_code == 413
                assert (await client.get("/assign")).status_code == 405
                collector.spool.max_bytes = 0
                full = await client.post("/assign", json=ask | {"visit": "9"})
                assert (full.status_code, full.headers["Retry-After"]) == (503, "30")
                assert (await client.get("/health")).status_code == 503
                collector.spool.max_bytes = 10**9
                return answers

    first, again = asyncio.run(main())
    assert first.status_code == 200
    assert first.json() == again.json()
    assert first.json()["remark"] == "there is no allocation"
    landed = box.landed("assignments")
    assert len(landed) == 2
    assert {k: landed[0][k] for k in ("unit_id", "arm", "propensity")} == {
        k: first.json()[k] for k in ("unit_id", "arm", "propensity")
    }


def test_an_alarm_that_is_raised_by_asking_is_in_the_answer(tmp_path: Path) -> None:
    first = datetime.now(UTC).date() - timedelta(days=1)
    box = Box(tmp_path).write(ASSIGNED + ALLOCATED, experiments(first))
    for days in range(3):
        allocate(box, OTHER_KEY, first + timedelta(days=days))

    async def main() -> httpx.Response:
        async with box.running() as collector:
            port = collector.health_listener.getsockname()[1]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                return await client.get("/health")

    answer = asyncio.run(main())
    assert "allocation voucher" in answer.json()["alarms"]
    assert (answer.status_code, answer.json()["status"]) == (503, "alarm")
