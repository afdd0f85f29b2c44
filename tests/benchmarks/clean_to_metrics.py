"""From clean records to metrics: one date of a million visits by this project's engine, by a plain DuckDB script and by
pandas, each in a fresh process, in turn.

    uv run --group bench python tests/benchmarks/clean_to_metrics.py

All three read the same clean Parquet files and write sessions, order lines, primary metrics and hourly metrics as
Parquet; the results are compared. The engine also checks its tables and keeps what they were made of.
`--visits 50000` makes it quick, `--data FOLDER` keeps the synthetic date for the next time.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from clean_date import clean_file, make
from clean_to_metrics_pandas import pandas
from clean_to_metrics_sql import plain
from crowd import DAY
from measure import MEGABYTE, THREADS, Taken, compare, cpu_seconds, goal, in_turn, machine, median_cpu, report, work

TABLES = ("sessions", "order_lines", "venue_figures", "primary_metrics", "hourly_metrics")
RESULTS = ("sessions", "order_lines", "primary_metrics", "hourly_metrics")
CONTENDERS = ("engine", "plain DuckDB", "plain DuckDB, unordered", "pandas")


def engine(root: Path) -> None:
    # pyarrow imports pandas at its first table where there is one, as there is here for another contender only.
    import duckdb
    import pandas  # noqa: F401

    from venue_assets.home import Home
    from venue_assets.lake.engine import Engine
    from venue_assets.lake.landing_index import scan
    from venue_assets.tables.catalogue import catalogue

    home, tables = Home(root), catalogue()  # definitions are code and import more of it: read before, as the peers' are
    seconds = {}
    with work() as taken:
        con = duckdb.connect(config={"threads": THREADS, "memory_limit": "4GB"})
        running = Engine(home, tables, con, scan(home.landing))
        for name in TABLES:
            before = cpu_seconds()
            running.compute(tables[name], DAY)
            seconds[name] = round(cpu_seconds() - before, 2)
    report(taken, seconds=seconds)


def assert_equal(root: Path) -> None:
    """The primary metrics of all agree, and every row of the tables of both DuckDB scripts with the engine's."""
    import duckdb

    con = duckdb.connect(config={"threads": THREADS})
    for name in RESULTS:
        ours = f"read_parquet('{clean_file(root, name)}', hive_partitioning = false)"
        columns = [c[0] for c in con.execute(f"DESCRIBE FROM {ours}").fetchall()]
        wide = name in ("sessions", "order_lines")
        for other in ("plain", "unordered") if wide else ("plain", "unordered", "pandas"):
            theirs = f"read_parquet('{root / 'results' / other / name}.parquet')"
            if wide:
                selected = ", ".join(columns)
                differs = con.execute(
                    f"SELECT (SELECT count(*) FROM {ours}) - (SELECT count(*) FROM {theirs}),"
                    f" count(*) FROM (SELECT {selected} FROM {ours} EXCEPT SELECT {selected} FROM {theirs})"
                ).fetchone()
                assert differs == (0, 0), (name, other, differs)
                if other == "plain":  # ordered as the engine's
                    identity = "(gateway_id, boot_id, seq)"
                    a, b = (f"(SELECT {identity} AS id FROM {source})" for source in (ours, theirs))
                    moved = f"SELECT count(*) FROM {a} AS a POSITIONAL JOIN {b} AS b WHERE a.id IS DISTINCT FROM b.id"
                    assert con.execute(moved).fetchone() == (0,), (name, other, "in another order")
                continue
            key = "venue_id" if name == "primary_metrics" else "venue_id, hour"
            query = "SELECT {} FROM {} ORDER BY {}"
            a, b = (con.execute(query.format(", ".join(columns), source, key)).fetchall() for source in (ours, theirs))
            if name == "hourly_metrics" and other == "pandas":  # pandas has no rows for hours in which nothing was
                hours = {(row[0], row[columns.index("hour")]) for row in b}
                a = [row for row in a if (row[0], row[columns.index("hour")]) in hours]
            assert len(a) == len(b), (name, other, len(a), len(b))
            for mine, other_row in zip(a, b, strict=True):
                for column, x, y in zip(columns, mine, other_row, strict=True):
                    assert _same(x, y), (name, other, column, x, y)


def _same(x: Any, y: Any) -> bool:
    if x is None or y is None or isinstance(x, str | bool):
        return bool(x == y) or (x is None and isinstance(y, float) and math.isnan(y))
    return math.isclose(float(x), float(y), rel_tol=1e-9, abs_tol=1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=3, help="how often each contender runs")
    parser.add_argument("--data", type=Path, help="folder that keeps the synthetic date; a temporary one by default")
    parser.add_argument("--only", nargs="*", default=CONTENDERS, choices=CONTENDERS)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        run = {
            "make": lambda root: (make(root, given.visits), report(Taken())),
            "engine": engine,
            "plain DuckDB": lambda root: plain(root, ordered=True),
            "plain DuckDB, unordered": lambda root: plain(root, ordered=False),
            "pandas": pandas,
        }[given.contender]
        run(given.data)
        return
    with tempfile.TemporaryDirectory(prefix="venue-bench-") as temporary:
        root = (given.data or Path(temporary)).absolute() / "clean"
        arguments = ["--data", str(root), "--visits", str(given.visits)]
        in_turn(__file__, ["make"], arguments, times=1)
        found = in_turn(__file__, given.only, arguments, times=given.times)
        if set(given.only) == set(CONTENDERS):
            assert_equal(root)
        rows = json.loads((root / "clean.json").read_text())["rows"]
        print(f"\nOne date, clean to metrics: {', '.join(f'{n:,} {name}' for name, n in rows.items())}")
        print(f"{machine()}; {THREADS} threads each; {given.times} runs in turn\n")
        compare(found, next((n for n in given.only if n.startswith("plain")), given.only[0]))
        if "engine" in found:
            print(f"engine, cpu seconds per table: {found['engine'][-1].figures['seconds']}\n")
        if set(given.only) == set(CONTENDERS):
            print("primary and hourly metrics of all agree, sessions and order lines of both DuckDB scripts too")
            peak = max(t.peak_bytes for t in found["engine"]) / MEGABYTE
            share = median_cpu(found["engine"]) / median_cpu(found["plain DuckDB"])
            met = [
                goal("engine's cpu against plain DuckDB", share, 0.6),
                goal("engine's peak memory in MB", peak, 1024),
            ]
            sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
