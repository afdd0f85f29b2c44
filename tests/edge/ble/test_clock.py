"""Clocks: sleepers of the virtual one wake at their moments, its wall clock jumps; the real one can be asked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from edge_collector import clock
from edge_collector.clock import Clock, SystemClock
from edge_collector.sources import Backoff
from edge_collector.testing.clock import VirtualClock


def test_sleepers_wake_in_order_and_at_their_moments() -> None:
    async def scenario() -> list[tuple[str, float]]:
        virtual, woken = VirtualClock(), []

        async def sleeper(name: str, *naps: float) -> None:
            for nap in naps:
                await virtual.sleep(nap)
                woken.append((name, virtual.monotonic()))

        tasks = [asyncio.create_task(sleeper(*each)) for each in (("a", 5, 5), ("b", 3, 0, 4), ("c", 100))]
        await virtual.advance(10)
        tasks[2].cancel()
        await virtual.advance(200)
        assert (virtual.sleepers, virtual.monotonic()) == (0, 210)
        return woken

    assert asyncio.run(scenario()) == [("b", 3), ("b", 3), ("a", 5), ("b", 7), ("a", 10)]


def test_the_wall_clock_jumps_and_the_monotonic_one_does_not() -> None:
    virtual: Clock = (stepped := VirtualClock(datetime(2026, 3, 29, 0, 59, tzinfo=UTC)))
    stepped.step(-3600)
    assert (virtual.now(), virtual.monotonic()) == (datetime(2026, 3, 28, 23, 59, tzinfo=UTC), 0)
    asyncio.run(stepped.advance(60))
    assert (virtual.now(), virtual.monotonic()) == (datetime(2026, 3, 29, 0, 0, tzinfo=UTC), 60)
    stepped.lose_sync()
    assert not virtual.synced()
    stepped.sync()
    assert (virtual.now(), virtual.synced()) == (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), True)


def test_waiting_doubles_up_to_a_limit_and_begins_again() -> None:
    async def scenario() -> list[float]:
        virtual, waits = VirtualClock(), []
        backoff = Backoff(virtual, first=1.0, longest=8.0)
        for attempt in range(7):
            if attempt == 6:
                backoff.reset()
            before = virtual.monotonic()
            waiting = asyncio.create_task(backoff.wait())
            while not waiting.done():
                await virtual.advance(0.1)
            waits.append(virtual.monotonic() - before)
        return waits

    for wait, longest in zip(asyncio.run(scenario()), (1, 2, 4, 8, 8, 8, 1), strict=True):
        assert longest / 2 <= wait < longest + 0.2


def test_the_systems_clock() -> None:
    real = SystemClock()
    assert abs(real.now() - datetime.now(UTC)) < timedelta(seconds=5)
    before = real.monotonic()
    asyncio.run(real.sleep(0))
    assert real.monotonic() >= before
    assert real.synced() in (True, False)


@pytest.mark.parametrize(
    ("platform", "answer", "synced"),
    [
        ("linux", 0, True),
        ("linux", 1, True),  # a leap second is coming
        ("linux", 5, False),
        ("linux", -1, False),  # forbidden
        ("darwin", 5, True),
    ],
)
def test_the_kernel_is_asked_whether_the_clock_is_synced(
    monkeypatch: pytest.MonkeyPatch, platform: str, answer: int, synced: bool
) -> None:
    class Kernel:
        @staticmethod
        def adjtimex(_timex: object) -> int:
            return answer

    monkeypatch.setattr(clock.sys, "platform", platform)
    monkeypatch.setattr(clock, "_library", lambda: Kernel)
    assert SystemClock().synced() is synced


def test_the_clock_needs_no_bumble_and_the_radio_says_where_to_get_it() -> None:
    program = (
        "import sys; sys.modules['bumble'] = None\n"
        "import edge_collector.testing.clock\n"
        "try: import edge_collector.testing.devices\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "the virtual radio needs bumble; run: pip install 'venue-assets[testing]'\n"
