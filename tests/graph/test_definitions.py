"""What Dagster loads: whole for those who look at the graph, and without what only they read for each run."""

from __future__ import annotations

import sys

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext
from dagster._core.definitions.reconstruct import (
    initialize_repository_def_from_pointer,
    reconstruct_repository_def_from_pointer,
)

from venue_assets.home import VARIABLE, Home

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
