"""A gateway that assigns: its experiments, its allocations, and whoever asks it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from edge_collector.assign import Allocations, Answer, Assigner
from edge_collector.people import load_people
from edge_collector.signing import public_key_text
from edge_collector.spool import Spool, Stamp
from edge_collector.spool.seal import SealPolicy, seal
from edge_collector.tally import Tally
from edge_collector.testing.clock import VirtualClock
from tests.edge.allocations import KEY, TODAY, put_signed
from tests.edge.collector.box import Box, device
from tests.edge.collector.spooled import lines

MORNING = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)  # 10:00 in Berlin
EXPERIMENT = """
[[experiments]]
id = "{id}"
venue_id = "riverside"
kind = "{kind}"
unit = "{unit}"
arms = ["none", "tea"]
kpi = "{kpi}"
minimum_effect = 0.1
first_date = {first}
last_date = {last}
{more}
"""
ASSIGNED = device("screen", "gateway") + device("gateway", "gateway")
ALLOCATED = f'\n[allocations]\nsource = "published"\npublic_key = "{public_key_text(KEY)}"\n'


def experiment(name: str, kind: str, unit: str, kpi: str, more: str = "", first: date = TODAY) -> str:
    return EXPERIMENT.format(
        id=name, kind=kind, unit=unit, kpi=kpi, more=more, first=first, last=first + timedelta(days=9)
    )


def experiments(first: date = TODAY) -> str:
    return (
        experiment("greeting", "randomised", "user", "conversion", "fixed_shares = [0.3, 0.7]", first)
        + experiment("voucher", "bandit", "visit", "conversion", first=first)
        + experiment("music", "randomised", "venue_day", "gmv", first=first)
    )


class Desk:
    """A gateway's assigner with its spool, as the collector has it, and what has been recorded."""

    def __init__(self, box: Box, clock: VirtualClock, boot_id: str = "b1", *, allocations: bool = True) -> None:
        gateway, self.tally = box.gateway(), Tally()
        self.spool = Spool(box.root / "spool.db", gateway_id="gw", boot_id=boot_id, max_bytes=10**8)
        self.clock = clock
        known = Allocations(box.root / "allocations", KEY.public_key(), self.tally) if allocations else None
        self.assigner = Assigner(gateway, self.spool, load_people(gateway), self.stamp, self.tally, known)
        self._gateway = gateway

    def stamp(self) -> Stamp:
        return Stamp(self.clock.now(), self.clock.monotonic(), "m1", synced=True)

    def ask(self, name: str, member: str | None = "13085", visit: str | None = "1") -> Answer:
        return self.assigner.assign(name, member_number=member, visit=visit)

    def records(self) -> list[dict[str, Any]]:
        made = seal(self.spool, self._gateway.site, SealPolicy(1000, timedelta(0)), self.stamp(), everything=True)
        return [record for segment in made for record in lines(segment)]


@contextmanager
def desk(box: Box, clock: VirtualClock | None = None, **more: Any) -> Iterator[Desk]:
    opened = Desk(box, clock or VirtualClock(MORNING), **more)
    try:
        yield opened
    finally:
        opened.spool.close()


def allocate(box: Box, key: Any = KEY, day: date = TODAY, **changes: Any) -> Path:
    """Put the allocation of that day into the gateway's folder, as if it had been fetched."""
    return put_signed(box.root / "allocations", day, key, **changes)
