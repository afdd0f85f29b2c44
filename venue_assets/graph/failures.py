"""What Dagster's runs say about failed dates: the record of a failure that could not be noted in the lake.

The lake notes why a table failed beside its partition; where that folder is what cannot be written, and for the
publication, which has no folder per date, the run is the only witness.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Final

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from venue_assets.graph.sensors import dates_of

NEWEST_RUNS: Final = 500
"""How many runs are looked at: months of ordinary days."""

INTERRUPTED: Final = "the run was interrupted before it had ended"
"""The error of a run that somebody stopped with Ctrl-C. One that is ended in the UI is canceled: no failure."""
_INTERRUPTS: Final = {KeyboardInterrupt.__name__, DagsterExecutionInterruptedError.__name__}

_TOLD_BY: Final = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
_DATE: Final = re.compile(r"(?:^|; )(\d{4}-\d\d-\d\d): ")


def errors_by_date(error: str, days: Sequence[date]) -> dict[date, str]:
    """The first error of each date that a run's error names; of all its `days` where it names none."""
    _, *parts = _DATE.split(error)
    found: dict[date, str] = {}
    for day, text in zip(parts[::2], parts[1::2], strict=True):
        found.setdefault(date.fromisoformat(day), text)
    return found or dict.fromkeys(days, error)


def failed_dates(instance: dg.DagsterInstance) -> dict[date, str]:
    """Event dates whose newest run failed on them, with the error. A date that is being computed now is none."""
    newest: dict[date, dg.DagsterRun] = {}
    for run in instance.get_runs(limit=NEWEST_RUNS):
        for day in dates_of(run):
            newest.setdefault(day, run)
    errors: dict[str, dict[date, str]] = {}
    for run in newest.values():
        if run.status == dg.DagsterRunStatus.FAILURE and run.run_id not in errors:
            errors[run.run_id] = errors_by_date(error_of(instance, run), dates_of(run))
    return {day: errors[run.run_id][day] for day, run in sorted(newest.items()) if day in errors.get(run.run_id, {})}


def error_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Why a run failed, as it says itself."""
    for entry in instance.all_logs(run.run_id, of_type=_TOLD_BY):
        event = entry.dagster_event
        if event and event.is_step_failure:
            if said := error_of_step(event):
                return said
        elif event and event.message:
            return event.message
    return f"run {run.run_id[:8]} failed; see it in the UI"


def error_of_step(event: dg.DagsterEvent) -> str:
    """What a step's failure event tells: the description that the step gave, else the error that it met."""
    error, user = event.step_failure_data.error, event.step_failure_data.user_failure_data
    if error and {error.cls_name, error.cause.cls_name if error.cause else None} & _INTERRUPTS:
        return INTERRUPTED
    if user and user.description:
        return user.description.strip()
    return (error.cause or error).message.strip() if error else ""
