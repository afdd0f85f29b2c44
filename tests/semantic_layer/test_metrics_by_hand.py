"""Each metric's SQL, by every dimension that it allows, gives what somebody gets who works it out by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations
from typing import Any

import duckdb
import pytest

from tests.semantic_layer.ledger import METRICS, Ledger
from tests.semantic_layer.towns import EMPTY, build_star, layers, ledger, segments, site, town
from venue_assets.semantic_layer.metrics import registry
from venue_assets.semantic_layer.query import dimensions_of, question
from venue_assets.semantic_layer.star import star

PAIRS = {("event_date", "venue_id"), ("venue_id", "hour"), ("venue_id", "device_id"), ("activity_id", "weekday")}
PAIRS |= {("venue_id", "category_id"), ("month", "venue_id"), ("venue_id", "segment"), ("event_date", "hour")}
PAIRS |= {("category_id", "segment"), ("hour", "segment")}

Town = tuple[duckdb.DuckDBPyConnection, Ledger]


@pytest.fixture(scope="module", params=range(3), ids=lambda seed: f"town {seed}")
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    of = site(tmp_path_factory.mktemp("site"))
    rows = town(request.param, of)
    book = ledger(of, rows, segments(ledger(of, rows, {}).kinds["people"], request.param))
    with duckdb.connect() as con:
        build_star(con, of, layers(of, rows, book))
        yield con, book


def answered(
    con: duckdb.DuckDBPyConnection, metric: str, by: tuple[str, ...], **more: Any
) -> dict[tuple[Any, ...], Any]:
    sql = question(registry(), star(), [metric], by=by, **more)
    rows = con.execute(sql).fetchall()
    found = {row[:-1]: row[-1] for row in rows}
    assert len(found) == len(rows), "one row per combination"
    return found


def same(found: Any, expected: Any) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-12)
    return bool(found == expected and isinstance(found, Decimal) == isinstance(expected, Decimal))


def splits(metric: str) -> list[tuple[str, ...]]:
    allowed = [d.name for d in dimensions_of(registry(), star(), registry()[metric])]
    pairs = [p for p in combinations(registry().dimensions, 2) if p in PAIRS and set(p) <= set(allowed)]
    return [(), *((name,) for name in allowed), *pairs]


def test_every_metric_is_worked_out_by_hand() -> None:
    assert set(METRICS) == set(registry().metrics)


@pytest.mark.parametrize("metric", METRICS)
def test_by_every_dimension(built: Town, metric: str) -> None:
    con, book = built
    for by in splits(metric):
        expected, found = book.answer(metric, by), answered(con, metric, by)
        assert set(found) == set(expected), by
        wrong = {key: (found[key], expected[key]) for key in expected if not same(found[key], expected[key])}
        assert not wrong, f"{metric} by {by}: found, expected: {wrong}"


@pytest.mark.parametrize("metric", METRICS)
def test_additive_ones_add_up_over_every_dimension(built: Town, metric: str) -> None:
    con, _ = built
    asked = registry()[metric]
    # Two currencies have no total, and one unknown share makes the total unknown.
    where = "venue_id = 'hall'"
    (total,) = answered(con, metric, (), where=where).values()
    sums = {}
    for dimension in dimensions_of(registry(), star(), asked):
        found = answered(con, metric, (dimension.name,), where=where).values()
        sums[dimension.name] = sum((v for v in found if v is not None), start=type(total)(0))
    if asked.additive:
        assert all(math.isclose(s, total, rel_tol=1e-9) for s in sums.values()), (total, sums)


def test_the_additive_ones() -> None:
    """All others count somebody or something once that lies in several cells, or divide."""
    assert {m.name for m in registry() if m.additive} == {
        "pf_range",
        "pf_entrance",
        "pv",
        "gmv",
        "gmv_anonymous",
        "identified_gmv",
        "cancelled_amount",
        "pieces_sold",
        "buying_visits",
    }


@pytest.mark.parametrize("metric", METRICS)
def test_a_condition_leaves_rows_out_before_anything_is_counted(built: Town, metric: str) -> None:
    con, book = built
    found = answered(con, metric, ("event_date",), where="venue_id IN ('quay', 'kiosk') AND weekday <> 'Sat'")
    kinds = {
        kind: [r for r in rows if r["venue_id"] in ("quay", "kiosk") and r["weekday"] != "Sat"]
        for kind, rows in book.kinds.items()
    }
    part = Ledger.__new__(Ledger)
    part.kinds = kinds
    expected = part.answer(metric, ("event_date",))
    assert set(found) == set(expected)
    assert all(same(found[key], expected[key]) for key in expected)


def test_several_metrics_at_once_are_the_same_as_one_by_one(built: Town) -> None:
    con, book = built
    for dimension in ("event_date", "venue_id", "segment", "hour"):
        metrics = [m for m in METRICS if (dimension,) in splits(m)]
        cursor = con.execute(question(registry(), star(), metrics, by=[dimension]))
        names = [d[0] for d in cursor.description or ()]
        assert names == [dimension, *metrics]
        for row in cursor.fetchall():
            for metric, value in zip(metrics, row[1:], strict=True):
                expected = book.answer(metric, (dimension,)).get((row[0],))
                assert same(value, expected) or (value, expected) == (None, 0), (metric, row[0])


def test_no_figure_adds_two_currencies(built: Town) -> None:
    con, _ = built
    for metric in (m for m in registry() if m.is_money):
        (mixed,) = answered(con, metric.name, ()).values()
        (euro,) = answered(con, metric.name, (), where="venue_id IN ('hall', 'kiosk')").values()
        assert mixed is None
        assert euro is not None


def test_a_date_and_a_venue_without_data_have_no_row(built: Town) -> None:
    con, _ = built
    for metric in ("pf_range", "pv", "gmv", "users"):
        assert (EMPTY,) not in answered(con, metric, ("event_date",))
        assert ("shut",) not in answered(con, metric, ("venue_id",))


def test_an_unknown_share_makes_a_figure_unknown_rather_than_wrong(built: Town) -> None:
    con, _ = built
    by_device = answered(con, "pf_entrance", ("venue_id", "device_id"))
    assert by_device[("quay", "lone")] is None
    assert by_device[("quay", "door")] is not None
    assert answered(con, "pf_entrance", ("venue_id",))[("quay",)] is None
