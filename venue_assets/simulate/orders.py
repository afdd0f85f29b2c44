"""What people buy: orders of the visits of a day, and what happens to them afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge_collector.site import Device
from venue_assets.simulate.population import Population
from venue_assets.simulate.records import Status, Table, table
from venue_assets.simulate.venue_day import HOUR, MINUTE, SECOND, BoolArray, FloatArray, IntArray, VenueDay
from venue_assets.simulate.visits import Visits

CATEGORIES = ("food", "drinks", "clothing", "books", "toys", "home", "beauty", "gifts")
POPULARITY = (0.26, 0.22, 0.12, 0.08, 0.08, 0.08, 0.08, 0.08)
TYPICAL_PRICE = (850, 420, 3900, 1500, 1900, 3200, 1700, 1200)  # minor units
PRICE_SIGMA = 0.8
PRICE_LEVEL = {"CNY": 7.0, "JPY": 150.0, "INR": 90.0}  # of currencies whose unit is worth much less than a euro
LINES_PER_ORDER = (0.45, 0.30, 0.15, 0.10)

MEMBER_ORDERS = 0.18
STRANGER_ORDERS = 0.10
"""Together about 15 % of recognised visits lead to an order."""
AFTER_LEAVING = 0.05
"""Share of orders that the till books up to 20 minutes after their customer left."""
ANONYMOUS = 0.04
CANCELLED = 0.04
REFUNDED = 0.015
REEXPORTED = 0.02
PARTLY = 0.3
"""Share of cancellations and refunds that concern the first line only."""
CONVERTS = (1 - ANONYMOUS) * (1 - (CANCELLED + REFUNDED) * (1 - PARTLY * (1 - LINES_PER_ORDER[0])))
"""Probability that a visit that buys is a conversion: it is known who bought, and a line of the order stays completed.
(An order booked after leaving may fall into a next visit of the same customer; that is too rare to be counted here.)"""


def orders_of(
    day: VenueDay,
    visits: Visits,
    population: Population,
    rng: np.random.Generator,
    devices: tuple[Device, ...],
    gateways: Sequence[str],
    *,
    uplift: FloatArray,
) -> Table:
    """Every line that the back office exports for orders placed on this date, later re-exports included.

    `uplift`: what is added to the probability of each person's visit to be a conversion, absolute.
    """
    buyers = _buyers(visits, population, rng, uplift)
    n = len(buyers)
    entered, left = visits.entered[buyers], visits.left[buyers]
    placed = entered + ((left - entered) * rng.uniform(0.15, 0.95, n)).astype(np.int64)
    late = rng.random(n) < AFTER_LEAVING
    placed = np.where(late, left + rng.integers(1, 20 * MINUTE, n), placed)
    placed = np.minimum(placed, day.ends - MINUTE)
    by_time = np.argsort(placed, kind="stable")
    placed, buyers = placed[by_time], buyers[by_time]
    user = np.where(rng.random(n) < ANONYMOUS, -1, visits.user[buyers])
    device = rng.integers(0, len(devices), n)

    order = np.repeat(np.arange(n), rng.choice(np.arange(1, 5), n, p=LINES_PER_ORDER))
    order_no = np.arange(len(order)) - np.searchsorted(order, order) + 1
    category = rng.choice(len(CATEGORIES), len(order), p=POPULARITY)
    quantity = rng.choice(np.array([1, 2, 3, 4]), len(order), p=[0.78, 0.15, 0.05, 0.02])
    level = PRICE_LEVEL.get(day.venue.currency, 1.0)
    typical = np.array(TYPICAL_PRICE)[category] * level
    price = np.maximum(1, np.rint(typical * rng.lognormal(0, PRICE_SIGMA, len(order)) / math.exp(PRICE_SIGMA**2 / 2)))
    exported = placed + rng.integers(200, 3 * SECOND, n)
    first = table(
        "orders",
        day,
        devices,
        gateways,
        device=device[order],
        time=placed[order],
        recorded=exported[order],
        labels={
            "user": visits.at_orders,
            "order": [f"{day.venue.id}-{day.event_date:%Y%m%d}-{i:06d}" for i in range(1, n + 1)],
            "category": CATEGORIES,
        },
        order=order,
        order_no=order_no,
        user=user[order],
        category=category,
        quantity=quantity,
        amount=price.astype(np.int64) * quantity,
        status=np.full(len(order), int(Status.COMPLETED), dtype=np.int64),
        foreign=np.zeros(len(order), dtype=np.bool_),
    )
    return first.followed_by(_exported_again(first, n, rng))


def _buyers(visits: Visits, population: Population, rng: np.random.Generator, uplift: FloatArray) -> IntArray:
    chance = np.where(visits.recognised, STRANGER_ORDERS, 0.0)
    is_member = visits.member >= 0
    chance[is_member] = (MEMBER_ORDERS * population.eagerness[visits.member[is_member]]).clip(max=0.9)
    # One number per person, whatever the uplift: the same people buy, and some more.
    return np.flatnonzero(rng.random(len(chance)) < chance + uplift / CONVERTS)


def _exported_again(first: Table, orders: int, rng: np.random.Generator) -> Table:
    """Lines of orders that were cancelled, refunded, or simply exported once more, minutes to hours later."""
    fate = rng.random(orders)
    partly = rng.random(orders) < PARTLY
    delay = rng.integers(5 * MINUTE, 10 * HOUR, orders)
    cancelled, refunded = CANCELLED, CANCELLED + REFUNDED
    status = np.select([fate < cancelled, fate < refunded], [int(Status.CANCELLED), int(Status.REFUNDED)], 0)
    again: BoolArray = fate < refunded + REEXPORTED

    of_order = first["order"]
    only_first = partly & (status != Status.COMPLETED)
    chosen = again[of_order] & (~only_first[of_order] | (first["order_no"] == 1))
    later = first.take(np.flatnonzero(chosen))
    later["status"] = status[later["order"]]
    for clock in ("recorded", "sent", "emit"):
        later[clock] = later[clock] + delay[later["order"]]
    return later
