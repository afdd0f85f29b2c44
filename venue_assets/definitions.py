"""What Dagster loads. Assembles the definitions of the home that VENUE_DATA names; nothing else."""

from venue_assets.graph.build import build_definitions
from venue_assets.home import Home

defs = build_definitions(Home.of_environment())
