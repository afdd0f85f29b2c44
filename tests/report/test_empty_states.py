"""What is not there is said in a sentence: no terminal, no orders, no counts, no experiment, no earlier date."""

from __future__ import annotations

import re
from datetime import date

import pytest

from tests.report.conftest import Look, cards, published_home, reading, section, words_of
from venue_assets.home import Home
from venue_assets.report import CannotReport, render

DAY = date(2026, 1, 5)
KINDS = {
    "counted": ("boundary_counts", "entrance_counts"),
    "recognised": ("face_visits",),
    "sold": ("face_visits", "orders"),
}


def _site() -> str:
    parts = []
    for venue, streams in KINDS.items():
        parts.append(
            f'[[venues]]\nid = "{venue}"\nname = "{venue.title()}"\ntime_zone = "Europe/Berlin"\ncurrency = "EUR"\n'
            f"opened_on = 2026-01-01\n"
        )
        parts += [
            f'[[devices]]\nid = "{stream}"\nvenue_id = "{venue}"\ngateway_id = "sim_{venue}"\nstream = "{stream}"\n'
            for stream in (*streams, "gateway_events")
        ]
    parts.append(parts[0].replace("counted", "bare").replace("Counted", "Bare"))
    parts.append('[[devices]]\nid = "gate"\nvenue_id = "bare"\ngateway_id = "away"\nstream = "face_visits"\n')
    return "\n".join(parts)


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One date of venues that each lack something; of one nothing landed."""
    return published_home(tmp_path_factory.mktemp("poor"), _site(), [DAY], visits=90)


@pytest.fixture(scope="module")
def page(poor: Home) -> str:
    with reading(poor) as con:
        return render(con, DAY)


SENTENCES = {
    "counted": (
        "The venue has no recognition terminal, so who is inside is not known.",
        "The venue has no recognition terminal, so visits have no duration.",
        "The venue has no recognition terminal, so nobody is known to return.",
        "The venue takes no orders.",
        "Nobody is known by a pseudonym yet, so there are no segments.",
    ),
    "recognised": (
        "Only one step is known here. Visits (PV):",
        "The venue takes no orders.",
        "None of",
        "There is no earlier date with segments to compare with.",
    ),
    "sold": ("Segments are held back until there are 7 dates of records, which begin on 5 Jan",),
}


@pytest.mark.parametrize("venue", SENTENCES)
def test_it_says_so(page: str, venue: str) -> None:
    said = words_of(section(page, f"venue-{venue}"))
    for sentence in SENTENCES[venue]:
        assert sentence in said
    assert "No experiment is on at this venue." in said
    assert "Too early to tell: records begin on 5 Jan, and a norm takes more than 7 dates." in said
    assert "no comparable day" in said


def test_there_are_no_cards_of_what_a_venue_cannot_know(page: str) -> None:
    assert set(cards(page, "counted")) == {"pf_range", "pf_entrance", "ocr"}
    assert set(cards(page, "recognised")) == {"uv", "pv", "new_visitors", "lov_median_seconds"}
    assert not section(page, "venue-bare")  # it has no figures yet


def test_without_people_busy_hours_are_those_of_counts(page: str) -> None:
    assert re.search(
        r"5 Jan, from \d\d:00, was the busiest hour: \d+ entries counted", words_of(section(page, "venue-counted"))
    )


def test_a_device_that_never_spoke_is_named(page: str) -> None:
    said = words_of(section(page, "trust"))
    assert "Mon 5 Jan Bare gate terminals no record" in said
    assert "Counted: cannot be compared" not in said


@pytest.mark.parametrize("width", [1280, 390])
def test_it_can_be_looked_at(look: Look, poor: Home, width: int) -> None:
    with reading(poor) as con:
        looked = look(render(con, DAY, language="zh"), width)
    assert looked.complaints == []
    assert min(looked.each("[data-chart]", "e => e.querySelectorAll('svg [class^=mark-] path').length")) > 0
    assert looked.too_wide == []


def test_where_nobody_comes_at_all_nothing_breaks(poor: Home) -> None:
    """Every table of the star empty: the page still says how the venues are."""
    import duckdb

    con = duckdb.connect()
    con.execute(f"ATTACH '{poor.published / 'venue.duckdb'}' AS old (READ_ONLY)")
    for schema, table, in con.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'old'"
    ).fetchall():  # fmt: skip
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        kept = "" if table.startswith("dim_") or schema in ("main", "metrics") else " WHERE false"
        con.execute(f"CREATE TABLE {schema}.{table} AS SELECT * FROM old.{schema}.{table}{kept}")
    said = words_of(render(con, DAY))
    assert said.count("Nothing was recorded here on this date.") == 2 * len(SENTENCES)
    assert "Nothing landed on these dates." in said
    con.execute("DELETE FROM metrics.primary_metrics")
    with pytest.raises(CannotReport, match="no event date is published yet"):
        render(con, DAY)
