"""Work on one database side by side: every thread with a connection of its own.

DuckDB divides a statement among threads where it reads many row groups. Of one new date most statements read one, so
that only several of them at a time keep the cores busy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from threading import Semaphore, Thread
from typing import Final

import duckdb

THREADS: Final = 2
"""How many at a time. Each holds rows in memory until they are on the disk."""
SESSION: Final = "SET TimeZone = 'UTC'; SET enable_progress_bar = false"
"""What every connection is told."""
_AGAIN: Final = 0.1
"""Seconds: an interruption that comes between two statements is lost."""

Job = Callable[[duckdb.DuckDBPyConnection], object]


def side_by_side(con: duckdb.DuckDBPyConnection, jobs: Iterable[Job]) -> None:
    """Do jobs that do not need each other, begun in their order; what they write is committed when this returns.

    They see what is attached to `con`, but neither its temporary views nor what it has not committed. Raises what the
    first job that fails raises; those that are under way are interrupted.
    """
    left, failures, ended = deque(jobs), list[BaseException](), Semaphore(0)

    def work(own: duckdb.DuckDBPyConnection) -> None:
        try:
            own.execute(SESSION)
            own.begin()
            while (job := _next(left)) is not None:
                job(own)
            own.commit()
        except BaseException as error:
            failures.append(error)
        finally:
            ended.release()

    with ExitStack() as stack:
        connections = [stack.enter_context(con.cursor()) for _ in range(THREADS)]
        threads = [Thread(target=work, args=(own,), name="side by side") for own in connections]
        try:
            for thread in threads:
                thread.start()
            for _ in threads:
                ended.acquire()
                if failures:
                    break
        finally:
            left.clear()
            _stop(connections, threads)
    if failures:
        raise failures[0]


def _next(left: deque[Job]) -> Job | None:
    try:
        return left.popleft()
    except IndexError:
        return None


def _stop(connections: Iterable[duckdb.DuckDBPyConnection], threads: Iterable[Thread]) -> None:
    """Interrupt what is under way until nothing is; who presses Ctrl-C once more has to wait for that, too."""
    while working := [thread for thread in threads if thread.is_alive()]:
        with suppress(KeyboardInterrupt):
            for own in connections:
                own.interrupt()
            working[0].join(_AGAIN)
