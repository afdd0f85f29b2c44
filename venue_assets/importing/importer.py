"""From files to segments: what `venue import` does, without its words.

- Every row read lands, has landed already, or is rejected with line and reason. Nothing is dropped.
- A segment's boot is the hash of files and map, records are numbered in order of event date and row. So the same
  import writes the same bytes, and an import that was cut short goes on where it stopped.
- What this gateway has landed before does not land again: a visit that has landed as often as the file holds it, an
  interval that has landed with the same counts, an order line that equals its newest landed version.
- An order line that differs lands with a later recorded_at than the version it replaces, so what was imported last
  counts. Except that an old export, imported once more after a newer one, does not bring back what that one replaced.

What does not belong here: what a row becomes (`edge_collector.foreign_files.drafts`), how files are read (`source`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from edge_collector.durable import write_atomically
from edge_collector.event_time import rfc_3339
from edge_collector.foreign_files.column_map import BoundMap, ImportKind, MapError, load_map
from edge_collector.foreign_files.drafts import Draft, Mapped, Row, map_counts, map_orders, map_visits
from edge_collector.pseudonym import Pseudonymizer
from edge_collector.segment import write_segment
from edge_collector.site import Site
from venue_assets.importing.counting import SourceReject, compare, join_flows, require_out_count, running_totals
from venue_assets.importing.landed import LandedBefore, own_fields
from venue_assets.importing.source import NO_SUCH_FILE, Source, choose_files, read_source

MAX_SEGMENT_ROWS: Final = 50_000
_MILLISECOND: Final = timedelta(milliseconds=1)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class ImportResult:
    """What an import did. `rows_read == landed + already_landed + rejected`, always; all four count rows of the files.

    With two flows in two files, two rows make one record, so `records` is the smaller number.
    """

    kind: ImportKind
    stream: str
    files: tuple[Path, ...]
    gateway_id: str
    boot_id: str
    rows_read: int
    landed: int
    already_landed: int
    rejected: int
    records: int
    """Records written to the landing by this import."""
    ambiguous: int
    """Rows with a local time that exists twice; the earlier instant was taken."""
    nonexistent: int
    """Rows with a local time that does not exist; it was moved forward by the gap."""
    segments: tuple[Path, ...]
    """Manifests of the segments written."""
    event_dates: tuple[date, ...]
    """Event dates that received records, ascending: those to materialize."""
    rejects_file: Path | None
    """Where the rejected rows are listed with file, line and reason; None where there are none."""

    def __post_init__(self) -> None:
        accounted = self.landed + self.already_landed + self.rejected
        if self.rows_read != accounted:
            raise AssertionError(
                f"{self.rows_read} rows read, {accounted} accounted for; this is a bug in the importer"
            )

    @property
    def nothing_new(self) -> bool:
        """Whether all that could land had landed before."""
        return self.records == 0


@dataclass
class _Plan:
    """What is to be written, in order of event date and row, and what became of the other rows."""

    new: list[Draft] = field(default_factory=list)
    landed: int = 0
    already: int = 0
    rejects: list[SourceReject] = field(default_factory=list)
    ambiguous: int = 0
    nonexistent: int = 0
    created_at: datetime = _NEVER

    def take(self, mapped: Mapped) -> None:
        """Count what mapping one file found."""
        self.rejects += [(0, reject) for reject in mapped.rejects]
        self.ambiguous, self.nonexistent = mapped.ambiguous, mapped.nonexistent


class _Job(NamedTuple):
    bound: BoundMap
    boot_id: str
    before: LandedBefore
    progress: Progress


def import_file(
    site: Site,
    landing: Path,
    kind: ImportKind,
    files: Sequence[Path],
    map_path: Path,
    *,
    pseudonymizer: Callable[[], Pseudonymizer],
    rejects_dir: Path,
    progress: Progress | None = None,
) -> ImportResult:
    """Land the rows of `files` as the map at `map_path` says.

    One file, or a folder that holds one; with [flows] in the map, the file of each flow (one suffices where the other
    lies beside it). `pseudonymizer` loads the key; it is called where the map has a user_id, once map and files are
    found to be good. `rejects_dir` receives `<gateway>-<boot>.csv` where rows were rejected.

    Everything about the map and the files' columns is checked before anything is written.
    Raises MapError with all mistakes of the map, or what is wrong with a file.
    """
    for file in files:
        if not file.exists():
            raise MapError(file, [NO_SUCH_FILE])
    bound = load_map(map_path, site)
    if bound.map.kind != kind:
        raise MapError(map_path, [f'kind: "{bound.map.kind}" is given; "{kind}" is expected by `venue import {kind}`'])
    report = progress or (lambda _what, _done, _total: None)
    chosen = choose_files(files, bound)
    sources = []
    for n, (path, flow) in enumerate(chosen):
        report("reading", n, len(chosen))
        sources.append(read_source(path, bound, flow))
    pseudonym_of = pseudonymizer() if "columns.user_id" in bound.columns() else _no_users
    boot_id = _boot_id([path for path, _ in chosen], map_path)
    stream = bound.device.stream
    before = LandedBefore.find(landing, stream, bound.gateway_id, bound.venue.id, bound.device.id)
    job = _Job(bound, boot_id, before, report)
    if kind == "counts":
        plan = _plan_counts(job, sources)
    elif kind == "visits":
        plan = _plan_visits(job, sources[0], pseudonym_of)
    else:
        plan = _plan_orders(job, sources[0], pseudonym_of)
    unreadable = [(n, reject) for n, source in enumerate(sources) for reject in source.rejects]
    rejects = sorted([*unreadable, *plan.rejects])
    rejects_file = _write_rejects(rejects_dir / f"{bound.gateway_id}-{boot_id}.csv", sources, rejects)
    segments = tuple(_write(job, landing, plan))
    return ImportResult(
        kind=kind,
        stream=stream,
        files=tuple(source.path for source in sources),
        gateway_id=bound.gateway_id,
        boot_id=boot_id,
        rows_read=sum(source.rows_read for source in sources),
        landed=plan.landed,
        already_landed=plan.already,
        rejected=len(rejects),
        records=len(plan.new),
        ambiguous=plan.ambiguous,
        nonexistent=plan.nonexistent,
        segments=segments,
        event_dates=tuple(sorted({draft.event_date for draft in plan.new})),
        rejects_file=rejects_file,
    )


def _boot_id(files: Sequence[Path], map_path: Path) -> str:
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (*files, map_path)]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


def _no_users(_member_number: str) -> str:
    raise AssertionError("a map without user_id asks for no pseudonyms")


def _reported(rows: Sequence[Row], progress: Progress) -> Iterator[Row]:
    for n, row in enumerate(rows):
        if n % 10_000 == 0:
            progress("mapping", n, len(rows))
        yield row


def _by_date(drafts: Sequence[Draft]) -> list[tuple[date, list[Draft]]]:
    days: dict[date, list[Draft]] = defaultdict(list)
    for draft in drafts:
        days[draft.event_date].append(draft)
    return sorted(days.items())


def _plan_orders(job: _Job, source: Source, pseudonym_of: Callable[[str], str]) -> _Plan:
    plan = _Plan()
    mapped = map_orders(job.bound, source.columns, _reported(source.rows, job.progress), pseudonym_of)
    plan.take(mapped)
    exported_at = max((draft.instant for draft in mapped.drafts), default=plan.created_at)
    recorded_at = exported_at
    days = _by_date(mapped.drafts)
    for n, (day, drafts) in enumerate(days):
        job.progress("comparing", n, len(days))
        newest, earlier = job.before.orders(day)
        for draft in drafts:
            key = (str(draft.fields[0]), int(draft.fields[1] or 0))
            known = newest.get(key)
            if known is not None:
                older_export = exported_at <= known.recorded_at
                had_before = older_export and any(line.fields == draft.fields for line in earlier.get(key, ()))
                if known.fields == draft.fields or had_before:
                    plan.already += 1
                    continue
                recorded_at = max(recorded_at, known.recorded_at + _MILLISECOND)
            plan.new.append(draft)
    plan.landed = len(plan.new)
    plan.created_at = recorded_at
    return plan


def _plan_visits(job: _Job, source: Source, pseudonym_of: Callable[[str], str]) -> _Plan:
    plan = _Plan()
    mapped = map_visits(job.bound, source.columns, _reported(source.rows, job.progress), pseudonym_of)
    plan.take(mapped)
    days = _by_date(mapped.drafts)
    for n, (day, drafts) in enumerate(days):
        job.progress("comparing", n, len(days))
        known = job.before.visits(day)
        for draft in drafts:
            key = (draft.instant, str(draft.fields[0]), str(draft.fields[1]))
            if known[key] > 0:
                known[key] -= 1
                plan.already += 1
            else:
                plan.new.append(draft)
    plan.landed = len(plan.new)
    plan.created_at = max((draft.instant for draft in mapped.drafts), default=plan.created_at)
    return plan


def _plan_counts(job: _Job, sources: Sequence[Source]) -> _Plan:
    zone = job.bound.venue.time_zone
    plan = _Plan()
    flows = []
    for n, source in enumerate(sources):
        mapped = map_counts(job.bound, source.columns, _reported(source.rows, job.progress), source.flow)
        plan.rejects += [(n, reject) for reject in mapped.rejects]
        plan.ambiguous += mapped.ambiguous
        plan.nonexistent += mapped.nonexistent
        flows.append(mapped.drafts)
    intervals, unpaired = join_flows(flows)
    plan.rejects += unpaired
    if job.bound.device.stream == "boundary_counts":
        intervals, incomplete = require_out_count(intervals)
        plan.rejects += incomplete
    job.progress("comparing", 0, len(intervals))
    landed = job.before.counts()
    new, already, contradictions = compare(intervals, landed)
    plan.rejects += contradictions
    plan.landed = sum(len(interval.rows) for interval in new)
    plan.already = sum(len(interval.rows) for interval in already)
    drafts = []
    for interval, totals in zip(new, running_totals(new, landed), strict=True):
        lines = tuple(line for _, line in interval.rows)
        times = (rfc_3339(interval.start, zone), rfc_3339(interval.end, zone))
        counts = (interval.in_count, interval.out_count, interval.unpaired_count)
        fields = (*times, *counts, *totals)
        drafts.append(Draft(lines, interval.event_date, interval.start, interval.end, fields))
    plan.new = [draft for _, day in _by_date(drafts) for draft in day]
    plan.created_at = max((interval.end for interval in intervals), default=plan.created_at)
    return plan


def _write(job: _Job, landing: Path, plan: _Plan) -> Iterator[Path]:
    """Write the new records, numbered on from what this boot has landed; yields the manifests."""
    bound, stream = job.bound, job.bound.device.stream
    names = own_fields(stream)
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    recorded = rfc_3339(plan.created_at, bound.venue.time_zone) if plan.new else ""
    seq = job.before.last_seq(job.boot_id)
    days = _by_date(plan.new)
    for n, (day, drafts) in enumerate(days):
        job.progress("landing", n, len(days))
        for at in range(0, len(drafts), MAX_SEGMENT_ROWS):
            lines: list[bytes] = []
            first = seq + 1
            for draft in drafts[at : at + MAX_SEGMENT_ROWS]:
                seq += 1
                own = draft.recorded_at
                record = {
                    "gateway_id": bound.gateway_id,
                    "boot_id": job.boot_id,
                    "seq": seq,
                    "venue_id": bound.venue.id,
                    "device_id": bound.device.id,
                    "recorded_at": recorded if own is None else rfc_3339(own, bound.venue.time_zone),
                    "clock": "synced",
                }
                record.update(zip(names, draft.fields, strict=True))
                lines.append(encode(record).encode())
            yield write_segment(
                landing,
                stream=stream,
                event_date=day,
                gateway_id=bound.gateway_id,
                boot_id=job.boot_id,
                lines=lines,
                seqs=range(first, seq + 1),
                created_at=plan.created_at,
            )
    job.progress("landing", len(days), len(days))


def _write_rejects(path: Path, sources: Sequence[Source], rejects: Sequence[SourceReject]) -> Path | None:
    """The list of rejected rows; a list that an earlier try left is replaced, or removed where it has become empty."""
    if not rejects:
        path.unlink(missing_ok=True)
        return None
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "line", "reason"))
    writer.writerows((sources[n].path.name, reject.line, reject.reason) for n, reject in rejects)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue().encode())
    return path
