"""A virtual radio: everything in one hall that sends and hears Bluetooth, with bumble's controllers on one link.

While `virtual_radio()` is open, the real `bleak` scans and connects over it. What can go wrong with a radio can be
made to: adverts get lost, links break between two packets, an adapter goes deaf or is pulled out, somebody records
adverts and sends them again, or sends under a name that is not theirs.

What does not belong here: what devices say (`devices`), how bleak is served (`bleak_backend`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Final
from unittest.mock import patch

import bleak

try:
    from bumble.hci import Address
    from bumble.ll import AdvInd
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("the virtual radio needs bumble; run: pip install 'venue-assets[testing]'") from missing

from edge_collector.testing.adapter import VirtualAdapter
from edge_collector.testing.air import Advert, Air
from edge_collector.testing.bleak_backend import VirtualClient, VirtualScanner

ADVERT_BYTES: Final = 31
"""What a legacy advertisement can carry."""


class VirtualRadio:
    """The air of one hall, and what tests and attackers do to it."""

    def __init__(self, seed: int = 0) -> None:
        self.air = Air(Random(seed))  # noqa: S311 (losses, no secrets)
        self._adapters: dict[str, VirtualAdapter] = {}

    @property
    def loss(self) -> float:
        """The share of adverts that a receiver misses, each for itself. Connections repeat what they lose; they
        break instead (`break_link`)."""
        return self.air.loss

    @loss.setter
    def loss(self, share: float) -> None:
        self.air.loss = share

    def adapter(self, name: str = "hci0") -> VirtualAdapter:
        """The Bluetooth adapter of a gateway: two gateways are two names."""
        if name not in self._adapters:
            address = Address(f"F0:00:00:00:00:{len(self._adapters):02X}")
            self._adapters[name] = VirtualAdapter(name, address, self.air)
        return self._adapters[name]

    def transmit(self, address: str, payload: bytes) -> None:
        """Send one advertisement under this address, whoever's it is (so this also spoofs)."""
        if len(payload) > ADVERT_BYTES:
            raise ValueError(f"{len(payload)} bytes do not fit into an advertisement of {ADVERT_BYTES}")
        self.air.send_advertising_pdu(None, AdvInd(Address(address), payload))

    @contextmanager
    def recording(self) -> Iterator[list[Advert]]:
        """Every advertisement that is sent meanwhile, also those that others miss."""
        tape: list[Advert] = []
        self.air.tapes.append(tape)
        try:
            yield tape
        finally:
            self.air.tapes.remove(tape)

    def replay(self, tape: Iterable[Advert]) -> None:
        """Send recorded advertisements again, as they were."""
        for advert in tape:
            self.transmit(*advert)

    def break_link(self, address: str, after: int = 0) -> None:
        """Break all connections of this device: now, or when it has sent `after` more packets, just before the next.

        Neither side gets a word in: both notice the supervision timeout.
        """
        if after:
            self.air.fuses[Address(address)] = after
        else:
            self.air.cut(Address(address))

    def close(self) -> None:
        """Silence. Whoever advertises stops."""
        for controller in list(self.air.controllers):
            self.air.leave(controller)


@contextmanager
def virtual_radio(seed: int = 0) -> Iterator[VirtualRadio]:
    """Put a virtual radio under bleak: `BleakScanner` and `BleakClient` use it until the block ends."""
    radio = VirtualRadio(seed)
    scanner, client = VirtualScanner.on(radio.adapter), VirtualClient.on(radio.adapter)
    with (
        patch.object(bleak, "get_platform_scanner_backend_type", lambda: (scanner, "virtual radio")),
        patch.object(bleak, "get_platform_client_backend_type", lambda: (client, "virtual radio")),
    ):
        try:
            yield radio
        finally:
            radio.close()
