"""Jobs side by side: all are done and seen, two at a time; one that fails stops the others."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from itertools import count

import duckdb
import pytest

from venue_assets.publish.parallel import THREADS, side_by_side

PATIENCE = 60
"""Seconds until a test gives up."""


def insert(con: duckdb.DuckDBPyConnection, number: int) -> None:
    con.execute(f"INSERT INTO t{number % 5} VALUES ({number})")


def test_what_all_jobs_write_is_there_afterwards() -> None:
    with duckdb.connect() as con:
        for n in range(5):
            con.execute(f"CREATE TABLE t{n} (number INTEGER)")
        for n in range(5):  # no two jobs write in one table, as nothing that is published does
            side_by_side(con, [partial(insert, number=number) for number in range(n * 5, n * 5 + 5)])
        written = " UNION ALL ".join(f"FROM t{n}" for n in range(5))
        assert con.sql(f"{written} ORDER BY number").fetchall() == [(n,) for n in range(25)]


def test_no_job_is_no_work() -> None:
    with duckdb.connect() as con:
        side_by_side(con, [])


def test_jobs_are_done_at_the_same_time_on_connections_of_their_own() -> None:
    meeting = threading.Barrier(THREADS)
    connections = list[duckdb.DuckDBPyConnection]()

    def meet(own: duckdb.DuckDBPyConnection) -> None:
        connections.append(own)
        meeting.wait(PATIENCE)

    with duckdb.connect() as con:
        side_by_side(con, [meet] * THREADS)
        assert len({*map(id, connections), id(con)}) == THREADS + 1


def test_a_job_that_fails_stops_the_others_and_says_why() -> None:
    started = threading.Event()
    begun = count()

    def endless(own: duckdb.DuckDBPyConnection) -> None:
        own.execute("INSERT INTO t VALUES (1)")
        started.set()
        own.execute("SELECT sum(a.range + b.range) FROM range(10_000_000) AS a, range(10_000_000) AS b")

    def full(own: duckdb.DuckDBPyConnection) -> None:
        started.wait(PATIENCE)
        raise OSError(28, "No space left on device")

    def later(own: duckdb.DuckDBPyConnection) -> None:
        next(begun)

    with duckdb.connect() as con:
        con.execute("CREATE TABLE t (number INTEGER)")
        before = time.monotonic()
        with pytest.raises(OSError, match="No space left"):
            side_by_side(con, [endless, full, later])
        assert time.monotonic() - before < PATIENCE
        assert next(begun) == 0
        assert con.sql("SELECT count(*) FROM t").fetchall() == [(0,)]


def test_of_two_failures_the_first_is_told() -> None:
    failed = threading.Event()

    def cause(own: duckdb.DuckDBPyConnection) -> None:
        failed.set()
        raise ValueError("the cause")

    def consequence(own: duckdb.DuckDBPyConnection) -> None:
        failed.wait(PATIENCE)
        raise ValueError("the consequence")

    with duckdb.connect() as con:
        for _ in range(200):
            failed.clear()
            with pytest.raises(ValueError, match="the cause"):
                side_by_side(con, [cause, consequence])


def test_ctrl_c_pressed_twice_waits_for_no_statement() -> None:
    running = threading.Barrier(THREADS + 1)

    def endless(own: duckdb.DuckDBPyConnection) -> None:
        running.wait(PATIENCE)
        own.execute("SELECT sum(a.range + b.range) FROM range(10_000_000) AS a, range(10_000_000) AS b")

    def press() -> None:
        running.wait(PATIENCE)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    try:
        with duckdb.connect() as con:
            pressing = threading.Thread(target=press)
            pressing.start()
            before = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                side_by_side(con, [endless] * THREADS)
            pressing.join()
            assert time.monotonic() - before < PATIENCE
    finally:
        signal.signal(signal.SIGINT, handler)
