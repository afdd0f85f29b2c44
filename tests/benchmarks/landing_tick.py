"""One look of the landing sensor at ten thousand landed segments: the first one, and each that finds nothing new.

    uv run --group bench python tests/benchmarks/landing_tick.py

A look is what a tick does before it decides: list all folders, stat all files, compare with what was seen before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from measure import Taken, goal, in_turn, machine, report, table, work

LOOKS = 5


def make(root: Path, segments: int, dates: int) -> None:
    """Segments of one line over seven streams and `dates` dates, an hour old."""
    from edge_collector import segment
    from edge_collector.contract import STREAMS

    segment.os.fsync = lambda _: None  # ten thousand flushes would take minutes and are not what is measured
    for n in range(segments):
        stream, day = list(STREAMS)[n % 7], date(2026, 1, 1) + timedelta(days=n // 7 % dates)
        segment.write_segment(
            root / "landing", stream=stream, event_date=day, gateway_id=f"gw_{n % 3}", boot_id="b1", lines=[b"{}"],
            seqs=[n + 1], created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n // 7 % dates),
        )  # fmt: skip
    then = time.time() - 3600
    for path in (root / "landing").rglob("*.*"):
        os.utime(path, (then, then))


def look(root: Path) -> None:
    from venue_assets.graph.sensors import Seen, changed_dates
    from venue_assets.lake.landing_index import scan

    with work() as first:
        index = scan(root / "landing")
        seen = changed_dates(index, {}, time.time())
    cursor = json.dumps({str(day): [s.stat, s.content] for day, s in seen.items()})
    looks, cpus = [], []
    for _ in range(LOOKS):
        with work() as later:
            known = {date.fromisoformat(day): Seen(*pair) for day, pair in json.loads(cursor).items()}
            index = scan(root / "landing")
            assert not changed_dates(index, known, time.time())
        looks.append(later.wall)
        cpus.append(later.cpu)
    report(first, dates=len(index.dates()), manifests=sum(map(len, index.entries.values())), looks=looks, cpus=cpus)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--dates", type=int, default=100)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender == "make":
        make(given.data, given.segments, given.dates)
        report(Taken())
        return
    if given.contender:
        look(given.data)
        return
    with tempfile.TemporaryDirectory(prefix="venue-bench-") as root:
        arguments = ["--data", root, "--segments", str(given.segments), "--dates", str(given.dates)]
        in_turn(__file__, ["make"], arguments, times=1)
        taken = in_turn(__file__, ["look"], arguments, times=given.times)["look"]
    figures = taken[0].figures
    print(f"{figures['manifests']:,} segments of {figures['dates']} dates; {machine()}\n")
    later = [1000 * seconds for t in taken for seconds in t.figures["looks"]]
    columns = {
        "first look, all new": [1000 * t.wall for t in taken],
        "later look, nothing new": later,
        "of it cpu": [1000 * seconds for t in taken for seconds in t.figures["cpus"]],
    }
    rows = [["milliseconds", "median", "min", "max", "ratio to later"]]
    for name, values in columns.items():
        middle = statistics.median(values)
        ratio = f"{middle / statistics.median(later):.2f}"
        rows.append([name, f"{middle:.0f}", f"{min(values):.0f}", f"{max(values):.0f}", ratio])
    table(rows)
    print()
    sys.exit(0 if goal("milliseconds of a look that finds nothing new", statistics.median(later), 200) else 1)


if __name__ == "__main__":
    main()
