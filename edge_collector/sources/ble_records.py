"""Bluetooth in, the part that is connected to: one client per terminal or till, which fetches the records it keeps.

What is whole is handed over in batches. Only when a batch is durable is it acknowledged, and only then may the device
forget it, so nothing is lost however often the link breaks; and every record has its sequence number, so nothing comes
twice. A link that is lost does not touch what has arrived: the client goes on from the next number it wants.

What does not belong here: what fragments mean and when to ask again (`codecs.records`), sensors that are only
overheard (`ble`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, NamedTuple, Never

from bleak import BleakClient
from bleak.args.bluez import BlueZClientArgs
from bleak.backends.device import BLEDevice

from edge_collector.clock import Clock
from edge_collector.codecs.records import (
    CONTROL,
    IDENTITY,
    RECORDS,
    Control,
    Identity,
    RecordDecoder,
    decode_identity,
    encode_control,
)
from edge_collector.readings import AnyReading
from edge_collector.sources import Backoff, Sink, hand_over, heed_cancellation, patience

_log = logging.getLogger(__name__)

_PATIENCE: Final = 30.0
"""Seconds that one call into the Bluetooth stack may take. By the event loop's clock: the stack knows no other."""


class Position(NamedTuple):
    """Where in which log: the sequence number that is wanted next."""

    log_id: str
    sequence: int
    generation: int = 0
    """Of the log, which may have gone back; see `RecordDecoder`."""


class _Arrived(NamedTuple):
    reading: AnyReading
    next: Position


class RecordClient:
    """Fetches the records of one terminal or till, for as long as it runs.

    `resume_from(address)` says once, at the start, which log and sequence number are wanted next; None where nothing
    has been fetched yet. `locate` gives what to connect to (`BleScanner.locate`), `connecting` is shared by the clients
    of one adapter, since few adapters can set up two connections at a time.

    At most `capacity` readings wait for the sink. Then the link is closed, and opened again when it has taken them.
    Every `check_every` seconds the device is asked how far its log goes, in case its last notification got lost.

    `counts`: `connected`, `lost` (links), `paused` (the same, since the sink was busy), `failed` (attempts).
    """

    def __init__(
        self,
        address: str,
        sink: Sink,
        resume_from: Callable[[str], tuple[str, int] | None],
        clock: Clock,
        *,
        adapter: str | None = None,
        locate: Callable[[str], BLEDevice | str] = str,
        connecting: asyncio.Lock | None = None,
        capacity: int = 1_000,
        check_every: float = 60.0,
    ) -> None:
        self.address = address.upper()
        self.counts: Counter[str] = Counter()
        self._sink, self._clock, self._locate = sink, clock, locate
        self._bluez = BlueZClientArgs(adapter=adapter) if adapter else BlueZClientArgs()
        self._connecting = connecting or asyncio.Lock()
        self._capacity, self._check_every = capacity, check_every
        self._backoff = Backoff(clock)

        self._durable = Position(*(resume_from(self.address) or ("", 0)))
        self._acknowledged: Position | None = None
        self._decoder = RecordDecoder(self.address, *self._durable)
        self._arrived: list[_Arrived] = []
        self._check_due = False
        self._room = asyncio.Event()
        self._room.set()
        self._news = asyncio.Event()  # for whoever hands over
        self._wake = asyncio.Event()  # for whoever talks to the device

    async def run(self) -> None:
        """Stay connected, or try to, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stay_connected())
            tasks.create_task(self._hand_over())
            tasks.create_task(self._check())

    async def _stay_connected(self) -> Never:
        while True:
            await self._room.wait()
            try:
                await self._connection()
                self.counts["lost" if self._room.is_set() else "paused"] += 1
            except Exception as problem:  # bleak, D-Bus, a device that talks nonsense: the next try may work
                self.counts["failed"] += 1
                _log.warning("%s: %r", self.address, problem)
            heed_cancellation()
            await self._backoff.wait()

    async def _connection(self) -> None:
        """From connecting to the loss of the link."""
        client = BleakClient(self._locate(self.address), self._on_loss, timeout=_PATIENCE, bluez=self._bluez)
        try:
            async with self._connecting, asyncio.timeout(2 * _PATIENCE):
                await client.connect()
            self.counts["connected"] += 1
            self._acknowledged = None  # the device may have missed the last word
            self._keep(self._decoder.connected(await self._identity(client)))
            async with asyncio.timeout(_PATIENCE):
                await client.start_notify(RECORDS, lambda _, value: self._on_fragment(bytes(value)))
            while client.is_connected and self._room.is_set():
                self._wake.clear()
                await self._talk(client)
                heed_cancellation()
                await self._wake.wait()
        finally:
            with suppress(Exception):
                async with asyncio.timeout(patience(_PATIENCE)):
                    await client.disconnect()

    async def _talk(self, client: BleakClient) -> None:
        """Tell the device what it has to know now."""
        if self._check_due:
            self._check_due = False
            identity = await self._identity(client)
            if (identity.log_id, identity.following) != (self._decoder.log_id, self._decoder.expected):
                self._keep(self._decoder.connected(identity))
        durable = self._durable  # it may move on while this is written
        same_log = (durable.log_id, durable.generation) == (self._decoder.log_id, self._decoder.generation)
        if same_log and durable != self._acknowledged:
            if durable.sequence:
                await self._write(client, Control("acknowledge", durable.sequence - 1))
            self._acknowledged = durable
        if (sequence := self._decoder.resume_from) is not None:
            self._decoder.resumed()  # before the write: the device may answer faster than the write returns
            await self._write(client, Control("resume", sequence))

    async def _identity(self, client: BleakClient) -> Identity:
        async with asyncio.timeout(_PATIENCE):
            value = bytes(await client.read_gatt_char(IDENTITY))
        if (identity := decode_identity(value)) is None:
            raise ValueError(f"the identity characteristic holds {value.hex(' ')}, which is none of the record service")
        return identity

    async def _write(self, client: BleakClient, control: Control) -> None:
        async with asyncio.timeout(_PATIENCE):
            await client.write_gatt_char(CONTROL, encode_control(control), response=True)

    def _on_loss(self, _client: BleakClient) -> None:
        self._wake.set()

    def _on_fragment(self, value: bytes) -> None:
        if not self._room.is_set():  # the link is being closed
            return
        self._keep(self._decoder.feed(value))
        if len(self._arrived) >= self._capacity:
            self._room.clear()
        if self._decoder.resume_from is not None or not self._room.is_set():
            self._wake.set()

    def _keep(self, readings: Iterable[AnyReading]) -> None:
        wanted = Position(self._decoder.log_id, self._decoder.expected, self._decoder.generation)
        self._arrived += [_Arrived(reading, wanted) for reading in readings]
        if self._arrived:
            self._news.set()

    async def _hand_over(self) -> Never:
        while True:
            await self._news.wait()
            self._news.clear()
            while batch := list(self._arrived):  # they count as waiting until the sink has them
                await hand_over([each.reading for each in batch], self._sink, self._clock)
                del self._arrived[: len(batch)]
                self._durable = batch[-1].next
                self._backoff.reset()
                self._wake.set()
            self._room.set()

    async def _check(self) -> Never:
        """Have the device asked about its log whenever a while has passed in which nothing came of it."""
        while True:
            before = self._decoder.expected
            await self._clock.sleep(self._check_every)
            self._check_due = self._decoder.expected == before and not self._arrived
            if self._check_due:
                self._wake.set()
