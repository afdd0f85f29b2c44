"""Everything that can go wrong, mixed by chance: what people did has landed all the same.

EDGE_SOAK=100 uv run pytest tests/edge/end_to_end/test_soak.py    so many different days instead of a few
EDGE_SOAK_FROM=40                                                 the first of them
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from edge_collector.testing.air import Advert
from edge_collector.testing.devices import PairSensor
from edge_collector.testing.record_devices import RecordDevice
from tests.edge.end_to_end.installation import ADDRESS, OPTED_OUT
from tests.edge.end_to_end.scenario import at_a_venue
from tests.edge.end_to_end.venue import SAID_EVERY, Venue

FIRST = int(os.environ.get("EDGE_SOAK_FROM", "0"))
DAYS = int(os.environ.get("EDGE_SOAK", "2"))
SCENES = 20
COUNTERS = ("entrance", "north", "south")
RECORDED = {ADDRESS[name] for name in COUNTERS}
SETTLED = 150.0
"""Seconds after which it is decided who spoke under an address, and a recording and a reset are two things."""


class Day:
    """A day at a venue on which chance decides. What it keeps from happening is what nobody could make up for: a
    counter that is reset before its last total was heard, a beam that is broken while nobody listens."""

    def __init__(self, venue: Venue, chance: Random, tape: list[Advert]) -> None:
        self.venue, self.chance, self.tape = venue, chance, tape
        self.happened: list[str] = []
        self.members = self.orders = 0
        self._to_replay: list[Advert] = []

    async def pass_(self) -> None:
        scenes: list[Callable[[], Awaitable[None]]] = [
            self.recording, self.recording, self.reset, self.reset, self.spoof, self.loss, self.adapter, self.deaf,
            self.kill, self.kill, self.power_cut, self.restart, self.uplink, self.clock, self.broken_link,
            self.broken_link, self.device_off, self.device_begins_anew, self.quiet_time,
        ]  # fmt: skip
        for _ in range(SCENES):
            await self.people()
            scene = self.chance.choice(scenes)
            self.happened.append(f"{self.venue.clock.monotonic():.0f} {scene.__name__}")
            await scene()

    # People -----------------------------------------------------------------------------------------------------------

    async def people(self) -> None:
        """They come and go for a while, and what was recorded before is played back beside them."""
        chance, venue = self.chance, self.venue
        for _ in range(chance.randrange(1, 5)):
            for name in chance.sample(COUNTERS, chance.randrange(4)):
                venue.walk(name, ins=chance.randrange(4), outs=chance.randrange(3))
            if chance.random() < 0.6:
                self.recognised()
            if chance.random() < 0.4:
                self.orders += 1
                for line in range(1, chance.randrange(2, 4)):
                    long = "x" * chance.choice((1, 100))
                    venue.sell(f"A{self.orders}", f"{line}.5", f"MBR{self.members:06d}", line, category_id=long)
            if chance.random() < 0.3 and self.listening:
                await venue.cross(inwards=chance.random() < 0.5, repeats=14)
            self.play_back()
            await venue.pass_time(chance.choice((0.2, 3.0, 10.0, 40.0)))

    def recognised(self) -> None:
        if self.chance.random() < 0.1:
            self.venue.recognise(OPTED_OUT, "enter")
        else:
            self.members += self.chance.random() < 0.6
            self.venue.recognise(f"MBR{self.members:06d}", self.chance.choice(("enter", "leave")))

    @property
    def listening(self) -> bool:
        return self.venue.gateway.runs and self.venue.gateway.adapter.scanning

    async def listens(self) -> None:
        """Put right what keeps the gateway from hearing."""
        self.venue.gateway.adapter.plug()
        await self.venue.until(lambda: self.listening, passing=5.0)

    # The air ----------------------------------------------------------------------------------------------------------

    async def recording(self) -> None:
        """A piece of what was on the air today will be played back."""
        heard = [advert for advert in self.tape if advert.address in RECORDED]
        if heard:
            start = self.chance.randrange(len(heard))
            self._to_replay = heard[start : start + 200]

    def play_back(self) -> None:
        now, self._to_replay = self._to_replay[:40], self._to_replay[40:]
        if now:
            self.venue.radio.replay(now)

    async def spoof(self) -> None:
        """A stranger speaks under the address of a counter: what cannot be, or what is not encrypted as it is."""
        name = self.chance.choice(COUNTERS)
        key = None if name == "north" else self.chance.choice((None, bytes(16)))
        spoof = PairSensor(self.venue.radio, ADDRESS[name], key=key)
        spoof.in_total, spoof.counter = self.chance.choice((10**6, 10**9, 2**32 - 1)), 10**6
        spoof.advertise()

    async def loss(self) -> None:
        self.venue.radio.loss = self.chance.choice((0.0, 0.1, 0.3))

    async def adapter(self) -> None:
        self.venue.gateway.adapter.unplug()
        await self.people()
        await self.venue.pass_time(self.chance.choice((2, 30, 400)))
        await self.listens()

    async def deaf(self) -> None:
        self.venue.gateway.adapter.deafen()

    # Counters ---------------------------------------------------------------------------------------------------------

    async def reset(self) -> None:
        """A counter begins again at zero, when its last total has been believed and the last that it said was heard,
        and nobody passes until that has been believed as well: what `counting` says that it cannot make up for."""
        venue, self._to_replay = self.venue, []
        await self.listens()
        loss, venue.radio.loss = venue.radio.loss, 0.0
        await venue.pass_time(SETTLED)
        name = self.chance.choice(COUNTERS)
        sensor = venue.sensors[name]
        seen, when = venue.gateway.tally.last_seen, ("hall", name)
        heard = seen[when]
        while seen[when] == heard:  # an encrypted frame that only a recording has would look like a new one
            await venue.pass_time(SAID_EVERY)
        self.happened.append(f"{venue.clock.monotonic():.0f} {name} is reset at {sensor.in_total}, {sensor.out_total}")
        self.chance.choice((sensor.reboot, sensor.swap_battery))()
        await venue.pass_time(SETTLED)
        venue.radio.loss = loss

    # The gateway ------------------------------------------------------------------------------------------------------

    async def kill(self) -> None:
        await self.venue.clock.advance(self.chance.uniform(0, 1))
        await self.venue.gateway.kill()
        await self._down()

    async def power_cut(self) -> None:
        gateway, synced = self.venue.gateway, self.chance.random() < 0.5
        await gateway.kill()
        gateway.lose_power(synced=synced, error=0.0 if synced else self.chance.choice((-1e9, -100.0, 5000.0)))
        await self._down()

    async def restart(self) -> None:
        await self.venue.gateway.stop()
        await self._down()

    async def _down(self) -> None:
        """Life goes on without the gateway for a while."""
        for name in COUNTERS:
            self.venue.walk(name, ins=self.chance.randrange(3))
        self.recognised()
        await self.venue.clock.advance(self.chance.choice((0.0, 5.0, 100.0, 1000.0)))
        self.venue.gateway.adapter.plug()
        await self.venue.gateway.start()

    async def uplink(self) -> None:
        uplink = self.venue.gateway.uplink
        uplink.up, uplink.answers = self.chance.choice(((True, 1.0), (False, 1.0), (True, 0.0)))

    async def clock(self) -> None:
        clock = self.venue.gateway.clock
        self.chance.choice(
            (clock.sync, clock.lose_sync, lambda: clock.step(self.chance.choice((-3600, 3600, -2, 40))))
        )()

    # Terminal and till ------------------------------------------------------------------------------------------------

    @property
    def device(self) -> RecordDevice:
        return self.chance.choice((self.venue.terminal, self.venue.till))

    async def broken_link(self) -> None:
        self.venue.radio.break_link(self.device.address, after=self.chance.randrange(8))

    async def device_off(self) -> None:
        device = self.device
        device.switch_off()
        await self.people()
        await self.venue.pass_time(self.chance.choice((1, 100)))
        await device.switch_on()

    async def device_begins_anew(self) -> None:
        """Its log is lost, or goes back to what it was earlier, when it has handed over all that was in it. That it
        went back is noticed before it has given as many numbers again: afterwards nobody could tell."""
        refused = self.venue.gateway.tally.refused
        device, self.venue.gateway.uplink.up = self.device, True
        await self.listens()
        await self.venue.until(lambda: not device.kept, passing=5.0)
        device.switch_off()
        if self.chance.random() < 0.5:
            device.reset()
        elif device.following > 5:
            device.oldest = device.following = device.following - 5
            noticed = refused["records", "rolled_back"] + 1
            await device.switch_on()
            await self.venue.until(lambda: refused["records", "rolled_back"] >= noticed, passing=1.0)
            return
        await device.switch_on()

    async def quiet_time(self) -> None:
        await self.venue.pass_time(self.chance.choice((60, 200)))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + DAYS))
@at_a_venue
async def test_a_day_on_which_everything_goes_wrong(venue: Venue, seed: int) -> None:
    with venue.radio.recording() as tape:
        day = Day(venue, Random(seed), tape)
        try:
            await day.pass_()
        finally:
            print("\n".join(day.happened))
