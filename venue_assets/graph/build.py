"""Assembles the definitions of one home afresh, so that a test swaps the home instead of patching."""

from __future__ import annotations

import os
import warnings

import dagster as dg
from dagster_duckdb import DuckDBResource

from venue_assets.graph.assets import HomeResource, build_assets
from venue_assets.graph.partitions import event_dates
from venue_assets.graph.sensors import JOB, WAIT_SECONDS, build_sensor
from venue_assets.home import Home
from venue_assets.tables.catalogue import catalogue


def build_definitions(home: Home, *, lineage: bool = True, sensor_waits: float = WAIT_SECONDS) -> dg.Definitions:
    """Assets, checks, job and sensor over one data folder. Raises SiteError where its site file is wrong.

    `lineage` of columns is for people who look at the graph; reading it from the SQL takes half a second.
    `sensor_waits` is for how many seconds a tick of the sensor goes on looking when nothing is new.
    """
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    site = home.site
    partitions = event_dates(site)
    job = dg.define_asset_job(
        JOB,
        selection="*",
        executor_def=dg.in_process_executor,
        description="All tables of an event date, from what landed to what is published, in one process.",
    )
    return dg.Definitions(
        assets=[build_assets(catalogue(), partitions, home, lineage=lineage)],
        jobs=[job],
        sensors=[build_sensor(home, site, wait_seconds=sensor_waits)],
        executor=dg.in_process_executor,
        resources={
            "home": HomeResource(root=str(home.root)),
            "engine": engine_resource(),
        },
    )


def engine_resource() -> DuckDBResource:
    """The engine: DuckDB in memory, over the lake."""
    return DuckDBResource(database=":memory:", connection_config={"threads": cpu_count(), "memory_limit": "4GB"})


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
