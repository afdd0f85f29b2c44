"""Targets: where segments go. What one is asked, what it can answer, and which one an address means.

A target writes the segment first and the manifest last, never overwrites, and confirms only what a power cut there
would not take back. Putting the same segment again is harmless, so whoever is in doubt puts it again.

What does not belong here: when to try again (`shipper`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Segment(Protocol):
    """A sealed segment and its manifest, byte for byte as they are to lie in every landing."""

    @property
    def stream(self) -> str: ...
    @property
    def event_date(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def packed(self) -> bytes: ...
    @property
    def manifest(self) -> bytes: ...


def place_of(segment: Segment) -> str:
    """Where a segment lies in a landing, without suffix."""
    return f"{segment.stream}/event_date={segment.event_date}/{segment.name}"


@dataclass(frozen=True)
class Confirmed:
    """The target holds segment and manifest: the hash of what it holds, and whether they were new to it."""

    sha256: str
    new: bool


class ShippingProblem(Exception):
    """Why a segment is not confirmed. The message says what was found and what to do."""


class Unreachable(ShippingProblem):
    """The target cannot be asked now, or is busy: `retry_after` seconds, if it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(ShippingProblem):
    """The target was asked and does not take the segment. Somebody has to look; trying again soon is of no use."""


class Denied(Refused):
    """The target takes nothing from this gateway: its token or its rights are wrong."""


class Conflict(Refused):
    """Under the segment's name lies other content. It is never overwritten."""


class Target(Protocol):
    """Where segments go."""

    async def put(self, segment: Segment) -> Confirmed:
        """Have the segment landed, durably. Raises ShippingProblem."""
        ...

    async def check(self) -> None:
        """Ask whether segments would be taken, without sending one. Raises ShippingProblem."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class TargetError(ValueError):
    """An address that is no target. The message says what is expected."""


def folder_of(address: str) -> Path | None:
    """The folder that an address means: a path, or `file:///path`; None of everything else."""
    if "://" not in address:
        return Path(address)
    url = urlsplit(address)
    return Path(unquote(url.path)) if url.scheme == "file" and url.netloc in ("", "localhost") and url.path else None


def target_of(
    address: str, *, token: str | None = None, ca_file: Path | None = None, mount_point: Path | None = None
) -> Target:
    """The target of a path, `file:///path`, `s3://bucket/prefix` or `https://host:port`. Raises TargetError.

    S3 takes its endpoint and credentials from the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...); `ca_file`
    holds the certificates, PEM, of a private authority. A folder is written to only while something is mounted at its
    `mount_point`, if it has one.
    """
    from edge_collector.ship.landing_service import LandingServiceTarget
    from edge_collector.ship.object_store import FolderTarget, bucket_target

    if (folder := folder_of(address)) is not None:
        return FolderTarget(folder, mount_point)
    url = urlsplit(address)
    if url.scheme == "s3" and url.netloc:
        return bucket_target(address, ca_file=ca_file)
    if url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK):
        if not token:
            raise TargetError(f"{address} is given without a token; `venue landing token add GATEWAY` makes one")
        return LandingServiceTarget(address, token, ca_file=ca_file)
    if url.scheme == "http":
        raise TargetError(f"{address} is given; beyond this machine https:// is expected, for the token is a secret")
    raise TargetError(
        f"{address!r} is given; a folder, file:///folder, s3://bucket/prefix or https://host:port is expected"
    )
