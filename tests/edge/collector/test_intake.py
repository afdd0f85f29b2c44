"""The intake when it is interrupted: what the spool has taken is counted once, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from edge_collector.intake import Intake
from edge_collector.people import load_people
from edge_collector.readings import Totals, Visit
from edge_collector.spool import Entry, Spool, SpoolFull
from edge_collector.spool.seal import SealPolicy, seal
from edge_collector.tally import Tally
from edge_collector.testing.clock import VirtualClock
from tests.edge.collector.box import Box, device
from tests.edge.collector.spooled import AT_ONCE, SITE, lines, stamp, visit

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Bench:
    """An intake over a spool whose writing thread can be held up."""

    def __init__(self, box: Box) -> None:
        gateway, self.clock, self.tally = box.gateway(), VirtualClock(NOW), Tally()
        self.spool = Spool(box.root / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**9)
        self.intake = Intake(gateway, self.spool, load_people(gateway), self.clock, "m1", self.tally)
        self._site = gateway.site

    @contextmanager
    def held_up(self) -> Iterator[Event]:
        go_on = Event()
        self.spool._submit(go_on.wait)
        try:
            yield go_on
        finally:
            go_on.set()

    async def heard(self, total: int) -> None:
        await self.intake.take("http", [Totals(device="riverside/entrance", in_total=total)])

    def counted(self) -> list[int]:
        made = seal(self.spool, self._site, SealPolicy(99, timedelta(0)), self.intake.stamp(), everything=True)
        return [r["in_count"] for s in made if s.stream == "entrance_counts" for r in lines(s)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(Box(tmp_path).write(device("entrance", "http") + device("terminal", "http")))
    yield bench
    bench.spool.close()


@pytest.mark.parametrize("times", [1, 2])
def test_an_interval_that_is_being_written_at_the_end_is_not_counted_again(bench: Bench, times: int) -> None:
    """Also where the part that closes intervals is cancelled twice: by SIGTERM, and because another part fails then."""

    async def main() -> None:
        await bench.heard(100)
        await bench.clock.advance(60)
        await bench.heard(107)
        with bench.held_up() as go_on:
            closing = asyncio.ensure_future(bench.intake.close_intervals())
            await asyncio.sleep(0)
            while not bench.spool._waiting:
                await asyncio.sleep(0)
            for _ in range(times):
                closing.cancel()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            await bench.clock.advance(1)
            again = asyncio.ensure_future(bench.intake.close_intervals())  # as the end does
            await asyncio.sleep(0)
            go_on.set()
            await asyncio.wait([closing, again])
        await bench.clock.advance(1)
        await bench.intake.close_intervals()

    asyncio.run(main())
    assert sum(bench.counted()) == 7


def test_who_goes_while_the_disk_is_slow_holds_up_nobody(bench: Bench) -> None:
    async def main() -> None:
        with bench.held_up() as go_on:
            reading = Visit(device="riverside/terminal", key="1", member_number="1", direction="enter")
            other = Visit(device="riverside/terminal", key="2", member_number="2", direction="enter")
            gone = asyncio.ensure_future(bench.intake.take("http", [reading]))
            stays = asyncio.ensure_future(bench.intake.take("http", [other]))
            while len(bench.spool._waiting) < 2:
                await asyncio.sleep(0)
            gone.cancel()
            await asyncio.sleep(0)
            go_on.set()
            async with asyncio.timeout(10):
                assert (await stays).written == 1
                await asyncio.wait([gone])
        again = await bench.intake.take("http", [reading])
        assert again.repeated == 1  # it had been kept, and is counted as that
        assert bench.tally.captured["http", "face_visits"] == 2

    asyncio.run(main())


def test_a_caller_that_gave_up_is_left_out_and_the_others_are_served(bench: Bench) -> None:
    with bench.held_up():
        gone = bench.spool.take(Entry([visit(1)]), stamp())
        stays = bench.spool.take(Entry([visit(2)]), stamp())
        assert gone.cancel()
    assert stays.result(10).written == 1
    assert bench.spool.depth().records == 1


def test_between_the_readings_of_a_long_delivery_others_get_their_turn(bench: Bench) -> None:
    log = [
        Visit(device="riverside/terminal", key=str(n), member_number=str(n), direction="enter", at=NOW)
        for n in range(5000)
    ]

    async def main() -> int:
        with bench.held_up() as go_on:
            taking, turns = asyncio.ensure_future(bench.intake.take("http", log)), 0
            while not bench.spool._waiting:
                await asyncio.sleep(0)
                turns += 1
            go_on.set()
            assert (await taking).written == 5000
        return turns

    assert asyncio.run(main()) >= 10


def test_an_interval_is_never_shorter_than_what_its_text_can_show(bench: Bench) -> None:
    async def main() -> None:
        await bench.heard(100)
        await bench.clock.advance(0.0004)
        await bench.heard(101)
        assert await bench.intake.close_intervals() == 0
        await bench.clock.advance(0.001)
        assert await bench.intake.close_intervals() == 1

    asyncio.run(main())
    assert bench.counted() == [1]


def test_records_of_a_venue_that_has_left_the_site_file_still_go(bench: Bench) -> None:
    bench.spool.take(Entry([visit(1)]), stamp()).result()
    elsewhere = SITE.model_copy(update={"venues": [SITE.venues[0].model_copy(update={"id": "renamed"})]})
    (sealed,) = seal(bench.spool, elsewhere, AT_ONCE, stamp())
    assert lines(sealed)[0]["recorded_at"] == "2026-03-02T12:00:00.000+00:00"


def test_sealing_without_room_on_the_disk_changes_nothing_and_says_so(bench: Bench) -> None:
    bench.spool.take(Entry([visit(n) for n in range(500)]), stamp()).result()

    def limit(pages: int | None) -> None:
        (now,) = bench.spool._db.execute("PRAGMA page_count").fetchone()
        bench.spool._db.execute(f"PRAGMA max_page_count={pages or now}")

    bench.spool._submit(lambda: limit(None)).result()

    def fill() -> None:
        for _ in range(99):  # until the free pages are used up
            bench.spool.take(Entry([visit(n) for n in range(50)]), stamp()).result()

    with pytest.raises(SpoolFull, match="the disk is full"):
        fill()
    records = bench.spool.depth().records
    try:
        sealed = sum(s.rows for s in seal(bench.spool, SITE, AT_ONCE, stamp()))
    except SpoolFull:
        sealed = 0
    assert bench.spool.depth().records + sealed == records
    bench.spool._submit(lambda: limit(2**30)).result()
    assert sum(s.rows for s in seal(bench.spool, SITE, AT_ONCE, stamp())) + sealed == records


def test_what_a_sensor_says_again_and_again_is_written_once(bench: Bench) -> None:
    """A write to an SD card wears it out; a sensor says the same every second, all night."""

    def writes() -> int:
        return bench.spool._submit(lambda: bench.spool._db.total_changes).result()

    async def main() -> None:
        for total, is_new in ((100, True), (100, False), (100, False), (101, True), (101, False)):
            before = writes()
            await bench.heard(total)
            assert (writes() > before) is is_new
            await bench.clock.advance(1)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("age", "written", "refused"),
    [
        pytest.param(timedelta(days=-2), "now", {"implausible_time": 1}, id="two days ahead"),
        pytest.param(timedelta(hours=1), "then", {}, id="an hour"),
        pytest.param(timedelta(days=50), "then", {}, id="fifty days: a terminal that was out of reach"),
        pytest.param(timedelta(days=9000), "now", {"implausible_time": 1}, id="a clock that began anew in 2000"),
    ],
)
def test_the_time_of_a_device_is_believed_where_it_can_be(
    bench: Bench, age: timedelta, written: str, refused: dict[str, int]
) -> None:
    at = NOW - age

    async def main() -> None:
        seen = Visit(device="riverside/terminal", key="1", member_number="1", direction="enter", at=at)
        assert dict((await bench.intake.take("http", [seen])).refused) == refused

    asyncio.run(main())
    (sealed,) = seal(bench.spool, bench._site, AT_ONCE, bench.intake.stamp(), everything=True)
    (record,) = lines(sealed)
    assert datetime.fromisoformat(record["recorded_at"]) == (at if written == "then" else NOW)


def test_what_is_older_than_the_memory_of_deliveries_is_left_out(bench: Bench) -> None:
    async def main() -> None:
        await bench.clock.advance(500 * 86_400)
        seen = Visit(device="riverside/terminal", key="1", member_number="1", direction="enter", at=NOW)
        receipt = await bench.intake.take("http", [seen])
        assert (receipt.written, dict(receipt.refused)) == (0, {"too_old": 1})

    asyncio.run(main())
