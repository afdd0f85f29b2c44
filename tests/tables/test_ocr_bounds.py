"""`ocr_low` and `ocr_high`: what OCR can have been, as far as the sensors' accuracy is stated."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from edge_collector.segment import write_segment
from tests.conftest import compute, rows
from venue_assets.home import Home
from venue_assets.methods.counted_share import counted_share

DAY = date(2026, 1, 5)
NORTH, SOUTH, ENTRANCE = "boundary_north", "boundary_south", "entrance"
PASSED = {NORTH: 300, SOUTH: 200, ENTRANCE: 100}
COUNTED = {NORTH: (190, 200), SOUTH: (96, 100), ENTRANCE: (412, 430)}


def figures(home: Home, given: dict[str, str]) -> dict[str, Any]:
    """The primary metrics of a date on which people passed at ten, with these lines added to devices of the site."""
    path = home.root / "site.toml"
    text = path.read_text()
    for device, lines in given.items():
        text = text.replace(f'id = "{device}"\n', f'id = "{device}"\n{lines}\n', 1)
    path.write_text(text)
    for stream in ("boundary_counts", "entrance_counts"):
        devices = [d for d in PASSED if d.startswith("boundary") == (stream == "boundary_counts")]
        records = [_record(seq, device, PASSED[device]) for seq, device in enumerate(devices)]
        write_segment(
            home.landing, stream=stream, event_date=DAY, gateway_id="sim_riverside", boot_id="b", lines=records,
            seqs=list(range(len(records))), created_at=datetime(2026, 1, 6, tzinfo=UTC),
        )  # fmt: skip
    compute(Home(home.root), DAY)
    (hour,) = [r for r in rows(home, "hourly_metrics", DAY) if r["venue_id"] == "riverside" and r["hour"] == 10]
    (day,) = [r for r in rows(home, "primary_metrics", DAY) if r["venue_id"] == "riverside"]
    assert [day[n] for n in ("ocr", "ocr_low", "ocr_high")] == [hour[n] for n in ("ocr", "ocr_low", "ocr_high")]
    return day


def _record(seq: int, device: str, people: int) -> bytes:
    import json

    at = "2026-01-05T10:00:00.000+01:00"
    return json.dumps({
        "gateway_id": "sim_riverside", "boot_id": "b", "seq": seq, "venue_id": "riverside", "device_id": device,
        "recorded_at": at, "clock": "synced", "interval_start": at, "interval_end": at.replace("10:00:", "10:01:"),
        "in_count": people, "out_count": 0, "unpaired_count": 0, "in_total": people, "out_total": 0, "device_epoch": 1,
    }).encode()  # fmt: skip


def manual(device: str) -> str:
    return "manual_count = {{counted = {}, true = {}}}".format(*COUNTED[device])


def test_each_sensor_at_the_ends_of_its_interval(home: Home) -> None:
    row = figures(home, {device: manual(device) for device in PASSED})
    people = {d: [PASSED[d] / share for share in reversed(counted_share(*COUNTED[d]))] for d in PASSED}
    least, most = [people[NORTH][end] + people[SOUTH][end] for end in (0, 1)]
    assert row["ocr"] == 0.2
    assert (row["ocr_low"], row["ocr_high"]) == pytest.approx((people[ENTRANCE][0] / most, people[ENTRANCE][1] / least))
    assert row["ocr_low"] < 100 / (412 / 430) / (300 / 0.95 + 200 / 0.96) < row["ocr_high"]


def test_a_measured_accuracy_counts_as_stated(home: Home) -> None:
    exact = "accuracy = {low = 1, high = 1}"
    row = figures(home, {NORTH: exact, SOUTH: exact, ENTRANCE: "accuracy = {low = 0.8, high = 0.9}"})
    assert (row["ocr_low"], row["ocr_high"]) == pytest.approx((0.2 / 0.9, 0.2 / 0.8))


def test_a_share_of_passages_is_taken_of_both_ends(home: Home) -> None:
    exact = "accuracy = {low = 1, high = 1}"
    passages = 'counting = "passages"\nin_share = 0.5\naccuracy = {low = 0.8, high = 0.9}'
    row = figures(home, {NORTH: exact, SOUTH: exact, ENTRANCE: passages})
    assert (row["ocr_low"], row["ocr_high"]) == pytest.approx((0.1 / 0.9, 0.1 / 0.8))


@pytest.mark.parametrize("silent", [[NORTH, SOUTH, ENTRANCE], [SOUTH], [ENTRANCE]])
def test_one_sensor_that_states_nothing_leaves_the_bounds_unknown(home: Home, silent: list[str]) -> None:
    row = figures(home, {device: manual(device) for device in PASSED if device not in silent})
    assert (row["ocr"], row["ocr_low"], row["ocr_high"]) == (0.2, None, None)
