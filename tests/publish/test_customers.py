"""Customers go on from what is known of them: after later dates each is as if the whole history had been read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import duckdb
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.publish.home import DAYS, ask, bring_back, publish, take_away
from venue_assets.home import Home
from venue_assets.publish import customers
from venue_assets.semantic_layer.star import star

FIRST = date(2026, 1, 1)
DAY_BEFORE = date(2025, 12, 31)
TABLE = star()[customers.NAME]
ONE = ("a", "k1:x")
PEOPLE = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["k1:x", "k1:y", "k1:z"]))
VISITS = st.dictionaries(st.tuples(PEOPLE, st.integers(0, 5)), st.integers(0, 2))
"""Person and day -> entries; 0 where the person only ordered."""
BOUGHT = st.tuples(st.integers(0, 3), st.integers(1, 2), st.sampled_from([None, 10, 20]), st.just("general_keep"))
ONLY_CAME = st.just((None, None, None, "visitor"))
SEGMENTS = st.dictionaries(PEOPLE, st.one_of(BOUGHT, ONLY_CAME))


@example({(ONE, 0): 1}, 1, {ONE: (0, 1, 10, "general_keep")}, {ONE: (1, 1, 10, "general_keep")})  # a day older
@example(
    {(ONE, 0): 1}, 1, {ONE: (0, 1, 10, "general_keep")}, {("b", "k1:y"): (1, 1, 10, "general_keep")}
)  # no longer in it
@settings(deadline=None, max_examples=50)
@given(VISITS, st.integers(0, 6), SEGMENTS, SEGMENTS)
def test_known_customers_and_later_dates_give_what_the_whole_history_gives(
    visits: dict[tuple[tuple[str, str], int], int],
    later: int,
    segments: dict[tuple[str, str], tuple[object, ...]],
    segments_later: dict[tuple[str, str], tuple[object, ...]],
) -> None:
    rows = [(*person, FIRST + timedelta(days=day), entries) for (person, day), entries in visits.items()]
    from_then = FIRST + timedelta(days=later)
    with duckdb.connect() as con:
        con.execute("CREATE TABLE site_venues AS SELECT unnest(['a', 'b']) AS venue_id, 'EUR' AS currency")
        con.execute(
            "CREATE TABLE rfm_segments (event_date DATE, venue_id VARCHAR, user_id VARCHAR, recency_days BIGINT, "
            "frequency BIGINT, monetary DECIMAL(18,2), segment VARCHAR, segment_zh VARCHAR)"
        )
        con.execute("CREATE TABLE all_days (venue_id VARCHAR, user_id VARCHAR, event_date DATE, entries BIGINT)")
        con.execute(f"CREATE TABLE star ({', '.join(f'{name} {c.type}' for name, c in TABLE.columns.items())})")
        fill(con, "all_days", (row for row in rows if row[2] < from_then))
        fill(con, "rfm_segments", ((DAY_BEFORE, *person, *of, f"zh {of[-1]}") for person, of in segments.items()))
        con.execute("CREATE TEMP VIEW user_days AS FROM all_days")
        con.execute(f"INSERT INTO star BY NAME ({TABLE.sql})")
        fill(con, "all_days", (row for row in rows if row[2] >= from_then))
        fill(con, "rfm_segments", ((from_then, *person, *of, f"zh {of[-1]}") for person, of in segments_later.items()))

        customers.go_on(con, TABLE, "star", "all_days", {str(row[2]) for row in rows if row[2] >= from_then})

        con.execute("CREATE OR REPLACE TEMP VIEW user_days AS FROM all_days")
        names = ", ".join(TABLE.columns)
        expected = con.execute(f"SELECT {names} FROM ({TABLE.sql}) ORDER BY ALL").fetchall()
        assert con.execute(f"SELECT {names} FROM star ORDER BY ALL").fetchall() == expected


def fill(con: duckdb.DuckDBPyConnection, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    if given_rows := list(rows):
        con.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' for _ in given_rows[0])})", given_rows)


def test_a_later_date_leaves_everybody_in_place_and_adds_who_is_new(four_dates: Home) -> None:
    take_away(four_dates, DAYS[-1])
    publish(four_dates)
    places = "SELECT customer_key, rowid FROM star.dim_customer ORDER BY rowid"
    before = ask(four_dates, places)
    bring_back(four_dates, DAYS[-1])
    publish(four_dates)
    after = ask(four_dates, places)
    assert after[: len(before)] == before
    assert len(after) > len(before)


def test_only_dates_after_all_that_are_known_are_later() -> None:
    known = ["2026-01-01", "2026-01-02"]
    assert customers.only_later(["2026-01-03", "2026-01-04"], known)
    assert customers.only_later([], known)  # segments differ, visits do not
    assert not customers.only_later(["2026-01-02"], known)  # people of it may be gone
    assert not customers.only_later(["2026-01-01", "2026-01-03"], known)
    assert not customers.only_later(["2026-01-03"], [])
