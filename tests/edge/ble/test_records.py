"""Terminals and tills on the virtual radio: every record arrives once, whatever happens to the link, device or sink."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from edge_collector.codecs.records import position_of
from edge_collector.readings import Dropped, OrderLine, Visit
from edge_collector.sources.ble import Advertiser, BleScanner
from edge_collector.sources.ble_records import RecordClient
from edge_collector.testing.record_devices import Terminal, Till
from tests.edge.ble.fetching import BAR, ENTRANCE, LONG, NOON, fetching, fresh, sequences, terminal
from tests.edge.ble.hall import Hall, in_hall


@in_hall
async def test_visits_are_notified_and_acknowledged(hall: Hall) -> None:
    device = await terminal(hall)
    await fetching(hall, device)
    device.recognise("M-1", "enter", NOON)
    await hall.until(lambda: hall.inbox.readings)
    device.recognise(None, "leave")
    await hall.until(lambda: device.following == 2 and not device.kept)
    keys = [str(visit.key) for visit in hall.inbox.of(Visit)]
    assert [position_of(key) for key in keys] == [(device.log_id, 0), (device.log_id, 1)]
    assert hall.inbox.readings == [
        Visit(device=ENTRANCE, key=keys[0], member_number="M-1", direction="enter", at=NOON),
        Visit(device=ENTRANCE, key=keys[1], member_number=None, direction="leave", at=None),
    ]


@in_hall
async def test_a_backlog_comes_in_batches_and_in_order(hall: Hall) -> None:
    device = await terminal(hall)
    for number in range(200):
        device.recognise(f"M-{number}", "enter", NOON)
    await fetching(hall, device)
    await hall.until(lambda: not device.kept)
    assert sequences(hall) == list(range(200))
    assert hall.inbox.batches < 200


@in_hall
async def test_a_till_sends_orders_of_several_fragments(hall: Hall) -> None:
    till = Till(hall.radio, BAR)
    await till.switch_on()
    await fetching(hall, till)
    till.sell(LONG, "12.50", member_number="M-7", category_id="wine" + 90 * "y", quantity=2, at=NOON)
    await hall.until(lambda: not till.kept)
    (line,) = hall.inbox.of(OrderLine)
    assert (line.order_id, line.amount, line.quantity, line.ordered_at) == (LONG, Decimal("12.50"), 2, NOON)


@in_hall
async def test_links_lost_in_mid_record_neither_lose_nor_double(hall: Hall) -> None:
    till = Till(hall.radio, BAR)
    await till.switch_on()
    client = await fetching(hall, till)
    for order in range(30):
        till.sell(f"{order}-{LONG}", "1.00", category_id=100 * "y")
    for breaks in (1, 2, 3, 4):
        hall.radio.break_link(BAR, after=6 + breaks)  # at the first, the second … fragment of another record
        await hall.until(lambda breaks=breaks: client.counts["lost"] + client.counts["failed"] == breaks)
        await hall.until(lambda breaks=breaks: client.counts["connected"] > breaks, passing=1.0)
    await hall.until(lambda: not till.kept, passing=1.0)
    assert sequences(hall, OrderLine) == list(range(30))
    assert till.connections == 5


@in_hall
async def test_a_device_that_reboots_goes_on_where_it_was(hall: Hall) -> None:
    device = await terminal(hall)
    await fetching(hall, device)
    device.recognise("M-1", "enter")
    await hall.until(lambda: hall.inbox.readings)
    device.switch_off()
    device.recognise("M-1", "leave")
    await device.switch_on()
    await hall.until(lambda: len(hall.inbox.readings) == 2 and not device.kept, passing=1.0)
    assert sequences(hall) == [0, 1]


@in_hall
async def test_an_acknowledgement_that_a_power_cut_undid_is_said_again(hall: Hall) -> None:
    device = await terminal(hall)
    client = await fetching(hall, device)
    device.recognise("M-1", "enter")
    log = dict(device._log)
    await hall.until(lambda: device.following and not device.kept)
    await hall.clock.advance(1)  # the client has its answer
    device.switch_off()
    device.oldest, device._log = 0, log
    await device.switch_on()
    await hall.until(lambda: not device.kept, passing=1.0)
    assert (client.counts["connected"], sequences(hall)) == (2, [0])


@in_hall
async def test_a_log_that_begins_anew_is_read_from_its_start(hall: Hall) -> None:
    device = await terminal(hall)
    await fetching(hall, device)
    for _ in range(3):
        device.recognise("M-1", "enter")
    await hall.until(lambda: not device.kept)
    device.switch_off()
    device.reset()
    device.recognise("M-2", "enter")
    await device.switch_on()
    await hall.until(lambda: len(hall.inbox.readings) == 4 and not device.kept, passing=1.0)
    assert sequences(hall) == [0, 1, 2, 0]
    assert position_of(str(hall.inbox.of(Visit)[-1].key)) == (device.log_id, 0)


@in_hall
async def test_a_log_that_goes_back_loses_nothing_of_what_it_writes_then(hall: Hall) -> None:
    """The numbers that it gives again were acknowledged before; that says nothing of the records that have them now."""
    device = await terminal(hall)
    await fetching(hall, device)
    for number in range(4):
        device.recognise(f"M-{number}", "enter")
    await hall.until(lambda: device.following == 4 and not device.kept)
    device.switch_off()
    device.oldest = device.following = 1  # its flash had not kept the last three
    device.recognise("M-8", "enter")
    device.recognise("M-9", "enter")
    await device.switch_on()
    await hall.until(lambda: not device.kept, passing=1.0)
    assert sequences(hall) == [0, 1, 2, 3, 1, 2]
    assert [visit.member_number for visit in hall.inbox.of(Visit)][-2:] == ["M-8", "M-9"]
    assert len({visit.key for visit in hall.inbox.of(Visit)}) == 6
    assert [dropped.reason for dropped in hall.inbox.of(Dropped)] == ["rolled_back"]


@in_hall
async def test_a_gateway_that_starts_again_resumes_at_the_next_sequence(hall: Hall) -> None:
    """The last acknowledgement was lost with the gateway: it is made up for, and nothing comes twice."""
    device = await terminal(hall)
    for _ in range(5):
        device.recognise("M-1", "enter")
    await fetching(hall, device, resume_from=lambda address: {ENTRANCE: (device.log_id, 3)}.get(address))
    await hall.until(lambda: not device.kept)
    assert sequences(hall) == [3, 4]


@in_hall
async def test_what_the_device_could_not_keep_is_counted_as_lost(hall: Hall) -> None:
    device = Terminal(hall.radio, ENTRANCE, capacity=10)
    await device.switch_on()
    for _ in range(25):
        device.recognise("M-1", "enter")
    await fetching(hall, device, resume_from=lambda _: (device.log_id, 5))
    await hall.until(lambda: not device.kept)
    assert sequences(hall) == list(range(15, 25))
    assert [(dropped.reason, dropped.count) for dropped in hall.inbox.of(Dropped)] == [("lost", 10)]


@in_hall
async def test_nothing_is_acknowledged_while_the_spool_is_full(hall: Hall) -> None:
    device = await terminal(hall)
    client = await fetching(hall, device, capacity=4)
    hall.inbox.busy = True
    for _ in range(20):
        device.recognise("M-1", "enter")
    await hall.until(lambda: client.counts["paused"])
    await hall.until(lambda: hall.inbox.refused > 3, passing=5.0)
    assert (device.kept, device.connections) == (20, 1)
    hall.inbox.busy = False
    await hall.until(lambda: not device.kept, passing=5.0)
    assert sequences(hall) == list(range(20))


@in_hall
async def test_nothing_is_acknowledged_before_it_is_durable(hall: Hall) -> None:
    device = await terminal(hall)
    flushed = asyncio.Event()
    inbox = hall.inbox

    async def slow(readings: Any) -> None:
        await flushed.wait()
        await inbox(readings)

    client = RecordClient(ENTRANCE, slow, fresh, hall.clock)
    hall.start(client.run())
    await hall.until(lambda: client.counts["connected"])
    device.recognise("M-1", "enter")
    hall.radio.break_link(ENTRANCE)  # and a new link changes nothing
    await hall.until(lambda: client.counts["connected"] == 2, passing=1.0)
    await hall.clock.advance(300)
    assert device.kept == 1
    flushed.set()
    await hall.until(lambda: not device.kept)
    assert sequences(hall) == [0]


@in_hall
async def test_a_last_notification_that_got_lost_is_found_by_asking(hall: Hall) -> None:
    device = await terminal(hall)
    client = await fetching(hall, device, check_every=60.0)
    device.recognise("M-1", "enter")
    await hall.until(lambda: not device.kept and device.following)
    client._on_fragment = lambda value: None  # what BlueZ drops does not get here
    device.recognise("M-1", "leave")
    await hall.clock.advance(5)
    del client._on_fragment
    assert device.kept == 1
    await hall.until(lambda: not device.kept, passing=10.0)
    assert sequences(hall) == [0, 1]


@in_hall
async def test_the_adapter_is_pulled_out_and_put_back(hall: Hall) -> None:
    device = await terminal(hall)
    client = await fetching(hall, device)
    hall.radio.adapter().unplug()
    device.recognise("M-1", "enter")
    await hall.until(lambda: client.counts["failed"] >= 3, passing=5.0)
    hall.radio.adapter().plug()
    await hall.until(lambda: not device.kept, passing=5.0)
    assert sequences(hall) == [0]


@in_hall
async def test_several_devices_and_a_scanner_share_an_adapter(hall: Hall) -> None:
    door, bar = Terminal(hall.radio, ENTRANCE), Till(hall.radio, BAR)
    scanner = BleScanner({ENTRANCE: Advertiser(), BAR: Advertiser()}, hall.inbox, hall.clock)
    hall.start(scanner.run())
    await door.switch_on()
    await bar.switch_on()
    await hall.until(lambda: not isinstance(scanner.locate(ENTRANCE), str) and not isinstance(scanner.locate(BAR), str))
    one_at_a_time = asyncio.Lock()
    for device in (door, bar):
        await fetching(hall, device, locate=scanner.locate, connecting=one_at_a_time)
    door.recognise("M-1", "enter")
    bar.sell("A-1", "3.20")
    await hall.until(lambda: len(hall.inbox.readings) == 2 and not door.kept and not bar.kept)
    assert {reading.device for reading in hall.inbox.readings} == {ENTRANCE, BAR}
