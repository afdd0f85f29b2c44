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
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from crowd import BOOT, BOUNDARIES, DAY, ENTRANCES, TERMINALS, VENUES, crowd, records, write_site
from measure import MEGABYTE, THREADS, Taken, compare, goal, in_turn, machine, median_cpu, report, work

TABLES = ("sessions", "order_lines", "venue_figures", "primary_metrics", "hourly_metrics")
RESULTS = ("sessions", "order_lines", "primary_metrics", "hourly_metrics")
CONTENDERS = ("engine", "plain DuckDB", "plain DuckDB, unordered", "pandas")


# The date ------


def make(root: Path, visits: int) -> None:
    """The home with the clean partitions of one date, unless it is there already."""
    done = root / "clean.json"
    if done.exists() and json.loads(done.read_text())["visits"] == visits:
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
            home.landing, stream="gateway_events", event_date=DAY, gateway_id=f"gw_{venue}", boot_id=BOOT,
            lines=[b"{}"], seqs=[1], created_at=datetime(2026, 1, 11, 4, tzinfo=UTC),
        )  # fmt: skip
    counts: dict[str, int] = {}
    for name, columns in (
        ("face_visits", _face_visits(visits)),
        ("orders", _orders(visits)),
        ("boundary_counts", _counts("boundary_counts", BOUNDARIES, 3 * visits)),
        ("entrance_counts", _counts("entrance_counts", ENTRANCES, int(1.25 * visits))),
    ):
        table = catalogue()[name]
        rows = pa.table({n: columns[n] for n in table.schema.names}).cast(table.schema)
        counts[name] = rows.num_rows
        lake = Lake(home.lake)
        with lake.draft(name, DAY, table.schema, rows.to_batches(), code=table.code, inputs={}) as draft:
            lake.put(name, DAY, draft)
    done.write_text(json.dumps({"visits": visits, "rows": counts}))


def _common(venue: np.ndarray[Any, Any], seq: np.ndarray[Any, Any], stream: str, devices: int) -> dict[str, Any]:
    names = np.array(VENUES)
    return {
        "gateway_id": np.char.add("gw_", names[venue]),
        "boot_id": np.full(len(venue), BOOT),
        "seq": seq,
        "venue_id": names[venue],
        "device_id": np.array([f"{stream}_{n}" for n in range(devices)])[seq % devices],
        "clock": np.full(len(venue), "synced"),
    }


def _instants(milliseconds: np.ndarray[Any, Any], *, local: bool = False) -> np.ndarray[Any, Any]:
    shifted = milliseconds + 3_600_000 if local else milliseconds
    found: np.ndarray[Any, Any] = shifted.astype("datetime64[ms]").astype("datetime64[us]")
    return found


def _face_visits(visits: int) -> dict[str, Any]:
    import pyarrow as pa

    of = crowd(visits)
    r = records(of)
    order = np.lexsort((r.seq, np.array([f"gw_{v}" for v in VENUES])[r.venue]))  # as clean tables lie
    venue, at = r.venue[order], r.at[order]
    users = of.pseudonyms.take(pa.array(r.user[order]))
    return _common(venue, r.seq[order], "face_visits", TERMINALS) | {
        "recorded_at": _instants(at),
        "local_time": _instants(at, local=True),
        "user_id": users,
        "source_user_id": users,
        "direction": np.where(r.enters[order], "enter", "leave"),
    }


def _orders(visits: int) -> dict[str, Any]:
    """A tenth of the visits order, 1.8 lines each; a quarter is anonymous, 2 % of the lines were exported again."""
    import pyarrow as pa

    of, rng = crowd(visits), np.random.default_rng(3)
    buys = np.flatnonzero(rng.random(visits) < 0.1)
    order = np.repeat(np.arange(len(buys)), rng.integers(1, 3, len(buys)) + (rng.random(len(buys)) < 0.3))
    no = np.arange(len(order)) - np.searchsorted(order, order)
    visit = buys[order]
    at = of.enter[visit] + ((of.leave - of.enter)[visit] * rng.random(len(buys))[order]).astype(np.int64)
    known = (rng.random(len(buys)) >= 0.25)[order]
    cents = rng.integers(100, 9900, len(order))
    status = np.where(rng.random(len(buys)) < 0.03, "cancelled", "completed")[order]
    again = np.flatnonzero(rng.random(len(order)) < 0.02)
    row = np.concatenate([np.arange(len(order)), again])
    superseded = np.zeros(len(row), dtype=bool)
    superseded[again] = True
    venue = of.venue[visit][row]
    lies = np.lexsort((np.arange(len(row)), np.array(VENUES)[venue]))
    row, superseded, venue = row[lies], superseded[lies], venue[lies]
    seq = np.concatenate([1 + np.arange(int((venue == v).sum())) for v in np.argsort(VENUES)])
    users = of.pseudonyms.take(pa.array(of.user[visit][row], mask=~known[row]))
    return _common(venue, seq, "orders", 1) | {
        "recorded_at": _instants(at[row] + 3_600_000),
        "local_time": _instants(at[row], local=True),
        "order_id": np.char.add("o", order[row].astype(str)),
        "order_no": no[row] + 1,
        "user_id": users,
        "source_user_id": users,
        "ordered_at": _instants(at[row]),
        "category_id": np.char.add("cat_", (cents[row] % 30).astype(str)),
        "quantity": 1 + cents[row] % 3,
        "amount": pa.array([Decimal(int(c)).scaleb(-2) for c in cents[row]], pa.decimal128(18, 2)),
        "currency": np.full(len(row), "EUR"),
        "status": status[row],
        "superseded": superseded,
    }


def _counts(stream: str, devices: int, people: int) -> dict[str, Any]:
    """Each device of both venues reports every minute of the day."""
    rng = np.random.default_rng(4)
    n = devices * 1440
    venue = np.repeat(np.argsort(VENUES), n)
    seq = np.tile(1 + np.arange(n), 2)
    start = int(datetime(2026, 1, 10, 3, tzinfo=UTC).timestamp() * 1000)
    at = start + (seq - 1) // devices * 60_000
    seen = rng.poisson(people / len(seq), len(seq))
    common = _common(venue, seq, stream, devices)
    total = np.zeros(len(seq), dtype=np.int64)
    for v in range(2):
        for d in range(devices):
            own = (venue == v) & (seq % devices == d)
            total[own] = np.cumsum(seen[own])
    return common | {
        "recorded_at": _instants(at + 60_000),
        "local_time": _instants(at, local=True),
        "interval_start": _instants(at),
        "interval_end": _instants(at + 60_000),
        "in_count": seen,
        "out_count": seen,
        "unpaired_count": np.zeros(len(seq), dtype=np.int64),
        "in_total": total,
        "out_total": total,
        "device_epoch": np.ones(len(seq), dtype=np.int64),
    }


# The engine ------


def engine(root: Path) -> None:
    # pyarrow imports pandas at its first table where there is one, as there is here for another contender only.
    import duckdb
    import pandas  # noqa: F401

    from venue_assets.home import Home
    from venue_assets.lake.engine import Engine
    from venue_assets.lake.landing_index import scan
    from venue_assets.tables.catalogue import catalogue

    home = Home(root)
    with work() as taken:
        con = duckdb.connect(config={"threads": THREADS, "memory_limit": "4GB"})
        running = Engine(home, catalogue(), con, scan(home.landing))
        seconds = {name: round(running.compute(catalogue()[name], DAY).seconds, 2) for name in TABLES}
    report(taken, seconds=seconds)


# The plain script ------

PLAIN_SESSIONS = """
CREATE TABLE sessions AS
WITH steps AS (
  SELECT *,
    lag(direction) OVER person AS previous_direction,
    lead(direction) OVER person AS next_direction,
    lead(recorded_at) OVER person AS next_at,
    lead(gateway_id) OVER person AS next_gateway_id,
    lead(boot_id) OVER person AS next_boot_id,
    lead(seq) OVER person AS next_seq
  FROM read_parquet('{face_visits}')
  WINDOW person AS (PARTITION BY venue_id, user_id ORDER BY recorded_at, gateway_id, boot_id, seq)
), opened AS (
  SELECT *, direction = 'enter' AND next_direction IS NOT DISTINCT FROM 'leave' AS has_both
  FROM steps
  WHERE direction = 'enter' OR previous_direction IS DISTINCT FROM 'enter'
)
SELECT
  o.gateway_id || '-' || o.boot_id || '-' || o.seq AS session_id, o.venue_id,
  coalesce(a.activity_id, 'none') AS activity_id, o.user_id,
  CASE
    WHEN o.direction = 'leave' THEN 'no_entry'
    WHEN NOT o.has_both THEN 'no_exit'
    WHEN o.next_at > o.recorded_at + INTERVAL 12 HOURS THEN 'overlong'
    ELSE 'complete'
  END AS state,
  CASE WHEN o.direction = 'enter' THEN o.recorded_at END AS enter_at,
  CASE WHEN o.direction = 'leave' THEN o.recorded_at WHEN o.has_both THEN o.next_at END AS leave_at,
  CASE WHEN o.direction = 'enter' THEN o.local_time END AS enter_local,
  CASE WHEN o.has_both THEN (epoch_us(o.next_at) - epoch_us(o.recorded_at)) / 1e6 END AS dwell_seconds,
  CASE
    WHEN o.has_both THEN o.next_at
    WHEN o.direction = 'enter' THEN least(o.recorded_at + INTERVAL 12 HOURS, o.next_at - INTERVAL 1 MICROSECOND)
  END AS reaches_until,
  o.gateway_id, o.boot_id, o.seq,
  CASE WHEN o.direction = 'leave' THEN o.gateway_id WHEN o.has_both THEN o.next_gateway_id END AS leave_gateway_id,
  CASE WHEN o.direction = 'leave' THEN o.boot_id WHEN o.has_both THEN o.next_boot_id END AS leave_boot_id,
  CASE WHEN o.direction = 'leave' THEN o.seq WHEN o.has_both THEN o.next_seq END AS leave_seq
FROM opened AS o
LEFT JOIN activities AS a ON a.venue_id = o.venue_id
"""

PLAIN_ORDER_LINES = """
CREATE TABLE order_lines AS
WITH current_lines AS (SELECT * FROM read_parquet('{orders}') WHERE NOT superseded),
candidates AS (
  SELECT o.gateway_id, o.boot_id, o.seq, s.session_id,
    row_number() OVER (
      PARTITION BY o.gateway_id, o.boot_id, o.seq
      ORDER BY coalesce(o.ordered_at BETWEEN s.enter_at AND s.reaches_until, false) DESC,
        s.enter_at DESC NULLS LAST, s.leave_at DESC NULLS LAST, s.gateway_id DESC, s.boot_id DESC, s.seq DESC
    ) AS rank
  FROM current_lines AS o
  JOIN sessions AS s ON s.venue_id = o.venue_id AND s.user_id = o.user_id
    AND (
      o.ordered_at BETWEEN s.enter_at AND s.reaches_until
      OR o.ordered_at BETWEEN s.leave_at AND s.leave_at + INTERVAL 30 MINUTES
    )
)
SELECT o.venue_id, coalesce(v.activity_id, 'none') AS activity_id, o.order_id, o.order_no, o.user_id, c.session_id,
  o.ordered_at, o.local_time, o.category_id, o.quantity, o.amount, o.currency, o.status, o.gateway_id, o.boot_id, o.seq
FROM current_lines AS o
LEFT JOIN candidates AS c
  ON c.gateway_id = o.gateway_id AND c.boot_id = o.boot_id AND c.seq = o.seq AND c.rank = 1
LEFT JOIN activities AS v ON v.venue_id = o.venue_id
"""

PLAIN_METRICS = """
CREATE TABLE {name} AS
WITH slots AS ({slots}),
passers AS (
  SELECT venue_id, {count_hour} AS hour, sum(in_count)::BIGINT AS pf_range
  FROM read_parquet('{boundary_counts}') GROUP BY ALL
),
entrants AS (
  SELECT venue_id, {count_hour} AS hour, sum(in_count)::DOUBLE AS pf_entrance
  FROM read_parquet('{entrance_counts}') GROUP BY ALL
),
entries AS (
  SELECT venue_id, {enter_hour} AS hour, count(*) AS pv, count(DISTINCT user_id) AS uv,
    avg(dwell_seconds) FILTER (state = 'complete') AS lov_mean_seconds,
    quantile_cont(dwell_seconds, 0.5) FILTER (state = 'complete') AS lov_median_seconds,
    quantile_cont(dwell_seconds, 0.9) FILTER (state = 'complete') AS lov_p90_seconds
  FROM sessions WHERE enter_at IS NOT NULL GROUP BY ALL
),
sales AS (
  SELECT venue_id, {count_hour} AS hour,
    count(DISTINCT order_id) FILTER (status = 'completed') AS completed_orders,
    count(DISTINCT user_id) FILTER (status = 'completed') AS paying_users,
    sum(amount) FILTER (status = 'completed') AS gmv,
    sum(amount) FILTER (status = 'completed' AND user_id IS NULL) AS gmv_anonymous,
    sum(amount) FILTER (status IN ('cancelled', 'refunded')) AS cancelled_amount
  FROM order_lines GROUP BY ALL
)
SELECT s.venue_id, coalesce(a.activity_id, 'none') AS activity_id, {shown_hour} s.currency,
  p.pf_range, n.pf_entrance, false AS pf_entrance_estimated, n.pf_entrance / nullif(p.pf_range, 0) AS ocr,
  NULL::DOUBLE AS ocr_low, NULL::DOUBLE AS ocr_high, -- no device of this site states its accuracy
  coalesce(e.pv, 0) AS pv, coalesce(e.uv, 0) AS uv, e.lov_mean_seconds, e.lov_median_seconds, e.lov_p90_seconds,
  coalesce(e.pv, 0) / nullif(n.pf_entrance, 0) AS recognition_share,
  coalesce(m.completed_orders, 0) AS completed_orders, coalesce(m.paying_users, 0) AS paying_users,
  coalesce(m.gmv, 0)::DECIMAL(18, 2) AS gmv, coalesce(m.gmv_anonymous, 0)::DECIMAL(18, 2) AS gmv_anonymous,
  coalesce(m.cancelled_amount, 0)::DECIMAL(18, 2) AS cancelled_amount
FROM slots AS s
LEFT JOIN passers AS p ON p.venue_id = s.venue_id AND p.hour = s.hour
LEFT JOIN entrants AS n ON n.venue_id = s.venue_id AND n.hour = s.hour
LEFT JOIN entries AS e ON e.venue_id = s.venue_id AND e.hour = s.hour
LEFT JOIN sales AS m ON m.venue_id = s.venue_id AND m.hour = s.hour
LEFT JOIN activities AS a ON a.venue_id = s.venue_id
"""

ORDERS = {
    "sessions": "venue_id, coalesce(enter_at, leave_at), gateway_id, boot_id, seq",
    "order_lines": "venue_id, order_id, order_no",
    "primary_metrics": "venue_id",
    "hourly_metrics": "venue_id, hour",
}


def plain(root: Path, *, ordered: bool) -> None:
    import duckdb

    target = _target(root, "plain" if ordered else "unordered")
    files = {n: _clean(root, n) for n in ("face_visits", "orders", "boundary_counts", "entrance_counts")}
    with work() as taken:
        con = duckdb.connect(config={"threads": THREADS, "memory_limit": "4GB"})
        con.execute("CREATE TABLE venues AS SELECT unnest(?) AS venue_id, 'EUR' AS currency", [list(VENUES)])
        con.execute("CREATE TABLE activities AS SELECT 'riverside' AS venue_id, 'fair' AS activity_id")
        con.execute(PLAIN_SESSIONS.format(**files))
        con.execute(PLAIN_ORDER_LINES.format(**files))
        con.execute(
            PLAIN_METRICS.format(
                name="primary_metrics", slots="SELECT *, 0 AS hour FROM venues", count_hour="0", enter_hour="0",
                shown_hour="", **files,
            )
        )  # fmt: skip
        con.execute(
            PLAIN_METRICS.format(
                name="hourly_metrics", slots="SELECT v.*, h::INTEGER AS hour FROM venues AS v, range(24) AS hours (h)",
                count_hour="hour(local_time)::INTEGER", enter_hour="hour(enter_local)::INTEGER", shown_hour="s.hour,",
                **files,
            )
        )  # fmt: skip
        for name, order in ORDERS.items():
            by = f"ORDER BY {order}" if ordered else ""
            con.execute(f"COPY (SELECT * FROM {name} {by}) TO '{target / name}.parquet' (FORMAT parquet)")
    report(taken)


# pandas ------


def pandas(root: Path) -> None:
    import pandas as pd

    target = _target(root, "pandas")
    with work() as taken:
        activities = {"riverside": "fair"}
        v = pd.read_parquet(_clean(root, "face_visits"))
        v = v.sort_values(["venue_id", "user_id", "recorded_at", "gateway_id", "boot_id", "seq"], ignore_index=True)
        same = (v["user_id"] == v["user_id"].shift()) & (v["venue_id"] == v["venue_id"].shift())
        enters = v["direction"] == "enter"
        followed = same.shift(-1, fill_value=False)
        after_enter = same & enters.shift(fill_value=False)
        upcoming = v[["recorded_at", "gateway_id", "boot_id", "seq"]].shift(-1)
        has_both = enters & followed & ~enters.shift(-1, fill_value=False)
        twelve = pd.Timedelta(hours=12)
        no_exit = enters & ~has_both
        s = v[["venue_id", "user_id", "gateway_id", "boot_id", "seq"]].copy()
        s["session_id"] = v["gateway_id"] + "-" + v["boot_id"] + "-" + v["seq"].astype(str)
        s["activity_id"] = v["venue_id"].map(activities).fillna("none")
        s["enter_at"] = v["recorded_at"].where(enters)
        s["leave_at"] = upcoming["recorded_at"].where(has_both, v["recorded_at"].where(~enters))
        s["enter_local"] = v["local_time"].where(enters)
        s["dwell_seconds"] = (s["leave_at"] - s["enter_at"]).dt.total_seconds()
        before_next = (upcoming["recorded_at"].where(followed) - pd.Timedelta(microseconds=1)).fillna(pd.Timestamp.max)
        reach = (v["recorded_at"] + twelve).where(v["recorded_at"] + twelve < before_next, before_next)
        s["reaches_until"] = s["leave_at"].where(has_both, reach.where(no_exit))
        s["state"] = np.select(
            [~enters, no_exit, s["dwell_seconds"] > 12 * 3600], ["no_entry", "no_exit", "overlong"], "complete"
        )
        for name in ("gateway_id", "boot_id", "seq"):
            s[f"leave_{name}"] = upcoming[name].where(has_both, v[name].where(~enters))
        s["leave_seq"] = s["leave_seq"].astype("Int64")
        opened = (enters | ~after_enter).to_numpy()
        s = s[opened]
        s = s.iloc[np.lexsort((s["seq"], s["enter_at"].fillna(s["leave_at"]), s["venue_id"].factorize(sort=True)[0]))]
        s.to_parquet(target / "sessions.parquet", index=False)

        o = pd.read_parquet(_clean(root, "orders"))
        o = o[~o["superseded"]].sort_values(["venue_id", "order_id", "order_no"], ignore_index=True)
        line = ["gateway_id", "boot_id", "seq"]
        c = o.loc[o["user_id"].notna(), ["venue_id", "user_id", "ordered_at", *line]].merge(
            s[["venue_id", "user_id", "session_id", "enter_at", "leave_at", "reaches_until", *line]],
            on=["venue_id", "user_id"], suffixes=("", "_of_session"),
        )  # fmt: skip
        c["contains"] = (c["ordered_at"] >= c["enter_at"]) & (c["ordered_at"] <= c["reaches_until"])
        soon = (c["ordered_at"] >= c["leave_at"]) & (c["ordered_at"] <= c["leave_at"] + pd.Timedelta(minutes=30))
        c = c[c["contains"] | soon].sort_values(
            ["contains", "enter_at", "leave_at", *(f"{n}_of_session" for n in line)], na_position="first"
        )
        c = c.drop_duplicates(line, keep="last")[[*line, "session_id"]]
        o = o.merge(c, on=line, how="left")
        o["activity_id"] = o["venue_id"].map(activities).fillna("none")
        o.drop(columns=["device_id", "recorded_at", "clock", "source_user_id", "superseded"]).to_parquet(
            target / "order_lines.parquet", index=False
        )

        o["cents"] = (o["amount"].astype(float) * 100).round().astype("int64")
        counts = {
            n: pd.read_parquet(_clean(root, n), columns=["venue_id", "local_time", "in_count"])
            for n in ("boundary_counts", "entrance_counts")
        }
        entered = s[s["enter_at"].notna()]
        primary = _pandas_metrics(pd, counts, entered, o, hourly=False)
        hourly = _pandas_metrics(pd, counts, entered, o, hourly=True)
        for name, frame in (("primary_metrics", primary), ("hourly_metrics", hourly)):
            frame.insert(1, "activity_id", frame["venue_id"].map(activities).fillna("none"))
            frame["currency"], frame["pf_entrance_estimated"] = "EUR", False
            frame.to_parquet(target / f"{name}.parquet", index=False)
    report(taken)


def _pandas_metrics(pd: Any, counts: dict[str, Any], sessions: Any, lines: Any, *, hourly: bool) -> Any:
    def by(frame: Any, time: str) -> list[Any]:
        return (
            [frame["venue_id"], frame[time].dt.hour.rename("hour").astype("int32")] if hourly else [frame["venue_id"]]
        )

    a, b = (frame["in_count"].groupby(by(frame, "local_time")).sum() for frame in counts.values())
    stays = sessions[sessions["state"] == "complete"]
    dwell = stays["dwell_seconds"].groupby(by(stays, "enter_local"))
    visits = sessions["user_id"].groupby(by(sessions, "enter_local"))
    done = lines[lines["status"] == "completed"]
    sold = done.groupby(by(done, "local_time"))
    anonymous = done[done["user_id"].isna()]
    undone = lines[lines["status"] != "completed"]
    columns = {
        "pf_range": a,
        "pf_entrance": b.astype(float),
        "ocr": b / a,
        "ocr_low": None,
        "ocr_high": None,
        "pv": visits.size(),
        "uv": visits.nunique(),
        "lov_mean_seconds": dwell.mean(),
        "lov_median_seconds": dwell.quantile(0.5),
        "lov_p90_seconds": dwell.quantile(0.9),
        "recognition_share": visits.size() / b,
        "completed_orders": sold["order_id"].nunique(),
        "paying_users": sold["user_id"].nunique(),
        "gmv": sold["cents"].sum() / 100,
        "gmv_anonymous": anonymous["cents"].groupby(by(anonymous, "local_time")).sum() / 100,
        "cancelled_amount": undone["cents"].groupby(by(undone, "local_time")).sum() / 100,
    }
    found = pd.DataFrame(columns)
    zero = ["pv", "uv", "completed_orders", "paying_users", "gmv", "gmv_anonymous", "cancelled_amount"]
    found[zero] = found[zero].fillna(0)
    found["recognition_share"] = found["pv"] / found["pf_entrance"]
    return found.reset_index()


# Comparison ------


def _clean(root: Path, name: str) -> str:
    return str(root / "lake" / name / f"event_date={DAY}" / "part-0.parquet")


def _target(root: Path, name: str) -> Path:
    found = root / "results" / name
    found.mkdir(parents=True, exist_ok=True)
    return found


def assert_equal(root: Path) -> None:
    """The primary metrics of all agree, and every row of the tables of both DuckDB scripts with the engine's."""
    import duckdb

    con = duckdb.connect(config={"threads": THREADS})
    for name in RESULTS:
        ours = f"read_parquet('{_clean(root, name)}', hive_partitioning = false)"
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
            print(f"engine, seconds per table: {found['engine'][-1].figures['seconds']}\n")
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
