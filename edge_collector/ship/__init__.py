"""Shipping: sealed segments leave the gateway, in any order, until the landing has confirmed each one's hash.

target.py           what a target is, what it is asked and what it can answer
address.py          which target an address means
object_store.py     a folder, or any S3-compatible store
landing_service.py  HTTP PUT to `venue landing`
shipper.py          the loop: backlog and live data side by side, back-off, what is deleted when

What does not belong here: how records become segments (`seal`), where they wait (`spool`), who receives them.
"""

from edge_collector.ship.address import target_of
from edge_collector.ship.shipper import Outbox, Shipper
from edge_collector.ship.target import (
    Confirmed,
    Conflict,
    Denied,
    Refused,
    Segment,
    ShippingProblem,
    Target,
    TargetError,
    Unreachable,
)

__all__ = [
    "Confirmed",
    "Conflict",
    "Denied",
    "Outbox",
    "Refused",
    "Segment",
    "Shipper",
    "ShippingProblem",
    "Target",
    "TargetError",
    "Unreachable",
    "target_of",
]
