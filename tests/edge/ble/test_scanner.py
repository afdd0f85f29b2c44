"""The scanner on the virtual radio: what is heard, what is not, and what becomes of a scanner that fails."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from bleak import BleakScanner

from edge_collector.readings import Alive, Dropped, Totals, Trigger
from edge_collector.sources.ble import Advertiser, BleScanner
from edge_collector.tally import Tally
from edge_collector.testing.devices import MotionSensor, PairSensor, TriggerSensor
from tests.edge.ble.hall import Hall, in_hall

DOOR, EDGE, STREET = "C0:00:00:00:00:01", "C0:00:00:00:00:02", "C0:00:00:00:00:03"
KEY = bytes(range(16))


async def scanning(hall: Hall, devices: dict[str, Advertiser], **options: Any) -> BleScanner:
    """A scanner that hears."""
    scanner = BleScanner(devices, hall.inbox, hall.clock, **options)
    hall.start(scanner.run())
    await hall.until(lambda: hall.radio.adapter(options.get("adapter", "hci0")).scanning)
    return scanner


@in_hall
async def test_totals_are_heard_plain_and_encrypted(hall: Hall) -> None:
    await scanning(hall, {DOOR: Advertiser(), EDGE: Advertiser(key=KEY)})
    plain, sealed = PairSensor(hall.radio, DOOR, battery=70), PairSensor(hall.radio, EDGE, key=KEY)
    plain.walk_in(3)
    plain.walk_out(2)
    sealed.walk_in(5)
    plain.advertise()
    sealed.advertise()
    sealed.advertise()
    await hall.until(lambda: len(hall.inbox.readings) == 3)
    assert hall.inbox.readings == [
        Totals(device=DOOR, in_total=3, out_total=2, packet_id=2, battery=70),
        Totals(device=EDGE, in_total=5, out_total=0, packet_id=1, counter=0, battery=100),
        Totals(device=EDGE, in_total=5, out_total=0, packet_id=1, counter=1, battery=100),
    ]


@in_hall
async def test_linux_reports_what_has_not_changed_only_once(hall: Hall) -> None:
    scanner = await scanning(hall, {DOOR: Advertiser()})
    sensor = PairSensor(hall.radio, DOOR)
    for people in (0, 0, 0, 1, 0):
        if people:
            sensor.walk_in()
        sensor.advertise()
    await hall.until(lambda: len(hall.inbox.readings) == 2)
    assert scanner.counts["heard"] == 2


@in_hall
async def test_motion_and_triggers(hall: Hall) -> None:
    """Which sensor of a pair was triggered is told by its address."""
    await scanning(
        hall, {DOOR: Advertiser(), EDGE: Advertiser(sensor="outer"), STREET: Advertiser(key=KEY, sensor="inner")}
    )
    MotionSensor(hall.radio, DOOR, battery=9).move()
    TriggerSensor(hall.radio, EDGE).trigger(at=100.25, repeats=1)
    TriggerSensor(hall.radio, STREET, key=KEY).trigger(at=100.75, repeats=2)
    await hall.until(lambda: len(hall.inbox.readings) == 4)
    assert hall.inbox.of(Alive) == [Alive(device=DOOR, battery=9, motion=True)]
    triggers = hall.inbox.of(Trigger)
    assert [(t.sensor, t.at, t.counter) for t in triggers] == [
        ("outer", 100.25, None),
        ("inner", 100.75, 0),
        ("inner", 100.75, 1),
    ]
    assert triggers[1].key == triggers[2].key


@in_hall
async def test_a_reading_tells_when_it_was_heard_and_not_when_the_disk_had_time_for_it(hall: Hall) -> None:
    scanner = await scanning(hall, {EDGE: Advertiser(sensor="outer"), STREET: Advertiser(sensor="inner")})
    assert scanner.heard_until() == 0
    hall.inbox.busy = True
    for address, at in ((EDGE, 100.0), (STREET, 100.4), (EDGE, 103.0)):
        TriggerSensor(hall.radio, address).trigger(at)
        await hall.clock.advance(20)
        assert scanner.heard_until() == 0
    hall.inbox.busy = False
    await hall.until(lambda: scanner.heard_until() > 0, passing=1.0)
    assert [reading.heard_at for reading in hall.inbox.readings] == [0, 20, 40]
    assert scanner.heard_until() == hall.clock.monotonic()


@in_hall
async def test_strangers_are_ignored_and_counted(hall: Hall) -> None:
    tally = Tally()
    scanner = await scanning(hall, {DOOR: Advertiser()}, tally=tally)
    PairSensor(hall.radio, STREET).advertise()
    hall.radio.transmit(EDGE, bytes.fromhex("020106" + "03ff4c00"))  # a telephone
    PairSensor(hall.radio, DOOR).advertise()
    await hall.until(lambda: hall.inbox.readings)
    assert [reading.device for reading in hall.inbox.readings] == [DOOR]
    assert (scanner.counts["heard"], scanner.counts["foreign"]) == (3, 1)
    assert tally.refused == {("bluetooth", "foreign_device"): 1}  # at once, for who looks at /metrics


@in_hall
async def test_a_stop_does_not_wait_for_a_bluetooth_stack_that_is_stuck(hall: Hall) -> None:
    async def stuck(_: object) -> None:
        await asyncio.sleep(3600)

    scanner = BleScanner({DOOR: Advertiser()}, hall.inbox, hall.clock)
    running = asyncio.create_task(scanner.run())
    await hall.until(lambda: hall.radio.adapter("hci0").scanning)
    began = time.monotonic()
    with patch.object(BleakScanner, "stop", stuck):
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert 0.9 < time.monotonic() - began < 5


@in_hall
async def test_a_frame_that_is_not_the_devices_own_says_nothing(hall: Hall) -> None:
    """Somebody sends under the address of a sensor: without its key, with another, and what it has said before."""
    await scanning(hall, {DOOR: Advertiser(key=KEY)})
    real = PairSensor(hall.radio, DOOR, key=KEY)
    with hall.radio.recording() as tape:
        for _ in range(3):
            real.walk_in()
            real.advertise()
    PairSensor(hall.radio, DOOR).advertise()
    PairSensor(hall.radio, DOOR, key=bytes(16)).advertise()
    hall.radio.replay(tape)
    await hall.until(lambda: len(hall.inbox.readings) == 8)
    assert [dropped.reason for dropped in hall.inbox.of(Dropped)] == ["downgraded", "wrong_key"]
    # Replayed frames come as they were: their counters let `counting` tell.
    assert [(t.in_total, t.counter) for t in hall.inbox.of(Totals)] == 2 * [(1, 0), (2, 1), (3, 2)]


@in_hall
async def test_a_reboot_and_a_new_battery_are_told_as_they_are(hall: Hall) -> None:
    await scanning(hall, {DOOR: Advertiser(key=KEY)})
    sensor = PairSensor(hall.radio, DOOR, key=KEY)
    sensor.walk_in(7)
    sensor.advertise()
    sensor.reboot()
    sensor.walk_in(2)
    sensor.advertise()
    sensor.swap_battery()
    sensor.walk_in(1)
    sensor.advertise()
    await hall.until(lambda: len(hall.inbox.readings) == 3)
    heard = [(t.in_total, t.packet_id, t.counter) for t in hall.inbox.of(Totals)]
    assert heard == [(7, 1, 0), (2, 3, 1), (1, 1, 0)]


@in_hall
async def test_totals_make_up_for_adverts_that_got_lost(hall: Hall) -> None:
    await scanning(hall, {DOOR: Advertiser()})
    sensor = PairSensor(hall.radio, DOOR)
    hall.radio.loss = 0.7
    for _ in range(60):
        sensor.walk_in()
        sensor.advertise()
    hall.radio.loss = 0.0
    sensor.walk_out()
    sensor.advertise()
    await hall.until(lambda: any(t.out_total for t in hall.inbox.of(Totals)))
    assert hall.inbox.of(Totals)[-1].in_total == 60
    assert len(hall.inbox.readings) < 40


@in_hall
async def test_two_gateways_hear_one_device(hall: Hall) -> None:
    sensor = PairSensor(hall.radio, DOOR)
    first = await scanning(hall, {DOOR: Advertiser()}, adapter="hci0")
    second = await scanning(hall, {EDGE: Advertiser()}, adapter="hci1")
    sensor.walk_in()
    sensor.advertise()
    await hall.until(lambda: second.counts["heard"] and hall.inbox.readings)
    assert (first.counts["foreign"], second.counts["foreign"]) == (0, 1)
    assert [t.in_total for t in hall.inbox.of(Totals)] == [1]  # it belongs to one of them


@in_hall
async def test_a_scanner_that_dies_silently_is_rebuilt(hall: Hall) -> None:
    scanner = await scanning(hall, {DOOR: Advertiser()}, silence=60.0, refresh=float("inf"))
    sensor = PairSensor(hall.radio, DOOR)
    sensor.walk_in()
    sensor.advertise()
    await hall.until(lambda: hall.inbox.readings)
    hall.radio.adapter().deafen()
    hall.start(sensor.run(hall.clock, every=5.0))
    sensor.walk_in()
    await hall.clock.advance(55)
    assert scanner.counts["rebuilt"] == 0
    await hall.until(lambda: len(hall.inbox.readings) == 2, passing=5.0)
    assert hall.inbox.of(Totals)[-1].in_total == 2
    assert scanner.counts["rebuilt"] == 1
    await hall.clock.advance(50)
    assert hall.radio.adapter().scanning


@in_hall
async def test_a_sensor_with_nothing_new_to_say_is_heard_twice_a_minute(hall: Hall) -> None:
    """Also while others talk: counting has to know that it is still there."""
    scanner = await scanning(hall, {DOOR: Advertiser(), EDGE: Advertiser(key=KEY)})
    idle, talking = PairSensor(hall.radio, DOOR), PairSensor(hall.radio, EDGE, key=KEY)
    for sensor in (idle, talking):
        hall.start(sensor.run(hall.clock, every=2.0))
    await hall.clock.advance(300)
    heard = [reading for reading in hall.inbox.of(Totals) if reading.device == DOOR]
    assert 10 <= len(heard) <= 13
    assert scanner.counts["rebuilt"] == 0
    assert len(hall.inbox.readings) - len(heard) >= 140  # nothing is missed for it of what others say


@in_hall
async def test_a_silent_scanner_is_not_rebuilt_while_anybody_is_heard(hall: Hall) -> None:
    scanner = await scanning(hall, {DOOR: Advertiser()}, silence=60.0)
    stranger = PairSensor(hall.radio, STREET)
    for _ in range(10):
        stranger.walk_in()
        stranger.advertise()
        await hall.clock.advance(50)
    assert scanner.counts["rebuilt"] == 0


@in_hall
async def test_the_loss_of_the_adapter_is_survived(hall: Hall) -> None:
    scanner = await scanning(hall, {DOOR: Advertiser()}, silence=10.0)
    sensor = PairSensor(hall.radio, DOOR)
    hall.radio.adapter().unplug()
    sensor.walk_in()
    await hall.until(lambda: scanner.counts["failed"] >= 3, passing=5.0)
    hall.radio.adapter().plug()
    await hall.until(lambda: hall.radio.adapter().scanning, passing=5.0)
    sensor.advertise()
    await hall.until(lambda: hall.inbox.readings)
    assert hall.inbox.of(Totals)[-1].in_total == 1


@in_hall
async def test_a_scanner_waits_for_an_adapter_that_is_not_there_yet(hall: Hall) -> None:
    hall.radio.adapter().unplug()
    scanner = BleScanner({}, hall.inbox, hall.clock)
    hall.start(scanner.run())
    await hall.until(lambda: scanner.counts["failed"] == 12, passing=30.0)
    assert 150 < hall.clock.monotonic() < 12 * 60  # it asks less and less often, but once a minute
    hall.radio.adapter().plug()
    await hall.until(lambda: hall.radio.adapter().scanning, passing=30.0)


@in_hall
async def test_a_busy_intake_costs_the_oldest_totals_only(hall: Hall) -> None:
    scanner = await scanning(hall, {DOOR: Advertiser()}, capacity=4)
    sensor = PairSensor(hall.radio, DOOR)
    hall.inbox.busy = True
    for heard in range(1, 21):
        sensor.walk_in()
        sensor.advertise()
        await hall.until(lambda heard=heard: scanner.counts["heard"] == heard)
    hall.inbox.busy = False
    await hall.until(lambda: hall.inbox.readings and hall.inbox.of(Totals)[-1].in_total == 20, passing=1.0)
    assert hall.inbox.refused
    assert scanner.counts["overflowed"] == 20 - len(hall.inbox.readings)


class Deaf:
    """A scanner of a library that keeps a cancellation to itself, as `asyncio.wait_for` of Python 3.11 can."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    async def start(self) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def stop(self) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)


@in_hall
async def test_a_library_that_keeps_a_cancellation_to_itself_does_not_keep_the_scanner(hall: Hall) -> None:
    with patch("edge_collector.sources.ble.BleakScanner", Deaf):
        scanning = asyncio.ensure_future(BleScanner({DOOR: Advertiser()}, hall.inbox, hall.clock).run())
        for _ in range(10):
            await asyncio.sleep(0)
        scanning.cancel()
        ended, _ = await asyncio.wait([scanning], timeout=5)
    assert ended
