"""ZKTeco PUSH: attendance lines, and everything else that terminals like to post."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_collector.codecs import zkteco
from edge_collector.readings import AnyReading, Dropped, Visit
from tests.edge.codecs.samples import ATTLOG, ATTPHOTO, BIODATA, OPERLOG


def decode(table: str, body: bytes, **options: object) -> list[AnyReading]:
    return zkteco.decode(table, body, "CJ1", "Europe/Berlin", **options)  # type: ignore[arg-type]


def what(readings: list[AnyReading]) -> list[tuple[str, int]]:
    return [(r.reason, r.count) if isinstance(r, Dropped) else (type(r).__name__, 1) for r in readings]


def test_attendance() -> None:
    enter, leave, other = decode("ATTLOG", ATTLOG)
    assert isinstance(enter, Visit)
    assert isinstance(leave, Visit)
    assert (enter.member_number, enter.direction) == ("13085", "enter")
    assert (leave.member_number, leave.direction) == ("13086", "leave")
    assert enter.at == datetime(2026, 1, 31, 17, 30, tzinfo=UTC)
    assert isinstance(other, Dropped)
    assert (other.reason, other.detail) == ("no_direction", "status 255; 0, 1 are known")


LINES = [
    ("1\t2026-01-31 18:30:00\t0", [("Visit", 1)]),
    ("1\t2026-01-31 18:30:00\t0\r\n\r\n2\t2026-01-31 18:30:01\t1\r\n", [("Visit", 1), ("Visit", 1)]),
    ("", [("Alive", 1)]),
    ("1\t2026-01-31 18:30:00", [("truncated", 1)]),
    ("1 2026-01-31 18:30:00 0", [("truncated", 1)]),
    ("\t2026-01-31 18:30:00\t0", [("bad_entry", 1)]),
    ("1;DROP\t2026-01-31 18:30:00\t0", [("bad_entry", 1)]),
    ("1\t2026-01-31 18:30:00\tin", [("bad_entry", 1)]),
    ("1\t2026-02-30 18:30:00\t0", [("bad_time", 1)]),
    ("1\t31.01.2026 18:30\t0", [("bad_time", 1)]),
    ("1\t0001-01-01 00:00:00\t0", [("bad_time", 1)]),
    ("1\t2026-01-31 18:30:00\t7", [("no_direction", 1)]),
    ("x\n1\t2026-01-31 18:30:00\t0\n" + "y\n" * 5000 + "2\t\t0", [("Visit", 1), ("truncated", 5001), ("bad_time", 1)]),
    ("1\t2026-01-31 18:30:00\t0\t" + "x" * 200 + ";" * 900, [("too_long", 1)]),
    ("1\t2026-01-31 18:30:00\t0\t" + "QUJD" * 400, [("biometric", 1)]),
]


@pytest.mark.parametrize(("body", "expected"), LINES)
def test_a_line_says(body: str, expected: list[tuple[str, int]]) -> None:
    assert what(decode("ATTLOG", body.encode())) == expected


TABLES = [
    ("OPERLOG", OPERLOG, [("biometric", 4), ("not_recorded", 2)]),
    ("BIODATA", BIODATA, [("biometric", 2)]),
    ("ATTPHOTO", ATTPHOTO, [("biometric", 1)]),
    ("FINGERTMP", b"", [("biometric", 1)]),
    ("userpic", b"x\ny\n", [("biometric", 2)]),
    ("options", b"~DeviceName=X,MAC=00:17:61:00:00:01", [("Alive", 1)]),
    ("rtlog", b"time=2026-01-31 18:30:00\tpin=1", [("not_recorded", 1)]),
    ("a'b\n<script>", b"x", [("not_recorded", 1)]),
    ("", b"x\ny", [("not_recorded", 2)]),
    ("OPERLOG", b" " * 100 + b"FP PIN=1", [("biometric", 1)]),
]


@pytest.mark.parametrize(("table", "body", "expected"), TABLES, ids=[table for table, _, _ in TABLES])
def test_a_table_is_taken_or_refused(table: str, body: bytes, expected: list[tuple[str, int]]) -> None:
    readings = decode(table, body)
    assert what(readings) == expected
    assert "<" not in repr(readings)


def test_what_statuses_mean_is_the_venues() -> None:
    line = b"1\t2026-01-31 18:30:00\t255"
    (visit,) = decode("ATTLOG", line, statuses={"255": "enter"})
    assert isinstance(visit, Visit)
    assert visit.direction == "enter"
    (visit,) = decode("ATTLOG", line.replace(b"255", b"0"), direction="leave")
    assert isinstance(visit, Visit)
    assert visit.direction == "leave"


def test_the_hour_that_comes_twice_means_the_first_and_the_one_that_is_missing_moves_on() -> None:
    twice, missing = (
        decode("ATTLOG", b"1\t%b\t0" % time)[0] for time in (b"2026-10-25 02:30:00", b"2026-03-29 02:30:00")
    )
    assert isinstance(twice, Visit)
    assert isinstance(missing, Visit)
    assert twice.at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert missing.at == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


NUMBERS = st.text("0123456789", min_size=1, max_size=9)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.replace(microsecond=0))


@given(NUMBERS, TIMES, st.sampled_from("01"))
def test_a_visit_sent_again_has_the_same_key_and_another_has_another(number: str, at: datetime, status: str) -> None:
    def key(*fields: str) -> str | None:
        (visit,) = decode("ATTLOG", "\t".join(fields).encode())
        assert isinstance(visit, Visit)
        return visit.key

    first = key(number, str(at), status)
    assert first == key(number, str(at), status, "15", "0")
    assert first != key(number + "0", str(at), status)
    assert first != key(number, str(at.replace(second=(at.second + 1) % 60)), status)
    assert first is not None
    assert len(first) == 32


def test_the_handshake_asks_for_attendance_only() -> None:
    answer = zkteco.handshake("CJ1", "9999")
    assert answer.startswith("GET OPTION FROM: CJ1\nATTLOGStamp=9999\n")
    assert "TransFlag=TransData AttLog\n" in answer
    assert "Photo\t" not in answer
    assert "ATTLOGStamp=None\n" in zkteco.handshake("CJ1", str(2**32))
    forged = zkteco.handshake("CJ1\r\nX: y", "1\nTransFlag=1111111111")
    assert forged == zkteco.handshake("CJ1Xy")
    assert "ATTLOGStamp=None\n" in forged


def test_answers() -> None:
    assert zkteco.IDLE == "OK"
    assert zkteco.accepted(zkteco.count_lines(ATTLOG)) == "OK: 3"
    assert zkteco.count_lines(ATTPHOTO) == 1
