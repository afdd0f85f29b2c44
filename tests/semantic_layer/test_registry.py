"""The registry and the star say what they mean, and mistakes in them are named."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from edge_collector.experiment import KPIS
from venue_assets.semantic_layer import metrics as metrics_module
from venue_assets.semantic_layer import star as star_module
from venue_assets.semantic_layer.metrics import LANGUAGES, Metric, RegistryError, read, registry
from venue_assets.semantic_layer.query import dimensions_of
from venue_assets.semantic_layer.star import StarTable, star
from venue_assets.tables import CatalogueError
from venue_assets.tables.catalogue import Table, TableColumn, catalogue

FILE = metrics_module.FILE
PACKAGE = FILE.parents[1]
MEASURED = ("INTEGER", "BIGINT", "DOUBLE", "DECIMAL(18,2)", "TIMESTAMP")
CHINESE = re.compile("[\u4e00-\u9fff]")
TABLES: list[Table | StarTable] = [*catalogue(), *star()]


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_every_published_column_has_a_meaning_and_every_number_and_time_a_unit(table: Table | StarTable) -> None:
    """Numbers that only tell things apart say so: their unit is `ordinal`."""
    assert table.description
    assert table.grain
    assert set(table.key) <= set(table.columns)
    assert not any(table.columns[name].nullable for name in table.key)
    for name, column in table.columns.items():
        assert column.description.strip(), f"{table.name}.{name} has no description"
        if column.type in MEASURED:
            assert column.unit, f"{table.name}.{name} has no unit"


def test_ordinals_are_not_what_one_would_add_up() -> None:
    ordinals = {n for t in TABLES for n, c in t.columns.items() if c.unit == "ordinal"}
    assert ordinals == {
        *("seq", "leave_seq", "line", "order_no", "device_epoch"),
        *("leaf", "leaf_id", "position", "rank"),
        *("first_missing", "last_missing"),
    }


@pytest.mark.parametrize("metric", list(registry()), ids=lambda m: m.name)
def test_every_metric_says_what_it_is_in_both_languages(metric: Metric) -> None:
    for language in LANGUAGES:
        assert metric.label[language]
        assert metric.description[language]
        assert registry().units[metric.unit][language]
    assert CHINESE.search(metric.label.zh) or metric.label.zh.isascii()
    assert CHINESE.search(metric.description.zh)
    assert not CHINESE.search(metric.label.en + metric.description.en + metric.unit)
    assert metric.owner.startswith("team:")
    assert metric.format in ("#,0", "#,0.00", "0.0 %")
    assert (metric.unit == "fraction") == (metric.format == "0.0 %")
    assert metric.is_money == (metric.format == "#,0.00")


def test_experiments_are_judged_by_what_the_registry_names() -> None:
    for unit, kpis in KPIS.items():
        assert unit in registry().experiment_units
        assert all((kpi in registry().metrics) == (unit == "venue_day" or kpi == "conversion") for kpi in kpis)
        for kpi in kpis:
            assert all(registry().kpi(kpi).label[language] for language in LANGUAGES)
    with pytest.raises(KeyError):
        registry().kpi("colour")
    # A minimum effect of 1 or more is refused of these (edge_collector.experiment).
    assert {k for kpis in KPIS.values() for k in kpis if registry().kpi(k).is_fraction} == {"conversion", "ocr"}


def test_no_sentence_has_a_label_of_its_own() -> None:
    """A Chinese label of a KPI or a segment stands in the registry, and in no code that speaks of experiments."""
    words = {registry().kpi(kpi).label.zh for kpis in KPIS.values() for kpi in kpis}
    words |= {segment.zh for segment in registry().segments.values()}
    sections = [PACKAGE / "report" / "sections" / f"{name}.py" for name in ("cards", "customers", "parts", "trials")]
    code = [*sorted((PACKAGE / "tables" / "experiments").glob("*.py")), *sections]
    found = {(p.name, word) for p in code for word in words if re.search(f"""["']{word}["']""", p.read_text("utf-8"))}
    assert not found


def test_labels_tell_metrics_apart() -> None:
    for language in LANGUAGES:
        labels = [metric.label[language] for metric in registry()]
        assert len(labels) == len(set(labels))


def test_metrics_rest_on_facts_of_the_star() -> None:
    for metric in registry():
        for name, aggregate in registry().aggregates(metric).items():
            fact = star()[aggregate.fact]
            assert fact.is_fact, name
            assert aggregate.per is None or aggregate.per in fact.columns, name


def test_what_a_metric_is_without_is_what_its_facts_have() -> None:
    for metric in registry():
        free = metric.model_copy(update={"without": ()})
        assert set(metric.without) <= {d.name for d in dimensions_of(registry(), star(), free)}, metric.name


def test_dimensions_lie_in_facts_or_in_tables_they_refer_to() -> None:
    for dimension in registry().dimensions.values():
        assert CHINESE.search(dimension.label.zh)
        assert CHINESE.search(dimension.description.zh)
        tables = [star()[dimension.of]] if dimension.of else [t for t in star() if t.is_fact]
        assert any(dimension.column in table.columns for table in tables)


def test_columns_of_tables_that_are_metrics_mean_what_the_registry_says() -> None:
    for table in catalogue():
        for metric in registry():
            if table.layer == "metrics" and table.name != "venue_figures" and metric.name in table.columns:
                column = table.columns[metric.name]
                assert column == TableColumn(
                    type=metric.type, unit=metric.unit, description=metric.description.en, nullable=True
                )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("unit: people", "unit: heads"), "metrics.pf_range.unit: heads given; expected are names among"),
        (("folder: visitors", "folder: guests"), "metrics.pf_range.folder: guests given; expected are names among"),
        (("label: {en: Passers-by, zh: 路过人数}", "label: {en: Passers-by}"), "metrics.pf_range.label.zh: Field req"),
        (("symbol: PF_range", "sign: PF_range"), "metrics.pf_range.sign: Extra inputs are not permitted"),
        (("better: up", "better: more"), "metrics.pf_range.better: Input should be 'up', 'down' or 'none'"),
        (("type: BIGINT", "type: HUGEINT"), "metrics.pf_range.type: Input should be"),
        (("without: [device_id]", "without: [colour]"), "metrics.ocr.without: colour given; expected are names among"),
        (
            ("gmv::DOUBLE / nullif(completed", "profit / nullif(completed"),
            "metrics.average_order_value.sql: profit giv",
        ),
        (
            ("sql: gmv::DOUBLE / nullif(completed_orders, 0)", "sql: users / nullif(completed_orders, 0)"),
            "metrics.average_order_value.sql: users given; expected are names among",
        ),
        (
            ("sql: gmv::DOUBLE / nullif(completed", "sql: gmv / / nullif(completed"),
            "metrics.average_order_value.sql: 'g",
        ),
        (("    having: sum(orders) >= 2\n", ""), "metrics.repurchasing_users: Value error, `per` and `having` belong"),
        (
            ("    without: [device_id]\n", "    without: [device_id]\n    fact: fact_count\n"),
            "metrics.ocr: Value error, either `fact` or `parts` is expected, both are given",
        ),
        (
            ("zh: 消费金额}, unit: currency of the venue", "zh: 消费金额}, unit: coins"),
            "unit_kpis.amount.unit: coins given",
        ),
        (("folders:\n", "folders: [\n"), "while parsing"),
        (("folders:\n", "shelves:\n"), "folders: Field required"),
    ],
)
def test_a_mistake_in_the_registry_is_named_with_its_place(change: tuple[str, str], sentence: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert change[0] in text
    with pytest.raises(RegistryError) as raised:
        read(text.replace(*change, 1))
    assert str(raised.value).startswith("metrics.yaml: ")
    assert sentence in str(raised.value)


def test_a_metric_may_only_be_made_of_those_above_it() -> None:
    with pytest.raises(RegistryError, match=r"users given; .*\(metrics above this one\)"):
        read(FILE.read_text(encoding="utf-8").replace("nullif(completed_orders, 0)", "nullif(users, 0)"))


@pytest.mark.parametrize(
    ("file", "change", "sentence"),
    [
        ("fact_count.yaml", ("venue_id: dim_venue", "venue_id: dim_hall"), "refers.venue_id: dim_hall is given"),
        ("fact_count.yaml", ("venue_id: dim_venue", "venue_id: dim_date"), "refers.venue_id: dim_date is given"),
        ("fact_count.yaml", ("refers: {event_date: dim_date, ", "refers: {day: dim_date, "), "refers.day: dim_date is"),
        ("fact_count.yaml", ("key: [event_date, ", "key: [day, "), "fact_count.yaml: key: day given"),
        ("dim_venue.yaml", ("grain:", "grains:"), "dim_venue.yaml: "),
        ("dim_venue.yaml", ("columns:", "columns: ["), "dim_venue.yaml: "),
    ],
)
def test_a_mistake_in_the_star_is_named_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, change: tuple[str, str], sentence: str
) -> None:
    shutil.copytree(Path(star_module.__file__).parent / "star", tmp_path / "star")
    path = tmp_path / "star" / file
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change, 1))
    monkeypatch.setattr(star_module, "_FOLDER", tmp_path / "star")
    with pytest.raises(CatalogueError, match=re.escape(sentence)):
        star.__wrapped__()


def test_the_star_reads_tables_and_the_site_and_nothing_else() -> None:
    known = {t.name for t in catalogue()} | set(star().tables) | set(star_module.SITE_RELATIONS)
    seen: set[str] = set()
    for table in star():
        assert table.reads <= known
        assert table.reads & set(star().tables) <= seen, "each after those it reads"
        seen.add(table.name)


def test_the_registry_is_read_as_yaml_without_repeated_names() -> None:
    """YAML would take the last one of two metrics of a name without a word."""
    text = FILE.read_text(encoding="utf-8")
    names = re.findall(r"^  (\w+):$", text[text.index("\nmetrics:") :], re.MULTILINE)
    assert len(names) == len(set(names)) == len(yaml.safe_load(text)["metrics"])
