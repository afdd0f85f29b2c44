"""The assets: one step that computes the selected tables, in order, for each event date of the run.

One step for all tables, as dbt projects are run: a day is one process, and a date that fails stops its own downstream
tables and nothing else. Materializations and checks are logged per date, so that after a range only the bad date is
failed.
"""

import base64
import os
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pyarrow.parquet as pq
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._utils.interrupts import capture_interrupts
from dagster_duckdb import DuckDBResource

from venue_assets.graph.partitions import MAX_DATES_PER_RUN
from venue_assets.graph.process import DATES_TAG, PROCESS_TAG, own_process
from venue_assets.graph.specs import PUBLISHED, asset_spec, check_specs, page, published_spec
from venue_assets.home import Home
from venue_assets.lake.engine import BlockingCheckFailed, CheckResult, Computed, Engine, damage_met, is_interrupt
from venue_assets.lake.landing_index import scan
from venue_assets.lake.store import Lake
from venue_assets.publish.building import CSV, DATABASE, PARQUET
from venue_assets.publish.names import DICTIONARY_PAGES, FRONT_PAGES, POWERBI
from venue_assets.publish.publication import publish
from venue_assets.publish.record import Publication, current
from venue_assets.semantic_layer.headline import TABLE as HEADLINE
from venue_assets.semantic_layer.headline import headline
from venue_assets.tables.catalogue import Catalogue

Listener = Callable[[date, str], None]
"""Told of every table that is about to be computed: event date and table."""

_SHOWN: Final = (PARQUET, CSV, POWERBI)
"""Folders of a publication, besides its database."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


class HomeResource(dg.ConfigurableResource[Any]):
    """The data folder of this installation."""

    root: str

    def open(self) -> Home:
        """The home at `root`."""
        return Home(Path(self.root))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within the context, runs of this process tell `listener` what they compute."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def build_assets(
    catalogue: Catalogue, partitions: dg.PartitionsDefinition[str], home: Home, *, lineage: bool = True
) -> dg.AssetsDefinition:
    """All tables and the publication as assets of one step that can compute any subset of them.

    `home` is for the addresses that are shown; what is computed is that of the resource.
    """

    @dg.multi_asset(
        name="venue",
        specs=[
            *(asset_spec(catalogue, table, partitions, home, lineage=lineage) for table in catalogue.tables.values()),
            published_spec(catalogue, partitions),
        ],
        check_specs=[spec for table in catalogue.tables.values() for spec in check_specs(table)],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(MAX_DATES_PER_RUN),
    )
    def venue(context: dg.AssetExecutionContext, home: HomeResource, engine: DuckDBResource) -> Iterator[Any]:
        selected = {key.to_user_string() for key in context.selected_asset_keys}
        if not selected or not (context.has_partition_key or context.has_partition_key_range):
            raise dg.Failure("a check is evaluated when its table is computed: materialize the event date instead")
        days = sorted(date.fromisoformat(key) for key in context.partition_keys)
        at = home.open()
        with _interrupted_between_events(), engine.get_connection() as con:
            context.instance.add_run_tags(
                context.run.run_id, {PROCESS_TAG: own_process(), DATES_TAG: f"{days[0]}...{days[-1]}"}
            )
            failures = _compute(context, at, Engine(at, catalogue, con, scan(at.landing, None)), selected, days)
            if PUBLISHED in selected:
                bad = {day for day, _ in failures}
                failures += _publish(context, at, catalogue, engine, [day for day in days if day not in bad])
        if failures:
            raise dg.Failure("; ".join(f"{day}: {error}" for day, error in failures), allow_retries=False)
        yield from ()  # what was made is logged per date above; an output would stand for all dates of the run

    return venue


@contextmanager
def _interrupted_between_events() -> Iterator[None]:
    """Ctrl-C waits for what is computed next, or for the end.

    In the middle of an event's transaction it would leave Dagster's database locked, and the run could not even tell
    that it was interrupted.
    """
    with capture_interrupts():
        try:
            yield
        finally:
            with dg.raise_execution_interrupts():
                pass


def _compute(
    context: dg.AssetExecutionContext, home: Home, engine: Engine, selected: set[str], days: Sequence[date]
) -> list[tuple[date, str]]:
    failures: list[tuple[date, str]] = []
    checked: dict[tuple[str, str], list[tuple[date, CheckResult]]] = defaultdict(list)
    for day in days:
        stopped: set[str] = set()
        for table in engine.catalogue.tables.values():
            if table.name not in selected:
                continue
            if stopped & set(engine.catalogue.lake_inputs(table)):
                stopped.add(table.name)
                continue
            if listener := _listener.get():
                listener(day, table.name)
            try:
                with dg.raise_execution_interrupts():
                    computed = engine.compute(table, day, run_id=context.run.run_id)
            except Exception as error:  # one date's trouble, whatever it is, must not become that of the others
                for check in error.checks if isinstance(error, BlockingCheckFailed) else ():
                    checked[table.name, check.name].append((day, check))
                stopped.add(table.name)
                failures.append((day, f"{table.name}: {error}"))
                context.log.error(f"{day} {table.name}: {error}\n{traceback.format_exc()}")
                continue
            _log_materialization(context, home, computed)
            for check in computed.checks:
                checked[table.name, check.name].append((day, check))
    for (name, _), results in checked.items():
        _log_check(context, name, results)
    return failures


def _log_materialization(context: dg.AssetExecutionContext, home: Home, computed: Computed) -> None:
    context.log_event(
        dg.AssetMaterialization(
            asset_key=computed.table.name,
            partition=computed.day.isoformat(),
            metadata={
                "dagster/partition_row_count": computed.rows,
                "seconds": round(computed.seconds, 3),
                "content": computed.content[:16],
                **({"picture": _picture(computed.picture)} if computed.picture else {}),
                **(_headline(home, computed.day) if computed.table.name == HEADLINE else {}),
            },
            tags={DATA_VERSION_TAG: computed.content},
        )
    )


def _headline(home: Home, day: date) -> dict[str, int | float]:
    """Numbers that the UI plots over the event dates."""
    return headline(pq.ParquetFile(Lake(home.lake).path(HEADLINE, day)).read())


def _picture(svg: str) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(f"![](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")


def _log_check(context: dg.AssetExecutionContext, table: str, results: Sequence[tuple[date, CheckResult]]) -> None:
    """One evaluation per date; those that fail last, because what comes last is what the graph shows."""
    for day, check in sorted(results, key=lambda result: (not result[1].passed, result[0])):
        figures = {name: _shown(value) for name, value in check.figures.items() if value is not None}
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(table),
                check_name=check.name,
                passed=check.passed,
                severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
                blocking=check.blocking,
                partition=day.isoformat(),
                description=f"{day}: {', '.join(f'{n} {v}' for n, v in figures.items())}",
                metadata={"event_date": day.isoformat(), **figures},
            )
        )


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    return value if isinstance(value, str | int) else str(value)


def _publish(
    context: dg.AssetExecutionContext, home: Home, catalogue: Catalogue, engine: DuckDBResource, days: Sequence[date]
) -> list[tuple[date, str]]:
    """Publish what the lake holds; returns the dates that did not get into the publication, and why."""
    if not days:
        return []
    if listener := _listener.get():
        listener(days[-1], PUBLISHED)
    before = current(home)
    remarks: list[str] = []
    try:
        with dg.raise_execution_interrupts():
            publication: Publication = publish(home, catalogue, engine, log=remarks.append)
    except Exception as error:
        if is_interrupt(error):
            raise KeyboardInterrupt from None
        context.log.error(f"{PUBLISHED}: {error}\n{traceback.format_exc()}")
        said = damage_met(error, Lake(home.lake), _read_anew(home, catalogue, before)) or error
        return [(day, f"{PUBLISHED}: {said}") for day in days]
    finally:
        for remark in remarks:
            context.log.warning(remark)
    changed = ", ".join(publication.differences(before)) or "nothing"
    for day in publication.dates & set(days):
        context.log_event(
            dg.AssetMaterialization(
                asset_key=PUBLISHED,
                partition=day.isoformat(),
                metadata={
                    "publication_id": publication.publication_id,
                    "changed": changed,
                    "database": dg.MetadataValue.path(os.fspath(home.published / DATABASE)),
                    **{name: dg.MetadataValue.path(os.fspath(home.published / name)) for name in _SHOWN},
                    "reports": page(home, FRONT_PAGES["en"]),
                    "dictionary": page(home, DICTIONARY_PAGES["en"]),
                    "report of this date": f"venue report --date {day} --open",
                },
                tags={DATA_VERSION_TAG: publication.publication_id},
            )
        )
    return [
        (day, f"{PUBLISHED}: its tables do not fit together; compute the whole date: venue materialize {day}")
        for day in days
        if day.isoformat() in publication.waiting
    ]


def _read_anew(home: Home, catalogue: Catalogue, before: Publication | None) -> Iterator[tuple[str, date]]:
    """The partitions that are not what the publication before was made of."""
    for name in catalogue.tables:
        known = before.stamps.get(name, {}) if before else {}
        yield from ((name, day) for day, at in Lake(home.lake).stamps(name).items() if known.get(day.isoformat()) != at)
