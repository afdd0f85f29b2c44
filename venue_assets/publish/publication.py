"""Publication sets: built beside the current one, made current by one atomic replacement of a link.

    published/.versions/<n>/     venue.duckdb, parquet/, csv/, powerbi/, dictionary/, allocations/, publication.json
    published/current            -> .versions/<n>
    published/venue.duckdb       -> current/venue.duckdb, and so on for the other names
    published/reports/           a real folder: see below

A date enters a publication when its tables fit together (collecting.py). What is new or changed is written, everything
else is linked to the files of the publication before; the database alone has to be copied. No process ever writes a
file that a reader may have open, and a publication that fails leaves no trace.

Reports are rendered when somebody asks for them, from the published database, and outlive it: `published/reports/` is
no part of the set. Who renders one writes it beside its place and renames it, and writes into it which publication it
was made of; nothing here ever deletes it. The data dictionary, which is of the set, is put there too.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from dagster_duckdb import DuckDBResource
from filelock import FileLock

from edge_collector.segment import flush_folder, write_atomically
from edge_collector.site import Site
from venue_assets.home import Home
from venue_assets.lake.store import Lake
from venue_assets.publish import building, pages
from venue_assets.publish.allocations import ALLOCATIONS
from venue_assets.publish.building import CSV, DATABASE, PARQUET
from venue_assets.publish.collecting import Collected, collect, still_there
from venue_assets.publish.database import Contents, Stamps
from venue_assets.publish.links import replace_copy, replace_file, replace_link
from venue_assets.semantic_layer.star import site_relations
from venue_assets.tables.catalogue import Catalogue

RECORD: Final = "publication.json"
REPORTS: Final = "reports"
NAMES: Final = (DATABASE, PARQUET, CSV, pages.POWERBI, ALLOCATIONS)
"""What readers find in `published/`, besides reports."""
KEPT: Final = 3
"""Publications that are kept, so that who opened an earlier one can go on reading it."""


@dataclass(frozen=True)
class Publication:
    """What a publication set holds."""

    publication_id: str
    number: int
    published_at: str
    code: str
    contents: Contents
    stamps: Stamps = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    site: str = ""
    """Digest of what the star shows of the site."""
    pages: str = ""
    """Digest of what writes the Power BI project and the dictionary."""

    @property
    def dates(self) -> set[date]:
        """The event dates that are in it."""
        return {date.fromisoformat(day) for days in self.contents.values() for day in days}

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes it differ from another publication."""
        return self.code, self.site, self.pages, self.contents

    def differences(self, before: Publication | None) -> list[str]:
        """In words, in how many event dates and in what else it differs from the one before."""
        now, then = _by_date(self.contents), _by_date(before.contents if before else {})
        counts = {
            "new": len({*now} - {*then}),
            "changed": sum(now[day] != then[day] for day in {*now} & {*then}),
            "removed": len({*then} - {*now}),
        }
        found = [f"{count} {what}" for what, count in counts.items() if count]
        if before and before.site != self.site:
            found.append("another site.toml")
        if before and (before.code, before.pages) != (self.code, self.pages):
            found.append("other definitions or settings")
        return found


def current(home: Home) -> Publication | None:
    """The publication that readers see now."""
    return _read(home.published / "current" / RECORD)


def publish(
    home: Home, catalogue: Catalogue, engine: DuckDBResource, *, log: Callable[[str], Any] = lambda _: None
) -> Publication:
    """Bring the publication up to what the lake holds. Where nothing changed, the current one is returned."""
    with _only_one(home.published):
        before = current(home)
        code = building.code(catalogue, home.site)
        reuse = before if before and before.code == code else None
        lake = Lake(home.lake)
        while True:
            wanted = collect(lake, catalogue, reuse.contents if reuse else {}, reuse.stamps if reuse else {})
            publication = _describe(home, code, wanted)
            if reuse and reuse.identity == publication.identity:
                return replace(reuse, waiting=publication.waiting)
            folder = _new_folder(home, publication.number)
            try:
                read = building.build(folder, home, catalogue, engine, publication, reuse)
                if still_there(lake, publication.stamps, read):
                    break
                # A partition was replaced while it was read: what was built may mix old and new.
                shutil.rmtree(folder, ignore_errors=True)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        write_atomically(folder / RECORD, json.dumps(vars(publication)).encode())
        final = folder.with_name(str(publication.number))
        folder.rename(final)
        _make_current(home, final, log)
        for old in _versions(home)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return publication


def _describe(home: Home, code: str, wanted: Collected) -> Publication:
    number = max((int(p.name) for p in _versions(home)), default=0) + 1
    site, written_by = _site_digest(home.site), pages.code()
    digest = hashlib.sha256(json.dumps([code, site, written_by, wanted.contents], sort_keys=True).encode()).hexdigest()
    return Publication(
        publication_id=f"{number:06d}-{digest[:12]}",
        number=number,
        published_at=datetime.now(UTC).isoformat(timespec="seconds"),
        code=code,
        contents=wanted.contents,
        stamps=wanted.stamps,
        waiting=sorted(wanted.waiting),
        site=site,
        pages=written_by,
    )


def _site_digest(site: Site) -> str:
    shown = {name: relation.to_pylist() for name, relation in site_relations(site).items()}
    return hashlib.sha256(json.dumps(shown, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _new_folder(home: Home, number: int) -> Path:
    """An empty folder to build in; what processes that are gone left behind is cleared away."""
    versions = home.published / ".versions"
    versions.mkdir(parents=True, exist_ok=True)
    for left in versions.glob(".*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = versions / f".{number}"
    folder.mkdir()
    return folder


def _make_current(home: Home, version: Path, log: Callable[[str], Any]) -> None:
    reports = home.published / REPORTS
    reports.mkdir(exist_ok=True)
    try:
        replace_link(home.published / "current", Path(".versions") / version.name)
        for name in NAMES:
            replace_link(home.published / name, Path("current") / name)
    except (OSError, NotImplementedError) as error:
        log(f"links do not exist here ({error}); the files are replaced one by one, the record last")
        for name in (*NAMES, RECORD):
            replace_copy(version / name, home.published / name)
        (home.published / "current").mkdir(exist_ok=True)
        replace_copy(version / RECORD, home.published / "current" / RECORD)
    for page in sorted((version / pages.DICTIONARY).iterdir()):
        replace_file(page, reports / page.name)
    flush_folder(home.published)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """One publisher at a time; others wait for it. The lock goes with the process that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


def _read(path: Path) -> Publication | None:
    try:
        found = Publication(**json.loads(path.read_text(encoding="utf-8")))
        _ = found.dates, [len(stamp) for days in found.stamps.values() for stamp in days.values()]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None  # none, or a record that cannot be read: the next publication is built anew
    return found


def _versions(home: Home) -> list[Path]:
    """The folders of publications, ascending."""
    with suppress(FileNotFoundError):
        found = [p for p in (home.published / ".versions").iterdir() if p.name.isdigit()]
        return sorted(found, key=lambda p: int(p.name))
    return []


def _by_date(contents: Contents) -> Mapping[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, days in contents.items():
        for day, content in days.items():
            found.setdefault(day, {})[name] = content
    return found
