"""A device that lives, and gateways that hear it badly: what the counting tests hold against the truth.

Time passes in seconds, and the device says how things stand once in each. What a gateway hears of it is lost, doubled
and overtaken as its luck has it, but never lost for longer than a living device may be silent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from edge_collector.counting.totals import CounterState, Counts, EpochOpened, Told, close_interval, count, resumed
from edge_collector.counting.voices import Rules
from edge_collector.readings import Dropped, Totals

SILENCE = 4
"""Seconds that a living device may be unheard, at most."""
RULES = Rules(settle_seconds=10, pause_seconds=SILENCE + 1, reorder_seconds=2)
SETTLED = int(RULES.settle_seconds * 2 + SILENCE * 3)
"""Seconds after which a living device is believed whatever came before."""
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass
class Gateway:
    luck: Random
    loss: float = 0.0
    state: CounterState | None = None
    kept: CounterState | None = None
    """What would survive a kill: the gateway writes only what must."""
    told: list[Told] = field(default_factory=list)
    heard: list[Totals] = field(default_factory=list)
    landed: list[Counts] = field(default_factory=list)
    clock_began: float = 0.0
    _unheard: int = 0
    _on_the_way: list[tuple[float, Totals]] = field(default_factory=list)

    def hears(self, now: float, said: Totals, replayed: list[Totals]) -> None:
        """A second in which the living device said this, as luck has it, and somebody replayed those frames."""
        arrive = [(now + (n + 1) / (len(replayed) + 1), frame) for n, frame in enumerate(replayed)]
        arrive += [late for late in self._on_the_way if late[0] < now + 1]
        self._on_the_way = [late for late in self._on_the_way if late[0] >= now + 1]
        self._unheard += 1
        if self._unheard >= SILENCE or self.luck.random() >= self.loss:
            self._unheard = 0
            arrive.append((now, said))
            if self.luck.random() < self.loss:
                # By a relay or a second antenna, once more and late.
                self._on_the_way.append((now + 1 + self.luck.random() * (RULES.reorder_seconds - 1), said))
        for at, frame in sorted(arrive, key=lambda arrival: arrival[0]):
            self.hear(at, frame)

    def hear(self, now: float, said: Totals) -> None:
        self.heard.append(said)
        self.state, told = count(self.state, said, now - self.clock_began, RULES)
        self.told += told
        self._keep()

    def close(self, now: float, seconds: float = 60) -> None:
        if self.state is not None:
            self.state, intervals = close_interval(self.state, MIDNIGHT + timedelta(seconds=now), seconds)
            self.landed += [i.counts for i in intervals]
            self._keep()

    def _keep(self) -> None:
        if self.state is not None and (self.kept is None or self.kept.lasting != self.state.lasting):
            self.kept = self.state

    def crash(self, now: float) -> None:
        """The machine restarts: what was kept is read back, and its clock begins anew."""
        self._on_the_way.clear()
        self.clock_began = now
        if self.kept is not None:
            self.kept = CounterState.from_json(self.kept.to_json())
            self.state = resumed(self.kept, 0.0)

    @property
    def counted(self) -> tuple[int, int]:
        """What landed, and what a close would land now."""
        probe = Gateway(self.luck, state=self.state, landed=list(self.landed))
        probe.close(0)
        return sum(c.in_count for c in probe.landed), sum(c.out_count or 0 for c in probe.landed)

    def epochs(self) -> list[EpochOpened]:
        return [t for t in self.told if isinstance(t, EpochOpened)]

    def dropped(self, reason: str) -> int:
        return sum(t.count for t in self.told if isinstance(t, Dropped) and t.reason == reason)


@dataclass
class Device:
    """`in_total`, `out_total` since it was switched on; `came`, `left`: all that it ever counted."""

    encrypted: bool
    gateways: list[Gateway]
    in_total: int = 0
    out_total: int = 0
    packet_id: int = 0
    counter: int = 0
    came: int = 0
    left: int = 0
    now: float = 0.0
    resets: int = 0

    def walk(self, ins: int, outs: int = 0) -> None:
        self.in_total += ins
        self.out_total += outs
        self.came += ins
        self.left += outs
        self.packet_id = (self.packet_id + 1) % 256

    def reboot(self, *, swap: bool) -> None:
        """Totals begin at zero; with a new battery all else does, too."""
        self.in_total = self.out_total = 0
        self.resets += 1
        self.packet_id = 0 if swap else (self.packet_id + 1) % 256
        if swap:
            self.counter = 0

    def say(self) -> Totals:
        self.counter += 1
        return Totals(
            device="door",
            in_total=self.in_total,
            out_total=self.out_total,
            packet_id=self.packet_id,
            counter=self.counter if self.encrypted else None,
        )

    def live(self, seconds: int = 1, replay: slice = slice(0)) -> None:
        """So many seconds go by, in which somebody may send each gateway a part of what it heard, as much in each."""
        recorded = [gateway.heard[replay] for gateway in self.gateways]
        for n in range(seconds):
            self.now += 1
            said = self.say()
            for gateway, frames in zip(self.gateways, recorded, strict=True):
                each = -(-len(frames) // seconds)
                gateway.hears(self.now, said, frames[n * each : (n + 1) * each])

    def heard_for_certain(self) -> None:
        """One more second, in which nothing gets lost."""
        self.now += 1
        said = self.say()
        for gateway in self.gateways:
            gateway.hear(self.now, said)
