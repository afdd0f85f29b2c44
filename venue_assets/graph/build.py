"""Assembles the definitions of one home afresh, so that a test swaps the home instead of patching."""

from __future__ import annotations

import warnings

import dagster as dg
from dagster_duckdb import DuckDBResource

from venue_assets.graph.assets import HomeResource, build_assets
from venue_assets.graph.partitions import event_dates
from venue_assets.graph.sensors import JOB, build_sensor
from venue_assets.home import Home
from venue_assets.tables.catalogue import catalogue


def build_definitions(home: Home) -> dg.Definitions:
    """Assets, checks, job and sensor over one data folder. Raises SiteError where its site file is wrong."""
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    site = home.site
    partitions = event_dates(site)
    job = dg.define_asset_job(
        JOB,
        selection="*",
        partitions_def=partitions,
        executor_def=dg.in_process_executor,
        description="All tables of an event date, from what landed to what is published, in one process.",
    )
    return dg.Definitions(
        assets=[build_assets(catalogue(), partitions)],
        jobs=[job],
        sensors=[build_sensor(home, site)],
        executor=dg.in_process_executor,
        resources={
            "home": HomeResource(root=str(home.root)),
            "engine": DuckDBResource(database=":memory:", connection_config={"threads": 2, "memory_limit": "4GB"}),
        },
    )
