"""Recomputes one event date from the landed files, straight from sections 2 and 3 of the design.

Loops and dicts only: no SQL, no data frames, no code shared with the system. Written to be read beside the design, file
by file: `site`, `segments`, `records`, `judgement`, `sessions`, `metrics`.

    oracle = recompute(Path("data"), date(2026, 3, 29))
    oracle.primary_metrics[0]["gmv"]

What does not belong here: speed, and any rule that the design does not state. Where the design is silent, the decision
is written at the place where it is taken, marked with "Decision:".
"""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from tests.oracle.judgement import read_day
from tests.oracle.metrics import metrics
from tests.oracle.records import STREAMS
from tests.oracle.segments import first_landed_date
from tests.oracle.sessions import attach, form_sessions, mark_superseded, resolve_users
from tests.oracle.site import read_site


@dataclass
class Oracle:
    """Everything that follows from the landing for one event date."""

    event_date: date
    landed: dict[str, int] = field(default_factory=dict)  # stream -> non-empty lines of accepted segments
    refused: list[tuple[str, str]] = field(default_factory=list)  # (segment file name, reason)
    quarantine: list[dict] = field(default_factory=list)
    clean: dict[str, list[dict]] = field(default_factory=dict)  # stream -> rows in order of segment name, then line
    sessions: list[dict] = field(default_factory=list)
    order_lines: list[dict] = field(default_factory=list)  # current lines only, with `session_id` or None
    primary_metrics: list[dict] = field(default_factory=list)
    hourly_metrics: list[dict] = field(default_factory=list)


def recompute(data: Path, event_date: date) -> Oracle:
    """The numbers of one event date from `data/site.toml` and `data/landing/`."""
    data = Path(data)
    site = read_site(data / "site.toml")
    landing = data / "landing"
    oracle = Oracle(event_date)
    for stream in STREAMS:
        day = read_day(landing, site, stream, event_date)
        oracle.landed[stream] = day.landed
        oracle.refused += day.refused
        oracle.quarantine += day.quarantine
        oracle.clean[stream] = day.clean
    resolve_users(site, landing, event_date, oracle.clean)
    mark_superseded(oracle.clean["orders"])
    oracle.sessions = form_sessions(oracle.clean["face_visits"])
    oracle.order_lines = attach(oracle.clean["orders"], oracle.sessions)
    for venue_id in sorted(site.venues):
        first = first_landed_date(landing, site, venue_id)
        if first is None or first > event_date:
            continue
        rows = rows_of_venue(oracle, venue_id)
        head = {
            "venue_id": venue_id,
            "activity_id": site.activity(venue_id, event_date),
            "currency": site.venues[venue_id].currency,
        }
        oracle.primary_metrics.append(head | metrics(site, venue_id, rows))
        for hour in range(24):
            oracle.hourly_metrics.append(head | {"hour": hour} | metrics(site, venue_id, rows_of_hour(rows, hour)))
    return oracle


def rows_of_venue(oracle: Oracle, venue_id: str) -> dict[str, list[dict]]:
    """What the figures of a venue are computed from."""
    tables = {
        "boundary": oracle.clean["boundary_counts"],
        "entrance": oracle.clean["entrance_counts"],
        "entered": [s for s in oracle.sessions if s["enter_at"] is not None],
        "order_lines": oracle.order_lines,
    }
    return {table: [row for row in rows if row["venue_id"] == venue_id] for table, rows in tables.items()}


def rows_of_hour(tables: dict[str, list[dict]], hour: int) -> dict[str, list[dict]]:
    """Sessions by enter, lines by ordered_at, counts by interval_start; local hour."""
    return {table: [row for row in rows if row["hour"] == hour] for table, rows in tables.items()}
