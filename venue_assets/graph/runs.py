"""Running the graph from the command line: the same runs as the UI's, in this process, over the same instance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from venue_assets.graph.assets import Listener, listening
from venue_assets.graph.build import build_definitions
from venue_assets.graph.failures import INTERRUPTED, error_of_step, errors_by_date
from venue_assets.graph.partitions import MAX_DATES_PER_RUN, event_dates, key
from venue_assets.graph.process import PROCESS_TAG, lost_runs, own_process
from venue_assets.graph.sensors import JOB, dates_of
from venue_assets.home import Home


@dataclass(frozen=True)
class RunOutcome:
    """How one run over a range of dates ended."""

    run_id: str
    first: date
    last: date
    success: bool
    error: str

    @property
    def interrupted(self) -> bool:
        """Whether somebody stopped it."""
        return self.error == INTERRUPTED

    @property
    def errors(self) -> dict[date, str]:
        """The dates that failed, each with its error."""
        return {} if self.success else errors_by_date(self.error, self.days)

    @property
    def days(self) -> list[date]:
        """The dates that it was to compute."""
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


class OutsidePartitions(ValueError):
    """Dates before the first venue opened, or in the future."""


def ranges(days: Iterable[date]) -> list[tuple[date, date]]:
    """Days as runs of consecutive dates, none longer than a run may be."""
    found: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if found and (day - found[-1][1]).days == 1 and (day - found[-1][0]).days < MAX_DATES_PER_RUN:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def materialize(
    home: Home,
    instance: dg.DagsterInstance,
    days: Sequence[date],
    *,
    tables: Sequence[str] | None = None,
    listener: Listener = lambda _day, _table: None,
) -> list[RunOutcome]:
    """Compute the given dates of all tables, or of some, and publish. One run per range of consecutive dates.

    A run that is interrupted is the last one; the dates after it have no outcome.
    Raises OutsidePartitions for dates that have no partition.
    """
    partitions = set(event_dates(home.site).get_partition_keys())
    if outside := [day for day in days if key(day) not in partitions]:
        raise OutsidePartitions(
            f"{outside[0]} is given; dates from {home.site.opened_on} (the earliest opened_on in site.toml) to today "
            "are expected"
        )
    job = build_definitions(home, lineage=False).resolve_job_def(JOB)
    outcomes = []
    for first, last in ranges(days):
        tags = {PROCESS_TAG: own_process()}
        if first != last:
            tags |= {ASSET_PARTITION_RANGE_START_TAG: key(first), ASSET_PARTITION_RANGE_END_TAG: key(last)}
        with listening(listener):
            result = job.execute_in_process(
                instance=instance,
                partition_key=key(first) if first == last else None,
                tags=tags,
                asset_selection=[dg.AssetKey(t) for t in tables] if tables else None,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        outcomes.append(RunOutcome(result.run_id, first, last, result.success, _error(result)))
        if outcomes[-1].interrupted:
            break
    return outcomes


def close_lost_runs(instance: dg.DagsterInstance) -> list[date]:
    """Report runs whose process is gone as failed; returns the event dates that they were to compute."""
    days: set[date] = set()
    for run in lost_runs(instance):
        instance.report_run_failed(
            run, "the process of this run is gone; its dates are computed again by: venue rerun --failed"
        )
        days.update(dates_of(run))
    return sorted(days)


def _error(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.is_step_failure and (said := error_of_step(event)):
            return said
    return "" if result.success else "the run did not finish; see it in the UI"
