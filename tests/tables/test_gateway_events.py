"""What the checks of gateway_events tell: who is silent since when, and whose clock was set."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_collector.segment import write_segment
from tests.conftest import compute, upstream
from tests.experiments.lab import make_home
from venue_assets.lake.engine import CheckResult

DAY = date(2026, 1, 8)
OPENS = datetime(2026, 1, 8, 3, tzinfo=UTC)  # 04:00 in Berlin
BEAT = timedelta(minutes=5)
Event = tuple[timedelta, str, str | None, int]


def beats(first: timedelta = timedelta(), last: timedelta = timedelta(hours=24) - BEAT) -> list[Event]:
    return [(first + n * BEAT, "heartbeat", "sim_riverside", 0) for n in range((last - first) // BEAT + 1)]


def told(root: Path, events: list[Event]) -> dict[str, CheckResult]:
    home = make_home(root)
    lines = []
    for seq, (after, kind, subject, value) in enumerate(events):
        record: dict[str, Any] = {
            "gateway_id": "sim_riverside", "boot_id": "b", "seq": seq, "venue_id": "riverside",
            "device_id": "gateway", "recorded_at": (OPENS + after).isoformat(), "clock": "synced",
            "kind": kind, "subject": subject, "value": value, "detail": None,
        }  # fmt: skip
        lines.append(json.dumps(record).encode())
    write_segment(
        home.landing, stream="gateway_events", event_date=DAY, gateway_id="sim_riverside", boot_id="b",
        lines=lines, seqs=range(len(lines)), created_at=OPENS + timedelta(days=1),
    )  # fmt: skip
    computed = compute(home, DAY, tables=upstream("gateway_events"))
    (own,) = (c for c in computed if c.table.name == "gateway_events")
    return {check.name: check for check in own.checks}


def test_a_gateway_that_beats_all_day_is_not_silent(tmp_path: Path) -> None:
    check = told(tmp_path, beats())["gateways_speak"]
    assert check.passed
    assert check.figures == {"gateways": 1, "silences": 0, "longest_seconds": 0, "silent_since": None}


def test_a_gateway_that_stopped_is_silent_since_its_last_heartbeat(tmp_path: Path) -> None:
    check = told(tmp_path, beats(last=timedelta(hours=10)))["gateways_speak"]
    assert not check.passed
    assert check.figures["silent_since"] == "sim_riverside since 2026-01-08 13:00:00 UTC"
    assert check.figures["longest_seconds"] == 14 * 3600


def test_a_silence_in_between_is_told_too(tmp_path: Path) -> None:
    hour = timedelta(hours=1)
    check = told(tmp_path, beats(last=9 * hour) + beats(first=10 * hour))["gateways_speak"]
    assert not check.passed
    assert check.figures == {"gateways": 1, "silences": 1, "longest_seconds": 3600, "silent_since": None}


@pytest.mark.parametrize(
    ("device", "seconds", "silent"),
    [
        pytest.param("entrance", 900, False, id="a counter, a quarter of an hour"),
        pytest.param("entrance", 901, True, id="a counter, longer"),
        pytest.param("terminal", 86_400, False, id="a terminal, a day"),
        pytest.param("terminal", 86_401, True, id="a terminal, longer"),
    ],
)
def test_a_device_is_silent_since_it_was_heard_last(tmp_path: Path, device: str, seconds: int, silent: bool) -> None:
    at = timedelta(hours=20)
    heard_before: Event = (at - BEAT, "heartbeat", device, 100_000)
    check = told(tmp_path, [*beats(), heard_before, (at, "heartbeat", device, seconds)])["devices_speak"]
    assert check.passed is not silent
    assert (check.figures["devices"], check.figures["silent_devices"]) == (1, int(silent))
    if silent:
        since = (OPENS + at - timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")
        assert check.figures["silent_since"] == f"riverside/{device} since {since} UTC"


def test_a_clock_that_was_set_is_told(tmp_path: Path) -> None:
    small: Event = (timedelta(hours=1), "clock_step", "", 1999)
    assert told(tmp_path / "small", [*beats(), (*small[:2], None, small[3])])["clocks_hold"].passed
    check = told(tmp_path / "large", [*beats(), (timedelta(hours=1), "clock_step", None, -3_600_000)])["clocks_hold"]
    assert not check.passed
    assert check.figures["clock_stepped"] == "sim_riverside by -3600000 ms at 2026-01-08 04:00:00 UTC"
