"""Segments of a hundred records into `venue landing`, by one client over loopback, against writing the same files.

    uv run python tests/benchmarks/landing_service.py

Every file is flushed in each contender. `write` puts one file after the other into one folder, each flushed: what a
program without manifests, hashes or a network would do. `write atomically` is `write_segment`, as `venue import` lands.
`service` is the shipper's own target with some requests at once on kept connections, to the service in a process of
its own. Two flushes bound the first, and the disk bounds all: `--folder /dev/shm` shows what is left without it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from measure import Taken, goal, in_turn, machine, report, table, work

DAY = date(2026, 1, 5)
AT_ONCE = 8


@dataclass(frozen=True)
class Sealed:
    stream: str
    event_date: str
    name: str
    packed: bytes
    manifest: bytes


def segments(count: int, rows: int) -> list[Sealed]:
    from edge_collector.segment import pack_segment

    made = []
    for n in range(count):
        seqs = range(n * rows, (n + 1) * rows)
        lines = [
            json.dumps({
                "gateway_id": "gw_1", "boot_id": "b1", "seq": seq, "venue_id": "venue_1", "device_id": "terminal_1",
                "recorded_at": f"2026-01-05T10:{seq // 60 % 60:02}:{seq % 60:02}.000+01:00", "clock": "synced",
                "user_id": f"k1:{seq * 2654435761 % 2**128:032x}", "direction": "enter" if seq % 2 else "leave",
            }).encode()
            for seq in seqs
        ]  # fmt: skip
        manifest, packed = pack_segment(
            stream="face_visits", event_date=DAY, gateway_id="gw_1", boot_id="b1", lines=lines, seqs=seqs,
            created_at=datetime(2026, 1, 6, tzinfo=UTC),
        )  # fmt: skip
        made.append(Sealed("face_visits", str(DAY), str(manifest.name), packed, manifest.to_bytes()))
    return made


def write(made: list[Sealed], folder: Path) -> Taken:
    with work() as taken:
        for segment in made:
            for suffix, content in ((".jsonl.zst", segment.packed), (".manifest.json", segment.manifest)):
                with (folder / f"{segment.name}{suffix}").open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
    return taken


def write_atomically(made: list[Sealed], folder: Path) -> Taken:
    from edge_collector import durable

    with work() as taken:
        for segment in made:
            for suffix, content in ((".jsonl.zst", segment.packed), (".manifest.json", segment.manifest)):
                durable.write_atomically(folder / f"{segment.name}{suffix}", content)
    return taken


def service(made: list[Sealed], folder: Path, at_once: int) -> Taken:
    from edge_collector.ship import target_of
    from venue_assets.landing.tokens import FILE, add_token

    token = add_token(folder / FILE, "gw_1")
    command = [sys.executable, "-c", "from venue_assets.cli import main; main()", "landing", "--port", "0"]
    command += ["--rate", "1000000"]
    environment = {**os.environ, "VENUE_DATA": str(folder)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        found = next(found for line in process.stdout if (found := re.search(r"http://127[^ ]+", line)))

        async def ship() -> Taken:
            target = target_of(found[0], token=token)
            await target.put(made[0])
            waiting = iter(made[1:])

            async def some() -> None:
                for segment in waiting:
                    assert (await target.put(segment)).new

            before = cpu_of(process.pid)
            with work() as taken:
                await asyncio.gather(*(some() for _ in range(at_once)))
            taken.figures["service_cpu"] = cpu_of(process.pid) - before
            await target.close()
            return taken

        taken = asyncio.run(ship())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    assert len(list(folder.rglob("*.manifest.json"))) == len(made)
    return taken


def cpu_of(pid: int) -> float:
    """Seconds of another process; 0 where that cannot be looked up."""
    status = Path(f"/proc/{pid}/stat")
    if not status.exists():
        return 0
    user, system = status.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


CONTENDERS = ["write", "write atomically", "service, one at a time", f"service, {AT_ONCE} at once"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where to write: the disk that is measured")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        made = segments(given.segments, given.rows)
        with tempfile.TemporaryDirectory(prefix="venue-bench-", dir=given.folder) as folder:
            if given.contender.startswith("service"):
                taken = service(made, Path(folder), 1 if "one" in given.contender else AT_ONCE)
            else:
                taken = {"write": write, "write atomically": write_atomically}[given.contender](made, Path(folder))
        report(taken, bytes=sum(len(s.packed) + len(s.manifest) for s in made))
        return
    arguments = ["--segments", str(given.segments), "--rows", str(given.rows), "--folder", str(given.folder)]
    found = in_turn(__file__, CONTENDERS, arguments, times=given.times)
    size = found["write"][0].figures["bytes"] / given.segments
    print(f"{given.segments:,} segments of {given.rows} records, {size:,.0f} bytes each with manifest; {machine()}\n")
    speeds = {name: sorted(given.segments / t.wall for t in taken) for name, taken in found.items()}
    middle = {name: speed[len(speed) // 2] for name, speed in speeds.items()}
    rows = [
        ["contender", "segments/s median", "min", "max", "ratio to write", "cpu ms per segment", "service's cpu ms"]
    ]
    for name, speed in speeds.items():
        cpu = sorted(t.cpu for t in found[name])[len(speed) // 2] / given.segments * 1000
        serving = sorted(t.figures.get("service_cpu", 0) for t in found[name])[len(speed) // 2] / given.segments * 1000
        ratio = f"{middle[name] / middle['write']:.2f}"
        rows.append(
            [name, f"{middle[name]:.0f}", f"{speed[0]:.0f}", f"{speed[-1]:.0f}", ratio, f"{cpu:.2f}", f"{serving:.2f}"]
        )
    table(rows)
    print()
    sys.exit(0 if goal("segments a second into the service", middle[CONTENDERS[-1]], 200, at_least=True) else 1)


if __name__ == "__main__":
    main()
