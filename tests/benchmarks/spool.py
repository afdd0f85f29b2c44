"""The spool of a gateway: durable capture, sealing, catching up, and an idle collector; against plain files.

    uv run --group bench python tests/benchmarks/spool.py

Everything is flushed in each contender before the next record, or group of records, is taken. `sqlite` inserts a row
of the same bytes into a table of its own in the spool's mode (WAL, synchronous=FULL) and commits; `file` appends a
line and calls fsync. Ratios are of one run; how fast one by one can be is the disk's answer to fsync.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from measure import MEGABYTE, Taken, goal, in_turn, machine, report, table, work

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
GROUP = 500
BODY = '"user_id":"k1:0123456789abcdef0123456789abcdef","direction":"enter"'
SITE = """
[[venues]]
id = "riverside"
name = "Riverside"
time_zone = "Europe/Berlin"
currency = "EUR"
opened_on = 2026-01-01
"""


def capture(n: int) -> Any:
    from edge_collector.spool import Capture

    return Capture(
        "face_visits", "riverside", "terminal", {"user_id": f"k1:{n:032x}", "direction": "enter"}, key=f"{n:032x}"
    )


def opened(folder: Path) -> Any:
    from edge_collector.spool import Spool

    return Spool(folder / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=2**40)


def stamp(n: int = 0) -> Any:
    from edge_collector.spool import Stamp

    return Stamp(NOW + timedelta(milliseconds=n), n / 1000, "m1", True)


def spool_in_groups(folder: Path, count: int, group: int) -> Taken:
    from edge_collector.spool import Entry

    spool = opened(folder)
    with work() as taken:
        for first in range(0, count, group):
            spool.take(Entry([capture(n) for n in range(first, first + group)]), stamp(first)).result()
    spool.close()
    return taken


def spool_many_callers(folder: Path, count: int, callers: int) -> Taken:
    """As sources do: each record is an entry of its own, and several callers wait at a time."""
    from edge_collector.spool import Entry

    spool = opened(folder)

    async def call(numbers: range) -> None:
        for n in numbers:
            await asyncio.wrap_future(spool.take(Entry([capture(n)]), stamp(n)))

    async def main() -> None:
        each = count // callers
        await asyncio.gather(*(call(range(i * each, (i + 1) * each)) for i in range(callers)))

    with work() as taken:
        asyncio.run(main())
    spool.close()
    return taken


def sqlite_in_groups(folder: Path, count: int, group: int) -> Taken:
    db = sqlite3.connect(folder / "plain.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, stream TEXT, seq INTEGER, wall_ms INTEGER, body TEXT)")
    insert = "INSERT INTO records (stream, seq, wall_ms, body) VALUES (?, ?, ?, ?)"
    with work() as taken:
        for first in range(0, count, group):
            db.execute("BEGIN")
            db.executemany(insert, [("face_visits", n, n, BODY) for n in range(first, first + group)])
            db.execute("COMMIT")
    db.close()
    return taken


def file_in_groups(folder: Path, count: int, group: int) -> Taken:
    line = f"{{{BODY}}}\n".encode()
    with work() as taken, (folder / "plain.jsonl").open("ab") as file:
        for _ in range(0, count, group):
            file.write(line * group)
            file.flush()
            os.fsync(file.fileno())
    return taken


def sealing(folder: Path, count: int) -> Taken:
    from edge_collector.site import load_site
    from edge_collector.spool.seal import SealPolicy, seal

    spool, site = filled(folder, count), load_site(folder / "site.toml")
    with work() as taken:
        made = []
        while some := seal(spool, site, SealPolicy(20_000, timedelta(seconds=60)), stamp(count + 100_000)):
            made += some
    assert sum(segment.rows for segment in made) == count
    taken.figures["segments"] = len(made)
    spool.close()
    return taken


def filled(folder: Path, count: int) -> Any:
    from edge_collector.spool import Entry

    (folder / "site.toml").write_text(SITE)
    spool = opened(folder)
    for first in range(0, count, 10_000):
        spool.take(Entry([capture(n) for n in range(first, min(first + 10_000, count))]), stamp(first)).result()
    return spool


def catching_up(folder: Path, count: int) -> Taken:
    """Sealing and shipping to a folder at the same time, as after days off line."""
    from edge_collector.clock import SystemClock
    from edge_collector.ship import Shipper
    from edge_collector.ship.object_store import FolderTarget
    from edge_collector.site import load_site
    from edge_collector.spool.seal import SealPolicy, seal

    spool, site = filled(folder, count), load_site(folder / "site.toml")
    (folder / "landing").mkdir()

    class Live:
        """Somebody who is captured meanwhile: how long each waits."""

        waits: list[float] = []  # noqa: RUF012

        async def run(self) -> None:
            from edge_collector.spool import Entry

            n = 0
            while True:
                began = time.perf_counter()
                event = capture(n).__class__("gateway_events", "riverside", "gw", {"kind": "heartbeat"})
                await asyncio.wrap_future(spool.take(Entry([event]), stamp(count)))
                self.waits.append(time.perf_counter() - began)
                n += 1
                await asyncio.sleep(0.05)

    async def main() -> None:
        shipper = Shipper(spool, FolderTarget(folder / "landing"), SystemClock())
        shipping = asyncio.ensure_future(shipper.run())
        live = asyncio.ensure_future(Live().run())
        policy = SealPolicy(20_000, timedelta(seconds=60))
        while await asyncio.to_thread(seal, spool, site, policy, stamp(count + 100_000)):
            shipper.wake()
        live.cancel()
        shipping.cancel()
        await asyncio.gather(live, shipping, return_exceptions=True)
        await shipper.run(until_empty=True)

    with work() as taken:
        asyncio.run(main())
    rows = sum(
        int(re.search(rb'"rows": ?(\d+)', path.read_bytes())[1])  # type: ignore[index]
        for path in (folder / "landing" / "face_visits").rglob("*.manifest.json")
    )
    assert rows == count, rows
    waits = sorted(Live.waits)
    taken.figures |= {"live_p50": waits[len(waits) // 2], "live_max": waits[-1], "live": len(waits)}
    taken.figures["bytes"] = (folder / "spool.db").stat().st_size
    spool.close()
    return taken


IDLE = """
import sys
import edge_collector.clock as clock
clock.SystemClock.synced = lambda self: True
from edge_collector.cli import main
main()
"""
EDGE = """
[gateway]
id = "gw"
health = "127.0.0.1:0"

[landing]
target = "landing"

[http]
listen = "127.0.0.1:0"

[[devices]]
id = "terminal"
venue_id = "riverside"
source = "http"

[[devices]]
id = "gateway"
venue_id = "riverside"
source = "gateway"
"""


def idle(folder: Path, seconds: int) -> Taken:
    """`edge-collector run` with nothing to do but its own heartbeats."""
    devices = "".join(
        f'\n[[devices]]\nid = "{name}"\nvenue_id = "riverside"\ngateway_id = "gw"\nstream = "{stream}"\n'
        for name, stream in (("terminal", "face_visits"), ("gateway", "gateway_events"))
    )
    (folder / "site.toml").write_text(SITE + devices)
    for name, content in (("edge.toml", EDGE), ("pseudonym.key", "0123456789abcdef" * 2)):
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
    (folder / "landing").mkdir()
    command = [sys.executable, "-c", IDLE, "run", "-c", str(folder / "edge.toml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "collecting" in process.stdout.readline()
    try:
        time.sleep(3)
        with work() as taken:
            before = cpu_of(process.pid)
            time.sleep(seconds)
            taken.figures["share"] = (cpu_of(process.pid) - before) / seconds
        status = Path(f"/proc/{process.pid}/status").read_text()
        taken.figures["rss"] = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    return taken


def cpu_of(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


CONTENDERS: dict[str, Callable[[Path, argparse.Namespace], Taken]] = {
    "file, groups": lambda folder, given: file_in_groups(folder, given.records, GROUP),
    "sqlite, groups": lambda folder, given: sqlite_in_groups(folder, given.records, GROUP),
    "spool, groups": lambda folder, given: spool_in_groups(folder, given.records, GROUP),
    "file, one by one": lambda folder, given: file_in_groups(folder, given.single, 1),
    "sqlite, one by one": lambda folder, given: sqlite_in_groups(folder, given.single, 1),
    "spool, one by one": lambda folder, given: spool_in_groups(folder, given.single, 1),
    "spool, 32 callers": lambda folder, given: spool_many_callers(folder, given.single // 32 * 32, 32),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000, help="In groups, and to seal.")
    parser.add_argument("--single", type=int, default=3_200, help="One by one.")
    parser.add_argument("--backlog", type=int, default=1_000_000)
    parser.add_argument("--idle", type=int, default=20, help="Seconds.")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    given = parser.parse_args()
    others = {
        "sealing": lambda folder: sealing(folder, given.records),
        "catching up": lambda folder: catching_up(folder, given.backlog),
        "idle": lambda folder: idle(folder, given.idle),
    }
    if given.contender:
        with tempfile.TemporaryDirectory(prefix="venue-bench-", dir=Path.cwd()) as name:
            folder = Path(name)
            if given.contender in others:
                taken = others[given.contender](folder)
            else:
                taken = CONTENDERS[given.contender](folder, given)
        report(taken)
        return
    arguments = [f"--{name}={getattr(given, name)}" for name in ("records", "single", "backlog", "idle")]
    found = in_turn(__file__, list(CONTENDERS), arguments, times=given.times)
    sealed = in_turn(__file__, ["sealing"], arguments, times=given.times)["sealing"]
    caught = in_turn(__file__, ["catching up"], arguments, times=1)["catching up"][0]
    rested = in_turn(__file__, ["idle"], arguments, times=1)["idle"][0]
    print(f"{given.records:,} records in groups of {GROUP}, {given.single:,} one by one; {machine()}\n")
    speeds = {}
    rows = [["contender", "records/s median", "best", "cpu us a record", "ratio to sqlite"]]
    for name, taken in found.items():
        count = given.records if "groups" in name else given.single // 32 * 32
        speed = sorted(count / t.wall for t in taken)
        speeds[name] = speed[len(speed) // 2]
        cpu = sorted(t.cpu for t in taken)[len(taken) // 2] / count * 1e6
        rows.append([name, f"{speeds[name]:,.0f}", f"{speed[-1]:,.0f}", f"{cpu:.1f}"])
    for row in rows[1:]:
        plain = "sqlite, groups" if "groups" in row[0] else "sqlite, one by one"
        row.append(f"{speeds[row[0]] / speeds[plain]:.2f}")
    table(rows)
    figures = caught.figures
    print(
        f"\ncatching up with {given.backlog:,} records: {caught.wall:.1f} s ({caught.cpu:.1f} cpu s), peak "
        f"{caught.peak_bytes / MEGABYTE:.0f} MB; of {figures['live']} records captured meanwhile half waited "
        f"{figures['live_p50'] * 1000:.0f} ms, one {figures['live_max'] * 1000:.0f} ms; the spool's file has "
        f"{figures['bytes'] / MEGABYTE:.1f} MB afterwards\n"
    )
    sealing_wall = sorted(t.wall for t in sealed)[len(sealed) // 2]
    sealing_cpu = sorted(t.cpu for t in sealed)[len(sealed) // 2]
    print(f"sealing {given.records:,} records: {sealing_wall:.2f} s, {sealing_cpu:.2f} cpu s\n")
    met = [
        goal("records a second in groups", speeds["spool, groups"], 20_000, at_least=True),
        goal("records a second one by one", speeds["spool, one by one"], 2_000, at_least=True),
        goal("seconds to seal 100,000 records", sealing_wall * 100_000 / given.records, 0.5),
        goal("seconds to catch up with 1,000,000 records", caught.wall * 1_000_000 / given.backlog, 60),
        goal("cpu share of an idle collector", rested.figures["share"], 0.01),
        goal("MB of an idle collector", rested.figures["rss"] / MEGABYTE, 120),
    ]
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
