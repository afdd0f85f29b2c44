"""The twelve questions: their SQL is executed and gives what the registry gives, their M and DAX are parsed."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from statistics import mean
from typing import Any

import duckdb
import pbi_parsers.dax
import pytest

from venue_assets.dictionary.questions import Question, measure_names, questions
from venue_assets.powerbi.dax import references
from venue_assets.semantic_layer.metrics import registry
from venue_assets.semantic_layer.query import question
from venue_assets.semantic_layer.star import star

QUESTIONS = list(questions())
BY_NAME = {q.name: q for q in QUESTIONS}
NINTH = date(2026, 1, 9)

Con = duckdb.DuckDBPyConnection


def answers(con: Con, name: str) -> list[dict[str, Any]]:
    return con.sql(BY_NAME[name].sql).to_arrow_table().to_pylist()


def asked(con: Con, metrics: list[str], by: list[str], where: str | None = None) -> dict[tuple[Any, ...], Any]:
    rows = con.execute(question(registry(), star(), metrics, by=by, where=where)).fetchall()
    return {row[: len(by)]: row[len(by) :] for row in rows}


def one(con: Con, sql: str) -> Any:
    ((value,),) = con.execute(sql).fetchall()
    return value


def test_there_are_twelve() -> None:
    assert len(QUESTIONS) == 12
    assert all(q.question.en.endswith("?") and q.question.zh.endswith("？") for q in QUESTIONS)
    assert all(q.reading.en.endswith(".") and q.reading.zh.endswith("。") for q in QUESTIONS)


@pytest.mark.parametrize("asked_", QUESTIONS, ids=lambda q: q.name)
def test_sql_is_answered(published: Con, asked_: Question) -> None:
    rows = published.execute(asked_.sql).fetchall()
    assert rows
    assert any(value is not None for value in rows[0])
    again = published.execute(asked_.sql).fetchall()
    assert again == rows, "the order is the same each time"


@pytest.mark.parametrize("asked_", QUESTIONS, ids=lambda q: q.name)
def test_dax_is_a_query_over_the_model(asked_: Question) -> None:
    assert asked_.dax.startswith("EVALUATE\n")
    expression = asked_.dax.removeprefix("EVALUATE\n")
    assert pbi_parsers.dax.to_ast(expression) is not None
    said = references(expression)
    own = set(re.findall(r'"([^"]+)",', expression)) | {"Value"}
    assert said.measures - own <= set(measure_names().values())
    for table, column in said.columns:
        assert column in star()[table].columns, f"{table}[{column}]"
    variables = set(re.findall(r"VAR (\w+)", expression)) | {"RETURN", "VAR"}
    assert {t for t in said.tables if t.startswith(("dim_", "fact_"))} <= set(star().tables)
    assert {t for t in said.tables if not t.startswith(("dim_", "fact_"))} <= variables


def test_m_is_parsed_by_microsofts_parser(tools: Path) -> None:
    ran = subprocess.run(
        ["node", "parse_m.cjs"],
        cwd=tools,
        input=json.dumps({q.name: q.m for q in QUESTIONS}),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(ran.stdout)
    assert set(found) == set(BY_NAME)
    assert {name: mistake for name, mistake in found.items() if mistake} == {}


@pytest.mark.parametrize("asked_", QUESTIONS, ids=lambda q: q.name)
def test_m_reads_tables_and_columns_that_there_are(asked_: Question) -> None:
    tables = set(re.findall(r"\b((?:fact|dim)_\w+)\b", asked_.m))
    assert tables
    assert tables <= set(star().tables)
    assert "Parquet.Document" not in asked_.m, "the queries of the project read the files"
    known = {c for t in tables for c in star()[t].columns}
    made = set(re.findall(r'"([^"]+)"', asked_.m))
    assert set(re.findall(r"\[(\w[\w ]*)\]", asked_.m)) - made <= known


def test_the_entry_rate_of_weekdays_is_the_metric_of_each_venue(published: Con) -> None:
    rows = answers(published, "weekday_entry_rate")
    expected = asked(published, ["ocr"], ["venue_id", "weekday"])
    assert {(r["venue_id"], r["weekday"]): (r["entry_rate"],) for r in rows} == expected
    assert {r["venue_id"] for r in rows} == {"harbour", "riverside"}
    for venue in ("harbour", "riverside"):
        rates = [r["entry_rate"] for r in rows if r["venue_id"] == venue]
        assert rates == sorted(rates, reverse=True)


@pytest.fixture
def off_line(published: Con) -> Iterator[Con]:
    """The same, but of the last date nothing landed at riverside, where an activity was on."""
    published.execute("BEGIN")
    for fact in ("fact_session", "fact_order_line", "fact_count"):
        published.execute(f"DELETE FROM star.{fact} WHERE event_date = '2026-01-10' AND venue_id = 'riverside'")
    published.execute(
        """UPDATE metrics.primary_metrics SET pv = 0, uv = 0, completed_orders = 0, gmv = 0, pf_range = NULL, ocr = NULL
        WHERE event_date = '2026-01-10' AND venue_id = 'riverside'"""
    )
    yield published
    published.execute("ROLLBACK")


def test_a_date_of_which_nothing_landed_enters_no_mean_of_an_activity(off_line: Con) -> None:
    found = {(r["activity"], r["period"]): r for r in answers(off_line, "activity_against_before")}
    metrics = ["uv", "ocr", "completed_orders", "gmv"]
    of_dates = asked(off_line, metrics, ["event_date"], "venue_id = 'riverside'")
    for period, (first, last) in {"before": (5, 8), "during": (9, 9)}.items():
        dates = [figures for (day,), figures in of_dates.items() if first <= day.day <= last]
        row = found["Winter Fair", period]
        assert row["dates"] == len(dates) == last - first + 1
        means = [mean(float(figures[n]) for figures in dates) for n in range(len(metrics))]
        names = ("visitors_per_date", "entry_rate", "orders_per_date", "gmv_per_date")
        assert [row[name] for name in names] == pytest.approx(means)


def test_orders_that_landed_alone_enter_the_mean_of_orders_alone(published: Con) -> None:
    (before,) = [r for r in answers(published, "activity_against_before") if r["period"] == "during"]
    published.execute("BEGIN")
    try:
        published.execute("DELETE FROM star.fact_session WHERE event_date = '2026-01-10' AND venue_id = 'riverside'")
        (after,) = [r for r in answers(published, "activity_against_before") if r["period"] == "during"]
    finally:
        published.execute("ROLLBACK")
    assert (after["dates"], after["orders_per_date"]) == (before["dates"], before["orders_per_date"])
    assert after["visitors_per_date"] == asked(published, ["uv"], ["event_date", "venue_id"])[NINTH, "riverside"][0]


@pytest.mark.parametrize("asked_", QUESTIONS, ids=lambda q: q.name)
def test_no_answer_pools_venues(published: Con, asked_: Question) -> None:
    columns = answers(published, asked_.name)[0].keys()
    if "experiment_id" in columns:  # which is of one venue
        return
    assert "venue_id" in columns
    assert "venue_id" in asked_.m
    assert re.search(r"\w+\[venue_id\]", asked_.dax)


@pytest.mark.parametrize("name", ["weekday_entry_rate", "activity_against_before"])
def test_sql_m_and_dax_give_the_same_columns(published: Con, name: str) -> None:
    columns = set(answers(published, name)[0])
    shown = BY_NAME[name].m.rpartition("SelectColumns(")[2].partition("}")[0]
    assert set(re.findall(r'"(\w+)"', shown)) == columns
    shown = BY_NAME[name].dax.rpartition("RETURN")[2]
    assert {name.strip('["]') for name in re.findall(r'\[\w+\]|"\w+"', shown)} == columns


def test_new_and_returning_visitors_are_the_metrics(published: Con) -> None:
    expected = asked(published, ["new_visitors", "returning_visitors"], ["venue_id"])
    found = {(r["venue_id"], r["visitor"]): r["visitors"] for r in answers(published, "returning_visitors_spend")}
    assert found == {
        (venue, kind): n
        for (venue,), both in expected.items()
        for kind, n in zip(("new", "returning"), both, strict=True)
    }


def test_sales_at_18_are_the_metrics(published: Con) -> None:
    expected = asked(published, ["pieces_sold", "gmv"], ["venue_id", "category_id"], "hour = 18")
    found = {
        (r["venue_id"], r["category_id"]): (r["pieces"], r["gmv"]) for r in answers(published, "best_category_at_18")
    }
    assert found == {key: value for key, value in expected.items() if value[1]}


def test_what_segments_lost_and_won_is_what_changed(published: Con) -> None:
    size = "SELECT venue_id, segment, count(*) FROM segments.rfm_segments WHERE event_date = {} AND segment IS NOT NULL"
    last = one(published, "SELECT max(event_date) FROM segments.rfm_segments")
    first = one(published, "SELECT min(event_date) FROM segments.rfm_segments")
    assert last - first < timedelta(days=7), "so that all of it came within the week"
    rows = published.execute(size.format(f"DATE '{last}'") + " GROUP BY ALL").fetchall()
    found = {(r["venue_id"], r["segment"]): r["change"] for r in answers(published, "shrinking_segment")}
    assert {key: n for key, n in found.items() if n} == {(venue, segment): n for venue, segment, n in rows}


def test_a_segment_that_only_lost_users_is_found_by_all_three(published: Con) -> None:
    """In M, what came and what went are stacked, not joined to what came; in DAX, either side names a segment."""
    published.execute("BEGIN")
    try:
        published.execute("DELETE FROM star.fact_segment_migration WHERE segment = 'visitor'")
        found = {r["segment"]: r for r in answers(published, "shrinking_segment")}
    finally:
        published.execute("ROLLBACK")
    assert found["visitor"]["came"] == 0
    assert found["visitor"]["change"] == -found["visitor"]["went"] < 0
    assert "Join" not in BY_NAME["shrinking_segment"].m
    assert "fact_segment_migration[previous_segment] &" in BY_NAME["shrinking_segment"].dax


def test_the_peak_is_found_by_looking_at_every_entry(published: Con) -> None:
    stays = defaultdict(list)
    for day, venue, enter, seconds in published.execute(
        "SELECT event_date, venue_id, enter_local, dwell_seconds FROM star.fact_session WHERE state = 'complete'"
    ).fetchall():
        stays[day, venue].append((enter, enter + timedelta(microseconds=round(seconds * 1e6))))
    found = answers(published, "inside_at_peak")
    assert {(r["event_date"], r["venue_id"]) for r in found} == set(stays)
    for row in found[:3]:
        here = stays[row["event_date"], row["venue_id"]]
        inside = {enter: sum(came <= enter < went for came, went in here) for enter, _ in here}
        assert row["people"] == max(inside.values())
        assert row["first_at"] == min(moment for moment, n in inside.items() if n == row["people"])


def test_data_of_last_week_has_a_row_for_every_date_and_venue(published: Con) -> None:
    rows = answers(published, "data_of_last_week")
    assert len(rows) == 7 * 2
    assert rows[0]["sessions"] == 0, "the simulated week has six dates"
    assert all(r["devices_reporting"] <= r["counting_devices"] for r in rows)
    assert sum(r["sessions"] for r in rows) == one(published, "SELECT count(*) FROM star.fact_session")


def test_conversion_by_length_covers_every_complete_visit(published: Con) -> None:
    rows = answers(published, "longer_visits_buy")
    found: dict[str, list[float]] = {}
    for row in rows:
        visits, buying = found.setdefault(row["venue_id"], [0, 0])
        found[row["venue_id"]] = [visits + row["visits"], buying + row["visits"] * row["conversion"]]
    complete = "SELECT venue_id, count(*), count(*) FILTER (has_order) FROM star.fact_session WHERE state = 'complete'"
    expected = {venue: of for venue, *of in published.execute(f"{complete} GROUP BY venue_id").fetchall()}
    assert found == {venue: pytest.approx(of) for venue, of in expected.items()}
    assert all(r["minutes_from"] in range(0, 91, 15) for r in rows)


def test_hours_and_recognition_are_the_metrics(published: Con) -> None:
    expected = asked(published, ["pf_entrance", "pv", "completed_orders"], ["venue_id", "hour"])
    for row in answers(published, "busiest_hour"):
        found = (row["entries"], row["visits"], row["orders"])
        assert found == tuple(n or 0 for n in expected.get((row["venue_id"], row["hour"]), (0, 0, 0)))
    shares = asked(published, ["recognition_share"], ["venue_id", "event_date"])
    assert answers(published, "recognition")
    for row in answers(published, "recognition"):
        assert (row["recognition_share"],) == shares[row["venue_id"], row["event_date"]]
