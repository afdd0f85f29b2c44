"""Ctrl-C: what was under way is neither done nor an error of its data, and is computed when it is asked for again."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy

from tests.cli.commands import DAY, RANGE, SCRIPT, done, empty_home, simulated, venue
from venue_assets.home import Home
from venue_assets.lake.engine import Engine
from venue_assets.lake.landing_index import scan
from venue_assets.lake.store import Lake
from venue_assets.tables.catalogue import catalogue

OTHER = "2026-01-06"


def test_ctrl_c_ends_the_whole_range_and_what_it_left_is_computed_again(tmp_path: Path) -> None:
    home = simulated(tmp_path, days=2, visits=60)
    process = subprocess.Popen(
        [SCRIPT, "materialize", RANGE], env={**os.environ, "VENUE_DATA": str(home)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not (home / "lake" / "sessions" / f"event_date={DAY}" / "part-0.parquet").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, (out, err)
    assert err == f"error: interrupted in {RANGE}; what was computed until then stays\n"
    assert "Materialized" not in out
    assert not (home / "lake" / "sessions" / f"event_date={OTHER}").exists()
    assert "Next: correct the cause, then venue rerun --failed" in done(home, "status")
    done(home, "rerun", "--failed")
    assert done(home, "status", "--problems") == "Every date is fresh\n"


@pytest.fixture
def _keyboard() -> Iterator[None]:
    """Ctrl-C interrupts, also where the tests run in the background, which no keyboard reaches."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_keyboard")
def test_ctrl_c_waits_for_the_event_that_is_being_written(tmp_path: Path) -> None:
    """Dagster's database would stay locked, and the run could not tell that it was interrupted."""
    home = simulated(tmp_path, days=2, visits=60)
    pressed, written = [], []

    def press(_: object, cursor: object, statement: str, parameters: object, *rest: object) -> None:
        if "'ASSET_MATERIALIZATION'" in str(parameters) and not pressed:
            pressed.append(statement)
            os.kill(os.getpid(), signal.SIGINT)
            written.append(statement)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", press)
    try:
        ended = venue(home, "materialize", RANGE)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", press)
    assert (ended.code, ended.err) == (130, f"error: interrupted in {RANGE}; what was computed until then stays\n")
    assert len(pressed) == 1
    assert written == pressed
    assert not (home / "lake" / "sessions").exists()


@pytest.mark.usefixtures("_keyboard")
def test_ctrl_c_during_a_query_is_no_error_of_its_table(tmp_path: Path) -> None:
    """DuckDB catches the signal and tells it as an error of its query: that must not pass for one of the date."""
    home = Home(empty_home(tmp_path))
    begun, ended = home.root / "begun", threading.Event()

    def press() -> None:
        while not (begun.exists() or ended.is_set()):
            pass
        if begun.exists():
            os.kill(os.getpid(), signal.SIGINT)

    def long(con: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
        """DuckDB creates the file, and then looks for rows. Not without end: now and then it waits for its threads."""
        threading.Thread(target=press).start()
        try:
            con.execute(f"COPY (SELECT range FROM range(3_000_000_000) WHERE hash(range) = 0) TO '{begun}'")
        finally:
            ended.set()
        raise AssertionError("Ctrl-C was lost")

    table = replace(catalogue()["sessions"], sql=None, compute=long, inputs={})
    with duckdb.connect() as con:
        engine = Engine(home, catalogue(), con, scan(home.landing))
        with pytest.raises(KeyboardInterrupt) as met:
            engine.compute(table, date.fromisoformat(DAY))
    assert isinstance(met.value.__context__, RuntimeError), "DuckDB met the signal, not Python"
    assert Lake(home.lake).failures("sessions") == {}
