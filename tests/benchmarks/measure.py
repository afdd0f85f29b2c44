"""What the benchmarks share: contenders in fresh processes of their own, run in turn, and a table of what they took.

A benchmark script starts itself again as `<script> --contender NAME ...` for every single measurement. The child
measures its work between imports and exit with `work()` and hands the figures back with `report()`.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MEGABYTE = 1024**2
THREADS = 2
"""Threads that every contender may use, where it can be told."""

_MARK = "measured: "


@dataclass
class Taken:
    """What one child took: seconds of its work, of the whole process, and its highest resident memory."""

    cpu: float = 0
    wall: float = 0
    cpu_of_process: float = 0
    peak_bytes: int = 0
    figures: dict[str, Any] = field(default_factory=dict)


def cpu_seconds() -> float:
    """User and system time of this process with all its threads, and of its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_bytes() -> int:
    """The highest resident memory of this process."""
    # getrusage would do, but on Linux a child inherits the peak of the process that started it.
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def work() -> Iterator[Taken]:
    """In the child: measures what is done inside."""
    taken = Taken()
    cpu, wall = cpu_seconds(), time.perf_counter()
    yield taken
    taken.cpu, taken.wall = cpu_seconds() - cpu, time.perf_counter() - wall


def report(taken: Taken, **figures: Any) -> None:
    """In the child: hands the measurement back, with figures to be compared or shown."""
    taken.cpu_of_process, taken.peak_bytes = cpu_seconds(), peak_bytes()
    taken.figures |= figures
    print(_MARK + json.dumps(asdict(taken), default=str))


def once(script: str, contender: str, arguments: Sequence[str] = ()) -> Taken:
    """Runs one contender of `script` in a process of its own."""
    command = [sys.executable, "-W", "ignore", script, "--contender", contender, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{contender} failed:\n{done.stdout}{done.stderr}")
    found = next(line for line in done.stdout.splitlines() if line.startswith(_MARK))
    return Taken(**json.loads(found.removeprefix(_MARK)))


def in_turn(
    script: str, contenders: Sequence[str], arguments: Sequence[str] = (), *, times: int = 3
) -> dict[str, list[Taken]]:
    """Runs every contender `times` times, one after the other in turn, so that a busy minute hits all of them."""
    found: dict[str, list[Taken]] = {name: [] for name in contenders}
    for turn in range(times):
        for name in contenders:
            taken = once(script, name, arguments)
            found[name].append(taken)
            print(
                f"  turn {turn + 1}/{times}  {name:<28} {taken.cpu:8.2f} cpu s {taken.wall:8.2f} s"
                f" {taken.peak_bytes / MEGABYTE:8.0f} MB",
                file=sys.stderr,
            )
    return found


def median_cpu(taken: Sequence[Taken]) -> float:
    return statistics.median(t.cpu for t in taken)


def table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows, the first of them the headings; the first column to the left, all others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for n, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  ".join(cells).rstrip())
        if n == 0:
            print("  ".join("-" * width for width in widths))


def compare(found: Mapping[str, Sequence[Taken]], reference: str, *, records: int | None = None) -> None:
    """The table of all contenders: seconds, memory, speed where `records` are given, and cpu against `reference`."""
    heading = ["contender", "cpu s median", "min", "wall s median", "cpu s with imports", "peak MB", "cpu ratio"]
    if records:
        heading.insert(3, "M records / cpu s")
    rows = [heading]
    for name, taken in found.items():
        row = [
            name,
            f"{median_cpu(taken):.2f}",
            f"{min(t.cpu for t in taken):.2f}",
            f"{statistics.median(t.wall for t in taken):.2f}",
            f"{statistics.median(t.cpu_of_process for t in taken):.2f}",
            f"{max(t.peak_bytes for t in taken) / MEGABYTE:.0f}",
            f"{median_cpu(taken) / median_cpu(found[reference]):.2f}",
        ]
        if records:
            row.insert(3, f"{records / 1e6 / median_cpu(taken):.2f}")
        rows.append(row)
    table(rows)
    print(f"cpu ratio: median cpu seconds against {reference}, of the same run")


def goal(text: str, value: float, limit: float, *, at_least: bool = False) -> bool:
    """Prints whether a goal is met."""
    met = value >= limit if at_least else value <= limit
    print(f"{'met   ' if met else 'MISSED'}  {text}: {value:.3g} (goal {'>=' if at_least else '<='} {limit:g})")
    return met


def machine() -> str:
    """One line about where this was measured."""
    import duckdb

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{platform.machine()}, {cores} cores{load}, Python {platform.python_version()}, DuckDB {duckdb.__version__}"
