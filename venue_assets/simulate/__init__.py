"""A venue with known truth: plays the gateways `sim*` of a site and knows what must be found in what they landed.

    people of a day (population, visits, trials, orders, counts) -> tables (records, day)
        -> mishaps (dirt, incidents) -> segments (landing) -> what must be found (metrics, units, truth)

Never imports dagster or duckdb: the truth is computed by other means than the system that is checked against it.
"""

from venue_assets.simulate.incidents import Incidents
from venue_assets.simulate.landing import Parcel, remove
from venue_assets.simulate.metrics import Figures, PrimaryMetrics, SessionStates
from venue_assets.simulate.options import Dirt, Options
from venue_assets.simulate.simulation import Simulation, begin, simulate
from venue_assets.simulate.trials import Allocations
from venue_assets.simulate.truth import Outcome, Truth
from venue_assets.simulate.units import Units
from venue_assets.simulate.worlds import WORLDS, World

__all__ = [
    "WORLDS",
    "Allocations",
    "Dirt",
    "Figures",
    "Incidents",
    "Options",
    "Outcome",
    "Parcel",
    "PrimaryMetrics",
    "SessionStates",
    "Simulation",
    "Truth",
    "Units",
    "World",
    "begin",
    "remove",
    "simulate",
]
