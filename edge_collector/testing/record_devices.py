"""Virtual terminals and tills: GATT peripherals that keep a log until somebody has acknowledged it.

They do what `edge_collector.codecs.records` says a device does, over bumble's host and attribute server. Their log
outlives a reboot, as flash does; a factory reset begins a new one. What does not belong here: the gateway's side.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Final, Literal

from bumble.att import Attribute
from bumble.core import AdvertisingData
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address

from edge_collector.codecs import records
from edge_collector.readings import Link, OrderLine, Visit
from edge_collector.testing.adapter import power_on
from edge_collector.testing.air import Chip
from edge_collector.testing.radio import VirtualRadio

_ADVERTISED_EVERY_MS: Final = 20.0
"""Of the event loop's clock, and often: a test waits for it to connect."""
_MTU: Final = 247


class RecordDevice:
    """A log and the record service over it. `capacity` records are kept; the oldest give way, as in a real device."""

    def __init__(self, radio: VirtualRadio, address: str, *, capacity: int = 10_000, seed: int | str = 0) -> None:
        self.address = address
        self.oldest = self.following = 0
        self.connections = 0
        """How often somebody has connected."""
        self._chance = Random(f"{address}/{seed}")  # noqa: S311 (an id, no secret)
        self.log_id = self._chance.randbytes(8).hex()
        self._radio, self._capacity = radio, capacity
        self._log: dict[int, Visit | OrderLine | Link] = {}
        self._positions: dict[Connection, int] = {}
        self._senders: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._controller: Chip | None = None

    async def switch_on(self) -> None:
        """Advertise, and answer whoever connects."""
        self._controller = Chip(self.address, link=self._radio.air)
        device = await power_on(self.address, Address(self.address), self._controller)
        device.gatt_server.max_mtu = _MTU
        device.add_services(self.services())
        device.on(Device.EVENT_CONNECTION, self._on_connection)
        await device.start_advertising(
            auto_restart=True,
            advertising_data=bytes(AdvertisingData([(AdvertisingData.FLAGS, b"\x06")])),
            advertising_interval_min=_ADVERTISED_EVERY_MS,
            advertising_interval_max=_ADVERTISED_EVERY_MS,
        )

    def services(self) -> list[Service]:
        """What a gateway finds when it has connected."""
        readable, writeable = Attribute.Permissions.READABLE, Attribute.Permissions.WRITEABLE
        properties = Characteristic.Properties
        control = CharacteristicValue(write=self._on_control)
        identity = CharacteristicValue(read=lambda _: self._identity())
        self._records = Characteristic[bytes](records.RECORDS, properties.NOTIFY, readable)
        return [
            Service(
                records.SERVICE,
                [
                    self._records,
                    Characteristic(records.CONTROL, properties.WRITE, writeable, control),
                    Characteristic(records.IDENTITY, properties.READ, readable, identity),
                ],
            )
        ]

    def switch_off(self) -> None:
        """No power: links break, nothing is advertised; the log stays."""
        if self._controller:
            self._radio.break_link(self.address)
            self._radio.air.leave(self._controller)
            self._controller = None

    async def reboot(self) -> None:
        """Off and on again."""
        self.switch_off()
        await self.switch_on()

    def reset(self) -> None:
        """The log is lost, and begins anew under another id."""
        self.log_id = self._chance.randbytes(8).hex()
        self.oldest = self.following = 0
        self._log.clear()

    @property
    def kept(self) -> int:
        """How many records are in the log: not acknowledged yet."""
        return self.following - self.oldest

    def write(self, record: Visit | OrderLine | Link) -> int:
        """Log a record and send it to whoever is connected. Its sequence number."""
        sequence = self.following
        self._log[sequence] = record
        self.following += 1
        self._forget(self.following - self._capacity)
        self._news.set()
        return sequence

    def _forget(self, until: int) -> None:
        for sequence in range(self.oldest, min(until, self.following)):
            del self._log[sequence]
            self.oldest = sequence + 1

    def _identity(self) -> bytes:
        return records.encode_identity(records.Identity(self.log_id, self.oldest, self.following))

    def _on_connection(self, connection: Connection) -> None:
        self.connections += 1
        sender = asyncio.create_task(self._send(connection))
        self._senders.add(sender)
        sender.add_done_callback(self._senders.discard)

        def gone(_reason: int) -> None:
            self._positions.pop(connection, None)
            sender.cancel()

        connection.on(Connection.EVENT_DISCONNECTION, gone)

    def _on_control(self, connection: Connection, value: bytes) -> None:
        match records.decode_control(value):
            case records.Control("resume", sequence):
                self._positions[connection] = sequence
                self._news.set()
            case records.Control("acknowledge", sequence):
                self._forget(sequence + 1)

    async def _send(self, connection: Connection) -> None:
        """Whatever the log holds from where the gateway wants it, and then whatever is added."""
        while True:
            position = self._positions.get(connection)
            if position is None or max(position, self.oldest) >= self.following:
                self._news.clear()
                await self._news.wait()
                continue
            sequence = max(position, self.oldest)
            self._positions[connection] = sequence + 1  # unless the gateway goes back meanwhile
            for value in records.encode(self._log[sequence], sequence, value_bytes=connection.att_mtu - 3):
                await connection.device.notify_subscriber(connection, self._records, value)
                await connection.drain()


class Terminal(RecordDevice):
    """Recognises members at the entrance."""

    def recognise(
        self, member_number: str | None, direction: Literal["enter", "leave"], at: datetime | None = None
    ) -> int:
        """Somebody comes or goes; None is a member who opted out. The sequence number of the visit."""
        return self.write(Visit(device=self.address, member_number=member_number, direction=direction, at=at))


class Till(RecordDevice):
    """Takes orders."""

    def sell(
        self,
        order_id: str,
        amount: str,
        *,
        member_number: str | None = None,
        order_no: int = 1,
        category_id: str = "drinks",
        quantity: int = 1,
        currency: str = "EUR",
        status: Literal["completed", "cancelled", "refunded"] = "completed",
        at: datetime | None = None,
    ) -> int:
        """One line of an order. Its sequence number."""
        return self.write(
            OrderLine(
                device=self.address,
                order_id=order_id,
                order_no=order_no,
                member_number=member_number,
                ordered_at=at,
                category_id=category_id,
                quantity=quantity,
                amount=Decimal(amount),
                currency=currency,
                status=status,
            )
        )
