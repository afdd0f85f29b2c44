"""Counting through any life of a device: badly heard, recorded and replayed, rebooted and given new batteries."""

from __future__ import annotations

from random import Random

from hypothesis import event, given, settings
from hypothesis import strategies as st

from edge_collector.counting.totals import close_interval, count
from edge_collector.counting.voices import Rules
from edge_collector.readings import Totals
from tests.edge.lived_device import MIDNIGHT, SETTLED, Device, Gateway

people = st.integers(0, 6)
orderly = st.one_of(
    st.tuples(st.just("walk"), people, people),
    st.tuples(st.just("live"), st.integers(1, 30)),
    st.tuples(st.just("close")),
    st.tuples(st.just("crash")),
    st.tuples(st.just("replay"), st.floats(0, 1), st.integers(1, 60), st.integers(1, 40)),
    st.tuples(st.just("reset"), st.booleans(), st.booleans()),
)
gateways = st.lists(st.tuples(st.integers(0, 2**16), st.sampled_from([0.0, 0.3, 0.7])), min_size=1, max_size=2)


def begin(encrypted: bool, lucks: list[tuple[int, float]], before: int) -> Device:
    device = Device(encrypted, [Gateway(Random(seed), loss) for seed, loss in lucks])
    device.in_total = device.out_total = before
    device.heard_for_certain()
    return device


def step(device: Device, action: tuple[str, ...], *, kind: str) -> None:
    """`kind` is what the device does around a reset: `orderly` ones are heard before and after it."""
    name, *rest = action
    if name == "walk":
        device.walk(int(rest[0]), int(rest[1]))
    elif name == "live":
        device.live(int(rest[0]))
    elif name == "close":
        for gateway in device.gateways:
            gateway.close(device.now)
    elif name == "crash":
        for gateway in device.gateways:
            gateway.crash(device.now)
    elif name == "replay":
        # Beside the living device: it was heard before, and is still there when the recording ends.
        device.heard_for_certain()
        first = int(float(rest[0]) * min(len(gateway.heard) for gateway in device.gateways))
        device.live(int(rest[2]), slice(first, first + int(rest[1])))
        device.live(SETTLED)
    elif name == "reset":
        if kind == "orderly":
            # A rise counts at once before the first reset; after it, it may have to wait.
            device.heard_for_certain()
            if device.resets:
                device.live(SETTLED)
        device.reboot(swap=bool(rest[0]))
        if kind == "orderly":
            device.live(SETTLED)
        elif rest[1]:
            device.live(2)


@settings(max_examples=150, deadline=None)
@given(st.booleans(), gateways, st.integers(0, 5), st.lists(orderly, max_size=25))
def test_what_is_heard_before_and_after_each_reset_is_counted_exactly(
    encrypted: bool, lucks: list[tuple[int, float]], before: int, actions: list[tuple[str, ...]]
) -> None:
    device = begin(encrypted, lucks, before)
    for action in actions:
        step(device, action, kind="orderly")
        for gateway in device.gateways:
            ins, outs = gateway.counted
            assert ins <= device.came
            assert outs <= device.left
    device.live(2 * SETTLED)
    for gateway in device.gateways:
        assert gateway.counted == (device.came, device.left)
        event(f"epochs {len(gateway.epochs()) + 1}")


@settings(max_examples=150, deadline=None)
@given(st.booleans(), gateways, st.integers(0, 5), st.lists(orderly, max_size=25))
def test_nothing_is_ever_invented(
    encrypted: bool, lucks: list[tuple[int, float]], before: int, actions: list[tuple[str, ...]]
) -> None:
    """Also when resets come in quick succession and unheard."""
    device = begin(encrypted, lucks, before)
    for action in actions:
        step(device, action, kind="wild")
        for gateway in device.gateways:
            ins, outs = gateway.counted
            assert ins <= device.came
            assert outs <= device.left


@settings(max_examples=300, deadline=None)
@given(st.lists(st.builds(
    Totals, device=st.just("d"), in_total=st.integers(-2, 2**33), out_total=st.none() | st.integers(-2, 2**33),
    packet_id=st.none() | st.integers(0, 255), counter=st.none() | st.integers(0, 2**32 - 1),
), max_size=40), st.lists(st.floats(-10, 1000), min_size=40, max_size=40))  # fmt: skip
def test_any_frames_give_records_that_prove_themselves(frames: list[Totals], waits: list[float]) -> None:
    """Per epoch, what the totals grew by is what the intervals sum up to; no count is negative."""
    state, at, landed = None, 0.0, []
    for frame, wait in zip(frames, waits, strict=False):
        at += wait
        state, _ = count(state, frame, at, Rules(settle_seconds=5))
        if state is not None and wait > 300:
            state, intervals = close_interval(state, MIDNIGHT, 60)
            landed += [i.counts for i in intervals]
    if state is not None:
        landed += [i.counts for i in close_interval(state, MIDNIGHT, 60)[1]]
    for epoch in {c.device_epoch for c in landed}:
        rows = [c for c in landed if c.device_epoch == epoch]
        assert rows[-1].in_total - (rows[0].in_total - rows[0].in_count) == sum(r.in_count for r in rows)
        for r in rows:
            assert 0 <= r.in_count <= r.in_total
            assert r.out_count is None or (r.out_total is not None and 0 <= r.out_count <= r.out_total)
