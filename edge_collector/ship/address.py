"""Which target an address means.

What does not belong here: which address a gateway has (`landing_target`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from edge_collector.ship.landing_service import LandingServiceTarget
from edge_collector.ship.object_store import FolderTarget, bucket_target
from edge_collector.ship.target import Target, TargetError

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


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
