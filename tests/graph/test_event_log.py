"""The event log keeps its connections, and stays the one that Dagster itself reads and writes."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy import event
from sqlalchemy.engine import Engine

from venue_assets.graph.event_log import KEPT, EventLog
from venue_assets.graph.instance import open_instance
from venue_assets.home import Home

EVENTS = 50


@dg.asset
def talkative(context: dg.AssetExecutionContext) -> None:
    """Logs many materializations."""
    for n in range(EVENTS):
        context.log_event(dg.AssetMaterialization("other", metadata={"n": n}, tags={"k": str(n)}))


@contextmanager
def opened() -> Iterator[list[str]]:
    """The database files that SQLAlchemy opens meanwhile."""
    files: list[str] = []

    def note(connection: Any, _: Any) -> None:
        files.append(Path(connection.execute("PRAGMA database_list").fetchone()[2]).name)

    event.listen(Engine, "connect", note)
    try:
        yield files
    finally:
        event.remove(Engine, "connect", note)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with open_instance(Home(tmp_path)) as found:
        yield found


def run(instance: dg.DagsterInstance, asset: dg.AssetsDefinition = talkative) -> str:
    return dg.materialize([asset], instance=instance).run_id


def test_many_events_do_not_open_a_database_many_times(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.event_log_storage, EventLog)
    with opened() as files:
        run_id = run(instance)
    own = [name for name in files if name in ("index.db", f"{run_id}.db")]
    assert 0 < len(own) < EVENTS / 5


def test_of_texts_only_warnings_are_logged_and_of_events_all(instance: dg.DagsterInstance, capfd: Any) -> None:
    @dg.asset
    def wordy(context: dg.AssetExecutionContext) -> None:
        context.log.info("by the way")
        context.log.warning("mind the step")

    entries = [r.event_log_entry for r in instance.get_records_for_run(run(instance, wordy)).records]
    assert [entry.user_message for entry in entries if not entry.is_dagster_event] == ["mind the step"]
    kinds = {entry.dagster_event_type for entry in entries if entry.is_dagster_event}
    assert {dg.DagsterEventType.STEP_START, dg.DagsterEventType.ASSET_MATERIALIZATION} < kinds
    said = capfd.readouterr().err.splitlines()
    assert ["mind the step" in line for line in said] == [True]


def test_dagster_reads_what_was_written_and_goes_on_writing(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run_id = run(instance)
    plain = SqliteEventLogStorage(str(tmp_path / "dagster" / "history" / "runs"))
    found = plain.get_records_for_run(run_id).records
    assert [r.storage_id for r in found] == [r.storage_id for r in instance.get_records_for_run(run_id).records]
    assert sum(r.event_log_entry.get_dagster_event().is_step_materialization for r in found) == EVENTS + 1
    plain.store_event(found[-1].event_log_entry)
    assert len(instance.get_records_for_run(run_id).records) == len(found) + 1


def test_of_many_runs_few_databases_are_open_and_all_can_be_read(instance: dg.DagsterInstance) -> None:
    runs = [run(instance) for _ in range(KEPT + 2)]
    log = instance.event_log_storage
    assert isinstance(log, EventLog)
    assert len(log._engines) <= KEPT
    assert [len(instance.get_records_for_run(r).records) > EVENTS for r in runs] == [True] * len(runs)
    assert len(log._engines) <= KEPT


def test_a_wiped_log_is_written_anew(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    before = run(instance)
    instance.wipe()
    after = run(instance)
    assert not instance.get_records_for_run(before).records
    assert instance.get_records_for_run(after).records
    with closing(sqlite3.connect(tmp_path / "dagster" / "history" / "runs" / f"{after}.db")) as file:
        assert file.execute("SELECT count(*) FROM event_logs").fetchone()[0] > EVENTS
