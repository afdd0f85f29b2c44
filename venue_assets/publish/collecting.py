"""Which dates can be published: those whose tables fit together, each made of what the others hold now.

Of a date that does not, or not yet, what was published before of it stays. Only tables of one date are held against
each other: a window of a later date (kpi, rfm_segments) may rest on an earlier state of this one until it is computed
again. Which ones do is not told here, for the provenance of every partition would have to be read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from venue_assets.lake.store import Lake, Provenance
from venue_assets.publish.database import Contents, Stamps
from venue_assets.tables.catalogue import Catalogue


@dataclass(frozen=True)
class Collected:
    """What can be published, and the dates that wait until their tables fit together."""

    contents: dict[str, dict[str, str]]
    stamps: dict[str, dict[str, Sequence[int]]]
    waiting: set[str]


def collect(lake: Lake, catalogue: Catalogue, contents: Contents, stamps: Stamps) -> Collected:
    """What the lake holds, where the publication before holds `contents`, read from files with these `stamps`."""
    names = list(catalogue.tables)
    found = Collected({name: {} for name in names}, {name: {} for name in names}, set())
    files = {name: lake.stamps(name) for name in names}
    for day in sorted(set[date]().union(*files.values())):
        key = day.isoformat()
        now = {name: files[name].get(day) for name in names}
        then = {name: stamps.get(name, {}).get(key) for name in names}
        if all(now[name] and now[name] == then[name] for name in names):
            for name in names:
                found.contents[name][key], found.stamps[name][key] = contents[name][key], now[name] or []
            continue
        provenances = {name: lake.provenance(name, day) for name in names}
        if _fit_together(catalogue, provenances, day):
            for name, provenance in provenances.items():
                assert provenance is not None
                found.contents[name][key], found.stamps[name][key] = provenance.content, now[name] or []
        else:
            found.waiting.add(key)
            for name in names:
                if content := contents.get(name, {}).get(key):
                    found.contents[name][key], found.stamps[name][key] = content, stamps[name][key]
    return found


def still_there(lake: Lake, stamps: Stamps, read: Mapping[str, Collection[str]]) -> bool:
    """Whether the partitions that were `read`, by table, are still the ones that were collected."""
    return all(
        lake.stamp(name, date.fromisoformat(day)) == stamps[name][day]
        for name, days in read.items()
        for day in days
        if day in stamps[name]
    )


def _fit_together(catalogue: Catalogue, provenances: Mapping[str, Provenance | None], day: date) -> bool:
    for provenance in provenances.values():
        if provenance is None:
            return False
        for name in catalogue.tables:
            made_of = provenance.inputs.get(f"{name}/{day}")
            source = provenances[name]
            if made_of is not None and (source is None or source.content != made_of):
                return False
    return True
