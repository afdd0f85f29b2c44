"""What the crash tests kill: a collector whose clock and disk can be hurt from outside, and a landing service.

`clock` in the gateway's folder holds seconds that are added to the wall clock; while `full` is there, SQLite finds the
disk full. `left.json` says after an orderly end what has not been shipped.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edge_collector import collector as collecting
from edge_collector.cli import _until_signal
from edge_collector.clock import SystemClock
from edge_collector.gateway import load_gateway
from venue_assets.home import Home
from venue_assets.landing.server import Listening, serve


class HurtClock(SystemClock):
    """This machine's, set by a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        try:
            by = float(self._path.read_text() or 0)
        except FileNotFoundError:
            by = 0.0
        return datetime.now(UTC) + timedelta(seconds=by)

    def synced(self) -> bool:
        return True


def collector(root: str) -> None:
    folder = Path(root)
    logging.disable(logging.WARNING)
    made = collecting.Collector(load_gateway(folder / "edge.toml"), clock=HurtClock(folder / "clock"))
    threading.Thread(target=_fill_disk, args=(made.spool, folder / "full"), daemon=True).start()
    asyncio.run(_until_signal(made))
    left = made.left
    (folder / "left.json").write_text(json.dumps([left.records, left.segments]))


def _fill_disk(spool: Any, flag: Path) -> None:
    full = False
    while True:
        if flag.exists() != full:
            full = not full

            def limit(full: bool = full) -> None:
                (pages,) = spool._db.execute("PRAGMA page_count").fetchone()
                spool._db.execute(f"PRAGMA max_page_count={pages if full else 2**30}")

            spool._submit(limit).result()
        time.sleep(0.01)


def landing(root: str, port: int) -> None:
    logging.disable(logging.WARNING)
    serve(Home(Path(root)), Listening(port=port), lambda _: None)
