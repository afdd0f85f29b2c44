"""Figures per date and per hour; worked out by hand from the design."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.oracle.hand_made import DAY, DEVICES, HALL, QUAY, Landing, at, device, utc, visits


def test_one_day_worked_out_by_hand(landing):
    landing.site["activities"] = [
        {"id": "fair", "name": "Fair", "venue_id": "hall", "first_date": DAY, "last_date": DAY},
    ]
    landing.put("boundary_counts", {"in_count": 30}, {"in_count": 10, "interval_start": at("09:59:59.999")})
    landing.put("entrance_counts", {"in_count": 8})
    # Lasting 600 s, 1800 s and 60.5 s; v comes again and is not seen leaving; w is only seen leaving.
    landing.put("face_visits", *visits("u/+10:00 u/-10:10 v/+10:50 v/-11:20 v/+12:00 w/-12:30"))
    landing.put("face_visits", *visits("x/+10:00 x/-10:01:00.500"))
    landing.put(
        "orders",
        {"amount": "0.10", "ordered_at": at("10:05:00")},
        {"amount": "0.20", "ordered_at": at("10:05:00"), "order_no": 2},
        {"order_id": "o2", "amount": "7", "user_id": None, "ordered_at": at("11:00:00")},
        {"order_id": "o3", "amount": "5.00", "status": "cancelled"},
        {"order_id": "o4", "amount": "2.50", "status": "refunded", "user_id": None},
        {"order_id": "o1", "amount": "1.00", "status": "cancelled", "order_no": 3},
    )
    oracle = landing.compute()
    (row,) = oracle.primary_metrics
    assert row == {
        "venue_id": "hall",
        "activity_id": "fair",
        "currency": "EUR",
        "pf_range": 40,
        "pf_entrance": 8.0,
        "pf_entrance_estimated": False,
        "ocr": 0.2,
        "pv": 4,
        "uv": 3,
        "lov_mean_seconds": pytest.approx((600 + 1800 + 60.5) / 3),
        "lov_median_seconds": 600.0,
        "lov_p90_seconds": pytest.approx(600 + 0.8 * 1200),
        "recognition_share": 0.5,
        "completed_orders": 2,
        "paying_users": 1,
        "gmv": Decimal("7.30"),
        "gmv_anonymous": Decimal("7.00"),
        "cancelled_amount": Decimal("8.50"),
    }
    assert [hour["hour"] for hour in oracle.hourly_metrics] == list(range(24))
    nine, ten, eleven, twelve = oracle.hourly_metrics[9:13]
    assert (nine["pf_range"], nine["pf_entrance"], nine["ocr"]) == (10, None, None)
    assert (ten["pf_range"], ten["pf_entrance"], ten["pv"], ten["uv"]) == (30, 8.0, 3, 3)
    assert ten["lov_mean_seconds"] == row["lov_mean_seconds"]  # by enter, so v's visit until 11:20 is in it
    assert (ten["completed_orders"], ten["gmv"], ten["cancelled_amount"]) == (1, Decimal("0.30"), Decimal("8.50"))
    assert (eleven["pv"], eleven["lov_mean_seconds"], eleven["gmv_anonymous"]) == (0, None, Decimal("7.00"))
    assert (twelve["pv"], twelve["uv"], twelve["lov_median_seconds"]) == (1, 1, None)
    assert (twelve["pf_range"], twelve["completed_orders"], twelve["gmv"]) == (None, 0, Decimal("0.00"))
    assert {hour["activity_id"] for hour in oracle.hourly_metrics} == {"fair"}


def primary(landing: Landing, *devices: dict) -> dict:
    landing.site["devices"] = list(devices)
    return landing.compute().primary_metrics[0]


def test_without_devices_nothing_is_known(landing):
    landing.put("gateway_events", {})
    row = primary(landing, device("gateway_events"))
    nothing = ("pf_range", "pf_entrance", "ocr", "pv", "uv", "recognition_share", "lov_mean_seconds")
    nothing += ("completed_orders", "paying_users", "gmv", "gmv_anonymous", "cancelled_amount")
    assert {name: row[name] for name in nothing} == dict.fromkeys(nothing)
    assert row["pf_entrance_estimated"] is False
    assert row["activity_id"] == "none"


def test_with_devices_but_without_records_visits_and_orders_are_zero_and_counts_are_null(landing):
    landing.put("gateway_events", {})
    row = primary(landing, *DEVICES)
    assert (row["pf_range"], row["pf_entrance"], row["ocr"]) == (None, None, None)
    assert (row["pv"], row["uv"], row["recognition_share"], row["lov_median_seconds"]) == (0, 0, None, None)
    assert (row["completed_orders"], row["paying_users"], row["gmv"]) == (0, 0, Decimal("0.00"))


def test_rates_of_nothing_are_null(landing):
    landing.put("boundary_counts", {"in_count": 0})
    landing.put("entrance_counts", {"in_count": 0})
    landing.put("face_visits", {})
    row = primary(landing, *DEVICES)
    assert (row["pf_range"], row["pf_entrance"], row["pv"]) == (0, 0.0, 1)
    assert (row["ocr"], row["recognition_share"]) == (None, None)


@pytest.mark.parametrize(
    ("counting", "expected"),
    [
        ({}, (10.0, False)),
        ({"counting": "directional", "in_share": 0.5}, (10.0, False)),
        ({"counting": "passages", "in_share": 0.4}, (4.0, True)),
        ({"counting": "passages"}, (None, True)),
    ],
)
def test_a_passages_sensor_counts_by_its_in_share(landing, counting, expected):
    landing.put("entrance_counts", {"in_count": 7}, {"in_count": 3})
    row = primary(landing, device("entrance_counts", **counting))
    assert (row["pf_entrance"], row["pf_entrance_estimated"]) == expected


def test_a_passages_sensor_matters_only_where_it_has_a_clean_record(landing):
    lone = device("entrance_counts", counting="passages") | {"id": "lone"}
    landing.put("entrance_counts", {"in_count": 7})
    row = primary(landing, device("entrance_counts"), lone)
    assert (row["pf_entrance"], row["pf_entrance_estimated"]) == (7.0, False)
    noon = {"interval_start": at("12:00:00"), "interval_end": at("12:15:00")}
    landing.put("entrance_counts", {"device_id": "lone"} | noon)
    row = primary(landing, device("entrance_counts"), lone)
    assert (row["pf_entrance"], row["pf_entrance_estimated"]) == (None, True)
    ten, noon = landing.compute().hourly_metrics[10], landing.compute().hourly_metrics[12]
    assert (ten["pf_entrance"], ten["pf_entrance_estimated"]) == (7.0, False)
    assert (noon["pf_entrance"], noon["pf_entrance_estimated"]) == (None, True)


def test_the_median_of_an_even_number_lies_between(landing):
    landing.put("face_visits", *visits("a/+10:00 a/-10:10 b/+10:00 b/-10:20"))
    row = primary(landing, *DEVICES)
    assert (row["lov_median_seconds"], row["lov_p90_seconds"]) == (900.0, pytest.approx(600 + 0.9 * 600))


def test_overlong_visits_have_an_entry_but_no_length(landing):
    landing.put("face_visits", *visits("+08:00 -21:00"))
    row = primary(landing, *DEVICES)
    assert (row["pv"], row["uv"], row["lov_mean_seconds"]) == (1, 1, None)


def test_the_hour_that_comes_twice_is_one_hour(landing):
    day = date(2026, 10, 24)  # 25 October 02:30, both times, is of the event date that began at 04:00 on the 24th
    instants = ("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00")
    records = [{"recorded_at": instant, "user_id": instant} for instant in instants]
    landing.put("face_visits", *records, day=day, created_at=utc(2026, 10, 26))
    hours = landing.compute(day).hourly_metrics
    assert [(row["hour"], row["pv"]) for row in hours if row["pv"]] == [(2, 2)]


def test_rows_begin_with_the_first_landed_date_of_each_venue(landing):
    """Of any stream, accepted or not; a venue's gateways are those that have a device there."""
    landing.site["venues"] = [HALL, QUAY, HALL | {"id": "never"}]
    landing.site["devices"] = [*DEVICES, device("face_visits", "quay", "g2")]
    landing.put("gateway_events", {}, damages=("manifest_json",))
    landing.put("face_visits", {}, day=date(2026, 6, 12), gateway="g2")
    expected = {date(2026, 6, 9): [], DAY: ["hall"], date(2026, 6, 11): ["hall"], date(2026, 6, 12): ["hall", "quay"]}
    for day, venues in expected.items():
        oracle = landing.compute(day)
        assert [row["venue_id"] for row in oracle.primary_metrics] == venues
        assert len(oracle.hourly_metrics) == 24 * len(venues)


@pytest.mark.parametrize("folder", ["event_date=2026-02-30", "event_date=2026-6-1", "2026-06-01", "event_date=later"])
def test_folders_that_are_no_dates_are_no_dates(landing, folder):
    stray = landing.folder / "landing" / "face_visits" / folder
    stray.mkdir(parents=True)
    (stray / "g1-b-1-1.manifest.json").write_text("{}")
    assert landing.compute().primary_metrics == []


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(0, 0, "fair"), (-3, 0, "fair"), (0, 3, "fair"), (1, 3, "none"), (-3, -1, "none")],
)
def test_the_activity_of_a_date(landing, first, last, expected):
    days = {"first_date": DAY + timedelta(days=first), "last_date": DAY + timedelta(days=last)}
    landing.site["activities"] = [{"id": "fair", "name": "Fair", "venue_id": "hall"} | days]
    landing.put("gateway_events", {})
    assert landing.compute().primary_metrics[0]["activity_id"] == expected
