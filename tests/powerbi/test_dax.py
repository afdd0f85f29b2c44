"""The DAX of every measure of a written project, evaluated: it is what SQL, views and report say of the same rows.

The model reads two kinds of star: small towns with everything that is awkward, and a publication as it is published.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from tests.powerbi.dax_evaluator import BLANK, FUNCTIONS, TABLES, Link, Model, Place
from tests.powerbi.dax_syntax import Call, Column, Literal, Measure, Table, parse
from tests.publish.home import DAYS, ask, make, publish
from tests.report.conftest import cards, reading
from tests.semantic_layer.towns import build_star, layers, ledger, segments, site, town
from venue_assets.home import Home
from venue_assets.powerbi import funnel, lint
from venue_assets.powerbi.model import SemanticModel
from venue_assets.report import render
from venue_assets.report.wording import NOTHING, Words
from venue_assets.semantic_layer.metrics import Metric, registry
from venue_assets.semantic_layer.query import QuestionError, dimensions_of, question
from venue_assets.semantic_layer.star import star

CUTS: Final[Mapping[str, Place]] = {
    "event_date": ("dim_date", "event_date"),
    "month": ("dim_date", "month"),
    "weekday": ("dim_date", "weekday"),
    "venue_id": ("dim_venue", "venue_id"),
    "activity_id": ("dim_activity", "activity_id"),
    "hour": ("dim_hour", "hour"),
    "device_id": ("dim_device", "device_id"),
    "category_id": ("fact_order_line", "category_id"),
    "segment": ("dim_customer", "segment"),
}
"""Dimension of the registry -> what a reader of the model drags into a visual."""
MODEL = SemanticModel(registry(), star())
METRICS = pytest.mark.parametrize("metric", list(registry()), ids=lambda metric: metric.name)
Made = tuple[duckdb.DuckDBPyConnection, Model]


@pytest.fixture(scope="module", params=range(3), ids=lambda seed: f"town {seed}")
def built(request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    of = site(tmp_path_factory.mktemp("site"))
    rows = town(request.param, of)
    book = ledger(of, rows, segments(ledger(of, rows, {}).kinds["people"], request.param))
    with duckdb.connect() as con:
        build_star(con, of, layers(of, rows, book))
        tables = {table.name: con.sql(f"FROM star.{table.name}").to_arrow_table().to_pydict() for table in star()}
        yield con, Model.of(project, tables)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Model]:
    """Four dates as they are published: the project that lies beside the Parquet files, over these."""
    home = make(tmp_path_factory.mktemp("published"))
    publish(home)
    with duckdb.connect() as con:
        files = {t.name: f"{t.name}/*.parquet" if t.monthly else f"{t.name}.parquet" for t in star()}
        tables = {
            name: con.sql(f"FROM '{home.published}/parquet/{file}'").to_arrow_table().to_pydict()
            for name, file in files.items()
        }
    return home, Model.of(home.published / "powerbi", tables)


def same(found: Any, expected: Any) -> bool:
    if BLANK in (found, expected):
        return found is expected
    return math.isclose(found, expected, rel_tol=1e-9)


def different(
    model: Model, metric: Metric, by: Sequence[str], expected: Mapping[tuple[Any, ...], Any]
) -> dict[tuple[Any, ...], tuple[Any, Any]]:
    """Cells in which measure and SQL differ; the measure is blank wherever the SQL has no row."""
    cells: list[tuple[Any, ...]] = [()]
    for name in by:
        cells = [(*cell, value) for cell in cells for value in model.values(CUTS[name])]
    assert set(expected) <= set(cells), "a matrix of the model shows whatever SQL has a row of"
    found = {
        c: model.value(MODEL.names[metric.name], dict(zip(map(CUTS.__getitem__, by), c, strict=True))) for c in cells
    }
    return {c: (value, expected.get(c)) for c, value in found.items() if not same(value, expected.get(c))}


def answers(con: duckdb.DuckDBPyConnection, metric: Metric, by: Sequence[str]) -> dict[tuple[Any, ...], Any]:
    rows = con.execute(question(registry(), star(), [metric.name], by=by)).fetchall()
    return {row[:-1]: row[-1] for row in rows}


# Measures -------------------------------------------------------------------------------------------------------------


@METRICS
def test_a_measure_is_what_its_sql_says_by_every_dimension(built: Made, metric: Metric) -> None:
    con, model = built
    allowed = [d.name for d in dimensions_of(registry(), star(), metric)]
    for by in [(), *((name,) for name in allowed), *(("venue_id", name) for name in allowed if name != "venue_id")]:
        assert not different(model, metric, by, answers(con, metric, by)), f"{metric.name} by {by}: DAX, SQL"


@METRICS
def test_a_measure_is_blank_by_whatever_sql_refuses(built: Made, metric: Metric) -> None:
    """The repurchase rate by hour is no rate: who bought again has no hour, who bought has one."""
    con, model = built
    possible = {d.name for d in dimensions_of(registry(), star(), metric)}
    for name in set(registry().dimensions) - possible:
        with pytest.raises(QuestionError):
            answers(con, metric, [name])
        assert not different(model, metric, [name], {})
        assert not different(model, metric, ["venue_id", name], {})


@pytest.mark.parametrize(
    ("metric", "place"),
    [
        ("ocr", ("dim_device", "stream")),
        ("ocr", ("fact_count", "device_id")),
        ("ocr", ("fact_count", "device_key")),
        ("gmv_anonymous", ("dim_customer", "segment_zh")),
        ("cancelled_amount", ("fact_order_line", "customer_key")),
        ("pf_range", ("dim_customer", "segment_zh")),
    ],
)
def test_nor_is_it_cut_by_another_column_that_says_the_same(built: Made, metric: str, place: Place) -> None:
    _, model = built
    assert model.value(MODEL.names[metric], {("dim_venue", "venue_id"): "hall"}) is not BLANK
    for value in model.values(place):
        assert model.value(MODEL.names[metric], {("dim_venue", "venue_id"): "hall", place: value}) is BLANK


def test_the_funnel_is_the_metric_of_each_stage(built: Made) -> None:
    con, model = built
    stages: dict[str, list[Any]] = {funnel.NUMBER: list(range(1, len(funnel.STAGES) + 1))}
    with_stages = Model({**model.tables, funnel.TABLE: stages}, model.links, model.measures)
    for number, name in zip(stages[funnel.NUMBER], funnel.STAGES, strict=True):
        for (venue_id,), value in answers(con, registry()[name], ["venue_id"]).items():
            cell = {(funnel.TABLE, funnel.NUMBER): number, CUTS["venue_id"]: venue_id}
            assert same(with_stages.value(funnel.MEASURE, cell), value)
    assert with_stages.value(funnel.MEASURE) is BLANK


# A publication --------------------------------------------------------------------------------------------------------


@METRICS
def test_a_published_measure_is_what_the_view_says(published: tuple[Home, Model], metric: Metric) -> None:
    home, model = published
    by = ("event_date", "venue_id", "activity_id")
    rows = ask(home, f"SELECT {', '.join(by)}, {metric.name} FROM metric.{metric.name}")
    assert rows
    assert not different(model, metric, by[:2], {row[:2]: row[3] for row in rows})
    assert not different(model, metric, by, {row[:3]: row[3] for row in rows})


@METRICS
def test_a_published_measure_is_what_its_question_is_answered(published: tuple[Home, Model], metric: Metric) -> None:
    home, model = published
    with reading(home) as con:
        for by in [(), *((d.name,) for d in dimensions_of(registry(), star(), metric))]:
            assert not different(model, metric, by, answers(con, metric, by)), f"{metric.name} by {by}: DAX, SQL"


@pytest.mark.parametrize("day", [DAYS[0], DAYS[-1]], ids=str)
def test_a_report_shows_what_the_measures_say(published: tuple[Home, Model], day: Any) -> None:
    home, model = published
    with reading(home) as con:
        page = render(con, day)
    compared = 0
    for venue_id, currency in ask(home, "SELECT venue_id, currency FROM star.dim_venue"):
        for name, shown in cards(page, str(venue_id)).items():
            cell = {CUTS["event_date"]: day, CUTS["venue_id"]: venue_id}
            value = model.value(MODEL.names[name], cell)
            # Where nobody bought, the report says 0, because the venue could have sold.
            possible = [value] if value is not BLANK else [0, None]
            written = [
                Words("en").value(registry()[name], v, str(currency)).replace("\N{NO-BREAK SPACE}", " ")
                for v in possible
            ]
            assert any(f" {text} " in f" {shown} " for text in written), (name, written, shown)
            compared += NOTHING not in written
    assert compared >= 12


def test_moves_between_segments_are_those_of_their_table(published: tuple[Home, Model]) -> None:
    home, _ = published
    columns = "event_date, venue_id, previous_segment, segment, segment_zh, users, monetary, currency"
    moves, table = (
        f"SELECT {columns} FROM star.fact_segment_migration",
        f"SELECT {columns} FROM segments.rfm_migrations",
    )
    assert ask(home, f"({moves} EXCEPT ALL {table}) UNION ALL ({table} EXCEPT ALL {moves})") == []
    (found,) = ask(
        home,
        "SELECT count(*) FILTER (is_move) > 0, count(*) FILTER (is_move = (segment = previous_segment)) "
        "FROM star.fact_segment_migration",
    )
    assert found == (True, 0)


# The evaluator itself -------------------------------------------------------------------------------------------------

TINY = Model(
    {
        "dim": {"key": ["a", "b"], "name": ["A", "B"]},
        "fact": {"key": ["a", "a", "b", "z", None], "n": [1, None, 4, 8, 16], "kind": ["x", "x", "y", "y", None]},
    },
    [Link("fact", "key", "dim", "key")],
    {},
)


@pytest.mark.parametrize(
    ("dax", "cell", "value"),
    [
        ("SUM(fact[n])", {}, 29),
        ("SUM(fact[n])", {("dim", "name"): "A"}, 1),
        ("SUM(fact[n])", {("dim", "name"): BLANK}, 24),
        ("COUNTROWS(fact)", {("dim", "name"): "C"}, BLANK),
        ("COUNTROWS(fact) + 0", {("dim", "name"): "C"}, 0),
        ("DIVIDE(SUM(fact[n]), 0)", {}, BLANK),
        ("AVERAGE(fact[n])", {}, 29 / 4),
        ("MEDIAN(fact[n])", {}, 6),
        ("PERCENTILE.INC(fact[n], 0.9)", {}, 8 + 8 * 0.7),
        ("DISTINCTCOUNT(fact[kind])", {}, 3),
        ("DISTINCTCOUNTNOBLANK(fact[kind])", {}, 2),
        # A filter of CALCULATE takes the place of the cell's on the same column, not of one on another column.
        ('CALCULATE(SUM(fact[n]), fact[kind] = "y")', {("fact", "kind"): "x"}, 12),
        ('CALCULATE(SUM(fact[n]), fact[kind] = "y")', {("dim", "name"): "B"}, 4),
        ("CALCULATE(COUNTROWS(fact), ISBLANK(fact[n]))", {}, 1),
        # Two filters on one column narrow together.
        ("CALCULATE(SUM(fact[n]), fact[n] > 1, 8 > fact[n])", {}, 4),
        # The blank row of what refers to nothing is a value of the dimension, and no row of it.
        ("COUNTROWS(VALUES(dim[name]))", {}, 3),
        ("COUNTROWS(VALUES(dim[name]))", {("fact", "kind"): "x"}, 3),
        ("COUNTROWS(dim)", {}, 2),
        # Each value that is looked at is a filter for the CALCULATE around the sum, and for nothing without it.
        ("COUNTROWS(FILTER(VALUES(fact[kind]), CALCULATE(SUM(fact[n])) >= 12))", {}, 2),
        ("COUNTROWS(FILTER(VALUES(fact[kind]), SUM(fact[n]) >= 12))", {}, 3),
        ("ISFILTERED(dim)", {("dim", "name"): "A"}, True),
        ("ISFILTERED(dim[key])", {("dim", "name"): "A"}, False),
        ("ISFILTERED(fact)", {("dim", "name"): "A"}, False),
        ("SELECTEDVALUE(dim[name])", {("dim", "key"): "a"}, "A"),
        ("SELECTEDVALUE(dim[name])", {}, BLANK),
        ("IF(NOT(1 > 2) && 2 + 2 = 4, 7)", {}, 7),
        ("IF(COUNTROWS(fact) > 9, 7)", {}, BLANK),
    ],
)
def test_the_evaluator_has_the_rules_of_the_language(dax: str, cell: Mapping[Place, Any], value: Any) -> None:
    found = Model(TINY.tables, TINY.links, {"it": parse(dax)}).value("it", cell)
    assert found == (pytest.approx(value) if isinstance(value, float) else value)


def test_what_is_written_is_read_as_it_binds() -> None:
    product = Call("*", (Call("SUM", (Column("t", "n"),)), Measure("b")))
    assert parse("[a] + SUM(t[n]) * [b] >= 2 && NOT(TRUE())") == Call(
        "&&",
        (Call(">=", (Call("+", (Measure("a"), product)), Literal(2))), Call("NOT", (Call("TRUE", ()),))),
    )
    assert parse("COUNTROWS(t) + (1)") == Call("+", (Call("COUNTROWS", (Table("t"),)), Literal(1)))


@pytest.mark.parametrize("dax", ["", "SUM(t[n]", "1 +", "SUM(t[n]) SUM(t[n])", "VAR x = 1", "{1"])
def test_what_is_no_dax_of_ours_is_refused(dax: str) -> None:
    with pytest.raises(ValueError, match=r"expected|DAX|too much"):
        parse(dax)


def test_the_evaluator_knows_what_the_lint_allows() -> None:
    assert {name for name in FUNCTIONS if re.match("[A-Z]", name)} | TABLES == lint.FUNCTIONS
