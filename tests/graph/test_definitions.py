"""What Dagster loads: whole for those who look at the graph, and without what only they read for each run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext
from dagster._core.definitions.reconstruct import (
    initialize_repository_def_from_pointer,
    reconstruct_repository_def_from_pointer,
)

from venue_assets.dictionary import write_dictionary
from venue_assets.graph.build import build_definitions
from venue_assets.home import VARIABLE, Home
from venue_assets.tables.catalogue import catalogue

LOADED = ModuleCodePointer("venue_assets.definitions", "defs", None)
LINEAGE = "dagster/column_lineage"


def lineage(loaded: dg.RepositoryDefinition) -> bool:
    return LINEAGE in loaded.asset_graph.get(dg.AssetKey("sessions")).metadata


def test_a_run_does_not_read_the_lineage_of_columns(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(home.root))
    with DefinitionsLoadContext.scoped(DefinitionsLoadContext.get()):
        for load, expected in (
            (initialize_repository_def_from_pointer, True),
            (reconstruct_repository_def_from_pointer, False),
        ):
            monkeypatch.delitem(sys.modules, "venue_assets.definitions", raising=False)
            assert lineage(load(LOADED)) is expected


def test_every_table_says_where_its_entry_in_the_dictionary_is(home: Home) -> None:
    reports = home.published / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    write_dictionary(reports)
    graph = build_definitions(home, lineage=False).resolve_asset_graph()
    for table in catalogue():
        address = graph.get(dg.AssetKey(table.name)).metadata["dictionary"]
        assert isinstance(address, dg.PathMetadataValue)
        url = urlsplit(str(address.value))
        page = Path(unquote(url.path)).read_text(encoding="utf-8")
        entry = page.partition(f'id="{url.fragment}"')[2].partition("</article>")[0]
        assert f"{table.layer}.{table.name}" in re.sub("<.*?>", "", entry)
