"""Pair logic: who crossed in which direction, from the triggers of two sensors. Pure: state in, state out.

The first trigger opens a crossing, the opposite one within 2 s closes it: outer, then inner is somebody who came in.
When several are open, the oldest is closed, so that people who follow each other, or meet, are all counted. What
nobody closes is `unpaired`: a missed trigger, or somebody who turned round.

Triggers are put in order by the device's clock, for which they wait `late_seconds`. Both sensors must stamp by one
clock. With 0.5 s between two clocks the order of the triggers, and with it the direction, is wrong for 93 % of those
who go one way, while the sum of both ways still looks fine (tests/benchmarks/pairing.py). So a pair without a shared
clock is refused (`begin`).

The device's clock also keeps recordings out: it and the gateway's run side by side, so a replayed trigger is as late by
the device's clock as the recording is old. A device whose clock began anew looks the same at first. It is believed at
once if its encryption counter is higher than any before, else when for `settle_seconds` nobody spoke by the old clock;
its triggers are kept until then. That is decided when a further trigger by the new clock comes, never by time alone:
where nobody walks for a minute, nobody speaks by the old clock either, and a recorded crossing would count. So whoever
walks first after a reset without encryption is counted only when somebody walks later. And a recording without
encryption that is played for longer than that, while nobody walks, still passes for a new clock.

The totals that result never fall, so `totals` makes intervals of them as of those that a device counts itself.

What does not belong here: which two sensors are a pair, and how a trigger was sent.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from pydantic import TypeAdapter

from edge_collector.readings import Dropped, Totals, Trigger

Sensor = Literal["outer", "inner"]

_DRIFT: Final = 1e-3
"""Seconds that two clocks part in each second that nobody was heard; good crystals stay a thousand times below."""
_MOST_KEPT: Final = 1_000
"""Triggers of a clock that may have begun anew; more in `settle_seconds` are nobody's crossings."""


class NoSharedClock(ValueError):
    """Two sensors that cannot be a pair. The message says why."""


@dataclass(frozen=True)
class PairRules:
    """`dead_seconds`: a sensor's further triggers in this time are the same person's (arms, bags, bounces)."""

    pair_seconds: float = 2
    dead_seconds: float = 0.3
    late_seconds: float = 1
    settle_seconds: float = 60


RULES: Final = PairRules()


class Seen(NamedTuple):
    """A trigger: when by the device's clock, and which sensor."""

    at: float
    sensor: Sensor


@dataclass(frozen=True, slots=True)
class PairState:
    """All that is known of one pair; kept in the transaction that keeps its records."""

    in_total: int = 0
    out_total: int = 0
    unpaired_total: int = 0
    open: tuple[Seen, ...] = ()
    """Of one sensor, the oldest first."""
    waiting: tuple[Seen, ...] = ()
    """For a late one, in order."""
    decided: float | None = None
    """Up to when, by the device's clock, all is decided; None where it began anew."""
    last: dict[Sensor, float] | None = None
    """Each sensor's last trigger that was nobody else's bounce."""
    newest: tuple[float, float] | None = None
    """When the newest trigger was, by the device's clock and by the gateway's."""
    counter: int | None = None
    kept: tuple[Seen, ...] = ()
    """By a clock that may have begun anew."""
    kept_since: float = 0

    def totals(self, device: str) -> Totals:
        """What a device that pairs by itself would say."""
        return Totals(device=device, in_total=self.in_total, out_total=self.out_total)

    def to_json(self) -> bytes:
        return _JSON.dump_json(self)

    @staticmethod
    def from_json(text: bytes | str) -> PairState:
        return _JSON.validate_json(text)


_JSON: Final = TypeAdapter(PairState)


class Paired(NamedTuple):
    """The state after a trigger, and what was left out."""

    state: PairState
    dropped: tuple[Dropped, ...] = ()


def begin(outer_clock: str | None, inner_clock: str | None) -> PairState:
    """A pair of sensors, each with the name of the clock by which it stamps its triggers (None: it has none).

    Raises NoSharedClock when these are not one and the same.
    """
    if outer_clock is None or outer_clock != inner_clock:
        raise NoSharedClock(
            f"the outer sensor's clock is {outer_clock or 'none'}, the inner one's {inner_clock or 'none'}; one shared "
            "clock is expected, because with 0.5 s between two clocks nearly all who leave are counted as coming"
        )
    return PairState()


def pair(state: PairState, trigger: Trigger, now: float, rules: PairRules = RULES) -> Paired:
    """One trigger, heard at `now` by the gateway's clock that does not step (`time.monotonic`): heard, not given."""
    seen = Seen(trigger.at, trigger.sensor)
    if state.counter is not None and trigger.counter is None:
        return Paired(state, _dropped(trigger, "downgraded"))
    fresh = trigger.counter is not None and (state.counter is None or trigger.counter > state.counter)
    if fresh:
        state = replace(state, counter=trigger.counter)
    if not _by_its_clock(state, seen, now, rules):
        return _other_clock(state, trigger, now, fresh, rules)
    kept, state = state.kept, replace(state, kept=())
    dropped = _dropped(trigger, "replayed", len(kept)) if kept else ()
    if _is_decided(state, seen.at) or seen in state.waiting:
        return Paired(state, (*dropped, *_dropped(trigger, "reordered")))
    return Paired(settle(_wait(state, seen, now), now, rules), dropped)


def settle(state: PairState, now: float, rules: PairRules = RULES) -> PairState:
    """Decide what need not wait any longer. To be called before an interval is closed, too: with a `now` up to which
    every trigger that was heard has been given, because one that comes behind what is decided is left out.
    """
    if state.newest is None or now < state.newest[1]:
        return state
    at, heard = state.newest
    return _decide(state, at + (now - heard) - rules.late_seconds, rules)


def _is_decided(state: PairState, at: float) -> bool:
    return state.decided is not None and at <= state.decided


def _by_its_clock(state: PairState, seen: Seen, now: float, rules: PairRules) -> bool:
    """Whether the device's clock went on as the gateway's did."""
    if state.newest is None or now < state.newest[1]:  # The gateway was restarted: its clock tells nothing.
        return not _is_decided(state, seen.at)
    at, heard = state.newest
    ahead = (seen.at - at) - (now - heard)
    return abs(ahead) <= rules.late_seconds + rules.pair_seconds + _DRIFT * (now - heard)


def _wait(state: PairState, seen: Seen, now: float) -> PairState:
    waiting = list(state.waiting)
    insort(waiting, seen)
    restarted = state.newest is None or now < state.newest[1]
    newest = (seen.at, now) if restarted or state.newest is None or seen.at >= state.newest[0] else state.newest
    return replace(state, waiting=tuple(waiting), newest=newest)


def _other_clock(state: PairState, trigger: Trigger, now: float, fresh: bool, rules: PairRules) -> Paired:
    """A trigger by a clock that is not the known one: a replay, or the clock began anew."""
    seen = Seen(trigger.at, trigger.sensor)
    dropped: tuple[Dropped, ...] = ()
    kept, since = state.kept, state.kept_since
    if kept and abs((seen.at - kept[0].at) - (now - since)) > rules.late_seconds + rules.pair_seconds:
        dropped, kept = _dropped(trigger, "replayed", len(kept)), ()
    if seen in kept or len(kept) == _MOST_KEPT:
        return Paired(state, (*dropped, *_dropped(trigger, "replayed")))
    since = since if kept and since <= now else now
    kept = (*kept, seen)
    if not fresh and now - since < rules.settle_seconds:
        return Paired(replace(state, kept=kept, kept_since=since), dropped)
    state = replace(_decide(state, float("inf"), rules), kept=(), decided=None, last=None, newest=None)
    for one in sorted(kept):
        state = _wait(state, one, now)
    return Paired(settle(state, now, rules), dropped)


def _decide(state: PairState, until: float, rules: PairRules) -> PairState:
    """Go through all triggers up to `until`, by the device's clock."""
    if _is_decided(state, until):
        return state
    due = [s for s in state.waiting if s.at <= until]
    opened, last = list(state.open), dict(state.last or {})
    ins, outs, unpaired = state.in_total, state.out_total, state.unpaired_total
    for seen in [*due, None]:
        oldest = (seen.at if seen else until) - rules.pair_seconds
        unpaired += sum(o.at < oldest for o in opened)
        opened = [o for o in opened if o.at >= oldest]
        if seen is None or seen.at - last.get(seen.sensor, float("-inf")) < rules.dead_seconds:
            continue
        last[seen.sensor] = seen.at
        if not opened or opened[0].sensor == seen.sensor:
            opened.append(seen)
        else:
            opened.pop(0)
            ins, outs = (ins + 1, outs) if seen.sensor == "inner" else (ins, outs + 1)
    return replace(
        state,
        in_total=ins, out_total=outs, unpaired_total=unpaired,
        open=tuple(opened), waiting=state.waiting[len(due) :], decided=until, last=last,
    )  # fmt: skip


def _dropped(trigger: Trigger, reason: str, count: int = 1) -> tuple[Dropped, ...]:
    return (Dropped(device=trigger.device, reason=reason, count=count),)
