"""What is wrong with this installation: versions, paths, permissions, disk, landing, site, devices."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import duckdb

from edge_collector.event_time import event_date
from edge_collector.site import Site, SiteError
from venue_assets.cli.query import connect
from venue_assets.home import Home
from venue_assets.lake.landing_index import scan
from venue_assets.tables.catalogue import catalogue

_ENOUGH_FREE = 2 * 1024**3
_SILENT_AFTER_DAYS = 2


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `remedy` says what to do where it is not well."""

    level: Literal["ok", "warning", "error"]
    subject: str
    found: str
    remedy: str = ""


def examine(home: Home) -> Iterator[Finding]:
    """Look at everything, in the order in which it matters."""
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
    yield from _landing(home)
    yield from _devices(home, site)


def _folders(home: Home) -> Iterator[Finding]:
    for name, folder in (
        ("landing", home.landing),
        ("lake", home.lake),
        ("published", home.published),
        ("dagster", home.dagster),
    ):
        existing = next(p for p in (folder, *folder.parents) if p.exists())
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            yield Finding(
                "error",
                name,
                f"{folder} cannot be written ({error.strerror})",
                f"give this user the right to write {existing}",
            )
            continue
        found = "can be written" if folder.exists() else "does not exist yet; it will be made"
        yield Finding("ok", name, f"{folder} {found}")
    key = home.pseudonym_key
    if key.exists() and os.name == "posix" and key.stat().st_mode & 0o077:
        yield Finding("error", "pseudonym key", f"{key} can be read by others", f"chmod 600 {key}")


def _disk(home: Home) -> Finding:
    existing: Path = next(p for p in (home.root, *home.root.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    level: Literal["ok", "warning"] = "ok" if free >= _ENOUGH_FREE else "warning"
    return Finding(
        level, "free disk", f"{free / 1024**3:.1f} GiB", "" if level == "ok" else "make room, or move VENUE_DATA"
    )


def _landing(home: Home) -> Iterator[Finding]:
    index = scan(home.landing)
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


def _devices(home: Home, site: Site) -> Iterator[Finding]:
    for device in site.devices:
        if device.position is None:
            yield Finding(
                "warning",
                f"device {device.venue_id}/{device.id}",
                "has no position",
                "add position = [latitude, longitude] in site.toml",
            )
    last: dict[tuple[str, str], date] = {}
    with connect(home, catalogue()) as con:
        for stream in {device.stream for device in site.devices}:
            try:
                rows = con.execute(f"SELECT venue_id, device_id, max(event_date) FROM {stream} GROUP BY ALL").fetchall()
            except duckdb.Error as error:
                yield Finding(
                    "error", stream, str(error).partition("\n")[0], "venue status; then venue materialize DATE"
                )
                continue
            last |= {(venue, device): day for venue, device, day in rows}
    newest = max(last.values(), default=None)
    for device in site.devices if newest else ():
        assert newest is not None
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
