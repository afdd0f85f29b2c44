"""Publication sets: built beside the current one, made current by one atomic replacement of a link.

    published/.versions/<n>/     venue.duckdb, parquet/, csv/, powerbi/, dictionary/, allocations/, publication.json
    published/current            -> .versions/<n>
    published/venue.duckdb       -> current/venue.duckdb, and so on for the other names
    published/reports/           a real folder: see below

Where there are no links, `current` is a folder with the record alone, and the other names are copies.

A date enters a publication when its tables fit together (collecting.py); until then what was published of it stays, and
main.settings of the database names it. What is new or changed is written, everything else is linked to the files of the
publication before; the database alone has to be copied. No process ever writes a file that a reader may have open, and
a publication that fails leaves no trace.

Figures of windows (KPI, RFM, comparisons) of later dates rest on an earlier state of a corrected date until they are
computed again: a date's tables have to fit together, not those of all dates. `venue status` names what is stale.

Reports are rendered when somebody asks for them, from the published database, and outlive it: `published/reports/` is
no part of the set. Who renders one writes it beside its place and renames it, and writes into it which publication it
was made of; nothing here ever deletes it, but says which ones show what has changed since (outdated.py), and which
there are (front_page.py). The data dictionary, which is of the set, is put there too.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from dagster_duckdb import DuckDBResource
from filelock import FileLock

from edge_collector.durable import flush_folder, write_atomically
from edge_collector.site import Site
from venue_assets.home import Home
from venue_assets.lake.store import Lake
from venue_assets.publish import building, carrying, names, pages
from venue_assets.publish.allocations import ALLOCATIONS
from venue_assets.publish.building import CSV, DATABASE, PARQUET
from venue_assets.publish.collecting import Collected, collect, still_there
from venue_assets.publish.front_page import write_front_page
from venue_assets.publish.links import flush, means_no_links, replace_copies, replace_file, replace_link, sweep
from venue_assets.publish.names import CURRENT, REPORTS
from venue_assets.publish.outdated import outdated, sentence
from venue_assets.publish.record import RECORD, Publication, current
from venue_assets.semantic_layer.star import site_relations
from venue_assets.tables.catalogue import Catalogue

NAMES: Final = (DATABASE, PARQUET, CSV, names.POWERBI, ALLOCATIONS)
"""What readers find in `published/`, besides reports."""
KEPT: Final = 3
"""Publications that are kept, so that who opened an earlier one can go on reading it."""


def publish(
    home: Home, catalogue: Catalogue, engine: DuckDBResource, *, log: Callable[[str], Any] = lambda _: None
) -> Publication:
    """Bring the publication up to what the lake holds. Where nothing changed, the current one is returned."""
    with _only_one(home.published):
        _sweep(home)
        before = current(home)
        code = building.code(catalogue, home.site)
        lake = Lake(home.lake)
        while True:
            wanted = collect(lake, catalogue, before.contents if before else {}, before.stamps if before else {})
            if before and before.code != code:
                _leave_what_cannot_be_carried(home, catalogue, before, wanted, log)
            publication = _describe(home, code, wanted)
            if before and before.identity == publication.identity:
                _show_reports(home, before, log)
                return before
            folder = _new_folder(home, publication.number)
            try:
                read = building.build(folder, home, catalogue, engine, publication, before)
                if still_there(lake, publication.stamps, read):
                    break
                # A partition was replaced while it was read: what was built may mix old and new.
                shutil.rmtree(folder, ignore_errors=True)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        publication = replace(publication, changed_at=publication.changes(before))
        write_atomically(folder / RECORD, json.dumps(vars(publication)).encode())
        flush(folder)  # or a power cut would leave readers a link to files that are not there
        final = folder.with_name(str(publication.number))
        folder.rename(final)
        flush_folder(final.parent)
        try:
            _make_current(home, final, log)
        except BaseException:
            if (seen := current(home)) is None or seen.number != publication.number:
                shutil.rmtree(final, ignore_errors=True)
            raise
        flush_folder(home.published)
        _show_dictionary(home, final, log)
        _show_reports(home, publication, log)
        for old in _versions(home)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return publication


def show_reports(home: Home, log: Callable[[str], Any] = lambda _: None) -> None:
    """Have the front page of the reports say which there are, and tell which show an earlier state of their dates."""
    if publication := current(home):
        _show_reports(home, publication, log)


def _show_reports(home: Home, publication: Publication, log: Callable[[str], Any]) -> None:
    reports = home.published / REPORTS
    found = outdated(reports, publication.changed_at, home.site)
    try:
        write_front_page(reports, home.site, publication, {report.path.name for report in found})
    except OSError as error:
        log(f"{REPORTS}/{names.FRONT_PAGES['en']} is still the earlier one: {error.strerror}")
    if found:
        log(sentence(found))


def _describe(home: Home, code: str, wanted: Collected) -> Publication:
    number = max((int(p.name) for p in _versions(home)), default=0) + 1
    site, written_by, waiting = _site_digest(home.site), pages.code(), sorted(wanted.waiting)
    digest = hashlib.sha256(
        json.dumps([code, site, written_by, wanted.contents, waiting], sort_keys=True).encode()
    ).hexdigest()
    return Publication(
        publication_id=f"{number:06d}-{digest[:12]}",
        number=number,
        published_at=datetime.now(UTC).isoformat(timespec="seconds"),
        code=code,
        contents=wanted.contents,
        stamps=wanted.stamps,
        waiting=waiting,
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


def _leave_what_cannot_be_carried(
    home: Home, catalogue: Catalogue, before: Publication, wanted: Collected, log: Callable[[str], Any]
) -> None:
    """Of waiting dates only the database of the publication before has rows; where it was laid out otherwise, none."""
    days = carrying.dates(wanted.contents, wanted.waiting)
    if days and (why := carrying.why_not(building.folder_of(home, before) / DATABASE, catalogue)):
        log(
            f"NOT PUBLISHED any more: {', '.join(sorted(days))}. The tables of these dates do not fit together, and "
            f"what was published of them cannot be taken over ({why}). Compute them: venue materialize DATE"
        )
        for name in catalogue.tables:
            for day in days:
                wanted.contents[name].pop(day, None)
                wanted.stamps[name].pop(day, None)


def _make_current(home: Home, version: Path, log: Callable[[str], Any]) -> None:
    """Readers find the files of this version from now on; where that fails, all of the one before."""
    (home.published / REPORTS).mkdir(exist_ok=True)
    here = home.published / CURRENT
    try:
        for name in NAMES:
            replace_link(home.published / name, Path(CURRENT) / name)
        replace_link(here, Path(".versions") / version.name)
    except (OSError, NotImplementedError) as error:
        if here.is_symlink() or not means_no_links(error):
            raise
        log(f"links do not exist here ({error}); the files are replaced one by one, the record last")
        here.mkdir(exist_ok=True)
        replace_copies(
            {home.published / name: version / name for name in (*NAMES, RECORD)} | {here / RECORD: version / RECORD}
        )


def _show_dictionary(home: Home, version: Path, log: Callable[[str], Any]) -> None:
    """Put the dictionary beside the reports. It is a copy for readers: the publication stands without it."""
    for page in sorted((version / names.DICTIONARY).iterdir()):
        try:
            replace_file(page, home.published / REPORTS / page.name)
        except OSError as error:
            log(f"{REPORTS}/{page.name} is still the earlier one: {error.strerror}")


def _sweep(home: Home) -> None:
    """Clear away what publishers that are gone left beside the names that readers use."""
    sweep(home.published, (*NAMES, CURRENT, RECORD))
    sweep(home.published / CURRENT, (RECORD,))
    sweep(home.published / REPORTS, (*names.DICTIONARY_PAGES.values(), names.DICTIONARY_MARKDOWN))


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """One publisher at a time; others wait for it. The lock goes with the process that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


def _versions(home: Home) -> list[Path]:
    """The folders of publications, ascending."""
    with suppress(FileNotFoundError):
        found = [p for p in (home.published / ".versions").iterdir() if p.name.isdigit()]
        return sorted(found, key=lambda p: int(p.name))
    return []
