"""Event dates and local time, on the days on which clocks change too."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_collector.event_time import event_date, event_date_spans, rfc_3339, to_instant

ZONES = st.sampled_from(
    [
        "Europe/Berlin",
        "America/New_York",
        "Asia/Shanghai",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "America/Santiago",
        "UTC",
    ]
)
STARTS = st.sampled_from([time(0), time(2, 30), time(4), time(23, 59)])


@settings(deadline=None)
@given(st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31)), ZONES, STARTS)
def test_an_instant_lies_in_the_spans_of_its_event_date_and_of_no_other(
    at: datetime, zone: str, day_starts_at: time
) -> None:
    instant = at.replace(tzinfo=UTC, microsecond=0)
    day = event_date(instant, zone, day_starts_at)
    for back in (-1, 0, 1):
        spans = event_date_spans(day + timedelta(days=back), zone, day_starts_at)
        inside = [s for s in spans if s.starts_at <= instant < s.ends_at]
        assert len(inside) == (back == 0)
        for span in inside:
            local = (instant + span.utc_offset).replace(tzinfo=None)
            assert (local - timedelta(hours=day_starts_at.hour, minutes=day_starts_at.minute)).date() == day


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        (date(2026, 3, 28), "Europe/Berlin", 23),  # 28 March 04:00 to 29 March 04:00, clocks go forward at 02:00
        (date(2026, 10, 24), "Europe/Berlin", 25),
        (date(2026, 1, 5), "Europe/Berlin", 24),
        (date(2026, 4, 4), "Australia/Lord_Howe", 24.5),
        (date(2026, 10, 3), "Australia/Lord_Howe", 23.5),
    ],
)
def test_how_long_an_event_date_is(day: date, zone: str, hours: float) -> None:
    spans = event_date_spans(day, zone, time(4))
    assert sum((s.ends_at - s.starts_at for s in spans), timedelta()) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("local", "instant", "resolution"),
    [
        ("2026-01-05T10:00", "2026-01-05T09:00+00:00", "exact"),
        ("2026-10-25T02:30", "2026-10-25T00:30+00:00", "ambiguous"),
        ("2026-03-29T02:30", "2026-03-29T01:30+00:00", "nonexistent"),
    ],
)
def test_what_a_local_time_means(local: str, instant: str, resolution: str) -> None:
    found = to_instant(datetime.fromisoformat(local), "Europe/Berlin")
    assert found == (datetime.fromisoformat(instant), resolution)


def test_a_time_that_does_not_exist_moves_forward_by_the_gap() -> None:
    instant, _ = to_instant(datetime(2026, 3, 29, 2, 30), "Europe/Berlin")
    assert rfc_3339(instant, "Europe/Berlin") == "2026-03-29T03:30:00.000+02:00"
