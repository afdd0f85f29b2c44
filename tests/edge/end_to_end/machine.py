"""A gateway of the venue as a machine: started, stopped, killed, without power, with an uplink that can be down.

The collector on it is the real one. What does not belong here: what happens at the venue around it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from threading import Event
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from edge_collector.collector import Collector
from edge_collector.gateway import load_gateway
from edge_collector.ship.object_store import FolderTarget
from edge_collector.testing.clock import MachineClock
from edge_collector.testing.uplink import Uplink
from tests.edge.end_to_end.installation import gateway_files
from tests.edge.end_to_end.waiting import PATIENCE, everybody

if TYPE_CHECKING:
    from tests.edge.end_to_end.venue import Venue


class Machine:
    """A gateway: its folder, its clock, its adapter, and the collector while it runs."""

    def __init__(self, venue: Venue, gateway_id: str, adapter: str) -> None:
        self.root, self.adapter = venue.root / gateway_id, venue.radio.adapter(adapter)
        self._venue, self._adapter_name = venue, adapter
        self.clock = MachineClock(venue.clock)
        self.uplink = Uplink(FolderTarget(venue.landing_folder), Random(gateway_id))
        self.collector: Collector | None = None
        self.boots = 1
        self._running: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._handed_over = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.root.mkdir()
        for name, text in gateway_files(gateway_id).items():
            (self.root / name).write_text(text)
            (self.root / name).chmod(0o600)

    async def start(self) -> None:
        """systemd starts the collector, and it listens."""
        with patch("edge_collector.collector.clock_id", lambda: f"boot {self.boots}"):
            collector = Collector(
                load_gateway(self.root / "edge.toml"),
                clock=self.clock,
                target=self.uplink,
                adapter=self._adapter_name,
            )
        collector.intake.take = partial(self._take, collector.intake.take)  # type: ignore[method-assign]
        self._venue.boot_ids.append(collector.boot_id)
        self.collector, self._stop = collector, asyncio.Event()
        self._running = asyncio.create_task(collector.run(self._stop))
        await self._venue.until(lambda: collector.ready.is_set() and self.adapter.scanning, passing=1.0)

    async def stop(self) -> None:
        """systemd stops it: it ends in order."""
        assert self._running
        assert self.collector
        self._stop.set()
        # In virtual time nothing comes of waiting for an uplink that is down.
        patience = 10.0 if self.uplink.up and self.uplink.answers else 0.3
        with patch("edge_collector.collector._LAST_WORDS", patience):
            await self._ended()
        self._running.result()
        self._running = None

    async def kill(self) -> None:
        """The process is gone: nothing is finished, nothing is said, and the spool lies there as it was."""
        assert self._running
        assert self.collector
        spool = self.collector.spool
        files = (spool.path, spool.path.with_name(spool.path.name + "-wal"))

        def tear() -> dict[Path, bytes]:
            left = {path: path.read_bytes() for path in files if path.exists()}
            spool._db.close()
            return left

        left = spool._submit(tear)
        self.collector._end = _nothing  # type: ignore[method-assign]
        self._running.cancel()
        await self._ended()
        await asyncio.to_thread(spool._writer.shutdown)
        for path in files:
            path.unlink(missing_ok=True)
        for path, content in left.result().items():
            path.write_bytes(content)
        self.collector.health_listener.close()
        self._running = None

    async def _ended(self) -> None:
        """Until the collector has ended, however it did."""
        assert self._running
        ended, _ = await asyncio.wait([self._running], timeout=PATIENCE)
        if not ended:
            raise AssertionError(f"the collector does not end; waiting: {'; '.join(everybody())}")

    @contextmanager
    def disk_at_a_standstill(self) -> Iterator[None]:
        """Nothing becomes durable meanwhile, as while a worn SD card erases."""
        assert self.collector
        goes_on = Event()
        self.collector.spool._submit(goes_on.wait)
        try:
            yield
        finally:
            goes_on.set()

    def lose_power(self, *, synced: bool = True, error: float = 0.0) -> None:
        """After a kill: the machine was off, and its clocks begin anew."""
        self.boots += 1
        self.clock = MachineClock(self._venue.clock, synced=synced, error=error)

    def check(self) -> None:
        """Raises what has taken the collector down."""
        if self._running and self._running.done():
            self._running.result()

    @property
    def runs(self) -> bool:
        return self._running is not None and not self._running.done()

    @property
    def tally(self) -> Any:
        assert self.collector
        return self.collector.tally

    async def idle(self) -> None:
        """Until what was handed over is durable."""
        await self._idle.wait()

    async def _take(self, take: Callable[..., Awaitable[Any]], *given: Any) -> Any:
        self._handed_over += 1
        self._idle.clear()
        try:
            return await take(*given)
        finally:
            self._handed_over -= 1
            if not self._handed_over:
                self._idle.set()


async def _nothing() -> None:
    pass
