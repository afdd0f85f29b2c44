"""A venue with known truth: plays the gateways `sim*` of a site and knows what must be found in what they landed.

    people of a day (population, visits, orders, counts) -> tables (records, day)
        -> mishaps (dirt, incidents) -> segments (landing) -> what must be found (metrics, truth)

Never imports dagster or duckdb: the truth is computed by other means than the system that is checked against it.
"""

from venue_assets.simulate.incidents import Incidents
from venue_assets.simulate.landing import Parcel, remove
from venue_assets.simulate.metrics import Figures, PrimaryMetrics, SessionStates
from venue_assets.simulate.options import Dirt, Options
from venue_assets.simulate.simulation import Simulation, simulate
from venue_assets.simulate.truth import Outcome, Truth

__all__ = [
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
    "remove",
    "simulate",
]
