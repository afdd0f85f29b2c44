"""A venue for tests: devices on the virtual radio, people who walk past them, and gateways with the real collector.

Whatever happens in a test, at its end what has landed is held against what people did: `at_a_venue` sees to it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Literal
from unittest.mock import patch

import pytest

from edge_collector.collector import Collector
from edge_collector.gateway import load_gateway
from edge_collector.pseudonym import Pseudonymizer
from edge_collector.readings import Link
from edge_collector.ship import Confirmed, Unreachable
from edge_collector.ship.object_store import FolderTarget
from edge_collector.ship.target import Segment
from edge_collector.testing.clock import MachineClock, VirtualClock
from edge_collector.testing.devices import MotionSensor, PairSensor, TriggerSensor, VirtualSensor
from edge_collector.testing.radio import VirtualRadio, virtual_radio
from edge_collector.testing.record_devices import Terminal, Till
from tests.edge.end_to_end.landed import Landing, instant

EVENING = datetime(2026, 2, 3, 2, 0, tzinfo=UTC)
"""An hour before the event date of 2 February ends: it is 03:00 at the venue, which begins its days at 04:00."""
SECRET_KEY = "231d39c1d7cc1ab1aee224cd096db932"
OTHER_KEY = "5b51a7c91cde6707c9ef18dfda143a58"
PSEUDONYM_KEY = "0123456789abcdef0123456789abcdef"
SAID_EVERY = 5.0
"""Seconds between two adverts of a sensor."""
OPTED_OUT = "MBR099999"
_PATIENCE = 20.0
_WHOLE_PATIENCE = 240.0
"""Seconds after which a scenario has come to a stand: it then says where everybody waits."""

SITE = """
[[venues]]
id = "hall"
name = "Market Hall"
time_zone = "Europe/Berlin"
currency = "EUR"
day_starts_at = "04:00"
opened_on = 2026-02-01
"""
EDGE = """
[gateway]
id = "{gateway}"
site = "../site.toml"
report_seconds = 60
heartbeat_seconds = 300
health = "127.0.0.1:0"

[landing]
target = "../landing"
segment_seconds = 60

[pseudonyms]
key_file = "pseudonym.key"
opted_out_file = "opted_out"
"""
ADDRESS = {
    name: f"C0:00:00:00:00:{number:02X}"
    for number, name in enumerate(
        ("entrance", "north", "south", "outer", "inner", "porch", "terminal", "till", "side", "stranger"), 1
    )
}
DEVICES: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "gw": {
        "entrance": ("entrance_counts", {"source": "bthome", "address": ADDRESS["entrance"], "key": SECRET_KEY}),
        "north": ("boundary_counts", {"source": "bthome", "address": ADDRESS["north"]}),
        "south": ("boundary_counts", {"source": "bthome", "address": ADDRESS["south"], "key": OTHER_KEY}),
        "passage": (
            "boundary_counts",
            {
                "source": "pair",
                "outer_address": ADDRESS["outer"],
                "inner_address": ADDRESS["inner"],
                "common_clock": True,
            },
        ),
        "porch": ("entrance_counts", {"source": "bthome", "address": ADDRESS["porch"]}),
        "terminal": ("face_visits", {"source": "records", "address": ADDRESS["terminal"]}),
        "desk": ("identity_links", {"source": "records", "address": ADDRESS["terminal"]}),
        "till": ("orders", {"source": "records", "address": ADDRESS["till"]}),
        "gateway": ("gateway_events", {"source": "gateway"}),
    },
    "gw_side": {
        "side": ("boundary_counts", {"source": "bthome", "address": ADDRESS["side"]}),
        "gateway_side": ("gateway_events", {"source": "gateway"}),
    },
}
"""By gateway and id: the stream, as site.toml has it, and how the device is met, as edge.toml has it."""


def _table(name: str, fields: dict[str, Any]) -> str:
    return f"\n[[{name}]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())


class Uplink:
    """The way to the landing, which can be down, and whose answers can get lost."""

    def __init__(self, landing: Path) -> None:
        self._target = FolderTarget(landing)
        self.up, self.answers = True, True

    async def put(self, segment: Segment) -> Confirmed:
        if not self.up:
            raise Unreachable("the uplink is down")
        confirmed = await self._target.put(segment)
        if not self.answers:
            raise Unreachable("the answer got lost")
        return confirmed

    async def check(self) -> None:
        await self._target.check()

    async def close(self) -> None:
        await self._target.close()


class Machine:
    """A gateway: its folder, its clock, its adapter, and the collector while it runs."""

    def __init__(self, venue: Venue, gateway_id: str, adapter: str) -> None:
        self.root, self.adapter = venue.root / gateway_id, venue.radio.adapter(adapter)
        self._venue, self._adapter_name = venue, adapter
        self.clock = MachineClock(venue.clock)
        self.uplink = Uplink(venue.landing_folder)
        self.collector: Collector | None = None
        self.boots = 1
        self._running: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._handed_over = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.root.mkdir()
        listed = "".join(
            _table("devices", {"id": name, "venue_id": "hall", **met}) for name, (_, met) in DEVICES[gateway_id].items()
        )
        files = {
            "edge.toml": EDGE.format(gateway=gateway_id) + listed,
            "pseudonym.key": PSEUDONYM_KEY,
            "opted_out": f"{OPTED_OUT}\n",
        }
        for name, text in files.items():
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
        ended, _ = await asyncio.wait([self._running], timeout=_PATIENCE)
        if not ended:
            raise AssertionError(f"the collector does not end; waiting: {'; '.join(_everybody())}")

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
        site = "".join(
            _table("devices", {"id": name, "venue_id": "hall", "gateway_id": gateway_id, "stream": stream})
            for gateway_id, devices in DEVICES.items()
            for name, (stream, _) in devices.items()
        )
        (root / "site.toml").write_text(SITE + site)
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
            machine.uplink.up = machine.uplink.answers = True
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
            async with asyncio.timeout(_PATIENCE):
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


def _everybody() -> Iterator[str]:
    """Every task, and the innermost line at which it waits."""
    for task in asyncio.all_tasks():
        waits: Any = task.get_coro()
        place = ""
        while (frame := getattr(waits, "cr_frame", None)) is not None:
            place += f" > {Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
            waits = waits.cr_await
        yield f"{task.get_name()}{place} > {waits!r:.200}"


Scenario = Callable[..., Awaitable[None]]


def at_a_venue(test: Scenario) -> Callable[..., None]:
    """Make a test of a coroutine that wants an open venue; it ends with what landed being held against the truth."""
    further: Sequence[inspect.Parameter] = list(inspect.signature(test).parameters.values())[1:]

    async def scenario(root: Path, given: dict[str, Any]) -> Venue:
        with virtual_radio() as radio:
            venue = Venue(root, radio)
            try:
                async with asyncio.timeout(_WHOLE_PATIENCE):
                    await venue.open()
                    await test(venue, **given)
                    await venue.close()
            except TimeoutError as error:
                raise AssertionError(f"it came to a stand; waiting: {'; '.join(_everybody())}") from error
            finally:
                await venue.abandon()
        return venue

    def run(tmp_path: Path, caplog: pytest.LogCaptureFixture, **given: Any) -> None:
        caplog.set_level(logging.DEBUG, "edge_collector")
        if "tmp_path" in {p.name for p in further}:
            given["tmp_path"] = tmp_path
        (root := tmp_path / "venue").mkdir()
        venue = asyncio.run(scenario(root, given))
        venue.expect_exact(caplog.text)

    own = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("tmp_path", "caplog")]
    run.__signature__ = inspect.Signature([*own, *(p for p in further if p.name != "tmp_path")])  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
