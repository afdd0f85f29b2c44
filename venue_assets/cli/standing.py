"""How every date stands, layer by layer: what `venue status` shows and `venue rerun --failed` acts on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from venue_assets.graph.instance import open_instance
from venue_assets.graph.process import lost_runs
from venue_assets.graph.sensors import dates_of
from venue_assets.graph.specs import PUBLISHED
from venue_assets.home import Home
from venue_assets.lake.freshness import Freshness, State, worst
from venue_assets.lake.landing_index import scan
from venue_assets.lake.store import Lake
from venue_assets.publish.publication import Publication, current
from venue_assets.tables.catalogue import LAYERS, catalogue


@dataclass(frozen=True)
class DateStanding:
    """One date: the worst state of each layer, and why the worst of them is so."""

    day: date
    layers: Mapping[str, State]
    why: str


def standing(home: Home, only: set[date] | None = None) -> tuple[list[DateStanding], list[str]]:
    """All dates (or `only` those) that landed, lie between landed ones, or were computed; and ids of lost runs."""
    freshness = Freshness(home, catalogue(), scan(home.landing))
    publication = current(home)
    with open_instance(home) as instance:
        lost = lost_runs(instance)
    broken = {day: run.run_id for run in lost for day in dates_of(run)}
    rows = []
    for day in freshness.operating_dates():
        if only is not None and day not in only:
            continue
        states: dict[str, list[State]] = {layer: [] for layer in LAYERS}
        for table in catalogue().tables.values():
            state = freshness.state(table, day)
            if state.condition in ("stale", "missing") and day in broken:
                state = State("failed", f"{table.name}: the process of run {broken[day][:8]} is gone")
            states[table.layer].append(state)
        layers = {layer: worst(found) for layer, found in states.items()}
        layers[PUBLISHED] = _published(freshness, publication, day)
        rows.append(DateStanding(day, layers, worst(layers.values()).why))
    return rows, [run.run_id for run in lost]


def failed_dates(home: Home) -> list[date]:
    """Dates with a table whose last computation failed."""
    lake = Lake(home.lake)
    return sorted({day for table in catalogue().tables for day in lake.failures(table)})


def _published(freshness: Freshness, publication: Publication | None, day: date) -> State:
    held = {
        name: publication.contents.get(name, {}).get(day.isoformat()) if publication else None
        for name in catalogue().tables
    }
    if not any(held.values()):
        return State("missing", "published: never published")
    for name, content in held.items():
        provenance = freshness.provenance(name, day)
        if provenance is None or provenance.content != content:
            return State("stale", f"published: {name} changed since it was published")
    return State("fresh")
