"""Data trust: who was silent, on which date, which dates are missing, and how many numbers."""

from __future__ import annotations

import re
from datetime import date

import duckdb

from tests.report.conftest import LAST, section, words_of
from venue_assets.report import render

Database = duckdb.DuckDBPyConnection


def trust_of(con: Database, subject: object = LAST) -> str:
    return words_of(section(render(con, subject), "trust"))  # type: ignore[arg-type]


def off_line(con: Database, venue: str, day: date) -> None:
    """Nothing of the venue landed on the date."""
    for (table,) in con.execute(
        "SELECT DISTINCT table_name FROM duckdb_columns() WHERE schema_name = 'clean' AND column_name = 'device_id'"
    ).fetchall():
        con.execute(f"DELETE FROM clean.{table} WHERE venue_id = '{venue}' AND event_date = '{day}'")


def test_a_lone_counter_that_stops_before_its_venue_is_named_with_date_and_time(writable: Database) -> None:
    writable.execute(
        f"DELETE FROM clean.entrance_counts WHERE venue_id = 'riverside' AND local_time > '{LAST} 14:00:00'"
    )
    assert "Tue 13 Jan Riverside Hall entrance entrance Tue 13 Jan, 14:00" in trust_of(writable)


def test_a_lone_terminal_that_sees_nobody_while_many_come_is_named(writable: Database) -> None:
    assert "Every device spoke" in trust_of(writable)
    writable.execute(f"DELETE FROM clean.face_visits WHERE venue_id = 'riverside' AND local_time > '{LAST} 12:00:00'")
    said = trust_of(writable)
    assert "Riverside Hall terminal terminals Tue 13 Jan, 1" in said
    assert "1 silent device" in said


def test_over_an_activity_devices_are_judged_on_each_date(writable: Database) -> None:
    before = trust_of(writable, "winter_fair")
    assert "Riverside Hall terminal" not in before
    writable.execute("DELETE FROM clean.face_visits WHERE venue_id = 'riverside' AND event_date > '2026-01-10'")
    assert "11 Jan to 13 Jan 2026 Riverside Hall terminal terminals no record" in trust_of(writable, "winter_fair")


def test_over_an_activity_dates_without_any_record_of_its_venue_are_named(writable: Database) -> None:
    off_line(writable, "riverside", date(2026, 1, 12))
    off_line(writable, "harbour", date(2026, 1, 9))
    page = render(writable, "winter_fair")
    said = words_of(section(page, "trust"))
    assert "Without Fri 9 Jan and Mon 12 Jan, of which there are no records." in words_of(section(page, "glance"))
    assert "2 dates without records" in said  # the simulation loses the first one
    assert "Riverside Hall Fri 9 Jan and Mon 12 Jan" in said
    assert "What happened then is in no figure." in said
    assert "no record" not in said.replace("no records", "")
    assert "Every device spoke on every date with records" in said
    assert "Harbour" not in said.partition("without any record")[2]  # the activity is not there


def test_a_venue_that_was_off_line_is_told_alike_of_the_date_alone_and_within_its_activity(
    writable: Database,
) -> None:
    off_line(writable, "riverside", LAST)
    for subject, without, days in (
        (LAST, "1 date without records", "Tue 13 Jan"),
        ("winter_fair", "2 dates without records", "Fri 9 Jan and Tue 13 Jan"),  # the simulation loses the first one
    ):
        said = trust_of(writable, subject)
        assert without in said
        assert f"Riverside Hall {days}" in said
        assert "silent device" not in said
        assert "Every device spoke on every date with records" in said
    chinese = words_of(section(render(writable, LAST, language="zh"), "trust"))
    assert "1 个日期无记录" in chinese
    assert "台设备沉默" not in chinese


def test_over_an_activity_only_refused_segments_of_its_venue_on_its_dates_are_told(writable: Database) -> None:
    writable.execute("DELETE FROM raw.refused_segments")
    for day, gateway in (("2026-01-12", "riverside"), ("2026-01-12", "harbour"), ("2026-01-05", "riverside")):
        writable.execute(
            "INSERT INTO raw.refused_segments BY NAME SELECT $day::DATE AS event_date, 'orders' AS stream, "
            "'sim_' || $gateway || '-b1-1-9.jsonl.zst' AS segment, 'truncated' AS reason, 'ship it again' AS remedy",
            {"day": day, "gateway": gateway},
        )
    said = trust_of(writable, "winter_fair")
    assert "1 segment refused" in said
    assert "sim_riverside-b1-1-9" in said


def test_missing_numbers_are_those_of_the_gaps_each_once(writable: Database) -> None:
    writable.execute("DELETE FROM raw.sequence_gaps")
    for day, first, missing in (("2026-01-05", 1, 2), ("2026-01-12", 5, 4321), (str(LAST), 5, 4321)):
        writable.execute(
            "INSERT INTO raw.sequence_gaps BY NAME SELECT $day::DATE AS event_date, 'orders' AS stream, "
            "'sim_harbour' AS gateway_id, 'b1' AS boot_id, $first AS first_missing, $first + $missing - 1 AS "
            "last_missing, $missing AS missing",
            {"day": day, "first": first, "missing": missing},
        )
    assert "; 4,321 records never arrived (of " in trust_of(writable)
    assert " 4,321 records never arrived" in trust_of(writable, "winter_fair"), "two dates tell of it"


def test_missing_numbers_are_told_with_their_date_and_as_new_only_once(writable: Database) -> None:
    """Of a date of which nothing landed, two later ones tell."""
    off_line, first, second = "2026-01-11", "2026-01-12", str(LAST)
    writable.execute("DELETE FROM raw.sequence_gaps")
    segments = "raw.landed_segments WHERE stream = 'orders' AND starts_with(segment, 'sim_riverside-')"
    ((lowest, highest, boot),) = writable.execute(
        "SELECT min(regexp_extract(segment, '-(\\d+)-\\d+\\.', 1)::BIGINT), "
        "max(regexp_extract(segment, '-(\\d+)\\.', 1)::BIGINT), min(regexp_extract(segment, '^[^-]+-([^-]+)-', 1)) "
        f"FROM {segments} AND event_date = '{off_line}'"
    ).fetchall()
    writable.execute(f"DELETE FROM {segments} AND event_date = '{off_line}'")
    for day in (first, second):
        writable.execute(
            "INSERT INTO raw.sequence_gaps BY NAME SELECT $day::DATE AS event_date, 'orders' AS stream, "
            "'sim_riverside' AS gateway_id, $boot AS boot_id, $lowest AS first_missing, $highest AS last_missing, "
            "$highest - $lowest + 1 AS missing",
            {"day": day, "boot": boot, "lowest": lowest, "highest": highest},
        )
    n = f"{highest - lowest + 1:,} records never arrived"
    assert f"{n} (of Sun 11 Jan)" in trust_of(writable, date(2026, 1, 11)), "its own, though later ones tell it"
    assert f"{n} (of Sun 11 Jan)" in trust_of(writable, date(2026, 1, 12))
    assert f"{n} (of Sun 11 Jan; not new: told since 12 Jan)" in trust_of(writable)
    chinese = words_of(section(render(writable, LAST, language="zh"), "trust"))
    assert "（属于1月11日（周日）；并非新增，自1月12日已告知）" in chinese
    assert "never arrived" not in trust_of(writable, date(2026, 1, 10)).partition(".")[0]


def test_numbers_that_are_missing_of_a_stream_of_which_nothing_landed_are_in_the_sum(writable: Database) -> None:
    writable.execute("DELETE FROM raw.sequence_gaps")
    writable.execute(
        "INSERT INTO raw.sequence_gaps BY NAME SELECT $1::DATE AS event_date, 'identity_links' AS stream, "
        "'elsewhere' AS gateway_id, 'b1' AS boot_id, 5 AS first_missing, 9 AS last_missing, 5 AS missing",
        [LAST],
    )
    writable.execute(f"DELETE FROM raw.landed_segments WHERE stream = 'identity_links' AND event_date = '{LAST}'")
    said = trust_of(writable)
    assert "; 5 records never arrived" in said
    assert "identity links 0 0 0 5 " in said
    assert re.search(r" all [\d,]+ [\d,]+ [\d,]+ 5 ", said)


def test_why_a_segment_was_refused_is_in_words(writable: Database) -> None:
    for reason, en, zh in (("missing", "its file is missing", "文件缺失"), ("row_count", "too many", "行数不符")):
        writable.execute("DELETE FROM raw.refused_segments")
        writable.execute(
            "INSERT INTO raw.refused_segments BY NAME SELECT $1::DATE AS event_date, 'orders' AS stream, "
            "'sim_riverside-b1-1-9.jsonl.zst' AS segment, $2 AS reason, 'ship it again' AS remedy",
            [LAST, reason],
        )
        for language, said in (("en", en), ("zh", zh)):
            page = words_of(section(render(writable, LAST, language=language), "trust"))  # type: ignore[arg-type]
            assert re.search(f"sim_riverside-b1-1-9.jsonl.zst {said}|rows are missing or {said}", page)
