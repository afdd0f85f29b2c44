"""The Dagster instance of one home: kept under `<home>/dagster`, quiet, and set up for one machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import dagster as dg

from edge_collector.segment import write_atomically
from venue_assets.home import Home

_CONFIG: Final = """\
# Written by `venue`; edits are overwritten.
telemetry: {enabled: false}
nux: {enabled: false}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    max_concurrent_runs: 2
    dequeue_interval_seconds: 1
    tag_concurrency_limits:
      # At most one run per event date in flight, whoever asked for it.
      - {key: dagster/partition, value: {applyLimitPerUniqueValue: true}, limit: 1}
"""


def prepare(home: Home) -> Path:
    """Write the instance's configuration and make it the DAGSTER_HOME of this process and its children."""
    home.dagster.mkdir(parents=True, exist_ok=True)
    config = home.dagster / "dagster.yaml"
    if not config.exists() or config.read_text() != _CONFIG:
        write_atomically(config, _CONFIG.encode())
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    os.environ["VENUE_DATA"] = str(home.root)
    # One switch more, because telemetry looks at the environment before it looks at the configuration.
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    return home.dagster


def open_instance(home: Home) -> dg.DagsterInstance:
    """The instance of a home."""
    return dg.DagsterInstance.from_config(str(prepare(home)))
