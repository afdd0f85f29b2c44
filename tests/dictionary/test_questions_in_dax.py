"""The DAX of each question, evaluated over the published model: it answers what the SQL answers."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from tests.powerbi.dax_evaluator import Model
from tests.powerbi.dax_query import answer, days, for_queries
from venue_assets.dictionary.questions import questions
from venue_assets.powerbi.project import write_project
from venue_assets.semantic_layer.star import star

Con = duckdb.DuckDBPyConnection
BY_NAME: Final = {q.name: q for q in questions()}

SAME: Final[dict[str, dict[str, str]]] = {
    "weekday_entry_rate": {},
    "returning_visitors_spend": {
        "is_first_entry": "visitor", "Visitors": "visitors", "Spent": "spent", "Spent per visitor": "spent_per_visitor",
    },
    "best_category_at_18": {"Pieces": "pieces", "GMV": "gmv"},
    "activity_against_before": {},
    "shrinking_segment": {},
    "experiment_result": {
        "Experiment": "experiment_id", "Arm": "arm", "Status": "status", "Effect": "effect", "Conclusion": "conclusion",
    },
    "data_of_last_week": {
        "Devices reporting": "devices_reporting", "Hours counted": "hours_counted", "Sessions": "sessions",
        "Order lines": "order_lines",
    },
    "longer_visits_buy": {},
    "busiest_hour": {"Entries": "entries", "Visits": "visits", "Orders": "orders"},
    "recognition": {"Visits": "visits", "Entries": "entries", "Recognition share": "recognition_share"},
    "value_of_segments": {
        "Customers": "customers", "Spent": "spent", "Median days since order": "median_days_since_order",
    },
}  # fmt: skip
"""Question -> column of the DAX -> column of the SQL, where they are called differently."""


@pytest.fixture(scope="module")
def model(published: Con, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_of(published, tmp_path_factory.mktemp("model"))


def model_of(published: Con, folder: Path) -> Model:
    write_project(folder, publication_id="000001-0123456789ab")
    tables = {table.name: published.sql(f"FROM star.{table.name}").to_arrow_table().to_pydict() for table in star()}
    return for_queries(Model.of(folder, tables))


def comparable(value: Any) -> Any:
    """Dates as days, and numbers to nine digits: sums of doubles depend on their order. Blank is no sale, too."""
    value = days(value)
    return float(f"{float(value or 0):.9g}") if value is None or isinstance(value, int | float | Decimal) else value


@pytest.mark.parametrize("name", SAME)
def test_dax_answers_what_sql_answers(published: Con, model: Model, name: str) -> None:
    found = [{SAME[name].get(c, c): v for c, v in row.items()} for row in answer(model, BY_NAME[name].dax)]
    expected = published.sql(BY_NAME[name].sql).to_arrow_table().to_pylist()
    if name == "returning_visitors_spend":
        expected = [row | {"visitor": row["visitor"] == "new"} for row in expected]
    if name == "recognition":
        found = [row for row in found if row["recognition_share"] is not None]
    columns = sorted(found[0].keys() & expected[0].keys())
    assert found[0].keys() <= {*columns, "venue_id"}

    def lines(rows: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
        return Counter(tuple(comparable(row[column]) for column in columns) for row in rows)

    assert lines(found) == lines(expected)


@pytest.mark.parametrize(
    "silent", [["fact_count"], ["fact_count", "fact_session"], ["fact_session", "fact_order_line"]]
)
def test_last_week_is_the_same_where_some_devices_were_silent_on_its_last_date(
    published: Con, tmp_path: Path, silent: list[str]
) -> None:
    question = BY_NAME["data_of_last_week"]
    published.execute("BEGIN")
    try:
        for fact in silent:
            published.execute(
                f"DELETE FROM star.{fact} WHERE event_date >= (SELECT max(event_date) - 1 FROM metrics.primary_metrics)"
            )
        by_sql = published.sql(question.sql).to_arrow_table().to_pylist()
        by_dax = answer(model_of(published, tmp_path), question.dax)
    finally:
        published.execute("ROLLBACK")
    assert {comparable(row["event_date"]) for row in by_dax} == {comparable(row["event_date"]) for row in by_sql}
    assert set(re.findall(r"List.Max\((fact_\w+)", question.m)) == set(re.findall(r"MAX\((fact_\w+)", question.dax))


def test_dax_counts_who_is_inside_at_full_hours(published: Con, model: Model) -> None:
    """At a moment of each hour, which is never more than the peak that the SQL finds."""
    found = {
        (row["venue_id"], row["Value"]): row["Inside"] or 0 for row in answer(model, BY_NAME["inside_at_peak"].dax)
    }
    inside = """
        SELECT v.venue_id, h.hour, (
          SELECT count(*) FROM star.fact_session AS s
          WHERE s.venue_id = v.venue_id AND s.event_date = last.day AND s.state = 'complete'
            AND s.enter_local <= last.day + to_hours(h.hour)
            AND s.enter_local + to_microseconds((s.dwell_seconds * 1e6)::BIGINT) > last.day + to_hours(h.hour)
        )
        FROM star.dim_venue AS v, star.dim_hour AS h, (SELECT max(event_date) AS day FROM star.fact_session) AS last
    """
    assert found == {(venue, hour): n for venue, hour, n in published.sql(inside).fetchall()}
    peaks = published.sql(BY_NAME["inside_at_peak"].sql).to_arrow_table().to_pylist()
    last = max(row["event_date"] for row in peaks)
    for row in (row for row in peaks if row["event_date"] == last):
        assert 0 < max(n for (venue, _), n in found.items() if venue == row["venue_id"]) <= row["people"]
