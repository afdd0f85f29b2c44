"""The Dagster instance of one home: kept under `<home>/dagster`, quiet, and set up for one machine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import dagster as dg
from sqlalchemy import event
from sqlalchemy.engine import Engine

from edge_collector.durable import write_atomically
from venue_assets.home import Home

_CONFIG: Final = """\
# Written by `venue`; edits are overwritten.
telemetry: {enabled: false}
nux: {enabled: false}
# Only of what is logged as text: every event of a run is kept, and shown in the UI.
python_logs: {python_log_level: WARNING}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    max_concurrent_runs: 2
    dequeue_interval_seconds: 1
    tag_concurrency_limits:
      # At most one run per event date in flight, whoever asked for it.
      - {key: dagster/partition, value: {applyLimitPerUniqueValue: true}, limit: 1}
event_log_storage:
  module: venue_assets.graph.event_log
  class: EventLog
  config: {dagster_home: {env: DAGSTER_HOME}}
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


@contextmanager
def open_instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """The instance of a home."""
    folder = prepare(home)
    with (
        dg.DagsterInstance.from_config(str(folder)) as instance,
        # Dagster opens its list of runs anew every time, and whoever closes a database last has to tidy it up.
        closing(sqlite3.connect(folder / "history" / "runs.db")) as held,
    ):
        held.execute("SELECT count(*) FROM sqlite_master").fetchall()
        yield instance


@event.listens_for(Engine, "connect")
def _flush_at_checkpoints(connection: Any, _: Any) -> None:
    """Of the event log a power cut may take the last second; the lake, which is the record, is flushed file by file."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = NORMAL")
