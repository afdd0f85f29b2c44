"""Watched folders in: files of orders and visits that somebody else's software exports, read by a column map.

A file is read when it has not changed for a while: copies, renames and network shares all look alike then, and nothing
but its name, size and time is needed to know whether it is new. Files are never moved, changed or deleted. A file that
grows, or is written anew, is read again; what it said before is recognised row by row.

A row that makes no record is left out, counted as `bad_row`, and told in the log with its line and the reason.

What does not belong here: what a row means (`drafts`), what becomes of it (`intake`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Never, Protocol

from edge_collector.clock import Clock
from edge_collector.column_map import BoundMap, MapError, OrdersMap
from edge_collector.csv_lines import read_csv
from edge_collector.drafts import Draft, map_orders, map_visits
from edge_collector.gateway import WatchedFolder
from edge_collector.sources import Backoff, Busy

_log = logging.getLogger(__name__)
_TOLD: Final = 20
"""Rows of one file that the log names one by one."""
_SMALLEST_WAIT: Final = 0.5
MAX_FILE_BYTES: Final = 512 * 1024**2

Fingerprint = tuple[int, int]
"""Size and time of the last change in nanoseconds."""


@dataclass(frozen=True)
class Rows:
    """What a file holds: drafts in its order, each with the key and version by which it is recognised again."""

    bound: BoundMap
    drafts: Sequence[tuple[Draft, str, str]]
    refused: int
    subject: str
    state: str


class RowSink(Protocol):
    """Where rows go: returns when they and the file's state are durable, raises Busy where there is no room."""

    async def __call__(self, rows: Rows, /) -> None: ...


class FolderWatcher:
    """Reads what is put into one folder. `known` is what earlier runs have read: subject -> state."""

    def __init__(
        self,
        folder: Path,
        settings: WatchedFolder,
        bound: BoundMap,
        pseudonym_of: Callable[[str], str],
        sink: RowSink,
        clock: Clock,
        known: dict[str, str],
    ) -> None:
        self._folder, self._settings, self._bound = folder, settings, bound
        self._pseudonym_of, self._sink, self._clock, self._known = pseudonym_of, sink, clock, known
        self._pending: dict[str, tuple[Fingerprint, float]] = {}
        self.counts: Counter[str] = Counter()
        self.problem = ""
        """Why the folder cannot be read at the moment."""

    async def run(self) -> Never:
        """Watch until cancelled."""
        wait = max(_SMALLEST_WAIT, self._settings.settle_seconds / 2)
        backoff = Backoff(self._clock)
        while True:
            try:
                await self.look()
                backoff.reset()
            except Busy:
                await backoff.wait()
            await self._clock.sleep(wait)

    async def look(self) -> int:
        """Read the files that have settled; returns how many. Raises Busy with the rest unread."""
        read = 0
        for path, found in await asyncio.to_thread(self._settled):
            read += await self._read(path, found)
        return read

    def _settled(self) -> list[tuple[Path, Fingerprint]]:
        now, due, present = self._clock.monotonic(), [], set()
        try:
            paths = sorted(self._folder.glob(self._settings.pattern))
            self.problem = "" if self._folder.is_dir() else f"{self._folder} is no folder that can be read"
        except OSError as error:  # a share that is away comes back
            self.problem = f"{self._folder} cannot be read ({error.strerror})"
            return []
        for path in paths:
            try:
                status = path.stat()
            except OSError:  # renamed or deleted in between
                continue
            if path.name.startswith(".") or not path.is_file():
                continue
            present.add(path.name)
            found = (status.st_size, status.st_mtime_ns)
            if self._known.get(self._subject(path), "").startswith(json.dumps(found)[:-1]):
                continue
            before = self._pending.get(path.name)
            if before is None or before[0] != found:
                before = self._pending[path.name] = found, now
            if now - before[1] >= self._settings.settle_seconds:
                due.append((path, found))
        self._pending = {name: seen for name, seen in self._pending.items() if name in present}
        return due

    async def _read(self, path: Path, found: Fingerprint) -> int:
        try:
            rows = await asyncio.to_thread(self._rows, path, found)
        except (MapError, OSError) as error:
            self.counts["bad_file"] += 1
            _log.warning("%s is left out: %s", path.name, error)
            # Until it changes there is nothing new to say about it.
            self._known[self._subject(path)] = json.dumps(found)
            return 0
        if rows is None:
            return 0
        await self._sink(rows)
        self._known[rows.subject] = rows.state
        self._pending.pop(path.name, None)
        self.counts["files"] += 1
        return 1

    def _rows(self, path: Path, found: Fingerprint) -> Rows | None:
        if found[0] > MAX_FILE_BYTES:
            raise OSError(f"{found[0]} bytes; at most {MAX_FILE_BYTES} are expected")
        columns, given, rejects = read_csv(path, self._bound.map.csv)
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) != found:
            return None  # it was being written after all; it will settle again
        missing = [name for name in self._bound.columns().values() if name not in columns]
        if missing:
            raise MapError(self._bound.path, [f"{path.name} has no column {missing[0]!r}; it has {columns}"])
        mapped = (map_orders if isinstance(self._bound.map, OrdersMap) else map_visits)(
            self._bound, columns, given, self._pseudonym_of
        )
        for reject in (*rejects, *mapped.rejects)[:_TOLD]:
            _log.warning("%s line %d is left out: %s", path.name, reject.line, reject.reason)
        keyed = self._keyed(mapped.drafts)
        refused = len(rejects) + len(mapped.rejects)
        return Rows(self._bound, keyed, refused, self._subject(path), json.dumps((*found, len(keyed), refused)))

    def _keyed(self, drafts: Sequence[Draft]) -> list[tuple[Draft, str, str]]:
        """An order line is recognised by its number, and told again when it has changed; a visit by all it says."""
        name, keyed, seen = self._bound.map.name, [], Counter[str]()
        for draft in drafts:
            said = hashlib.sha256(json.dumps(draft.fields).encode()).hexdigest()[:32]
            if isinstance(self._bound.map, OrdersMap):
                keyed.append((draft, f"file/{name}/{draft.event_date}/{draft.fields[0]}/{draft.fields[1]}", said))
            else:
                visit = f"file/{name}/{draft.instant.isoformat()}/{said}"
                seen[visit] += 1  # two alike in one file are two
                keyed.append((draft, f"{visit}/{seen[visit]}", ""))
        return keyed

    def _subject(self, path: Path) -> str:
        return f"file/{self._bound.map.name}/{path.name}"
