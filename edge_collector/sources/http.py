"""HTTP in: terminals that post by their vendors' protocols, and a plain JSON endpoint for everything else.

| request                                         | protocol           | answer                             |
|-------------------------------------------------|--------------------|------------------------------------|
| POST /readings/<venue>/<device>                 | `codecs.plain`     | 200 and what became of the entries |
| GET, POST /iclock/cdata, GET /iclock/getrequest | `codecs.zkteco`    | as the protocol wants it           |
| POST /hikvision/<serial>                        | `codecs.hikvision` | 200                                |

An answer of 200 says that what was taken is durable. 503 with `Retry-After` says that there is no room now and nothing
was kept, 401 that the token is missing or wrong, 413 that the body is too long. A sender with a `token_file` in
edge.toml must show its token: `Authorization: Bearer <token>`, as a password (Basic), or, because some terminals know
no headers, as the first part of the path: `/with/<token>/iclock/cdata`.

What does not belong here: what bodies mean (`codecs`).
"""

from __future__ import annotations

import asyncio
import hmac
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from edge_collector.codecs import hikvision, plain, zkteco
from edge_collector.gateway import Gateway, Known
from edge_collector.intake import REASONS, Receipt
from edge_collector.key_file import KeyProblem
from edge_collector.people import private_text
from edge_collector.readings import Alive, AnyReading, Dropped
from edge_collector.serving import BodyRefused, read_body
from edge_collector.sources import Busy

_BODY_SECONDS: Final = 30.0
_RETRY_AFTER: Final = {"Retry-After": "30"}
_PROBLEMS_TOLD: Final = 10
_LONG: Final = 64 * 1024
"""Bytes of a body that takes so long to read that others would notice."""


class Taker(Protocol):
    """Where readings go; see `Intake.take`."""

    async def __call__(
        self, source: str, readings: list[AnyReading], states: Mapping[str, str] | None = None, /
    ) -> Receipt: ...


class _Answer(Exception):
    """The request ends here."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.response = JSONResponse({"error": message}, status, headers)


def application(
    gateway: Gateway,
    take: Taker,
    *,
    state: Callable[[str], str | None] = lambda _: None,
    body_seconds: float = _BODY_SECONDS,
) -> Starlette:
    """The ASGI application. `state` is what was kept with an earlier delivery, see `Intake.state`.

    Raises KeyProblem for a token file that is absent or can be read by others.
    """
    assert gateway.settings.http is not None
    senders = _Senders(gateway)
    most = gateway.settings.http.max_body_mb * 1024**2
    one_at_a_time = asyncio.Lock()  # of long bodies, for what is read of each can take many times its length

    async def decoded(body: bytes, decode: Callable[[], list[AnyReading]]) -> list[AnyReading]:
        if len(body) <= _LONG:
            return decode()
        async with one_at_a_time:
            return await asyncio.to_thread(decode)

    def route(path: str, answer: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return await answer(request)
            except _Answer as end:
                return end.response
            except BodyRefused as refused:
                return JSONResponse({"error": str(refused)}, refused.status)
            except Busy as busy:
                return JSONResponse({"error": f"{busy}; nothing was kept, send it again"}, 503, _RETRY_AFTER)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is there to read it

        return Route(path, endpoint, methods=list(methods))

    async def readings(request: Request) -> Response:
        known = senders.known(request, "http", f"{request.path_params['venue']}/{request.path_params['device']}")
        body = await read_body(request, most, body_seconds)
        given = await decoded(body, lambda: plain.decode(body, known.met.name))
        return _told(await take("http", given), given)

    async def attendance(request: Request) -> Response:
        serial = request.query_params.get("SN", "")
        known = senders.known(request, "zkteco", serial)
        if request.method == "GET":
            await take("zkteco", [Alive(device=serial)])
            return PlainTextResponse(zkteco.handshake(serial, state(f"zkteco/{serial}") or ""))
        body = await read_body(request, most, body_seconds)
        table = request.query_params.get("table", "")
        decode = partial(
            zkteco.decode,
            table,
            body,
            serial,
            known.venue.time_zone,
            statuses=known.met.statuses or zkteco.STATUSES,
            direction=known.met.direction,
        )
        given = await decoded(body, decode)
        # Kept together with the records: a stamp that is handed back says that everything up to it is durable.
        stamp = zkteco.stamp_of(table, request.query_params.get("Stamp", ""), given)
        if stamp is None or state(subject := f"zkteco/{serial}") == stamp:
            await take("zkteco", given)
        else:
            await take("zkteco", given, {subject: stamp})
        return PlainTextResponse(zkteco.accepted(zkteco.count_lines(body)))

    async def idle(request: Request) -> Response:
        known = senders.known(request, "zkteco", request.query_params.get("SN", ""))
        await take("zkteco", [Alive(device=known.met.name)])
        return PlainTextResponse(zkteco.IDLE)

    async def events(request: Request) -> Response:
        serial = request.path_params["serial"]
        known = senders.known(request, "hikvision", serial)
        body = await read_body(request, most, body_seconds)
        decode = partial(
            hikvision.decode,
            body,
            request.headers.get("content-type", ""),
            serial,
            known.venue.time_zone,
            statuses=known.met.statuses or hikvision.STATUSES,
            direction=known.met.direction,
        )
        await take("hikvision", await decoded(body, decode))
        return JSONResponse({})

    routes = [
        route("/readings/{venue}/{device}", readings, "POST"),
        route("/iclock/cdata", attendance, "GET", "POST"),
        route("/iclock/getrequest", idle, "GET"),
        route("/hikvision/{serial}", events, "POST"),
    ]
    return Starlette(routes=[*routes, Mount("/with/{token}", routes=routes)])


def _told(receipt: Receipt, given: list[AnyReading]) -> Response:
    """What became of the entries of a plain request; 422 when none was taken, and some should have been."""
    problems = [reading.detail or reading.reason for reading in given if isinstance(reading, Dropped)]
    problems += [f"{n} x {REASONS[reason]}" for reason, n in receipt.refused.items() if reason in REASONS]
    content = {
        "written": receipt.written,
        "repeated": receipt.repeated,
        "refused": dict(receipt.refused),
        "problems": problems[:_PROBLEMS_TOLD],
    }
    nothing_taken = not receipt.written and not receipt.repeated and bool(set(receipt.refused) - {"opted_out"})
    return JSONResponse(content, 422 if nothing_taken else 200)


class _Senders:
    """Who may send, and by which token."""

    def __init__(self, gateway: Gateway) -> None:
        self._known: dict[tuple[str, str], Known] = {
            (known.met.source, name): known for known in gateway.devices for name in known.met.names
        }
        self._tokens = {
            name: _token(gateway.file(name)) for known in gateway.devices if (name := known.met.token_file) is not None
        }

    def known(self, request: Request, source: str, name: str) -> Known:
        """The device that sends. Strangers and wrong tokens get the same answer, so that nobody can try out names."""
        known = self._known.get((source, name))
        shown = _shown_token(request)
        expected = self._tokens.get(known.met.token_file or "", b"") if known else b"\x00"
        if known is None or (expected and not hmac.compare_digest(shown, expected)):
            raise _Answer(
                401,
                "this device and token are not known here; a device of edge.toml and its token are expected",
                {"WWW-Authenticate": "Bearer"},
            )
        return known


def _token(path: Path) -> bytes:
    if not (token := private_text(path).strip()):
        raise KeyProblem(f"{path} is empty; a token is expected, such as the output of: openssl rand -hex 24")
    return token.encode()


def _shown_token(request: Request) -> bytes:
    if (token := request.path_params.get("token")) is not None:
        return str(token).encode()
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            return b64decode(given, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return given.strip().encode() if kind.lower() == "bearer" else b""
