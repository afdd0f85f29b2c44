"""A folder, or any S3-compatible store, as a target: both hold segments as objects under names.

S3 is asked to create only (`If-None-Match: *`) and to check the SHA-256 of what arrives. In a folder the same is done
by `durable.create_atomically`, because obstore's own put does not flush: a power cut after it can leave an empty file
under a segment's name when the spool has forgotten the segment.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from edge_collector.durable import create_atomically, flush_folder, make_folder
from edge_collector.own_thread import in_own_thread
from edge_collector.segment import MANIFEST_SUFFIX, SEGMENT_SUFFIX
from edge_collector.ship.target import Confirmed, Conflict, Denied, Segment, TargetError, Unreachable, place_of

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

_TIMEOUT: Final = timedelta(minutes=2)
_RETRIES: Final = 2
"""Against single lost requests; everything longer is the shipper's."""


class _Objects(ABC):
    """Where segments are objects. `where` is what problems call it."""

    def __init__(self, where: str) -> None:
        self._where = where

    async def put(self, segment: Segment) -> Confirmed:
        new = False
        with self._problems():
            for suffix, content in ((SEGMENT_SUFFIX, segment.packed), (MANIFEST_SUFFIX, segment.manifest)):
                name = place_of(segment) + suffix
                if await self._create(name, content):
                    new = True
                elif await self._content(name) != content:
                    raise Conflict(f"{self._where}/{name} holds other content; has another gateway the same id?")
            await self._settle(place_of(segment))
        return Confirmed(hashlib.sha256(segment.packed).hexdigest(), new)

    @abstractmethod
    async def _create(self, name: str, content: bytes) -> bool:
        """Whether the object was created; False where there is one."""

    @abstractmethod
    async def _content(self, name: str) -> bytes: ...

    @abstractmethod
    async def _settle(self, place: str) -> None:
        """Return when what was put at `place` will stay there. Raises Unreachable."""

    @contextmanager
    def _problems(self) -> Iterator[None]:
        """What a store says, as this package says it."""
        try:
            yield
        except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
            raise Denied(f"{self._where}: {_sentence(error)}; look at its credentials and rights") from None
        except (BaseError, OSError) as error:
            raise Unreachable(f"{self._where}: {_sentence(error)}") from None


class BucketTarget(_Objects):
    """An S3-compatible store."""

    def __init__(self, store: ObjectStore, where: str) -> None:
        super().__init__(where)
        self._store = store

    async def check(self) -> None:
        with self._problems():
            await obstore.list_with_delimiter_async(self._store, prefix="gateway_events")

    async def close(self) -> None:
        pass  # obstore keeps its connections to itself

    async def _create(self, name: str, content: bytes) -> bool:
        try:
            await obstore.put_async(self._store, name, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    async def _content(self, name: str) -> bytes:
        return bytes(await (await obstore.get_async(self._store, name)).bytes_async())

    async def _settle(self, place: str) -> None:
        pass  # a store that has said yes has it durably


class FolderTarget(_Objects):
    """A landing folder of this machine, or of a share that is mounted here.

    It is never made: where a share is not mounted, its folder is missing or empty, and the SD card is no landing. With
    a `mount_point` this does not depend on what the folder below is like.
    """

    def __init__(self, folder: Path, mount_point: Path | None = None) -> None:
        super().__init__(str(folder))
        self._folder, self._mount_point = folder, mount_point

    async def check(self) -> None:
        def write() -> None:
            with tempfile.TemporaryFile(dir=self._existing()):
                pass

        with self._problems():
            await in_own_thread(write)

    async def close(self) -> None:
        pass  # there are none

    async def _create(self, name: str, content: bytes) -> bool:
        def create() -> bool:
            path = self._existing() / name
            make_folder(path.parent)
            return create_atomically(path, content)

        return await in_own_thread(create)

    async def _content(self, name: str) -> bytes:
        return await in_own_thread(lambda: (self._existing() / name).read_bytes())

    async def _settle(self, place: str) -> None:
        def settle() -> None:
            flush_folder((self._folder / place).parent)
            # A share that went while it was written to has left the segment on the card.
            folder = self._existing()
            for suffix in (SEGMENT_SUFFIX, MANIFEST_SUFFIX):
                if not (folder / (place + suffix)).is_file():
                    raise Unreachable(f"{folder} does not hold {place}{suffix} any more; was its share mounted anew?")

        await in_own_thread(settle)

    def _existing(self) -> Path:
        # Another file system than around it; the unit's own bind mounts are none.
        if self._mount_point is not None and not self._mount_point.is_mount():
            raise Unreachable(f"nothing is mounted at {self._mount_point}; mount the share that {self._folder} is on")
        if not self._folder.is_dir():
            raise Unreachable(f"{self._folder} is no folder; make it, or mount the share that it is on")
        return self._folder


def bucket_target(address: str, *, ca_file: Path | None = None) -> BucketTarget:
    """`s3://bucket/prefix`. Needs the rights to put and get objects and to list the bucket. Raises TargetError.

    Plain HTTP is spoken only where AWS_ALLOW_HTTP is `true`; obstore no longer looks there once it is given options.
    """
    client: ClientConfig = {
        "timeout": _TIMEOUT,
        "connect_timeout": timedelta(seconds=10),
        "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true",
    }
    retry: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": _TIMEOUT}
    try:
        if ca_file is not None:
            client["root_certificate"] = ca_file.read_bytes()
        store = S3Store.from_url(
            address, config={"checksum_algorithm": "SHA256"}, client_options=client, retry_config=retry
        )
    except (BaseError, ValueError, OSError) as error:
        raise TargetError(f"{address} cannot be used: {_sentence(error)}") from None
    return BucketTarget(store, address.rstrip("/"))


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error).partition("\n")[0].partition("<?xml")[0].rstrip(" :")[:300]
