"""The Bluetooth adapter of a virtual gateway: one bumble controller and host, shared by its scanners and clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakDeviceNotFoundError
from bumble.controller import Controller
from bumble.device import Advertisement, Connection, Device
from bumble.hci import Address
from bumble.host import Host

from edge_collector.testing.air import Air, Chip

Listener = Callable[[Advertisement], None]


class VirtualAdapter:
    """Hears, connects, and fails on demand."""

    def __init__(self, name: str, address: Address, air: Air) -> None:
        self.name = name
        self.filters = True
        """Whether an advertisement like the last one of its sender is dropped, as the Linux kernel does."""
        self._address = address
        self._air = air
        self._plugged = True
        self._power = asyncio.Lock()
        self._connecting = asyncio.Lock()  # bumble, like many a chip, sets up one connection at a time
        self._host: Device | None = None
        self._controller: Chip | None = None
        self._listeners: list[Listener] = []
        self._last: dict[str, bytes] = {}

    # What tests do to it

    def deafen(self) -> None:
        """Scans that run hear nothing any more and are told nothing. A new scan hears again."""
        self._listeners.clear()

    def unplug(self) -> None:
        """The adapter is gone: scans fall silent, connections break, whatever is started fails."""
        self._plugged = False
        self.deafen()
        if self._controller:
            for connection in list(self._controller.le_connections.values()):
                self._air.cut(connection.peer_address)

    def plug(self) -> None:
        """The adapter is back. Nothing that ran before comes back with it."""
        self._plugged = True

    @property
    def scanning(self) -> bool:
        """Whether anybody hears anything over it."""
        return bool(self._listeners)

    # What the bleak backend asks of it

    async def listen(self, listener: Listener) -> None:
        host = await self._powered()
        if not host.is_scanning:
            await host.start_scanning(active=False)
        self._last.clear()
        self._listeners.append(listener)

    async def ignore(self, listener: Listener) -> None:
        """Stop calling `listener`; that an adapter which has failed does not know it is no mistake."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        if self._host and self._host.is_scanning and not self._listeners:
            await self._host.stop_scanning()

    async def connect(self, address: str, timeout: float) -> Connection:
        host = await self._powered()
        async with self._connecting:
            if self._controller and Address(address) in self._controller.le_connections:
                # Whoever asked for it was cancelled before it came about. BlueZ would not keep it for nobody.
                self._air.cut(Address(address))
                await asyncio.sleep(0)
            try:
                async with asyncio.timeout(timeout):
                    return await host.connect_le(Address(address), timeout=None)
            except TimeoutError as nobody:
                raise BleakDeviceNotFoundError(address, f"{address} was not heard within {timeout:g} s") from nobody
            finally:
                if self._controller:  # bumble keeps on waiting for a device that it was told to forget
                    self._controller.pending_le_connection = None

    async def _powered(self) -> Device:
        if not self._plugged:
            reason = BleakBluetoothNotAvailableReason.NO_BLUETOOTH
            raise BleakBluetoothNotAvailableError(f"there is no adapter {self.name}", reason)
        async with self._power:
            if self._host is None:
                self._controller = Chip(self.name, link=self._air)
                self._host = await power_on(self.name, self._address, self._controller)
                self._host.on(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
            return self._host

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        sender = advertisement.address.to_string(False)
        if self.filters and self._last.get(sender) == advertisement.data_bytes:
            return
        self._last[sender] = advertisement.data_bytes
        for listener in list(self._listeners):
            listener(advertisement)


async def power_on(name: str, address: Address, controller: Controller) -> Device:
    """A bumble host over this controller, ready to use."""
    device = Device(name, address, host=Host(controller, controller))
    await device.power_on()
    return device


def lost(connection: Connection) -> bool:
    """Whether the connection is gone; bumble keeps the object, and gives its number to another one."""
    return connection.device.connections.get(connection.handle) is not connection
