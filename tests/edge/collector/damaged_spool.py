"""A spool that is filled, and then damaged, as tests of it need one."""

from __future__ import annotations

import random
import shutil
from datetime import timedelta
from pathlib import Path

from edge_collector.salvage import Salvaged, open_spool
from edge_collector.spool import Entry, Spool
from edge_collector.spool.seal import SealPolicy, seal
from tests.edge.collector.spooled import NOW, SITE, arm, lines, stamp, visit

PAGE = 4096
ASIDE = f"spool.db.damaged-{NOW:%Y%m%dT%H%M%S}"


def fill(path: Path, records: int = 4000, segments: int = 10) -> None:
    """Sealed segments of a hundred visits each, records behind them, their keys, a state, an arm and its record."""
    spool = Spool(path, gateway_id="gw", boot_id="b1", max_bytes=10**9)
    numbers = iter(range(10**6))
    for _ in range(segments):
        spool.take(
            Entry([visit(n, key=f"{n:07d}") for _, n in zip(range(100), numbers, strict=False)]), stamp()
        ).result()
        seal(spool, SITE, SealPolicy(100, timedelta(0)), stamp())
    visits = [visit(n, key=f"{n:07d}") for _, n in zip(range(records), numbers, strict=False)]
    spool.take(Entry(visits, {"log/AA": "1:2"}), stamp()).result()
    spool.take(Entry([arm("u")]), stamp()).result()
    spool.forget(NOW)  # by then it is known without its record
    spool.close()


def page_of(path: Path, text: bytes) -> int:
    """The page in which `text` stands first."""
    return path.read_bytes().index(text) // PAGE


def damage(path: Path, *pages: int) -> None:
    content = bytearray(path.read_bytes())
    for page in pages:
        assert page > 0
        content[page * PAGE : (page + 1) * PAGE] = random.Random(page).randbytes(PAGE)
    path.write_bytes(content)


def opened(path: Path) -> tuple[Spool, Salvaged | None]:
    return open_spool(path, gateway_id="gw", boot_id="b2", max_bytes=10**9, now=NOW)


def beside(path: Path) -> list[str]:
    """All names but that of the file which only holds room."""
    return sorted(p.name for p in path.parent.iterdir() if not p.name.endswith(".room"))


def numbers(spool: Spool) -> set[int]:
    """Of all visits that can still land."""
    seal(spool, SITE, SealPolicy(10_000, timedelta(0)), stamp(), everything=True)
    found: set[int] = set()
    while (segment := spool.segment()) is not None:
        if segment.stream == "face_visits":
            found |= {record["seq"] for record in lines(segment)}
        spool.confirmed(segment.id)
    return found


def killed(folder: Path, entries: int = 30) -> Path:
    """The files of a collector that was killed: all but its layout is in the log."""
    folder.mkdir()
    spool = Spool(folder / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**9)
    spool._submit(lambda: spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()).result()
    for k in range(entries):
        spool.take(Entry([visit(n, key=f"{k}/{n}") for n in range(100)]), stamp()).result()
    copy = shutil.copytree(folder, folder.with_name("killed"))
    spool.close()
    return copy / "spool.db"
