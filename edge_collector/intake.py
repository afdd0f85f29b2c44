"""The intake: the one way from readings to records. What a source hands over is durable when `take` returns.

Here a device gets its venue, a member number its pseudonym, running totals become intervals, and what is left out is
counted. Nothing that names a person goes further than this module.

- A device that is not this gateway's is left out and counted as `foreign_device`.
- Members who opted out are counted as `opted_out`: no record of a visit, and an order without a user.
- A device's own time is believed unless it is more than a day ahead, or before the venue opened: clocks that begin anew
  say 1970 or 2000. Then (counted as `implausible_time`), and where a device has none, the gateway's time counts.
- What is older than deliveries are remembered is left out and counted as `too_old`: nobody could tell whether it has
  landed before.
- A reading that was delivered before (its key is known) is left out and counted as `repeated`.
- What was overheard counts at the moment at which it was: how long it then waited for the disk says nothing of it.

What does not belong here: reading bytes (`codecs`), receiving them (`sources`), how totals become counts (`counting`).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import AwareDatetime, FiniteFloat, TypeAdapter

from edge_collector.cancellation import whole
from edge_collector.clock import Clock
from edge_collector.counting.pairing import PairState, pair, settle
from edge_collector.counting.totals import CounterState, EpochOpened, IntervalCounts, close_interval, count, resumed
from edge_collector.event_time import event_date, rfc_3339
from edge_collector.gateway import Gateway, Known
from edge_collector.people import People
from edge_collector.readings import Alive, AnyReading, Dropped, Link, OrderLine, Totals, Trigger, Visit
from edge_collector.sources import Busy
from edge_collector.sources.folder import Rows
from edge_collector.spool import OWN_FIELDS, REMEMBERED, Capture, Entry, Spool, SpoolFull, Stamp, Taken
from edge_collector.tally import Tally

_OLDEST: Final = REMEMBERED - timedelta(days=1)
_NEWEST: Final = timedelta(days=1)
_SHORTEST: Final = 0.001
"""Seconds of an interval. Records have milliseconds, and an interval must not end where it begins."""
_AT_ONCE: Final = 500
"""Readings of one delivery before others get their turn: a terminal may send its log of years."""
_STARTING: Final = 5.0
"""Seconds that a machine takes at least to start: longer than any trigger is late or open."""
REASONS: Final[Mapping[str, str]] = {
    "foreign_device": "this device is not of this gateway's edge.toml",
    "wrong_stream": "this device is of another stream in site.toml",
    "wrong_source": "a trigger of a device that is no pair in edge.toml",
    "opted_out": "the member opted out: counted, and not recorded",
    "too_old": f"older than the {REMEMBERED.days - 1} days in which a repetition would be recognised",
    "implausible_time": "the device's clock is wrong: the gateway's time was taken",
}
"""Why the intake itself leaves something out, or does not believe it."""
_COUNTS: Final = ("boundary_counts", "entrance_counts")
_STREAMS: Final[Mapping[type, tuple[str, ...]]] = {
    Totals: _COUNTS,
    Trigger: _COUNTS,
    Visit: ("face_visits",),
    OrderLine: ("orders",),
    Link: ("identity_links",),
}


@dataclass(frozen=True)
class Receipt:
    """What became of a delivery: records written, readings that had been delivered before, and left out by reason."""

    written: int
    repeated: int
    refused: Mapping[str, int]


@dataclass
class _Counting:
    """A counter of this gateway: what is known of it, and since when its interval is open."""

    known: Known
    state: CounterState
    opened_at: datetime
    opened_monotonic: float
    opened_synced: bool
    pair: PairState | None = None
    """Of a pair of raw trigger sensors, which is counted here and not in the device."""

    @property
    def lasting(self) -> tuple[object, ...]:
        """What must not be forgotten when the gateway is killed."""
        return self.state.lasting, self.opened_monotonic, self.pair


@dataclass(frozen=True)
class _Kept:
    """A counter as the spool keeps it."""

    state: CounterState
    opened_at: AwareDatetime
    opened_monotonic: FiniteFloat
    clock_id: str
    synced: bool
    pair: PairState | None


KEPT_COUNTER: Final = TypeAdapter(_Kept)


@dataclass
class _Delivery:
    """What a delivery comes to, before any of it is durable."""

    captures: list[Capture] = field(default_factory=list)
    counters: dict[str, _Counting] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    heard: dict[tuple[str, str], int | None] = field(default_factory=dict)


class Intake:
    """Where all sources of one gateway hand over."""

    def __init__(
        self, gateway: Gateway, spool: Spool, people: People, clock: Clock, clock_id: str, tally: Tally
    ) -> None:
        self._gateway, self._spool, self._people, self._clock = gateway, spool, people, clock
        self._clock_id, self._tally = clock_id, tally
        self._known: dict[tuple[str, str], list[Known]] = defaultdict(list)
        for known in gateway.devices:
            for name in known.met.names:
                # Counters that advertise and raw sensors of pairs are heard by one scanner.
                source = "bluetooth" if known.met.source in ("bthome", "pair") else known.met.source
                self._known[source, name].append(known)
        self._states = spool.states()
        self._counters = dict(self._counters_of_earlier_runs())
        # Counters move on one after the other; visits and orders do not wait for each other.
        self._counting = asyncio.Lock()

    def stamp(self) -> Stamp:
        """This moment, by all clocks."""
        return Stamp(self._clock.now(), self._clock.monotonic(), self._clock_id, self._clock.synced())

    def state(self, subject: str) -> str | None:
        """What was kept with an earlier delivery: how far a device has been read, which file."""
        return self._states.get(subject)

    def believed(self, known: Known) -> tuple[int, int] | None:
        """The running totals, in and out, that are believed of a counter and durable; None where it was never heard."""
        if (counter := self._counters.get(_subject(known))) is None:
            return None
        return counter.state.settled.ins, counter.state.settled.outs or 0

    # Readings ---------------------------------------------------------------------------------------------------------

    async def take(
        self, source: str, readings: Sequence[AnyReading], states: Mapping[str, str] | None = None
    ) -> Receipt:
        """Make records of what a source has read; durable when this returns. Raises Busy, and has kept nothing then.

        `states` is kept together with it: how far the source has come.
        """
        if any(isinstance(reading, Totals | Trigger) for reading in readings):
            async with self._counting:
                return await self._take(source, readings, states or {})
        return await self._take(source, readings, states or {})

    async def _take(self, source: str, readings: Sequence[AnyReading], states: Mapping[str, str]) -> Receipt:
        stamp = self.stamp()
        delivery = _Delivery(states=dict(states))
        for n, reading in enumerate(readings, start=1):
            self._read(source, reading, stamp, delivery)
            if n % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return await self._keep(source, delivery, stamp)

    def _read(self, source: str, reading: AnyReading, stamp: Stamp, delivery: _Delivery) -> None:
        if isinstance(reading, Dropped):
            delivery.refused[reading.reason] += reading.count
            return
        candidates = self._known.get((source, reading.device), [])
        if not candidates:
            delivery.refused["foreign_device"] += 1
            return
        for known in candidates:
            battery = getattr(reading, "battery", None)
            delivery.heard[known.venue.id, known.device.id] = battery
        if isinstance(reading, Alive):
            return
        if reading.heard_at is not None:
            stamp = _moment(stamp, reading.heard_at)
        streams = _STREAMS[type(reading)]
        known = next((k for k in candidates if k.device.stream in streams), None)  # type: ignore[assignment]
        if known is None:
            delivery.refused["wrong_stream"] += 1
        elif isinstance(reading, Totals):
            self._count(known, reading, stamp, delivery)
        elif isinstance(reading, Trigger) and known.met.source != "pair":
            delivery.refused["wrong_source"] += 1
        elif isinstance(reading, Trigger):
            self._pair(known, reading, stamp, delivery)
        else:
            delivery.captures.extend(self._captured(source, known, reading, stamp, delivery))

    def _captured(
        self, source: str, known: Known, reading: Visit | OrderLine | Link, stamp: Stamp, delivery: _Delivery
    ) -> Iterable[Capture]:
        key = reading.key and self._people.delivery_key(f"{source}/{known.met.name}/{reading.key}")
        place = (known.venue.id, known.device.id)
        if isinstance(reading, Visit):
            user_id = self._people.user_id(reading.member_number)
            if user_id is None:
                delivery.refused["opted_out"] += 1
                return
            at = self._believed(known, reading.at, stamp, delivery)
            if self._is_too_old(at, stamp, delivery):
                return
            yield Capture(
                "face_visits", *place, {"user_id": user_id, "direction": reading.direction}, key=key, recorded_at=at
            )
        elif isinstance(reading, OrderLine):
            at = self._believed(known, reading.ordered_at, stamp, delivery)
            if self._is_too_old(at, stamp, delivery):
                return
            fields = {
                "order_id": reading.order_id,
                "order_no": reading.order_no,
                "user_id": self._people.user_id(reading.member_number),
                "ordered_at": rfc_3339(at or stamp.wall, known.venue.time_zone),
                "category_id": reading.category_id,
                "quantity": reading.quantity,
                "amount": f"{reading.amount:.2f}",
                "currency": reading.currency,
                "status": reading.status,
            }
            yield Capture("orders", *place, fields, key=key, dated_at=at, own_times=at is None)
        else:
            terminal, member = (self._people.user_id(n) for n in (reading.terminal_number, reading.member_number))
            if terminal is None or member is None:
                delivery.refused["opted_out"] += 1
                return
            fields = {"terminal_user_id": terminal, "member_user_id": member, "action": reading.action}
            yield Capture("identity_links", *place, fields, key=key)

    def _believed(self, known: Known, at: datetime | None, stamp: Stamp, delivery: _Delivery) -> datetime | None:
        if at is None:
            return None
        # A gateway that does not know the time itself cannot tell its devices that they are ahead.
        ahead = stamp.synced and at - stamp.wall > _NEWEST
        if ahead or event_date(at, known.venue.time_zone, known.venue.day_starts_at) < known.venue.opened_on:
            delivery.refused["implausible_time"] += 1
            return None
        return at

    def _is_too_old(self, at: datetime | None, stamp: Stamp, delivery: _Delivery) -> bool:
        if at is None or not stamp.synced or stamp.wall - at <= _OLDEST:
            return False
        delivery.refused["too_old"] += 1
        return True

    # Rows of files ----------------------------------------------------------------------------------------------------

    async def take_rows(self, rows: Rows) -> None:
        """Make records of a file's rows, and keep what the file was. Raises Busy, and has kept nothing then."""
        stamp, stream = self.stamp(), rows.bound.device.stream
        delivery = _Delivery(states={rows.subject: rows.state})
        delivery.refused["bad_row"] += rows.refused
        for draft, key, version in rows.drafts:
            fields = {name: value or None for name, value in zip(OWN_FIELDS[stream], draft.fields, strict=True)}
            if fields["user_id"] in self._people.opted_out:  # since the file was read, which takes a while
                fields["user_id"] = None
            if stream == "orders":
                fields |= {"order_no": draft.fields[1], "quantity": draft.fields[5]}
            elif fields["user_id"] is None:
                delivery.refused["opted_out"] += 1
                continue
            delivery.captures.append(
                Capture(
                    stream, rows.bound.venue.id, rows.bound.device.id, fields,
                    key=self._people.delivery_key(key), version=version,
                    dated_at=draft.instant, recorded_at=draft.recorded_at,
                )
            )  # fmt: skip
        delivery.heard[rows.bound.venue.id, rows.bound.device.id] = None
        await self._keep("folder", delivery, stamp)

    # Counts -----------------------------------------------------------------------------------------------------------

    def _pair(self, known: Known, trigger: Trigger, stamp: Stamp, delivery: _Delivery) -> None:
        subject = _subject(known)
        counter = delivery.counters.get(subject) or self._counters.get(subject)
        if counter is None or counter.pair is None:
            # What is paired here begins at zero here: there is no earlier total that has to be left out.
            self._count(known, PairState().totals(known.met.name), stamp, delivery)
            counter = replace(delivery.counters[subject], pair=PairState())
        assert counter.pair is not None
        paired = pair(counter.pair, trigger, stamp.monotonic)
        for dropped in paired.dropped:
            delivery.refused[dropped.reason] += dropped.count
        delivery.counters[subject] = replace(counter, pair=paired.state)
        self._count_pair(known, paired.state, stamp, delivery)

    def _count_pair(self, known: Known, state: PairState, stamp: Stamp, delivery: _Delivery) -> None:
        self._count(known, state.totals(known.met.name), stamp, delivery, state.unpaired_total)

    def _count(
        self, known: Known, reading: Totals, stamp: Stamp, delivery: _Delivery, unpaired_total: int | None = None
    ) -> None:
        subject = _subject(known)
        counter = delivery.counters.get(subject) or self._counters.get(subject)
        heard = count(counter.state if counter else None, reading, stamp.monotonic, unpaired_total=unpaired_total)
        for told in heard.told:
            if isinstance(told, EpochOpened):
                event = {"kind": "epoch_opened", "subject": known.device.id, "value": told.epoch, "detail": told.detail}
                delivery.captures.extend(self._event(known.venue.id, event))
            else:
                delivery.refused[told.reason] += told.count
        if heard.state is None:
            return
        if counter is None:
            counter = _Counting(known, heard.state, stamp.wall, stamp.monotonic, stamp.synced)
        delivery.counters[subject] = replace(counter, state=heard.state)

    async def close_intervals(self, heard_until: Callable[[], float] | None = None) -> int:
        """Record what every counter that was heard has counted since last time; returns the number of records.

        `heard_until` says until when all that was overheard has been taken: of what came later nothing is decided yet,
        because a trigger may be on its way that belongs before it. None where nothing is on its way.

        Raises Busy; then the intervals stay open, and nothing is lost, because what was counted goes on growing.
        """
        async with self._counting:
            stamp = self.stamp()
            heard = _moment(stamp, heard_until()) if heard_until else stamp
            delivery = _Delivery()
            for subject, counter in self._counters.items():
                if counter.pair is not None:
                    settled = settle(counter.pair, heard.monotonic)
                    if settled != counter.pair:
                        delivery.counters[subject] = replace(counter, pair=settled)
                        self._count_pair(counter.known, settled, heard, delivery)
                        counter = delivery.counters[subject]
                seconds = stamp.monotonic - counter.opened_monotonic
                if seconds < _SHORTEST:
                    continue
                # Seen from its end, so that an interval agrees with the wall clock of now, also when that was set.
                state, intervals = close_interval(counter.state, stamp.wall - timedelta(seconds=seconds), seconds)
                if intervals:
                    delivery.counters[subject] = replace(
                        counter,
                        state=state,
                        opened_at=stamp.wall,
                        opened_monotonic=stamp.monotonic,
                        opened_synced=stamp.synced,
                    )
                    delivery.captures.extend(_counted(counter.known, interval) for interval in intervals)
            return (await self._keep("counts", delivery, stamp)).written

    def _counters_of_earlier_runs(self) -> Iterable[tuple[str, _Counting]]:
        stamp = self.stamp()
        of = {_subject(known): known for known in self._gateway.devices}
        for subject, text in self._states.items():
            if (known := of.get(subject)) is not None:
                kept = KEPT_COUNTER.validate_json(text)
                state = resumed(kept.state, stamp.monotonic)
                # The interval goes on from where the last run closed it, however long nobody was there to close it. In
                # the same run of the machine a clock that nobody sets says how long; in another one the wall clock
                # does, if it was right then and is now, or else nothing: then the interval begins anew.
                since = 0.0
                if kept.clock_id == stamp.clock_id:
                    since = stamp.monotonic - kept.opened_monotonic
                elif kept.synced and stamp.synced:
                    since = (stamp.wall - kept.opened_at).total_seconds()
                since = max(0.0, since)
                opened_at = stamp.wall - timedelta(seconds=since)
                paired = kept.pair
                if paired is not None and kept.clock_id != stamp.clock_id:
                    # How far the sensors' clock has gone since then cannot be told by this run's, but certainly so far
                    # that what still waited for a late trigger waits no more.
                    if paired.newest is not None:
                        paired = settle(paired, paired.newest[1] + _STARTING)
                    totals, unpaired = paired.totals(known.met.name), paired.unpaired_total
                    state = count(state, totals, stamp.monotonic, unpaired_total=unpaired).state or state
                    paired = replace(paired, newest=None, kept_since=stamp.monotonic)
                yield subject, _Counting(known, state, opened_at, stamp.monotonic - since, stamp.synced, paired)

    # Events -----------------------------------------------------------------------------------------------------------

    async def tell(self, events: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Record events of the gateway itself, as (venue, fields). Raises Busy."""
        delivery = _Delivery()
        for venue_id, event in events:
            delivery.captures.extend(self._event(venue_id, event))
        await self._keep("gateway", delivery, self.stamp())

    def _event(self, venue_id: str, event: Mapping[str, Any]) -> Iterable[Capture]:
        known = self._gateway.own_device("gateway_events", venue_id)
        if known is not None:
            fields = {"kind": None, "subject": None, "value": None, "detail": None, **event}
            yield Capture("gateway_events", venue_id, known.device.id, fields)

    async def _keep(self, source: str, delivery: _Delivery, stamp: Stamp) -> Receipt:
        """Make it durable, and go on from there. Whoever is cancelled meanwhile waits for it all the same: what the
        spool has taken and the counters here do not know of would be counted again.
        """
        return await whole(asyncio.ensure_future(self._keep_whole(source, delivery, stamp)))

    async def _keep_whole(self, source: str, delivery: _Delivery, stamp: Stamp) -> Receipt:
        # Sensors repeat themselves every second. Only what says something new is worth a write to an SD card.
        kept = {
            subject: _kept(counter, stamp.clock_id)
            for subject, counter in delivery.counters.items()
            if (before := self._counters.get(subject)) is None or before.lasting != counter.lasting
        }
        states = delivery.states | kept
        taken = Taken(0, 0)
        if delivery.captures or states:
            try:
                taken = await asyncio.wrap_future(self._spool.take(Entry(delivery.captures, states), stamp))
            except SpoolFull as full:
                self._tally.alarms["spool"] = str(full)
                raise Busy(str(full)) from None
            self._tally.alarms.pop("spool", None)
        self._counters |= delivery.counters
        self._states |= states
        self._tell_tally(source, delivery, stamp, taken)
        return Receipt(taken.written, taken.repeated, dict(delivery.refused))

    def _tell_tally(self, source: str, delivery: _Delivery, stamp: Stamp, taken: Taken) -> None:
        for (venue_id, device_id), battery in delivery.heard.items():
            self._tally.heard(venue_id, device_id, stamp.wall, stamp.monotonic, battery)
        for stream, n in taken.by_stream.items():
            self._tally.captured[source, stream] += n
        for capture in delivery.captures:
            for way in ("in", "out") if capture.stream in _COUNTS else ():
                self._tally.people[capture.stream, way] += capture.fields[f"{way}_count"] or 0
        for reason, n in delivery.refused.items():
            self._tally.refused[source, reason] += n
        if taken.repeated:
            self._tally.refused[source, "repeated"] += taken.repeated


def _kept(counter: _Counting, clock_id: str) -> str:
    """A counter as the spool keeps it."""
    return json.dumps(
        {
            "state": json.loads(counter.state.to_json()),
            "opened_at": counter.opened_at.isoformat(),
            "opened_monotonic": counter.opened_monotonic,
            "clock_id": clock_id,
            "synced": counter.opened_synced,
            "pair": json.loads(counter.pair.to_json()) if counter.pair else None,
        }
    )


def _moment(stamp: Stamp, monotonic: float) -> Stamp:
    """When the clock that does not step showed `monotonic`, by all clocks as they run at `stamp`."""
    return replace(stamp, wall=stamp.wall - timedelta(seconds=stamp.monotonic - monotonic), monotonic=monotonic)


def _subject(known: Known) -> str:
    return f"counter/{known.venue.id}/{known.device.id}"


def _counted(known: Known, interval: IntervalCounts) -> Capture:
    counts, zone = interval.counts, known.venue.time_zone
    of_boundary = known.device.stream == "boundary_counts"
    fields = {
        "interval_start": rfc_3339(interval.interval_start, zone),
        "interval_end": rfc_3339(interval.interval_end, zone),
        "in_count": counts.in_count,
        # A pair always counts both ways; one that says nothing of the second way has seen nobody go.
        "out_count": counts.out_count or 0 if of_boundary else counts.out_count,
        "unpaired_count": counts.unpaired_count,
        "in_total": counts.in_total,
        "out_total": counts.out_total or 0 if of_boundary else counts.out_total,
        "device_epoch": counts.device_epoch,
    }
    return Capture(
        known.device.stream, known.venue.id, known.device.id, fields, dated_at=interval.interval_start, own_times=True
    )
