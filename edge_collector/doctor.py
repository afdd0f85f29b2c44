"""What is wrong with this gateway: files, secrets, clock, disk, spool, Bluetooth, landing, experiments, allocations.

Rights are those of whoever asks: to be run as the service's user.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from getpass import getuser
from importlib.metadata import version
from pathlib import Path
from typing import Final

import httpx
from cryptography import x509

from edge_collector.allocation import AllocationProblem, verified
from edge_collector.allocation_fetch import allocation_file
from edge_collector.clock import SystemClock
from edge_collector.event_time import event_date
from edge_collector.experiment import Experiment
from edge_collector.finding import Finding, Level
from edge_collector.foreign_files.column_map import CountsMap, MapError, load_map
from edge_collector.gateway import Gateway
from edge_collector.key_file import KeyProblem
from edge_collector.landing_target import target
from edge_collector.own_thread import in_own_thread
from edge_collector.people import load_people, private_text
from edge_collector.salvage import lying_aside
from edge_collector.serving import CannotListen, expect_certificate
from edge_collector.ship import ShippingProblem, TargetError
from edge_collector.ship.address import folder_of
from edge_collector.signing import load_signing_key, public_key_of, public_key_text
from edge_collector.site import Venue
from edge_collector.spool import Spool, SpoolDamaged, SpoolProblem

_OLDEST_BLUEZ: Final = (5, 55)
_BUS_SOCKET: Final = "/run/dbus/system_bus_socket"
_TOO_LITTLE_FREE: Final = 64 * 1024**2
_PATIENCE: Final = 15.0
_DAMAGED: Final = "replace the disk; at its next start edge-collector saves what can be read, and keeps the file"
_SYS: Final = Path("/sys/class")
_ROOT: Final = Path("/")
_SHARES: Final = (Path("/mnt"), Path("/media"), Path("/run/media"))
"""Where shares and sticks are mounted as a rule."""
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
    yield from _assigning(gateway)
    yield from asyncio.run(_allocations(gateway))


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
    except SpoolDamaged as problem:
        return Finding("error", "spool", str(problem), _DAMAGED)
    except SpoolProblem as problem:
        if "in use" in str(problem):
            return Finding("ok", "spool", f"{path} is in use by a running edge-collector; ask its /health")
        return Finding("error", "spool", str(problem), "install the edge-collector that wrote it")
    except OSError as error:
        return Finding("error", "spool", f"{path}: {error.strerror}", f"give {path.parent} to the service's user")
    try:
        if damage := spool.check():
            return Finding("error", "spool", f"{path} is damaged: {damage}", _DAMAGED)
        depth = spool.depth()
    finally:
        spool.close()
    if aside := lying_aside(path):
        return Finding("warning", "spool", aside, "replace the disk, and move the file elsewhere")
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
        yield asyncio.run(_folder(path))


async def _folder(path: Path) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE):
            readable = await in_own_thread(lambda: path.is_dir() and os.access(path, os.R_OK | os.X_OK))
    except TimeoutError:
        found = f"{path} does not answer within {_PATIENCE:g} s"
        return Finding("error", "folder", found, "look at the share, and at the way to it")
    if readable:
        return Finding("ok", "folder", f"{path} can be read")
    return Finding("error", "folder", f"{path} cannot be read", "make it, mount it, or correct edge.toml")


def _bluetooth() -> Iterator[Finding]:
    if not sys.platform.startswith("linux"):
        yield Finding("warning", "Bluetooth", f"on {platform.system()} nothing is known beforehand", "try it")
        return
    adapters = sorted(path.name for path in (_SYS / "bluetooth").glob("hci[0-9]*") if ":" not in path.name)
    if not adapters:
        yield Finding("error", "Bluetooth", "this machine has no adapter", "plug one in, or load its driver")
    else:
        yield Finding("ok", "Bluetooth", f"adapters: {', '.join(adapters)}")
        yield from _blocked(adapters)
    if not Path(_BUS_SOCKET).exists():
        yield Finding("error", "BlueZ", "there is no D-Bus system bus", "install and start dbus and bluez")
        return
    found = _bluez_version()
    if found is None:
        yield Finding("error", "BlueZ", "bluetoothd is not found", "install bluez and start bluetooth.service")
    elif found < _OLDEST_BLUEZ:
        yield Finding("error", "BlueZ", f"version {'.'.join(map(str, found))}", "5.55 or later is expected")
    else:
        yield Finding("ok", "BlueZ", f"version {'.'.join(map(str, found))}")
        yield asyncio.run(_rights())


def _blocked(adapters: Sequence[str]) -> Iterator[Finding]:
    """Adapters that are switched off, by a switch of the machine or by software."""
    off = {}
    for switch in sorted((_SYS / "rfkill").glob("rfkill*")):
        try:
            kind, name, hard, soft = ((switch / what).read_text().strip() for what in ("type", "name", "hard", "soft"))
        except OSError:  # plugged out in between
            continue
        if kind == "bluetooth" and "1" in (hard, soft):
            off[name] = hard == "1"
    level: Level = "error" if set(adapters) <= set(off) else "warning"
    for name, hardware in sorted(off.items()):
        if hardware:
            yield Finding(
                level, "Bluetooth", f"{name} is switched off by hardware", "look for a switch, or in the BIOS"
            )
        else:
            yield Finding(level, "Bluetooth", f"{name} is switched off by software", "rfkill unblock bluetooth")


async def _rights() -> Finding:
    """Whether this user may speak with BlueZ, and what BlueZ says of its adapters."""
    from dbus_fast import BusType, Message, MessageType
    from dbus_fast.aio import MessageBus

    who = getuser()
    question = Message("org.bluez", "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        async with asyncio.timeout(_PATIENCE):
            await bus.connect()
            answer = await bus.call(question)
    except Exception as problem:  # of D-Bus, in many forms
        why = str(problem) or type(problem).__name__
        return Finding("error", "BlueZ", f"{who} cannot use the D-Bus system bus: {why}", "start dbus")
    finally:
        bus.disconnect()
    if answer is None or answer.message_type is MessageType.ERROR:
        name = (answer.error_name or "" if answer else "no answer").removeprefix("org.freedesktop.DBus.Error.")
        if name == "AccessDenied":
            remedy = f"usermod --append --groups bluetooth {who}, or run doctor as the service's user"
            return Finding("error", "BlueZ", f"{who} may not speak with BlueZ", remedy)
        return Finding("error", "BlueZ", f"bluetoothd does not answer: {name}", "systemctl enable --now bluetooth")
    adapters = [parts["org.bluez.Adapter1"] for parts in answer.body[0].values() if "org.bluez.Adapter1" in parts]
    if adapters and not any(adapter["Powered"].value for adapter in adapters):
        remedy = "bluetoothctl power on; AutoEnable=true in /etc/bluetooth/main.conf"
        return Finding("error", "BlueZ", "none of its adapters is powered", remedy)
    return Finding("ok", "BlueZ", f"{who} may speak with it")


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
    folder = folder_of(address)
    try:
        async with asyncio.timeout(_PATIENCE):
            await landing.check()
            on_own_disk = folder is not None and await in_own_thread(
                partial(_lies_on_own_disk, gateway.path.parent / folder)
            )
    except (ShippingProblem, OSError) as problem:  # a TimeoutError is an OSError
        why = str(problem) or f"no answer within {_PATIENCE:g} s"
        return Finding("error", "landing", why, "records wait in the spool; look at the uplink, address and token")
    finally:
        await landing.close()
    if on_own_disk:
        found = (
            f"{address} takes segments, but lies on this machine's own disk; a share is expected below /mnt or /media"
        )
        return Finding("warning", "landing", found, "mount it, and give its landing.mount_point")
    return Finding("ok", "landing", f"{address} takes segments of {gateway.id}")


def _lies_on_own_disk(folder: Path) -> bool:
    """Whether a folder is where shares are mounted, and none is."""
    return any(folder.is_relative_to(shares) for shares in _SHARES) and folder.stat().st_dev == _ROOT.stat().st_dev


# Experiments ----------------------------------------------------------------------------------------------------------


def _under_way(gateway: Gateway) -> Iterator[tuple[Experiment, Venue, date]]:
    """Experiments of this gateway's venues that assign today or later, and today."""
    venues = {known.venue.id for known in gateway.devices}
    for experiment in gateway.site.experiments:
        venue = gateway.site.venue_of(experiment)
        today = event_date(datetime.now(UTC), venue.time_zone, venue.day_starts_at)
        if venue.id in venues and experiment.kind != "before_after" and today <= experiment.last_date:
            yield experiment, venue, today


def _assigning(gateway: Gateway) -> Iterator[Finding]:
    for experiment, venue, _ in _under_way(gateway):
        others = [d for d in gateway.site.devices if (d.venue_id, d.stream) == (venue.id, "assignments")]
        if gateway.own_device("assignments", venue.id) or any(d.gateway_id != gateway.id for d in others):
            continue
        remedy = 'add it to edge.toml with source = "gateway"'
        yield Finding(
            "warning",
            f"experiment {experiment.id}",
            f"nobody is assigned at {venue.id}: a device of assignments is expected in edge.toml",
            remedy if others else f"add one to site.toml, and {remedy.replace('add it ', '')}",
        )


async def _allocations(gateway: Gateway) -> list[Finding]:
    """The newest file of each bandit as the source has it now."""
    bandits = [
        (experiment, today)
        for experiment, venue, today in _under_way(gateway)
        if experiment.kind == "bandit"
        and gateway.own_device("assignments", venue.id)
        and experiment.first_date <= today
    ]
    settings = gateway.settings.allocations
    if settings is None:
        named = ", ".join(experiment.id for experiment, _ in bandits)
        found = f"no [allocations] are given in edge.toml: the fixed shares hold for {named}"
        remedy = "add source and public_key, as the README of edge_collector has them"
        return [Finding("warning", "allocations", found, remedy)] if bandits else []
    key = public_key_of(settings.public_key)
    findings: list[Finding] = []
    for experiment, today in bandits:
        subject = f"allocation {experiment.id}"
        try:
            content = await _newest(gateway, experiment.id)
        except _SourceProblem as problem:
            return [*findings, problem.finding]
        if content is None:
            found = f"{settings.source} has none; the fixed shares hold"
            findings.append(Finding("warning", subject, found, "venue publish makes one; look there for its problems"))
            continue
        try:
            allocation = verified(content, key)
        except AllocationProblem as problem:
            remedy = "give the key of published/allocations/public-key.pem as public_key in edge.toml"
            findings.append(Finding("error", subject, str(problem), remedy))
            continue
        if allocation.event_date < today:
            found = f"stale: the newest is for {allocation.event_date}, today is {today}; the fixed shares hold"
            findings.append(Finding("warning", subject, found, "venue publish makes one; look there for its problems"))
        elif allocation.arms != experiment.arms:
            found = f"it is for the arms {', '.join(allocation.arms)}; {', '.join(experiment.arms)} are expected"
            findings.append(Finding("warning", subject, found, "copy the venue system's site.toml"))
        else:
            findings.append(Finding("ok", subject, f"{allocation.allocation_id}, for {allocation.event_date}"))
    if not bandits:
        try:
            await _newest(gateway, "none")
        except _SourceProblem as problem:
            return [problem.finding]
        findings.append(Finding("ok", "allocations", f"{settings.source} can be asked; no bandit assigns here today"))
    return findings


class _SourceProblem(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.found)
        self.finding = finding


async def _newest(gateway: Gateway, experiment_id: str) -> bytes | None:
    """Raises _SourceProblem."""
    assert gateway.settings.allocations is not None
    source = gateway.settings.allocations.source
    try:
        async with asyncio.timeout(_PATIENCE):
            return await allocation_file(gateway, experiment_id, None)
    except KeyProblem as problem:
        finding = Finding("error", "allocations", str(problem), "correct landing.token_file in edge.toml")
    except PermissionError as problem:
        remedy = (
            f"venue landing token add {gateway.id} prints a new one" if "token" in str(problem) else "give it rights"
        )
        finding = Finding("error", "allocations", str(problem), remedy)
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as problem:  # a TimeoutError is an OSError
        why = str(problem) or type(problem).__name__
        remedy = "look at source and uplink; until then what was fetched holds, then the fixed shares"
        finding = Finding("error", "allocations", f"{source} cannot be asked: {why}", remedy)
    raise _SourceProblem(finding)
