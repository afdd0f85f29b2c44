"""A backend of bleak over virtual adapters: what BlueZ is to bleak on Linux, bumble's host is here.

The adapter is chosen as on Linux, by `bluez={"adapter": "hci1"}`; without it, it is `hci0`.
What does not belong here: faults, which happen in the adapter and in the air.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Self, TypeVar, cast

from bleak.args import SizedBuffer
from bleak.assigned_numbers import AdvertisementDataType, CharacteristicPropertyName, gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError
from bleak.uuids import normalize_uuid_16, normalize_uuid_str
from bumble.core import BaseBumbleError
from bumble.device import Advertisement, Connection, Peer

from edge_collector.testing.adapter import VirtualAdapter, lost

_MTU = 247
_T = TypeVar("_T")
Adapters = Callable[[str], VirtualAdapter]


class VirtualScanner(BaseBleakScanner):
    """Scans over a virtual adapter."""

    def __init__(
        self,
        adapters: Adapters,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        _scanning_mode: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._adapter = adapters(kwargs.get("bluez", {}).get("adapter", "hci0"))

    @classmethod
    def on(cls, adapters: Adapters) -> type[Self]:
        """What bleak calls as the type of its backend."""
        return cast(type[Self], partial(cls, adapters))

    async def start(self) -> None:
        self.seen_devices.clear()
        await self._adapter.listen(self._heard)

    async def stop(self) -> None:
        await self._adapter.ignore(self._heard)

    def _heard(self, advertisement: Advertisement) -> None:
        address, data = advertisement.address.to_string(False), _as_bleak(advertisement)
        device = self.create_or_update_device(address, address, data.local_name, self._adapter.name, data)
        if self.is_allowed_uuid(data.service_uuids):
            self.call_detection_callbacks(device, data)


class VirtualClient(BaseBleakClient):
    """A connection from a virtual adapter to whatever advertises under the address."""

    def __init__(self, adapters: Adapters, address_or_ble_device: BLEDevice | str, **kwargs: Any) -> None:
        super().__init__(
            address_or_ble_device,
            disconnected_callback=kwargs.pop("disconnected_callback", None),
            timeout=kwargs.pop("timeout", 30.0),
        )
        self._adapter = adapters(kwargs.get("bluez", {}).get("adapter", "hci0"))
        self._connection: Connection | None = None
        self._peer: Peer | None = None
        self._lost = asyncio.Event()

    @classmethod
    def on(cls, adapters: Adapters) -> type[Self]:
        """What bleak calls as the type of its backend."""
        return cast(type[Self], partial(cls, adapters))

    @property
    def name(self) -> str:
        return self.address.replace(":", "-")

    @property
    def mtu_size(self) -> int:
        return self._connection.att_mtu if self._connection else 23

    @property
    def is_connected(self) -> bool:
        return self._connection is not None and not self._lost.is_set()

    async def connect(self, pair: bool, **kwargs: Any) -> None:
        if self.is_connected:
            raise BleakError("already connected")
        self._lost.clear()
        self._connection = await self._adapter.connect(self.address, self._timeout)
        self._connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)
        if lost(self._connection):  # before anybody could be told
            self._lost.set()
        self._peer = Peer(self._connection)
        await self._while_connected(self._peer.request_mtu(_MTU))
        self.services = await self._while_connected(self._discover(self._peer))

    async def disconnect(self) -> None:
        if self._connection and self.is_connected:
            await self._connection.disconnect()
            await self._lost.wait()

    async def pair(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("virtual devices do not pair")

    async def unpair(self) -> None:
        raise NotImplementedError("virtual devices do not pair")

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        _require(characteristic, "read")
        return bytearray(await self._while_connected(self._require_peer().read_value(characteristic.obj)))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        return bytearray(await self._while_connected(self._require_peer().read_value(descriptor.handle)))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool) -> None:
        _require(characteristic, "write" if response else "write-without-response")
        await self._while_connected(self._require_peer().write_value(characteristic.obj, bytes(data), response))

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        await self._while_connected(self._require_peer().write_value(descriptor.handle, bytes(data), True))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **kwargs: Any
    ) -> None:
        _require(characteristic, "notify")

        def notified(value: bytes) -> None:
            callback(bytearray(value))

        await self._while_connected(self._require_peer().subscribe(characteristic.obj, notified))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        await self._while_connected(self._require_peer().unsubscribe(characteristic.obj))

    def _require_peer(self) -> Peer:
        if not self._peer or not self.is_connected:
            raise BleakError("Not connected")
        return self._peer

    def _on_disconnection(self, _reason: int) -> None:
        self._lost.set()
        self.services = None
        if self._disconnected_callback:
            self._disconnected_callback()

    async def _while_connected(self, work: Awaitable[_T]) -> _T:
        """The result of `work`, or the error that BlueZ would give; a link that is lost ends it at once."""
        working, losing = asyncio.ensure_future(work), asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done() or working.cancelled():
                raise BleakError("disconnected")
            return working.result()
        except BaseBumbleError as refused:
            raise BleakError(str(refused)) from refused
        finally:
            working.cancel()
            losing.cancel()

    async def _discover(self, peer: Peer) -> BleakGATTServiceCollection:
        found = BleakGATTServiceCollection()
        for each in await peer.discover_services():
            service = BleakGATTService(each, each.handle, _uuid(each))
            found.add_service(service)
            for proxy in await peer.discover_characteristics(service=each):
                properties = list(gatt_char_props_to_strs(int(proxy.properties)))
                found.add_characteristic(
                    BleakGATTCharacteristic(
                        proxy, proxy.handle, _uuid(proxy), properties, lambda: self.mtu_size - 3, service
                    )
                )
        return found


def _require(characteristic: BleakGATTCharacteristic, wanted: CharacteristicPropertyName) -> None:
    """BlueZ refuses before it asks the device."""
    if wanted not in characteristic.properties:
        raise BleakError(f"{characteristic.uuid} offers {', '.join(characteristic.properties)}, not {wanted}")


def _uuid(attribute: Any) -> str:
    return normalize_uuid_str(attribute.uuid.to_hex_str("-"))


def _as_bleak(advertisement: Advertisement) -> AdvertisementData:
    name: str | None = None
    manufacturer: dict[int, bytes] = {}
    services: dict[str, bytes] = {}
    uuids: list[str] = []
    for kind, value in advertisement.data.ad_structures:
        number = int.from_bytes(value[:2], "little")
        match kind:
            case AdvertisementDataType.COMPLETE_LOCAL_NAME | AdvertisementDataType.SHORTENED_LOCAL_NAME:
                name = value.decode(errors="replace")
            case AdvertisementDataType.MANUFACTURER_SPECIFIC_DATA:
                manufacturer[number] = value[2:]
            case AdvertisementDataType.SERVICE_DATA_UUID16:
                services[normalize_uuid_16(number)] = value[2:]
            case AdvertisementDataType.COMPLETE_LIST_SERVICE_UUID128:
                uuids += [normalize_uuid_str(value[at : at + 16][::-1].hex()) for at in range(0, len(value), 16)]
    return AdvertisementData(name, manufacturer, services, uuids, None, advertisement.rssi, ())
