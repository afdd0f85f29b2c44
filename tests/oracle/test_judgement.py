"""Which records go to quarantine for which reason, and to which event date an instant belongs; worked out by hand."""

from datetime import date, datetime

import pytest

from tests.oracle.hand_made import DAY, DEVICES, HALL, LATER, QUAY, Landing, at, device, good, judged, utc
from tests.oracle.landing_writer import Raw, Segment

# Reasons --------------------------------------------------------------------------------------------------------------


def test_the_first_reason_that_applies_is_the_one(landing):
    """A record that is wrong in every way gets better from line to line."""
    wrong = {"venue_id": "nowhere", "device_id": "nobody", "recorded_at": at("10:00:00", "2026-06-20"), "seq": 7}
    lines = [
        good(**wrong | {"direction": "up"}),
        good(**wrong),
        good(**wrong),
        good(**wrong | {"venue_id": "hall"}),
        good(**wrong | {"seq": 8}),
        good(**wrong | {"seq": 9, "venue_id": "hall"}),
        good(**wrong | {"seq": 10, "venue_id": "hall", "device_id": "face_visits_a"}),
        good(seq=11),
    ]
    # Line 2 is no duplicate: malformed rows take no part. Line 3 is one of a row that went to quarantine itself.
    expected = ["malformed", "unknown_venue", "duplicate", "duplicate", "unknown_venue"]
    expected += ["unknown_device", "wrong_event_date", "out_of_range"]
    assert judged(landing, "face_visits", *lines, created_at=utc(2026, 6, 9)) == expected


def test_duplicates_are_seen_in_byte_order_of_segment_names(landing):
    """`g1-b-10-10` comes before `g1-b-9-9`, and `G1-…` before both."""
    landing.site["devices"] = [*DEVICES, device("face_visits", gateway="G1") | {"id": "upper"}]
    landing.segments = [
        Segment("face_visits", DAY, "g1", "b", [9], [good(seq=5, user_id="nine")], LATER),
        Segment("face_visits", DAY, "g1", "b", [10], [good(seq=5, user_id="ten")], LATER),
        Segment("face_visits", DAY, "G1", "b", [11], [good(seq=6, user_id="upper")], LATER),
        Segment("face_visits", DAY, "g1", "b", [12], [good(seq=6, user_id="twelve")], LATER),
    ]
    oracle = landing.compute()
    assert [row["user_id"] for row in oracle.clean["face_visits"]] == ["upper", "ten"]
    assert [(row["segment"], row["reason"]) for row in oracle.quarantine] == [
        ("g1-b-12-12.jsonl.zst", "duplicate"),
        ("g1-b-9-9.jsonl.zst", "duplicate"),
    ]


def test_an_identity_is_taken_in_its_stream_and_date_only(landing):
    landing.put("face_visits", good())
    landing.put("orders", good("orders"))
    landing.put("face_visits", good(recorded_at=at("10:00:00", "2026-06-11")), day=date(2026, 6, 11))
    assert landing.compute().quarantine == []
    assert landing.compute(date(2026, 6, 11)).quarantine == []


def test_refused_segments_take_no_identities(landing):
    landing.put("face_visits", good(user_id="refused"), damages=("hash",))
    landing.put("face_visits", good(user_id="landed"))
    assert [row["user_id"] for row in landing.compute().clean["face_visits"]] == ["landed"]


@pytest.mark.parametrize(
    "other",
    [{"id": "other"}, {"venue_id": "quay"}, {"gateway_id": "g2"}, {"stream": "orders"}],
)
def test_a_device_is_known_for_its_venue_gateway_and_stream(landing, other):
    landing.site["venues"] = [HALL, QUAY]
    landing.site["devices"] = [device("face_visits") | other]
    assert judged(landing, "face_visits", {}) == ["unknown_device"]


COUNT_EDGES = [
    ({}, "clean"),
    ({"in_count": 0, "out_count": 0}, "clean"),
    ({"in_count": -1}, "out_of_range"),
    ({"out_count": -1}, "out_of_range"),
    ({"unpaired_count": -1}, "out_of_range"),
    ({"in_count": 0, "in_total": -1}, "out_of_range"),
    ({"in_count": 100, "in_total": 100}, "clean"),
    ({"in_count": 101, "in_total": 100}, "out_of_range"),
    ({"out_count": 101, "out_total": 100}, "out_of_range"),
    ({"interval_end": at("10:00:00")}, "out_of_range"),
    ({"interval_end": at("10:00:00.001")}, "clean"),
    ({"interval_end": at("11:59:59", offset="+04:00")}, "out_of_range"),
    ({"device_epoch": -1}, "clean"),
]


@pytest.mark.parametrize("stream", ["boundary_counts", "entrance_counts"])
@pytest.mark.parametrize(("fields", "expected"), COUNT_EDGES)
def test_ranges_of_counts(landing, stream, fields, expected):
    assert judged(landing, stream, fields) == [expected]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"out_count": None, "out_total": 0}, "clean"),
        ({"out_count": 5, "out_total": None}, "clean"),
        ({"out_count": None, "out_total": -1}, "out_of_range"),
    ],
)
def test_ranges_of_an_entrance_without_all_totals(landing, fields, expected):
    assert judged(landing, "entrance_counts", fields) == [expected]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"quantity": 1}, "clean"),
        ({"quantity": 0}, "out_of_range"),
        ({"amount": "-0.01"}, "out_of_range"),
        ({"amount": "-0"}, "clean"),
        ({"currency": "CNY"}, "out_of_range"),
        ({"currency": "eur"}, "out_of_range"),
    ],
)
def test_ranges_of_orders(landing, fields, expected):
    assert judged(landing, "orders", fields) == [expected]


@pytest.mark.parametrize(
    ("propensity", "expected"),
    [
        *(("1", "clean"), ("1.0", "clean"), ("1e-300", "clean")),
        *(("0", "out_of_range"), ("0.0", "out_of_range"), ("1.0000001", "out_of_range"), ("-0.5", "out_of_range")),
        *(("NaN", "malformed"), ("Infinity", "malformed"), ("true", "malformed"), ('"0.5"', "malformed")),
    ],
)
def test_ranges_of_propensity(landing, propensity, expected):
    assert judged(landing, "assignments", {"propensity": Raw(propensity)}) == [expected]


def test_no_time_is_over_24_hours_after_the_manifest(landing):
    created_at = utc(2026, 6, 9, 8)  # 24 h before 10:00 in Berlin
    records = [{"recorded_at": at("10:00:00")}, {"recorded_at": at("10:00:00.001")}]
    assert judged(landing, "face_visits", *records, created_at=created_at) == ["clean", "out_of_range"]


def test_it_is_the_time_that_counts_which_is_compared_with_the_manifest(landing):
    record = {"recorded_at": at("10:00:00", "2027-01-01"), "ordered_at": at("10:00:00")}
    assert judged(landing, "orders", record, created_at=utc(2026, 6, 9, 8)) == ["clean"]


# Event dates ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded_at", "expected"),
    [
        ("2026-06-10T04:00:00.000+02:00", "clean"),
        ("2026-06-10T03:59:59.999+02:00", "wrong_event_date"),
        ("2026-06-11T03:59:59.999999+02:00", "clean"),
        ("2026-06-11T04:00:00.000+02:00", "wrong_event_date"),
        ("2026-06-10T02:00:00Z", "clean"),
        ("2026-06-10T01:59:59Z", "wrong_event_date"),
        ("2026-06-11T07:44:59+05:45", "clean"),
        ("0001-01-01T00:00:00Z", "wrong_event_date"),
        ("9999-12-31T23:59:59Z", "wrong_event_date"),
    ],
)
def test_the_event_date_starts_at_day_starts_at(landing, recorded_at, expected):
    assert judged(landing, "face_visits", {"recorded_at": recorded_at}) == [expected]


def dates_of(landing: Landing, zone: str, starts: str, instant: str, day: date) -> tuple[str, int | None]:
    """Whether an instant belongs to a day, and the local hour."""
    landing.site["venues"] = [HALL | {"time_zone": zone, "day_starts_at": starts}]
    created_at = datetime.fromisoformat(instant)
    (reason,) = judged(landing, "face_visits", {"recorded_at": instant}, day=day, created_at=created_at)
    clean = landing.compute(day).clean["face_visits"]
    return reason, clean[0]["hour"] if clean else None


@pytest.mark.parametrize(
    ("zone", "starts", "instant", "day", "hour"),
    [
        # 29 March in Berlin: 02:00 to 03:00 does not exist, so the date that starts at 02:30 starts at 03:00 = 01:00 Z.
        ("Europe/Berlin", "02:30", "2026-03-29T00:59:59.999Z", date(2026, 3, 28), 1),
        ("Europe/Berlin", "02:30", "2026-03-29T01:00:00Z", date(2026, 3, 29), 3),
        # 25 October: 02:00 to 03:00 comes twice. 02:45, 02:15 again and 02:45 again are of the 25th, 24th and 25th.
        ("Europe/Berlin", "02:30", "2026-10-25T00:45:00Z", date(2026, 10, 25), 2),
        ("Europe/Berlin", "02:30", "2026-10-25T01:15:00Z", date(2026, 10, 24), 2),
        ("Europe/Berlin", "02:30", "2026-10-25T01:45:00Z", date(2026, 10, 25), 2),
        # 4 April: Lord Howe goes back by half an hour at 02:00 (+11:00), 15:00 Z.
        ("Australia/Lord_Howe", "00:00", "2026-04-04T14:45:00Z", date(2026, 4, 5), 1),
        ("Australia/Lord_Howe", "00:00", "2026-04-04T15:15:00Z", date(2026, 4, 5), 1),
        ("Australia/Lord_Howe", "00:00", "2026-04-04T15:30:00Z", date(2026, 4, 5), 2),
        ("America/New_York", "04:00", "2026-03-08T07:59:59Z", date(2026, 3, 7), 3),
        ("America/New_York", "04:00", "2026-03-08T08:00:00Z", date(2026, 3, 8), 4),
        ("Asia/Kathmandu", "00:00", "2026-02-27T18:15:00Z", date(2026, 2, 28), 0),
        ("Asia/Shanghai", "04:00", "2025-12-31T20:00:00Z", date(2026, 1, 1), 4),
    ],
)
def test_event_dates_and_hours_where_clocks_differ(landing, zone, starts, instant, day, hour):
    assert dates_of(landing, zone, starts, instant, day) == ("clean", hour)
