"""Publication sets: built beside the current one, made current by one atomic replacement of a link.

    published/.versions/<n>/     venue.duckdb, parquet/, allocations/, publication.json
    published/current            -> .versions/<n>
    published/venue.duckdb       -> current/venue.duckdb, and so on for the other names

A date enters a publication when its tables fit together, that is when each was made of what the others hold now; until
then the earlier publication's rows of that date stay. No process ever writes a file that a reader may have open.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
from dagster_duckdb import DuckDBResource
from filelock import FileLock

from edge_collector.segment import flush_folder, write_atomically
from venue_assets.home import Home
from venue_assets.lake.engine import select_partitions
from venue_assets.lake.store import Lake, Provenance
from venue_assets.publish.allocations import ALLOCATIONS, write_allocations
from venue_assets.tables.catalogue import Catalogue, Table

DATABASE: Final = "venue.duckdb"
PARQUET: Final = "parquet"
RECORD: Final = "publication.json"
KEPT: Final = 3
"""Publications that are kept, so that who opened an earlier one can go on reading it."""

WHOLE_TABLES: Final = ("primary_metrics", "hourly_metrics", "kpi", "rfm_migrations")
MONTHLY_TABLES: Final = ("sessions", "order_lines", "user_days")
"""RFM segments and features are not among them: each date holds the users of a whole year. The database has them."""

STORAGE_VERSION: Final = "v1.4.0"
"""Files that DuckDB 1.4 and later can open."""

Contents = Mapping[str, Mapping[str, str]]
"""Content of each published partition: table -> event date -> digest."""


@dataclass(frozen=True)
class Publication:
    """What a publication set holds."""

    publication_id: str
    number: int
    published_at: str
    code: str
    contents: Contents
    stamps: Mapping[str, Mapping[str, list[int]]] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)

    @property
    def dates(self) -> set[date]:
        """The event dates that are in it."""
        return {date.fromisoformat(day) for days in self.contents.values() for day in days}


def current(home: Home) -> Publication | None:
    """The publication that readers see now."""
    try:
        found = Publication(**json.loads((home.published / "current" / RECORD).read_text(encoding="utf-8")))
        _ = found.dates, [len(stamp) for days in found.stamps.values() for stamp in days.values()]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None  # none, or a record that cannot be read: the next publication is built anew
    return found


def publish(
    home: Home, catalogue: Catalogue, engine: DuckDBResource, *, log: Callable[[str], Any] = lambda _: None
) -> Publication:
    """Bring the publication up to what the lake holds. Where nothing changed, the current one is returned."""
    with _only_one(home.published):
        before = current(home)
        code = _code(catalogue)
        reuse = before if before and before.code == code else None
        lake = Lake(home.lake)
        while True:
            wanted = _collect(lake, catalogue, reuse)
            if reuse and reuse.contents == wanted.contents:
                return replace(reuse, waiting=sorted(wanted.waiting))
            publication = _describe(home, code, wanted)
            building = _building(home, publication.number)
            try:
                _build(building, home, catalogue, engine, publication, reuse)
                if _is_as_collected(lake, publication, reuse):
                    break
                # A partition was replaced while it was read: what was built may mix old and new.
                shutil.rmtree(building, ignore_errors=True)
            except BaseException:
                shutil.rmtree(building, ignore_errors=True)
                raise
        write_atomically(building / RECORD, json.dumps(asdict(publication), indent=1).encode())
        final = building.with_name(str(publication.number))
        building.rename(final)
        _make_current(home, final, log)
        for old in sorted(_versions(home), key=lambda p: int(p.name))[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return publication


def _describe(home: Home, code: str, wanted: _Wanted) -> Publication:
    number = max((int(p.name) for p in _versions(home)), default=0) + 1
    digest = hashlib.sha256(json.dumps([code, wanted.contents], sort_keys=True).encode()).hexdigest()
    return Publication(
        f"{number:06d}-{digest[:12]}",
        number,
        datetime.now(UTC).isoformat(timespec="seconds"),
        code,
        wanted.contents,
        wanted.stamps,
        sorted(wanted.waiting),
    )


def _building(home: Home, number: int) -> Path:
    """An empty folder to build in; what processes that are gone left behind is cleared away."""
    versions = home.published / ".versions"
    versions.mkdir(parents=True, exist_ok=True)
    for left in versions.glob(".*"):
        shutil.rmtree(left, ignore_errors=True)
    building = versions / f".{number}"
    building.mkdir()
    return building


def _is_as_collected(lake: Lake, publication: Publication, before: Publication | None) -> bool:
    """Whether the partitions that were read are still the ones that were collected."""
    return all(
        _stamp(lake.path(name, date.fromisoformat(day))) == publication.stamps[name][day]
        for name in publication.contents
        for day in _changed(publication, before, name) & set(publication.contents[name])
    )


@dataclass
class _Wanted:
    contents: dict[str, dict[str, str]]
    stamps: dict[str, dict[str, list[int]]]
    waiting: set[str]


def _collect(lake: Lake, catalogue: Catalogue, before: Publication | None) -> _Wanted:
    """What can be published: of each date all tables when they fit together, else what was published of it before."""
    contents: dict[str, dict[str, str]] = {name: {} for name in catalogue.tables}
    stamps: dict[str, dict[str, list[int]]] = {name: {} for name in catalogue.tables}
    waiting: set[str] = set()
    days = sorted({day for name in catalogue.tables for day in lake.dates(name)})
    for day in days:
        key = day.isoformat()
        found = {name: _stamp(lake.path(name, day)) for name in catalogue.tables}
        known = {name: before.stamps.get(name, {}).get(key) if before else None for name in catalogue.tables}
        if before and all(stamp and stamp == known[name] for name, stamp in found.items()):
            for name, stamp in found.items():
                contents[name][key], stamps[name][key] = before.contents[name][key], stamp or []
            continue
        provenances = {name: lake.provenance(name, day) for name in catalogue.tables}
        if _fit_together(catalogue, provenances, day):
            for name, provenance in provenances.items():
                assert provenance is not None
                contents[name][key], stamps[name][key] = provenance.content, found[name] or []
        else:
            waiting.add(key)
            for name in catalogue.tables if before else ():
                assert before is not None
                if content := before.contents.get(name, {}).get(key):
                    contents[name][key], stamps[name][key] = content, before.stamps[name][key]
    return _Wanted(contents, stamps, waiting)


def _fit_together(catalogue: Catalogue, provenances: Mapping[str, Provenance | None], day: date) -> bool:
    for provenance in provenances.values():
        if provenance is None:
            return False
        for name in catalogue.tables:
            made_of = provenance.inputs.get(f"{name}/{day}")
            source = provenances[name]
            if made_of is not None and (source is None or source.content != made_of):
                return False
    return True


def _stamp(path: Path) -> list[int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def _build(
    folder: Path,
    home: Home,
    catalogue: Catalogue,
    engine: DuckDBResource,
    publication: Publication,
    before: Publication | None,
) -> None:
    lake = Lake(home.lake)
    previous = home.published / ".versions" / str(before.number) if before else None
    changed = {name: _changed(publication, before, name) for name in catalogue.tables}
    total = sum(len(days) for days in publication.contents.values())
    # Rows of waiting dates are only in the earlier file; else a file of which little stays is better written anew.
    carried = set(publication.waiting) & {day for days in publication.contents.values() for day in days}
    little = 2 * sum(len(days) for days in changed.values()) <= total
    incremental = previous is not None and (bool(carried) or little)
    database = folder / DATABASE
    if incremental and previous:
        shutil.copyfile(previous / DATABASE, database)
    with engine.get_connection() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(f"ATTACH {_quoted(database)} AS venue (STORAGE_VERSION '{STORAGE_VERSION}')")
        con.begin()  # one commit rather than one flush to the disk for every statement
        if not incremental:
            _create(con, catalogue)
        for table in catalogue.tables.values():
            _fill(
                con,
                lake,
                table,
                changed[table.name] if incremental else set(publication.contents[table.name]),
                publication,
            )
        _record(con, publication)
        _parquet(con, folder / PARQUET, catalogue, publication, changed, previous)
        write_allocations(folder / ALLOCATIONS, con, home, changed, previous / ALLOCATIONS if previous else None, _link)
        con.commit()
        con.execute("CHECKPOINT venue")
        con.execute("DETACH venue")


def _changed(publication: Publication, before: Publication | None, table: str) -> set[str]:
    now, then = publication.contents[table], before.contents.get(table, {}) if before else {}
    return {day for day in {*now, *then} if now.get(day) != then.get(day)}


def _create(con: duckdb.DuckDBPyConnection, catalogue: Catalogue) -> None:
    for layer in dict.fromkeys(table.layer for table in catalogue.tables.values()):
        con.execute(f"CREATE SCHEMA venue.{layer}")
    for table in catalogue.tables.values():
        columns = ", ".join(f"{name} {c.type}" for name, c in table.columns.items())
        name = f"venue.{table.layer}.{table.name}"
        con.execute(f"CREATE TABLE {name} (event_date DATE, {columns})")
        con.execute(
            f"COMMENT ON TABLE {name} IS {_quoted(f'{table.description} Grain: {table.grain} and event date.')}"
        )
        con.execute(f"COMMENT ON COLUMN {name}.event_date IS 'Event date'")
        for column, c in table.columns.items():
            meaning = f"{c.description} [{c.unit}]" if c.unit else c.description
            con.execute(f"COMMENT ON COLUMN {name}.{column} IS {_quoted(meaning)}")


def _fill(con: duckdb.DuckDBPyConnection, lake: Lake, table: Table, days: set[str], publication: Publication) -> None:
    if not days:
        return
    name = f"venue.{table.layer}.{table.name}"
    gone = ", ".join(f"DATE '{day}'" for day in sorted(days))
    con.execute(f"DELETE FROM {name} WHERE event_date IN ({gone})")
    kept = sorted(days & set(publication.contents[table.name]))
    if kept:
        files = [str(lake.path(table.name, date.fromisoformat(day))) for day in kept]
        columns = ", ".join(["event_date", *table.columns])
        con.execute(f"INSERT INTO {name} SELECT {columns} FROM ({select_partitions(table, files)})")


_PUBLICATION_COLUMNS: Final = {
    "publication_id": ("VARCHAR", "Which publication this file belongs to"),
    "published_at": ("TIMESTAMP", "When it was built [UTC]"),
    "table_name": ("VARCHAR", "A table of this publication"),
    "event_dates": ("BIGINT", "How many event dates of that table are in it"),
}


def _record(con: duckdb.DuckDBPyConnection, publication: Publication) -> None:
    name = "venue.main.publication"
    columns = ", ".join(f"{column} {kind}" for column, (kind, _) in _PUBLICATION_COLUMNS.items())
    con.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
    con.execute(f"COMMENT ON TABLE {name} IS 'Which publication this is, and how many event dates each table has'")
    for column, (_, meaning) in _PUBLICATION_COLUMNS.items():
        con.execute(f"COMMENT ON COLUMN {name}.{column} IS {_quoted(meaning)}")
    con.executemany(
        f"INSERT INTO {name} VALUES (?, ?, ?, ?)",
        [
            [publication.publication_id, publication.published_at[:19], table, len(days)]
            for table, days in publication.contents.items()
        ],
    )


def _parquet(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    catalogue: Catalogue,
    publication: Publication,
    changed: Mapping[str, set[str]],
    previous: Path | None,
) -> None:
    """One file per table of metrics, one per month of facts; a file in which nothing changed is linked, not written."""
    for name in (*WHOLE_TABLES, *MONTHLY_TABLES):
        table = catalogue[name]
        days = publication.contents[name]
        if name in WHOLE_TABLES:
            parts = {f"{name}.parquet": ("true", bool(changed[name]))}
        else:
            months = sorted({day[:7] for day in days})
            parts = {
                f"{name}/{m}.parquet": (
                    f"strftime(event_date, '%Y-%m') = '{m}'",
                    any(d[:7] == m for d in changed[name]),
                )
                for m in months
            }
        for part, (condition, is_changed) in parts.items():
            target = folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if previous and not is_changed and (previous / PARQUET / part).exists():
                _link(previous / PARQUET / part, target)
                continue
            order = ", ".join(["event_date", *table.key])
            con.execute(
                f"COPY (SELECT * FROM venue.{table.layer}.{name} WHERE {condition} ORDER BY {order}) "
                f"TO {_quoted(target)} (FORMAT parquet, COMPRESSION snappy, PARQUET_VERSION v1, "
                f"KV_METADATA {{publication_id: '{publication.publication_id}'}})"
            )


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _make_current(home: Home, version: Path, log: Callable[[str], Any]) -> None:
    try:
        _replace_link(home.published / "current", Path(".versions") / version.name)
        for name in (DATABASE, PARQUET, ALLOCATIONS):
            _replace_link(home.published / name, Path("current") / name)
    except (OSError, NotImplementedError) as error:
        log(f"links do not exist here ({error}); the files are replaced one by one, the record last")
        for name in (DATABASE, PARQUET, ALLOCATIONS, RECORD):
            _replace_copy(version / name, home.published / name)
        (home.published / "current").mkdir(exist_ok=True)
        _replace_copy(version / RECORD, home.published / "current" / RECORD)
    flush_folder(home.published)


def _replace_link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    beside = link.with_name(f".{link.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target, target_is_directory=True)
    beside.replace(link)


def _replace_copy(source: Path, target: Path) -> None:
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    if source.is_dir():
        shutil.copytree(source, beside)
        shutil.rmtree(target, ignore_errors=True)
    else:
        shutil.copyfile(source, beside)
    beside.replace(target)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """One publisher at a time; others wait for it. The lock goes with the process that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


def _versions(home: Home) -> list[Path]:
    with suppress(FileNotFoundError):
        return [p for p in (home.published / ".versions").iterdir() if p.name.isdigit()]
    return []


def _code(catalogue: Catalogue) -> str:
    """Changes when a column, its meaning or the layout changes: the publication is then built anew."""
    parts = [
        *(path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))),
        *(f"{t.name} {t.layer} {t.code} {t.schema}" for t in catalogue.tables.values()),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _quoted(text: str | Path) -> str:
    return "'" + str(text).replace("'", "''") + "'"
