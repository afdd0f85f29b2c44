"""What tests of terminals and tills share: one of each, and a client that is connected to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edge_collector.readings import OrderLine, Visit
from edge_collector.sources.ble_records import RecordClient
from edge_collector.testing.record_devices import RecordDevice, Terminal
from tests.edge.ble.hall import Hall

ENTRANCE, BAR = "C0:00:00:00:00:11", "C0:00:00:00:00:12"
NOON = datetime(2026, 11, 2, 12, 0, 0, 250_000, tzinfo=UTC)
LONG = "order-" + 100 * "x"


def fresh(_device: str) -> None:
    """Nothing has been fetched from this device yet."""


def sequences(hall: Hall, kind: type[Visit] | type[OrderLine] = Visit) -> list[int]:
    """The sequence numbers of what arrived, in order."""
    return [int(str(reading.key).split(":")[1]) for reading in hall.inbox.of(kind)]


async def fetching(hall: Hall, device: RecordDevice, **options: Any) -> RecordClient:
    """A client that is connected."""
    client = RecordClient(device.address, hall.inbox, options.pop("resume_from", fresh), hall.clock, **options)
    hall.start(client.run())
    await hall.until(lambda: client.counts["connected"])
    return client


async def terminal(hall: Hall) -> Terminal:
    device = Terminal(hall.radio, ENTRANCE)
    await device.switch_on()
    return device
