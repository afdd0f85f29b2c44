"""What is installed at the venue: its devices with their addresses and keys, and the files that say so.

What does not belong here: what a device or a gateway does.
"""

from __future__ import annotations

import json
from typing import Any

SECRET_KEY = "231d39c1d7cc1ab1aee224cd096db932"
OTHER_KEY = "5b51a7c91cde6707c9ef18dfda143a58"
PSEUDONYM_KEY = "0123456789abcdef0123456789abcdef"
OPTED_OUT = "MBR099999"
"""The one member on the list of those who opted out."""

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


def site_file() -> str:
    """site.toml of the venue, with the devices of all gateways."""
    return SITE + "".join(
        _table("devices", {"id": name, "venue_id": "hall", "gateway_id": gateway_id, "stream": stream})
        for gateway_id, devices in DEVICES.items()
        for name, (stream, _) in devices.items()
    )


def gateway_files(gateway_id: str) -> dict[str, str]:
    """What its owner has put into the folder of a gateway, by name."""
    listed = "".join(
        _table("devices", {"id": name, "venue_id": "hall", **met}) for name, (_, met) in DEVICES[gateway_id].items()
    )
    return {
        "edge.toml": EDGE.format(gateway=gateway_id) + listed,
        "pseudonym.key": PSEUDONYM_KEY,
        "opted_out": f"{OPTED_OUT}\n",
    }


def _table(name: str, fields: dict[str, Any]) -> str:
    return f"\n[[{name}]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
