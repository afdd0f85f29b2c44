"""What is wrong with this installation: versions, paths, permissions, disk, landing, site, devices."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import duckdb

from edge_collector.event_time import event_date
from edge_collector.finding import Finding, Level
from edge_collector.site import Site, SiteError
from venue_assets.cli import disk, show
from venue_assets.cli.experiment.shared import without_shares
from venue_assets.cli.query import REFUSED_SEGMENTS, connect, damaged
from venue_assets.home import Home
from venue_assets.lake.freshness import GONE, Freshness, gone_dates
from venue_assets.lake.landing_index import LandingIndex, scan
from venue_assets.lake.store import Lake
from venue_assets.tables.catalogue import catalogue

_ENOUGH_FREE = 2 * 1024**3
_TOO_LITTLE_FREE = 100 * 1024**2
_SILENT_AFTER_DAYS = 2


def examine(home: Home, *, read_data: bool = False) -> Iterator[Finding]:
    """Look at everything, in the order in which it matters; with `read_data`, at every byte of the lake too.

    A file that is damaged is then told by what reads every byte, and not by what stumbled over it.
    """
    yield Finding("ok", "python", platform.python_version())
    for package in ("venue-assets", "dagster", "dagster-duckdb", "duckdb", "polars", "pyarrow"):
        yield Finding("ok", package, version(package))
    yield from _folders(home)
    yield _disk(home)
    try:
        site = home.site
    except FileNotFoundError:
        yield Finding(
            "error", "site.toml", f"{home.site_file} does not exist", "copy data/site.toml there and adapt it"
        )
        return
    except SiteError as error:
        for mistake in error.mistakes:
            yield Finding("error", "site.toml", mistake, f"correct it in {error.path}")
        return
    yield Finding(
        "ok", "site.toml", f"{len(site.venues)} venues, {len(site.devices)} devices, {len(site.activities)} activities"
    )
    for venue in site.venues:
        today = event_date(datetime.now(UTC), venue.time_zone, venue.day_starts_at)
        yield Finding(
            "ok",
            f"time zone of {venue.id}",
            f"{venue.time_zone}: event date {today}, day starts {venue.day_starts_at:%H:%M}",
        )
    index = LandingIndex({})
    try:
        index = scan(home.landing)
        yield from _landing(home, index)
    except OSError as error:
        found = f"{error.filename} cannot be read ({error.strerror})"
        denied = isinstance(error, PermissionError)
        remedy = "give this user the right to read it" if denied else "look whether its disk is there"
        yield Finding("error", "landed", found, remedy)
    yield from _devices(home, site, tell_damage=not read_data)
    for experiment in site.experiments:
        if lacking := without_shares(home, experiment):
            yield Finding(
                "warning", f"experiment {experiment.id}", lacking, "venue status, and whether the day before has landed"
            )
    if read_data:
        yield from _data(home, index)


def _folders(home: Home) -> Iterator[Finding]:
    for name, folder in disk.written_folders(home).items():
        # What keeps a folder from being written keeps those in it, too: one row for one cause.
        places = [folder] if disk.trouble(folder) else _inside(folder)
        troubles = {place: why for place in places if (why := disk.trouble(place))}
        # What landed elsewhere can be computed without the right to land here.
        level: Level = "warning" if name == "landing" and "Read-only" in troubles.get(folder, "") else "error"
        for place, why in troubles.items():
            yield Finding(level, f"{name}/", f"{place} cannot be written ({why})", disk.remedy(place, why))
        if not troubles:
            found = "can be written" if folder.exists() else f"{folder} does not exist yet; it will be made"
            yield Finding("ok", f"{name}/", found)
    key = home.pseudonym_key
    if key.exists() and os.name == "posix" and key.stat().st_mode & 0o077:
        yield Finding("error", "pseudonym key", f"{key} can be read by others", f"chmod 600 {key}")


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(place for place in folder.iterdir() if place.is_dir())
    except OSError:  # there is none, or what is wrong with it is found when it is tried itself
        return []


def _disk(home: Home) -> Finding:
    free = disk.free_bytes(home.root)
    level: Level = "ok" if free >= _ENOUGH_FREE else "warning" if free >= _TOO_LITTLE_FREE else "error"
    return Finding(level, "free disk", disk.size(free), "" if level == "ok" else "make room, or move VENUE_DATA")


def _landing(home: Home, index: LandingIndex) -> Iterator[Finding]:
    lost = gone_dates(Lake(home.lake), index, Lake(home.lake).dates("landed_segments"))
    if lost:
        yield Finding(
            "error",
            "landed",
            f"{GONE.format(', '.join(sorted(frozenset[str]().union(*lost.values()))))}: {show.dates(list(lost))}",
            "look whether the disk is there and bring them back; of what was taken back, venue status has the command",
        )
    days = index.dates()
    if not days:
        yield Finding(
            "warning", "landed", f"nothing in {home.landing}", "run: venue demo, venue import, or point a gateway here"
        )
        return
    last = datetime.now(UTC).date() + timedelta(days=1)
    for day in days:
        if not home.site.opened_on <= day <= last:
            yield Finding(
                "warning",
                "landed",
                f"event_date={day} lies outside of {home.site.opened_on} (opened_on) to today and is never computed",
                "set the gateway's clock, or an earlier opened_on in site.toml; else remove the folder",
            )
    segments = sum(len(entries) for entries in index.entries.values())
    yield Finding("ok", "landed", f"{segments} segments, event dates {days[0]} to {days[-1]}")
    with connect(home, catalogue()) as con, suppress(duckdb.Error):  # a damaged table is told with the devices
        count, last = con.execute("SELECT count(*), max(event_date) FROM refused_segments").fetchall()[0]
        if count:
            yield Finding(
                "warning",
                "refused segments",
                f"{count}, the last one of {last}: none of their lines is in any figure",
                REFUSED_SEGMENTS,
            )


def _devices(home: Home, site: Site, *, tell_damage: bool) -> Iterator[Finding]:
    for device in site.devices:
        if device.position is None:
            yield Finding(
                "warning",
                f"device {device.venue_id}/{device.id}",
                "has no position",
                "add position = [latitude, longitude] in site.toml",
            )
    lake, last = Lake(home.lake), dict[tuple[str, str], date]()
    unread: set[str] = set()
    with connect(home, catalogue()) as con:
        for stream in sorted({device.stream for device in site.devices}):
            try:
                rows = con.execute(f"SELECT venue_id, device_id, max(event_date) FROM {stream} GROUP BY ALL").fetchall()
            except duckdb.Error as error:
                unread.add(stream)
                where = damaged(error, home) or lake.first_damaged((stream, day) for day in lake.dates(stream))
                if where and not tell_damage:
                    continue
                yield Finding(
                    "error",
                    stream,
                    str(error).partition("\n")[0],
                    f"venue materialize {where[1]}" if where else "what it says, or venue status",
                )
                continue
            last |= {(venue, device): day for venue, device, day in rows}
    newest = max(last.values(), default=None)
    for device in site.devices if newest else ():
        assert newest is not None
        if device.stream in unread:
            continue
        heard = last.get((device.venue_id, device.id))
        name = f"device {device.venue_id}/{device.id}"
        if heard is None:
            yield Finding(
                "warning", name, f"has never been heard of in {device.stream}", "look at the device and its gateway"
            )
        elif (newest - heard).days >= _SILENT_AFTER_DAYS:
            yield Finding(
                "warning", name, f"silent since {heard}, others until {newest}", "look at the device and its gateway"
            )


def _data(home: Home, index: LandingIndex) -> Iterator[Finding]:
    lake = Lake(home.lake)
    there = {table.name: set(lake.dates(table.name)) for table in catalogue()}
    for table, days in there.items():
        for day in sorted(days):
            if why := lake.damage(table, day):
                yield _lost(lake, table, day, why)
    freshness = Freshness(home, catalogue(), index)
    for day in (day for day in freshness.operating_dates() if freshness.has_reason(day)):
        gone = [table for table, days in there.items() if day not in days]
        if len(gone) == len(there):
            yield Finding("warning", f"tables of {day}", "none was computed yet", f"venue materialize {day}")
            continue
        for table in gone:
            yield _lost(lake, table, day, "does not exist; it was deleted, or its table is new")
    count = sum(map(len, there.values()))
    yield Finding("ok", "lake files read", f"{count} read whole and held against the hash in their footer")


def _lost(lake: Lake, table: str, day: date, why: str) -> Finding:
    """A file of the lake that is not as it was written. The same landed segments give the same bytes again."""
    return Finding("error", f"{table} of {day}", f"{lake.path(table, day)}: {why}", f"venue materialize {day}")
