"""The landing sensor: launches exactly the event dates whose landed segments changed."""

import json
import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from datetime import date
from typing import Final

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from edge_collector.site import Site
from venue_assets.graph.partitions import event_dates, key
from venue_assets.graph.process import lost_runs
from venue_assets.home import Home
from venue_assets.lake.freshness import GONE, LANDED, gone_dates
from venue_assets.lake.landing_index import LandingIndex, scan
from venue_assets.lake.store import Lake

JOB = "materialize"
SETTLE_SECONDS = 1.0
"""How long a date's newest file must have lain still, so that a burst of segments becomes one run."""

LOOK_SECONDS = 0.5
WAIT_SECONDS = 4.0
"""Dagster evaluates sensors every 5 s at most; a tick that waits in between sees a landed file sooner."""

_LOST_SHOWN: Final = 3

_IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Seen:
    """What the sensor knows of a date: how its folders looked, the content that it last asked a run for, and how often
    that has changed: what comes back after something else is computed again, too.
    """

    stat: str
    content: str
    changes: int = 0


_NEVER: Final = Seen("", "")
"""A date that was not seen, or that was withdrawn since."""


def changed_dates(index: LandingIndex, seen: Mapping[date, Seen], now: float) -> dict[date, Seen]:
    """Dates whose folders look different from what was seen and lie still, with what is there now.

    `now` is in seconds since 1970. Contents are hashed for these dates only; they may turn out to be the same.
    """
    found = {}
    for day in index.dates():
        before, stat = seen.get(day, _NEVER), index.stat_fingerprint(day)
        if stat != before.stat and now - index.newest(day) >= SETTLE_SECONDS:
            content = index.date_fingerprint(day)
            found[day] = Seen(stat, content, before.changes + (content != before.content))
    return found


def build_sensor(home: Home, site: Site, *, wait_seconds: float = WAIT_SECONDS) -> dg.SensorDefinition:
    """The sensor over the landing of `home`. A tick that sees nothing new goes on looking for `wait_seconds`."""

    @dg.sensor(
        name="landing",
        job_name=JOB,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Watches the landing and materializes each event date whose landed segments changed: new, late, or landed "
            "again with other content. Never one twice for the same content, never two runs of one date at once, and "
            "none where a stream that a date was computed from is gone: what is left would be taken for all there is."
        ),
    )
    def landing(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        seen = {date.fromisoformat(day): Seen(*pair) for day, pair in json.loads(context.cursor or "{}").items()}
        deadline = time.monotonic() + wait_seconds
        while True:
            index = scan(home.landing)
            changed = changed_dates(index, seen, time.time())
            away = seen.keys() - index.dates()
            lost = gone_dates(Lake(home.lake), index, {*changed, *away})
            if changed:
                busy = dates_in_flight(context.instance)
                changed = {day: new for day, new in changed.items() if day not in busy and day not in lost}
            if changed or lost or time.monotonic() >= deadline:
                break
            time.sleep(LOOK_SECONDS)
        partitions = set(event_dates(site).get_partition_keys()) if changed else set()
        due = [
            day
            for day, new in changed.items()
            if new.content != seen.get(day, _NEVER).content
            and key(day) in partitions
            # What somebody computed before the sensor saw it needs no run.
            and (seen.get(day, _NEVER).content or not _is_computed(home, index, day))
        ]
        withdrawn = {day: replace(_NEVER, changes=seen[day].changes) for day in away - lost.keys()}
        cursor = json.dumps({str(day): list(astuple(s)) for day, s in sorted((seen | changed | withdrawn).items())})
        idle = f"nothing new in {len(index.dates())} landed event dates"
        if lost:  # not logged: each tick that logs leaves a file behind
            said = [f"{day}: {GONE.format(', '.join(of))}" for day, of in sorted(lost.items())[:_LOST_SHOWN]]
            idle += f"; {len(lost)} not computed ({'; '.join(said)}): see venue status --problems"
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=f"{day}:{changed[day].content}:{changed[day].changes}", partition_key=key(day))
                for day in due
            ],
            skip_reason=None if due else idle,
            cursor=cursor,
        )

    return landing


def dates_in_flight(instance: dg.DagsterInstance) -> set[date]:
    """Event dates for which a run is queued or under way; runs whose process is gone do not count."""
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_IN_FLIGHT))
    lost = {run.run_id for run in lost_runs(instance)} if runs else set()
    return {day for run in runs if run.run_id not in lost for day in dates_of(run)}


def dates_of(run: dg.DagsterRun) -> list[date]:
    """The event dates of a run: one partition, or a range of them."""
    tags = run.tags
    first = tags.get(ASSET_PARTITION_RANGE_START_TAG) or tags.get(PARTITION_NAME_TAG)
    last = tags.get(ASSET_PARTITION_RANGE_END_TAG) or first
    if not first or not last:
        return []
    start, end = date.fromisoformat(first).toordinal(), date.fromisoformat(last).toordinal()
    return [date.fromordinal(n) for n in range(start, end + 1)]


def _is_computed(home: Home, index: LandingIndex, day: date) -> bool:
    """Whether the lake already holds what landed: so a first tick after a backfill by hand launches nothing."""
    lake = Lake(home.lake)
    for stream in {s for s, d in index.entries if d == day}:
        provenance = lake.provenance(f"raw_{stream}", day)
        if provenance is None or provenance.inputs.get(LANDED + stream) != index.fingerprint(stream, day):
            return False
    return lake.provenance("primary_metrics", day) is not None
