"""With a smallest cell: what is withheld is neither nothing nor a part of a whole, and no difference tells it."""

from __future__ import annotations

import re
from datetime import date

import duckdb
import pytest

from tests.report.conftest import DAYS, LAST, cards, section, words_of
from venue_assets.report import render
from venue_assets.report.figures import Asker
from venue_assets.report.people import Segments, durations, occupancy, segments
from venue_assets.report.sections.customers import _since
from venue_assets.report.subject import subject_of
from venue_assets.report.wording import Words

Database = duckdb.DuckDBPyConnection


def smallest_cell(con: Database, n: int) -> None:
    con.execute("UPDATE main.settings SET value = $1 WHERE name = 'smallest_cell'", [str(n)])


def test_figures_are_withheld_and_no_sentence_takes_them_for_nothing(writable: Database) -> None:
    smallest_cell(writable, 100_000)
    page = render(writable, LAST)
    shown = cards(page, "harbour")
    assert "withheld" in shown["uv"]
    assert "withheld" in shown["gmv"]
    assert "would tell of fewer than 100,000 people" in shown["uv"]
    said = words_of(section(page, "venue-harbour"))
    for false in (
        "Nobody was", "Nothing was", "No complete visit", "No hour of these", "No visit with both", "Nobody changed",
        "None of", "of the customers",
    ):  # fmt: skip
        assert false not in said
    assert "The number of visitors is withheld; sales are withheld" in said
    assert "Withheld: Passers-by, Entries counted, Visits (PV) and Paying users." in said


def test_no_part_is_told_of_a_whole_of_which_something_is_withheld(writable: Database) -> None:
    smallest_cell(writable, 40)
    said = words_of(section(render(writable, LAST), "venue-harbour"))
    assert "Segments of few people are withheld, and so are parts of the whole" in said
    assert "ended within 10 min" not in said
    writable.execute(
        "UPDATE star.fact_order_line SET category_id = 'rare' WHERE order_key = (SELECT min(order_key) "
        f"FROM star.fact_order_line WHERE event_date = '{LAST}' AND venue_id = 'harbour' AND is_completed)"
    )
    smallest_cell(writable, 5)
    said = words_of(section(render(writable, LAST), "venue-harbour"))
    assert "Of the categories that can be told" in said
    assert "rare" not in said


def test_who_is_inside_is_told_of_enough_people_only(writable: Database) -> None:
    asker = Asker(writable, subject_of(writable, LAST))
    venue = asker.subject.venues[0]
    whole = occupancy(asker, venue)
    smallest_cell(writable, 5)
    guarded = occupancy(Asker(writable, asker.subject), venue)
    for all_, told in zip(whole.recognised + whole.counted, guarded.recognised + guarded.counted, strict=True):
        assert told["inside"] == (None if 0 < all_["inside"] < 5 else all_["inside"])
    assert None in {row["inside"] for row in guarded.recognised}
    assert whole.left_out
    smallest_cell(writable, whole.left_out + 1)
    assert occupancy(Asker(writable, asker.subject), venue).left_out is None
    assert {row["visits"] for row in durations(Asker(writable, asker.subject), venue)} & {None}


def test_a_segment_is_withheld_where_some_of_those_that_came_into_it_are(writable: Database) -> None:
    """A date whose segments are not kept: only how many moved is known of it."""
    day = DAYS[-2]
    asker = Asker(writable, subject_of(writable, day))
    venue = asker.subject.venues[0]
    writable.execute(f"DELETE FROM segments.rfm_segments WHERE event_date = '{day}'")
    before = segments(asker, venue).users
    writable.execute(
        f"UPDATE segments.rfm_migrations SET users = NULL WHERE event_date = '{day}' AND venue_id = 'harbour' "
        "AND segment = 'visitor' AND previous_segment = 'none'"
    )
    assert before["visitor"]["users"]
    assert segments(asker, venue).users["visitor"]["users"] is None


@pytest.mark.parametrize(("now", "before"), [(None, 90), (90, None)])
def test_a_change_is_not_told_from_or_to_few_people(now: int | None, before: int | None) -> None:
    found = Segments({}, date(2026, 1, 5), [])
    assert _since(Words("en", 5), {"users": now, "before": before}, found) == ""
    assert _since(Words("en", 5), {"users": 90, "before": 80}, found) == "+10 since 5 Jan"


def test_of_an_experiment_with_an_arm_of_few_nothing_is_told(writable: Database) -> None:
    def told() -> str:
        return words_of(section(render(writable, LAST), "venue-harbour")).partition("Experiments")[2]

    writable.execute(
        "UPDATE experiments.sample_size_checks SET n_units = 3, n = 3 WHERE experiment_id = 'voucher' AND arm = 'tea'"
    )
    assert "3 of " in told()
    smallest_cell(writable, 5)
    assert "Withheld voucher Withheld: an arm has fewer than 5 visits so far. What to try next" in re.sub(
        " +", " ", told()
    )
    # Days are no people.
    writable.execute("UPDATE star.dim_experiment SET unit = 'venue_day' WHERE experiment_id = 'voucher'")
    assert "3 of " in told()


def test_a_date_on_which_an_arm_got_few_units_is_not_among_the_shares(writable: Database) -> None:
    smallest_cell(writable, 5)
    days = "On none of {} dates did the gateway follow a plan"
    assert days.format(6) in words_of(render(writable, LAST))
    writable.execute(
        "DELETE FROM clean.assignments WHERE experiment_id = 'voucher' AND arm = 'tea' AND event_date = '2026-01-10' "
        "AND unit_id NOT IN (SELECT unit_id FROM clean.assignments WHERE experiment_id = 'voucher' AND arm = 'tea' "
        "AND event_date = '2026-01-10' ORDER BY unit_id LIMIT 4)"
    )
    assert days.format(5) in words_of(render(writable, LAST))
