"""What is put into the spool and what comes out of it: captures and entries, segments that wait, and how much waits.

What does not belong here: how it is kept (`spool`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Capture:
    """A record on its way into the spool.

    `fields` are the stream's own, as the contract writes them. `key` makes a second delivery recognisable: a capture
    whose key was taken last with the same `version` is left out. `dated_at` is the time that counts (None: when it was
    recorded).
    `recorded_at`: by the clock of the device, which the gateway's does not move (None: when it was captured).
    `own_times`: the times in `fields` are this gateway's, so that a later sync of its clock moves them too.
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


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something was captured, by all the clocks there are."""

    wall: datetime
    monotonic: float
    clock_id: str
    synced: bool


@dataclass(frozen=True, slots=True)
class Assigned:
    """The arm that a unit keeps: `answer` is what was told, as JSON."""

    experiment_id: str
    unit_id: str
    answer: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What is taken or left as a whole: records, the new states of devices, an arm given.

    Where the unit of `assigned` has an arm already, nothing of the entry is written.
    """

    captures: Sequence[Capture] = ()
    states: Mapping[str, str] = field(default_factory=dict)
    assigned: Assigned | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an entry: records written, and those left out because their key had been delivered before."""

    written: int
    repeated: int
    by_stream: Mapping[str, int] = field(default_factory=dict)
    """Records written."""
    assigned: str | None = None
    """Where the entry gives an arm: what the unit was told when it asked first, in this entry or an earlier one."""


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
    """A segment, and the records whose place it takes: of its stream and this boot, the numbers from ... to."""

    segment: SealedSegment
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
