"""Many experiments at once under a bandit that moves its shares every day, analysed once each: the truth is known.

No visitor is drawn, only what a day sums up to: visits of each leaf and arm, and how many brought which reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from venue_assets.methods.adaptive import BatchRewards, adaptive_effect
from venue_assets.methods.effect import Effect
from venue_assets.methods.sample_size import comparison_alpha, gate_variance, minimum_sample_size
from venue_assets.methods.two_sample import Sample, difference_of_means
from venue_assets.methods.ucb import UCB1, allocate

FloatArray = NDArray[np.float64]

ALPHA = 0.05


@dataclass(frozen=True)
class World:
    """Success rates of leaves (rows) and arms (columns, the control first); all leaves are visited equally.

    A success is a reward of 1, or one of `amounts`, all equally likely.
    """

    rates: Sequence[Sequence[float]]
    exploration: float = 0.1
    floor: float = 0.1
    days: int = 30
    units: int = 2000
    minimum_effect: float = 0.02
    amounts: Sequence[float] = (1.0,)

    @property
    def arms(self) -> int:
        return len(self.rates[0])

    @property
    def alpha(self) -> float:
        """Of each comparison."""
        return comparison_alpha(ALPHA, self.arms)

    @property
    def effects(self) -> FloatArray:
        """True effect of each arm on a unit's reward; 0 for the control."""
        rates = np.asarray(self.rates)
        return (rates - rates[:, :1]).mean(axis=0) * np.mean(self.amounts)

    @property
    def planned_variance(self) -> float:
        """2·s_A², as a pre-period would tell."""
        rate, y = np.mean([row[0] for row in self.rates]), np.asarray(self.amounts)
        return float(2 * (rate * (y**2).mean() - (rate * y.mean()) ** 2))


@dataclass(frozen=True)
class Runs:
    """Units, Σ and Σ² of rewards, and propensity: shape (runs, days, leaves, arms)."""

    n: FloatArray
    total: FloatArray
    squares: FloatArray
    propensity: FloatArray


@dataclass
class Verdicts:
    """How the analyses came out: one entry per run, those about intervals one per run and arm."""

    day: list[int] = field(default_factory=list)
    any_significant: list[bool] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    standard_error: list[float] = field(default_factory=list)
    plain_any_significant: list[bool] = field(default_factory=list)
    plain_covered: list[bool] = field(default_factory=list)


def simulate(world: World, runs: int, seed: int) -> Runs:
    """Equal shares on the first day, then those of UCB1 in each leaf with that day's visits as the forecast."""
    rng = np.random.default_rng(seed)
    rates, amounts = np.asarray(world.rates), np.asarray(world.amounts)
    leaves, arms = rates.shape
    n, total, squares, propensity = np.zeros((4, runs, world.days, leaves, arms))
    share = np.full((runs, leaves, arms), 1 / arms)
    for day in range(world.days):
        visits = rng.multinomial(world.units, np.full(leaves, 1 / leaves), size=runs)
        units = rng.multinomial(visits, share)
        rewarded = rng.multinomial(rng.binomial(units, rates), np.full(len(amounts), 1 / len(amounts)))
        n[:, day], total[:, day], squares[:, day] = units, rewarded @ amounts, rewarded @ amounts**2
        propensity[:, day] = share
        seen, earned = (x[:, : day + 1].sum(axis=1).reshape(-1, arms) for x in (n, total))
        handed_out = allocate(
            seen,
            earned / np.maximum(seen, 1) / amounts.max(),
            np.maximum(visits, 1).reshape(-1),
            index=UCB1(world.exploration),
            floor=world.floor,
        )
        share = handed_out.share.reshape(runs, leaves, arms)
    return Runs(n, total, squares, propensity)


def day_of_analysis(world: World, runs: Runs) -> NDArray[np.int64]:
    """First day, from 0, on which every arm's effective n is enough, else the last one."""
    weights = np.cumsum((runs.n / runs.propensity).sum(axis=2), axis=1)
    squared_weights = np.cumsum((runs.n / runs.propensity**2).sum(axis=2), axis=1)
    kish = weights**2 / np.maximum(squared_weights, 1)
    n, total, squares = (np.cumsum(x.sum(axis=2), axis=1) for x in (runs.n, runs.total, runs.squares))
    variance = (squares - total**2 / np.maximum(n, 1)) / np.maximum(n - 1, 1)
    observed = (variance[:, :, :1] + variance[:, :, 1:]).max(axis=2)
    needed = np.empty_like(observed)
    for at in np.ndindex(*needed.shape):
        most = gate_variance(observed=float(observed[at]), planned=world.planned_variance)
        needed[at] = minimum_sample_size(delta=world.minimum_effect, variance=most, alpha=world.alpha)
    enough = (kish >= needed[:, :, None]).all(axis=2)
    return np.where(enough.any(axis=1), enough.argmax(axis=1), world.days - 1)


def verdicts(world: World, runs: int, seed: int, *, wait_for_last_date: bool = False) -> Verdicts:
    """The verdict of every run by the one-analysis rule, or on the last date; and what Welch's test would say."""
    made, found = simulate(world, runs, seed), Verdicts()
    days = np.full(runs, world.days - 1) if wait_for_last_date else day_of_analysis(world, made)
    found.day = (days + 1).tolist()
    for run, day in enumerate(days.tolist()):
        rewards = BatchRewards(*(x[run, : day + 1] for x in (made.n, made.total, made.squares, made.propensity)))
        sums = zip(*(x.sum(axis=(0, 1)) for x in (rewards.n, rewards.total, rewards.squares)), strict=True)
        samples = [Sample.of_sums(int(n), *others) for n, *others in sums]
        significant = plain_significant = False
        for arm in range(1, world.arms):
            effect = adaptive_effect(rewards, arm, alpha=world.alpha)
            plain = difference_of_means(samples[0], samples[arm], alpha=world.alpha)
            assert isinstance(effect, Effect)
            assert isinstance(plain, Effect)
            truth = float(world.effects[arm])
            significant |= effect.significant
            plain_significant |= plain.significant
            found.covered.append(_covers(effect, truth))
            found.plain_covered.append(_covers(plain, truth))
            found.error.append(effect.effect - truth)
            found.standard_error.append(effect.standard_error)
        found.any_significant.append(significant)
        found.plain_any_significant.append(plain_significant)
    return found


def _covers(effect: Effect, truth: float) -> bool:
    """Whether the 95 % interval does, also where a comparison of several is made at a smaller alpha."""
    low, high = replace(effect, alpha=ALPHA).interval
    return low <= truth <= high
