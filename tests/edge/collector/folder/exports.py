"""Folders that files are put into, and the gateway that watches them on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edge_collector.intake import Intake
from edge_collector.people import load_people
from edge_collector.sources.folder import watchers_of
from edge_collector.spool import Spool
from edge_collector.spool.seal import SealPolicy, seal
from edge_collector.tally import Tally
from edge_collector.testing.clock import VirtualClock
from tests import hall
from tests.edge.collector.box import Box
from tests.edge.collector.spooled import lines

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SETTLE = 5
FOLDER = '\n[[folders]]\npath = "{path}"\nmap = "{map}.toml"\npattern = "*.csv"\nsettle_seconds = 5\n'
ORDERS = hall.ORDERS_MAP.replace('venue = "hall"', 'venue = "riverside"') + 'status = "status"\n'
VISITS = """
kind = "visits"
name = "door"
venue = "riverside"
device = "terminal"
[columns]
user_id = "member"
recorded_at = "time"
direction = "direction"
"""
HEADER = "order,time,member,category,pieces,amount,status\n"
VISIT_HEADER = "member,time,direction\n"


def row(order: int, amount: str = "4.50", status: str = "completed", member: str = "13085") -> str:
    return f"{order},2026-03-02 11:30:00,{member},coffee,1,{amount},{status}\n"


def visit(second: int, direction: str = "enter", member: str = "13085") -> str:
    return f"{member},2026-03-02 11:30:{second:02d},{direction}\n"


class Exports:
    """A folder that files are put into, and the gateway that watches it on a virtual clock."""

    def __init__(self, box: Box, clock: VirtualClock, boot_id: str = "b1") -> None:
        gateway, self.clock, self.tally = box.gateway(), clock, Tally()
        people = self.people = load_people(gateway)
        self.spool = Spool(box.root / "spool.db", gateway_id="gw", boot_id=boot_id, max_bytes=10**9)
        self.intake = Intake(gateway, self.spool, people, clock, "m1", self.tally)
        self.watchers = watchers_of(gateway, people, self.intake.take_rows, clock, self.spool.states(), self.tally)
        self._gateway = gateway

    def look(self, *, after: float = 0) -> int:
        """Let time pass, look into all folders; how many files were read."""

        async def look() -> int:
            await self.clock.advance(after)
            return sum([await watcher.look() for watcher in self.watchers])

        return asyncio.run(look())

    def settle(self) -> int:
        """Look, wait until files have settled, look again."""
        return self.look() + self.look(after=SETTLE)

    def refused(self) -> dict[str, int]:
        return {reason: n for (_, reason), n in self.tally.refused.items() if n}

    def landed(self) -> list[dict[str, Any]]:
        stamp = self.intake.stamp()
        seal(self.spool, self._gateway.site, SealPolicy(10**6, timedelta(0)), stamp, everything=True)
        found, beside = [], []
        while (segment := self.spool.segment(beside=beside)) is not None:
            beside.append(segment.id)
            found += lines(segment)
        return sorted(found, key=lambda r: (r["boot_id"], r["seq"]))

    def orders(self) -> list[tuple[str, str, str]]:
        return [(r["order_id"], r["amount"], r["status"]) for r in self.landed()]


@contextmanager
def watching(box: Box, clock: VirtualClock | None = None, **more: Any) -> Iterator[Exports]:
    exports = Exports(box, clock or VirtualClock(NOW), **more)
    try:
        yield exports
    finally:
        exports.spool.close()


def put(box: Box, name: str, content: str | bytes, folder: str = "in") -> Path:
    path = box.root / folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
