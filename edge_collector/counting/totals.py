"""Counting: what a device counted in an interval, from the running totals in its frames. Pure: state in, state out.

The totals of one run of a device only grow, so they order its frames by themselves, and a lost, late or repeated frame
does no harm. What can do harm is a frame of an earlier run, or an old one that looks like the first of a new run. Three
rules keep those out, and nothing is lost by waiting, because totals are cumulative:

1. **What cannot be a replay counts at once**: an encrypted frame whose counter is higher than any heard before, or
   totals higher than any that an earlier run has reached. The former are also believed when they fall: a reset.
2. **What could be one waits** `settle_seconds`. After a reset the earlier run's frames can be replayed as if they
   continued the new one; a rise is counted when nobody has contradicted it that long, and the living device would.
3. **What contradicts the device is a rival**: totals that fell, or (after a gap) a number that does not follow. A rival
   takes over when it has been the only voice for `settle_seconds` and three frames: one frame that continues the
   device, or one that contradicts the rival, and it was a replay. A rival is contradicted as well by totals that the
   device can have said after those that are believed of it, when the rival has not reached these: a recorded zero must
   not get the living device as its future. So a recorded hour beside the living device changes nothing, and a rebooted
   device is found however many of its frames are lost.

All three rest on two assumptions. A living device is heard at least once in `settle_seconds`: it cannot be told from a
recording of itself by what it says, only by its still being there. And a recording holds nothing newer than what was
heard here: the last frames before a reset, when missed here but recorded elsewhere, look like new ones. 60 s is twice
the advertising pause of slow battery sensors, and as long as the reporting interval: a reset is counted two or three
reports late. Nor does time prove anything in which nobody is heard at all (the adapter is unplugged): of a silence,
no wait counts more than `pause_seconds`.

Packet ids only help to tell voices apart: 8 bits wrap within minutes, and a replayed one looks newer as often as older.

**Epochs.** The first frame ever heard is the baseline: whom the device counted before is not known to have come now. A
run that takes over with lower totals opens a new epoch and its totals since zero are counted in full. A rise, or a
total since zero, of more people than can have passed since the device was last heard (a glitch, another device under
this address, totals restored from an older save) opens one as well, and there the total is only the new baseline.
A fall from just below 2^8, 2^16 or 2^32 to just above zero whose frame follows by number, while the other direction
did not fall, is a wrap: it is unrolled, and the epoch goes on. A wrap that was not seen as closely is taken for a reset
and undercounts; it never overcounts. What nobody can see undercounts too: a reset that is not believed before the new
totals have passed the old ones (a counter without encryption that was reset at 5 and is at 6 a minute later has not
been reset), and a rise that still waited when its device was reset once more, if it was disputed, if the gateway was
started again meanwhile, or if the new totals are no lower than those that were believed before the rise.

What does not belong here: which devices are known, where states are kept, what a record looks like.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from edge_collector.counting.voices import RULES, Point, Rules, Voice
from edge_collector.readings import Dropped, Totals

_WIDTHS: Final = (8, 16, 32)
_NEAR_WRAP: Final = 16
"""People: how close to the top and to zero both sides of a wrap must have been heard."""
_FRAMES: Final = 3
_BLOCK: Final = 16
"""Encryption counters that are taken for heard together after a start of the gateway: see `resumed`."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is counted and not yet recorded of one epoch, with the totals that prove it."""

    device_epoch: int
    in_count: int
    out_count: int | None
    in_total: int
    out_total: int | None
    unpaired_count: int | None = None


@dataclass(frozen=True, slots=True)
class IntervalCounts:
    """One interval of one epoch, by the names of the record contract."""

    interval_start: datetime
    interval_end: datetime
    counts: Counts


@dataclass(frozen=True, slots=True)
class EpochOpened:
    """For a `gateway_events` record of that kind: the device began to count anew."""

    device: str
    epoch: int
    detail: str


Told = Dropped | EpochOpened


@dataclass(frozen=True, slots=True)
class CounterState:
    """All that is known of one device. Kept in the transaction that keeps its records, it makes a crash a non-event."""

    main: Voice
    settled: Point
    """Totals up to which the device is believed."""
    recorded: tuple[int, int]
    """Totals up to which intervals were closed, in this epoch and with wraps unrolled."""
    highest: tuple[int, int]
    """The highest totals that a replay could say."""
    counter: int | None = None
    """The highest encryption counter ever heard; None while the device was never heard encrypted."""
    epoch: int = 1
    wrapped: tuple[int, int] = (0, 0)
    rival: Voice | None = None
    heard: bool = True
    """Since the last interval was closed."""
    ended: tuple[Counts, ...] = ()
    unpaired: tuple[int, int] | None = None
    """Running total of unpaired triggers, and what of it was recorded."""

    @property
    def lasting(self) -> tuple[object, ...]:
        """What a kill must not take back: it changes when somebody passes, an interval or epoch ends, and with every
        sixteenth frame of an encrypted device, because one that was heard must never again look newer than all that
        were. The rest is when and how often the same was said, which a gateway that starts again asks anew
        (`resumed`)."""
        heard = [(point.ins, point.outs) for point in (self.settled, self.main.newest)]
        block = None if self.counter is None else self.counter // _BLOCK
        return (*heard, block, self.recorded, self.highest, self.epoch, self.wrapped, self.ended, self.unpaired)

    def to_json(self) -> bytes:
        return _JSON.dump_json(self)

    @staticmethod
    def from_json(text: bytes | str) -> CounterState:
        return _JSON.validate_json(text)


_JSON: Final = TypeAdapter(CounterState)


class Heard(NamedTuple):
    """The state after a reading (None: nothing is known yet) and what is to be told of it."""

    state: CounterState | None
    told: tuple[Told, ...] = ()


def count(
    state: CounterState | None, reading: Totals, at: float, rules: Rules = RULES, *, unpaired_total: int | None = None
) -> Heard:
    """One frame of a device, heard `at` seconds by a clock that does not step (`time.monotonic`).

    A time before the last one means that the gateway was restarted: every wait begins anew. Told are `Dropped` as
    `downgraded` (a plain frame of a device that encrypts), `negative_total`, `reordered`, or `replayed`: as soon as it
    is certain, so with the number of frames that waited.
    """
    if state is not None and state.counter is not None and reading.counter is None:
        return Heard(state, (_dropped(reading, "downgraded"),))
    if reading.in_total < 0 or (reading.out_total or 0) < 0:
        return Heard(state, (_dropped(reading, "negative_total"),))
    number = reading.packet_id if reading.counter is None else reading.counter
    point = Point(reading.in_total, reading.out_total, number)
    if state is None:
        highest = (point.ins, point.outs or 0)
        unpaired = None if unpaired_total is None else (unpaired_total, unpaired_total)
        return Heard(CounterState(Voice.of(point, at), point, highest, highest, reading.counter, unpaired=unpaired))
    if at < max(state.main.heard_at, state.rival.heard_at if state.rival else at):
        state = resumed(state, at)
    state = _without_silence(state, at, rules)
    if unpaired_total is not None:
        state = replace(state, unpaired=(unpaired_total, state.unpaired[1] if state.unpaired else unpaired_total))
    if reading.counter is not None and (state.counter is None or reading.counter > state.counter):
        return _take_over(replace(state, counter=reading.counter), reading, Voice.of(point, at), at, rules)
    return _weigh(state, reading, point, at, rules)


def resumed(state: CounterState, at: float) -> CounterState:
    """The state at a start of the gateway, when the clock of before means nothing: every wait begins anew.

    Any encryption counter of the last block may have been heard and not been written. So the device is at first
    weighed as one that does not encrypt, until its counter leaves the block: what it counts meanwhile comes a little
    later, and nothing of it is lost, because totals are cumulative.
    """
    main = state.main.waits_anew(at)
    counter = None if state.counter is None else state.counter | (_BLOCK - 1)
    # Whoever contradicted what still waited may have been forgotten (`CounterState.lasting`).
    main = replace(main, disputed=main.disputed or _is_ahead(state))
    return replace(state, main=main, rival=state.rival and state.rival.waits_anew(at), counter=counter)


def close_interval(
    state: CounterState, start: datetime, seconds: float
) -> tuple[CounterState, tuple[IntervalCounts, ...]]:
    """Close the interval that began at `start` and lasted `seconds` by a clock that does not step.

    So its end lies after its start whatever the wall clock does. One entry for each epoch that counted in it; none when
    the device was not heard. Raises ValueError for a start without offset or a duration that is not positive.
    """
    if start.tzinfo is None or seconds <= 0:
        raise ValueError(f"an interval from {start} of {seconds} s is given; an aware start and some time are expected")
    counted = state.ended + ((_counts(state),) if state.heard else ())
    end = start + timedelta(seconds=seconds)
    if state.heard:
        unpaired = state.unpaired and (state.unpaired[0], state.unpaired[0])
        state = replace(state, recorded=_totals(state), unpaired=unpaired)
    return replace(state, heard=False, ended=()), tuple(IntervalCounts(start, end, c) for c in counted)


def _without_silence(state: CounterState, at: float, rules: Rules) -> CounterState:
    """With every wait as if nobody had been silent for longer than a living device may be."""
    main, rival = state.main, state.rival
    silent = at - max(main.heard_at, rival.heard_at if rival else main.heard_at) - rules.pause_seconds
    if silent <= 0:
        return state
    return replace(state, main=main.waits_on(silent, at), rival=rival and rival.waits_on(silent, at))


def _weigh(state: CounterState, reading: Totals, point: Point, at: float, rules: Rules) -> Heard:
    """A frame that proves nothing by itself: the device goes on, or a rival speaks."""
    main, rival = state.main, state.rival
    numbers = 2**8 if state.counter is None else 2**32
    of_rival = rival is not None and point.covers(rival.newest) and point.follows(rival.newest, numbers)
    returns = _returns(state, point)
    if rival is not None and returns and not rival.newest.covers(state.settled):
        of_rival = False  # A recording of a beginning is no past of the living device.
    plausible = rules.plausible(point.rise(main.newest), at - main.heard_at)
    higher = point.ins > state.highest[0] or (point.outs or 0) > state.highest[1]
    believed = state.counter is None and point.covers(state.settled) and higher and plausible
    follows = point.covers(main.newest) and point.follows(main.newest, numbers) and plausible
    if follows or (believed and not of_rival):
        settled, rises, ahead = state.settled, point != main.newest, _is_ahead(state)
        main = main.hear(point, at)
        if believed:
            main, settled = main.marked(at), point
        elif at - main.marked_at >= rules.settle_seconds:
            main, settled = main.marked(max(main.marked_at, main.unanswered_since)), main.mark
        if rises:
            # Whoever goes on right after somebody else spoke may be the recording, and the other the device.
            doubted = main.doubted_at is not None and at - main.doubted_at < rules.settle_seconds
            main = replace(main, disputed=not believed and (doubted or (main.disputed and ahead)))
        return Heard(replace(state, main=main, settled=settled, rival=None, heard=True), _replayed(reading, rival))

    if point.covers(state.settled) and main.contradicted(point, at, rules):
        main = replace(main, marked_at=at, disputed=True)
    elif returns and not point.covers(main.newest) and at > main.changed_at + rules.reorder_seconds:
        main = replace(main, disputed=True)
    state = replace(state, main=replace(main, doubted_at=at))
    if not of_rival and main.has_late(point, at, rules):
        return Heard(state, (_dropped(reading, "reordered"),))
    told: tuple[Told, ...] = ()
    if rival is not None and of_rival:
        rival = rival.hear(point, at)
    elif rival is not None and rival.has_late(point, at, rules) and not rival.contradicted(point, at, rules):
        told = (_dropped(reading, "reordered"),)
    else:
        told, rival = _replayed(reading, rival), Voice.of(point, at)
    highest = max(state.highest[0], point.ins), max(state.highest[1], point.outs or 0)
    state = replace(state, rival=rival, highest=highest)
    if rival.frames >= _FRAMES and at - rival.marked_at >= rules.settle_seconds:
        return _take_over(state, reading, rival, at, rules)
    return Heard(state, told)


def _take_over(state: CounterState, reading: Totals, voice: Voice, at: float, rules: Rules) -> Heard:
    """`voice` is the device from now on, and its mark is believed; what that means for the count."""
    old, new, main = state.settled, voice.mark, state.main
    elapsed = at - main.heard_at
    told = _replayed(reading, state.rival) if voice is not state.rival else ()
    after = replace(state, main=replace(voice.marked(at), disputed=False), settled=new, rival=None, heard=True)
    if new.covers(old) and rules.plausible(new.rise(old), elapsed):
        return Heard(after, told)
    if not new.covers(old) and not main.disputed:
        old = main.newest  # The last that the old run said; nobody has contradicted it since.
    state = replace(state, settled=old)
    if wraps := _wraps(old, new, 2**8 if state.counter is None else 2**32):
        return Heard(replace(after, wrapped=(state.wrapped[0] + wraps[0], state.wrapped[1] + wraps[1])), told)
    said = (new.ins, new.outs or 0)
    reset = not new.covers(old) and (new.outs is None) == (old.outs is None)
    real = reset and rules.plausible(max(said), elapsed)
    unrecorded = _counts(state)
    after = replace(
        after,
        epoch=state.epoch + 1,
        recorded=(0, 0) if real else said,
        wrapped=(0, 0),
        highest=(max(state.highest[0], old.ins), max(state.highest[1], old.outs or 0)),
        ended=state.ended + ((unrecorded,) if unrecorded.in_count or unrecorded.out_count else ()),
    )
    how = "counted since zero" if real else "not counted: more people than can have passed, or another kind of counter"
    detail = f"in {old.ins} to {new.ins}, out {old.outs} to {new.outs}; {how}"
    return Heard(after, (*told, EpochOpened(reading.device, after.epoch, detail)))


def _is_ahead(state: CounterState) -> bool:
    """Whether its newest totals still wait."""
    newest, settled = state.main.newest, state.settled
    return (newest.ins, newest.outs) != (settled.ins, settled.outs)


def _returns(state: CounterState, point: Point) -> bool:
    """Whether the device can have said this after what is believed of it: its encryption counter would not fall."""
    newer = state.counter is None or (point.number or 0) >= (state.settled.number or 0)
    return newer and point.covers(state.settled)


def _wraps(old: Point, new: Point, numbers: int) -> tuple[int, int] | None:
    """What each total lost by going over its top; None when this is no wrap."""
    if old.number is None or not new.follows(old, numbers) or (new.outs is None) != (old.outs is None):
        return None
    lost = [_wrap(old.ins, new.ins), _wrap(old.outs or 0, new.outs or 0)]
    return None if None in lost or not any(lost) else (lost[0] or 0, lost[1] or 0)


def _wrap(old: int, new: int) -> int | None:
    if new >= old:
        return 0
    return next((2**w for w in _WIDTHS if 0 < 2**w - old <= _NEAR_WRAP and new < _NEAR_WRAP), None)


def _totals(state: CounterState) -> tuple[int, int]:
    return state.settled.ins + state.wrapped[0], (state.settled.outs or 0) + state.wrapped[1]


def _counts(state: CounterState) -> Counts:
    ins, outs = _totals(state)
    one_way = state.settled.outs is None
    unpaired = state.unpaired and max(0, state.unpaired[0] - state.unpaired[1])
    out_count, out_total = (None, None) if one_way else (outs - state.recorded[1], outs)
    return Counts(state.epoch, ins - state.recorded[0], out_count, ins, out_total, unpaired)


def _dropped(reading: Totals, reason: str) -> Dropped:
    return Dropped(device=reading.device, reason=reason)


def _replayed(reading: Totals, rival: Voice | None) -> tuple[Told, ...]:
    return () if rival is None else (Dropped(device=reading.device, reason="replayed", count=rival.frames),)
