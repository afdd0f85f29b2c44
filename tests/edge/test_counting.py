"""Counting from running totals: nothing that happens to frames invents a visitor, and nothing loses one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from edge_collector.counting.totals import CounterState, Counts, EpochOpened, close_interval, count
from edge_collector.readings import Dropped, Totals
from tests.edge.lived_device import MIDNIGHT, RULES, SETTLED, Device, Gateway


def one_gateway(*, encrypted: bool = False) -> tuple[Device, Gateway]:
    gateway = Gateway(Random(0))
    device = Device(encrypted, [gateway], in_total=500, out_total=480, packet_id=170, counter=9_000)
    device.live(3)
    return device, gateway


both = pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])


@both
def test_the_first_frame_is_the_baseline_and_rises_count_at_once(encrypted: bool) -> None:
    device, gateway = one_gateway(encrypted=encrypted)
    gateway.close(device.now)
    device.walk(3, 1)
    device.live(1)
    gateway.close(device.now)
    assert gateway.landed == [Counts(1, 0, 0, 500, 480), Counts(1, 3, 1, 503, 481)]
    assert gateway.told == []


def test_an_interval_in_which_nothing_was_heard_has_no_record() -> None:
    device, gateway = one_gateway()
    gateway.close(device.now)
    gateway.close(device.now + 60)
    device.live(1)
    gateway.close(device.now + 120)
    assert len(gateway.landed) == 2


def test_an_interval_ends_after_its_start_whatever_the_wall_clock_does() -> None:
    state = count(None, Totals(device="d", in_total=1), 0).state
    assert state is not None
    _, (interval,) = close_interval(state, MIDNIGHT, 60.5)
    assert interval.interval_end - interval.interval_start == timedelta(seconds=60.5)
    for start, seconds in ((MIDNIGHT, 0), (MIDNIGHT, -3600), (datetime(2026, 1, 1), 60)):
        with pytest.raises(ValueError, match="aware start and some time"):
            close_interval(state, start, seconds)


def test_a_sensor_of_one_direction_has_no_outs() -> None:
    state = count(None, Totals(device="d", in_total=7), 0).state
    state = count(state, Totals(device="d", in_total=9), 1).state
    assert state is not None
    assert close_interval(state, datetime(2026, 1, 1, tzinfo=UTC), 60)[1][0].counts == Counts(1, 2, None, 9, None)


@both
@pytest.mark.parametrize("swap", [False, True], ids=["reboot", "new battery"])
def test_a_reset_opens_an_epoch_whose_totals_all_count(encrypted: bool, swap: bool) -> None:
    device, gateway = one_gateway(encrypted=encrypted)
    device.walk(3)
    device.live(2)
    device.reboot(swap=swap)
    device.live(2)
    device.walk(2, 1)
    device.live(SETTLED)
    assert gateway.counted == (5, 1)
    assert [(e.epoch, e.device) for e in gateway.epochs()] == [(2, "door")]
    gateway.close(device.now)
    assert [(c.device_epoch, c.in_count, c.in_total) for c in gateway.landed] == [(1, 3, 503), (2, 2, 2)]


def test_an_authentic_newer_frame_is_believed_at_once_when_totals_fall() -> None:
    device, gateway = one_gateway(encrypted=True)
    device.reboot(swap=False)
    device.walk(1)
    device.live(1)
    assert gateway.counted == (1, 0)
    assert gateway.epochs() == [EpochOpened("door", 2, "in 500 to 1, out 480 to 0; counted since zero")]


@both
@pytest.mark.parametrize("seconds", [3, 40, 400])
def test_a_recorded_hour_beside_the_living_device_changes_nothing(encrypted: bool, seconds: int) -> None:
    device, gateway = one_gateway(encrypted=encrypted)
    for _ in range(100):
        device.walk(1)
        device.live(2)
    for part in range(4):
        device.walk(5, 2)
        device.live(seconds, slice(part * 20, 100))
    assert gateway.counted == (120, 8)
    assert gateway.epochs() == []
    assert gateway.dropped("replayed") + gateway.dropped("reordered") >= 80


@both
@pytest.mark.parametrize("outages", [1, 2])
def test_a_recording_that_goes_on_after_nobody_was_heard_changes_nothing(encrypted: bool, outages: int) -> None:
    device, gateway = one_gateway(encrypted=encrypted)
    for _ in range(40):
        device.walk(1)
        device.live(2)
    recorded = gateway.heard[10:50]
    for outage in range(outages + 1):
        for frame in recorded[outage * 10 : (outage + 1) * 10]:
            gateway.hear(device.now, frame)
        if outage < outages:
            device.now += 400  # the adapter was unplugged
    device.walk(3)
    device.live(SETTLED)
    assert gateway.counted == (43, 0)
    assert gateway.epochs() == []


@both
def test_a_reset_is_found_of_a_device_that_is_heard_seldom(encrypted: bool) -> None:
    device, gateway = one_gateway(encrypted=encrypted)
    device.reboot(swap=True)
    device.walk(2)
    for _ in range(6):
        device.now += 3 * RULES.settle_seconds
        device.heard_for_certain()
    assert gateway.counted == (2, 0)
    assert [e.epoch for e in gateway.epochs()] == [2]


@both
def test_frames_of_an_earlier_run_cannot_continue_a_new_one(encrypted: bool) -> None:
    gateway = Gateway(Random(0))
    device = Device(encrypted, [gateway])
    for _ in range(60):
        device.walk(1)
        device.live(1)
    recorded = slice(len(gateway.heard))
    device.reboot(swap=True)
    device.live(SETTLED)
    device.walk(1)
    device.live(SETTLED)
    device.live(30, recorded)
    assert gateway.counted == (59 + 1, 0)
    device.walk(2)
    device.live(SETTLED)
    assert gateway.counted == (59 + 3, 0)
    assert [e.epoch for e in gateway.epochs()] == [2]


def test_a_plain_frame_of_a_device_that_encrypts_is_no_frame_of_it() -> None:
    device, gateway = one_gateway(encrypted=True)
    before = gateway.state
    gateway.hear(device.now, Totals(device="door", in_total=900, out_total=900, packet_id=1))
    assert gateway.state == before
    assert gateway.told == [Dropped(device="door", reason="downgraded")]


def test_negative_totals_are_refused() -> None:
    device, gateway = one_gateway()
    gateway.hear(device.now, Totals(device="door", in_total=-1, out_total=3))
    assert gateway.dropped("negative_total") == 1


def test_a_glitch_counts_nobody() -> None:
    device, gateway = one_gateway()
    gateway.hear(device.now, Totals(device="door", in_total=65_535, out_total=480, packet_id=device.packet_id))
    device.walk(1)
    device.live(SETTLED)
    assert gateway.counted == (1, 0)
    assert gateway.epochs() == []


def test_totals_that_stay_implausible_are_a_new_baseline() -> None:
    device, gateway = one_gateway()
    device.in_total += 60_000
    device.live(SETTLED)
    device.walk(1)
    device.live(SETTLED)
    assert gateway.counted == (1, 0)
    assert "not counted" in gateway.epochs()[0].detail


def test_after_hours_without_reception_the_rise_counts() -> None:
    device, gateway = one_gateway()
    device.now += 36_000
    device.in_total += 8_000
    device.packet_id += 150
    device.live(1)
    assert gateway.counted == (8_000, 0)


@both
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_a_wrap_goes_on_counting(encrypted: bool, bits: int) -> None:
    gateway = Gateway(Random(0))
    device = Device(encrypted, [gateway], in_total=2**bits - 3, out_total=40)
    device.live(2)
    for _ in range(5):
        device.walk(1)
        device.in_total %= 2**bits
        device.live(1)
    device.live(SETTLED)
    gateway.close(device.now)
    assert gateway.epochs() == []
    assert gateway.counted == (5, 0)
    assert gateway.landed[-1].in_total == 2**bits + 2


def test_unpaired_triggers_are_counted_beside() -> None:
    state = count(None, Totals(device="d", in_total=0, out_total=0), 0, unpaired_total=4).state
    state = count(state, Totals(device="d", in_total=1, out_total=0), 1, unpaired_total=6).state
    assert state is not None
    state, (interval,) = close_interval(state, MIDNIGHT, 60)
    assert (interval.counts.in_count, interval.counts.unpaired_count) == (1, 2)


def test_a_crash_while_a_reset_waits_changes_nothing() -> None:
    device, gateway = one_gateway()
    device.reboot(swap=True)
    device.walk(2)
    device.live(6)
    gateway.crash(device.now)
    device.live(SETTLED)
    assert gateway.counted == (2, 0)


SAID = 2.0
"""Seconds between two frames in the cases below; a device is believed after `RULES.settle_seconds`, which are 10."""


def say(gateway: Gateway, now: float, *, ins: int, outs: int = 0, number: int, encrypted: bool = False) -> None:
    packet_id, counter = (None, number) if encrypted else (number % 256, None)
    gateway.hear(now, Totals(device="door", in_total=ins, out_total=outs, packet_id=packet_id, counter=counter))


def reset_once() -> Gateway:
    """A plain device that is at (8, 4) since it was reset at (31, 19), by now 100 s ago."""
    gateway = Gateway(Random(0))
    for now in range(0, 30, 2):
        say(gateway, now, ins=31, outs=19, number=28)
    for now in range(30, 60, 2):
        say(gateway, now, ins=0, number=0)
    for now in range(60, 130, 2):
        say(gateway, now, ins=8, outs=4, number=7)
    assert gateway.counted == (8, 4)
    return gateway


@pytest.mark.parametrize("zeros", [1, 2], ids=["said once", "said twice"])
@pytest.mark.parametrize("killed", [False, True], ids=["a run", "a kill"])
def test_a_living_device_does_not_continue_a_replayed_zero(zeros: int, killed: bool) -> None:
    """The earlier run is replayed beside the living device, its end first, then the zero of its beginning."""
    gateway = reset_once()
    say(gateway, 130, ins=29, outs=17, number=26)
    say(gateway, 133, ins=8, outs=4, number=7)
    if killed:
        gateway.crash(133.5)
    say(gateway, 134, ins=31, outs=19, number=28)
    for now in range(137, 137 + zeros):
        say(gateway, now, ins=0, number=0)
        say(gateway, now + 0.5, ins=9, outs=5, number=8)
    for n in range(20):
        say(gateway, 139 + n * SAID, ins=10 + n, outs=5, number=9 + n)
        assert gateway.counted[0] <= 10 + n
        assert gateway.counted[1] <= 5
    for n in range(20):
        say(gateway, 180 + n * SAID, ins=29, outs=5, number=28)
    assert gateway.counted == (29, 5)
    assert [e.epoch for e in gateway.epochs()] == [2]


def test_what_the_living_device_denied_is_not_counted_when_it_is_reset() -> None:
    gateway = reset_once()
    say(gateway, 130, ins=29, outs=17, number=26)
    say(gateway, 133, ins=9, outs=5, number=8)
    for n in range(20):
        say(gateway, 135 + n * SAID, ins=0, number=0)
    assert gateway.counted[0] <= 9
    assert gateway.counted[1] <= 5


def test_a_replay_that_was_denied_before_a_kill_is_not_counted_when_the_device_is_reset_meanwhile() -> None:
    gateway = reset_once()
    say(gateway, 130, ins=29, outs=17, number=26)
    assert gateway.state is not None
    kept = gateway.state  # What nobody passed since is not written.
    say(gateway, 133, ins=8, outs=4, number=7)
    gateway.state = kept
    gateway.crash(134)
    for n in range(20):
        say(gateway, 135 + n * SAID, ins=0, number=0)
    assert gateway.counted[0] <= 8
    assert gateway.counted[1] <= 4


@both
def test_a_device_that_is_swapped_again_soon_has_counted(encrypted: bool) -> None:
    gateway = Gateway(Random(0))
    now = 0.0

    def live(seconds: float, ins: int, first: int) -> None:
        nonlocal now
        for n in range(int(seconds / SAID)):
            say(gateway, now, ins=ins, number=first + n if encrypted else ins, encrypted=encrypted)
            now += SAID

    live(30, 6, 100)
    for _ in range(2):
        live(16, 0, 0)
        live(14, 5, 8)
    live(50, 5, 15)
    assert gateway.counted == (10, 0)


def test_an_encrypted_frame_that_was_heard_before_a_kill_is_no_news_after_it() -> None:
    gateway = Gateway(Random(0))
    for n in range(8):
        say(gateway, n * SAID, ins=6, number=100 + n, encrypted=True)
    assert gateway.kept is not None
    assert gateway.kept.counter == 100  # the others were not worth a write
    gateway.crash(17)
    for n in range(20):
        say(gateway, 20 + n * SAID, ins=0, number=n, encrypted=True)  # it got a new battery meanwhile
    for n in range(20):
        say(gateway, 60 + n * SAID, ins=6, number=100 + n % 8, encrypted=True)
        say(gateway, 61 + n * SAID, ins=0, number=20 + n, encrypted=True)
    assert gateway.counted == (0, 0)
    assert [e.epoch for e in gateway.epochs()] == [2]


def test_an_encrypted_device_is_believed_at_once_again_soon_after_a_kill() -> None:
    gateway = Gateway(Random(0))
    say(gateway, 0, ins=6, number=100, encrypted=True)
    gateway.crash(1)
    for n in range(12):
        say(gateway, 2 + n / 10, ins=7 + n, number=101 + n, encrypted=True)
    assert gateway.counted == (12, 0)


def test_of_sixteen_encrypted_frames_one_is_written() -> None:
    gateway, written = Gateway(Random(0)), set()
    for n in range(160):
        say(gateway, n, ins=6, number=n, encrypted=True)
        assert gateway.kept is not None
        written.add(gateway.kept.counter)
    assert len(written) == 10


def test_states_survive_as_json() -> None:
    device, gateway = one_gateway()
    device.reboot(swap=True)
    device.live(3)
    assert gateway.state is not None
    assert gateway.state.rival is not None
    assert CounterState.from_json(gateway.state.to_json()) == gateway.state
