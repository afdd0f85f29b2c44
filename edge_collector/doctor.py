"""What is wrong with this gateway: its files and secrets, clock, disk, spool, Bluetooth and the way to the landing."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Final

from cryptography import x509

from edge_collector.clock import SystemClock
from edge_collector.column_map import CountsMap, MapError, load_map
from edge_collector.event_time import event_date
from edge_collector.finding import Finding, Level
from edge_collector.gateway import Gateway
from edge_collector.key_file import KeyProblem
from edge_collector.landing_target import target
from edge_collector.people import load_people, private_text
from edge_collector.serving import CannotListen, expect_certificate
from edge_collector.ship import ShippingProblem, TargetError
from edge_collector.signing import load_signing_key, public_key_text
from edge_collector.spool import Spool, SpoolProblem

_OLDEST_BLUEZ: Final = (5, 55)
_TOO_LITTLE_FREE: Final = 64 * 1024**2
_PATIENCE: Final = 15.0
_RENEW_BEFORE: Final = timedelta(days=21)


def examine(gateway: Gateway) -> Iterator[Finding]:
    """Look at everything, in the order in which it matters. Nothing is changed."""
    yield Finding("ok", "edge-collector", f"{version('venue-assets')} on Python {platform.python_version()}")
    yield from _secrets(gateway)
    yield from _certificate(gateway)
    yield _clock()
    for venue in {known.venue.id: known.venue for known in gateway.devices}.values():
        today = event_date(datetime.now(UTC), venue.time_zone, venue.day_starts_at)
        yield Finding("ok", f"time zone of {venue.id}", f"{venue.time_zone}: event date {today}")
        if gateway.own_device("gateway_events", venue.id) is None:
            yield Finding(
                "warning",
                f"events of {venue.id}",
                "no device of gateway_events: nobody will hear when this gateway falls silent",
                'add one to site.toml, and to edge.toml with source = "gateway"',
            )
    yield from _disk(gateway)
    yield _spool(gateway)
    yield from _folders(gateway)
    if any(known.met.source in ("bthome", "pair", "records") for known in gateway.devices):
        yield from _bluetooth()
    yield asyncio.run(_landing(gateway))


def _secrets(gateway: Gateway) -> Iterator[Finding]:
    settings = gateway.settings
    named = [
        settings.pseudonyms.key_file,
        settings.pseudonyms.opted_out_file,
        settings.landing.token_file,
        settings.landing.signing_key_file,
        settings.http.tls_key if settings.http else None,
        *(known.met.token_file for known in gateway.devices),
    ]
    paths = [gateway.path, *(gateway.file(name) for name in dict.fromkeys(named) if name is not None)]
    opened: list[str] = []
    for path in paths:
        if os.name == "posix" and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            opened.append(str(path))
            yield Finding("error", "secrets", f"{path} can be read by others", f"chmod 600 {path}")
    found: list[Finding] = []
    try:
        people = load_people(gateway)
        told = f"key epoch {people.pseudonym_of.epoch}, {len(people.opted_out)} opted out"
        yield Finding("ok", "pseudonyms", told)
    except KeyProblem as problem:
        found.append(_of_key(problem))
    tokens = [settings.landing.token_file, *(known.met.token_file for known in gateway.devices)]
    for name in dict.fromkeys(name for name in tokens if name is not None):
        try:
            if not private_text(gateway.file(name)).strip():
                raise KeyProblem(f"{gateway.file(name)} is empty; a token is expected")
        except KeyProblem as problem:
            found.append(_of_key(problem))
    if settings.landing.signing_key_file:
        try:
            key = load_signing_key(gateway.file(settings.landing.signing_key_file))
            yield Finding("ok", "signing key", f"its public half is {public_key_text(key)}")
        except KeyProblem as problem:
            found.append(_of_key(problem))
    # What others can read was said already.
    yield from (finding for finding in found if not any(finding.found.startswith(f"{path} can") for path in opened))


def _of_key(problem: KeyProblem) -> Finding:
    return Finding("error", "secrets", str(problem), "make the file, or correct its name in edge.toml")


def _certificate(gateway: Gateway) -> Iterator[Finding]:
    settings = gateway.settings.http
    if settings is None or settings.tls_cert is None or settings.tls_key is None:
        return
    path = gateway.file(settings.tls_cert)
    try:
        expect_certificate(path, gateway.file(settings.tls_key))
        ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (CannotListen, ValueError) as problem:
        yield Finding("error", "certificate", str(problem), "put the chain and its key there, PEM")
        return
    left = ends - datetime.now(UTC)
    level: Level = "error" if left <= timedelta() else "warning" if left < _RENEW_BEFORE else "ok"
    yield Finding(level, "certificate", f"{path} ends on {ends:%Y-%m-%d}", "" if level == "ok" else "renew it")


def _clock() -> Finding:
    if SystemClock().synced():
        return Finding("ok", "clock", f"synchronised, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
    return Finding(
        "warning",
        "clock",
        "follows no time source that the kernel knows of; records wait a day for it",
        "start chrony or systemd-timesyncd, or give the box a clock with a battery",
    )


def _disk(gateway: Gateway) -> Iterator[Finding]:
    folder = gateway.file(gateway.settings.gateway.spool).parent
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        yield Finding("error", "disk", f"{existing} cannot be written", f"give {existing} to the service's user")
    free, wanted = shutil.disk_usage(existing).free, gateway.settings.gateway.spool_mb * 1024**2
    level: Level = "ok" if free >= wanted else "warning" if free >= _TOO_LITTLE_FREE else "error"
    remedy = "" if level == "ok" else "make room, or lower gateway.spool_mb in edge.toml"
    yield Finding(level, "disk", f"{free // 1024**2} MB free, the spool may take {wanted // 1024**2}", remedy)


def _spool(gateway: Gateway) -> Finding:
    path = gateway.file(gateway.settings.gateway.spool)
    if not path.exists():
        return Finding("ok", "spool", f"{path} is made at the first start")
    try:
        spool = Spool(path, gateway_id=gateway.id, boot_id="doctor", max_bytes=1024**4)
    except SpoolProblem as problem:
        if "in use" in str(problem):
            return Finding("ok", "spool", f"{path} is in use by a running edge-collector; ask its /health")
        return Finding("error", "spool", str(problem), "see the README of edge_collector: a damaged spool")
    except OSError as error:
        return Finding("error", "spool", f"{path}: {error.strerror}", f"give {path.parent} to the service's user")
    try:
        damage, depth = spool.check(), spool.depth()
    finally:
        spool.close()
    if damage:
        return Finding("error", "spool", f"{path} is damaged: {damage}", "move it aside and keep it for recovery")
    found = f"{depth.records} records, {depth.segments} segments with {depth.segment_rows} rows wait"
    if depth.refused_segments:
        found += f", {depth.refused_segments} of them refused by the landing"
        return Finding("warning", "spool", found, "the log of edge-collector says why")
    return Finding("ok", "spool", found)


def _folders(gateway: Gateway) -> Iterator[Finding]:
    for watched in gateway.settings.folders:
        path = gateway.file(watched.path)
        try:
            if isinstance(load_map(gateway.file(watched.map), gateway.site, gateway.id).map, CountsMap):
                expected = 'kind: "counts" is given; "orders" or "visits" is expected of a watched folder'
                raise MapError(gateway.file(watched.map), [expected])
        except MapError as error:
            yield from (
                Finding("error", "folder", mistake, f"correct it in {error.path}") for mistake in error.mistakes
            )
        if not path.is_dir() or not os.access(path, os.R_OK | os.X_OK):
            yield Finding("error", "folder", f"{path} cannot be read", "make it, mount it, or correct edge.toml")
        else:
            yield Finding("ok", "folder", f"{path} can be read")


def _bluetooth() -> Iterator[Finding]:
    if not sys.platform.startswith("linux"):
        yield Finding("warning", "Bluetooth", f"on {platform.system()} nothing is known beforehand", "try it")
        return
    adapters = sorted(path.name for path in Path("/sys/class/bluetooth").glob("hci[0-9]*") if ":" not in path.name)
    if not adapters:
        yield Finding("error", "Bluetooth", "this machine has no adapter", "plug one in, or load its driver")
    else:
        yield Finding("ok", "Bluetooth", f"adapters: {', '.join(adapters)}")
    if not Path("/run/dbus/system_bus_socket").exists():
        yield Finding("error", "BlueZ", "there is no D-Bus system bus", "install and start dbus and bluez")
        return
    found = _bluez_version()
    if found is None:
        yield Finding("error", "BlueZ", "bluetoothd is not found", "install bluez and start bluetooth.service")
    elif found < _OLDEST_BLUEZ:
        yield Finding("error", "BlueZ", f"version {'.'.join(map(str, found))}", "5.55 or later is expected")
    else:
        yield Finding("ok", "BlueZ", f"version {'.'.join(map(str, found))}")


def _bluez_version() -> tuple[int, ...] | None:
    for program in ("bluetoothd", "/usr/libexec/bluetooth/bluetoothd", "/usr/lib/bluetooth/bluetoothd", "bluetoothctl"):
        try:
            answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        digits = answer.stdout.strip().rpartition(" ")[2].split(".")
        if answer.returncode == 0 and all(part.isdecimal() for part in digits):
            return tuple(map(int, digits))
    return None


async def _landing(gateway: Gateway) -> Finding:
    address = gateway.settings.landing.target
    try:
        landing = target(gateway)
    except (TargetError, KeyProblem) as problem:
        return Finding("error", "landing", str(problem), "correct [landing] in edge.toml")
    try:
        async with asyncio.timeout(_PATIENCE):
            await landing.check()
    except (ShippingProblem, TimeoutError) as problem:
        why = str(problem) or f"no answer within {_PATIENCE:g} s"
        return Finding("error", "landing", why, "records wait in the spool; look at the uplink, address and token")
    finally:
        await landing.close()
    return Finding("ok", "landing", f"{address} takes segments of {gateway.id}")
