"""What is claimed: no more than the figures bear."""

from __future__ import annotations

import json
import re
from datetime import date
from types import ModuleType

import duckdb
import pytest

from tests.report.conftest import LAST, cards, section, usual_tuesdays, words_of
from tests.report.test_looks import grown
from venue_assets.dictionary.questions import questions
from venue_assets.pictures import funnel, hours
from venue_assets.report import render
from venue_assets.report.figures import Asker
from venue_assets.report.people import occupancy
from venue_assets.report.subject import subject_of
from venue_assets.report.wording import Words
from venue_assets.semantic_layer.metrics import registry

Database = duckdb.DuckDBPyConnection
ROWS = "metrics.primary_metrics"


def verdict(con: Database, arm: str, effect: float, *, significant: bool) -> None:
    """The one analysis of an arm against the control."""
    con.execute(
        "UPDATE experiments.experiment_verdicts SET status = 'verdict', analysed_on = event_date, level = 0.95, "
        "control_mean = 0.13, arm_mean = 0.13 + $effect, effect = $effect, low = $effect - 0.01, "
        "high = $effect + 0.01, p_value = 0.01, significant = $significant, conclusion = 'about ' || arm "
        "WHERE arm = $arm",
        {"arm": arm, "effect": effect, "significant": significant},
    )


def of_experiment(page: str, experiment: str) -> str:
    return words_of(page.partition(f'id="experiment-{experiment}"')[2].partition('class="experiment"')[0])


@pytest.mark.parametrize(("effect", "way", "zh"), [(0.02, "Higher", "之后更高"), (-0.02, "Lower", "之后更低")])
def test_what_is_not_randomised_neither_worked_nor_did_harm(
    writable: Database, effect: float, way: str, zh: str
) -> None:
    verdict(writable, "greeting", effect, significant=True)
    writable.execute("UPDATE star.dim_experiment SET kind = 'before_after' WHERE experiment_id = 'welcome_screen'")
    page = render(writable, LAST)
    assert f'<span class="badge neutral">{way} afterwards, not randomised</span>' in page
    assert "It worked" not in page
    assert "It did harm" not in page
    said = of_experiment(page, "welcome_screen")
    assert re.search(r"“greeting” against “plain”: .*?; not randomised ", said)
    assert "Not randomised: whatever else changed between the dates" in said
    assert f"{zh}（非随机）" in render(writable, LAST, language="zh")


@pytest.mark.parametrize(
    ("second", "tea", "badge", "about"),
    [
        ((0.05, False), (0.02, True), "It worked", "tea"),
        ((0.05, False), (-0.02, True), "It did harm", "tea"),
        ((0.02, True), (-0.04, True), "It did harm", "tea"),
        ((0.05, False), (0.02, False), "No difference shown", "second_half_price"),
    ],
)
def test_badge_sentence_and_title_are_about_the_same_arm(
    writable: Database, second: tuple[float, bool], tea: tuple[float, bool], badge: str, about: str
) -> None:
    verdict(writable, "second_half_price", second[0], significant=second[1])
    verdict(writable, "tea", tea[0], significant=tea[1])
    page = render(writable, LAST)
    assert f"{badge} voucher About {about}" in words_of(section(page, "glance"))
    said = of_experiment(page, "voucher")
    assert badge in said
    assert ("“tea” against “none”:" in said) == (about == "tea")
    assert "“second_half_price” against" not in said


@pytest.mark.parametrize("decided", [True, False])
def test_a_tree_tells_no_p_value_before_the_verdict(writable: Database, decided: bool) -> None:
    grown(writable, "hour")
    if decided:
        verdict(writable, "tea", 0.02, significant=True)
    part = render(writable, LAST).partition('id="experiment-voucher"')[2].partition('class="experiment"')[0]
    drawn = part.partition("Conditional inference tree")[2].partition("</figure>")[0]
    assert drawn
    assert bool(re.search(r"\bp\s*(?:[<=]|&lt;)", drawn)) == decided
    assert ("p-value" in drawn) == decided


def test_a_step_that_exceeds_the_one_before_is_no_part_of_it(writable: Database) -> None:
    writable.execute(f"DELETE FROM star.fact_session WHERE event_date = '{LAST}' AND hash(session_id) % 100 > 0")
    said = words_of(section(render(writable, LAST), "venue-harbour"))
    assert re.search(r"Paying users [\d,]+ \(more than the step before\)", said)
    assert "Paying users: more than the step before: the terminal missed people." in said
    assert re.search(r"[\d,]+ known people paid, but only [\d,]+ recognised visits?: people were missed", said)


def test_anonymous_orders_are_named_beside_payers(writable: Database) -> None:
    ((n,),) = writable.execute(
        f"SELECT count(DISTINCT order_key) FROM star.fact_order_line WHERE event_date = '{LAST}' AND is_completed "
        "AND venue_id = 'harbour' AND user_id IS NULL"
    ).fetchall()
    writable.execute(f"UPDATE star.fact_order_line SET user_id = NULL WHERE event_date = '{LAST}'")
    ((all_,),) = writable.execute(
        f"SELECT count(DISTINCT order_key) FROM star.fact_order_line WHERE event_date = '{LAST}' AND is_completed "
        "AND venue_id = 'harbour'"
    ).fetchall()
    assert all_ > n
    said = words_of(section(render(writable, LAST), "venue-harbour"))
    assert f"{all_} completed orders are anonymous; who paid is not in it." in said


def test_the_drawn_funnel_claims_no_more(writable: Database) -> None:
    writable.execute(f"UPDATE {ROWS} SET pv = pf_entrance + 1, gmv_anonymous = 1")
    drawn = funnel.picture(writable.sql(f"FROM {ROWS} WHERE event_date = '{LAST}'").to_arrow_table())
    assert drawn.count("(more than above: people were missed)") == 2
    titles = re.findall(r'font-weight="bold"[^>]*>([^<]*)<', drawn)
    assert "known people paid" in " ".join(titles)
    assert "of it anonymous" in " ".join(titles)


@pytest.mark.parametrize(("drawing", "table"), [(funnel, "primary_metrics"), (hours, "hourly_metrics")])
def test_a_long_title_of_a_picture_goes_on_in_a_second_line(
    drawing: ModuleType, table: str, writable: Database
) -> None:
    named = f"SELECT * REPLACE (venue_id || '_hall_of_the_people_at_the_western_gate' AS venue_id) FROM metrics.{table}"
    drawn = drawing.picture(writable.sql(f"{named} WHERE event_date = '{LAST}' ORDER BY venue_id").to_arrow_table())
    titles = re.findall(r'y="([\d.]+)"[^>]*font-weight="bold"[^>]*>([^<]*)<', drawn)
    assert len(titles) == len({y for y, _ in titles}) == 4
    width = float(re.search(r'<svg[^>]* width="(\d+)"', drawn)[1])
    assert max(len(words) for _, words in titles) * 8.1 < width - 24, "bold, at 14 pixels"


def test_one_comparable_day_is_named_and_not_called_usual(writable: Database) -> None:
    """Lantern week began the day before; a week ago there was none."""
    page = render(writable, LAST)
    harbour, riverside = (words_of(section(page, f"venue-{v}")) for v in ("harbour", "riverside"))
    assert "usual" not in harbour + riverside
    assert re.search(r"visitors, [\d,]+ % (more|fewer) than on Tue 6 Jan; ", harbour)
    assert ", without an activity then." in harbour
    writable.execute("UPDATE star.dim_activity SET first_date = DATE '2026-01-01' WHERE first_date IS NOT NULL")
    assert "without an activity then" not in render(writable, LAST)


def test_a_change_against_one_day_is_neither_better_nor_worse(writable: Database) -> None:
    """Any two days differ; from three comparable days on there is something usual to be better than."""
    page = render(writable, LAST)
    said = cards(page, "harbour")["uv"]
    assert re.search("[▲▼] .* vs Tue, 6 Jan", said)
    assert not re.search('class="change (good|bad)"', page)
    assert not re.search(r"\((better|worse)\)", words_of(page))
    usual_tuesdays(writable, "harbour")
    said = cards(render(writable, LAST), "harbour")["uv"]
    assert re.search(r"\((better|worse)\) vs median of 3 Tuesdays", said)


def test_on_its_last_day_an_activity_is_whole(writable: Database) -> None:
    writable.execute("DELETE FROM experiments.activity_comparison")
    assert "whole activity so far" in words_of(render(writable, "winter_fair"))
    writable.execute(f"UPDATE star.dim_activity SET last_date = '{LAST}' WHERE activity_id = 'winter_fair'")
    said = words_of(render(writable, "winter_fair"))
    assert "whole activity" in said
    assert "whole activity so far" not in said
    assert "活动至今" not in render(writable, "winter_fair", language="zh")


def test_who_was_counted_is_in_the_title_of_who_was_inside(writable: Database) -> None:
    """The recognised are a part of those inside, where the entrance counts everybody in and out."""
    asker = Asker(writable, subject_of(writable, LAST))
    for venue in asker.subject.venues:
        counted = occupancy(asker, venue).counted
        for language, sign in (("en", "; of everybody counted "), ("zh", "；计数所有人最多 ")):
            titles = re.findall(
                "<h4>([^<]*)</h4>", section(render(writable, LAST, language=language), f"venue-{venue.venue_id}")
            )  # type: ignore[arg-type]
            said = [title.partition(sign)[2] for title in titles if sign in title]
            assert len(said) == bool(counted), venue.venue_id
            if counted:
                assert said[0].startswith(f"{max(row['inside'] for row in counted):,.0f}")


def test_what_is_estimated_says_so(writable: Database) -> None:
    assert "estimated" not in words_of(section(render(writable, LAST), "venue-harbour"))
    writable.execute(f"UPDATE {ROWS} SET pf_entrance_estimated = true, ocr_low = 0.111, ocr_high = 0.222")
    page = render(writable, LAST)
    shown = cards(page, "harbour")
    assert "estimated" in shown["pf_entrance"]
    assert "estimated, 11.1 % to 22.2 %" in shown["ocr"]
    assert "estimated" not in shown["pv"]
    assert "(estimated)" in words_of(section(page, "trust"))


def test_the_venue_may_have_a_quote_in_its_id(writable: Database) -> None:
    for schema, table in writable.execute(
        "SELECT schema_name, table_name FROM duckdb_columns() JOIN duckdb_tables() USING (schema_name, table_name) "
        "WHERE column_name = 'venue_id'"
    ).fetchall():
        writable.execute(f"UPDATE {schema}.{table} SET venue_id = 'o''hara' WHERE venue_id = 'harbour'")
    assert "Harbour" in render(writable, "lantern_week")


def test_words() -> None:
    en, zh = Words("en"), Words("zh")
    assert en.days(date(2009, 12, 1), date(2010, 12, 9)) == "1 Dec 2009 to 9 Dec 2010"
    assert zh.days(date(2009, 12, 1), date(2010, 12, 9)) == "2009年12月1日至2010年12月9日"
    assert en.days(date(2010, 12, 1), date(2010, 12, 9)) == "1 Dec to 9 Dec 2010"
    assert en.change(registry()["ocr"], 0.2, 0.1) == "+10.0\N{NO-BREAK SPACE}points"
    assert [en.count(n, "date", "dates", "") for n in (0, 1, 1.2, 2)] == [
        f"{said}".replace(" ", "\N{NO-BREAK SPACE}") for said in ("0 dates", "1 date", "1 date", "2 dates")
    ]


def test_dates_of_two_years_are_not_called_the_same() -> None:
    """Else the columns of a chart that runs for longer than a year would be drawn into one."""
    new_year, last = date(2025, 1, 1), date(2026, 1, 1)
    assert list(Words("en").names([new_year, date(2025, 12, 31)]).values()) == ["1 Jan", "31 Dec"]
    assert Words("en").names([new_year, last]) == {new_year: "1 Jan 2025", last: "1 Jan 2026"}
    assert Words("zh").names([new_year, last]) == {new_year: "2025年1月1日", last: "2026年1月1日"}


def test_one_person_is_no_people(writable: Database) -> None:
    """Of one visit on the last date, and nobody else."""
    writable.execute(f"DELETE FROM star.fact_count WHERE event_date = '{LAST}'")
    for fact, one in (("fact_session", "session_id"), ("fact_order_line", "order_key"), ("fact_user_day", "user_id")):
        writable.execute(
            f"DELETE FROM star.{fact} WHERE event_date = '{LAST}' AND {one} NOT IN (SELECT min({one}) FROM star.{fact} "
            f"WHERE event_date = '{LAST}' GROUP BY venue_id)"
        )
    writable.execute(
        f"UPDATE star.fact_session SET has_entry = true, state = 'complete', dwell_seconds = 60 "
        f"WHERE event_date = '{LAST}'"
    )
    said = words_of(render(writable, LAST))
    assert "1 visitor" in said
    assert "At most 1 recognised person was inside at once" in said
    assert not re.search(r"(?<![\d,.])1 (?:visitors|people|visits|passers-by|orders|customers|dates|days)\b", said)


def test_title_and_peak_of_who_was_inside_are_the_same_number(writable: Database) -> None:
    """On average over an activity it has tenths, and two ways to round look like two figures."""
    page = render(writable, "winter_fair")
    said = re.search(r"On average most recognised people were inside at (\d\d:\d\d): ([\d.,]+)", words_of(page))
    assert said
    specs = json.loads(page.partition('id="specs">')[2].partition("</script>")[0]).values()
    drawn = [row for spec in specs for rows in spec["datasets"].values() for row in rows if row.get("clock") == said[1]]
    assert drawn[0]["series"] == "recognised"
    assert drawn[0]["figure"] == said[2]


def test_the_largest_move_between_segments_is_not_said_to_be_most_of_them(writable: Database) -> None:
    said = words_of(section(render(writable, LAST), "venue-harbour"))
    found = re.search(r"([\d,]+) people changed segment since 11 Jan; the largest move, of ([\d,]+), is from", said)
    assert found
    whole, largest = (int(n.replace(",", "")) for n in found.groups())
    moves = writable.execute(
        "SELECT count(*) AS n "
        "FROM segments.rfm_segments AS a JOIN segments.rfm_segments AS b USING (venue_id, user_id) "
        f"WHERE venue_id = 'harbour' AND a.event_date = '{LAST}' AND b.event_date = '2026-01-11' "
        "AND a.segment <> b.segment GROUP BY a.segment, b.segment ORDER BY n DESC"
    ).fetchall()
    assert (whole, largest) == (sum(n for (n,) in moves), moves[0][0])


@pytest.mark.parametrize(
    ("conclusion", "said"),
    [
        ("“no” beats “tea”: conversion 2 %", "“no” beats “tea”"),
        ("no difference between “no” and “tea” is shown: 1 %", "No difference between “no” and “tea”"),
    ],
)
def test_a_conclusion_begins_with_a_capital_and_an_arm_keeps_its_name(
    writable: Database, conclusion: str, said: str
) -> None:
    writable.execute("UPDATE experiments.experiment_verdicts SET conclusion = $1", [conclusion])
    assert said in of_experiment(render(writable, LAST), "welcome_screen")


def test_differences_of_fractions_are_points_and_the_last_bar_is_open(writable: Database) -> None:
    writable.execute(
        "UPDATE star.fact_session SET dwell_seconds = 9000 WHERE session_id IN "
        f"(SELECT min(session_id) FROM star.fact_session WHERE event_date = '{LAST}' AND state = 'complete' "
        "GROUP BY venue_id)"
    )
    assert "120 min and more 1 " in words_of(render(writable, LAST))
    part = words_of(section(render(writable, "winter_fair"), "venue-riverside"))
    row = part.partition("Interval Footfall")[2] or part.partition(" Interval ")[2]
    assert re.search(r"(OCR|rate|Conversion)[^%]* [\d.]+ % [\d.]+ % [+\u2212]?[\d.]+ points", row), row[:600]


def test_what_might_be_tried_is_a_sentence(writable: Database) -> None:
    writable.execute("UPDATE experiments.improvement_hypotheses SET finding = 'visits of few: less'")
    page = render(writable, LAST)
    assert "visits of few: less" not in page


def test_the_activity_card_and_the_dictionarys_question_each_say_which_days_they_compare(writable: Database) -> None:
    """One takes the same weekdays, the other all dates: their figures differ, and neither may look like a mistake."""
    card = words_of(render(writable, "winter_fair"))
    assert "both over the weekdays that the two have" in card
    assert "takes all dates of the activity and of the four weeks before, whatever their weekday" in card
    (asked,) = (q for q in questions() if q.name == "activity_against_before")
    assert "All dates count, whatever their weekday." in asked.reading.en
    assert "the report's activity card" in asked.reading.en
    assert "报告中的活动卡片" in asked.reading.zh


def test_an_average_says_of_how_many_dates_it_is(writable: Database) -> None:
    """Two Mondays are no week after week."""
    said = words_of(render(writable, LAST))
    assert re.search(
        r"from \d\d:00 was the busiest hour: [\d,]+ visits \(PV\)(, of one date| on average of 2 dates)", said
    )


def test_money_that_is_not_known_to_ten_has_no_cents(writable: Database) -> None:
    shown = "UPDATE experiments.activity_comparison SET difference = 31.25, low = $1, high = $2 WHERE kpi = 'gmv'"
    for low, high, written in (
        (-1000.5, 1063.0, r"\+31 EUR \u22121,000 EUR … \+1,063 EUR"),
        (30.0, 32.5, r"\+31\.25 EUR"),
    ):
        writable.execute(shown, [low, high])
        assert re.search(written, words_of(section(render(writable, "winter_fair"), "venue-riverside")))


def test_a_small_p_value_has_no_exponent(writable: Database) -> None:
    verdict(writable, "greeting", 0.03, significant=True)
    writable.execute("UPDATE experiments.experiment_verdicts SET p_value = 1.3e-9 WHERE arm = 'greeting'")
    said = words_of(render(writable, LAST))
    assert "< 0.0001" in said
    assert "e-09" not in said


def test_the_means_of_groups_are_said_to_be_chosen_for_their_distance(writable: Database) -> None:
    grown(writable, "segment")
    page = render(writable, LAST)
    assert "Visitors fall into 2 groups that differ in conversion" in page
    assert "n visits and their mean KPI in each group. The groups were chosen for how far apart they lie here" in page
    assert "访客分为转化率不同的 2 组" in render(writable, LAST, language="zh")
