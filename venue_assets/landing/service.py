"""The ASGI application: requests in, sentences out.

    PUT /landing/<stream>/event_date=YYYY-MM-DD/<name>          body: manifest, then segment; the header
        Manifest-Length says how many bytes are the first. 201 landed, 200 landed before, 409 other content lies there,
        422 the two are not what they state
    GET /allocations/<experiment_id>[?event_date=YYYY-MM-DD]    the newest, or that date's; ETag
    GET /health                                                 with a token: whether it is good, too

All else is JSON {"error": what was given, what is expected, what to do}. One request carries both files, because a
segment alone could not be judged, and a wrong one would keep its name for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from functools import partial
from time import time

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_collector.segment import Refused
from edge_collector.ship.landing_service import MANIFEST_LENGTH
from edge_collector.signing import BadSignature
from edge_collector.site import SiteError
from venue_assets.home import Home
from venue_assets.landing.allocations import Allocations
from venue_assets.landing.limits import Limits, Rates, Room, TooFast
from venue_assets.landing.receive import Conflict, ForeignRecord, Place, receive, sweep
from venue_assets.landing.tokens import FILE, Known, TokenFileError, Tokens

log = logging.getLogger("venue_assets.landing")


class Problem(Exception):
    """Why a request is not answered as asked."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers


def application(home: Home, limits: Limits | None = None) -> Starlette:
    """The service over one home."""
    service = _Service(home, limits or Limits())
    return Starlette(
        routes=[
            Route("/landing/{stream}/{day}/{name}", service.put, methods=["PUT"]),
            Route("/allocations/{experiment_id}", service.allocation, methods=["GET"]),
            Route("/health", service.health, methods=["GET"]),
        ],
        exception_handlers={Problem: _answer, HTTPException: _answer_http, Exception: _answer_unexpected},
        lifespan=service.lifespan,
    )


class _Service:
    def __init__(self, home: Home, limits: Limits) -> None:
        self._home, self._limits = home, limits
        self._tokens = Tokens(home.root / FILE)
        self._allocations = Allocations(home)
        self._rates = Rates(limits.requests_per_second)
        self._room = Room(limits.held_bytes)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._writers = CapacityLimiter(self._limits.writers)
        if swept := await to_thread.run_sync(sweep, self._home.landing, time()):
            log.info("%d unfinished files of an earlier run deleted", swept)
        yield

    async def put(self, request: Request) -> Response:
        gateway = self._sender(request)
        path = request.path_params
        try:
            place = Place.parse(path["stream"], path["day"], path["name"])
        except ValueError as error:
            raise Problem(422, f"{error}; the contract is landing schema 1") from None
        if place.name.gateway_id != gateway.gateway_id:
            raise Problem(
                403,
                f"a segment of gateway {place.name.gateway_id} is given; this token is of {gateway.gateway_id}, and "
                "only its own segments are expected; use each gateway's own token",
            )
        of_manifest, size = self._sizes(request)
        try:
            with self._room.hold(size):
                body = await self._body(request, size)
                manifest, packed = bytes(body[:of_manifest]), bytes(memoryview(body)[of_manifest:])
                del body
                landed, new = await to_thread.run_sync(
                    partial(receive, self._home.landing, place, manifest, packed, gateway.public_key),
                    limiter=self._writers,
                )
        except TooFast as error:
            raise _wait(503, "as much is being received as fits into memory", error) from None
        except Refused as error:
            raise Problem(422, f"{error.reason}: {error.detail}; {error.remedy}") from None
        except BadSignature as error:
            raise Problem(422, f"signature: {error}; sign it with the key whose public half is known here") from None
        except ForeignRecord as error:
            sentence = f"{error}; records of {gateway.gateway_id} alone are expected in its segments"
            raise Problem(422, sentence) from None
        except Conflict as error:
            raise Problem(
                409,
                f"{error} has landed with other content, which is not overwritten; find out which of the two is right, "
                "and whether two gateways have one id",
            ) from None
        except OSError as error:
            log.error("%s cannot be written: %s", place, error.strerror)
            raise Problem(
                503, f"the landing cannot be written ({error.strerror}); it is kept by whoever sent it"
            ) from None
        return JSONResponse({"sha256": landed.sha256, "rows": landed.rows}, 201 if new else 200)

    async def allocation(self, request: Request) -> Response:
        gateway = self._sender(request)
        experiment_id, day = request.path_params["experiment_id"], request.query_params.get("event_date", "")
        try:
            of = date.fromisoformat(day) if day else None
        except ValueError:
            raise Problem(422, f"event_date={day[:40]!r} is given; YYYY-MM-DD is expected") from None
        try:
            found = await to_thread.run_sync(self._allocations.find, gateway.gateway_id, experiment_id, of)
        except (SiteError, OSError) as error:
            log.error("the site file cannot be used: %s", error)
            raise Problem(
                503, "the site file of the venue cannot be used; its operator can read why in the log"
            ) from None
        if found is None:
            raise Problem(
                404,
                f"{experiment_id[:60]!r} has no allocation{f' of {of}' if of else ''} for {gateway.gateway_id}; an "
                "experiment at one of its venues is expected, published by then; until then its fixed shares hold",
            )
        headers = {"ETag": found.etag, "Cache-Control": "private, no-cache"}
        if found.etag in (tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")):
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type="application/json", headers=headers)

    async def health(self, request: Request) -> Response:
        if "Authorization" in request.headers:
            self._sender(request)
        return JSONResponse({"status": "ok"})

    def _sender(self, request: Request) -> Known:
        """Whose request it is, counted against their rate."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            gateway = self._tokens.known(token.strip()) if scheme.lower() == "bearer" else None
        except (TokenFileError, OSError) as error:
            log.error("the tokens cannot be used: %s", error)
            raise Problem(503, "the service cannot look up tokens; its operator can read why in the log") from None
        if gateway is None:
            raise Problem(
                401,
                "no valid token is given; Authorization: Bearer TOKEN is expected; `venue landing token add GATEWAY` "
                "makes one",
                {"WWW-Authenticate": "Bearer"},
            )
        try:
            self._rates.take(gateway.gateway_id)
        except TooFast as error:
            most = f"{self._limits.requests_per_second:g} requests a second"
            raise _wait(429, f"more than {most} are given; at most so many are expected of a gateway", error) from None
        return gateway

    def _sizes(self, request: Request) -> tuple[int, int]:
        """How many bytes are manifest, and how many come in all."""
        size = _number(request, "Content-Length", 411)
        of_manifest = _number(request, MANIFEST_LENGTH, 422)
        if of_manifest > min(size, self._limits.manifest_bytes):
            most = f"at most {self._limits.manifest_bytes} and what the body has is expected"
            raise Problem(422 if of_manifest > size else 413, f"a manifest of {of_manifest} bytes is given; {most}")
        if size - of_manifest > self._limits.segment_bytes:
            raise Problem(
                413,
                f"a segment of {size - of_manifest} bytes is given; at most {self._limits.segment_bytes} are expected; "
                "seal fewer records into one",
            )
        return of_manifest, size

    async def _body(self, request: Request, size: int) -> bytearray:
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body):
                chunks = request.stream()
                while True:
                    async with asyncio.timeout(self._limits.pause_in_body):
                        if (chunk := await anext(chunks, None)) is None:
                            break
                    body += chunk
        except TimeoutError:
            sentence = f"{len(body)} of {size} bytes came in time; a steadier line is expected; send it again"
            raise Problem(408, sentence, {"Connection": "close"}) from None
        except ClientDisconnect:
            raise Problem(400, f"{len(body)} of {size} bytes came; send it again") from None
        return body


def _number(request: Request, header: str, status: int) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise Problem(status, f"{header}: {text[:20]!r} is given; a number of bytes is expected")
    return int(text)


def _wait(status: int, why: str, error: TooFast) -> Problem:
    return Problem(status, f"{why}; ask again in {error.retry_after} s", {"Retry-After": str(error.retry_after)})


async def _answer(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    sender = request.client.host if request.client else "?"
    asked = f"{request.method} {request.url.path!r:.300}"
    log.warning("%s from %s: %d, %s", asked, sender, problem.status, problem.sentence)
    return JSONResponse({"error": problem.sentence}, problem.status, problem.headers)


async def _answer_http(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    sentence = (
        f"{request.method} {request.url.path!r:.200} is given; PUT /landing/<stream>/event_date=<date>/<name>, "
        "GET /allocations/<experiment_id> or GET /health is expected"
    )
    return JSONResponse({"error": sentence}, problem.status_code, problem.headers)


async def _answer_unexpected(_: Request, __: Exception) -> Response:
    # The server logs the traceback.
    return JSONResponse({"error": "the service failed; send it again; its operator can read why in the log"}, 500)
