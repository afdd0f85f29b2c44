"""One publication's files, in a folder that nobody reads yet: first the database, from it all other files.

The database begins as a copy of the one before, because DuckDB keeps it in one file and writes in it, and a reader may
have that one open. This is what still grows with history where the file system cannot share blocks: 0.5 cpu-seconds for
a year of 2,000 visits a day (1 GB), and up to 3 on a virtual machine that has to get the memory for the cache of the
file from its host first. To write in a database that is no longer kept, once nobody has it open, was tried: it lacks
four dates instead of one, and costs more. Nor does anything tell of a backup that reads it.

What does not need each other is done side by side (parallel.py): first the tables of the layers, at the end the files.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import duckdb
from dagster_duckdb import DuckDBResource

from edge_collector.site import Site
from venue_assets.home import Home
from venue_assets.lake.store import Lake
from venue_assets.publish import carrying, database, pages, small_cells, star_tables
from venue_assets.publish.allocations import ALLOCATIONS, write_allocations
from venue_assets.publish.database import ROW_GROUP_SIZE, STORAGE_VERSION, Contents, Stamps
from venue_assets.publish.files import Since, write_csv, write_parquet
from venue_assets.publish.links import copy, link
from venue_assets.publish.parallel import SESSION
from venue_assets.publish.safe_types import check_database
from venue_assets.tables.catalogue import Catalogue

DATABASE: Final = "venue.duckdb"
PARQUET: Final = "parquet"
CSV: Final = "csv"
_WRITTEN_AT_THE_END: Final = "SET wal_autocheckpoint = '1 TB'"
"""Nobody reads the file before it is whole: no journal has to protect what is written in it, and what is left of each
table is written once, not at every commit."""
_SEMANTICS: Final = Path(__file__).parents[1] / "semantic_layer"


class Described(Protocol):
    """What has to be known of a publication to build it, or to go on from its files."""

    @property
    def publication_id(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def published_at(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def contents(self) -> Contents: ...
    @property
    def stamps(self) -> Stamps: ...
    @property
    def waiting(self) -> list[str]: ...
    @property
    def site(self) -> str: ...
    @property
    def pages(self) -> str: ...


def build(
    folder: Path,
    home: Home,
    catalogue: Catalogue,
    engine: DuckDBResource,
    publication: Described,
    before: Described | None,
) -> Mapping[str, Collection[str]]:
    """All files of a publication in its empty folder, from the lake and from the publication `before`.

    Of one that other code made, nothing is taken but the rows of waiting dates, which are nowhere else. Returns what
    was read from the lake: table -> event dates. Raises UnsafeType and KeyProblem.
    """
    earlier_database = folder_of(home, before) / DATABASE if before else None
    before = before if before and before.code == publication.code else None
    previous = folder_of(home, before) if before else None
    carried = carrying.dates(publication.contents, publication.waiting)
    since = differing(publication.contents, before.contents if before else {})
    base = before if before and _is_worth_copying(since, publication.contents) else None
    if base and previous:
        copy(previous / DATABASE, folder / DATABASE)
    held = database.held(publication.contents, publication.stamps)
    lacking = differing(held, database.held(base.contents, base.stamps) if base else {})
    known = base.contents["user_days"] if base and base.site == publication.site else ()
    with _flushing(folder / DATABASE), engine.get_connection() as con:
        con.execute(SESSION)
        con.execute(
            f"ATTACH '{_escaped(folder / DATABASE)}' AS venue "
            f"(STORAGE_VERSION '{STORAGE_VERSION}', ROW_GROUP_SIZE {ROW_GROUP_SIZE}, RECOVERY_MODE no_wal_writes)"
        )
        con.execute(_WRITTEN_AT_THE_END)
        con.begin()
        if base is None:
            _create(con, catalogue, home.site)
        con.commit()
        days = {name: lacking[name] - set(publication.waiting) for name in catalogue.tables}
        database.fill(con, Lake(home.lake), catalogue, days, held)
        con.begin()
        if base is None and earlier_database:
            carrying.carry(con, earlier_database, catalogue, carried)
        moved = star_tables.fill(con, catalogue, home.site, lacking, known)
        small_cells.leave_out(
            con, {day for name in small_cells.TABLES for day in lacking[name]}, home.site.publication.smallest_cell
        )
        database.record(con, publication.publication_id, publication.published_at, held, publication.waiting)
        check_database(con, "venue")
        con.commit()
        parquet = Since(previous / PARQUET if previous and known else None, since, moved)
        write_parquet(con, folder / PARQUET, catalogue, publication.contents, parquet, publication.publication_id)
        csv = Since(previous / CSV if previous else None, since)
        write_csv(con, folder / CSV, catalogue, publication.contents, csv, publication.publication_id)
        earlier = previous / ALLOCATIONS if previous else None
        features = database.features_as_of(Lake(home.lake))
        write_allocations(folder / ALLOCATIONS, con, home, since, earlier, link, features)
        con.execute("CHECKPOINT venue")
        con.execute("DETACH venue")
    if before and previous and (before.pages, before.site) == (publication.pages, publication.site):
        pages.take_over(folder, publication.publication_id, previous, before.publication_id)
    else:
        pages.write(folder, publication.publication_id)
    return {name: (lacking[name] | since[name]) - set(publication.waiting) for name in catalogue.tables}


def folder_of(home: Home, publication: Described) -> Path:
    """Where the files of a publication are, for as long as it is kept."""
    return home.published / ".versions" / str(publication.number)


def _is_worth_copying(since: Mapping[str, Collection[str]], contents: Contents) -> bool:
    """Whether to begin with the database of the publication before: one of which little stays is written anew."""
    return 2 * sum(map(len, since.values())) <= sum(map(len, contents.values()))


def differing(now: Contents, then: Contents) -> dict[str, set[str]]:
    """Table -> the event dates of which the contents differ."""
    return {
        name: {day for day in {*days, *then.get(name, {})} if days.get(day) != then.get(name, {}).get(day)}
        for name, days in now.items()
    }


def code(catalogue: Catalogue, site: Site) -> str:
    """Changes when a column, its meaning, the layout or how figures are published changes: all is then built anew."""
    files = [*sorted(Path(__file__).parent.glob("*.py"))]
    files += [p for p in sorted(_SEMANTICS.rglob("*")) if p.suffix in (".py", ".yaml", ".sql")]
    parts = [
        *(path.read_text(encoding="utf-8") for path in files),
        *(table.meaning for table in catalogue),
        site.publication.model_dump_json(),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _create(con: duckdb.DuckDBPyConnection, catalogue: Catalogue, site: Site) -> None:
    (here,) = con.execute("SELECT current_database()").fetchall()[0]
    con.execute(
        "USE venue"
    )  # views keep the names by which they are made, which must not tell what this file is called
    database.create(con, catalogue, site.publication.smallest_cell)
    con.execute(f"USE {here}")


@contextmanager
def _flushing(path: Path) -> Iterator[None]:
    """Bring a copied database to the disk while the new date is written in it, of which only that is then left to do.

    DuckDB waits for the disk at its commit, for the whole file. Elsewhere than on POSIX nobody else may have it open.
    """
    if os.name != "posix" or not path.exists():
        yield
        return
    with path.open("rb") as file, ThreadPoolExecutor(1) as beside:
        flushed = beside.submit(os.fsync, file.fileno())
        yield
        flushed.result()


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")
