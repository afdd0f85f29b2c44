"""What happens on the air and to sensors: recordings, strangers, resets, deaf adapters. Nobody is lost or invented."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge_collector.testing.air import Advert
from edge_collector.testing.devices import PairSensor
from tests.edge.end_to_end.installation import ADDRESS
from tests.edge.end_to_end.scenario import at_a_venue
from tests.edge.end_to_end.venue import Venue

OF_SENSORS = {ADDRESS[name] for name in ("entrance", "north", "south", "outer", "inner")}
COUNTERS = ("entrance", "north", "south")


async def busy_time(venue: Venue, minutes: int) -> None:
    """People come and go at every counter."""
    for n in range(minutes):
        for name in COUNTERS:
            venue.walk(name, ins=1 + n % 3, outs=n % 2)
        await venue.cross(inwards=n % 3 != 0)
        await venue.pass_time(55)


async def replay(venue: Venue, tape: Sequence[Advert], minutes: int) -> None:
    """A recording is played back, spread over so many minutes, while people come and go."""
    frames = [advert for advert in tape if advert.address in OF_SENSORS]
    each = -(-len(frames) // minutes)
    for n in range(minutes):
        venue.radio.replay(frames[n * each : (n + 1) * each])
        await busy_time(venue, 1)


@at_a_venue
async def test_a_recorded_hour_is_played_back_beside_the_living_devices(venue: Venue) -> None:
    with venue.radio.recording() as tape:
        await busy_time(venue, 60)
    await replay(venue, tape, 60)
    await venue.close()
    assert venue.landed().refused()["replayed"] > 0


@at_a_venue
async def test_a_recording_of_before_a_reset_is_played_back_after_it(venue: Venue) -> None:
    with venue.radio.recording() as tape:
        await busy_time(venue, 10)
        await venue.pass_time(20)
    for name in COUNTERS:
        venue.sensors[name].swap_battery()
    await venue.pass_time(150)
    await replay(venue, tape, 10)


@pytest.mark.parametrize("reset", ["reboot", "swap_battery"])
@pytest.mark.parametrize("name", COUNTERS)
@at_a_venue
async def test_a_counter_that_begins_again_at_zero(venue: Venue, name: str, reset: str) -> None:
    """Packet id and encryption counter live on in a reboot, and begin again with a new battery."""
    venue.walk(name, ins=9, outs=4)
    await venue.pass_time(15)
    getattr(venue.sensors[name], reset)()
    venue.walk(name, ins=2)
    await venue.pass_time(30)
    venue.walk(name, ins=3, outs=1)
    await venue.close()
    counted = [r for r in venue.landed().of("boundary_counts", "entrance_counts") if r.device_id == name]
    assert {r.device_epoch for r in counted} == {1, 2}
    assert [(e.subject, e.value) for e in venue.landed().events("epoch_opened")] == [(name, 2)]


@at_a_venue
async def test_the_adapter_is_pulled_out_and_put_back(venue: Venue) -> None:
    await busy_time(venue, 2)
    venue.gateway.adapter.unplug()
    venue.walk("north", ins=5)
    venue.walk("entrance", ins=2)
    venue.recognise("MBR000001", "enter")
    venue.sell("A1", "5.00")
    await venue.pass_time(300)
    assert venue.terminal.kept == venue.till.kept == 1
    venue.gateway.adapter.plug()
    await venue.pass_time(120)
    await busy_time(venue, 2)


@at_a_venue
async def test_a_scanner_that_dies_silently(venue: Venue) -> None:
    await busy_time(venue, 1)
    venue.gateway.adapter.deafen()
    venue.walk("south", ins=5)
    venue.walk("north", outs=3)
    await venue.pass_time(90)
    await busy_time(venue, 1)


@at_a_venue
async def test_somebody_speaks_under_the_address_of_a_counter_that_encrypts(venue: Venue) -> None:
    """Without its key, and with another."""
    plain = PairSensor(venue.radio, ADDRESS["entrance"])
    sealed = PairSensor(venue.radio, ADDRESS["entrance"], key=bytes(16))
    for spoof in (plain, sealed):
        spoof.in_total = 40
        spoof.counter = 1_000_000
    for _ in range(5):
        venue.walk("entrance", ins=1)
        for spoof in (plain, sealed):
            spoof.walk_in(3)
            spoof.advertise()
        await venue.pass_time(30)
    await venue.close()
    refused = venue.landed().refused()
    assert (refused["downgraded"], refused["wrong_key"]) == (5, 5)


@at_a_venue
async def test_somebody_speaks_under_the_address_of_a_counter_that_does_not(venue: Venue) -> None:
    """With totals that cannot be, or that are behind: as a stranger would who does not follow what the device says."""
    spoof = PairSensor(venue.radio, ADDRESS["north"])
    venue.walk("north", ins=20, outs=10)
    await venue.pass_time(30)
    for said in ((1_000_000, 0), (3, 1), (4_000_000_000, 5), (0, 0)):
        venue.walk("north", ins=1, outs=2)
        spoof.in_total, spoof.out_total = said
        spoof.advertise()
        await venue.pass_time(20)
    await venue.pass_time(100)
    venue.walk("north", ins=1)


@at_a_venue
async def test_a_stranger_in_the_hall_is_ignored_and_counted(venue: Venue) -> None:
    stranger = PairSensor(venue.radio, ADDRESS["stranger"])
    for _ in range(6):
        stranger.walk_in(50)
        stranger.advertise()
        venue.walk("north", ins=1)
        await venue.pass_time(10)
    assert venue.gateway.tally.refused["bluetooth", "foreign_device"] == 6  # before any heartbeat
    await venue.close()
    assert venue.landed().refused()["foreign_device"] == 6  # and an orderly stop tells it
