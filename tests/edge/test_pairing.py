"""Pair logic: directions from the triggers of two sensors, in any order of arrival; and how often it is right."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_collector.counting.pairing import NoSharedClock, PairState, Sensor, begin, pair, settle
from edge_collector.counting.totals import count
from edge_collector.readings import Dropped, Trigger
from tests.benchmarks.pairing import judged, walk

Told = tuple[float, Sensor]
OUTER: Sensor = "outer"
INNER: Sensor = "inner"
GATEWAY = 5_000.0
"""What the gateway's clock shows when the device's shows 0."""


def trigger(at: float, sensor: Sensor, counter: int | None = None) -> Trigger:
    return Trigger(device="pair", sensor=sensor, at=at, counter=counter)


def run(told: Sequence[Told], state: PairState | None = None) -> PairState:
    state = state or begin("pair", "pair")
    for at, sensor in told:
        state, dropped = pair(state, trigger(at, sensor), GATEWAY + at)
        assert dropped == ()
    return settle(state, GATEWAY + told[-1][0] + 10)


def figures(state: PairState) -> tuple[int, int, int]:
    return state.in_total, state.out_total, state.unpaired_total


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([(1, OUTER), (1.4, INNER)], (1, 0, 0)),
        ([(1, INNER), (1.4, OUTER)], (0, 1, 0)),
        ([(1, OUTER)], (0, 0, 1)),
        ([(1, OUTER), (3, INNER)], (1, 0, 0)),
        ([(1, OUTER), (3.1, INNER)], (0, 0, 2)),
        ([(1, OUTER), (1.5, OUTER), (1.9, INNER), (2.3, INNER)], (2, 0, 0)),
        ([(1, OUTER), (1.1, INNER), (1.5, INNER), (1.6, OUTER)], (1, 1, 0)),
        ([(1, OUTER), (1.2, OUTER), (1.4, INNER)], (1, 0, 0)),
        ([(1, OUTER), (1.4, INNER), (5, INNER), (5.4, OUTER), (9, INNER)], (1, 1, 1)),
    ],
    ids=[
        "in", "out", "alone", "just in time", "too late", "one after the other", "meeting", "bounce", "in, out, alone"
    ],
)  # fmt: skip
def test_crossings(told: list[Told], expected: tuple[int, int, int]) -> None:
    assert figures(run(told)) == expected


def test_an_undecided_crossing_is_not_counted_yet_and_never_twice() -> None:
    state, _ = pair(begin("pair", "pair"), trigger(1, OUTER), GATEWAY + 1)
    assert figures(settle(state, GATEWAY + 2)) == (0, 0, 0)
    state, _ = pair(settle(state, GATEWAY + 2), trigger(1.5, INNER), GATEWAY + 2.1)
    assert figures(settle(settle(state, GATEWAY + 4), GATEWAY + 9)) == (1, 0, 0)


@pytest.mark.parametrize(("outer", "inner"), [("a", "b"), (None, None), ("a", None)])
def test_sensors_without_a_shared_clock_are_refused_with_the_reason(outer: str | None, inner: str | None) -> None:
    with pytest.raises(NoSharedClock, match=f"inner one's {inner or 'none'}; one shared clock is expected, because"):
        begin(outer, inner)


def test_the_running_totals_count_like_a_devices_own() -> None:
    state = begin("pair", "pair")
    counter, _ = count(None, state.totals("pair"), GATEWAY, unpaired_total=state.unpaired_total)
    state = run([(1, OUTER), (1.4, INNER), (8, OUTER)], state)
    counter, told = count(counter, state.totals("pair"), GATEWAY + 60, unpaired_total=state.unpaired_total)
    assert told == ()
    assert counter is not None
    assert (counter.settled.ins, counter.settled.outs, counter.unpaired) == (1, 0, (1, 0))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(300, 4_000), st.sampled_from([OUTER, INNER])), min_size=1, max_size=40),
    st.data(),
)
def test_late_and_doubled_frames_change_nothing(steps: list[tuple[int, Sensor]], data: st.DataObject) -> None:
    told, at = [], 0.0
    for milliseconds, sensor in steps:
        at += milliseconds / 1000
        told.append((at, sensor))
    delays = data.draw(st.lists(st.floats(0, 0.9), min_size=len(told), max_size=len(told)))
    again = data.draw(st.lists(st.booleans(), min_size=len(told), max_size=len(told)))
    arrivals = [(at + delay, at, sensor) for (at, sensor), delay in zip(told, delays, strict=True)]
    arrivals += [(when + 0.5, at, sensor) for (when, at, sensor), twice in zip(arrivals, again, strict=True) if twice]
    state = begin("pair", "pair")
    # The first frame tells how the clocks stand, so that it must not be the late one.
    for when, at, sensor in [(told[0][0], *told[0]), *sorted(arrivals)]:
        state, _ = pair(PairState.from_json(state.to_json()), trigger(at, sensor), GATEWAY + when)
    assert figures(settle(state, GATEWAY + at + 10)) == figures(run(told))


@pytest.mark.parametrize("counters", [False, True], ids=["plain", "encrypted"])
def test_a_recording_beside_the_living_device_counts_nobody(counters: bool) -> None:
    state, said, dropped = begin("pair", "pair"), [], 0
    for person in range(200):
        for n, sensor in enumerate((OUTER, INNER)):
            at = person * 10 + n * 0.4
            said.append(trigger(at, sensor, 2 * person + n if counters else None))
            state, told = pair(state, said[-1], GATEWAY + at)
            dropped += sum(d.count for d in told)
        if person >= 100:
            for replayed in said[2 * (person - 100) : 2 * (person - 100) + 2]:
                state, told = pair(state, replayed, GATEWAY + person * 10 + 5)
                dropped += sum(d.count for d in told)
    state = settle(state, GATEWAY + 5_000)
    assert figures(state) == (200, 0, 0)
    assert dropped + len(state.kept) == 200


@pytest.mark.parametrize("counters", [False, True], ids=["plain", "encrypted"])
def test_a_clock_that_begins_anew_loses_nobody(counters: bool) -> None:
    state = run([(1_000, OUTER), (1_000.4, INNER)])
    counter = 0
    for person in range(12):
        for n, sensor in enumerate((OUTER, INNER)):
            at, counter = person * 10 + n * 0.4, counter + 1
            state, told = pair(state, trigger(at, sensor, counter if counters else None), GATEWAY + 2_000 + at)
            assert told == ()
    assert figures(settle(state, GATEWAY + 9_000)) == (13, 0, 0)


def test_a_gateway_that_restarts_goes_on() -> None:
    state = run([(1_000, OUTER), (1_000.4, INNER)])
    state = PairState.from_json(state.to_json())
    for at, sensor in ((1_100, OUTER), (1_100.4, INNER)):
        state, told = pair(state, trigger(at, sensor), at - 1_090)
        assert told == ()
    assert figures(settle(state, 60)) == (2, 0, 0)


def test_a_plain_trigger_of_a_device_that_encrypts_is_none_of_it() -> None:
    state, _ = pair(begin("pair", "pair"), trigger(1, OUTER, 7), GATEWAY)
    after, told = pair(state, trigger(2, INNER), GATEWAY + 1)
    assert after == state
    assert told == (Dropped(device="pair", reason="downgraded"),)


@pytest.mark.parametrize(("per_minute", "least"), [(2, 0.95), (10, 0.90)])
def test_walkers_are_counted_in_their_direction(per_minute: float, least: float) -> None:
    """The benchmark in small, always with the same walkers."""
    assert judged(walk(3_000, per_minute, 0.3, seed=4)).right.value >= least


def test_half_a_second_between_the_clocks_turns_one_direction_round() -> None:
    result = judged(walk(2_000, 2, 0.3, seed=4), offset=0.5)
    assert result.counted > 0.95
    assert result.right_out.value < 0.15
