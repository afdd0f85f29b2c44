"""Publishing after one new date, and after an old one was corrected, with a year of 2,000 visits a day behind it; and
what analysts ask of that year. Peers: the publication written anew, and a plain copy of its database file.

New dates come when there are as many publications as are kept: from then on each deletes an old one, whose memory (the
cache of 1 GB) the next copy takes. A virtual machine that has to get it from its host takes up to 3 seconds longer.

    uv run --group bench python tests/benchmarks/publish.py

The year is made of two simulated weeks (year.py), which takes some minutes and 2 GB; `--data FOLDER` keeps it for the
next time, `--visits 200 --days 60` makes it quick. Every publication is a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from measure import MEGABYTE, Taken, goal, machine, once, report, table, work
from year import FIRST, make, move

HELD_BACK = 3
"""Dates that are published one by one."""

QUERIES = {
    "sales by month and venue (view of the metric)": (
        "SELECT strftime(event_date, '%Y-%m') AS month, venue_id, currency, sum(gmv) FROM metric.gmv GROUP BY ALL"
    ),
    "primary metrics of the last four weeks": (
        "FROM metrics.primary_metrics WHERE event_date > (SELECT max(event_date) - 28 FROM metrics.primary_metrics)"
    ),
    "visitors by month (distinct over the year)": (
        "SELECT d.month, f.venue_id, count(DISTINCT f.user_id) FROM star.fact_session AS f JOIN star.dim_date AS d "
        "USING (event_date) WHERE f.has_entry GROUP BY ALL"
    ),
    "visits by weekday and hour, last quarter": (
        "SELECT d.weekday, f.hour, count(*) FROM star.fact_session AS f JOIN star.dim_date AS d USING (event_date) "
        "WHERE f.has_entry AND event_date > (SELECT max(event_date) - 91 FROM star.fact_session) GROUP BY ALL"
    ),
    "sales by category and segment": (
        "SELECT c.segment, o.category_id, o.currency, sum(o.amount) FROM star.fact_order_line AS o "
        "JOIN star.dim_customer AS c USING (customer_key) WHERE o.is_completed GROUP BY ALL"
    ),
}


def publish(root: Path) -> None:
    """One publication; imports are not measured. Nor is that of pandas, which pyarrow looks for: only peers have it."""
    import pandas  # noqa: F401

    from venue_assets.graph.build import engine_resource
    from venue_assets.home import Home
    from venue_assets.publish.publication import publish as run
    from venue_assets.tables.catalogue import catalogue

    home, tables = Home(root), catalogue()
    with work() as taken:
        publication = run(home, tables, engine_resource())
    report(taken, dates=len(publication.dates))


def copy(root: Path) -> None:
    """What a file of the size of the database costs, flushed to the disk as DuckDB does."""
    import os
    import shutil

    target = root / "copied"
    with work() as taken:
        shutil.copyfile(root / "published" / "venue.duckdb", target)
        with target.open("rb+") as file:
            os.fsync(file.fileno())
    target.unlink()
    report(taken)


def ask(root: Path) -> None:
    """Milliseconds of each query in a fresh process: the first time, and the median of nine more."""
    import duckdb

    figures: dict[str, Any] = {}
    with work() as taken:
        for name, sql in QUERIES.items():
            with duckdb.connect(str(root / "published" / "venue.duckdb"), read_only=True) as con:
                times = []
                for _ in range(10):
                    started = time.perf_counter()
                    con.execute(sql).fetchall()
                    times.append(1000 * (time.perf_counter() - started))
            figures[name] = [times[0], statistics.median(times[1:])]
    report(taken, queries=figures)


def correct(root: Path, day: date) -> None:
    """Another content in two tables of a date: one visit less."""
    from venue_assets.lake.store import Lake
    from venue_assets.tables.catalogue import catalogue

    lake = Lake(root / "lake")
    import pyarrow.parquet as pq

    for name in ("sessions", "user_days"):
        spec = catalogue()[name]
        rows = pq.ParquetFile(lake.path(name, day)).read().slice(1)
        with lake.draft(name, day, spec.schema, rows.to_batches(), code=spec.code, inputs={}) as draft:
            lake.put(name, day, draft)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--visits", type=int, default=2000, help="a day")
    parser.add_argument("--data", type=Path, help="folder that keeps the year; a temporary one by default")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        {"publish": publish, "copy": copy, "ask": ask}[given.contender](given.data)
        return
    with tempfile.TemporaryDirectory() as temporary:
        measure(given.data or Path(temporary), given.days, given.visits)


def median(taken: list[Taken]) -> Taken:
    """The one whose wall time is the median."""
    return sorted(taken, key=lambda t: t.wall)[len(taken) // 2]


def measure(root: Path, days: int, visits: int) -> None:
    import shutil

    from venue_assets.publish.publication import KEPT

    dates = [FIRST + timedelta(days=n) for n in range(days + HELD_BACK)]
    everybody = {day for day in dates if (day + timedelta(days=1)).day == 1} | set(dates[days - 3 :])
    make(root, days=days, held_back=HELD_BACK, visits=visits, whole=everybody)
    for day in dates[days:]:
        move(root / "lake", root / "held_back", day)
    shutil.rmtree(root / "published", ignore_errors=True)

    def run(what: str) -> Taken:
        print(f"  {what} ...", file=sys.stderr)
        return once(__file__, "publish", ["--data", str(root)])

    def corrected(day: date) -> Taken:
        correct(root, day)
        return run(f"{day} corrected")

    def new(day: date) -> Taken:
        move(root / "held_back", root / "lake", day)
        return run(f"{day} new")

    found = {"everything anew": run("everything anew")}
    half = days // 2
    for day in dates[half - KEPT : half]:
        corrected(day)
    found[f"one new date, median of {HELD_BACK}"] = one_new = median([new(day) for day in dates[days:]])
    found["one date corrected, half a history ago"] = corrected(dates[half])
    found["nothing new"] = run("nothing new")
    found["peer: plain copy of the database, flushed"] = once(__file__, "copy", ["--data", str(root)])
    asked = once(__file__, "ask", ["--data", str(root)]).figures["queries"]

    print(f"\n{days} dates of {visits:,} visits; {machine()}\n")
    table(
        [
            ["publishing", "wall s", "cpu s", "peak MB"],
            *([name, f"{t.wall:.2f}", f"{t.cpu:.2f}", f"{t.peak_bytes / MEGABYTE:.0f}"] for name, t in found.items()),
        ]
    )
    print()
    current = root / "published" / "current"
    sizes = {
        "venue.duckdb": (current / "venue.duckdb").stat().st_size,
        **{f"{f}/": sum(p.stat().st_size for p in (current / f).rglob("*.*")) for f in ("parquet", "csv")},
    }
    table([["file", "MB"], *([name, f"{size / MEGABYTE:.0f}"] for name, size in sizes.items())])
    print()
    table([["query", "first ms", "again ms"], *([name, f"{t[0]:.0f}", f"{t[1]:.0f}"] for name, t in asked.items())])
    print()
    met = [
        goal("wall seconds to publish one new date", one_new.wall, 3),
        goal("milliseconds of the slowest query, asked again", max(t[1] for t in asked.values()), 100),
    ]
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
