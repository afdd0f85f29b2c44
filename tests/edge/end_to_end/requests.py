"""Requests that nobody should send, for every endpoint of a gateway and of the landing: random ones, and good ones with
something changed. They go to the ASGI applications as a server would hand them over.

What does not belong here: how many, and what is held against what comes of them (`test_fuzz_endpoints`,
`benchmarks/fuzz_endpoints`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette

from edge_collector import health
from edge_collector.collector import Collector
from edge_collector.serving import AtOnce
from edge_collector.sources import http
from tests.edge.codecs.fuzzing import inputs
from tests.edge.codecs.samples import ATTLOG, HIKVISION_JSON, HIKVISION_XML, OPERLOG, PLAIN, form
from tests.edge.collector.box import Box, SetClock, device
from tests.landing.harness import sealed
from venue_assets.home import Home
from venue_assets.landing.limits import Limits
from venue_assets.landing.service import application
from venue_assets.landing.tokens import FILE, add_token

_FORM, _FORM_TYPE = form(HIKVISION_JSON)
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "\x00", "post")
_HEADERS = ("authorization", "content-type", "content-length", "manifest-length", "if-none-match", "accept", "x")
_VALUES = (
    b"",
    b"0",
    b"-1",
    b"9" * 30,
    b"Bearer",
    b"Bearer x",
    b"Basic",
    b"Basic ===",
    b"Basic Og==",
    b"\xff\xfe",
    b"a" * 9000,
)
_PIECES = (
    "%00",
    "%ff",
    "..",
    "%2e%2e%2f",
    "/",
    "//",
    "?",
    "&",
    "SN=",
    "SN=ZK1",
    "=",
    "+",
    "%",
    "%C3%A9",
    "%e9",
    "x" * 3000,
)


@dataclass(frozen=True)
class Asked:
    """A request; `path` with its query. `cut`: the sender goes away before the end of the body."""

    method: str
    path: str
    headers: tuple[tuple[str, bytes], ...] = ()
    body: bytes = b""
    cut: bool = False

    def with_length(self) -> Asked:
        return replace(self, headers=(*self.headers, ("content-length", str(len(self.body)).encode())))


@dataclass(frozen=True)
class Answer:
    status: int
    content: bytes


@dataclass
class Endpoint:
    """An application with requests that it takes."""

    name: str
    application: Starlette
    good: list[Asked]
    at_once: Mapping[str, AtOnce] = field(default_factory=dict)
    """What its server answers without it."""
    statuses: Counter[int] = field(default_factory=Counter)

    async def ask(self, asked: Asked) -> Answer:
        """What is answered. Raises whatever escapes the application."""
        parts = [asked.body[:100], asked.body[100:]]
        raw, _, query = asked.path.partition("?")
        raw_path = raw.encode("utf-8", "surrogateescape")
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": asked.method,
            "scheme": "http", "path": unquote(raw), "raw_path": raw_path, "root_path": "",
            "query_string": query.encode("latin-1", "replace"), "client": ("127.0.0.1", 4711),
            "server": ("127.0.0.1", 80), "headers": [(name.encode(), value) for name, value in asked.headers],
        }  # fmt: skip
        status, content = 0, b""

        async def receive() -> dict[str, Any]:
            if parts and not (asked.cut and len(parts) == 1):
                part = parts.pop(0)
                return {"type": "http.request", "body": part, "more_body": bool(parts)}
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, content
            status = message.get("status", status)
            content += message.get("body", b"")

        await self.application(scope, receive, send)
        self.statuses[status] += 1
        return Answer(status, content)

    def requests(self, chance: Random) -> Iterator[Asked]:
        """Requests without end."""
        bodies = {n: inputs(chance, [asked.body or b"x"]) for n, asked in enumerate(self.good)}
        while True:
            n = chance.randrange(len(self.good))
            asked = self.good[n]
            if chance.random() < 0.7:
                asked = replace(asked, body=next(bodies[n]))
            if chance.random() < 0.2:
                asked = replace(asked, method=chance.choice(_METHODS))
            if chance.random() < 0.25:
                at = chance.randrange(len(asked.path) + 1)
                rest = asked.path[at + chance.choice((0, 0, 1, 5)) :]
                asked = replace(asked, path=asked.path[:at] + chance.choice(_PIECES) + rest)
            if asked.body and self.name == "landing":
                asked = asked.with_length()
            if chance.random() < 0.25:
                kept = [header for header in asked.headers if chance.random() < 0.6]
                headers = (*kept, (chance.choice(_HEADERS), chance.choice(_VALUES)))
                asked = replace(asked, headers=headers)
            yield replace(asked, cut=chance.random() < 0.03)


class Fuzzed:
    """A gateway and a landing that are asked; nothing else of them runs."""

    def __init__(self, root: Path) -> None:
        self.box = Box(root / "gateway").write(
            device("entrance", "http")
            + device("terminal", "zkteco", serial="ZK1")
            + device("face", "hikvision", serial="DS1")
            + device("till", "http")
            + device("desk", "http", token_file="desk.token")
            + device("screen", "gateway")
            + device("gateway", "gateway"),
            devices={
                "entrance": "entrance_counts", "terminal": "face_visits", "face": "face_visits", "till": "orders",
                "desk": "identity_links", "screen": "assignments", "gateway": "gateway_events",
            },
            site=_EXPERIMENT,
        )  # fmt: skip
        self.box.secret("desk.token", "open sesame")
        self.collector = Collector(self.box.gateway(), clock=SetClock())
        self.landing = root / "venue" / "landing"
        (root / "venue").mkdir()
        (root / "venue" / "site.toml").write_text((self.box.root / "site.toml").read_text())
        self._token = add_token(root / "venue" / FILE, "gw_1")
        limits = Limits(requests_per_second=1e9, segment_bytes=100_000, manifest_bytes=10_000)
        self.service = application(Home(root / "venue"), limits)

    def endpoints(self) -> list[Endpoint]:
        collector = self.collector
        bearer = (("authorization", b"Bearer open sesame"),)
        json_type, form_type = ("content-type", b"application/json"), ("content-type", _FORM_TYPE.encode())
        visit = json.dumps({"experiment_id": "greeting", "member_number": "1", "visit": "v1"}).encode()
        posted = [
            *(Asked("POST", f"/readings/riverside/{name}", (json_type,), PLAIN) for name in ("till", "entrance")),
            Asked("POST", "/readings/riverside/desk", (json_type, *bearer), PLAIN),
            Asked("POST", "/with/open%20sesame/readings/riverside/desk", (json_type,), PLAIN),
            Asked("POST", "/iclock/cdata?SN=ZK1&table=ATTLOG&Stamp=9999", (), ATTLOG),
            Asked("POST", "/iclock/cdata?SN=ZK1&table=OPERLOG&Stamp=9999", (), OPERLOG),
            Asked("GET", "/iclock/cdata?SN=ZK1&options=all"),
            Asked("GET", "/iclock/getrequest?SN=ZK1"),
            Asked("POST", "/hikvision/DS1", (json_type,), HIKVISION_JSON),
            Asked("POST", "/hikvision/DS1", (("content-type", b"application/xml"),), HIKVISION_XML),
            Asked("POST", "/hikvision/DS1", (form_type,), _FORM),
        ]
        asked = [
            Asked("GET", "/health"),
            Asked("GET", "/metrics"),
            *[Asked("POST", "/assign", (json_type,), visit)] * 8,
        ]
        answers = health.app(collector.spool, collector.tally, collector.clock, collector.assigner, lambda: 0.0)
        return [
            Endpoint("http", http.application(collector.gateway, collector.intake.take, body_seconds=5), posted),
            Endpoint("health", answers, asked, {"/assign": health.assign_at_once(collector.assigner)}),
            Endpoint("landing", self.service, list(self._landing_requests())),
        ]

    def _landing_requests(self) -> Iterator[Asked]:
        token = ("authorization", f"Bearer {self._token}".encode())
        for first in range(1, 20, 3):
            segment = sealed(first)
            length = ("manifest-length", str(len(segment.manifest)).encode())
            yield Asked("PUT", f"/landing/{segment.place}", (token, length), segment.manifest + segment.packed)
        yield Asked("GET", "/allocations/greeting", (token,))
        yield Asked("GET", "/allocations/greeting?event_date=2026-01-05", (token,))
        yield Asked("GET", "/health")

    def close(self) -> None:
        self.collector.spool.close()
        for listener in (self.collector.health_listener, self.collector.http_listener):
            if listener:
                listener.close()


_EXPERIMENT = """
[[experiments]]
id = "greeting"
venue_id = "riverside"
kind = "randomised"
unit = "visit"
arms = ["plain", "greeting"]
kpi = "conversion"
minimum_effect = 0.05
first_date = 2026-01-01
last_date = 2036-12-31
"""
