"""Bandits: upper confidence bounds, the shares that follow from them, and the scale that they need."""

from venue_assets.methods.ucb.allocation import Allocation, allocate, forecast_visits
from venue_assets.methods.ucb.index import KLUCB, UCB1, UCBV, Index
from venue_assets.methods.ucb.rewards import RewardBounds, Scaled

__all__ = [
    "KLUCB",
    "UCB1",
    "UCBV",
    "Allocation",
    "Index",
    "RewardBounds",
    "Scaled",
    "allocate",
    "forecast_visits",
]
