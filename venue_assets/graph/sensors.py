"""The landing sensor: launches exactly the event dates whose landed segments changed."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

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
from venue_assets.lake.landing_index import LandingIndex, scan
from venue_assets.lake.store import Lake

JOB = "materialize"
SETTLE_SECONDS = 1.0
"""How long a date's newest file must have lain still, so that a burst of segments becomes one run."""

_IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Seen:
    """What the sensor knows of a date: how its folders looked, and the content that it last asked a run for."""

    stat: str
    content: str


def changed_dates(index: LandingIndex, seen: Mapping[date, Seen], busy: set[date], now: float) -> dict[date, Seen]:
    """Dates to launch, with what will then have been seen; dates whose content stayed the same are not among them.

    `busy` dates have a run in flight and `now` (seconds since 1970) tells which still settle: both wait for a later
    tick.
    """
    return {day: new for day, new in _looked_at(index, seen, busy, now).items() if _content(seen, day) != new.content}


def _looked_at(index: LandingIndex, seen: Mapping[date, Seen], busy: set[date], now: float) -> dict[date, Seen]:
    found = {}
    for day in index.dates():
        stat = index.stat_fingerprint(day)
        if (day in seen and seen[day].stat == stat) or day in busy or now - index.newest(day) < SETTLE_SECONDS:
            continue
        found[day] = Seen(stat, index.date_fingerprint(day))
    return found


def _content(seen: Mapping[date, Seen], day: date) -> str | None:
    return seen[day].content if day in seen else None


def build_sensor(home: Home, site: Site) -> dg.SensorDefinition:
    """The sensor over the landing of `home`."""

    @dg.sensor(
        name="landing",
        job_name=JOB,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Looks at the landing every second and materializes each event date whose landed segments changed: new, "
            "late or landed again with other content. Never one twice for the same content, never two runs of one date "
            "at once."
        ),
    )
    def landing(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        seen = {date.fromisoformat(day): Seen(*pair) for day, pair in json.loads(context.cursor or "{}").items()}
        index = scan(home.landing)
        partitions = set(event_dates(site).get_partition_keys())
        looked = _looked_at(index, seen, dates_in_flight(context.instance), time.time())
        requests = []
        for day, new in looked.items():
            if _content(seen, day) == new.content or key(day) not in partitions:
                continue
            if day not in seen and _is_computed(home, index, day):
                continue  # somebody materialized it before the sensor ever saw it
            requests.append(dg.RunRequest(run_key=f"{day}:{new.content}", partition_key=key(day)))
        cursor = json.dumps({str(day): [s.stat, s.content] for day, s in sorted((seen | looked).items())})
        return dg.SensorResult(run_requests=requests, cursor=cursor)

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
        if provenance is None or provenance.inputs.get(f"landing/{stream}") != index.fingerprint(stream, day):
            return False
    return lake.provenance("primary_metrics", day) is not None
