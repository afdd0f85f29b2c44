"""How a gateway numbers, packs and lands a date's records: segments, re-deliveries, late, altered and lost ones.

Also how everything that simulated gateways landed is removed again.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Literal

import numpy as np

from edge_collector.contract import STREAMS
from edge_collector.durable import write_atomically
from edge_collector.segment import (
    MANIFEST_SUFFIX,
    SEGMENT_SUFFIX,
    SegmentName,
    segment_of,
    write_segment,
)
from venue_assets.simulate.chance import generator
from venue_assets.simulate.dirt import AHEAD_DAYS, spoil
from venue_assets.simulate.incidents import LATE_BY, Incidents
from venue_assets.simulate.options import Options
from venue_assets.simulate.records import BOOT_ID, Table, lines
from venue_assets.simulate.venue_day import MINUTE, BoolArray, IntArray, instant

SIMULATED: Final = "sim"
"""Gateways whose id begins so are played by the simulator; all they landed may be removed."""
SEGMENTS_A_DAY: Final = 6
SMALLEST_SEGMENT: Final = 100

Fate = Literal["landed", "late", "corrupt", "missing", "lost"]


@dataclass
class Parcel:
    """Lines that become one segment, and the rows of the day's tables that they came from."""

    stream: str
    event_date: date
    gateway_id: str
    lines: list[bytes]
    seqs: list[int]
    created_at: int
    table: IntArray
    row: IntArray
    fate: Fate = "landed"

    def land(self, landing: Path) -> int:
        """Writes what of it lands at all; returns the number of manifests written."""
        if self.fate == "lost":
            return 0
        if self.fate in ("corrupt", "missing"):
            with tempfile.TemporaryDirectory(prefix="venue-simulate-") as elsewhere:
                intact = self._write(Path(elsewhere))
                segment = segment_of(intact)
                target = landing / intact.parent.relative_to(elsewhere)
                target.mkdir(parents=True, exist_ok=True)
                if self.fate == "corrupt":
                    content = bytearray(segment.read_bytes())
                    content[len(content) // 2] ^= 0xFF
                    write_atomically(target / segment.name, bytes(content))
                write_atomically(target / intact.name, intact.read_bytes())
        else:
            self._write(landing)
        return 1

    def _write(self, landing: Path) -> Path:
        delay = LATE_BY if self.fate == "late" else timedelta()
        return write_segment(
            landing,
            stream=self.stream,
            event_date=self.event_date,
            gateway_id=self.gateway_id,
            boot_id=BOOT_ID,
            lines=self.lines,
            seqs=self.seqs,
            created_at=instant(self.created_at) + delay,
        )


@dataclass
class Numbering:
    """The next number of each gateway and stream."""

    upcoming: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(lambda: 1))
    lost: dict[tuple[str, str], list[list[int]]] = field(default_factory=dict)
    """Ranges that were given out and never landed."""


def parcels_of(
    stream: str,
    day: date,
    tables: Sequence[Table],
    gateways: Sequence[str],
    numbering: Numbering,
    options: Options,
    incidents: Incidents,
) -> list[Parcel]:
    """Numbers the rows of one stream and date (in all venues) and packs them.

    Columns `seq`, `copies` and `prompt` of the tables are set. Everything of the date must be in `tables`.
    """
    which = np.repeat(np.arange(len(tables)), [len(t) for t in tables])
    row = np.concatenate([np.arange(len(t)) for t in tables])
    gateway, emit, sent, ahead = (np.concatenate([t[c] for t in tables]) for c in ("gateway", "emit", "sent", "ahead"))
    order = np.lexsort((emit, gateway))
    plans: list[Parcel] = []
    seq = np.zeros(len(order), dtype=np.int64)
    for g, gateway_id in enumerate(gateways):
        own = order[gateway[order] == g]
        if not len(own):
            continue
        first = numbering.upcoming[gateway_id, stream]
        numbering.upcoming[gateway_id, stream] += len(own)
        seq[own] = first + np.arange(len(own))
        if incidents.offline == (gateway_id, day):
            numbering.lost.setdefault((gateway_id, stream), []).append([first, first + len(own) - 1])
        rng = generator(options.seed, gateway_id, day, stream, "segments")
        packed = [
            Parcel(stream, folder, gateway_id, [], seq[chosen].tolist(), created_at, which[chosen], row[chosen], fate)
            for chosen, created_at, folder, fate in _plan(own, emit, sent, ahead, rng, options, day)
        ]
        _befall(packed, day, stream, incidents)
        plans += packed
    for i, table in enumerate(tables):
        table["seq"] = seq[which == i]
        for parcel in plans:
            if parcel.fate in ("landed", "late"):
                rows = parcel.row[parcel.table == i]
                table["copies"][rows] += 1  # no row is twice in one parcel
                table["prompt"][rows] += parcel.fate == "landed"
    texts = [_texts(table, gateways, options) for table in tables]
    for parcel in plans:
        parcel.lines = [texts[t][r] for t, r in zip(parcel.table.tolist(), parcel.row.tolist(), strict=True)]
    return plans


def _plan(
    own: IntArray,
    emit: IntArray,
    sent: IntArray,
    ahead: BoolArray,
    rng: np.random.Generator,
    options: Options,
    day: date,
) -> Iterable[tuple[IntArray, int, date, Fate]]:
    """Which rows go into which segment of one gateway's stream and date, when it is sealed, and what befalls it."""
    there = np.maximum(emit, sent)
    regular, early = own[~ahead[own]], own[ahead[own]]
    size = max(SMALLEST_SEGMENT, -(-len(regular) // SEGMENTS_A_DAY))
    size = min(options.segment_lines, size)
    may_be_late = day + LATE_BY <= options.last_date
    for at in range(0, len(regular), size):
        chosen = regular[at : at + size]
        late = may_be_late and rng.random() < options.dirt.late_segments
        yield chosen, int(there[chosen].max()) + MINUTE, day, "late" if late else "landed"
    if len(early):
        yield early, int(sent[early].max()) + MINUTE, day + timedelta(days=AHEAD_DAYS), "landed"
    # A segment's first line is never sent again, so that no two segments have the same name.
    again = rng.random(len(regular)) < options.dirt.redelivered
    again[::size] = False
    if again.any():
        yield regular[again], int(there[regular].max()) + 10 * MINUTE, day, "landed"


def _befall(own: Sequence[Parcel], day: date, stream: str, incidents: Incidents) -> None:
    """What the run's incidents do to the parcels of one gateway's stream and date."""
    here = [p for p in own if p.event_date == day]
    gateway_day = (own[0].gateway_id, day)
    if incidents.offline == gateway_day:
        for parcel in own:
            parcel.fate = "lost"
    elif incidents.late == gateway_day and stream == "face_visits":
        here[len(here) // 2].fate = "late"
    elif incidents.corrupt == gateway_day and stream == "face_visits":
        here[len(here) // 3].fate = "corrupt"
    elif incidents.missing == gateway_day and stream == "orders":
        here[len(here) // 3].fate = "missing"


def _texts(table: Table, gateways: Sequence[str], options: Options) -> list[bytes]:
    texts = lines(table, gateways)
    spoil(table, texts, generator(options.seed, table.day.venue.id, table.day.event_date, table.stream, "spoil"))
    return texts


def remove(landing: Path) -> int:
    """Deletes every segment and manifest that a simulated gateway landed, and folders that become empty.

    Nothing else is touched. Returns the number of files deleted.
    """
    deleted = 0
    for stream in STREAMS:
        for folder in sorted((landing / stream).glob("event_date=*")):
            # Manifests first: a segment without one does not exist for readers, a manifest without one is an error.
            for suffix in (MANIFEST_SUFFIX, SEGMENT_SUFFIX):
                for path in sorted(folder.glob(f"{SIMULATED}*{suffix}")):
                    if _is_ours(path.name.removesuffix(suffix)):
                        path.unlink()
                        deleted += 1
            _remove_if_empty(folder)
        _remove_if_empty(landing / stream)
    return deleted


def _is_ours(stem: str) -> bool:
    try:
        return SegmentName.parse(stem).gateway_id.startswith(SIMULATED)
    except ValueError:
        return False


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
