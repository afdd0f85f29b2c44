"""Faults that nobody planned: many at once in any order, a device that is none, a sink that breaks, a sudden end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from bleak.exc import BleakError

from edge_collector.readings import OrderLine
from edge_collector.sources.ble_records import RecordClient
from edge_collector.testing.record_devices import Terminal, Till
from tests.edge.ble.fetching import BAR, ENTRANCE, LONG, fetching, fresh, sequences, terminal
from tests.edge.ble.hall import Hall, in_hall


@pytest.mark.parametrize("seed", range(5))
def test_every_record_arrives_once_whatever_happens(seed: int) -> None:
    """Links break after any packet, the till reboots, the spool fills up, the gateway is killed and starts again."""

    async def story(hall: Hall) -> None:
        chance = Random(seed)
        till = Till(hall.radio, BAR)
        await till.switch_on()

        def durable(_device: str) -> tuple[str, int] | None:
            lines = sequences(hall, OrderLine)
            return (till.log_id, lines[-1] + 1) if lines else None

        client: asyncio.Task[None] | None = None
        for event in range(30):
            till.sell(f"{event}-{LONG}", "1.00", category_id=chance.randrange(100) * "y" + "z")
            match chance.randrange(8):
                case 0 | 1:
                    hall.radio.break_link(BAR, after=chance.randrange(12))
                case 2:
                    hall.inbox.busy = not hall.inbox.busy
                case 3:
                    await till.reboot()
                case 4 if client:
                    client.cancel()
                    client = None
            if client is None:
                client = hall.start(RecordClient(BAR, hall.inbox, durable, hall.clock, capacity=5).run())
            await hall.clock.advance(chance.choice((0.0, 0.5, 3.0)))
        hall.inbox.busy = False
        hall.radio.air.fuses.clear()
        await hall.until(lambda: not till.kept, passing=1.0)
        assert sequences(hall, OrderLine) == list(range(30))

    in_hall(story)()


@in_hall
async def test_something_else_under_the_address_is_survived(hall: Hall) -> None:
    """First a device without the record service, then one whose identity makes no sense, then the real one."""
    impostor = Terminal(hall.radio, ENTRANCE)
    impostor.services = list
    await impostor.switch_on()
    client = RecordClient(ENTRANCE, hall.inbox, fresh, hall.clock)
    hall.start(client.run())
    await hall.until(lambda: client.counts["failed"] == 2, passing=1.0)
    impostor.switch_off()
    confused = Terminal(hall.radio, ENTRANCE)
    confused.oldest = 7
    await confused.switch_on()
    await hall.until(lambda: client.counts["failed"] == 4, passing=1.0)
    confused.switch_off()
    device = await terminal(hall)
    device.recognise("M-1", "enter")
    await hall.until(lambda: hall.inbox.readings and not device.kept, passing=1.0)


@in_hall
async def test_a_client_that_is_cancelled_hangs_up(hall: Hall) -> None:
    device = await terminal(hall)
    client = RecordClient(ENTRANCE, hall.inbox, fresh, hall.clock)
    running = hall.start(client.run())
    await hall.until(lambda: client.counts["connected"])
    running.cancel()
    await fetching(hall, device)  # another one can connect, since the device advertises again
    assert device.connections == 2


@in_hall
async def test_a_sink_that_breaks_ends_the_client(hall: Hall) -> None:
    """It is not for a source to go on when what it hands over cannot be kept for another reason than lack of room."""
    device = await terminal(hall)
    device.recognise("M-1", "enter")

    async def broken(_readings: Any) -> None:
        raise OSError("the disk is gone")

    with pytest.raises(ExceptionGroup) as raised:
        await RecordClient(ENTRANCE, broken, fresh, hall.clock).run()
    assert raised.group_contains(OSError, match="the disk is gone")
    assert device.kept == 1


class Deaf:
    """A client of a library that keeps a cancellation to itself, as `asyncio.wait_for` of Python 3.11 can."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    async def connect(self) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def read_gatt_char(self, _: object) -> bytes:
        raise BleakError("not connected")

    async def disconnect(self) -> None: ...


@in_hall
async def test_a_library_that_keeps_a_cancellation_to_itself_does_not_keep_the_client(hall: Hall) -> None:
    with patch("edge_collector.sources.ble_records.BleakClient", Deaf):
        fetches = asyncio.ensure_future(RecordClient(ENTRANCE, hall.inbox, fresh, hall.clock).run())
        for _ in range(10):
            await asyncio.sleep(0)
        fetches.cancel()
        ended, _ = await asyncio.wait([fetches], timeout=5)
    assert ended
