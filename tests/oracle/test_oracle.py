"""The oracle held against examples that were worked out by hand from the design; they also read as a specification.

The day is 10 June 2026 at a hall in Berlin (+02:00), whose event dates start at 04:00, unless a test says otherwise.
"""

import tempfile
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from .adversarial import HOUR, MS, TRAPS, Raw, Scenario, Segment, landings, line_of, padded, with_extra
from .oracle import REASONS, REFUSALS, STREAMS, Oracle, recompute

DAY = date(2026, 6, 10)
LATER = datetime(2026, 6, 12, tzinfo=UTC)
HALL = {
    "id": "hall",
    "name": "Hall",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "day_starts_at": "04:00",
    "opened_on": date(2026, 1, 1),
}
QUAY = HALL | {"id": "quay", "time_zone": "Asia/Shanghai", "currency": "CNY"}


def device(stream: str, venue: str = "hall", gateway: str = "g1", **more: object) -> dict:
    return {"id": f"{stream}_a", "venue_id": venue, "gateway_id": gateway, "stream": stream} | more


DEVICES = [device(stream) for stream in STREAMS]


def at(clock: str, day: str = "2026-06-10", offset: str = "+02:00") -> str:
    return f"{day}T{clock}{offset}"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


class Landing:
    """A landing in the making; records get the next seq of their stream, and each `put` is one segment."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.site: dict = {"identity": "shared", "venues": [HALL], "devices": DEVICES, "activities": []}
        self.segments: list[Segment] = []
        self.seqs: Counter = Counter()

    def put(
        self,
        stream: str,
        *records: dict | bytes,
        day: date = DAY,
        gateway: str = "g1",
        boot: str = "b",
        created_at: datetime = LATER,
        damages: tuple[str, ...] = (),
        packing: str = "plain",
    ) -> str:
        """Returns the segment's name. A record has only what matters; the rest is filled in."""
        first = self.seqs[gateway, boot, stream] + 1
        lines = []
        for record in records:
            self.seqs[gateway, boot, stream] += 1
            if isinstance(record, dict):
                common = {"gateway_id": gateway, "boot_id": boot, "seq": self.seqs[gateway, boot, stream]}
                record = line_of(common | {"device_id": f"{stream}_a"} | complete(stream, record))
            lines.append(record)
        seqs = list(range(first, first + len(records)))
        segment = Segment(stream, day, gateway, boot, seqs, lines, created_at, damages, packing=packing)
        self.segments.append(segment)
        return segment.name

    def compute(self, day: date = DAY) -> Oracle:
        Scenario(DAY, self.site, self.segments).write(self.folder)
        return recompute(self.folder, day)


DEFAULTS: dict[str, dict] = {
    "boundary_counts": {
        "interval_start": at("10:00:00"),
        "interval_end": at("10:15:00"),
        "in_count": 1,
        "out_count": 1,
        "unpaired_count": None,
        "in_total": 100,
        "out_total": 100,
        "device_epoch": 1,
    },
    "face_visits": {"user_id": "u", "direction": "enter"},
    "orders": {
        "order_id": "o1",
        "order_no": 1,
        "user_id": "u",
        "ordered_at": at("10:00:00"),
        "category_id": "tea",
        "quantity": 1,
        "amount": "1.00",
        "currency": "EUR",
        "status": "completed",
    },
    "assignments": {"experiment_id": "x", "unit_id": "u", "arm": "a", "propensity": 0.5},
    "identity_links": {"terminal_user_id": "t", "member_user_id": "m", "action": "link"},
    "gateway_events": {"kind": "heartbeat"},
}
DEFAULTS["entrance_counts"] = DEFAULTS["boundary_counts"]


def complete(stream: str, record: dict) -> dict:
    base = {"venue_id": "hall", "recorded_at": at("10:00:00"), "clock": "synced"}
    return base | DEFAULTS[stream] | record


def good(stream: str = "face_visits", **fields: object) -> bytes:
    """A line that is clean."""
    common = {"gateway_id": "g1", "boot_id": "b", "seq": 1, "device_id": f"{stream}_a"}
    return line_of(common | complete(stream, fields))


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path)


def judged(landing: Landing, stream: str, *records: dict | bytes, **how: object) -> list[str]:
    """The reason of each line of one segment, "clean" for a clean one."""
    landing.put(stream, *records, **how)
    oracle = landing.compute(how.get("day", DAY))
    found = {row["line"]: "clean" for row in oracle.clean[stream]}
    found |= {row["line"]: row["reason"] for row in oracle.quarantine}
    return [found[line] for line in sorted(found)]


# A record that is well-formed -----------------------------------------------------------------------------------------


def test_a_clean_record_has_values_and_not_texts(landing):
    name = landing.put("orders", {"amount": "12.5", "ordered_at": "2026-06-10T23:59:59.25+02:00", "user_id": ""})
    oracle = landing.compute()
    (row,) = oracle.clean["orders"]
    assert row["identity"] == ("g1", "b", 1)
    assert (row["segment"], row["line"], row["event_date"]) == (name, 1, DAY)
    assert row["amount"] == Decimal("12.50")
    assert row["ordered_at"] == utc(2026, 6, 10, 21, 59, 59, 250_000)
    assert row["hour"] == 23
    assert row["user_id"] is None
    assert row["source_user_id"] is None
    assert oracle.landed == dict.fromkeys(STREAMS, 0) | {"orders": 1}
    assert oracle.quarantine == []


@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_has_a_clean_record(landing, stream):
    assert judged(landing, stream, {}) == ["clean"]


@pytest.mark.parametrize(
    "line",
    [
        good() + b"\r",
        b" \t" + good() + b" ",
        with_extra(good(), b'"NaN"'),
        with_extra(good(), b"[" * 100 + b"]" * 100),
        with_extra(good(), b'"' + b"[" * 500 + b'"'),
        with_extra(good(), b'"\\"' + b"[" * 500 + b'"'),  # an escaped quote does not end the text
        with_extra(good(), b'"\\ud83d\\ude00"'),
        padded(good(), 65536),
        b'{"seq":"one",' + good()[1:],
        good()[:-1] + b',"SEQ":"one","":null}',
        good(recorded_at="2026-06-10T10:00:00Z"),
        good(recorded_at="2026-06-10T10:00:00.1-00:00"),
        good(recorded_at="2026-06-10T23:00:00.123456+14:00"),
        good(user_id=" "),
        good(user_id="a\u2028\U0001f600"),
        good(seq=-1),
    ],
)
def test_well_formed(landing, line):
    assert judged(landing, "face_visits", line) == ["clean"]


@pytest.mark.parametrize(
    ("stream", "field"),
    [
        ("boundary_counts", "unpaired_count"),
        ("entrance_counts", "unpaired_count"),
        ("entrance_counts", "out_count"),
        ("entrance_counts", "out_total"),
        ("orders", "user_id"),
        ("assignments", "leaf_id"),
        ("assignments", "allocation_id"),
        ("gateway_events", "subject"),
        ("gateway_events", "value"),
        ("gateway_events", "detail"),
    ],
)
def test_nullable_fields(landing, stream, field):
    """Missing, null and empty are null; another type is malformed. No other field may be null."""
    whole = complete(stream, {}) | {field: None}
    lines = [good(stream, seq=1, **{field: None}), good(stream, seq=2, **{field: ""})]
    del whole[field]
    lines.append(line_of({"gateway_id": "g1", "boot_id": "b", "seq": 3, "device_id": f"{stream}_a"} | whole))
    lines += [good(stream, seq=4, **{field: Raw("true")}), good(stream, seq=5, **{field: Raw("[]")})]
    assert judged(landing, stream, *lines) == ["clean", "clean", "clean", "malformed", "malformed"]
    assert [row[field] for row in landing.compute().clean[stream]] == [None, None, None]


@pytest.mark.parametrize("stream", STREAMS)
def test_all_other_fields_are_required(landing, stream):
    nullable = {"unpaired_count", "leaf_id", "allocation_id", "subject", "value", "detail"}
    nullable |= {"orders": {"user_id"}, "entrance_counts": {"out_count", "out_total"}}.get(stream, set())
    whole = {"gateway_id": "g1", "boot_id": "b", "seq": 1, "device_id": f"{stream}_a"} | complete(stream, {})
    lines = []
    for name in STREAMS[stream]:
        if name not in nullable:
            lines += [line_of({k: v for k, v in whole.items() if k != name})]
            lines += [line_of(whole | {name: value}) for value in (None, "", Raw("[]"), Raw("true"))]
    assert set(judged(landing, stream, *lines)) == {"malformed"}


# Reasons --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        with_extra(good(), b"NaN"),
        with_extra(good(), b"[1,-Infinity]"),
        b"null",
        b"{}",
        b"[" + good() + b"]",
        good() + good(),
        good()[:-1],
        good()[:-1] + b",}",
        b"\xef\xbb\xbf" + good(),
        good().replace(b'"u"', b'"\xff"'),
        with_extra(good(), b'"\\ud800"'),
        b'{"user_id":"\\ud800",' + good()[1:],  # replaced by the later one, but not JSON text all the same
        with_extra(good(), b'["\\ud800"]'),
        good()[:-1] + b',"\\udc00":1}',
        with_extra(good(), b"[" * 400 + b"]" * 400),
        with_extra(good(), b"[" * 30000 + b"]" * 30000),
        with_extra(good(), b'["\\\\",' + b"[" * 400 + b"]" * 401),  # an escaped backslash lets the quote end it
        padded(good(), 65537),
        padded(good(), 65536) + b"\r",
        b" ",
        b"\r",
        *(good(seq=Raw(text)) for text in ("5.0", "5e0", "true", '"5"', "NaN", "9223372036854775808", "01")),
        *(good(user_id=Raw(text)) for text in ("5", "true", "[]", "{}")),
        *(good(direction=text) for text in ("Enter", "enter ", "in")),
        *(good(gateway_id=text) for text in ("g-1", "ü", "g 1")),
        *(
            good(recorded_at=text)
            for text in (
                "2026-06-10T10:00:00",
                "2026-06-10 10:00:00Z",
                "2026-06-10t10:00:00Z",
                "2026-06-10T10:00:00z",
                "2026-06-10T10:00:00+0200",
                "2026-06-10T10:00:00+24:00",
                "2026-06-10T10:00:00.1234567Z",
                "2026-06-10T10:00:00.Z",
                "2026-06-10T10:00Z",
                "2026-06-10T10:00:60Z",
                "2026-06-10T24:00:00Z",
                "2026-02-29T10:00:00Z",
                "2026-06-10T10:00:00Z ",
                "2026-06-10T10:00:00Z\n",
                "2026-06-1０T10:00:00Z",
                Raw("1780000000"),
            )
        ),
    ],
)
def test_malformed(landing, line):
    assert judged(landing, "face_visits", line) == ["malformed"]


@pytest.mark.parametrize("amount", ["1", "1.5", "1.50", "0", "-0.00", "0001.10", "9999999999999999.99"])
def test_amounts(landing, amount):
    assert judged(landing, "orders", {"amount": amount}) == ["clean"]
    assert landing.compute().clean["orders"][0]["amount"] == Decimal(amount)


@pytest.mark.parametrize("amount", ["1.234", ".5", "5.", "1,5", "1e2", "+1", " 1", "١", "1" * 17, "NaN", Raw("1.5")])
def test_no_amounts(landing, amount):
    assert judged(landing, "orders", {"amount": amount}) == ["malformed"]


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


# Segments -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damages", "reason"),
    [
        (("manifest_json",), "manifest"),
        (("manifest_no_rows",), "manifest"),
        (("manifest_rows_text",), "manifest"),
        (("manifest_rows_float",), "manifest"),
        (("manifest_schema_text",), "manifest"),
        (("manifest_no_date",), "manifest"),
        (("manifest_no_instant",), "manifest"),
        (("manifest_ranges_twice",), "manifest"),
        (("schema",), "schema"),
        (("folder_stream",), "folder"),
        (("folder_date",), "folder"),
        (("folder_gateway",), "folder"),
        (("folder_boot",), "folder"),
        (("folder_seq",), "folder"),
        (("missing",), "missing"),
        (("hash",), "hash"),
        (("undecodable",), "undecodable"),
        (("truncated",), "undecodable"),
        (("row_count",), "row_count"),
        # The first that applies.
        (("manifest_no_rows", "schema"), "schema"),
        (("schema", "folder_date"), "schema"),
        (("folder_date", "missing"), "folder"),
        (("manifest_ranges_twice", "folder_date"), "folder"),
        (("manifest_ranges_twice", "missing"), "manifest"),
        (("missing", "hash"), "missing"),
        (("hash", "undecodable"), "hash"),
        (("truncated", "row_count"), "undecodable"),
    ],
)
def test_refused_whole(landing, damages, reason):
    name = landing.put("face_visits", {}, damages=damages)
    kept = landing.put("face_visits", {"direction": "leave"})
    oracle = landing.compute()
    assert oracle.refused == [(name, reason)]
    assert oracle.landed["face_visits"] == 1
    assert [row["segment"] for row in oracle.clean["face_visits"]] == [kept]
    assert oracle.quarantine == []


def test_a_segment_without_manifest_does_not_exist(landing):
    landing.put("face_visits", {}, damages=("no_manifest",))
    oracle = landing.compute()
    assert (oracle.landed["face_visits"], oracle.refused, oracle.primary_metrics) == (0, [], [])


@pytest.mark.parametrize("packing", ["plain", "no_content_size", "checksum", "two_frames"])
def test_packings(landing, packing):
    landing.put("face_visits", {}, {}, packing=packing)
    assert landing.compute().landed["face_visits"] == 2


def test_empty_lines_are_no_rows_but_are_counted_in_the_numbering(landing):
    lines = [b"", good(seq=1), b"\n\nbad \xff", good(seq=2), b""]
    name = landing.put("face_visits", *lines)
    oracle = landing.compute()
    assert oracle.landed["face_visits"] == 3
    assert [row["line"] for row in oracle.clean["face_visits"]] == [2, 6]
    assert oracle.quarantine == [
        {
            "stream": "face_visits",
            "event_date": DAY,
            "reason": "malformed",
            "segment": name,
            "line": 5,
            "text": "bad \ufffd",
            "length": 5,
            "sha256": sha256(b"bad \xff").hexdigest(),
        }
    ]


def test_quarantine_keeps_the_first_4_kib(landing):
    landing.put("face_visits", b"x" * 70000)
    (row,) = landing.compute().quarantine
    assert (len(row["text"]), row["length"]) == (4096, 70000)


# Who is who -----------------------------------------------------------------------------------------------------------


def users(landing: Landing, day: date = DAY) -> list[tuple[str, str]]:
    return [(row["source_user_id"], row["user_id"]) for row in landing.compute(day).clean["face_visits"]]


def test_shared_identities_are_taken_as_they_come(landing):
    landing.put("identity_links", {"terminal_user_id": "u", "member_user_id": "m"})
    landing.put("face_visits", {"user_id": "u"})
    assert users(landing) == [("u", "u")]


@pytest.fixture
def linked(landing: Landing) -> Landing:
    landing.site["identity"] = "linked"
    landing.put("face_visits", {"user_id": "t"}, {"user_id": "stranger"})
    return landing


def link(member: str, clock: str, action: str = "link", terminal: str = "t", day: str = "2026-06-10") -> dict:
    recorded_at = at(clock, day)
    return {
        "terminal_user_id": terminal,
        "member_user_id": member,
        "action": action,
        "recorded_at": recorded_at,
    }


def test_the_latest_link_counts_also_for_visits_before_it(linked):
    linked.put("identity_links", link("new", "22:00:00"), link("old", "09:00:00"))
    assert users(linked) == [("t", "new"), ("stranger", "stranger")]


def test_after_unlink_a_terminal_id_stands_for_itself(linked):
    linked.put("identity_links", link("m", "09:00:00"), link("m", "22:00:00", "unlink"))
    assert users(linked)[0] == ("t", "t")


def test_unlink_of_another_member_is_the_latest_record_all_the_same(linked):
    linked.put("identity_links", link("m", "09:00:00"), link("other", "22:00:00", "unlink"))
    assert users(linked)[0] == ("t", "t")


def test_links_at_the_same_instant_are_ordered_by_identity(linked):
    linked.put("identity_links", link("first", "09:00:00"), link("second", "09:00:00"))
    linked.put("identity_links", link("upper", "09:00:00"), boot="B")  # sorts below "b"
    assert users(linked)[0] == ("t", "second")


def test_links_of_earlier_dates_count_and_those_of_later_dates_do_not(linked):
    day_before, day_after = date(2026, 6, 9), date(2026, 6, 11)
    linked.put("identity_links", link("before", "12:00:00", day="2026-06-09"), day=day_before)
    linked.put("identity_links", link("after", "12:00:00", day="2026-06-11"), day=day_after)
    assert users(linked)[0] == ("t", "before")


def test_links_of_all_venues_count_and_only_clean_ones(linked):
    linked.site["venues"] = [HALL, QUAY]
    linked.site["devices"] = [*DEVICES, device("identity_links", "quay", "g2")]
    linked.put("identity_links", link("m", "09:00:00") | {"venue_id": "quay"}, gateway="g2")
    linked.put("identity_links", link("nobody", "10:00:00") | {"device_id": "unknown"})
    linked.put("identity_links", link("refused", "11:00:00"), damages=("hash",))
    assert users(linked)[0] == ("t", "m")


def test_links_are_not_followed_twice_and_orders_keep_their_user(linked):
    linked.put("identity_links", link("m", "09:00:00"), link("m2", "09:00:00", terminal="m"))
    linked.put("orders", {"user_id": "t"})
    assert users(linked)[0] == ("t", "m")
    assert [row["user_id"] for row in linked.compute().clean["orders"]] == ["t"]


def test_two_terminal_ids_of_one_member_form_one_session(linked):
    linked.segments.clear()
    linked.put("identity_links", link("m", "09:00:00", terminal="t1"), link("m", "09:00:00", terminal="t2"))
    enter = {"user_id": "t1", "recorded_at": at("10:00:00")}
    leave = {"user_id": "t2", "recorded_at": at("10:30:00"), "direction": "leave"}
    linked.put("face_visits", enter, leave)
    assert [(s["user_id"], s["state"]) for s in linked.compute().sessions] == [("m", "complete")]


# Sessions -------------------------------------------------------------------------------------------------------------


def visits(story: str) -> list[dict]:
    """`+10:00 -10:30` is an enter and a leave; with `u:` before it, of that user."""
    records = []
    for word in story.split():
        user, _, moment = word.rpartition("/")
        direction = "enter" if moment[0] == "+" else "leave"
        clock = moment[1:] if moment.count(":") == 2 else moment[1:] + ":00"
        records.append({"user_id": user or "u", "direction": direction, "recorded_at": at(clock)})
    return records


@pytest.mark.parametrize(
    ("story", "states"),
    [
        ("", []),
        ("+10:00 -10:30", ["complete"]),
        ("-10:30 +10:00", ["complete"]),  # the order of time, not of arrival
        ("+10:00", ["no_exit"]),
        ("-10:00", ["no_entry"]),
        ("+10:00 +10:05 -10:30", ["no_exit", "complete"]),
        ("+10:00 -10:30 -10:40", ["complete", "no_entry"]),
        ("-09:00 +10:00", ["no_entry", "no_exit"]),
        ("+10:00 -10:30 +10:30 -11:00", ["complete", "complete"]),
        ("+10:00 -22:00", ["complete"]),
        ("+10:00 -22:00:00.001", ["overlong"]),
        ("+10:00 +23:00", ["no_exit", "no_exit"]),
        ("+10:00 -10:00", ["complete"]),  # ties: by seq
        ("-10:00 +10:00", ["no_entry", "no_exit"]),
    ],
)
def test_states_of_sessions(landing, story, states):
    if story:
        landing.put("face_visits", *visits(story))
    assert [s["state"] for s in landing.compute().sessions] == states


def test_users_and_venues_do_not_mix(landing):
    landing.site["venues"] = [HALL, HALL | {"id": "annex"}]
    landing.site["devices"] = [*DEVICES, device("face_visits", "annex")]
    elsewhere = {"user_id": "a", "direction": "leave", "recorded_at": at("10:10:00"), "venue_id": "annex"}
    landing.put("face_visits", *visits("a/+10:00 b/-10:05 a/-10:30"), elsewhere)
    found = [(s["venue_id"], s["user_id"], s["state"]) for s in landing.compute().sessions]
    assert found == [("annex", "a", "no_entry"), ("hall", "a", "complete"), ("hall", "b", "no_entry")]


def test_ties_are_ordered_by_gateway_then_boot_then_seq(landing):
    """Bytes: `G1` < `g1` < `g10`, and 9 < 10 as numbers."""
    landing.site["devices"] = [device("face_visits", gateway=g) | {"id": g} for g in ("g1", "g10", "G1")]
    leave, enter = {"direction": "leave"}, {"direction": "enter"}
    landing.put("face_visits", leave | {"device_id": "g10"}, gateway="g10")
    landing.put("face_visits", enter | {"device_id": "g1", "seq": 9}, enter | {"device_id": "g1", "seq": 10})
    landing.put("face_visits", leave | {"device_id": "G1"}, gateway="G1")
    found = [(s["state"], s["session_id"]) for s in landing.compute().sessions]
    assert found == [("no_entry", "G1-b-1"), ("no_exit", "g1-b-9"), ("complete", "g1-b-10")]


def test_a_visit_across_day_starts_at_is_one_no_exit_and_one_no_entry(landing):
    landing.put("face_visits", {"recorded_at": "2026-06-11T03:59:00+02:00"})
    leave = {"recorded_at": "2026-06-11T04:01:00+02:00", "direction": "leave"}
    landing.put("face_visits", leave, day=date(2026, 6, 11))
    assert [s["state"] for s in landing.compute().sessions] == ["no_exit"]
    assert [s["state"] for s in landing.compute(date(2026, 6, 11)).sessions] == ["no_entry"]


def test_sessions_last_in_real_time(landing):
    """In Berlin 14:00 on 24 October to 02:00 (+01:00) on the 25th is 13 hours; the wall clock says 12."""
    enter, leave = "2026-10-24T14:00:00+02:00", "2026-10-25T02:00:00+01:00"
    day = date(2026, 10, 24)
    records = [{"recorded_at": enter}, {"recorded_at": leave, "direction": "leave"}]
    landing.put("face_visits", *records, day=day, created_at=utc(2026, 10, 26))
    (session,) = landing.compute(day).sessions
    assert session["state"] == "overlong"
    assert session["leave_at"] - session["enter_at"] == 13 * HOUR
    assert (session["enter_identity"], session["leave_identity"]) == (("g1", "b", 1), ("g1", "b", 2))
    assert session["session_id"] == "g1-b-1"


# Order lines ----------------------------------------------------------------------------------------------------------


def test_the_line_recorded_last_is_current(landing):
    """By recorded_at, then identity; other order, line number and venue are other lines."""
    landing.put(
        "orders",
        {"recorded_at": at("12:00:00"), "amount": "1.00"},
        {"recorded_at": at("11:00:00"), "amount": "2.00"},
        {"recorded_at": at("12:00:00"), "amount": "3.00", "status": "refunded"},
        {"order_no": 2, "amount": "4.00"},
        {"order_id": "O1", "amount": "5.00"},
    )
    oracle = landing.compute()
    superseded = [(str(row["amount"]), row["superseded"]) for row in oracle.clean["orders"]]
    assert superseded == [("1.00", True), ("2.00", True), ("3.00", False), ("4.00", False), ("5.00", False)]
    assert [str(row["amount"]) for row in oracle.order_lines] == ["3.00", "4.00", "5.00"]
    (row,) = oracle.primary_metrics
    assert (row["completed_orders"], row["gmv"], row["cancelled_amount"]) == (2, Decimal("9.00"), Decimal("3.00"))


def test_the_same_order_number_on_another_date_is_another_line(landing):
    landing.put("orders", {})
    landing.put("orders", {"ordered_at": at("10:00:00", "2026-06-11")}, day=date(2026, 6, 11))
    assert [row["superseded"] for row in landing.compute().clean["orders"]] == [False]


@pytest.mark.parametrize(
    ("story", "ordered_at", "attached_to"),
    [
        # Bounds are included.
        ("+10:00 -10:30", "09:59:59.999", None),
        ("+10:00 -10:30", "10:00:00", 1),
        ("+10:00 -10:30", "10:30:00", 1),
        # Else one that ended at most 30 min before.
        ("+10:00 -10:30", "11:00:00", 1),
        ("+10:00 -10:30", "11:00:00.001", None),
        # Containing comes before ended, though the other entered later.
        ("+10:00 -10:10 +10:20 -10:30", "10:15:00", 1),
        ("+10:00 -10:10 +10:20 -10:30", "10:20:00", 3),
        # Of several, the one with the latest enter.
        ("+10:00 -10:10 +10:20 -10:30", "10:35:00", 3),
        ("+10:00 -10:30 +10:30 -11:00", "10:30:00", 3),
        ("+10:00 -10:00 +10:00 -10:00", "10:00:00", 3),
        # A no_exit session reaches to just before the next record, at most 12 h.
        ("+10:00 +11:00", "10:59:59.999", 1),
        ("+10:00 +11:00", "11:00:00", 2),
        ("+10:00", "22:00:00", 1),
        ("+10:00", "22:00:00.001", None),
        ("+10:00 +23:00", "22:30:00", None),  # no end, so no 30 minutes
        ("+10:00 +10:00 -10:00", "10:00:00", 2),
        # A no_entry session contains nothing but has an end.
        ("-10:00", "09:59:59.999", None),
        ("-10:00", "10:00:00", 1),
        ("-10:00", "10:30:00", 1),
        ("-10:00", "10:30:00.001", None),
        ("+10:00 -10:10 -10:20", "10:25:00", 1),  # one with an enter goes first
        ("-10:00 -10:10", "10:15:00", 2),
        ("-10:00 -10:00", "10:15:00", 2),
        # An overlong one is like any other.
        ("+08:00 -21:00", "20:30:00", 1),
        ("+08:00 -21:00", "21:30:00", 1),
        # Of others nothing.
        ("v/+10:00 v/-10:30", "10:15:00", None),
    ],
)
def test_attachment(landing, story, ordered_at, attached_to):
    landing.put("face_visits", *visits(story))
    landing.put("orders", {"ordered_at": at(ordered_at)})
    (line,) = landing.compute().order_lines
    assert line["session_id"] == (attached_to and f"g1-b-{attached_to}")


def test_orders_without_user_are_not_attached(landing):
    landing.put("face_visits", *visits("+10:00 -10:30"))
    landing.put("orders", {"user_id": None, "ordered_at": at("10:15:00")})
    assert landing.compute().order_lines[0]["session_id"] is None


# Metrics --------------------------------------------------------------------------------------------------------------


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


# Laws that hold on any day --------------------------------------------------------------------------------------------

ADVERSARIAL = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)


def computed(scenario: Scenario) -> list[Oracle]:
    with tempfile.TemporaryDirectory() as folder:
        scenario.write(Path(folder))
        return [recompute(Path(folder), day) for day in scenario.dates]


@ADVERSARIAL
@given(landings())
def test_laws(scenario):
    for oracle in computed(scenario):
        for stream in STREAMS:
            quarantined = [row for row in oracle.quarantine if row["stream"] == stream]
            assert oracle.landed[stream] == len(oracle.clean[stream]) + len(quarantined)
            identities = [row["identity"] for row in oracle.clean[stream]]
            assert len(set(identities)) == len(identities)
        # Every clean visit is in one session, as its enter or its leave.
        used = [s[end] for s in oracle.sessions for end in ("enter_identity", "leave_identity") if s[end]]
        assert sorted(used) == sorted(row["identity"] for row in oracle.clean["face_visits"])
        keys = [(row["venue_id"], row["order_id"], row["order_no"]) for row in oracle.order_lines]
        assert len(set(keys)) == len(keys)
        venues = {row["venue_id"] for row in oracle.primary_metrics}
        assert all(row["venue_id"] in venues for stream in STREAMS for row in oracle.clean[stream])
        for row in oracle.primary_metrics:
            hours = [hour for hour in oracle.hourly_metrics if hour["venue_id"] == row["venue_id"]]
            for name in ("pf_range", "pv", "gmv", "gmv_anonymous", "cancelled_amount"):
                assert (row[name] or 0) == sum(hour[name] or 0 for hour in hours)
            assert row["pf_entrance_estimated"] == any(hour["pf_entrance_estimated"] for hour in hours)


@ADVERSARIAL
@given(landings(without=[*TRAPS]))
def test_without_traps_everything_is_clean(scenario):
    for oracle in computed(scenario):
        assert oracle.quarantine == []
        assert oracle.refused == []


def test_the_adversary_reaches_every_case():
    """Days that never get to a rule prove nothing about it."""
    reached: Counter = Counter()

    @settings(ADVERSARIAL, max_examples=250, phases=[Phase.generate])
    @given(landings())
    def look(scenario: Scenario) -> None:
        for oracle in computed(scenario):
            reached.update(row["reason"] for row in oracle.quarantine)
            reached.update(reason for _, reason in oracle.refused)
            reached.update(s["state"] for s in oracle.sessions)
            for line in oracle.order_lines:
                reached[f"attached to {line['session'] and line['session']['state']}"] += 1
            reached["superseded"] += sum(row["superseded"] for row in oracle.clean["orders"])
            reached["linked"] += sum(r["user_id"] != r["source_user_id"] for r in oracle.clean["face_visits"])
            reached["estimated"] += sum(row["pf_entrance_estimated"] for row in oracle.primary_metrics)
            reached["rates"] += sum(row["ocr"] is not None for row in oracle.primary_metrics)
            reached["lengths"] += sum(row["lov_p90_seconds"] is not None for row in oracle.primary_metrics)
            lasted = [s["leave_at"] - s["enter_at"] for s in oracle.sessions if s["enter_at"] and s["leave_at"]]
            reached["exactly 12 h"] += sum(time == 12 * HOUR for time in lasted)
            reached["12 h and a millisecond"] += sum(time == 12 * HOUR + MS for time in lasted)

    look()
    states = ("complete", "overlong", "no_exit", "no_entry")
    expected = {*REASONS, *REFUSALS, *states, *(f"attached to {state}" for state in (*states, None))}
    expected |= {"superseded", "linked", "estimated", "rates", "lengths", "exactly 12 h", "12 h and a millisecond"}
    assert {case: reached[case] for case in expected if not reached[case]} == {}


def test_a_trap_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no_such_trap"):
        find(landings(without=["no_such_trap"]), lambda scenario: True)
