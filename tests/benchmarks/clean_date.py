"""The clean partitions of one date with a million visits, for benchmarks that begin with them, and where files lie."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from crowd import BOOT, BOUNDARIES, DAY, ENTRANCES, TERMINALS, VENUES, crowd, records, write_site


def clean_file(root: Path, name: str) -> str:
    """Where the engine reads or writes a table of the date."""
    return str(root / "lake" / name / f"event_date={DAY}" / "part-0.parquet")


def result_folder(root: Path, name: str) -> Path:
    """Where a peer writes its tables."""
    found = root / "results" / name
    found.mkdir(parents=True, exist_ok=True)
    return found


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
