"""Virtual sensors that advertise: they count who walks by and say so, over and over, to whoever listens.

A real sensor advertises every second or so by itself: `run` does. A test that wants one advertisement calls
`advertise`. What does not belong here: terminals and tills, which are connected to (`record_devices`).
"""

from __future__ import annotations

from typing import Final, Never

from edge_collector.clock import Clock
from edge_collector.codecs import bthome
from edge_collector.readings import Alive, Totals, Trigger
from edge_collector.testing.radio import VirtualRadio

_FLAGS: Final = bytes.fromhex("020106")
_SERVICE_DATA, _UUID = 0x16, b"\xd2\xfc"


class VirtualSensor:
    """Something that advertises BTHome v2: plain, or encrypted if it has a key."""

    def __init__(self, radio: VirtualRadio, address: str, *, key: bytes | None = None, battery: int = 100) -> None:
        self.address, self.battery = address, battery
        self.counter = 0
        """Of encrypted frames: the next one's."""
        self._radio, self._key = radio, key

    def advertise(self) -> None:
        """Say once how things stand."""
        raise NotImplementedError

    async def run(self, clock: Clock, every: float = 1.0) -> Never:
        """Say so every so many seconds, as a device does."""
        while True:
            self.advertise()
            await clock.sleep(every)

    def send(self, reading: Totals | Trigger | Alive) -> None:
        """One frame with this reading."""
        frame = bthome.encode(reading, key=self._key, counter=self.counter)
        self.counter += 1
        self._radio.transmit(self.address, _FLAGS + bytes([3 + len(frame), _SERVICE_DATA]) + _UUID + frame)


class PairSensor(VirtualSensor):
    """Counts who crosses its two beams, in each direction, since it was switched on."""

    def __init__(self, radio: VirtualRadio, address: str, *, key: bytes | None = None, battery: int = 100) -> None:
        super().__init__(radio, address, key=key, battery=battery)
        self.in_total = self.out_total = self.packet_id = 0

    def walk_in(self, people: int = 1) -> None:
        """People cross inwards. Nothing is sent yet."""
        self.in_total += people
        self._changed()

    def walk_out(self, people: int = 1) -> None:
        """People cross outwards."""
        self.out_total += people
        self._changed()

    def advertise(self) -> None:
        self.send(
            Totals(
                device=self.address,
                in_total=self.in_total,
                out_total=self.out_total,
                packet_id=self.packet_id,
                battery=self.battery,
            )
        )

    def reboot(self) -> None:
        """Totals were only in its memory; packet id and counter are in its flash."""
        self.in_total = self.out_total = 0
        self._changed()

    def swap_battery(self) -> None:
        """Everything begins again, also what an encrypting device must never repeat."""
        self.in_total = self.out_total = self.packet_id = self.counter = 0
        self.battery = 100

    def _changed(self) -> None:
        self.packet_id = (self.packet_id + 1) % 256


class MotionSensor(VirtualSensor):
    """Says whether it sees something move. What it saw between two advertisements nobody knows: it counts nothing."""

    moving = False

    def move(self, moving: bool = True) -> None:
        """Something moves, or has stopped to."""
        self.moving = moving
        self.advertise()

    def advertise(self) -> None:
        self.send(Alive(device=self.address, battery=self.battery, motion=self.moving))


class TriggerSensor(VirtualSensor):
    """One beam of a pair that leaves the counting to the gateway: it says when it was broken, by the pair's clock."""

    def trigger(self, at: float, repeats: int = 3) -> None:
        """Somebody breaks the beam, `at` seconds by the pair's clock. It is said a few times: adverts get lost."""
        for _ in range(repeats):
            # On the air it is motion and a time; that this is the inner sensor only the gateway knows.
            self.send(Trigger(device=self.address, sensor="outer", at=at))

    def advertise(self) -> None:
        self.send(Alive(device=self.address, battery=self.battery, motion=False))
