"""The virtual radio under plain bleak, as somebody uses it who has never heard of the collector."""

from __future__ import annotations

import asyncio

import bleak
import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakBluetoothNotAvailableError, BleakDeviceNotFoundError, BleakError

from edge_collector.codecs import records
from edge_collector.testing.radio import Advert, virtual_radio
from edge_collector.testing.record_devices import Terminal
from tests.edge.ble.hall import Hall, in_hall

LAMP, ENTRANCE = "C0:00:00:00:00:21", "C0:00:00:00:00:22"
ON, OFF = bytes.fromhex("02010604ffffff01"), bytes.fromhex("02010604ffffff00")


def test_bleak_is_as_before_when_the_block_ends() -> None:
    before = bleak.get_platform_scanner_backend_type, bleak.get_platform_client_backend_type
    with virtual_radio():
        assert bleak.get_platform_scanner_backend_type is not before[0]
    assert (bleak.get_platform_scanner_backend_type, bleak.get_platform_client_backend_type) == before


@in_hall
async def test_an_advertisement_is_heard_once_with_its_parts(hall: Hall) -> None:
    heard = []
    hall.radio.adapter().filters = False
    async with BleakScanner(lambda device, data: heard.append((device, data))) as scanner:
        name, uuid = b"\x05\x09lamp", bytes([17, 7]) + bytes(range(16))
        hall.radio.transmit(LAMP, b"\x03\xff\x4c\x00" + name + uuid)
        hall.radio.transmit(LAMP, b"\x05\x16\x0f\x18\x63\x64")
        await hall.until(lambda: len(heard) == 2)
        assert scanner.discovered_devices[0].address == LAMP
    (device, first), (_, second) = heard
    assert (device.address, first.local_name, first.manufacturer_data) == (LAMP, "lamp", {0x4C: b""})
    assert first.service_uuids == ["0f0e0d0c-0b0a-0908-0706-050403020100"]
    assert second.service_data == {"0000180f-0000-1000-8000-00805f9b34fb": b"cd"}


@in_hall
async def test_what_was_recorded_can_be_sent_again_and_under_another_name(hall: Hall) -> None:
    heard = []
    async with BleakScanner(lambda device, data: heard.append((device.address, data.manufacturer_data[0xFFFF]))):
        with hall.radio.recording() as tape:
            hall.radio.transmit(LAMP, ON)
            hall.radio.transmit(LAMP, OFF)
        hall.radio.replay(tape)
        hall.radio.transmit(ENTRANCE, ON)
        await hall.until(lambda: len(heard) == 5)
    assert tape == [Advert(LAMP, ON), Advert(LAMP, OFF)]
    assert heard == 2 * [(LAMP, b"\1"), (LAMP, b"\0")] + [(ENTRANCE, b"\1")]


@in_hall
async def test_each_receiver_misses_its_own_share_of_adverts(hall: Hall) -> None:
    heard: dict[str, list[int]] = {"hci0": [], "hci1": []}

    def listener(adapter: str) -> BleakScanner:
        return BleakScanner(
            lambda _, data: heard[adapter].append(data.manufacturer_data[0xFFFF][0]), bluez={"adapter": adapter}
        )

    async with listener("hci0"), listener("hci1"):
        hall.radio.loss = 0.25
        for number in range(200):
            hall.radio.transmit(LAMP, b"\x04\xff\xff\xff" + bytes([number]))
        await hall.until(lambda: heard["hci0"][-1:] and heard["hci1"][-1:] and max(map(max, heard.values())) > 195)
    assert all(120 < len(each) < 175 for each in heard.values())
    assert heard["hci0"] != heard["hci1"]


@in_hall
async def test_no_more_is_advertised_than_fits(hall: Hall) -> None:
    with pytest.raises(ValueError, match="32 bytes do not fit"):
        hall.radio.transmit(LAMP, bytes(32))


@in_hall
async def test_an_adapter_that_is_not_there_cannot_be_used(hall: Hall) -> None:
    hall.radio.adapter("hci1").unplug()
    with pytest.raises(BleakBluetoothNotAvailableError, match="hci1"):
        await BleakScanner(bluez={"adapter": "hci1"}).start()
    with pytest.raises(BleakBluetoothNotAvailableError, match="hci1"):
        await BleakClient(ENTRANCE, bluez={"adapter": "hci1"}).connect()


@in_hall
async def test_services_values_and_mtu_are_the_devices_own(hall: Hall) -> None:
    device = Terminal(hall.radio, ENTRANCE)
    await device.switch_on()
    found = await BleakScanner.find_device_by_address(ENTRANCE, timeout=2.0)
    assert found is not None
    async with BleakClient(found) as client:
        assert client.mtu_size == 247
        service = client.services.get_service(records.SERVICE)
        assert service is not None
        assert {each.uuid: each.properties for each in service.characteristics} == {
            records.RECORDS: ["notify"],
            records.CONTROL: ["write"],
            records.IDENTITY: ["read"],
        }
        value = await client.read_gatt_char(records.IDENTITY)
        assert records.decode_identity(bytes(value)) == (device.log_id, 0, 0)
        with pytest.raises(BleakError, match="offers write, not read"):
            await client.read_gatt_char(records.CONTROL)


@in_hall
async def test_nobody_answers(hall: Hall) -> None:
    with pytest.raises(BleakDeviceNotFoundError):
        await BleakClient(LAMP, timeout=0.05).connect()
    device = Terminal(hall.radio, ENTRANCE)
    await device.switch_on()
    async with BleakClient(ENTRANCE) as client:  # the adapter has given up on the other one
        assert client.is_connected


@in_hall
async def test_a_broken_link_ends_what_was_going_on(hall: Hall) -> None:
    device = Terminal(hall.radio, ENTRANCE)
    await device.switch_on()
    told = asyncio.Event()
    client = BleakClient(ENTRANCE, lambda _: told.set())
    await client.connect()
    hall.radio.break_link(ENTRANCE, after=1)
    await client.read_gatt_char(records.IDENTITY)
    with pytest.raises(BleakError, match="disconnected"):
        await client.read_gatt_char(records.IDENTITY)
    assert told.is_set()
    assert not client.is_connected
    await client.connect()  # the device advertises again
    await client.disconnect()
