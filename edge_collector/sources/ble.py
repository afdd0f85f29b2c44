"""Bluetooth in: a scanner for sensors that advertise, and one client per terminal or till that keeps records.

Sensors are only overheard. Nothing tells them what arrived, so what they say is a running total: an advertisement
that is missed, or dropped here because the intake is busy, is made up for by the next one. (Not so the raw triggers
of a pair: those sensors say each of them a few times, and the undercount is part of what a pair's accuracy means.)
Every reading tells when it was heard: a disk that is slow to flush must not make a trigger a late one.
Terminals and tills keep their records until they are told that these are durable here; see `RecordClient`.

Both run until cancelled and survive whatever the adapter, BlueZ or a device does: they log it, count it, and try
again. What does not belong here: what bytes mean (`codecs`), and what is done with readings (`intake`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final, Never

from bleak import BleakScanner
from bleak.args.bluez import BlueZScannerArgs
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from edge_collector.clock import Clock
from edge_collector.codecs import bthome
from edge_collector.codecs.bthome import Sensor
from edge_collector.readings import AnyReading
from edge_collector.sources import Backoff, Sink, hand_over, heed_cancellation, patience
from edge_collector.tally import Tally

_log = logging.getLogger(__name__)

_PATIENCE: Final = 15.0
"""Seconds that one call into the Bluetooth stack may take. By the event loop's clock: the stack knows no other."""


@dataclass(frozen=True)
class Advertiser:
    """A device that is overheard: its key if it encrypts, and which sensor of a pair it is if it is only one."""

    key: bytes | None = field(default=None, repr=False)
    sensor: Sensor | None = None


class BleScanner:
    """Overhears the devices of this gateway.

    `counts` says how many advertisements were `heard` (from anybody), BTHome frames of strangers ignored (`foreign`),
    readings dropped as the oldest while the intake was busy (`overflowed`), and how often the scanner `failed`, was
    `rebuilt` out of silence or `refreshed`.

    A scan can die without a word, so one that hears nothing from anybody for `silence` seconds is built anew. Where
    the venue is really that quiet this does no harm.

    Linux reports a sensor that has nothing new to say only once in a scan. What is counted rests on hearing that it is
    still there, so a scan in which one of the sensors was not heard for `refresh` seconds is begun anew as well.
    """

    def __init__(
        self,
        devices: Mapping[str, Advertiser],
        sink: Sink,
        clock: Clock,
        *,
        adapter: str | None = None,
        silence: float = 60.0,
        refresh: float = 25.0,
        capacity: int = 10_000,
        tally: Tally | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._tally = tally or Tally()
        self._devices = {address.upper(): device for address, device in devices.items()}
        self._sink, self._clock = sink, clock
        self._bluez = BlueZScannerArgs(adapter=adapter) if adapter else BlueZScannerArgs()
        self._silence, self._refresh = silence, refresh
        self._heard_at = clock.monotonic()
        self._frames_at: dict[str, float] = {}
        self._seen: dict[str, BLEDevice] = {}
        self._readings: deque[AnyReading] = deque(maxlen=capacity)
        self._under_way: list[AnyReading] = []
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Scan until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._scan())
            tasks.create_task(self._hand_over())

    def locate(self, address: str) -> BLEDevice | str:
        """What to connect to: the device as it was heard, which spares bleak a scan of its own, else its address."""
        return self._seen.get(address.upper(), address)

    def heard_until(self) -> float:
        """Until when, by the clock that does not step, the sink has taken all that was heard."""
        oldest = next(chain(self._under_way, self._readings), None)
        return self._clock.monotonic() if oldest is None or oldest.heard_at is None else oldest.heard_at

    async def _scan(self) -> Never:
        backoff = Backoff(self._clock)
        while True:
            heard = self.counts["heard"]
            scanner = BleakScanner(self._on_advertisement, bluez=self._bluez)
            try:
                async with asyncio.timeout(_PATIENCE):
                    await scanner.start()
                heed_cancellation()
                began = self._heard_at = self._clock.monotonic()
                while (left := self._stale_at(began) - self._clock.monotonic()) > 0:
                    await self._clock.sleep(left)
                if self._clock.monotonic() >= self._heard_at + self._silence:
                    self.counts["rebuilt"] += 1
                    _log.info("nothing heard for %.0f s; the scanner is built anew", self._silence)
                else:
                    self.counts["refreshed"] += 1
            except Exception as problem:  # bleak, D-Bus, the kernel: whatever it was, the next try may work
                self.counts["failed"] += 1
                _log.warning("the scanner failed and is built anew: %r", problem)
                await backoff.wait()
            finally:
                with suppress(Exception):
                    async with asyncio.timeout(patience(_PATIENCE)):
                        await scanner.stop()
            heed_cancellation()
            if self.counts["heard"] > heard:
                backoff.reset()

    def _stale_at(self, began: float) -> float:
        """When the scan that began then has to be begun anew, as far as is known now."""
        unheard_since = max(began, min(self._frames_at.values(), default=float("inf")))
        return min(self._heard_at + self._silence, unheard_since + self._refresh)

    def _on_advertisement(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        self.counts["heard"] += 1
        self._heard_at = self._clock.monotonic()
        frame = advertisement.service_data.get(bthome.SERVICE_UUID)
        address = device.address.upper()
        advertiser = self._devices.get(address)
        if advertiser is None:
            if frame is not None:
                self.counts["foreign"] += 1
                self._tally.refused["bluetooth", "foreign_device"] += 1
            return
        self._seen[address] = device
        if frame is not None:
            self._frames_at[address] = self._heard_at
            for reading in bthome.decode(frame, address, advertiser.key, advertiser.sensor):
                if len(self._readings) == self._readings.maxlen:
                    self.counts["overflowed"] += 1
                    self._tally.refused["bluetooth", "overflowed"] += 1
                self._readings.append(replace(reading, heard_at=self._heard_at))
            self._news.set()

    async def _hand_over(self) -> Never:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._readings:
                self._under_way = list(self._readings)
                self._readings.clear()
                await hand_over(self._under_way, self._sink, self._clock)
                self._under_way = []
