"""What is put into the spool and what comes out of it: captures and entries, segments that wait, and how much waits.

What does not belong here: how it is kept (`spool`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


class Unit(NamedTuple):
    """Who gets an arm, once. No experiment has a slash in its name."""

    experiment_id: str
    unit_id: str


@dataclass(frozen=True, slots=True)
class Capture:
    """A record on its way into the spool.

    `fields` are the stream's own, as the contract writes them. `key` makes a second delivery recognisable: a capture
    whose key was taken last with the same `version` is left out. `dated_at` is the time that counts (None: when it was
    recorded).
    `recorded_at`: by the clock of the device, which the gateway's does not move (None: when it was captured).
    `own_times`: the times in `fields` are this gateway's, so that a later sync of its clock moves them too.
    `unit`: who gets an arm by this record, whose fields it is told; a capture for one that has an arm is left out.
    """

    stream: str
    venue_id: str
    device_id: str
    fields: Mapping[str, Any]
    key: str | None = None
    version: str = ""
    dated_at: datetime | None = None
    recorded_at: datetime | None = None
    own_times: bool = False
    unit: Unit | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something was captured, by all the clocks there are."""

    wall: datetime
    monotonic: float
    clock_id: str
    synced: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """What is taken or left as a whole: records, and the new states of devices."""

    captures: Sequence[Capture] = ()
    states: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an entry: records written, and those left out because their key had been delivered before."""

    written: int
    repeated: int
    by_stream: Mapping[str, int] = field(default_factory=dict)
    """Records written."""
    told: str | None = None
    """Of a capture with a unit: the fields of the record that gave it its arm, this one or an earlier one, as JSON."""


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """A finished segment that waits for the landing's confirmation."""

    id: int
    stream: str
    event_date: str
    name: str
    rows: int
    packed: bytes
    manifest: bytes


class Replacement(NamedTuple):
    """The records of a stream and boot, by their numbers from ... to, and the segment that takes their place. It may
    still be packed while they are deleted."""

    segment: Future[SealedSegment]
    stream: str
    boot_id: str
    seq_ranges: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits: records not sealed yet, segments, their rows and bytes, and the oldest record's wall time."""

    records: int
    segments: int
    segment_rows: int
    refused_segments: int
    bytes: int
    oldest: datetime | None
