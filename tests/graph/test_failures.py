"""What runs tell about failed dates: the newest run of a date counts, and each date has its own error."""

from __future__ import annotations

from datetime import date

import dagster as dg
import pytest
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from venue_assets.graph import failures
from venue_assets.graph.failures import errors_by_date, failed_dates
from venue_assets.graph.process import PROCESS_TAG, lost_runs, own_process

FIRST, SECOND, THIRD = (date(2026, 1, day) for day in (5, 6, 7))
FAILED, ENDED_WELL = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def ran(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, first: date, last: date | None = None) -> None:
    tags = {PARTITION_NAME_TAG: str(first)}
    if last:
        tags = {ASSET_PARTITION_RANGE_START_TAG: str(first), ASSET_PARTITION_RANGE_END_TAG: str(last)}
    instance.add_run(dg.DagsterRun(job_name="materialize", status=status, tags=tags))


def test_each_date_has_its_own_error() -> None:
    error = f"{FIRST}: sessions: no space; and more; {THIRD}: orders: bad; {THIRD}: published: behind"
    assert errors_by_date(error, [FIRST, SECOND, THIRD]) == {
        FIRST: "sessions: no space; and more",
        THIRD: "orders: bad",
    }


def test_an_error_that_names_no_date_is_that_of_all() -> None:
    assert errors_by_date("the process is gone", [FIRST, SECOND]) == dict.fromkeys(
        [FIRST, SECOND], "the process is gone"
    )


def test_the_newest_run_of_a_date_counts(instance: dg.DagsterInstance) -> None:
    ran(instance, FAILED, FIRST, THIRD)
    ran(instance, ENDED_WELL, SECOND)
    ran(instance, dg.DagsterRunStatus.STARTED, THIRD)
    assert set(failed_dates(instance)) == {FIRST}
    ran(instance, FAILED, SECOND)
    assert set(failed_dates(instance)) == {FIRST, SECOND}


def test_only_the_newest_runs_are_looked_at(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "NEWEST_RUNS", 2)
    for day in (FIRST, SECOND, THIRD):
        ran(instance, FAILED, day)
    assert set(failed_dates(instance)) == {SECOND, THIRD}


def test_a_run_whose_start_could_not_be_noted_is_lost_when_its_process_is(instance: dg.DagsterInstance) -> None:
    """Else the landing sensor would wait for it for ever."""
    gone = own_process().rpartition(":")[0] + ":0"
    for process in (own_process(), gone):
        instance.add_run(dg.DagsterRun(job_name="materialize", tags={PROCESS_TAG: process}))
    assert [run.tags[PROCESS_TAG] for run in lost_runs(instance)] == [gone]
