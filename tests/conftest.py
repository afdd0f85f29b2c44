"""What tests of all rooms share: where their files lie, which process runs them, fresh homes, the engine over them."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from venue_assets.home import Home
from venue_assets.lake.engine import Computed, Engine
from venue_assets.lake.landing_index import scan
from venue_assets.tables.catalogue import catalogue

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"

MEMORY = Path("/dev/shm")
ROOM = 3 * 1024**3
"""Bytes; a run holds about a third of that at a time."""

ROOMS = ("dictionary", "publish", "report")
"""Folders whose files share a home that takes long to make."""

SLOWEST = (
    "publish",
    "report",
    "cli/test_failures.py",
    "importing/test_order_book.py",
    "graph/test_processes.py",
    "cli/test_empty_dates.py",
    "graph/test_ranges.py",
    "cli/test_status.py",
    "lake/test_agreement.py",
    "powerbi/test_dax.py",
    "experiments/test_units.py",
    "lake/test_analysis.py",
    "cli/test_experiment.py",
    "cli/test_demo.py",
    "cli/test_interrupted.py",
    "cli/test_doctor.py",
    "cli/test_demo_leftovers.py",
    "dictionary",
    "graph/test_sensor.py",
    "simulate/test_units_as_computed.py",
    "cli/test_commands.py",
    "cli/test_query.py",
    "edge/end_to_end/test_radio_faults.py",
    "edge/collector/test_salvage.py",
    "edge/end_to_end/test_days.py",
    "experiments/test_gates.py",
    "semantic_layer/test_same_as_tables.py",
    "oracle/test_adversarial.py",
    "edge/end_to_end/test_power.py",
    "powerbi/test_checks.py",
)
"""What computes longest, in this order. A list that is out of date costs time, nothing else."""

WAITING = (
    "edge/collector/test_cli.py",
    "ui/test_dagster_ui.py",
    "edge/collector/test_simulation.py",
    "edge/collector/test_attacks.py",
    "cli/test_ui.py",
    "landing/test_crash.py",
    "landing/test_service.py",
    "edge/collector/test_clock_steps.py",
    "edge/collector/test_at_once.py",
    "edge/collector/test_http.py",
    "edge/collector/test_crash.py",
    "edge/collector/test_salvage_at_the_gateway.py",
    "landing/test_limits.py",
)
"""What waits for other processes, sockets and pages most of its time; the longest first."""


def pytest_configure() -> None:
    """Temporary files lie in memory where there is room for them.

    Every partition, segment and event of Dagster is synced to its disk, which in memory is more than ten times
    cheaper. Tests prove the same there: none of them takes the power from the disk.
    """
    if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        tempfile.tempdir = os.environ["TMPDIR"] = str(MEMORY)


def unit(nodeid: str) -> str:
    """What one process runs as a whole, so that what its tests share is made once: a file, or all files of a room."""
    file = nodeid.partition("::")[0].removeprefix("tests/")
    room = file.partition("/")[0]
    return room if room in ROOMS else file


class ByUnit(LoadScopeScheduling):
    """Gives each process a unit at a time, the first process from the end of the queue, the others from its beginning.

    So one process is at what waits while the others compute. Several that wait at a time would leave processors idle.
    """

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        if node is self.nodes[0]:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByUnit:
    return ByUnit(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest units first: else one process would still be at one of them long after the others have ended.

    What waits comes last, for the process that begins there.
    """
    places = {name: place for place, name in enumerate((*SLOWEST, "", *reversed(WAITING)))}
    items.sort(key=lambda item: places.get(unit(item.nodeid), places[""]))


@pytest.fixture(autouse=True)
def _no_home_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test never reads or writes the data folder of whoever runs it."""
    monkeypatch.delenv("VENUE_DATA", raising=False)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home with the shipped site."""
    root = tmp_path / "home"
    root.mkdir()
    shutil.copyfile(REPOSITORY / "data" / "site.toml", root / "site.toml")
    return Home(root)


def compute(home: Home, *days: date, tables: list[str] | None = None) -> list[Computed]:
    """Compute all tables (or some) for the given dates with the engine alone, without Dagster."""
    con = duckdb.connect(config={"threads": 1})  # the other cores are busy with other tests
    try:
        engine = Engine(home, catalogue(), con, scan(home.landing))
        wanted = [t for t in catalogue().tables.values() if tables is None or t.name in tables]
        return [engine.compute(table, day) for day in days for table in wanted]
    finally:
        con.close()


def upstream(*names: str) -> list[str]:
    """The tables and all that they are made of, in order: what `compute` needs to be given for them."""
    wanted = set(names)
    for table in reversed(list(catalogue())):
        if table.name in wanted:
            wanted |= set(catalogue().lake_inputs(table))
    return [table.name for table in catalogue() if table.name in wanted]


def rows(home: Home, table: str, day: date) -> list[dict[str, object]]:
    """The rows of one partition, in the order in which they lie."""
    import pyarrow.parquet as pq

    path = home.lake / table / f"event_date={day}" / "part-0.parquet"
    return pq.ParquetFile(path).read().to_pylist()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data and reference cases; tests that need them are skipped where the folder is absent."""
    if not SHARED.exists():
        pytest.skip(f"the folder of real data ({SHARED.name}/ beside the repository) is absent")
    return SHARED
