"""The air between the virtual controllers: bumble's link bus, on which packets can get lost and links can break.

What does not belong here: who sends what (`devices`), and what a test may ask for (`radio`).
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import NamedTuple

from bumble.controller import Controller
from bumble.core import PhysicalTransport
from bumble.hci import Address, HCI_ErrorCode, HCI_Packet
from bumble.hci import HCI_LE_Extended_Advertising_Report_Event as _Reports
from bumble.link import LocalLink
from bumble.ll import AdvertisingPdu, AdvExtInd, AdvInd, ConnectInd


class Advert(NamedTuple):
    """One advertisement as it was on the air."""

    address: str
    payload: bytes


class Air(LocalLink):  # type: ignore[misc,unused-ignore]
    """bumble's link bus, on which packets can get lost and links break."""

    def __init__(self, chance: Random) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.loss = 0.0
        self.tapes: list[list[Advert]] = []
        self.fuses: dict[Address, int] = {}
        self._chance = chance

    def send_advertising_pdu(self, sender_controller: Controller | None, packet: AdvertisingPdu) -> None:
        advert = isinstance(packet, AdvInd | AdvExtInd)
        if isinstance(packet, AdvInd | AdvExtInd):
            for tape in self.tapes:
                tape.append(Advert(packet.advertiser_address.to_string(False), bytes(packet.data)))
        loop = asyncio.get_running_loop()
        # Controllers are a set: in the order of their names, the same seed loses the same packets.
        for receiver in sorted(self.controllers, key=lambda each: each.name):
            if receiver is not sender_controller and not (advert and self._chance.random() < self.loss):
                loop.call_soon(receiver.on_ll_advertising_pdu, packet)
        if isinstance(packet, ConnectInd):
            loop.call_soon(self._supervise, packet.initiator_address, packet.advertiser_address)

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: Address,
        transport: PhysicalTransport,
        data: bytes,
    ) -> None:
        sender = sender_controller.random_address
        left = self.fuses.get(sender)
        if left == 0:
            del self.fuses[sender]
            self.cut(sender)
            return
        if left is not None:
            self.fuses[sender] = left - 1
        super().send_acl_data(sender_controller, destination_address, transport, data)
        self._supervise(sender, destination_address)

    def cut(self, address: Address) -> None:
        """Both ends of all connections of this address notice the supervision timeout."""
        for each in self.controllers:
            for connection in list(each.le_connections.values()):
                if address in (each.random_address, connection.peer_address):
                    each.on_le_disconnected(connection, HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)

    def _supervise(self, *ends: Address) -> None:
        """So does an end whose other end is not there any more, or went before it knew of the connection."""
        for here, there in (ends, ends[::-1]):
            end, other = self.find_le_controller(here), self.find_le_controller(there)
            if end and (connection := end.le_connections.get(there)) and not (other and here in other.le_connections):
                end.on_le_disconnected(connection, HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)

    def leave(self, controller: Controller) -> None:
        """It neither sends nor hears any more."""
        controller.le_legacy_advertiser.stop()
        for advertising in controller.advertising_sets.values():
            advertising.stop()
        self.controllers.discard(controller)


class Chip(Controller):
    """bumble's controller without its echo: that reports each advertisement once more, as a scan response.

    It also leaves out the description of every packet for a log that nobody reads. It needs half the time.
    """

    def send_hci_packet(self, packet: HCI_Packet) -> None:
        if self.host and not _is_echo(packet):
            asyncio.get_running_loop().call_soon(self.host.on_packet, bytes(packet))


def _is_echo(packet: HCI_Packet) -> bool:
    return isinstance(packet, _Reports) and any(r.event_type & _Reports.EventType.SCAN_RESPONSE for r in packet.reports)
