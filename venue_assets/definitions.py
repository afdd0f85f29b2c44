"""What Dagster loads. Assembles the definitions of the home that VENUE_DATA names; nothing else."""

from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType

from venue_assets.graph.build import build_definitions
from venue_assets.home import Home

# Every run loads them anew, in a process of its own; nobody looks at the graph there.
_looked_at = DefinitionsLoadContext.get().load_type is DefinitionsLoadType.INITIALIZATION

defs = build_definitions(Home.of_environment(), lineage=_looked_at)
