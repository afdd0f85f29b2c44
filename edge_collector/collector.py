"""The collector: one gateway at work. It starts the sources, closes intervals, seals, ships, and tells how it is.

Each part runs until the whole is stopped, and a part that fails for a reason nobody thought of takes the whole down:
systemd starts it anew, and what was durable is durable. An orderly stop closes the intervals and seals what there is,
so that the next start has nothing to make up for.

What does not belong here: what any of the parts does.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge_collector import health, landing_target
from edge_collector.allocation_fetch import AllocationFetcher
from edge_collector.assign import Allocations, Assigner
from edge_collector.cancellation import whole
from edge_collector.clock import Clock, SystemClock
from edge_collector.codecs.records import position_of
from edge_collector.gateway import Gateway
from edge_collector.intake import Intake
from edge_collector.key_file import KeyProblem
from edge_collector.people import People, load_people
from edge_collector.readings import AnyReading, Dropped
from edge_collector.salvage import lying_aside, open_spool
from edge_collector.segment import Manifest
from edge_collector.serving import expect_certificate, listen, serve
from edge_collector.ship import Shipper, Target
from edge_collector.signing import load_signing_key, signed_manifest
from edge_collector.sources import Busy, Sink, http
from edge_collector.sources.ble import Advertiser, BleScanner
from edge_collector.sources.ble_records import RecordClient
from edge_collector.sources.folder import watchers_of
from edge_collector.spool import Depth, SealedSegment, Spool, SpoolDamaged, SpoolFull
from edge_collector.spool.seal import SealPolicy, seal
from edge_collector.tally import Tally

_log = logging.getLogger(__name__)

_STEP: Final = 1.0
"""Seconds that the wall clock must leave the monotonic one to be told: what a time source slews in between is not."""
_CLOCK_EVERY: Final = 5.0
_SPOOL_EVERY: Final = 5.0
_OPTED_OUT_EVERY: Final = 5.0
_NO_TIME_SOURCE: Final = "the clock follows no time source; records wait for one, at most a day"
_DAMAGED: Final = "spool damaged"
_LAST_WORDS: Final = 10.0
"""Seconds that an orderly stop gives the shipper to empty the spool, as long as something is confirmed."""
_LAST_PATIENCE: Final = 1.0
"""Seconds that it waits for the next confirmation: what waits in the spool is safe there."""
_THREADS: Final = 64
_FORGET_EVERY: Final = 86_400.0
_LANDING_PATIENCE: Final = 3600.0
"""Seconds without an uplink that are nothing special."""


class Collector:
    """A gateway with all its parts; `run` until cancelled or `stop` is set."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        clock: Clock | None = None,
        target: Target | None = None,
        adapter: str | None = None,
        suspect: bool = False,
    ) -> None:
        """Reads keys, opens sockets and the spool; `suspect` says that an earlier collector found it damaged.

        Raises KeyProblem, MapError, TargetError, CannotListen, SpoolProblem.
        """
        settings = gateway.settings
        self.gateway, self.clock, self.tally = gateway, clock or SystemClock(), Tally()
        self._adapter, self._suspect = adapter, suspect
        people = self._people = load_people(gateway)
        self._target = target or landing_target.target(gateway)
        signing = settings.landing.signing_key_file
        self._signing_key = load_signing_key(gateway.file(signing)) if signing else None
        self._public_key = _public_key(gateway)
        self._tls = _tls(gateway)
        with ExitStack() as undo:  # of what was opened when something else cannot be
            self._open(people, undo)
            undo.pop_all()

    def _open(self, people: People, undo: ExitStack) -> None:
        gateway, settings = self.gateway, self.gateway.settings
        self.health_listener = undo.enter_context(listen(*settings.gateway.health_address))
        self.http_listener = (
            undo.enter_context(listen(settings.http.host, settings.http.port)) if settings.http else None
        )
        self.boot_id = f"{self.clock.now():%Y%m%dT%H%M%S}.{secrets.token_hex(4)}"
        self.spool, salvaged = open_spool(
            gateway.file(settings.gateway.spool),
            gateway_id=gateway.id,
            boot_id=self.boot_id,
            max_bytes=settings.gateway.spool_mb * 1024**2,
            now=self.clock.now(),
            suspect=self._suspect,
        )
        undo.callback(self.spool.close)
        if salvaged is not None:
            self.tally.alarms[_DAMAGED] = str(salvaged)
            if salvaged.damaged or salvaged.no_room:
                self.tally.refused["spool", "damaged"] += 1  # a heartbeat tells it to whoever is far away
        self.intake = Intake(gateway, self.spool, people, self.clock, clock_id(), self.tally)
        self.folders = watchers_of(gateway, people, self.intake.take_rows, self.clock, self.spool.states(), self.tally)
        self._posted = http.application(gateway, self.intake.take, state=self.intake.state) if settings.http else None
        allocations = None
        if self._public_key is not None:
            allocations = Allocations(self._allocation_folder, self._public_key, self.tally)
        self.assigner = Assigner(gateway, self.spool, people, self.intake.stamp, self.tally, allocations)
        self.shipper = Shipper(_Outbox(self.spool, self.tally, self._signing_key), self._target, self.clock)
        self._policy = SealPolicy(settings.landing.segment_rows, timedelta(seconds=settings.landing.segment_seconds))
        self._offset = self._wall_minus_monotonic()
        self._stepped = 0.0
        self._started = self.clock.monotonic()
        self._synced = False  # as far as what an earlier run of this machine's has captured knows
        self._landing_well_at = self._started
        self._told_refused: dict[tuple[str, str], int] = {}
        self._scanner: BleScanner | None = None
        self.ready = asyncio.Event()
        self.left = Depth(0, 0, 0, 0, 0, None)
        """What waits in the spool after an orderly end."""

    @property
    def _allocation_folder(self) -> Path:
        return self.gateway.file(self.gateway.settings.gateway.spool).parent / "allocations"

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Work until `stop` is set (or for ever), then end in order."""
        stop = stop or asyncio.Event()
        # Each look for a landing's name can hold a thread for half a minute, and everything here waits for some thread.
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="worker")
        asyncio.get_running_loop().set_default_executor(threads)
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(part, name=name) for name, part in self._parts()]
                self.ready.set()
                await stop.wait()
                for task in running:
                    task.cancel()
        finally:
            await self._end()

    def _parts(self) -> Iterable[tuple[str, Any]]:
        settings = self.gateway.settings
        yield "intervals", self._every(settings.gateway.report_seconds, self._close_intervals)
        yield "sealing", self._every(min(5.0, settings.landing.segment_seconds / 2), self.seal)
        yield "spool", self._every(_SPOOL_EVERY, self._watch_spool, at_once=True)
        yield "clock", self._every(_CLOCK_EVERY, self.watch_clock, at_once=True)
        yield "heartbeat", self._every(settings.gateway.heartbeat_seconds, self.beat, at_once=True)
        yield "opted out", self._every(_OPTED_OUT_EVERY, self._look_who_opted_out)
        yield "forgetting", self._every(_FORGET_EVERY, self._forget)
        yield "shipping", self.shipper.run()
        yield from self._bluetooth()
        for folder in self.folders:
            yield "folder", folder.run()
        if self._posted is not None and self.http_listener is not None:
            cert, key = self._tls or (None, None)
            yield "http", serve(self._posted, self.http_listener, tls_cert=cert, tls_key=key)
        if settings.allocations is not None and self._public_key is not None:
            fetcher = AllocationFetcher(self.gateway, self._allocation_folder, self._public_key, self.clock, self.tally)
            yield "allocations", self._every(settings.allocations.refresh_seconds, fetcher.fetch, at_once=True)
        answers = health.app(self.spool, self.tally, self.clock, self.assigner, lambda: self._stepped)
        at_once = {"/assign": health.assign_at_once(self.assigner)}
        yield "health", serve(answers, self.health_listener, at_once=at_once)

    def _bluetooth(self) -> Iterable[tuple[str, Any]]:
        advertisers: dict[str, Advertiser] = {}
        logs = []
        for known in self.gateway.devices:
            met = known.met
            if met.source == "bthome" and met.address:
                advertisers[met.address] = Advertiser(met.bindkey)
            elif met.source == "pair" and met.outer_address and met.inner_address:
                advertisers[met.outer_address] = Advertiser(met.bindkey, "outer")
                advertisers[met.inner_address] = Advertiser(met.bindkey, "inner")
            elif met.source == "records" and met.address and met.address not in logs:
                logs.append(met.address)
        if not advertisers and not logs:
            return
        # Terminals and tills are listed too, so that the scanner knows where they are when they are to be connected.
        listened = {address: Advertiser() for address in logs} | advertisers
        scanner = BleScanner(listened, self._take_advertised, self.clock, adapter=self._adapter, tally=self.tally)
        self._scanner = scanner
        yield "scanner", scanner.run()
        connecting = asyncio.Lock()
        for address in logs:
            client = RecordClient(
                address,
                self._take_logged(address),
                self._resume_from,
                self.clock,
                adapter=self._adapter,
                locate=scanner.locate,
                connecting=connecting,
            )
            yield f"records {address}", client.run()

    async def _take_advertised(self, readings: Sequence[AnyReading]) -> None:
        await self.intake.take("bluetooth", readings)

    def _take_logged(self, address: str) -> Sink:
        async def take(readings: Sequence[AnyReading]) -> None:
            states = {}
            for reading in readings:
                if reading.key is not None:
                    # Without the rest of the key: a checksum of a record would let somebody try who it speaks of.
                    states[_log_subject(address)] = "{}:{}".format(*position_of(reading.key))
                elif isinstance(reading, Dropped) and reading.reason == "rolled_back":
                    # It is read from its oldest record on, also by who starts after a kill: by then it may have given
                    # its numbers again.
                    states[_log_subject(address)] = ""
            await self.intake.take("records", readings, states)

        return take

    def _resume_from(self, address: str) -> tuple[str, int] | None:
        last = self.intake.state(_log_subject(address))
        if not last:
            return None
        log_id, sequence = position_of(last)
        return log_id, sequence + 1

    # What is done again and again -------------------------------------------------------------------------------------

    async def _every(self, seconds: float, do: Callable[[], Awaitable[Any]], *, at_once: bool = False) -> None:
        """Do it every so many seconds. What fails for want of room is done again next time."""
        if not at_once:
            await self.clock.sleep(seconds)
        while True:
            try:
                await do()
            except SpoolFull as full:
                self.tally.alarms["spool"] = str(full)
            except Busy:
                pass
            await self.clock.sleep(seconds)

    async def _close_intervals(self) -> None:
        await self.intake.close_intervals(self._scanner.heard_until if self._scanner else None)

    async def seal(self, *, everything: bool = False) -> int:
        """Seal what is due; returns the number of segments."""
        made = 0
        while segments := await asyncio.to_thread(
            seal,
            self.spool,
            self.gateway.site,
            self._policy,
            self.intake.stamp(),
            everything=everything,
        ):
            made += len(segments)
            self.shipper.wake()
        return made

    async def watch_clock(self) -> None:
        """Tell when the wall clock was set, and correct what was captured before it was right."""
        synced, offset = self.clock.synced(), self._wall_minus_monotonic()
        if synced and not self._synced:
            corrected = await asyncio.to_thread(self.spool.synced, self.intake.stamp())
            if corrected:
                _log.info("the clock is synchronised; the times of %d records were corrected", corrected)
        self._synced = synced
        if synced:
            self.tally.alarms.pop("clock", None)
        else:
            if "clock" not in self.tally.alarms:
                _log.warning("%s", _NO_TIME_SOURCE)  # or whoever watches wonders why nothing lands
            self.tally.alarms["clock"] = _NO_TIME_SOURCE
        self._watch_landing()
        step = offset - self._offset
        if abs(step) >= _STEP:
            _log.warning("the wall clock was set by %+.3f s", step)
            detail = "synced" if synced else "unsynced"
            event = {"kind": "clock_step", "value": round(step * 1000), "detail": detail}
            before, self._offset = self._offset, offset

            def not_told() -> None:
                self._offset = before

            await self._tell(self._everywhere(event), not_told)
            self._stepped += step

    async def _watch_spool(self) -> None:
        """Raise an alarm while a damaged spool lies aside; end everything when this one is damaged: see `salvage`."""
        if self.spool.damage:
            raise SpoolDamaged(f"{self.spool.path} is damaged ({self.spool.damage})")
        try:
            aside = await asyncio.to_thread(lying_aside, self.spool.path)
        except OSError as error:  # too many open files, a folder on a bad sector: the spool itself goes on
            _log.warning("the folder of the spool cannot be looked into: %s", error)
            return
        if not aside:
            self.tally.alarms.pop(_DAMAGED, None)
        else:
            self.tally.alarms.setdefault(_DAMAGED, aside)

    async def _look_who_opted_out(self) -> None:
        """Follow the list; one that cannot be used is an alarm, and the last good one holds."""
        try:
            if await asyncio.to_thread(self._people.look_again):
                _log.info("the list of those who opted out was read anew: %d", len(self._people.opted_out))
        except KeyProblem as problem:
            self.tally.alarms["opted out"] = f"{problem}; the last list that could be read holds"
        else:
            self.tally.alarms.pop("opted out", None)

    def _watch_landing(self) -> None:
        """Raise an alarm when the landing takes nothing from this gateway, or has not been reached for an hour."""
        shipped, now = self.shipper.shipped, self.clock.monotonic()
        if not shipped.last_problem:
            self._landing_well_at = now
            self.tally.alarms.pop("landing", None)
        elif shipped.denied or now - self._landing_well_at >= _LANDING_PATIENCE:
            self.tally.alarms["landing"] = shipped.last_problem

    async def beat(self) -> None:
        """A heartbeat of the gateway and of each of its devices, and what was left out since the last one."""
        depth = await asyncio.to_thread(self.spool.depth)
        waiting = {"kind": "heartbeat", "subject": self.gateway.id, "value": depth.records + depth.segment_rows}
        events = self._everywhere(waiting)
        now = self.clock.monotonic()
        for venue_id, device_id in sorted(
            (k.venue.id, k.device.id) for k in self.gateway.devices if k.met.source != "gateway"
        ):
            # One that has not been heard yet is silent since this start at least.
            at = self.tally.heard_at.get((venue_id, device_id), self._started)
            battery = self.tally.battery.get((venue_id, device_id))
            detail = None if battery is None else f"battery {battery} %"
            event = {"kind": "heartbeat", "subject": device_id, "value": round(now - at), "detail": detail}
            events.append((venue_id, event))
        refused = dict(self.tally.refused)
        for (source, reason), n in sorted(refused.items()):
            if (more := n - self._told_refused.get((source, reason), 0)) > 0:
                events += self._everywhere({"kind": "refused", "subject": reason, "value": more, "detail": source})
        before, self._told_refused = self._told_refused, refused

        def not_told() -> None:
            self._told_refused = before

        await self._tell(events, not_told)

    async def _tell(self, events: list[tuple[str, Mapping[str, Any]]], not_told: Callable[[], None]) -> None:
        """Have them recorded, or call `not_told`. Also where this is cancelled meanwhile: told is told, and not once
        more; and what was not told then is told later.
        """
        telling = asyncio.ensure_future(self.intake.tell(events))
        try:
            await whole(telling)
        except BaseException:
            if telling.cancelled() or telling.exception() is not None:
                not_told()
            raise

    def _everywhere(self, event: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
        """An event of the gateway, told by its own device at each of its venues that has one."""
        venues = dict.fromkeys(k.venue.id for k in self.gateway.devices if k.device.stream == "gateway_events")
        return [(venue_id, event) for venue_id in venues]

    async def _forget(self) -> None:
        if not self.clock.synced():  # by a clock in another year, all is old and every experiment has ended
            return
        now = self.clock.now()
        ended = [e.id for e in self.gateway.site.experiments if e.last_date < now.date() - timedelta(days=2)]
        await asyncio.to_thread(self.spool.forget, now, ended)

    def _wall_minus_monotonic(self) -> float:
        return self.clock.now().timestamp() - self.clock.monotonic()

    async def _end(self) -> None:
        """Close, seal, ship what can be shipped at once, and let go."""
        try:
            with suppress(Busy, SpoolFull, sqlite3.DatabaseError):  # a damaged spool is for the next start
                await self.watch_clock()
                await self.intake.close_intervals()
                await self.beat()
            with suppress(SpoolFull, sqlite3.DatabaseError):
                await self.seal(everything=True)
            await self._ship_what_goes()
            with suppress(sqlite3.DatabaseError):
                self.left = await asyncio.to_thread(self.spool.depth)
        finally:
            try:
                await self._target.close()
            finally:
                await asyncio.to_thread(self.spool.close)

    async def _ship_what_goes(self) -> None:
        """Ship until nothing waits, or nothing more is confirmed: an uplink that is down is not waited for."""
        shipping = asyncio.ensure_future(self.shipper.run(until_empty=True))
        ends, before = time.monotonic() + _LAST_WORDS, -1
        try:
            while time.monotonic() < ends and self.shipper.shipped.confirmed > before:
                before = self.shipper.shipped.confirmed
                done, _ = await asyncio.wait([shipping], timeout=min(_LAST_PATIENCE, _LAST_WORDS))
                if done:
                    break
        finally:
            shipping.cancel()
            await asyncio.gather(shipping, return_exceptions=True)


class _Outbox:
    """The spool, with an eye on what is confirmed and what is not. Manifests are signed on their way out, so that what
    waits while the key is changed goes under the new one; signing again gives the same bytes."""

    def __init__(self, spool: Spool, tally: Tally, signing_key: Ed25519PrivateKey | None) -> None:
        self._spool, self._tally, self._signing_key = spool, tally, signing_key

    def segment(self, *, newest: bool = False, beside: Sequence[int] = ()) -> SealedSegment | None:
        found = self._spool.segment(newest=newest, beside=beside)
        if found is None or self._signing_key is None:
            return found
        manifest = signed_manifest(Manifest.model_validate_json(found.manifest), self._signing_key)
        return replace(found, manifest=manifest.to_bytes())

    def confirmed(self, segment_id: int) -> None:
        if (found := self._spool.confirmed(segment_id)) is not None:
            stream, rows = found
            self._tally.shipped[stream] += rows
        self._tally.alarms.pop(f"segment {segment_id}", None)

    def refused(self, segment_id: int, why: str) -> None:
        self._spool.refused(segment_id, why)
        self._tally.alarms[f"segment {segment_id}"] = why


def clock_id() -> str:
    """The run of the monotonic clock: one start of this machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return secrets.token_hex(8)  # then nothing of an earlier run can be corrected


def _tls(gateway: Gateway) -> tuple[Path, Path] | None:
    settings = gateway.settings.http
    if settings is None or settings.tls_cert is None or settings.tls_key is None:
        return None
    cert, key = gateway.file(settings.tls_cert), gateway.file(settings.tls_key)
    expect_certificate(cert, key)
    return cert, key


def _log_subject(address: str) -> str:
    return f"log/{address}"


def _public_key(gateway: Gateway) -> Ed25519PublicKey | None:
    allocations = gateway.settings.allocations
    return None if allocations is None else Ed25519PublicKey.from_public_bytes(b64decode(allocations.public_key))
