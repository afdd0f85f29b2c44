"""`venue landing` as a target: one HTTP PUT with manifest and segment, so that the service takes both or neither."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import httpx

from edge_collector.ship.target import (
    Confirmed,
    Conflict,
    Denied,
    Refused,
    Segment,
    ShippingProblem,
    TargetError,
    Unreachable,
    place_of,
)

MANIFEST_LENGTH: Final = "Manifest-Length"
"""The header that says how many bytes of the body are the manifest; the rest is the segment."""

_TIMEOUT: Final = httpx.Timeout(60, connect=10)
_BUSY: Final = (408, 425, 429)
_NO_ANSWER: Final = (ValueError, KeyError, TypeError, RecursionError)
"""What comes of reading an answer that is not a landing service's."""


class LandingServiceTarget:
    """The landing service at `address`, asked with this gateway's token."""

    def __init__(self, address: str, token: str, *, ca_file: Path | None = None) -> None:
        try:
            # What a proxy of the environment or a .netrc says is nothing to a gateway's one connection.
            self._client = httpx.AsyncClient(
                base_url=address,
                headers={"Authorization": f"Bearer {token}"},
                verify=ssl.create_default_context(cafile=ca_file),
                timeout=_TIMEOUT,
                trust_env=False,
            )
        except (OSError, ssl.SSLError, httpx.InvalidURL, UnicodeEncodeError) as error:
            what = f"{ca_file} as certificates" if isinstance(error, OSError) else "address and token"
            raise TargetError(f"{address} cannot be used with {what}: {error}") from None

    async def put(self, segment: Segment) -> Confirmed:
        answer = await self._ask(
            "PUT",
            f"/landing/{place_of(segment)}",
            content=segment.manifest + segment.packed,
            headers={MANIFEST_LENGTH: str(len(segment.manifest)), "Content-Type": "application/octet-stream"},
        )
        try:
            return Confirmed(str(answer.json()["sha256"]), new=answer.status_code == 201)
        except _NO_ANSWER:
            raise Unreachable(f"{answer.url} answers, but not as a landing service") from None

    async def check(self) -> None:
        await self._ask("GET", "/health")

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(
        self, method: str, path: str, *, content: bytes | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """A successful answer. Raises ShippingProblem."""
        try:
            answer = await self._client.request(method, path, content=content, headers=headers)
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise Unreachable(f"{self._client.base_url}: {why}") from None
        if answer.status_code in (200, 201):
            return answer
        raise _problem(answer)


def _problem(answer: httpx.Response) -> ShippingProblem:
    try:
        why = str(answer.json()["error"])[:500]
    except _NO_ANSWER:
        why = f"{answer.url} answers {answer.status_code}"
    match answer.status_code:
        case 401 | 403:
            return Denied(why)
        case 409:
            return Conflict(why)
        case status if 400 <= status < 500 and status not in _BUSY:
            return Refused(why)
    after = answer.headers.get("Retry-After", "")
    return Unreachable(why, float(after) if after.isdecimal() else None)
