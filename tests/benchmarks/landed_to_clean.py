"""From landed segments to clean records: two million visit records by this project's engine, against DuckDB's own typed
`read_json` of the same lines, each in a fresh process, in turn.

    uv run --group bench python tests/benchmarks/landed_to_clean.py

The engine verifies segments and manifests, judges every line by the record contract, removes duplicates, keeps evidence
of what is not clean and writes four checked tables (`raw_face_visits`, `landed_segments`, `quarantine`, `face_visits`);
only these four are counted. `read_json` parses and types, and does nothing else. The floor is `read_json` of the packed
segments with its rows written twice, as this project writes its raw and its clean table, and no look at any of them: an
engine with this parser and these files can only be slower.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from crowd import BOOT, DAY, TERMINALS, VENUES, crowd, records, write_site
from measure import THREADS, Taken, compare, cpu_seconds, goal, in_turn, machine, median_cpu, report, work

COUNTED = ("raw_face_visits", "landed_segments", "quarantine", "face_visits")
FIELDS = {
    "gateway_id": "VARCHAR", "boot_id": "VARCHAR", "seq": "BIGINT", "venue_id": "VARCHAR", "device_id": "VARCHAR",
    "recorded_at": "TIMESTAMPTZ", "clock": "VARCHAR", "user_id": "VARCHAR", "direction": "VARCHAR",
}  # fmt: skip
ENGINE, JSONL, ZST, PARQUET = "engine", "read_json .jsonl", "read_json .zst", "read_json .jsonl to Parquet"
FLOOR = "floor: .zst, written twice"
CONTENDERS = (ENGINE, JSONL, ZST, PARQUET, FLOOR)
DUPLICATES, MALFORMED = 0.02, 0.01


def make(root: Path, visits: int) -> None:
    """The landing of one date: segments of 5,000 to 20,000 lines, and each once more as plain lines."""
    done = root / "landed.json"
    if done.exists() and json.loads(done.read_text())["visits"] == visits:
        return
    import zstandard

    from edge_collector.segment import write_segment

    write_site(root / "site.toml")
    of, rng = crowd(visits), np.random.default_rng(5)
    r = records(of)
    pseudonyms = of.pseudonyms.to_pylist()
    lines = 0
    for v, venue in enumerate(VENUES):
        own = np.flatnonzero(r.venue == v)
        times = np.datetime_as_string(r.at[own].astype("datetime64[ms]"))
        texts = [
            f'{{"gateway_id":"gw_{venue}","boot_id":"{BOOT}","seq":{seq},"venue_id":"{venue}",'
            f'"device_id":"face_visits_{seq % TERMINALS}","recorded_at":"{at}Z","clock":"synced",'
            f'"user_id":"{pseudonyms[user]}","direction":"{"enter" if enters else "leave"}"}}'.encode()
            for seq, at, user, enters in zip(
                r.seq[own].tolist(), times.tolist(), r.user[own].tolist(), r.enters[own].tolist(), strict=True
            )
        ]
        for n in np.flatnonzero(rng.random(len(own)) < MALFORMED).tolist():
            texts[n] = (texts[n][:150], texts[n].replace(b'"user_id"', b'"user"'), b"\xff" + texts[n])[n % 3]
        again = np.flatnonzero(rng.random(len(own)) < DUPLICATES).tolist()
        at = 0
        while at < len(texts):
            size = int(rng.integers(5000, 20_000))
            # What was sent again comes in a segment of its own.
            repeated = [n for n in again if at < n < at + size and n < len(texts)]
            for chosen in (range(at, min(at + size, len(texts))), repeated):
                if chosen:
                    write_segment(
                        root / "landing", stream="face_visits", event_date=DAY, gateway_id=f"gw_{venue}", boot_id=BOOT,
                        lines=[texts[n] for n in chosen], seqs=[n + 1 for n in chosen],
                        created_at=datetime(2026, 1, 11, 4, tzinfo=UTC),
                    )  # fmt: skip
                    lines += len(chosen)
            at += size
    unpacked = root / "unpacked"
    unpacked.mkdir(exist_ok=True)
    for segment in sorted((root / "landing" / "face_visits").glob("*/*.zst")):
        content = zstandard.ZstdDecompressor().decompress(segment.read_bytes())
        (unpacked / segment.name.removesuffix(".zst")).write_bytes(content)
    done.write_text(json.dumps({"visits": visits, "lines": lines}))


def engine(root: Path) -> None:
    import duckdb

    from venue_assets.home import Home
    from venue_assets.lake.engine import Engine
    from venue_assets.lake.landing_index import scan
    from venue_assets.tables.catalogue import catalogue

    home, tables = Home(root), catalogue()
    needed = {*COUNTED, *tables.lake_inputs(tables["quarantine"]), *tables.lake_inputs(tables["face_visits"])}
    needed |= {"identity_links", "raw_identity_links"}
    con = duckdb.connect(config={"threads": THREADS, "memory_limit": "4GB"})
    running = Engine(home, tables, con, scan(home.landing))
    counted = Taken()
    rows, seconds = {}, {}
    for table in tables:
        if table.name in needed:
            before = cpu_seconds()
            with work() as taken:
                rows[table.name] = running.compute(table, DAY).rows
            if table.name in COUNTED:
                seconds[table.name] = round(cpu_seconds() - before, 2)
                counted.cpu += taken.cpu
                counted.wall += taken.wall
    report(counted, rows={name: rows[name] for name in COUNTED}, seconds=seconds)


def read_json(root: Path, *, packed: bool, parquet: bool) -> None:
    import duckdb

    files = f"{root}/landing/face_visits/*/*.jsonl.zst" if packed else f"{root}/unpacked/*.jsonl"
    with work() as taken:
        con = duckdb.connect(config={"threads": THREADS, "memory_limit": "4GB"})
        con.execute(
            f"CREATE TABLE visits AS FROM read_json('{files}', columns = {FIELDS}, format = 'newline_delimited',"
            f" ignore_errors = true, compression = '{'zstd' if packed else 'uncompressed'}')"
        )
        if parquet:
            con.execute(f"COPY visits TO '{root / 'visits.parquet'}' (FORMAT parquet)")
    rows = con.execute("SELECT count(*) FROM visits WHERE seq IS NOT NULL").fetchall()[0][0]
    report(taken, rows={"visits": rows})


def floor(root: Path) -> None:
    import duckdb

    from venue_assets.lake.store import Lake

    lake = Lake(root / "floor")
    with work() as taken:
        con = duckdb.connect(config={"threads": THREADS, "memory_limit": "4GB"})
        con.execute(
            f"CREATE TABLE visits AS FROM read_json('{root}/landing/face_visits/*/*.jsonl.zst', columns = {FIELDS},"
            " format = 'newline_delimited', ignore_errors = true, compression = 'zstd')"
        )
        typed = "SELECT * REPLACE (recorded_at::TIMESTAMP AS recorded_at) FROM visits"
        for name in ("raw", "clean"):
            with (
                con.sql(typed).to_arrow_reader() as rows,
                lake.draft(name, DAY, rows.schema, rows, code="", inputs={}) as draft,
            ):
                lake.put(name, DAY, draft)
    report(taken, rows={"visits": draft.provenance.rows})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=1_000_000, help="each is about two records")
    parser.add_argument("--times", type=int, default=3, help="how often each contender runs")
    parser.add_argument("--data", type=Path, help="folder that keeps the synthetic date; a temporary one by default")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        if given.contender == "make":
            make(given.data, given.visits)
            report(Taken())
        elif given.contender == ENGINE:
            engine(given.data)
        elif given.contender == FLOOR:
            floor(given.data)
        else:
            read_json(given.data, packed=given.contender == ZST, parquet=given.contender == PARQUET)
        return
    with tempfile.TemporaryDirectory(prefix="venue-bench-") as temporary:
        root = (given.data or Path(temporary)).absolute() / "landed"
        arguments = ["--data", str(root), "--visits", str(given.visits)]
        in_turn(__file__, ["make"], arguments, times=1)
        found = in_turn(__file__, CONTENDERS, arguments, times=given.times)
        lines = json.loads((root / "landed.json").read_text())["lines"]
    ours = found[ENGINE][-1].figures
    landed = ours["rows"]["raw_face_visits"]
    assert lines == landed == ours["rows"]["face_visits"] + ours["rows"]["quarantine"]
    print(f"\nOne date, landed to clean: {', '.join(f'{n:,} {name}' for name, n in ours['rows'].items())}")
    print(f"{machine()}; {THREADS} threads each; {given.times} runs in turn\n")
    compare(found, JSONL, records=landed)
    print(f"engine, cpu seconds per table: {ours['seconds']}")
    least = median_cpu(found[FLOOR])
    share = median_cpu(found[JSONL]) / least
    print(f"the floor: {landed / 1e6 / least:.2f} M records per cpu second, {share:.2f} of read_json's speed\n")
    cpu = median_cpu(found[ENGINE])
    met = [
        goal("engine's M records per cpu second", landed / 1e6 / cpu, 0.4, at_least=True),
        goal("engine's speed against read_json", median_cpu(found[JSONL]) / cpu, 0.8, at_least=True),
    ]
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
