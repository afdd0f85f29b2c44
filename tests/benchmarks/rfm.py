"""RFM of a million users: their scores and segments from one row each, and apart from it the 365-day roll-up and a
whole date as the engine computes it, each in a fresh process, in turn.

    uv run --group bench python tests/benchmarks/rfm.py

The scores are the shipped SQL after its roll-up, as of one date; polars computes the same from the same file, and the
results are compared. A whole date rolls up and scores twice, as of the date and of the day before, compares the two
and writes a partition; the roll-up reads the same 366 partitions of user days. `--users 50000` makes it quick,
`--data FOLDER` keeps the synthetic year for the next time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from crowd import BOOT, VENUES, write_site
from measure import MEGABYTE, THREADS, Taken, compare, goal, in_turn, machine, median_cpu, report, table, work

DAY = date(2027, 1, 10)
DATES = 366
CONTENDERS = ("scores", "scores in polars", "roll-up", "whole date")


# The year ------


def make(root: Path, users: int, presences: int) -> None:
    """The home with a year of user days, and one row of totals per buyer, unless they are there already."""
    done = root / "rfm.json"
    if done.exists() and json.loads(done.read_text()) == {"users": users, "presences": presences}:
        return
    import pyarrow as pa

    from edge_collector.segment import write_segment
    from venue_assets.home import Home
    from venue_assets.lake.store import Lake
    from venue_assets.tables.catalogue import catalogue

    write_site(root / "site.toml")
    home = Home(root)
    for venue in VENUES:  # something of each venue must have landed for it to operate
        write_segment(
            home.landing, stream="gateway_events", event_date=date(2026, 1, 9), gateway_id=f"gw_{venue}", boot_id=BOOT,
            lines=[b"{}"], seqs=[1], created_at=datetime(2026, 1, 10, tzinfo=UTC),
        )  # fmt: skip
    rng = np.random.default_rng(5)
    pseudonyms = np.char.add("k1:", np.frombuffer(rng.bytes(16 * users).hex().encode(), dtype="S32").astype(str))
    names = np.array(VENUES)
    user = np.concatenate([np.arange(users), rng.integers(0, users, users * (presences - 1))])
    back = rng.integers(0, DATES, len(user))
    spec = catalogue()["user_days"]
    lake = Lake(home.lake)
    for n in range(DATES):
        here = np.unique(user[back == n])
        orders = np.maximum(1, rng.poisson(0.6, len(here)))
        cents = rng.integers(100, 50_000, len(here)) * orders
        columns: dict[str, Any] = {
            "venue_id": names[here % 2],
            "activity_id": np.full(len(here), "none"),
            "user_id": pseudonyms[here],
            "entries": np.ones(len(here), dtype=np.int64),
            "complete_sessions": np.ones(len(here), dtype=np.int64),
            "dwell_seconds": rng.integers(60_000, 7_200_000, len(here)) / 1000,
            "first_hour": rng.integers(8, 22, len(here)).astype(np.int32),
            "orders": orders,
            "amount": pa.array(cents).cast(pa.decimal128(20, 0)).cast(pa.decimal128(22, 2)),
            "top_category": np.char.add("cat_", (cents % 30).astype(str)),
            "currency": np.full(len(here), "EUR"),
        }
        rows = pa.table({name: columns[name] for name in spec.schema.names}).cast(spec.schema)
        rows = rows.sort_by([("venue_id", "ascending"), ("user_id", "ascending")])
        day = DAY - timedelta(days=n)
        with lake.draft("user_days", day, spec.schema, rows.to_batches(), code=spec.code, inputs={}) as draft:
            lake.put("user_days", day, draft)
    con = _connection()
    _view(con, root)
    con.execute(
        f"COPY ({_roll_up()} SELECT * REPLACE (monetary::DECIMAL(18, 2) AS monetary) FROM totals "
        f"WHERE as_of = getvariable('event_date') ORDER BY hash(user_id)) TO '{root / 'totals.parquet'}'"
    )
    done.write_text(json.dumps({"users": users, "presences": presences}))


def _connection() -> Any:
    import duckdb

    con = duckdb.connect(config={"threads": THREADS})
    con.execute(f"SET VARIABLE event_date = DATE '{DAY}'")
    return con


def _view(con: Any, root: Path) -> None:
    from venue_assets.home import Home
    from venue_assets.lake.engine import select_partitions
    from venue_assets.lake.store import Lake
    from venue_assets.tables.catalogue import catalogue

    lake = Lake(Home(root).lake)
    files = [str(lake.path("user_days", DAY - timedelta(days=n))) for n in range(DATES)]
    con.execute(f"CREATE VIEW user_days AS {select_partitions(catalogue()['user_days'], files)}")


# The shipped SQL, in two ------


def _parts() -> tuple[str, str]:
    from venue_assets.tables.catalogue import catalogue

    sql = catalogue()["rfm_segments"].sql
    assert sql
    roll_up, rest = sql.split("),\ncuts AS (")
    return f"{roll_up})", f"cuts AS ({rest.split(',' + chr(10) + 'today AS (')[0]}"


def _roll_up() -> str:
    return _parts()[0]


def scores(root: Path) -> None:
    con = _connection()
    con.execute(f"CREATE TABLE totals AS FROM read_parquet('{root / 'totals.parquet'}')")
    scoring = _parts()[1]
    names = "venue_id, user_id, recency_days, frequency, monetary, r_score, f_score, m_score, segment, segment_zh"
    with work() as taken:
        con.execute(f"CREATE TABLE segments AS WITH {scoring} SELECT {names} FROM segments")
    digest = con.execute("SELECT count(*), sum(hash(user_id, r_score, f_score, m_score, segment)) FROM segments")
    report(taken, digest=[str(figure) for figure in digest.fetchone()])


def scores_in_polars(root: Path) -> None:
    import polars as pl

    totals = pl.read_parquet(root / "totals.parquet")
    with work() as taken:
        n = pl.len().over("venue_id")

        def score(name: str) -> pl.Expr:
            # How many values are smaller, in fifths of n: as many cut points are.
            below = pl.col(name).rank("min").over("venue_id").cast(pl.Int64) - 1
            return (1 + 5 * below // n.cast(pl.Int64)).cast(pl.Int32)

        found = totals.with_columns(
            r_score=6 - score("recency_days"), f_score=score("frequency"), m_score=score("monetary")
        )
        r, f, m = (
            pl.col(name).cast(pl.Int64) * n > pl.col(name).cast(pl.Int64).sum().over("venue_id")
            for name in ("r_score", "f_score", "m_score")
        )
        for column, words in {
            "segment": ("important_", "general_", "value", "develop", "keep", "win_back"),
            "segment_zh": ("重要", "一般", "价值", "发展", "保持", "挽留"),
        }.items():
            important, general, value, develop, keep, win_back = map(pl.lit, words)
            level = pl.when(r & f).then(value).when(r).then(develop).when(f).then(keep).otherwise(win_back)
            found = found.with_columns((pl.when(m).then(important).otherwise(general) + level).alias(column))
    con = _connection()
    con.register("segments", found.to_arrow())
    digest = con.execute(
        "SELECT count(*), sum(hash(user_id, r_score::INTEGER, f_score::INTEGER, m_score::INTEGER, segment::VARCHAR)) "
        "FROM segments"
    )
    report(taken, digest=[str(figure) for figure in digest.fetchone()])


def roll_up(root: Path) -> None:
    con = _connection()
    _view(con, root)
    rolling = _roll_up()
    with work() as taken:
        con.execute(f"CREATE TABLE totals AS {rolling} SELECT * FROM totals")
    report(taken, rows=con.execute("SELECT count(*) FROM user_days").fetchone()[0])


def whole_date(root: Path) -> None:
    from venue_assets.home import Home
    from venue_assets.lake.engine import Engine
    from venue_assets.lake.landing_index import scan
    from venue_assets.tables.catalogue import catalogue

    home, con, tables = Home(root), _connection(), catalogue()
    with work() as taken:
        computed = Engine(home, tables, con, scan(home.landing)).compute(tables["rfm_segments"], DAY)
    assert all(check.passed for check in computed.checks), computed.checks
    report(taken, rows=computed.rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--presences", type=int, default=3, help="dates of the year on which a user orders, on average")
    parser.add_argument("--times", type=int, default=3, help="how often each contender runs")
    parser.add_argument("--data", type=Path, help="folder that keeps the synthetic year; a temporary one by default")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        if given.contender == "make":
            make(given.data, given.users, given.presences)
            report(Taken())
        else:
            globals()[given.contender.replace(" ", "_").replace("-", "_")](given.data)
        return
    with tempfile.TemporaryDirectory(prefix="venue-bench-") as temporary:
        root = (given.data or Path(temporary)).absolute() / "rfm"
        arguments = ["--data", str(root), "--users", str(given.users), "--presences", str(given.presences)]
        in_turn(__file__, ["make"], arguments, times=1)
        found = in_turn(__file__, CONTENDERS, arguments, times=given.times)
    digests = {name: found[name][-1].figures["digest"] for name in ("scores", "scores in polars")}
    assert len(set(map(tuple, digests.values()))) == 1, digests
    print(f"\nRFM of {given.users:,} users; {machine()}; {THREADS} threads each; {given.times} runs in turn\n")
    compare({name: found[name] for name in digests}, "scores in polars", records=int(digests["scores"][0]))
    print("\nThe same users, apart:\n")
    rows = [["what", "rows", "cpu s median", "wall s", "peak MB"]]
    for name in ("roll-up", "whole date"):
        last = found[name][-1]
        peak = max(t.peak_bytes for t in found[name]) / MEGABYTE
        rows.append(
            [name, f"{last.figures['rows']:,}", f"{median_cpu(found[name]):.2f}", f"{last.wall:.2f}", f"{peak:.0f}"]
        )
    table(rows)
    print("roll-up: rows read, as of two dates; whole date: rows written\n")
    sys.exit(0 if goal("cpu-seconds of the scores of all users", median_cpu(found["scores"]), 1) else 1)


if __name__ == "__main__":
    main()
