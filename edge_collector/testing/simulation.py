"""`edge-collector simulate`: people walk through a virtual hall, and the real collector hears of it over a bad radio.

Sensors, terminal and till are virtual devices on a virtual radio; a kiosk posts over HTTP and a screen asks which
variant to show. Adverts get lost, links break, a recording is replayed, a stranger advertises, a sensor is restarted,
and the uplink fails and forgets to answer. At the end what walkers did is held against what has landed.

What does not belong here: the devices (`devices`, `record_devices`), the radio (`radio`), the uplink (`uplink`).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Final

import httpx

from edge_collector.clock import SystemClock
from edge_collector.collector import Collector
from edge_collector.durable import write_atomically
from edge_collector.gateway import Gateway, load_gateway
from edge_collector.pseudonym import load_pseudonymizer
from edge_collector.segment import manifests, numbered_lines, read_manifest, read_segment, segment_of
from edge_collector.ship import Target
from edge_collector.testing.devices import PairSensor
from edge_collector.testing.radio import VirtualRadio, virtual_radio
from edge_collector.testing.record_devices import RecordDevice, Terminal, Till
from edge_collector.testing.uplink import Uplink

_dice = Random  # what happens in the hall is no secret
_STRANGER: Final = "C0:00:00:00:00:99"
_ADVERTISED_EVERY: Final = 0.2
_AD_LOSS: Final = 0.3
_ANSWERS: Final = 0.85
"""The share of segments of which the gateway hears that they have landed."""
_FILES: Final = ("site.toml", "edge.toml")
_MEMORY: Final = ("in_total", "out_total", "packet_id", "counter")
"""What a sensor knows after a night without anybody listening."""
_PATIENCE: Final = 12.0
"""Seconds in which everything that is under way at the end must have arrived."""

Progress = Callable[[float, "Truth"], None]
"""Called now and then with the share of the time that has passed and what has been made so far."""


@dataclass
class Truth:
    """What walkers did, by what the table calls it."""

    made: Counter[str] = field(default_factory=Counter)
    opted_out: int = 0
    """Visits of members who opted out: made, and refused on purpose."""


@dataclass(frozen=True)
class Line:
    """One line of the table: made = landed + refused, or something is wrong."""

    what: str
    made: int
    captured: int
    landed: int
    refused: int

    @property
    def balances(self) -> bool:
        return self.made == self.landed + self.refused and self.captured == self.landed


@dataclass(frozen=True)
class Outcome:
    """The table, what was left out by source and reason, and what the uplink did."""

    lines: list[Line]
    refused: dict[tuple[str, str], int]
    segments: int
    repeated: int
    """Segments that were put again, because the answer got lost."""
    failures: int
    left: int
    """Records and rows that still wait in the spool."""

    @property
    def balances(self) -> bool:
        return all(line.balances for line in self.lines) and self.left == 0


class SetClock(SystemClock):
    """This machine's clock, taken to be right: a simulation must not wait a day for a time source."""

    def synced(self) -> bool:
        return True


def prepare(root: Path) -> Gateway:
    """The folder of a hall: site.toml, landing/ and gateway/ as they are expected there; what exists stays."""
    (root / "landing").mkdir(parents=True, exist_ok=True)
    (root / "gateway").mkdir(exist_ok=True)
    for name, path in zip(_FILES, (root / "site.toml", root / "gateway" / "edge.toml"), strict=True):
        if not path.exists():
            path.write_text((files("edge_collector.testing") / "hall" / name).read_text())
            path.chmod(0o600)
    load_pseudonymizer(root / "gateway" / "pseudonym.key", create=True)
    return load_gateway(root / "gateway" / "edge.toml")


async def simulate(gateway: Gateway, target: Target, *, seconds: float, seed: int, progress: Progress) -> Outcome:
    """Let people walk for so many seconds, then wait until everything has arrived, and compare."""
    with virtual_radio(seed) as radio:
        radio.loss = _AD_LOSS
        uplink = Uplink(target, _dice(f"uplink/{seed}"), answers=_ANSWERS)
        collector = Collector(gateway, clock=SetClock(), target=uplink)
        stop = asyncio.Event()
        collecting = asyncio.create_task(collector.run(stop))
        try:
            await collector.ready.wait()
            hall = _Hall(gateway, collector, radio, seed)
            await hall.open(seconds, uplink, progress)
        finally:
            uplink.mend()
            stop.set()
            await collecting
    return _outcome(gateway, collector, hall.truth, uplink)


class _Hall:
    """The devices, the walkers and what happens to both."""

    def __init__(self, gateway: Gateway, collector: Collector, radio: VirtualRadio, seed: int) -> None:
        self.truth = Truth()
        self._collector, self._radio, self._chance = collector, radio, _dice(seed)
        self._known = {known.device.id: known for known in gateway.devices}
        of = {name: known.met for name, known in self._known.items()}
        self._sensors = {
            name: PairSensor(radio, of[name].name, key=of[name].bindkey) for name in ("north", "south", "entrance")
        }
        # Their logs are this run's, so they have names of their own.
        self._terminal = Terminal(radio, of["terminal"].name, seed=collector.boot_id)
        self._till = Till(radio, of["till"].name, seed=collector.boot_id)
        self._memory = gateway.file("sensors.json")
        self._remember()
        self._stranger = PairSensor(radio, _STRANGER)
        self._restarting: set[str] = set()
        self._inside = 0
        self._run = collector.boot_id.rpartition(".")[2]
        """Part of every number that is given: what is sold in another run is something else."""

    async def open(self, seconds: float, uplink: Uplink, progress: Progress) -> None:
        """Everything that happens in the hall."""
        await self._terminal.switch_on()
        await self._till.switch_on()
        clock = self._collector.clock
        async with asyncio.TaskGroup() as going_on:
            background = [
                going_on.create_task(work)
                for work in (
                    *(sensor.run(clock, _ADVERTISED_EVERY) for sensor in (*self._sensors.values(), self._stranger)),
                    self._break_links(),
                    self._cut_uplink(uplink),
                    self._replay(seconds),
                    self._keep_in_mind(),
                )
            ]
            await self._first_heard()
            restart = going_on.create_task(self._restart("south", seconds / 2))
            began = clock.monotonic()
            while (passed := clock.monotonic() - began) < seconds:
                going_on.create_task(self._walk(self.truth.made["people"]))
                self.truth.made["people"] += 1
                progress(passed / seconds, self.truth)
                await clock.sleep(self._chance.expovariate(6))
            await restart
            await self._until(lambda: self._inside == 0, "walkers are still in the hall")
            await self._until(lambda: not self._terminal.kept and not self._till.kept, "the logs are not empty")
            with suppress(TimeoutError):  # the table tells it
                await self._until(lambda: all(map(self._is_believed, self._sensors)), "a sensor is not believed")
            progress(1.0, self.truth)
            for task in background:
                task.cancel()

    def _remember(self) -> None:
        """What the sensors of an earlier run in this folder had counted: they have not been restarted since."""
        if self._memory.exists():
            for name, kept in json.loads(self._memory.read_text()).items():
                vars(self._sensors[name]).update(kept)

    async def _keep_in_mind(self) -> None:
        try:
            while True:
                await self._collector.clock.sleep(1)
                self._write_memory()
        finally:
            self._write_memory()

    def _write_memory(self) -> None:
        kept = {n: {field: vars(s)[field] for field in _MEMORY} for n, s in self._sensors.items()}
        write_atomically(self._memory, json.dumps(kept).encode())

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                while not condition():
                    await self._collector.clock.sleep(0.05)
        except TimeoutError:
            raise TimeoutError(f"after {_PATIENCE:g} s {what}") from None

    async def _first_heard(self) -> None:
        """The first total of a sensor is only its baseline, so nobody walks before each has been heard."""
        names = {("hall", name) for name in self._sensors}
        await self._until(lambda: names <= set(self._collector.tally.last_seen), "a sensor has not been heard")

    def _is_believed(self, name: str) -> bool:
        """How long that takes depends on how many adverts come through, and on what the gateway knows of the sensor."""
        sensor = self._sensors[name]
        return self._collector.intake.believed(self._known[name]) == (sensor.in_total, sensor.out_total)

    # Walkers ----------------------------------------------------------------------------------------------------------

    async def _walk(self, number: int) -> None:
        self._inside += 1
        try:
            await self._pass_by(number)
        finally:
            self._inside -= 1

    async def _pass_by(self, number: int) -> None:
        chance, clock = _dice(f"walker/{number}/{self._chance.random()}"), self._collector.clock
        side = chance.choice(("north", "south"))
        await self._cross(side, inwards=True)
        await clock.sleep(chance.uniform(0.1, 0.6))
        if chance.random() < 0.5:
            await self._visit(number, chance)
        await self._cross(side, inwards=False)

    async def _visit(self, number: int, chance: Random) -> None:
        clock, member = self._collector.clock, None
        await self._cross("entrance", inwards=True)
        recognised = chance.random() < 0.7
        if recognised:
            member = None if chance.random() < 0.05 else f"M{chance.randrange(1, 200):05d}"
            self._seen(member, "enter")
            if member:
                await self._ask_screen(member, f"{self._run}-{number}")
        await clock.sleep(chance.uniform(0.5, 4))
        if chance.random() < 0.4:
            await self._buy(number, member, chance)
        if recognised:
            self._seen(member, "leave")
        await self._cross("entrance", inwards=False)

    async def _cross(self, name: str, *, inwards: bool) -> None:
        await self._until(lambda: name not in self._restarting, f"{name} is still restarting")
        sensor = self._sensors[name]
        (sensor.walk_in if inwards else sensor.walk_out)()
        of = "entrance" if name == "entrance" else "boundary"
        self.truth.made[f"{of} {'in' if inwards else 'out'}"] += 1

    def _seen(self, member: str | None, direction: str) -> None:
        self._terminal.recognise(member, "enter" if direction == "enter" else "leave")
        self.truth.made[f"visits {direction}"] += 1
        self.truth.opted_out += member is None

    async def _buy(self, number: int, member: str | None, chance: Random) -> None:
        lines = chance.choice((1, 1, 2, 3))
        if chance.random() < 0.5:
            for line in range(1, lines + 1):
                amount = f"{chance.randrange(150, 2500) / 100:.2f}"
                self._till.sell(f"T{self._run}-{number}", amount, member_number=member, order_no=line)
        else:
            await self._post_order(number, member, lines, chance)
        self.truth.made["order lines"] += lines

    async def _post_order(self, number: int, member: str | None, lines: int, chance: Random) -> None:
        orders = [
            {
                "id": f"K{self._run}-{number}/{line}", "order_id": f"K{self._run}-{number}",
                "order_no": line, "member_number": member,
                "ordered_at": self._collector.clock.now().isoformat(), "category_id": "kiosk", "quantity": 1,
                "amount": f"{chance.randrange(150, 2500) / 100:.2f}", "currency": "EUR", "status": "completed",
            }
            for line in range(1, lines + 1)
        ]  # fmt: skip
        # A kiosk that has not heard the answer sends again; this one often has not.
        for _ in range(chance.choice((1, 1, 2))):
            (await self._post("http", "/readings/hall/kiosk", {"orders": orders})).raise_for_status()

    async def _ask_screen(self, member: str, visit: str) -> None:
        question = {"experiment_id": "greeting", "member_number": member, "visit": visit}
        (await self._post("health", "/assign", question)).raise_for_status()
        self.truth.made["assignments"] += 1

    async def _post(self, where: str, path: str, body: object) -> httpx.Response:
        listener = self._collector.http_listener if where == "http" else self._collector.health_listener
        assert listener is not None
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return await client.post(f"http://127.0.0.1:{listener.getsockname()[1]}{path}", json=body)

    # What goes wrong --------------------------------------------------------------------------------------------------

    async def _break_links(self) -> None:
        devices: tuple[RecordDevice, ...] = (self._terminal, self._till)
        while True:
            await self._collector.clock.sleep(self._chance.uniform(2, 5))
            self._radio.break_link(self._chance.choice(devices).address, after=self._chance.randrange(4))

    async def _cut_uplink(self, uplink: Uplink) -> None:
        while True:
            await self._collector.clock.sleep(self._chance.uniform(2, 6))
            uplink.up = False
            await self._collector.clock.sleep(self._chance.uniform(1, 4))
            uplink.up = True

    async def _replay(self, seconds: float) -> None:
        """Somebody records the first seconds and sends them again, as they were, until the end."""
        with self._radio.recording() as tape:
            await self._collector.clock.sleep(seconds / 6)
        heard = [advert for advert in tape if advert.address != _STRANGER]
        while True:
            await self._collector.clock.sleep(seconds / 5)
            self._radio.replay(heard)

    async def _restart(self, name: str, after: float) -> None:
        """A sensor loses its totals. Nobody walks past until both the last old and the first new ones are believed:
        whom it had counted and not told nobody can know, and a reset that nobody heard of is none."""
        await self._collector.clock.sleep(after)
        self._restarting.add(name)
        await self._until(lambda: self._is_believed(name), f"what {name} says is not believed")
        self._sensors[name].reboot()
        await self._until(lambda: self._is_believed(name), f"nobody has heard that {name} was restarted")
        self._restarting.discard(name)


# What has landed ------------------------------------------------------------------------------------------------------


def _outcome(gateway: Gateway, collector: Collector, truth: Truth, uplink: Uplink) -> Outcome:
    landed, segments = _landed(gateway, collector.boot_id)
    tally, shipped = collector.tally, collector.shipper.shipped
    lines = []
    for of in ("boundary", "entrance"):
        for way in ("in", "out"):
            captured = tally.people[f"{of}_counts", way]
            lines.append(Line(f"{of} {way}", truth.made[f"{of} {way}"], captured, landed[f"{of}_counts {way}"], 0))
    visits = truth.made["visits enter"] + truth.made["visits leave"]
    for what, stream, made, left_out in (
        ("visits", "face_visits", visits, truth.opted_out),
        ("order lines", "orders", truth.made["order lines"], 0),
        ("assignments", "assignments", truth.made["assignments"], 0),
    ):
        captured = sum(n for (_, s), n in tally.captured.items() if s == stream)
        lines.append(Line(what, made, captured, landed[stream], left_out))
    left = collector.left.records + collector.left.segment_rows
    return Outcome(lines, dict(tally.refused), segments, shipped.repeated, uplink.failures, left)


def _landed(gateway: Gateway, boot_id: str) -> tuple[Counter[str], int]:
    """Records of this run by stream, and the people in its counts; every one once, verified as a reader does."""
    found: Counter[str] = Counter()
    segments, landing = 0, gateway.file(gateway.settings.landing.target)
    seen: set[tuple[str, int]] = set()
    for stream, manifest in _manifests(landing):
        about = read_manifest(manifest)
        if (about.gateway_id, about.boot_id) != (gateway.id, boot_id):
            continue
        segments += 1
        for _, line in numbered_lines(read_segment(segment_of(manifest), about)):
            record = json.loads(line)
            assert (stream, record["seq"]) not in seen, f"{stream} {record['seq']} has landed twice"
            seen.add((stream, record["seq"]))
            found[stream] += 1
            for way in ("in", "out"):
                found[f"{stream} {way}"] += record.get(f"{way}_count") or 0
    return found, segments


def _manifests(landing: Path) -> Iterator[tuple[str, Path]]:
    for folder in sorted(landing.glob("*/event_date=*")):
        day = date.fromisoformat(folder.name.removeprefix("event_date="))
        for manifest in manifests(landing, folder.parent.name, day):
            yield folder.parent.name, manifest
