"""Counts: two flows joined into one record per interval, compared with what has landed, and given running totals.

Counts that have landed are never changed, because nothing in the contract would supersede them and both would count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from itertools import accumulate
from typing import Any, NamedTuple

from edge_collector.foreign_files.drafts import CountDraft, Reject

RowRef = tuple[int, int]
"""Which row a record comes from: position of its file among the sources, line in it."""
SourceReject = tuple[int, Reject]

_Key = tuple[datetime, str, int]


class Interval(NamedTuple):
    """One record to be: an interval with the counts of one or two files."""

    rows: tuple[RowRef, ...]
    start: datetime
    end: datetime
    event_date: date
    in_count: int
    out_count: int | None
    unpaired_count: int | None


class Totals(NamedTuple):
    """Cumulative counts of an interval's device in its epoch, this interval included."""

    in_total: int
    out_total: int | None
    device_epoch: int


def join_flows(flows: Sequence[Sequence[CountDraft]]) -> tuple[list[Interval], list[SourceReject]]:
    """One interval per row of the first file, which holds in_count; the second file, if any, gives its out_count.

    An interval without a row in the second file has no out_count. A row of the second file without a row in the first
    is rejected: the contract asks for an in_count, and a 0 would be invented.
    """
    rejects: list[SourceReject] = []
    keyed = [_by_interval(drafts, source, rejects) for source, drafts in enumerate(flows)]
    counted_out = keyed[1] if len(keyed) > 1 else {}
    intervals: list[Interval] = []
    for key, draft in keyed[0].items():
        other = counted_out.pop(key, None)
        rows: tuple[RowRef, ...] = ((0, draft.line),)
        out_count = draft.out_count
        if other is not None:
            rows, out_count = (*rows, (1, other.line)), other.out_count
        assert draft.in_count is not None
        intervals.append(
            Interval(rows, draft.start, draft.end, draft.event_date, draft.in_count, out_count, draft.unpaired_count)
        )
    rejects += [(1, Reject(draft.line, _without_in_count(draft))) for draft in counted_out.values()]
    return intervals, rejects


def _without_in_count(draft: CountDraft) -> str:
    return (
        "in_count: the other file has no usable row for this interval, a record needs its in_count; "
        f"out_count {draft.out_count} is left out"
    )


def require_out_count(intervals: Sequence[Interval]) -> tuple[list[Interval], list[SourceReject]]:
    """For boundary pairs, whose records need both counts."""
    reason = "out_count: the other file has no usable row for this interval; a boundary pair's record needs both counts"
    rejects = [(s, Reject(line, reason)) for i in intervals if i.out_count is None for s, line in i.rows]
    return [i for i in intervals if i.out_count is not None], rejects


def _by_interval(drafts: Sequence[CountDraft], source: int, rejects: list[SourceReject]) -> dict[_Key, CountDraft]:
    """Rows by interval. When clocks go back a local time is given twice and both are meant; else that is a mistake."""
    found: dict[_Key, CountDraft] = {}
    for draft in drafts:
        times = 2 if draft.resolution == "ambiguous" else 1
        keys = [(draft.start, draft.resolution, n) for n in range(times)]
        free = next((key for key in keys if key not in found), None)
        if free is None:
            reason = (
                f"interval_start: the interval is given again, first on line {found[keys[0]].line}; once is expected"
            )
            rejects.append((source, Reject(draft.line, reason)))
        else:
            found[free] = draft
    return found


def compare(
    intervals: Sequence[Interval], landed: Sequence[dict[str, Any]]
) -> tuple[list[Interval], list[Interval], list[SourceReject]]:
    """Split into new intervals, those that have landed already with the same counts, and rows that contradict them."""
    before: dict[datetime, list[tuple[Any, ...]]] = defaultdict(list)
    for record in landed:
        before[datetime.fromisoformat(record["interval_start"])].append(
            tuple(record.get(field) for field in ("in_count", "out_count", "unpaired_count"))
        )
    already: list[Interval] = []
    remaining: list[Interval] = []
    for interval in intervals:
        counts = (interval.in_count, interval.out_count, interval.unpaired_count)
        if counts in before[interval.start]:
            before[interval.start].remove(counts)
            already.append(interval)
        else:
            remaining.append(interval)
    new = [interval for interval in remaining if not before[interval.start]]
    rejects = [
        (source, Reject(line, _contradiction(interval, before[interval.start][0])))
        for interval in remaining
        if before[interval.start]
        for source, line in interval.rows
    ]
    return new, already, rejects


def _contradiction(interval: Interval, landed: tuple[Any, ...]) -> str:
    return (
        f"in_count, out_count: {interval.in_count} and {interval.out_count} are given, but {landed[0]} and {landed[1]} "
        "have landed for this interval; landed counts are not changed: take their segment out of the landing first"
    )


def running_totals(new: Sequence[Interval], landed: Sequence[dict[str, Any]]) -> list[Totals]:
    """Totals for each of `new`, cumulative in order of time.

    Intervals that all follow what has landed continue its epoch. Otherwise (the first import, or one that fills a hole)
    they begin an epoch of their own, because totals that have landed cannot be corrected.
    """
    if not new:
        return []
    in_base, out_base, epoch = 0, 0, 1
    if landed:
        last = landed[-1]
        if min(interval.start for interval in new) > datetime.fromisoformat(last["interval_start"]):
            epoch, in_base = last["device_epoch"], last["in_total"]
            same = (r["out_total"] for r in reversed(landed) if r["device_epoch"] == epoch)
            out_base = next((total for total in same if total is not None), 0)
        else:
            epoch = max(record["device_epoch"] for record in landed) + 1
    order = sorted(range(len(new)), key=lambda n: new[n].start)
    in_totals = accumulate((max(new[n].in_count, 0) for n in order), initial=in_base)
    out_totals = accumulate((max(new[n].out_count or 0, 0) for n in order), initial=out_base)
    next(in_totals), next(out_totals)
    totals: dict[int, Totals] = {}
    for n, in_total, out_total in zip(order, in_totals, out_totals, strict=True):
        totals[n] = Totals(in_total, None if new[n].out_count is None else out_total, epoch)
    return [totals[n] for n in range(len(new))]
