"""Which process runs a run, and whether it is still there: a run whose process was killed stays STARTED for ever."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster import DagsterRun, DagsterRunStatus

PROCESS_TAG = ".dagster/venue_process"
"""Tags below .dagster/ are kept and not shown."""
DATES_TAG = "event_dates"
"""What people read in the list of runs."""
_UNDER_WAY = [
    DagsterRunStatus.NOT_STARTED,  # for ever, where the disk was full when its start was to be noted
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
_GRACE = timedelta(minutes=2)
"""A run that has not said which process it is, because that is still starting, is believed for so long."""


def own_process() -> str:
    """This process as `host:pid:start`, so that a later process of the same number is not taken for it."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(process: str) -> bool:
    """Whether a process of this host has ended. Of other hosts nothing is known: they are believed to run."""
    host, pid, started = process.rsplit(":", 2)
    return host == socket.gethostname() and _started(int(pid)) != started


def lost_runs(instance: dg.DagsterInstance) -> list[DagsterRun]:
    """Runs that count as under way but whose process is gone."""
    lost = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=_UNDER_WAY)):
        process = record.dagster_run.tags.get(PROCESS_TAG)
        if process is None:
            gone = datetime.now(UTC) - record.create_timestamp.replace(tzinfo=UTC) > _GRACE
        else:
            gone = is_gone(process)
        if gone:
            lost.append(record.dagster_run)
    return lost


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot; empty where there is no such process or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return _started_elsewhere(pid)
    return "" if fields[0] in "ZX" else fields[19]


def _started_elsewhere(pid: int) -> str:
    """Without /proc all that can be asked is whether the number is in use."""
    if Path("/proc/self").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "running"
