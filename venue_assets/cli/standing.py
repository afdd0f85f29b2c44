"""How every date stands, layer by layer: what `venue status` shows and `venue rerun --failed` acts on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from venue_assets.cli import disk
from venue_assets.graph.failures import failed_dates
from venue_assets.graph.instance import open_instance
from venue_assets.graph.process import lost_runs
from venue_assets.graph.sensors import dates_of
from venue_assets.graph.specs import PUBLISHED
from venue_assets.home import Home
from venue_assets.lake.freshness import GONE, Freshness, State, worst
from venue_assets.lake.landing_index import scan
from venue_assets.lake.store import Lake
from venue_assets.publish.record import Publication, current
from venue_assets.tables.catalogue import LAYERS, catalogue


@dataclass(frozen=True)
class DateStanding:
    """One date: the worst state of each layer."""

    day: date
    layers: Mapping[str, State]
    until: frozenset[date] = frozenset()
    """Where its tables are stale only because partitions of other dates are gone: these dates."""
    origin: Literal["landed", "nothing", "gone", "around"] = "landed"
    """What there is to compute it from: `nothing` where nothing ever landed for it, or around it, `gone` where segments
    of a stream that it was computed from are no longer there, `around` where only what it reads of such a date is."""

    @property
    def why(self) -> str:
        """Nothing where the date is fresh."""
        return worst(self.layers.values()).why

    @property
    def failed(self) -> bool:
        """Whether it takes a repair, then a rerun."""
        return any(state.condition == "failed" for state in self.layers.values())

    @property
    def published(self) -> bool:
        """Whether the publication holds what the lake does."""
        return self.layers[PUBLISHED].condition == "fresh"

    @property
    def only_unpublished(self) -> bool:
        """Whether its tables are fresh and only the publication is behind them."""
        return all((state.condition == "fresh") != (layer == PUBLISHED) for layer, state in self.layers.items())


@dataclass(frozen=True)
class Standing:
    """All dates, and what the runs say of them."""

    dates: list[DateStanding]
    failed_runs: Mapping[date, str]
    """Dates whose newest run failed on them, with the error; a date may have become fresh otherwise since."""
    lost_runs: Mapping[str, list[date]]
    """Runs whose process is gone, by id, with those of the dates asked for that they were to compute."""
    anything_landed: bool
    """Whether any date has landed data."""
    runs_unread: str
    """Why runs cannot be read, in one sentence: then the dates are as the lake alone tells. Empty where they can."""


def standing(home: Home, only: set[date] | None = None) -> Standing:
    """How dates (or `only` those) stand that landed, lie between landed ones, were computed, or failed."""
    freshness = Freshness(home, catalogue(), scan(home.landing))
    publication = current(home)
    lost, failed, unread = _runs(home)
    gone = {day: f"the process of run {run_id[:8]} is gone" for run_id, of in lost.items() for day in of}
    # A failed run of a date that was withdrawn says nothing any more.
    wanted = {day for day in failed if freshness.has_reason(day)}
    days = dates_there(freshness, publication) | wanted
    rows = [_date(freshness, publication, day, gone | failed) for day in sorted(days if only is None else days & only)]
    asked = {run_id: [day for day in of if only is None or day in only] for run_id, of in lost.items()}
    return Standing(
        rows, failed, {run_id: of for run_id, of in asked.items() if of}, bool(freshness.index.dates()), unread
    )


def _runs(home: Home) -> tuple[dict[str, list[date]], dict[date, str], str]:
    """Runs whose process is gone with their dates, dates whose newest run failed, and why neither can be read.

    Dagster writes where it only reads; a disk that is full keeps nobody from seeing what the lake tells.
    """
    try:
        with open_instance(home) as instance:
            return {run.run_id: dates_of(run) for run in lost_runs(instance)}, failed_dates(instance), ""
    except Exception as error:
        if not (sentence := disk.explained(error, home)):
            raise
        return {}, {}, sentence


def _date(freshness: Freshness, publication: Publication | None, day: date, failed: Mapping[date, str]) -> DateStanding:
    if not freshness.has_reason(day):
        return _empty(freshness, day)
    states = {table.name: freshness.state(table, day) for table in catalogue()}
    wanting = [state for state in states.values() if state.condition != "fresh"]
    until = frozenset[date]().union(*(state.until for state in wanting)) if all(s.until for s in wanting) else None
    states[PUBLISHED] = _published(freshness, publication, day)
    if freshness.gone(day):  # what a run said of it meanwhile is no failure to be repaired
        return DateStanding(day, _layers(states), origin="gone")
    if day in failed:
        states |= _left_behind(states, failed[day])
    if until and until <= freshness.gone_dates.keys():
        return DateStanding(day, _layers(states), until, origin="around")
    return DateStanding(day, _layers(states), until or frozenset())


def _empty(freshness: Freshness, day: date) -> DateStanding:
    """A date that there is no reason to compute, and of which the lake holds something."""
    gone = freshness.gone(day)
    why = GONE.format(", ".join(gone)) if gone else "nothing landed for it"
    states = {name: State("stale", why) for name in (*catalogue().tables, PUBLISHED)}
    return DateStanding(day, _layers(states), origin="gone" if gone else "nothing")


def dates_there(freshness: Freshness, publication: Publication | None) -> set[date]:
    """Dates that landed or lie between landed ones, and those of which the lake or the publication holds something."""
    published = publication.dates if publication else set()
    return {*freshness.operating_dates(), *noted_failures(freshness.lake), *published}


def noted_failures(lake: Lake) -> set[date]:
    """Dates with a table whose failure is noted in the lake."""
    return {day for table in catalogue().tables for day in lake.failures(table)}


def _layers(states: Mapping[str, State]) -> dict[str, State]:
    filled = [layer for layer in LAYERS if any(table.layer == layer for table in catalogue())]
    layers = {layer: worst(states[table.name] for table in catalogue() if table.layer == layer) for layer in filled}
    return layers | {PUBLISHED: states[PUBLISHED]}


def _left_behind(states: Mapping[str, State], error: str) -> dict[str, State]:
    """What a failed run did not make: the table that its error names, unless it is fresh by now; of an error that names
    none, everything that is not as it should be.
    """
    wanting = [name for name, state in states.items() if state.condition in ("missing", "stale")]
    blamed = error.partition(":")[0]
    line = error.splitlines()[0] if error else "failed"
    return {
        name: State("failed", line if blamed in states else f"{name}: {line}")
        for name in ([blamed] if blamed in states else wanting)
        if name in wanting
    }


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
