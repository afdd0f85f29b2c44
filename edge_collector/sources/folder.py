"""Watched folders in: files of orders and visits that somebody else's software exports, read by a column map.

A file is read when it has not changed for a while: copies, renames and network shares all look alike then, and nothing
but its name, size and times is needed to know whether it is new. Files are never moved, changed or deleted. A file that
grows is read again for what it says more, and a last line that nothing ends is left to grow for a minute. One that is
written anew is read again, and each row recognised that has been said before, by this file or another. Of an order line
that two files tell differently, what was read last holds; files are read in the order in which they were changed.

A row that makes no record is left out, counted as `bad_row`, and told in the log with its line and the reason. A file
that cannot be read is counted as `bad_file`, and an alarm until it can be, or is gone.

What does not belong here: what a row means (`drafts`), what becomes of it (`intake`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import stat
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Never, Protocol

from edge_collector.clock import Clock
from edge_collector.fingerprint import Fingerprint, fingerprint
from edge_collector.foreign_files.column_map import BoundMap, CountsMap, MapError, OrdersMap, load_map
from edge_collector.foreign_files.csv_lines import parse_csv
from edge_collector.foreign_files.drafts import Draft, Reject, map_orders, map_visits
from edge_collector.gateway import Gateway, WatchedFolder
from edge_collector.people import People
from edge_collector.segment import shown
from edge_collector.sources import Backoff, Busy
from edge_collector.tally import Tally

_log = logging.getLogger(__name__)
_TOLD: Final = 20
"""Rows of one file that the log names one by one."""
_SMALLEST_WAIT: Final = 0.5
_UNFINISHED_SECONDS: Final = 60.0
"""How long a file must not have changed before a last line that nothing ends is taken for a whole one."""
MAX_FILE_BYTES: Final = 8 * 1024**2
"""Some 150,000 rows, which take a small box 400 MB and half a minute. What is larger is for `venue import`."""

FILES_FORGOTTEN: Final = "salvage/files"
"""A state: when the spool lost which files have been read (see `salvage`), in nanoseconds since 1970."""


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
        tally: Tally | None = None,
    ) -> None:
        """Raises MapError for a map that reads no orders or visits."""
        if isinstance(bound.map, CountsMap):
            raise MapError(
                bound.path, ['kind: "counts" is given; "orders" or "visits" is expected of a watched folder']
            )
        self._tally = tally or Tally()
        self._folder, self._settings, self._bound = folder, settings, bound
        self._pseudonym_of, self._sink, self._clock, self._known = pseudonym_of, sink, clock, known
        self._pending: dict[str, tuple[Fingerprint, float]] = {}
        self.counts: Counter[str] = Counter()
        self._failing: dict[str, Fingerprint] = {}
        self._unfinished: dict[str, Fingerprint] = {}
        """Files that were read but for their last line, which nothing ends yet."""

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
        """What has not changed for a while and was not read as it is; what changed first comes first."""
        now, due, present = self._clock.monotonic(), [], set()
        subject = f"folder {self._settings.path}"
        try:
            names = [path.name for path in self._folder.iterdir() if fnmatchcase(path.name, self._settings.pattern)]
            self._tally.alarms.pop(subject, None)
        except OSError as error:  # a share that is away comes back
            self._tally.alarms[subject] = f"{self._folder} cannot be read ({error.strerror})"
            return []
        for name in sorted(names):
            path = self._folder / name
            try:
                status = path.stat()
            except OSError:  # renamed or deleted in between
                continue
            if name.startswith(".") or not stat.S_ISREG(status.st_mode):
                continue
            present.add(name)
            found = fingerprint(status)
            if (known := self._known.get(self._subject(name))) and json.loads(known)["found"] == list(found):
                continue
            before = self._pending.get(name)
            if before is None or before[0] != found:
                before = self._pending[name] = found, now
            settle = float(self._settings.settle_seconds)
            if self._unfinished.get(name) == found:
                settle = max(settle, _UNFINISHED_SECONDS)
            if now - before[1] >= settle:
                due.append((path, found))
        self._pending = {name: seen for name, seen in self._pending.items() if name in present}
        for name in set(self._failing) - present:
            self._well(name)
        return sorted(due, key=lambda d: (d[1][1], d[0].name))

    async def _read(self, path: Path, found: Fingerprint) -> int:
        try:
            rows = await asyncio.to_thread(self._rows, path, found)
        except MapError as error:
            self._fail(path.name, found, str(error))
            # Until it changes there is nothing new to say about it.
            self._known[self._subject(path.name)] = json.dumps({"found": found})
            return 0
        except OSError as error:  # perhaps the share, so it is tried again
            self._fail(path.name, found, f"{path.name} cannot be read ({error.strerror or error})")
            self._pending[path.name] = found, self._clock.monotonic()
            return 0
        if rows is None:
            return 0
        await self._sink(rows)
        self._known[rows.subject] = rows.state
        self._well(path.name)
        if self._unfinished.get(path.name) == found:
            return 0
        self._pending.pop(path.name, None)
        self.counts["files"] += 1
        return 1

    def _fail(self, name: str, found: Fingerprint, why: str) -> None:
        """A file is left out; once as long as it stays as it is."""
        if self._failing.get(name) != found:
            self.counts["bad_file"] += 1
            self._tally.refused["folder", "bad_file"] += 1
            self._tally.alarms[self._subject(name)] = why
            _log.warning("%s is left out: %s", name, why)
        self._failing[name] = found

    def _well(self, name: str) -> None:
        if self._failing.pop(name, None) is not None:
            self._tally.alarms.pop(self._subject(name), None)

    def _rows(self, path: Path, found: Fingerprint) -> Rows | None:
        if found[0] > MAX_FILE_BYTES:
            raise MapError(
                path, [f"{found[0]} bytes are given; at most {MAX_FILE_BYTES} are expected; use venue import"]
            )
        content = path.read_bytes()
        if fingerprint(path.stat()) != found:
            return None  # it was being written after all; it will settle again
        whole = content.endswith((b"\n", b"\r")) or self._unfinished.pop(path.name, None) == found
        if not whole:
            self._unfinished[path.name] = found
            content = content[: 1 + max(content.rfind(b"\n"), content.rfind(b"\r"))]
            if not content:
                return None
        drafts, rejects = self._mapped(path, content)
        # What the file has said before is not said again: another file may have known better since.
        before = json.loads(self._known.get(self._subject(path.name), "{}"))
        told: set[tuple[str, str]] = set()
        told_rejects: set[Reject] = set()
        size = before.get("size", 0)
        if size and hashlib.sha256(content[:size]).hexdigest() == before["sha256"]:
            earlier, earlier_rejects = self._mapped(path, content[:size])
            told, told_rejects = {(key, said) for _, key, said in earlier}, set(earlier_rejects)
        fresh = [draft for draft in drafts if draft[1:] not in told]
        refused = [reject for reject in rejects if reject not in told_rejects]
        if not before and self._may_have_been_read(found):
            fresh, refused = [], []
            _log.warning("%s is taken as read: the spool has lost which files have been", path.name)
        for reject in refused[:_TOLD]:
            _log.warning("%s line %d is left out: %s", path.name, reject.line, reject.reason)
        state = {"found": found if whole else None, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        return Rows(self._bound, fresh, len(refused), self._subject(path.name), json.dumps(state))

    def _mapped(self, path: Path, content: bytes) -> tuple[list[tuple[Draft, str, str]], list[Reject]]:
        columns, given, rejects = parse_csv(path, content, self._bound.map.csv)
        missing = [name for name in self._bound.columns().values() if name not in columns]
        if missing:
            raise MapError(
                self._bound.path,
                [f"{path.name} has no column {missing[0]!r} among its {len(columns)}; is there a header?"],
            )
        mapped = (map_orders if isinstance(self._bound.map, OrdersMap) else map_visits)(
            self._bound, columns, given, self._pseudonym_of
        )
        return self._keyed(mapped.drafts), [*rejects, *mapped.rejects]

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

    def _may_have_been_read(self, found: Fingerprint) -> bool:
        """Visits again would be visitors again; an order line again is the same one."""
        forgotten = self._known.get(FILES_FORGOTTEN)
        of_visits = not isinstance(self._bound.map, OrdersMap)
        return of_visits and forgotten is not None and max(found[1:]) < int(forgotten)

    def _subject(self, name: str) -> str:
        # A name can be any bytes; what is kept must be text.
        return shown(f"file/{self._bound.map.name}/{self._settings.path}/{name}")


def watchers_of(
    gateway: Gateway, people: People, sink: RowSink, clock: Clock, known: Mapping[str, str], tally: Tally
) -> list[FolderWatcher]:
    """A watcher of each folder in edge.toml, in its order. `known` is what earlier runs have read: subject -> state.

    Raises MapError for a map that cannot be used, or reads no orders or visits.
    """
    return [
        FolderWatcher(
            gateway.file(watched.path),
            watched,
            load_map(gateway.file(watched.map), gateway.site, gateway.id),
            lambda number: people.user_id(number) or "",
            sink,
            clock,
            dict(known),
            tally,
        )
        for watched in gateway.settings.folders
    ]
