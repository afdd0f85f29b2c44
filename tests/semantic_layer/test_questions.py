"""Questions: one that makes no sense is answered with a sentence, and cells of few people can be hidden."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from tests.semantic_layer.towns import build_star, layers, ledger, site
from venue_assets.semantic_layer.metrics import registry
from venue_assets.semantic_layer.query import QuestionError, dimensions_of, question
from venue_assets.semantic_layer.star import star

DAY = date(2026, 2, 2)


@pytest.mark.parametrize(
    ("metrics", "more", "sentence"),
    [
        (["revenue"], {}, "there is no metric 'revenue'; there are pf_range, "),
        ([], {}, "no metric is asked for; there are pf_range, "),
        (["pv"], {"by": ["colour"]}, "there is no dimension 'colour'; there are event_date, "),
        (["pv"], {"by": ["device_id"]}, "pv by device_id means nothing; it can be asked by event_date, month, weekday"),
        (["ocr"], {"by": ["device_id"]}, "ocr by device_id means nothing"),
        (["gmv_anonymous"], {"by": ["segment"]}, "gmv_anonymous by segment means nothing"),
        (["pv", "gmv"], {"by": ["category_id"]}, "pv by category_id means nothing"),
        (["conversion"], {"where": "category_id = 'food'"}, "conversion by category_id means nothing"),
        (["gmv"], {"where": "amount > 3"}, "there is no dimension 'amount'"),
        (["gmv"], {"where": "gmv > 3"}, "there is no dimension 'gmv'"),
        *(
            (["gmv"], {"where": where}, f"{where!r} is no condition on dimensions; such as ")
            for where in (
                "",
                "((",
                "hour >",
                "count(*) > 3",
                "sum(hour) OVER () > 3",
                "DROP TABLE star.fact_session",
                "true; DROP TABLE star.fact_session",
                "venue_id IN (SELECT user_id FROM star.dim_customer)",
                "SELECT 1",
            )
        ),
    ],
)
def test_what_makes_no_sense_is_told_in_one_sentence(metrics: list[str], more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(QuestionError) as raised:
        question(registry(), star(), metrics, **more)
    assert str(raised.value).startswith(sentence)


def test_what_is_asked_twice_is_answered_once() -> None:
    once = question(registry(), star(), ["pv"], by=["hour"])
    assert question(registry(), star(), ["pv", "pv"], by=["hour", "hour"]) == once


def test_a_comment_in_a_condition_hides_nothing() -> None:
    sql = question(registry(), star(), ["pv"], where="venue_id = 'hall' -- or not")
    with duckdb.connect() as con:
        con.execute("CREATE SCHEMA star; CREATE TABLE star.fact_session (venue_id TEXT, has_entry BOOLEAN)")
        assert con.execute(sql).fetchall() == [(0,)]


def test_every_metric_can_be_split_by_date_venue_and_activity() -> None:
    for metric in registry():
        allowed = {d.name for d in dimensions_of(registry(), star(), metric)}
        assert {"event_date", "month", "weekday", "venue_id", "activity_id"} <= allowed


def test_every_dimension_is_of_some_use() -> None:
    used = {d.name for metric in registry() for d in dimensions_of(registry(), star(), metric)}
    assert used == set(registry().dimensions)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """At 10:00 six people came, one of whom bought; at 11:00 two came and one anonymous order was placed."""
    of = site(tmp_path_factory.mktemp("site"))
    common = {"event_date": DAY, "venue_id": "hall", "activity_id": "none"}
    sessions = [
        common
        | {
            "session_id": f"s{n}",
            "user_id": f"k1:{n}",
            "state": "complete",
            "enter_at": datetime(2026, 2, 2, 10 if n < 6 else 11, n),
            "enter_local": datetime(2026, 2, 2, 10 if n < 6 else 11, n),
            "dwell_seconds": 60.0 * n,
        }
        for n in range(8)
    ]
    line = {"order_no": 1, "category_id": "food", "quantity": 1, "currency": "EUR", "status": "completed"}
    order_lines = [
        common | line | {"order_id": "a", "user_id": "k1:0", "session_id": "s0", "amount": Decimal("5.00")},
        common | line | {"order_id": "b", "user_id": None, "session_id": None, "amount": Decimal("7.00")},
    ]
    for hour, order in zip((10, 11), order_lines, strict=True):
        order["local_time"] = datetime(2026, 2, 2, hour, 30)
    counts = [
        common | {"device_id": "door", "local_time": datetime(2026, 2, 2, h), "in_count": n}
        for h, n in ((10, 9), (11, 3))
    ]
    rows: dict[str, Any] = {"sessions": sessions, "order_lines": order_lines, "entrance_counts": counts}
    rows["boundary_counts"] = []
    with duckdb.connect() as con:
        build_star(con, of, layers(of, rows, ledger(of, rows, {})))
        yield con


def by_hour(con: duckdb.DuckDBPyConnection, metric: str, smallest_cell: int) -> list[Any]:
    sql = question(registry(), star(), [metric], by=["hour"], smallest_cell=smallest_cell)
    return [value for _, value in con.execute(sql).fetchall()]


@pytest.mark.parametrize(
    ("metric", "open_", "hidden"),
    [
        ("pv", [6, 2], [6, None]),
        ("uv", [6, 2], [6, None]),
        ("lov_median_seconds", [150.0, 390.0], [150.0, None]),
        ("gmv", [Decimal("5.00"), Decimal("7.00")], [None, None]),
        # Six people came, but the figure is about one of them; that nobody bought tells of nobody.
        ("buying_visits", [1, 0], [None, 0]),
        ("conversion", [1 / 6, 0.0], [None, None]),
        ("pf_entrance", [9.0, 3.0], [9.0, None]),
        # What is hidden must not read as 0.
        ("recognition_share", [6 / 9, 2 / 3], [6 / 9, None]),
    ],
)
def test_cells_of_few_people_are_hidden(
    small: duckdb.DuckDBPyConnection, metric: str, open_: list[Any], hidden: list[Any]
) -> None:
    shown = by_hour(small, metric, 0)
    assert shown == (pytest.approx(open_) if isinstance(open_[0], float) else open_)
    assert by_hour(small, metric, 5) == hidden


def test_a_part_is_hidden_where_the_rest_would_give_it_away(small: duckdb.DuckDBPyConnection) -> None:
    asked = ["gmv_anonymous", "identified_gmv"]
    shown = question(registry(), star(), asked, by=["hour"])
    assert [row[1:] for row in small.execute(shown).fetchall()] == [
        (Decimal("0.00"), Decimal("5.00")),
        (Decimal("7.00"), Decimal("0.00")),
    ]
    for metric in asked:
        assert by_hour(small, metric, 5) == [None, None]


def test_users_who_bought_again_are_people_too(small: duckdb.DuckDBPyConnection) -> None:
    asked = ["users", "repurchasing_users", "repurchase_rate"]
    assert small.execute(question(registry(), star(), asked)).fetchall() == [(8, 0, 0.0)]
    assert small.execute(question(registry(), star(), asked, smallest_cell=5)).fetchall() == [(8, 0, None)]
