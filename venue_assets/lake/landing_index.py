"""What has landed: which segments lie in which folder, and a fingerprint of their content per event date.

A tick of the sensor costs one `scandir` per folder and one `stat` per file; contents are hashed only where those
differ.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from edge_collector.contract import INTEGER_RANGE, STREAMS
from edge_collector.segment import MANIFEST_SUFFIX, SEGMENT_SUFFIX, SegmentName
from edge_collector.site import Site


class Stamp(NamedTuple):
    """What `stat` tells of a file: enough to see that it was replaced, or that others may read it now."""

    size: int
    mtime_ns: int
    inode: int
    mode: int
    owner: int
    group: int


class Entry(NamedTuple):
    """One manifest and the segment beside it, as the folder lists them."""

    folder: str
    stem: str
    manifest: Stamp
    segment: Stamp | None

    @property
    def path(self) -> str:
        """The manifest."""
        return os.path.join(self.folder, self.stem + MANIFEST_SUFFIX)  # noqa: PTH118


Key = tuple[str, date]
"""Stream and event date of a folder."""


@dataclass(frozen=True)
class LandingIndex:
    """All committed segments by stream and event date, in byte order of their names."""

    entries: Mapping[Key, tuple[Entry, ...]]

    def dates(self) -> list[date]:
        """Event dates with at least one committed segment, ascending."""
        return sorted({day for _, day in self.entries})

    def stat_fingerprint(self, day: date) -> str:
        """Changes whenever a file of the date is added, removed or replaced; costs no reading."""
        digest = hashlib.sha256()
        for stream in STREAMS:
            digest.update(repr(self.entries.get((stream, day), ())).encode())
        return digest.hexdigest()[:16]

    def newest(self, day: date) -> float:
        """When the newest file of the date was last written, in seconds since 1970."""
        stamps = (
            stamp.mtime_ns
            for stream in STREAMS
            for entry in self.entries.get((stream, day), ())
            for stamp in (entry.manifest, entry.segment)
            if stamp
        )
        return max(stamps, default=0) / 1e9

    def fingerprint(self, stream: str, day: date) -> str:
        """The content of one stream and date: names, manifests and segments."""
        digest = hashlib.sha256()
        for entry in self.entries.get((stream, day), ()):
            manifest = _sha256(entry.path, entry.manifest)
            segment = _sha256(os.path.join(entry.folder, entry.stem + SEGMENT_SUFFIX), entry.segment)  # noqa: PTH118
            digest.update(f"{entry.stem} {manifest} {segment}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()[:16]

    def date_fingerprint(self, day: date) -> str:
        """The content of everything that landed for a date."""
        parts = (f"{stream} {self.fingerprint(stream, day)}" for stream in STREAMS)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def first_dates(self, site: Site) -> dict[str, date]:
        """The first event date on which a gateway with a device at the venue landed anything, per venue."""
        by_gateway: dict[str, date] = {}
        for (_, day), entries in self.entries.items():
            for entry in entries:
                gateway = _name(entry.stem)
                if gateway and day < by_gateway.get(gateway.gateway_id, date.max):
                    by_gateway[gateway.gateway_id] = day
        found: dict[str, date] = {}
        for device in site.devices:
            if (first := by_gateway.get(device.gateway_id)) is not None:
                found[device.venue_id] = min(first, found.get(device.venue_id, date.max))
        return found

    def names(self, stream: str) -> Iterable[tuple[date, SegmentName, Entry]]:
        """Every well-named segment of a stream over all dates."""
        for (of, day), entries in self.entries.items():
            for entry in entries if of == stream else ():
                if name := _name(entry.stem):
                    yield day, name, entry


def scan(landing: Path, days: Iterable[date] | None = None) -> LandingIndex:
    """Read the folders of all dates, or of the given ones. A missing landing is an empty one.

    Raises OSError where a folder is there and cannot be read: what lies in it would be taken for gone, with its
    figures.
    """
    wanted = None if days is None else {f"event_date={day.isoformat()}" for day in days}
    entries: dict[Key, tuple[Entry, ...]] = {}
    for stream in STREAMS:
        for folder in _folders(landing / stream, wanted):
            try:
                day = date.fromisoformat(folder.name.removeprefix("event_date="))
            except ValueError:
                continue
            if folder.name != f"event_date={day.isoformat()}":  # 20260105 and 2026-W02-1 are other names of a date
                continue
            if found := _entries(folder.path):
                entries[stream, day] = found
    return LandingIndex(entries)


def _folders(root: Path, wanted: set[str] | None) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root) as found:
            return [e for e in found if e.name.startswith("event_date=") and (wanted is None or e.name in wanted)]
    except OSError as error:
        if not is_no_folder(error):
            raise
        return []


def is_no_folder(error: OSError) -> bool:
    """Whether there is no folder: nothing at all, a file, or links in a circle. Any other error hides one."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def _entries(folder: str) -> tuple[Entry, ...]:
    manifests: dict[str, Stamp] = {}
    segments: dict[str, Stamp] = {}
    try:
        with os.scandir(folder) as found:
            for file in found:
                name = file.name
                for suffix, into in ((MANIFEST_SUFFIX, manifests), (SEGMENT_SUFFIX, segments)):
                    if name.endswith(suffix) and (stamp := _stamp(file)):
                        into[name[: -len(suffix)]] = stamp
    except OSError as error:
        if not is_no_folder(error):
            raise
        return ()
    return tuple(Entry(folder, s, manifests[s], segments.get(s)) for s in sorted(manifests, key=os.fsencode))


def _stamp(file: os.DirEntry[str]) -> Stamp | None:
    """What `stat` tells of a file, or of a link that leads nowhere; None of one that is gone by now."""
    try:
        found = file.stat()
    except OSError:
        try:
            found = file.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino, found.st_mode, found.st_uid, found.st_gid)


@lru_cache(maxsize=100_000)
def _sha256(path: str, stamp: Stamp | None) -> str:
    """The content of a file; `stamp` makes the answer good for as long as the file was not replaced."""
    if stamp is None:
        return "missing"
    try:
        if not (os.path.isfile(path) or os.path.isdir(path)):  # noqa: PTH112, PTH113
            return "unreadable"  # a pipe would be waited for
        with open(path, "rb") as file:  # noqa: PTH123
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable {error.errno}"


@lru_cache(maxsize=100_000)
def _name(stem: str) -> SegmentName | None:
    try:
        name = SegmentName.parse(stem)
    except ValueError:
        return None
    return name if max(name.first_seq, name.last_seq) <= INTEGER_RANGE[1] else None  # else its manifest is refused
