"""A published database in small: every layer, the star and the views of metrics, of a simulated week."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tests.conftest import REPOSITORY, compute
from tests.powerbi.conftest import tools  # noqa: F401 (a fixture)
from venue_assets.cli.query import connect
from venue_assets.dictionary import write_dictionary
from venue_assets.home import Home
from venue_assets.publish import metric_views
from venue_assets.semantic_layer.star import site_relations, star
from venue_assets.simulate import Options, simulate
from venue_assets.tables.catalogue import LAYERS, catalogue

OPTIONS = Options(date(2026, 1, 5), days=6, visits=80)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    root = tmp_path_factory.mktemp("week")
    shutil.copyfile(REPOSITORY / "data" / "site.toml", root / "site.toml")
    home = Home(root)
    simulate(home.site, home.landing, OPTIONS)
    compute(home, *OPTIONS.dates)
    with connect(home, catalogue()) as con:
        for schema in (*LAYERS, "star", "metric"):
            con.execute(f"CREATE SCHEMA {schema}")
        for table in catalogue():
            columns = ", ".join(["event_date", *table.columns])
            con.execute(f"CREATE TABLE {table.layer}.{table.name} AS SELECT {columns} FROM main.{table.name}")
        for name, relation in site_relations(home.site).items():
            con.register(name, relation)
        con.execute("SET search_path = 'main,star'")
        for made in star():
            con.execute(f"CREATE TABLE star.{made.name} AS SELECT {', '.join(made.columns)} FROM ({made.sql})")
        metric_views.create(con, 0)
        for table in catalogue():
            con.execute(f"DROP VIEW main.{table.name}")  # whoever forgets the schema is told
        con.execute("SET search_path = 'main'")
        yield con


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dictionary, written."""
    written = tmp_path_factory.mktemp("dictionary")
    write_dictionary(written)
    return written
