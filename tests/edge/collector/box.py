"""A gateway in a folder: site, edge file, keys, a folder to land in; and what has landed there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_collector.clock import Clock, SystemClock
from edge_collector.collector import Collector
from edge_collector.contract import parse
from edge_collector.gateway import Gateway, load_gateway
from edge_collector.segment import numbered_lines, read_manifest, read_segment, segment_of

SITE = """
[[venues]]
id = "riverside"
name = "Riverside"
time_zone = "Europe/Berlin"
currency = "EUR"
opened_on = 2026-01-01
"""
DEVICES = {
    "entrance": "entrance_counts",
    "north": "boundary_counts",
    "terminal": "face_visits",
    "till": "orders",
    "desk": "identity_links",
    "screen": "assignments",
    "gateway": "gateway_events",
}
EDGE = """
[gateway]
id = "gw"
report_seconds = 60
health = "127.0.0.1:0"

[landing]
target = "landing"
segment_seconds = 10

[http]
listen = "127.0.0.1:0"
"""


class SetClock(SystemClock):
    """This machine's clock, taken to be right; a machine that runs tests often has no time source."""

    def synced(self) -> bool:
        return True


@dataclass
class Box:
    """A gateway's folder."""

    root: Path

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    def write(self, edge: str, site: str = "", devices: dict[str, str] | None = None) -> Box:
        """`edge` follows what every gateway has; `devices` are of site.toml (id -> stream)."""
        self.landing.mkdir(parents=True, exist_ok=True)
        listed = "".join(
            f'\n[[devices]]\nid = "{device}"\nvenue_id = "riverside"\ngateway_id = "gw"\nstream = "{stream}"\n'
            for device, stream in (devices or DEVICES).items()
        )
        (self.root / "site.toml").write_text(SITE + listed + site)
        self.secret("edge.toml", EDGE + edge)
        self.secret("pseudonym.key", "0123456789abcdef0123456789abcdef")
        return self

    def secret(self, name: str, text: str) -> Path:
        path = self.root / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def gateway(self) -> Gateway:
        return load_gateway(self.root / "edge.toml")

    @asynccontextmanager
    async def running(self, clock: Clock | None = None) -> AsyncIterator[Collector]:
        """The collector at work; stopped in order at the end."""
        collector = Collector(self.gateway(), clock=clock or SetClock())
        stop = asyncio.Event()
        working = asyncio.ensure_future(collector.run(stop))
        try:
            ready = asyncio.ensure_future(collector.ready.wait())
            await asyncio.wait((ready, working), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            yield collector
        finally:
            stop.set()
            await working

    def landed(self, stream: str) -> list[dict[str, Any]]:
        """Every landed record of a stream, verified, in order of boot and number."""
        found = []
        for path in sorted(self.landing.glob(f"{stream}/event_date=*/*.manifest.json")):
            manifest = read_manifest(path)
            for _, line in numbered_lines(read_segment(segment_of(path), manifest)):
                parse(stream, line)
                found.append(json.loads(line) | {"event_date": str(manifest.event_date)})
        return sorted(found, key=lambda r: (r["boot_id"], r["seq"]))


def device(name: str, source: str, **more: Any) -> str:
    """One device of edge.toml."""
    fields = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
    return f'\n[[devices]]\nid = "{name}"\nvenue_id = "riverside"\nsource = "{source}"\n{fields}'
