"""Work on one database side by side: every thread with a connection of its own.

DuckDB divides a statement among threads where it reads many row groups. Of one new date most statements read one, so
that only several of them at a time keep the cores busy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import ExitStack
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
    left = deque(jobs)

    def work(own: duckdb.DuckDBPyConnection) -> None:
        own.execute(SESSION)
        own.begin()
        while True:
            try:
                job = left.popleft()
            except IndexError:
                break
            job(own)
        own.commit()

    with ExitStack() as stack:
        connections = [stack.enter_context(con.cursor()) for _ in range(THREADS)]
        threads = stack.enter_context(ThreadPoolExecutor(THREADS))
        working = [threads.submit(work, own) for own in connections]
        try:
            for done in as_completed(working):
                done.result()
        except BaseException:
            left.clear()
            while wait(working, timeout=_AGAIN).not_done:
                for own in connections:
                    own.interrupt()
            raise
