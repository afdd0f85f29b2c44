"""The start of records: nothing is called a year, a change or a return that is only the beginning of the records."""

from __future__ import annotations

import re
from datetime import date, timedelta

import duckdb

from tests.report.conftest import LAST, Look, cards, section, words_of
from venue_assets.report import render
from venue_assets.report.figures import SETTLED

Database = duckdb.DuckDBPyConnection
FIRST = date(2026, 1, 5)


def older_by(con: Database, days: int) -> None:
    """As if the records of both venues had begun so much earlier."""
    con.execute(
        "INSERT INTO metrics.primary_metrics SELECT * REPLACE ($1::DATE AS event_date) FROM metrics.primary_metrics "
        "WHERE event_date = $2",
        [FIRST - timedelta(days=days), FIRST],
    )


def test_new_visitors_have_no_change_while_everybody_is_new(writable: Database) -> None:
    page = render(writable, LAST)
    found = cards(page, "harbour")
    assert found["new_visitors"].endswith("no comparable day: records only since 5 Jan")
    assert "%" not in found["new_visitors"]
    assert "when everybody was new: no change is given in the first weeks" in section(page, "venue-harbour")
    assert "vs Tue, 6 Jan" in found["uv"]
    older_by(writable, SETTLED - 2)  # the compared day is the second one
    assert "records only since" in cards(render(writable, LAST), "harbour")["new_visitors"]
    older_by(writable, SETTLED - 1)
    found = cards(render(writable, LAST), "harbour")
    assert "vs Tue, 6 Jan" in found["new_visitors"]


def test_returning_visitors_are_not_compared_with_the_first_records(writable: Database) -> None:
    said = words_of(section(render(writable, LAST), "venue-harbour"))
    assert "had been there before Recognised people" in said
    assert "a week earlier" not in said
    assert "Records begin on 5 Jan, when everybody was new, so returning visitors have to rise at first." in said
    older_by(writable, 60)
    said = words_of(section(render(writable, LAST), "venue-harbour"))
    assert "a week earlier" in said
    assert "when everybody was new" not in said


def test_sales_are_those_of_a_year_when_there_is_a_year_of_records(writable: Database) -> None:
    said = words_of(section(render(writable, LAST), "venue-harbour"))
    assert "of the sales since 5 Jan" in said
    assert "of a year" not in said
    assert "Records begin on Monday, 5 Jan 2026: to keep or win back is who bought early in these 9 dates." in said
    assert "were not known before, as records begin on 5 Jan." in said
    assert "1月5日以来已识别顾客销售额的" in render(writable, LAST, language="zh")
    older_by(writable, 365)
    said = words_of(section(render(writable, LAST), "venue-harbour"))
    assert "of the sales of a year to known customers" in said
    assert "have left the window of 365 dates." in said
    assert "Records begin" not in said


def test_nobody_is_to_be_won_back_before_there_is_a_week_of_records(writable: Database) -> None:
    """On the first date all have bought equally lately, and the definition calls the last of equals late."""
    for day in (FIRST, date(2026, 1, 10)):
        for language, held in (("en", "Segments are held back until there are 7 dates"), ("zh", "满 7 天后才显示分群")):
            said = words_of(section(render(writable, day, language=language), "venue-harbour"))
            assert held in said
            assert not {"Important win back", "重要挽留"} & set(said.split())
            assert "win back →" not in said
    assert "Important win back" in words_of(section(render(writable, date(2026, 1, 11)), "venue-harbour"))


def test_moves_are_not_told_from_a_date_whose_segments_are_held_back(writable: Database) -> None:
    """Segments of 5 to 10 Jan are kept, too, but mean nothing."""
    said = words_of(section(render(writable, LAST), "venue-harbour"))
    assert re.search(r"changed segment since 11 Jan; .* People by segment on 11 Jan and on 13 Jan", said)
    assert set(re.findall(r"[+\u2212]?\d+ since (\d+ Jan)", said)) == {"11 Jan"}
    first = words_of(section(render(writable, date(2026, 1, 11)), "venue-harbour"))
    assert "There is no earlier date with segments to compare with." in first
    # Long after the first records the earliest of the last four weeks it is.
    older_by(writable, 60)
    assert "changed segment since 5 Jan" in words_of(section(render(writable, LAST), "venue-harbour"))


def test_the_first_date_is_not_drawn_as_if_it_were_many(look: Look, writable: Database) -> None:
    page = render(writable, FIRST)
    said = words_of(section(page, "venue-harbour"))
    assert re.search(r"5 Jan, from \d\d:00, was the busiest hour: [\d,]+ visits", said)
    assert "on average" not in said
    assert "of a year" not in said
    assert "had been there before," in said
    assert "everybody counts as new" in said
    assert "Too early to tell: records begin on 5 Jan" in said
    looked = look(page)
    busy = looked.page.locator("#venue-harbour figure").filter(has_text="busiest hour").locator(".chart")
    columns = busy.evaluate(
        "e => [...e.querySelectorAll('.mark-rect.role-mark path')].map(p => [p.getAttribute('fill'), "
        "p.getBBox().height])"
    )
    # One row of a heat map would tell nothing by its place, and leave a hole beside its neighbour.
    assert {fill for fill, _ in columns} == {"#0072B2"}
    assert len({high for _, high in columns}) > 3


def test_columns_of_few_dates_are_not_wide(look: Look, writable: Database) -> None:
    looked = look(render(writable, FIRST + timedelta(days=1)))
    drawn = looked.page.locator("#venue-harbour figure").filter(has_text="had been there before").locator(".chart")
    widest = drawn.evaluate(
        "e => Math.max(...[...e.querySelectorAll('.mark-rect.role-mark path')].map(p => p.getBBox().width)) / "
        "e.getBoundingClientRect().width"
    )
    assert 0.03 < widest < 0.125


def test_few_weekdays_fill_as_much_of_a_chart_as_all(look: Look, writable: Database) -> None:
    looked = look(render(writable, FIRST + timedelta(days=1)))
    busy = looked.page.locator("#venue-harbour figure").filter(has_text="busiest hour").locator(".chart")
    cells = busy.evaluate("e => [...e.querySelectorAll('.mark-rect.role-mark path')].map(p => p.getBBox().height)")
    assert set(cells) == {98}
    assert "visits (PV), of one date only" in words_of(
        section(render(writable, FIRST + timedelta(days=1)), "venue-harbour")
    )
