"""Partitions: one per event date, from the day on which the first venue opened."""

from __future__ import annotations

from datetime import date
from typing import Final

import dagster as dg

from edge_collector.site import Site

MAX_DATES_PER_RUN: Final = 31
"""A longer range becomes several runs: each is one process, and its log stays readable."""


def event_dates(site: Site) -> dg.DailyPartitionsDefinition:
    """All event dates. Two days reach beyond UTC's yesterday, because Shanghai's today begins at 20:00 UTC."""
    return dg.DailyPartitionsDefinition(start_date=site.opened_on.isoformat(), timezone="UTC", end_offset=2)


def key(day: date) -> str:
    """The partition key of an event date."""
    return day.isoformat()
