"""Gateways that are killed, cut off or wrong about the time: nobody is lost, nobody comes twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.edge.end_to_end.landed import instant
from tests.edge.end_to_end.scenario import at_a_venue
from tests.edge.end_to_end.venue import EVENING, Venue

HOUR = 3600.0


async def busy_minute(venue: Venue, n: int) -> None:
    """Everything happens."""
    venue.walk("entrance", ins=2, outs=1)
    venue.walk("north", ins=1)
    venue.walk("south", outs=1)
    venue.recognise(f"MBR{n:06d}", "enter")
    venue.sell(f"A{n}", "1.10", f"MBR{n:06d}")
    await venue.cross(inwards=n % 2 == 0)
    await venue.pass_time(40)
    venue.recognise(f"MBR{n:06d}", "leave")
    await venue.pass_time(15)


@pytest.mark.parametrize("turns", [0, 3, 7, 15, 40, 100])
@at_a_venue
async def test_a_collector_that_is_killed_in_the_midst_of_things(venue: Venue, turns: int) -> None:
    """`turns` of the event loop after people did something: it is heard, under way, or on its way to the disk."""
    for n in range(4):
        await busy_minute(venue, n)
        venue.walk("entrance", ins=1)
        venue.walk("north", ins=1)
        venue.recognise(f"MBR{n:06d}", "enter")
        venue.sell(f"K{n}", "0.50")
        for sensor in venue.sensors.values():
            sensor.advertise()
        for _ in range(turns):
            await asyncio.sleep(0)
        await venue.gateway.kill()
        venue.walk("south", ins=3)  # nobody hears it now, and its total says it later
        await venue.clock.advance(20.0 * n)
        await venue.gateway.start()
        await venue.pass_time(30)


@at_a_venue
async def test_a_power_cut(venue: Venue) -> None:
    """The machine's clock that nobody sets begins anew, too."""
    await busy_minute(venue, 0)
    await venue.gateway.kill()
    venue.walk("entrance", ins=4)
    venue.walk("north", ins=2)
    venue.sell("A9", "4.00")
    await venue.clock.advance(HOUR)
    venue.gateway.lose_power()
    await venue.gateway.start()
    await venue.pass_time(30)
    await busy_minute(venue, 1)


@at_a_venue
async def test_somebody_is_in_the_passage_when_the_power_goes(venue: Venue) -> None:
    """Both beams were heard, and still waited for one that might be late. Nobody crosses afterwards."""
    await venue.cross(inwards=True)
    at = venue.clock.monotonic() + venue.pair_clock_ahead
    venue.inner.trigger(at)
    venue.outer.trigger(at + 0.4)
    venue.truth.crossed["passage", "out"] += 1
    await venue.pass_time(0.5)
    await venue.gateway.kill()
    await venue.clock.advance(60)
    venue.gateway.lose_power()
    await venue.gateway.start()


@at_a_venue
async def test_an_orderly_stop_and_start(venue: Venue) -> None:
    await busy_minute(venue, 0)
    await venue.gateway.stop()
    venue.walk("south", ins=2)
    await venue.clock.advance(600)
    await venue.gateway.start()
    await busy_minute(venue, 1)


@at_a_venue
async def test_an_uplink_that_fails_and_forgets_to_answer(venue: Venue) -> None:
    await busy_minute(venue, 0)
    venue.gateway.uplink.answers = 0.0
    for n in (1, 2, 3):
        await busy_minute(venue, n)
    venue.gateway.uplink.up = False
    for n in (4, 5, 6):
        await busy_minute(venue, n)
    venue.gateway.uplink.mend()
    await venue.pass_time(300)
    assert venue.gateway.collector
    assert venue.gateway.collector.shipper.shipped.repeated > 0


@at_a_venue
async def test_a_killed_collector_ships_again_what_it_does_not_know_to_have_landed(venue: Venue) -> None:
    venue.gateway.uplink.answers = 0.0
    await busy_minute(venue, 0)
    await venue.pass_time(90)
    await venue.gateway.kill()
    venue.gateway.uplink.answers = 1.0
    await venue.gateway.start()
    await busy_minute(venue, 1)


@at_a_venue
async def test_a_clock_without_a_source_that_finds_one(venue: Venue) -> None:
    """The box starts in the wrong year after a power cut; what it takes meanwhile is dated right by the sync."""
    await venue.gateway.kill()
    venue.gateway.lose_power(synced=False, error=-56 * 365 * 86_400.0)
    await venue.gateway.start()
    await busy_minute(venue, 0)
    await busy_minute(venue, 1)
    assert venue.landed().of("boundary_counts") == []  # they wait for the sync
    venue.gateway.clock.sync()
    await busy_minute(venue, 2)
    await venue.close()
    counted = venue.landed().of("boundary_counts", "entrance_counts")
    assert counted
    assert all(instant(record.interval_start) >= EVENING - timedelta(seconds=1) for record in counted)
    assert {record.clock for record in counted} == {"synced"}
    (step,) = venue.landed().events("clock_step")
    assert step.value > 55 * 365 * 86_400_000


@at_a_venue
async def test_a_clock_that_finds_its_source_while_no_collector_runs(venue: Venue) -> None:
    """The next run corrects what the one before it has left in the spool."""
    await venue.gateway.kill()
    venue.gateway.lose_power(synced=False, error=5000.0)
    await venue.gateway.start()
    await busy_minute(venue, 0)
    await busy_minute(venue, 1)
    await venue.gateway.kill()
    venue.gateway.clock.sync()
    await venue.gateway.start()
    await venue.close()
    records = venue.landed().of("boundary_counts", "entrance_counts", "gateway_events")
    assert {record.clock for record in records} == {"synced"}
    assert all(instant(record.recorded_at) <= venue.clock.now() for record in records)


@at_a_venue
async def test_a_clock_that_is_set_back_an_hour(venue: Venue) -> None:
    await busy_minute(venue, 0)
    venue.gateway.clock.step(-HOUR)
    await busy_minute(venue, 1)
    await busy_minute(venue, 2)
    venue.gateway.clock.step(HOUR)
    await busy_minute(venue, 3)
    await venue.close()
    assert [round(step.value, -1) for step in venue.landed().events("clock_step")] == [-3_600_000, 3_600_000]
