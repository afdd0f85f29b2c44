"""The target that an edge file names."""

from __future__ import annotations

from edge_collector.gateway import Gateway
from edge_collector.people import private_text
from edge_collector.ship import Target, target_of


def target(gateway: Gateway) -> Target:
    """Where this gateway's segments go. Raises KeyProblem, TargetError."""
    landing = gateway.settings.landing
    token = private_text(gateway.file(landing.token_file)).strip() if landing.token_file else None
    ca_file = gateway.file(landing.ca_file) if landing.ca_file else None
    address = landing.target if "://" in landing.target else str(gateway.file(landing.target))
    mount_point = gateway.file(landing.mount_point) if landing.mount_point else None
    return target_of(address, token=token, ca_file=ca_file, mount_point=mount_point)
