"""A venue for tests: devices on the virtual radio, people who walk past them, and what has come of it in the landing.

What does not belong here: what is installed (`installation`), how a gateway runs (`machine`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from edge_collector.gateway import load_gateway
from edge_collector.pseudonym import Pseudonymizer
from edge_collector.readings import Link
from edge_collector.testing.clock import VirtualClock
from edge_collector.testing.devices import MotionSensor, PairSensor, TriggerSensor, VirtualSensor
from edge_collector.testing.radio import VirtualRadio
from edge_collector.testing.record_devices import Terminal, Till
from tests.edge.end_to_end.installation import ADDRESS, OPTED_OUT, OTHER_KEY, PSEUDONYM_KEY, SECRET_KEY, site_file
from tests.edge.end_to_end.landed import Landing, instant
from tests.edge.end_to_end.machine import Machine
from tests.edge.end_to_end.waiting import PATIENCE

EVENING = datetime(2026, 2, 3, 2, 0, tzinfo=UTC)
"""An hour before the event date of 2 February ends: it is 03:00 at the venue, which begins its days at 04:00."""
SAID_EVERY = 5.0
"""Seconds between two adverts of a sensor."""


@dataclass
class Truth:
    """What people did."""

    crossed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By device and direction."""
    turned_round: int = 0
    """In the passage, seen by one sensor of the two."""
    visits: list[tuple[str, str, datetime]] = field(default_factory=list)
    """Member, direction, when."""
    opted_out: int = 0
    lines: list[tuple[str, int, str | None, Decimal]] = field(default_factory=list)
    """Order, number of the line, member, amount."""
    links: list[tuple[str, str]] = field(default_factory=list)


class Venue:
    """One hall in virtual time. Sensors advertise by themselves; all else happens when a test says so."""

    def __init__(self, root: Path, radio: VirtualRadio) -> None:
        self.root, self.radio, self.clock, self.truth = root, radio, VirtualClock(EVENING), Truth()
        self.landing_folder = root / "landing"
        self.landing_folder.mkdir()
        (root / "site.toml").write_text(site_file())
        self.machines: dict[str, Machine] = {}
        self.boot_ids: list[str] = []
        """Of all runs of all gateways, in order."""
        self.sensors: dict[str, PairSensor] = {
            "entrance": PairSensor(radio, ADDRESS["entrance"], key=bytes.fromhex(SECRET_KEY)),
            "north": PairSensor(radio, ADDRESS["north"]),
            "south": PairSensor(radio, ADDRESS["south"], key=bytes.fromhex(OTHER_KEY)),
        }
        self.outer, self.inner = TriggerSensor(radio, ADDRESS["outer"]), TriggerSensor(radio, ADDRESS["inner"])
        self.porch = MotionSensor(radio, ADDRESS["porch"], battery=9)
        self.terminal, self.till = Terminal(radio, ADDRESS["terminal"]), Till(radio, ADDRESS["till"])
        self.pair_clock_ahead = 1_000_000.0
        self._living: list[asyncio.Task[Any]] = []
        self._closed = False

    @property
    def gateway(self) -> Machine:
        return self.machines["gw"]

    # Opening and closing ----------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Devices are switched on, the gateway runs, and every counter has been heard."""
        await self.terminal.switch_on()
        await self.till.switch_on()
        for sensor in (*self.sensors.values(), self.outer, self.inner, self.porch):
            self.live(sensor)
        await self.add_gateway("gw", "hci0", set(self.sensors))

    async def add_gateway(self, gateway_id: str, adapter: str, hears: set[str]) -> Machine:
        """A gateway, which has its baseline of these counters."""
        machine = self.machines[gateway_id] = Machine(self, gateway_id, adapter)
        await machine.start()
        wanted = {("hall", name) for name in hears}
        await self.until(lambda: wanted <= set(machine.tally.last_seen), passing=1.0)
        return machine

    def live(self, sensor: VirtualSensor) -> None:
        """It advertises from now on."""
        self._living.append(asyncio.create_task(sensor.run(self.clock, SAID_EVERY)))

    async def close(self) -> None:
        """Nobody walks any more; what is under way arrives; gateways are stopped in order."""
        if self._closed:
            return
        for machine in self.machines.values():
            machine.uplink.mend()
            machine.adapter.plug()
        self.radio.loss = 0.0
        await self.pass_time(150)
        await self.until(lambda: not self.terminal.kept and not self.till.kept, passing=5.0)
        for machine in self.machines.values():
            if not machine.clock.synced():
                machine.clock.sync()
        await self.pass_time(10)
        for machine in self.machines.values():
            await machine.stop()
            assert machine.collector
            left = machine.collector.left
            assert (left.records, left.segment_rows) == (0, 0), left
        self._closed = True

    async def abandon(self) -> None:
        """Let go of everything, however far it came."""
        for task in self._living:
            task.cancel()
        await asyncio.gather(*self._living, return_exceptions=True)
        for machine in self.machines.values():
            if machine.runs:
                await machine.kill()

    # Time -------------------------------------------------------------------------------------------------------------

    async def pass_time(self, seconds: float) -> None:
        """Time passes, not faster than gateways can note what they hear."""
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 1e-6:
            await self.clock.advance(min(left, SAID_EVERY / 2))
            await self.quiet()

    async def quiet(self) -> None:
        """Until nothing that was heard waits for the disk."""
        for _ in range(2):
            for machine in self.machines.values():
                await machine.idle()
                machine.check()
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], object], passing: float = 0.0) -> None:
        """Return when the condition holds; let `passing` seconds pass in each turn meanwhile."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    await self.quiet()
                    await (self.clock.advance(passing) if passing else asyncio.sleep(0))
        except TimeoutError:
            raise AssertionError("waited in vain") from None

    # What people do ---------------------------------------------------------------------------------------------------

    def walk(self, name: str, ins: int = 0, outs: int = 0) -> None:
        """People walk through one of the counters."""
        sensor = self.sensors[name]
        if ins:
            sensor.walk_in(ins)
        if outs:
            sensor.walk_out(outs)
        self.truth.crossed[name, "in"] += ins
        self.truth.crossed[name, "out"] += outs

    async def cross(self, *, inwards: bool, repeats: int = 3) -> None:
        """Somebody walks through the passage, and is through and counted."""
        self.step_through(inwards=inwards, repeats=repeats)
        await self.pass_time(5)

    def step_through(self, *, inwards: bool, repeats: int = 3) -> None:
        """Somebody walks through the passage, where two beams are broken."""
        at = round(self.clock.monotonic(), 3) + self.pair_clock_ahead
        first, second = (self.outer, self.inner) if inwards else (self.inner, self.outer)
        first.trigger(at, repeats)
        second.trigger(at + 0.4, repeats)
        self.truth.crossed["passage", "in" if inwards else "out"] += 1

    async def turn_round(self) -> None:
        """Somebody breaks the outer beam and goes back."""
        self.outer.trigger(round(self.clock.monotonic(), 3) + self.pair_clock_ahead)
        self.truth.turned_round += 1
        await self.pass_time(5)

    def recognise(self, member: str, direction: Literal["enter", "leave"]) -> None:
        """The terminal recognises a member."""
        at = self.clock.now().replace(microsecond=0)
        self.terminal.recognise(member, direction, at)
        if member == OPTED_OUT:
            self.truth.opted_out += 1
        else:
            self.truth.visits.append((member, direction, at))

    def sell(
        self, order_id: str, amount: str, member: str | None = None, order_no: int = 1, category_id: str = "drinks"
    ) -> None:
        """The till takes one line of an order."""
        at = self.clock.now().replace(microsecond=0)
        self.till.sell(order_id, amount, member_number=member, order_no=order_no, at=at, category_id=category_id)
        self.truth.lines.append((order_id, order_no, None if member == OPTED_OUT else member, Decimal(amount)))

    def link(self, terminal_number: str, member: str) -> None:
        """The desk notes that two numbers are one person's."""
        self.terminal.write(
            Link(device=ADDRESS["terminal"], terminal_number=terminal_number, member_number=member, action="link")
        )
        self.truth.links.append((terminal_number, member))

    # What has come of it ----------------------------------------------------------------------------------------------

    def landed(self) -> Landing:
        return Landing(self.landing_folder)

    def expect_exact(self, log: str) -> None:
        """What people did has landed, once, and nothing else; and nobody is named anywhere."""
        landing, truth = self.landed(), self.truth
        landing.expect_sound(load_gateway(self.gateway.root / "edge.toml").site, self.boot_ids)
        assert landing.people() == +truth.crossed
        unpaired = sum(record.unpaired_count or 0 for record in landing.of("boundary_counts"))
        assert unpaired == truth.turned_round
        pseudonym_of = Pseudonymizer(PSEUDONYM_KEY.encode())
        visits = [(v.user_id, v.direction, instant(v.recorded_at)) for v in landing.of("face_visits")]
        assert sorted(visits) == sorted((pseudonym_of(m), direction, at) for m, direction, at in truth.visits)
        lines = Counter((o.order_id, o.order_no, o.user_id, Decimal(o.amount)) for o in landing.of("orders"))
        assert lines == Counter((o, n, m and pseudonym_of(m), amount) for o, n, m, amount in truth.lines)
        links = Counter((k.terminal_user_id, k.member_user_id) for k in landing.of("identity_links"))
        assert links == Counter((pseudonym_of(t), pseudonym_of(m)) for t, m in truth.links)
        for place, content in {"the landing": landing.content, "a log": log.encode(), **self._kept()}.items():
            assert b"MBR0" not in content, f"a member number stands in {place}"

    def _kept(self) -> dict[str, bytes]:
        """What lies in the folders of gateways, but for the list of members that its owner has written."""
        paths = (path for machine in self.machines.values() for path in machine.root.rglob("*") if path.is_file())
        return {path.name: path.read_bytes() for path in paths if path.name != "opted_out"}
