"""What tests of all rooms share: fresh homes, and the engine over them."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import duckdb
import pytest

from venue_assets.home import Home
from venue_assets.lake.engine import Computed, Engine
from venue_assets.lake.landing_index import scan
from venue_assets.tables.catalogue import catalogue

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"

SLOWEST = (
    "importing/test_order_book.py",
    "graph/test_processes.py",
    "lake/test_agreement.py",
    "experiments/test_units.py",
    "graph/test_ranges.py",
    "ui/test_dagster_ui.py",
    "cli/test_failures.py",
    "cli/test_experiment.py",
    "simulate/test_units_as_computed.py",
    "cli/test_commands.py",
    "cli/test_ui.py",
    "lake/test_analysis.py",
    "publish/test_publication.py",
    "semantic_layer/test_metrics_by_hand.py",
    "dictionary/test_dictionary.py",
    "report/test_report.py",
    "powerbi/test_checks.py",
)
"""The files that take longest, in this order. A list that is out of date costs time, nothing else."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files first: else one process would still be at one of them long after the other has ended."""
    places = {REPOSITORY / "tests" / file: place for place, file in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


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
    con = duckdb.connect()
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
