"""Shares for the next date: a leaf's visits are handed out in advance, one by one to the arm with the highest index.

What is not here: the indices (`index`), putting a unit into its leaf and arm (the gateway).

Decisions where the definition leaves room:

- **t grows** with the visits handed out, as the counts do: t stays "units of the leaf".
- An arm never seen gets its one visit before any other arm, in arm order, and from then on uses the leaf's mean and
  variance: of all units of the leaf together, 0.5 and 0.25 where there are none.
- Up to `EXACT` visits of a leaf are handed out one by one. Of more, all but the last `EXACT` are handed out at once:
  every arm gets units until its index, at the t then reached, is down to one common level, which is where handing out
  one by one arrives too. Visits that float precision cannot place by level (an exploration below some 1e-6) go to the
  highest index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from venue_assets.methods.ucb.index import UCB1, FloatArray, Index

IntArray = NDArray[np.int64]

EXACT: Final = 512
_BISECTIONS: Final = 100
_ROUNDING: Final = 1e-9
"""By so much a mean of rewards on [0, 1] may be beyond, for having been added up and divided."""
_UCB1: Final = UCB1()


@dataclass(frozen=True)
class Allocation:
    """What each leaf and arm gets, arrays of shape (leaves, arms) or (arms,) as was given.

    `index` before anything is handed out (infinity for an arm never seen), `visits` handed out, and `share` of the
    leaf's units of the next date; shares of a leaf add up to 1.
    """

    index: FloatArray
    visits: IntArray
    share: FloatArray


def allocate(
    n: ArrayLike,
    mean: ArrayLike,
    forecast: ArrayLike,
    *,
    variance: ArrayLike | None = None,
    index: Index = _UCB1,
    floor: float = 0.0,
) -> Allocation:
    """Hands `forecast` visits of each leaf to its arms; share = floor + (1 - K·floor) · visits / forecast for K arms.

    `n` units seen and `mean` of their rewards on [0, 1], shape (leaves, arms) or (arms,); the mean of an arm without
    units is ignored and may be NaN. `forecast` visits ≥ 1 of each leaf, shape (leaves,) or (). `variance` (divisor n)
    is needed by UCBV only. Among equal indices the first arm in arm order is served.

    Raises ValueError for shapes that do not fit, counts below 0, means outside [0, 1], a forecast below 1, or a floor
    that leaves nothing to hand out.
    """
    units, means, visits = _checked(n, mean, forecast)
    arms = units.shape[-1]
    if not 0 <= floor * arms <= 1:
        raise ValueError(f"floor is {floor} with {arms} arms, expected a share from 0 to 1/{arms}.")
    spread = _spread(variance, units, means)
    start = index.value(np.nan_to_num(means), spread, units, units.sum(axis=-1, keepdims=True))
    means, spread = _pooled(units, means, spread)
    given = _hand_out(units, means, spread, visits, index)
    share = floor + (1 - arms * floor) * given / visits[:, None]
    shape = np.shape(n)
    return Allocation(start.reshape(shape), given.astype(np.int64).reshape(shape), share.reshape(shape))


def forecast_visits(same_weekday: ArrayLike, last_dates: ArrayLike) -> IntArray:
    """Visits to expect in each leaf, shape (leaves,), at least 1.

    The mean units on the same weekday of the last 4 weeks, else of the last 7 dates, else 1; rounded half up.
    Both are units per leaf and date, shape (leaves, dates), NaN for a date that is not part of the experiment, which
    counts neither above nor below the line; a date without units is a 0. Dates without any unit of the leaf say nothing
    about it, so the next rule is asked. Raises ValueError for units below 0 or different numbers of leaves.
    """
    weekday, recent = _mean_units("same_weekday", same_weekday), _mean_units("last_dates", last_dates)
    if len(weekday) != len(recent):
        raise ValueError(
            f"same_weekday has {len(weekday)} leaves and last_dates {len(recent)}: expected a row per leaf in both."
        )
    expected = np.where(weekday > 0, weekday, recent)
    return np.maximum(1, np.floor(expected + 0.5)).astype(np.int64)


def _mean_units(name: str, given: ArrayLike) -> FloatArray:
    units: FloatArray = np.asarray(given, dtype=np.float64)
    if units.ndim != 2 or (units < 0).any():
        raise ValueError(f"{name} has shape {units.shape}: expected (leaves, dates), with units from 0 on or NaN.")
    dates = (~np.isnan(units)).sum(axis=1)
    means: FloatArray = np.nansum(units, axis=1) / np.maximum(dates, 1)
    return means


def _hand_out(units: FloatArray, mean: FloatArray, variance: FloatArray, visits: IntArray, index: Index) -> FloatArray:
    """Visits per leaf and arm."""
    now = _first_visits(units, visits)
    left = visits - (now - units).sum(axis=1).astype(np.int64)
    many = np.flatnonzero(left > EXACT)
    if len(many):
        now[many] = _level(now[many], mean[many], variance[many], left[many] - EXACT, index)
        left = visits - (now - units).sum(axis=1).astype(np.int64)
    # Leaves with most visits left first, so that those still busy are always the first rows.
    order = np.argsort(-left, kind="stable")
    now, mean, variance, left = now[order], mean[order], variance[order], left[order]
    for busy in np.searchsorted(-left, -np.arange(left[0] if len(left) else 0), side="left").tolist():
        rows = now[:busy]
        best = index.value(mean[:busy], variance[:busy], rows, rows.sum(axis=1, keepdims=True)).argmax(axis=1)
        rows[np.arange(busy), best] += 1
    handed = np.empty_like(now)
    handed[order] = now
    handed -= units
    return handed


def _first_visits(units: FloatArray, visits: IntArray) -> FloatArray:
    """Units once the arms never seen have had their first visit, as far as the visits reach."""
    unseen = units == 0
    return np.where(unseen & (unseen.cumsum(axis=1) <= visits[:, None]), 1.0, units)


def _level(units: FloatArray, mean: FloatArray, variance: FloatArray, visits: IntArray, index: Index) -> FloatArray:
    """Units once `visits` have been handed out at once, less what rounding leaves: each index is down to one level."""
    total = units.sum(axis=1) + visits
    t = total[:, None]
    # At the best mean its arm would take any number, at the highest index none takes one.
    low = mean.max(axis=1)
    high = index.value(mean, variance, units, t).max(axis=1)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        too_many = _down_to(middle, units, mean, variance, t, index).sum(axis=1) > total
        low, high = np.where(too_many, middle, low), np.where(too_many, high, middle)
    # Without exploration there is nothing between the two, and no level to come down to.
    apart = (high > mean.max(axis=1))[:, None]
    now = np.floor(np.where(apart, _down_to(high, units, mean, variance, t, index), units))
    best = index.value(mean, variance, now, t).argmax(axis=1)
    over = total - now.sum(axis=1)
    now[np.arange(len(now)), best] += np.where(over > now.shape[1], over, 0)
    return now


def _down_to(
    level: FloatArray, units: FloatArray, mean: FloatArray, variance: FloatArray, t: FloatArray, index: Index
) -> FloatArray:
    return np.maximum(units, index.units_at(level[:, None], mean, variance, t))


def _checked(n: ArrayLike, mean: ArrayLike, forecast: ArrayLike) -> tuple[FloatArray, FloatArray, IntArray]:
    units, means = np.asarray(n, dtype=np.float64), np.asarray(mean, dtype=np.float64)
    visits = np.asarray(forecast)
    if (
        units.ndim not in (1, 2)
        or units.shape != means.shape
        or visits.shape != units.shape[:-1]
        or not units.shape[-1]
    ):
        raise ValueError(
            f"n has shape {units.shape}, mean {means.shape} and forecast {visits.shape}: expected (leaves, arms) twice "
            "and (leaves,), or (arms,) twice and one number."
        )
    if not (np.isfinite(units) & (units >= 0) & (units == np.floor(units))).all():
        raise ValueError("n holds something else than whole numbers from 0 on. Count each unit of an arm once.")
    if not (((means >= -_ROUNDING) & (means <= 1 + _ROUNDING)) | (units == 0)).all():
        raise ValueError("A mean reward lies outside [0, 1]: bring rewards there first, with RewardBounds.scale.")
    if not ((visits >= 1) & (visits == np.floor(visits))).all():
        raise ValueError(
            "A forecast is not a whole number from 1 on: use forecast_visits, which never gives less than 1."
        )
    return np.atleast_2d(units), np.atleast_2d(means).clip(0, 1), np.atleast_1d(visits).astype(np.int64)


def _spread(variance: ArrayLike | None, units: FloatArray, means: FloatArray) -> FloatArray:
    if variance is None:
        return np.zeros_like(units)
    given = np.atleast_2d(np.asarray(variance, dtype=np.float64))
    if given.shape != units.shape or not ((given >= 0) | (units == 0)).all():
        raise ValueError(f"variance has shape {given.shape}: expected that of n, {units.shape}, and numbers from 0 on.")
    return np.nan_to_num(given)


def _pooled(units: FloatArray, mean: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance with those of the leaf in place of those of arms never seen."""
    seen = units > 0
    mean = np.where(seen, mean, 0.0)
    total = units.sum(axis=1, keepdims=True)
    whole = np.maximum(total, 1)
    leaf = np.where(total > 0, (units * mean).sum(axis=1, keepdims=True) / whole, 0.5)
    within = (units * (variance + (mean - leaf) ** 2)).sum(axis=1, keepdims=True) / whole
    return np.where(seen, mean, leaf), np.where(seen, variance, np.where(total > 0, within, 0.25))
