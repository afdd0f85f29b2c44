"""Freshness: what each partition would be made of now, against what it was made of, for any table and date.

stale = an input partition's content differs from the one recorded at computation, or the table's definition does.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from edge_collector.contract import STREAMS
from edge_collector.segment import SEGMENT_SUFFIX, SegmentName
from venue_assets.home import Home
from venue_assets.lake.landing_index import LandingIndex
from venue_assets.lake.reference import Lost, References, missing
from venue_assets.lake.store import Lake, Provenance
from venue_assets.tables.catalogue import Catalogue, Table, Window
from venue_assets.tables.references import ORIGINS, REFERENCES

Condition = Literal["fresh", "stale", "failed", "missing"]
LANDED: Final = "landing/"
"""What the input that is a landed stream is called by, before the name of the stream."""
GONE: Final = "the segments of {} that it was computed from are gone from landing/"
_UNREADABLE: Final = re.compile(r"(\w+) of (\d{4}-\d\d-\d\d) cannot be read")
WORST_FIRST: tuple[Condition, ...] = ("failed", "missing", "stale", "fresh")


@dataclass(frozen=True)
class State:
    """How a partition stands, and why, in one line (empty where it is fresh)."""

    condition: Condition
    why: str = ""
    until: frozenset[date] = frozenset()
    """Where it is stale only because partitions of other dates are gone: these dates. Once they are back, it may well
    be fresh as it is."""


class Freshness:
    """What partitions are made of. Reads footers only, each once until `forget` is told that it changed; and once what
    had landed of streams that are gone."""

    def __init__(self, home: Home, catalogue: Catalogue, index: LandingIndex) -> None:
        self.lake = Lake(home.lake)
        self.index = index
        self.references = References(home.site, index, lambda: self._lost)
        self.opened_on = home.site.opened_on
        self._catalogue = catalogue
        self._provenance: dict[tuple[str, date], Provenance | None] = {}
        self._damage: dict[tuple[str, date], str] = {}

    def provenance(self, table: str, day: date) -> Provenance | None:
        """What the partition holds and was made of."""
        if (table, day) not in self._provenance:
            self._provenance[table, day] = self.lake.provenance(table, day)
        return self._provenance[table, day]

    def forget(self, table: str, day: date) -> None:
        """Read the partition's footer anew next time."""
        self._provenance.pop((table, day), None)

    def inputs(self, table: Table, day: date) -> dict[str, str]:
        """What the table would be made of now: the content of each input partition, reference and landed stream."""
        found: dict[str, str] = {}
        for name, window in self._catalogue.computed_from(table).items():
            if name in REFERENCES:
                found[name] = self.references.content(name, day)
                continue
            for of in self.dates(name, day, window):
                if provenance := self.provenance(name, of):
                    found[f"{name}/{of}"] = provenance.content
        if table.is_landed:
            streams = [table.stream] if table.stream else sorted({stream for stream, _ in self.index.entries})
            found |= {LANDED + s: self.index.fingerprint(s, day) for s in streams if (s, day) in self.index.entries}
        return found

    def gone(self, day: date) -> list[str]:
        """The streams that tables of the date were made of and of which nothing is in the landing any more."""
        made = (self.provenance(table.name, day) for table in self._catalogue if table.is_landed)
        return sorted({stream for provenance in made for stream in gone(self.index, provenance, day)})

    @cached_property
    def gone_dates(self) -> Mapping[date, list[str]]:
        """The dates of which streams were computed that are not in the landing any more, with these streams."""
        return gone_dates(self.lake, self.index, self.lake.dates("landed_segments"))

    @cached_property
    def _lost(self) -> list[Lost]:
        """The segments of the streams that are gone, as it was noted when these were computed."""
        found = []
        for day, streams in self.gone_dates.items():
            holes: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
            numbered = "stream", "gateway_id", "boot_id", "first_missing", "last_missing"
            for stream, gateway, boot, first, last in self._noted("sequence_gaps", day, numbered):
                holes[stream, gateway, boot].append((first, last))
            for stream, file, created_at in self._noted("landed_segments", day, ("stream", "segment", "created_at")):
                if stream in streams and created_at:  # without a time the manifest could not be read, and held nothing
                    name = SegmentName.parse(file.removesuffix(SEGMENT_SUFFIX))
                    within = holes[stream, name.gateway_id, name.boot_id]
                    found.append(Lost(stream, name, [*missing(name.first_seq, name.last_seq, within)]))
        return found

    def _noted(self, table: str, day: date, columns: Sequence[str]) -> Iterable[tuple[Any, ...]]:
        """The rows of a partition; none where it cannot be read."""
        try:
            rows = pq.read_table(self.lake.path(table, day), columns=list(columns), partitioning=None)
        except (OSError, pa.ArrowInvalid):
            return ()
        return zip(*rows.to_pydict().values(), strict=True)

    def dates(self, name: str, day: date, window: Window) -> list[date]:
        """The dates of input `name` that a table of date `day` reads."""
        if window.days == "all":
            return [of for of in self.lake.dates(name) if of <= day]
        first = min(day - timedelta(days=window.days - 1), self._since(window, day))
        return [first + timedelta(days=n) for n in range((day - first).days + 1)]

    def _since(self, window: Window, day: date) -> date:
        """Where an activity or experiment that is on began, at the latest `day`."""
        site = self.references.site
        # A bandit begins the date before its first one, when the shares of that are due.
        experiments = ((e.first_date - timedelta(days=e.kind == "bandit"), e.matures_on) for e in site.experiments)
        began = {
            None: [],
            "activity": [a.first_date for a in site.activities if a.first_date <= day <= a.last_date],
            "experiment": [first for first, last in experiments if first <= day <= last],
        }[window.since]
        return min([day, *(first - timedelta(days=window.before) for first in began)])

    def state(self, table: Table, day: date) -> State:
        """How the partition of `table` for `day` stands."""
        if failure := self.lake.failure(table.name, day):
            return State("failed", f"{table.name}: {self._why_failed(failure.error.splitlines()[0])}")
        provenance = self.provenance(table.name, day)
        if provenance is None:
            return State("missing", f"{table.name}: never computed, or its partition cannot be read")
        if lost := gone(self.index, provenance, day):
            return State("stale", f"{table.name}: {GONE.format(', '.join(lost))}")
        if provenance.code != table.code:
            return State("stale", f"{table.name}: its definition changed since it was computed")
        now = self.inputs(table, day)
        if changed := sorted({n for n in now | dict(provenance.inputs) if now.get(n) != provenance.inputs.get(n)}):
            waits = [self._waits_for(name, day) for name in changed if name not in now]
            what = "changed" if any(name in now for name in changed) else "gone"
            said = list(dict.fromkeys(ORIGINS.get(name, name) for name in changed))
            why = f"{table.name}: {', '.join(said[:3])} {what} since it was computed"
            waits_only = len(waits) == len(changed) and all(waits)
            return State("stale", why, frozenset[date]().union(*waits) if waits_only else frozenset())
        return State("fresh")

    def _why_failed(self, error: str) -> str:
        """The error, unless it is of an input that can be read by now: what it advises was done."""
        if not (found := _UNREADABLE.search(error)):
            return error
        name, of = found[1], date.fromisoformat(found[2])
        if (name, of) not in self._damage:
            self._damage[name, of] = self.lake.damage(name, of)
        return error if self._damage[name, of] else f"{name} of {of} could not be read, and can be by now"

    def _waits_for(self, name: str, day: date) -> frozenset[date]:
        """The other date whose partition the input was, where it is one."""
        return frozenset({of}) if (of := _date_of(name)) and of != day else frozenset()

    def has_reason(self, day: date) -> bool:
        """Whether there is a reason to compute a date: it landed, or lies between two that did (the venue was closed),
        or an experiment that ended within them still matures.
        """
        if not (landed := self.landed):
            return False
        matures = [e.matures_on for e in self.references.site.experiments if landed[0] <= e.last_date <= landed[-1]]
        return landed[0] <= day <= max([landed[-1], *matures])

    @cached_property
    def landed(self) -> list[date]:
        """The dates that landed and can be computed, ascending."""
        # A clock that was wrong names a date decades away; what lies outside of the partitions cannot be computed.
        last = datetime.now(UTC).date() + timedelta(days=1)
        return [day for day in self.index.dates() if self.opened_on <= day <= last]

    def operating_dates(self) -> list[date]:
        """Dates that landed or lie in the lake, and those without data between the first and the last landed one."""
        landed = self.landed
        between = [landed[0] + timedelta(days=n) for n in range((landed[-1] - landed[0]).days + 1)] if landed else []
        computed = {day for name in self._catalogue.tables for day in self.lake.dates(name)}
        return sorted({*between, *computed})


def gone(index: LandingIndex, provenance: Provenance | None, day: date) -> list[str]:
    """The streams that a partition was made of and of which nothing is in the landing any more.

    What landed stays. Where it is not there, its disk is not, or somebody took it away, and only people know which.
    """
    recorded = provenance.inputs if provenance else ()
    return [stream for stream in STREAMS if LANDED + stream in recorded and (stream, day) not in index.entries]


def gone_dates(lake: Lake, index: LandingIndex, days: Iterable[date]) -> dict[date, list[str]]:
    """Those of the dates of which whole streams were computed and are not in the landing any more, with the streams."""
    found = ((day, gone(index, lake.provenance("landed_segments", day), day)) for day in days)
    return {day: streams for day, streams in found if streams}


def _date_of(name: str) -> date | None:
    """The event date of an input that is a partition; None of references and landed streams."""
    try:
        return date.fromisoformat(name.partition("/")[2])
    except ValueError:
        return None


def worst(states: Iterable[State]) -> State:
    """The state that asks most for attention."""
    return min(states, key=lambda s: WORST_FIRST.index(s.condition), default=State("missing", "never computed"))
