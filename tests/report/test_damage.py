"""Damaged dates: what is too low is neither compared with nor praised or blamed, and the page names the dates."""

from __future__ import annotations

import re
from datetime import date

import duckdb
import pytest

from tests.report.conftest import LAST, cards, section, usual_tuesdays, words_of
from venue_assets.report import render
from venue_assets.report.figures import Asker
from venue_assets.report.losses import LOST, damaged
from venue_assets.report.subject import subject_of

Database = duckdb.DuckDBPyConnection
BEFORE = date(2026, 1, 6)
"""The one day with which the report's date is compared."""
ORDERS = ("gmv", "completed_orders", "average_order_value", "paying_users", "conversion")
"""What rests on orders."""


def refuse(con: Database, stream: str, day: date, venue: str = "riverside") -> None:
    """One segment of the venue's gateway."""
    con.execute(
        "UPDATE raw.landed_segments SET rows = 0, reason = 'hash' WHERE event_date = $day AND stream = $stream AND "
        "segment = (SELECT min(segment) FROM raw.landed_segments WHERE event_date = $day AND stream = $stream "
        "AND starts_with(segment, $gateway))",
        {"day": day, "stream": stream, "gateway": f"sim_{venue}-"},
    )


def lose(con: Database, stream: str, day: date, part: float, *, before: bool = False) -> None:
    """So much of a stream's numbers on a date, from among the date's own, or from before them."""
    ((rows, lowest, middle, boot),) = con.execute(
        "SELECT sum(rows), min(first), median(first), min(boot) FROM (SELECT rows, "
        "regexp_extract(segment, '-(\\d+)-\\d+\\.', 1)::BIGINT AS first, "
        "regexp_extract(segment, '^[^-]+-([^-]+)-', 1) AS boot FROM raw.landed_segments "
        "WHERE event_date = $1 AND stream = $2 AND starts_with(segment, 'sim_riverside-'))",
        [day, stream],
    ).fetchall()
    missing = round(part / (1 - part) * float(rows))
    con.execute(
        "INSERT INTO raw.sequence_gaps BY NAME SELECT $day::DATE AS event_date, $stream AS stream, "
        "'sim_riverside' AS gateway_id, $boot AS boot_id, $last - $missing + 1 AS first_missing, "
        "$last AS last_missing, $missing::BIGINT AS missing",
        {"day": day, "stream": stream, "boot": boot, "missing": missing}
        | {"last": lowest - 1 if before else round(middle + missing / 2)},
    )


@pytest.fixture
def whole(writable: Database) -> Database:
    """What the simulation lost has arrived."""
    writable.execute("DELETE FROM raw.sequence_gaps")
    return writable


def without_records(con: Database, day: date, venue: str = "riverside") -> None:
    """As if the venue's gateway had been off line."""
    for (table,) in con.execute(
        "SELECT DISTINCT table_name FROM duckdb_columns() WHERE schema_name = 'clean' AND column_name = 'device_id'"
    ).fetchall():
        con.execute(f"DELETE FROM clean.{table} WHERE venue_id = $1 AND event_date = $2", [venue, day])


def shown(con: Database) -> dict[str, str]:
    return cards(render(con, LAST), "riverside")


def damage_of(con: Database, day: date) -> dict[str, frozenset[str]]:
    of = damaged(Asker(con, subject_of(con, LAST)).rows, BEFORE, LAST).get("riverside", {})
    return {stream: frozenset(causes) for stream, causes in of.get(day, {}).items()}


def test_a_day_with_a_refused_segment_is_no_comparison_for_what_rests_on_it(whole: Database) -> None:
    assert all("vs Tue, 6 Jan" in said for said in (shown(whole)[name] for name in (*ORDERS, "uv", "pf_range")))
    refuse(whole, "orders", BEFORE)
    found = shown(whole)
    for name in ORDERS:
        assert found[name].endswith("no comparable day: Tue 6 Jan damaged"), name
        assert not re.search("[▲▼]", found[name]), name
    assert "vs Tue, 6 Jan" in found["uv"]
    assert "vs Tue, 6 Jan" in found["pf_range"]
    page = render(whole, LAST)
    said = words_of(section(page, "venue-riverside"))
    assert "Damaged, and left out where a figure rests on it: Tue 6 Jan (a segment refused)." in said
    assert 'title="Left out as damaged: Tue 6 Jan (a segment refused)"' in section(page, "venue-riverside")
    assert "Damaged" not in words_of(section(page, "venue-harbour"))
    chinese = words_of(section(render(whole, LAST, language="zh"), "venue-riverside"))
    assert "受损日期不参与相关指标的比较：1月6日（周二）有段被拒。" in chinese


def test_a_day_off_line_and_a_silent_device_are_no_comparison(whole: Database) -> None:
    whole.execute(f"DELETE FROM clean.face_visits WHERE venue_id = 'riverside' AND event_date = '{BEFORE}'")
    found = shown(whole)
    assert found["uv"].endswith("no comparable day: Tue 6 Jan damaged")
    assert "vs Tue, 6 Jan" in found["gmv"]
    assert "(a device silent)" in words_of(section(render(whole, LAST), "venue-riverside"))
    without_records(whole, BEFORE)
    assert all("Tue 6 Jan damaged" in said for name, said in shown(whole).items() if name != "new_visitors")
    assert "(gateway off line)" in words_of(section(render(whole, LAST), "venue-riverside"))


@pytest.mark.parametrize(("part", "is_damage"), [(LOST / 2, False), (2 * LOST, True)])
def test_missing_numbers_are_damage_from_a_hundredth_on(whole: Database, part: float, is_damage: bool) -> None:
    lose(whole, "entrance_counts", BEFORE, part)
    assert damage_of(whole, BEFORE) == ({"entrance_counts": {"gaps"}} if is_damage else {})
    assert ("Tue 6 Jan damaged" in shown(whole)["pf_entrance"]) == is_damage
    assert "Tue 6 Jan damaged" not in shown(whole)["pf_range"]


def test_what_is_missing_after_a_date_off_line_is_that_dates_loss(whole: Database) -> None:
    """The next date tells of it, for it knows which number came next."""
    lose(whole, "orders", LAST, 0.5, before=True)
    whole.execute(f"DELETE FROM raw.landed_segments WHERE event_date = DATE '{LAST}' - 1")
    assert damage_of(whole, LAST) == {}
    lose(whole, "orders", LAST, 0.5)
    assert damage_of(whole, LAST) == {"orders": {"gaps"}}


def test_of_several_comparable_days_the_damaged_one_is_left_out_by_name(whole: Database) -> None:
    days = [date(2025, 12, 30), date(2025, 12, 23)]
    for n, day in enumerate(days, start=1):
        whole.execute(
            f"INSERT INTO star.fact_session SELECT * REPLACE (DATE '{day}' AS event_date, "
            f"'{day}' || session_id AS session_id) FROM star.fact_session WHERE event_date = DATE '{BEFORE}' "
            f"AND venue_id = 'harbour' AND has_entry ORDER BY session_id LIMIT {40 * n}"
        )
    assert "vs median of 3 Tuesdays" in cards(render(whole, LAST), "harbour")["pv"]
    refuse(whole, "face_visits", BEFORE, "harbour")
    said = cards(render(whole, LAST), "harbour")["pv"]
    assert "vs median of 2 Tuesdays" in said
    assert said.endswith("; without Tue 6 Jan, damaged")
    now = int(re.findall(r"\d+", said)[0])
    assert f"{100 * (now / 60 - 1):+,.1f} %" in said


def test_a_date_that_is_damaged_itself_says_so_and_is_neither_better_nor_worse(whole: Database) -> None:
    usual_tuesdays(whole, "riverside")
    before = shown(whole)
    assert re.search(r"\((better|worse)\)", before["uv"])
    refuse(whole, "face_visits", LAST)
    found = shown(whole)
    assert "incomplete: a segment refused" in found["uv"]
    assert not re.search(r"\((better|worse)\)", found["uv"])
    assert found["gmv"] == before["gmv"]
    said = words_of(section(render(whole, LAST), "glance"))
    assert "Records of this date are missing (a segment refused): what rests on them is too low." in said


def test_an_activity_names_the_dates_of_which_a_part_is_missing(whole: Database) -> None:
    assert "Records are missing of" not in words_of(section(render(whole, "winter_fair"), "glance"))
    refuse(whole, "orders", date(2026, 1, 10))
    page = render(whole, "winter_fair")
    named = "Records are missing of Sat 10 Jan (a segment refused); what rests on them is too low there."
    assert named in words_of(section(page, "glance"))
    compared = words_of(section(page, "venue-riverside")).partition("Figures a day, against")[2]
    assert "Dates without any record are on neither side" in compared
    assert named in compared


def test_what_counts_as_damaged_is_stated(whole: Database) -> None:
    said = words_of(section(render(whole, LAST), "definitions"))
    assert "A day is damaged for a figure where the gateway of the venue was off line" in said
    assert f"more than {100 * LOST:.0f} % of the sequence numbers are missing" in said


def test_charts_over_dates_name_the_damaged_ones_and_compare_with_none(whole: Database) -> None:
    """Nobody would see from a column that is too low that its records are missing."""
    said = words_of(section(render(whole, LAST), "venue-riverside"))
    assert "what rests on them is too low there" not in said
    whole.execute(
        "INSERT INTO metrics.primary_metrics SELECT * REPLACE ('2025-11-01'::DATE AS event_date) "
        "FROM metrics.primary_metrics WHERE event_date = $1",
        [BEFORE],
    )
    assert re.search("of the visitors of 13 Jan had been there before, (up|down) from", shown_words(whole))
    refuse(whole, "face_visits", BEFORE)
    said = shown_words(whole)
    assert "of the visitors of 13 Jan had been there before Recognised" in said
    assert said.count("Records are missing of Tue 6 Jan (a segment refused); what rests on them is too low there.") == 2


def shown_words(con: Database) -> str:
    return words_of(section(render(con, LAST), "venue-riverside"))
