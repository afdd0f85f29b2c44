"""Everything around the computation of one small date: a whole Dagster run, less what its tables themselves took.

    uv run --group bench python tests/benchmarks/small_date.py

Each run is one fresh process on a home of its own. Imports are shown, and are not part of the figure.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from measure import Taken, goal, machine, once, report, table, work

DAY = date(2026, 1, 10)
SITE = Path(__file__).resolve().parents[2] / "data" / "site.toml"


def run(root: Path, visits: int) -> None:
    began = time.perf_counter()
    from venue_assets.graph.instance import open_instance
    from venue_assets.graph.runs import materialize
    from venue_assets.home import Home
    from venue_assets.simulate import Options, simulate

    imports = time.perf_counter() - began
    shutil.copyfile(SITE, root / "site.toml")
    home = Home(root)
    lines = simulate(home.site, home.landing, Options(first_date=DAY, days=1, visits=visits)).lines
    began = time.perf_counter()
    with open_instance(home) as instance:
        opening = time.perf_counter() - began
        with work() as taken:
            (outcome,) = materialize(home, instance, [DAY])
        assert outcome.success, outcome.error
        computing = sum(
            float(event.asset_materialization.metadata["seconds"].value)  # type: ignore[union-attr, arg-type]
            for record in instance.get_records_for_run(outcome.run_id, limit=10_000).records
            if (event := record.event_log_entry).asset_materialization
            and "seconds" in event.asset_materialization.metadata
        )
    report(taken, lines=lines, imports=imports, opening=opening, computing=computing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=500)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        run(given.data, given.visits)
        return
    taken: list[Taken] = []
    for _ in range(given.times):
        with tempfile.TemporaryDirectory(prefix="venue-bench-") as root:
            taken.append(once(__file__, "run", ["--data", root, "--visits", str(given.visits)]))
    print(f"One date of {taken[0].figures['lines']:,} landed lines, {given.times} runs; {machine()}\n")
    around = [t.wall - t.figures["computing"] for t in taken]
    columns = {
        "imports": [t.figures["imports"] for t in taken],
        "opening the instance": [t.figures["opening"] for t in taken],
        "the run": [t.wall for t in taken],
        "of it computing tables": [t.figures["computing"] for t in taken],
        "around the tables": around,
        "around / the run": [a / t.wall for a, t in zip(around, taken, strict=True)],
    }
    rows = [["seconds", "median", "min", "max"]]
    rows += [[n, f"{statistics.median(v):.2f}", f"{min(v):.2f}", f"{max(v):.2f}"] for n, v in columns.items()]
    table(rows)
    print()
    sys.exit(0 if goal("seconds around the tables", statistics.median(around), 3) else 1)


if __name__ == "__main__":
    main()
