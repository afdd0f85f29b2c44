"""The closed loop in memory, many seeds side by side: visitors come, shares draw their arm, each evening the policy
learns and gives the shares of the next day. Pure methods; the truth is known.

All policies of a world meet the same visitors with the same luck: what a visitor would do under each arm is drawn
beforehand, and so is the number that draws the arm. What differs between policies is theirs, and less of it is chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.methods.context_groups import ALPHA, SETTINGS, by_effect, by_level
from venue_assets.methods.ucb import UCB1, Index, allocate, forecast_visits

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

SEGMENTS = {"new": 0.25, "regular": 0.15, "loyal": 0.15, "lapsing": 0.15, "lost": 0.15, "visitor": 0.15}
CHANNELS = {"app": 0.3, "counter": 0.5, "web": 0.2}


# The truth ------


@dataclass(frozen=True)
class World:
    """What each arm (the control first) adds to the conversion rate of each group, and how groups differ without it.

    There are three groups: regular and loyal visitors (30 %), the others before 16:00 (35 %) and from then on (35 %).
    The rate of a visitor is 0.12 + level of the group ± 0.02 by the channel + effect of the arm in the group. So the
    channel says how often a visitor converts but not what works for him; recency, value and membership say nothing.
    """

    effects: Sequence[Sequence[float]]
    levels: Sequence[float] = (0.03, 0.0, -0.02)

    @property
    def arms(self) -> int:
        return len(self.effects[0])


_BY_GROUP = ((0, 0.04, -0.03), (0, -0.03, 0.04), (0, -0.03, -0.04))
WORLDS = {
    "no effect": World(((0, 0, 0),) * 3),
    "one best arm": World(((0, 0.03, -0.03),) * 3),
    "best arm by group": World(_BY_GROUP),
    "best arm by group, groups of one level": World(_BY_GROUP, levels=(0, 0, 0)),
    "best of two arms by group": World(((0, 0.04), (0, -0.03), (0, -0.03))),
}


@dataclass(frozen=True)
class Visitors:
    """Covariates, and per visitor and arm the true rate and what he would do; rows are visitors in order of time."""

    covariates: pl.DataFrame
    rates: FloatArray
    rewards: BoolArray
    lot: FloatArray

    @classmethod
    def draw(cls, world: World, rows: int, rng: np.random.Generator) -> Visitors:
        segment = rng.choice(len(SEGMENTS), rows, p=list(SEGMENTS.values()))
        channel = rng.choice(len(CHANNELS), rows, p=list(CHANNELS.values()))
        hour = rng.integers(10, 22, rows)
        group = np.where((segment == 1) | (segment == 2), 0, np.where(hour < 16, 1, 2))
        level = 0.12 + np.take(world.levels, group) + np.take([0.02, 0.0, -0.02], channel)
        rates = level[:, None] + np.asarray(world.effects)[group]
        covariates = pl.DataFrame(
            {
                "segment": _factor(SEGMENTS, segment),
                "hour": hour,
                "channel": _factor(CHANNELS, channel),
                "recency": rng.exponential(30, rows).round(),
                "value": rng.lognormal(4, 1, rows).round(2),
                "member": rng.random(rows) < 0.4,
            }
        )
        return cls(covariates, rates, rng.random(rates.shape) < rates, rng.random(rows))


def _factor(levels: dict[str, float], codes: IntArray) -> pl.Series:
    return pl.Series(list(levels)).gather(codes).cast(pl.Enum(list(levels)))


@dataclass(frozen=True)
class Traffic:
    """The visitors of many runs of one world: those of the experiment, and those of the days before it."""

    world: World
    runs: Sequence[Visitors]
    before: Sequence[Visitors]
    days: int
    visits: int

    @classmethod
    def draw(cls, world: World, seeds: int, *, days: int = 30, days_before: int = 28, visits: int = 2000) -> Traffic:
        runs, before = [], []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            runs.append(Visitors.draw(world, days * visits, rng))
            before.append(Visitors.draw(world, days_before * visits, rng))
        return cls(world, runs, before, days, visits)

    @cached_property
    def rates(self) -> FloatArray:
        """Shape (seeds, visitors, arms)."""
        return np.stack([run.rates for run in self.runs])

    @cached_property
    def rewards(self) -> BoolArray:
        return np.stack([run.rewards for run in self.runs])

    @cached_property
    def lot(self) -> FloatArray:
        return np.stack([run.lot for run in self.runs])

    def rows(self, day: int) -> slice:
        return slice(day * self.visits, (day + 1) * self.visits)


# The loop ------


class Policy(Protocol):
    """Shares of each visitor of a day, from what was learned on the days before."""

    def shares(self, day: int) -> FloatArray:
        """Shape (seeds, visitors of the day, arms)."""

    def learn(self, day: int, arm: IntArray, reward: BoolArray, share: FloatArray) -> None:
        """The evening of `day`: the arm that each visitor got, shape (seeds, visitors), what it brought, its shares."""


@dataclass(frozen=True)
class Outcome:
    """Per seed: conversions missed against the best arm of each visitor, conversions, and leaves on the last day."""

    regret: FloatArray
    conversions: FloatArray
    leaves: FloatArray


def simulate(traffic: Traffic, policy: Policy) -> Outcome:
    regret, conversions = np.zeros((2, len(traffic.runs)))
    for day in range(traffic.days):
        rows, share = traffic.rows(day), policy.shares(day)
        arm = (traffic.lot[:, rows, None] >= np.cumsum(share, axis=2)[:, :, :-1]).sum(axis=2)
        rates, reward = traffic.rates[:, rows], _of_arm(traffic.rewards[:, rows], arm)
        regret += (rates.max(axis=2) - _of_arm(rates, arm)).sum(axis=1)
        conversions += reward.sum(axis=1)
        policy.learn(day, arm, reward, share)
    return Outcome(regret, conversions, np.asarray(getattr(policy, "leaves", np.ones(len(regret))), dtype=np.float64))


def _of_arm(values: NDArray[Any], arm: IntArray) -> NDArray[Any]:
    """Of the last axis the entry of each unit's arm."""
    return np.take_along_axis(values, arm[..., None], axis=-1)[..., 0]


@dataclass(frozen=True)
class Given:
    """A policy that learns nothing: every visitor's shares are known beforehand, shape (seeds, visitors, arms)."""

    traffic: Traffic
    share: FloatArray

    @classmethod
    def uniform(cls, traffic: Traffic) -> Given:
        return cls(traffic, np.broadcast_to(1 / traffic.world.arms, traffic.rates.shape))

    @classmethod
    def best_fixed(cls, traffic: Traffic) -> Given:
        """The one arm that is best on average, which nobody knows beforehand."""
        best = traffic.rates.mean(axis=1, keepdims=True).argmax(axis=2)
        return cls(traffic, np.broadcast_to(np.eye(traffic.world.arms)[best], traffic.rates.shape))

    @classmethod
    def oracle(cls, traffic: Traffic) -> Given:
        return cls(traffic, np.eye(traffic.world.arms)[traffic.rates.argmax(axis=2)])

    def shares(self, day: int) -> FloatArray:
        return self.share[:, self.traffic.rows(day)]

    def learn(self, day: int, arm: IntArray, reward: BoolArray, share: FloatArray) -> None:
        pass


# Leaves and UCB ------


@dataclass(frozen=True)
class Settings:
    """How leaves are made and shares are given. Without a target all visitors are one leaf: UCB without context.

    history_days: the tree is first fitted on so many days before the experiment, when all got the control (`reward`) or
    a random arm (the others); with 0 all are one leaf at first. refit_days: it is fitted anew every so many evenings,
    on those days and the experiment's own. warm: the random days' statistics count as well. equal_days: days of equal
    shares at the start. in_one: a day's visits of a leaf all go to the arm with the highest index, instead of being
    handed out one by one.
    """

    target: Target | None = None
    history_days: int = 14
    refit_days: int | None = None
    alpha: float = ALPHA
    index: Index = field(default_factory=lambda: UCB1(0.1))
    floor: float = 0.05
    warm: bool = False
    equal_days: int = 1
    in_one: bool = False


class LeafPolicy:
    """A tree's leaves, statistics per leaf and arm, and `allocate`."""

    def __init__(self, traffic: Traffic, settings: Settings) -> None:
        self.traffic, self.settings = traffic, settings
        everyone, arms = traffic.lot.shape, traffic.world.arms
        self.arm, self.reward = np.zeros(everyone, dtype=np.int64), np.zeros(everyone, dtype=np.bool_)
        self.share = np.zeros((*everyone, arms))
        before = settings.history_days * traffic.visits
        self.past = [Past.random(visitors, before) for visitors in traffic.before]
        if settings.target == "reward":
            self.past = [Past.control(visitors, before) for visitors in traffic.before]
        self._fit(0)

    def shares(self, day: int) -> FloatArray:
        seeds, arms = len(self.traffic.runs), self.traffic.world.arms
        if day < self.settings.equal_days:
            return np.full((seeds, self.traffic.visits, arms), 1 / arms)
        n, total = self.n.reshape(-1, arms), self.total.reshape(-1, arms)
        forecast = np.ones(len(n), dtype=np.int64) if self.settings.in_one else self._forecast(day)
        # Seeds of fewer leaves than others have rows here that nobody visits.
        given = allocate(n, total / np.maximum(n, 1), forecast, index=self.settings.index, floor=self.settings.floor)
        share = given.share.reshape(seeds, -1, arms)
        return np.take_along_axis(share, self.leaf[:, self.traffic.rows(day), None], axis=1)

    def learn(self, day: int, arm: IntArray, reward: BoolArray, share: FloatArray) -> None:
        rows = self.traffic.rows(day)
        self.arm[:, rows], self.reward[:, rows], self.share[:, rows] = arm, reward, share
        if self.settings.target and self.settings.refit_days and (day + 1) % self.settings.refit_days == 0:
            self._fit(rows.stop)
        else:
            self._count(rows)

    def _forecast(self, day: int) -> IntArray:
        def units(*back: int) -> FloatArray:
            days = [day - b for b in back if b <= day]
            return self.units[:, :, days].reshape(self.n.shape[0] * self.n.shape[1], len(days))

        return forecast_visits(units(7, 14, 21, 28), units(*range(1, 8)))

    def _fit(self, until: int) -> None:
        """Leaves from the days before and the first `until` visitors; all statistics are counted anew in them."""
        seeds, days, arms = len(self.traffic.runs), self.traffic.days, self.traffic.world.arms
        self.leaf = np.zeros(self.arm.shape, dtype=np.int64)
        leaf_before = [np.zeros(len(past.arm), dtype=np.int64) for past in self.past]
        for seed, (run, past) in enumerate(zip(self.traffic.runs, self.past, strict=True)):
            own = Past(
                run.covariates[:until], self.arm[seed, :until], self.reward[seed, :until], self.share[seed, :until]
            )
            if self.settings.target and len(past.arm) + until:
                # A generator of its own: that of the seed has drawn the visitors.
                rng = np.random.default_rng([seed, until])
                tree = grow(past.and_then(own), self.settings.target, self.settings.alpha, rng)
                both = leaves_of(tree, pl.concat([run.covariates, past.covariates]))
                self.leaf[seed], leaf_before[seed] = np.split(both, [run.covariates.height])
        self.leaves = self.leaf.max(axis=1) + 1
        leaves = max(int(leaf.max(initial=0)) + 1 for leaf in (self.leaf, *leaf_before))
        date = np.broadcast_to(np.repeat(np.arange(days), self.traffic.visits), self.leaf.shape)
        self.units = _counts((seeds, leaves, days), self.leaf, date)
        self.n, self.total = np.zeros((2, seeds, leaves, arms))
        if self.settings.warm:
            before = np.array(leaf_before), np.array([past.arm for past in self.past])
            self.n += _counts(self.n.shape, *before)
            self.total += _counts(self.n.shape, *before, np.array([past.reward for past in self.past]))
        self._count(slice(0, until))

    def _count(self, rows: slice) -> None:
        leaf, arm = self.leaf[:, rows], self.arm[:, rows]
        self.n += _counts(self.n.shape, leaf, arm)
        self.total += _counts(self.n.shape, leaf, arm, self.reward[:, rows])


def _counts(shape: tuple[int, ...], first: IntArray, second: IntArray, weights: BoolArray | None = None) -> FloatArray:
    """How many of each seed (row) fall into each cell of `first` x `second`."""
    cell = (np.arange(shape[0])[:, None] * shape[1] + first) * shape[2] + second
    ones = None if weights is None else weights.ravel()
    return np.bincount(cell.ravel(), ones, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)


# Groups ------

Target = Literal["reward", "effect", "arms of the rewarded"]
"""The first two are what the product does. What else was tried:

arms of the rewarded: a tree of which arm rewarded units got, as classes, thinned so that all arms had the same chance.
    Where no arm's (relative) effect differs, the arms' shares among them are alike everywhere. For 0/1 rewards only.
"""


@dataclass(frozen=True)
class Past:
    """Units with a known outcome: covariates, arm, reward, and the shares of all arms when theirs was drawn."""

    covariates: pl.DataFrame
    arm: IntArray
    reward: BoolArray
    share: FloatArray

    @classmethod
    def random(cls, visitors: Visitors, rows: int) -> Past:
        """The last `rows` visitors, each with an arm at random."""
        arms = visitors.rates.shape[1]
        return cls._of(visitors, rows, (visitors.lot * arms).astype(np.int64), np.full(arms, 1 / arms))

    @classmethod
    def control(cls, visitors: Visitors, rows: int) -> Past:
        """The last `rows` visitors, all under the control."""
        return cls._of(visitors, rows, np.zeros(len(visitors.lot), dtype=np.int64), np.eye(visitors.rates.shape[1])[0])

    @classmethod
    def _of(cls, visitors: Visitors, rows: int, arm: IntArray, share: FloatArray) -> Past:
        last = slice(len(arm) - rows, None)
        reward, shares = _of_arm(visitors.rewards[last], arm[last]), np.tile(share, (rows, 1))
        return cls(visitors.covariates[last], arm[last], reward, shares)

    def and_then(self, later: Past) -> Past:
        arrays = ([getattr(self, name), getattr(later, name)] for name in ("arm", "reward", "share"))
        return Past(pl.concat([self.covariates, later.covariates]), *map(np.concatenate, arrays))

    def where(self, rows: BoolArray) -> Past:
        return Past(self.covariates.filter(rows), self.arm[rows], self.reward[rows], self.share[rows])


def grow(past: Past, target: Target, alpha: float, rng: np.random.Generator) -> ConditionalInferenceTree:
    """The tree for a target; `reward` is the product's, at its own alpha, and `effect` is the product's at this one."""
    own = _of_arm(past.share, past.arm)
    if target == "reward":
        control = past.arm == 0
        return by_level(past.covariates.filter(control), pl.Series(past.reward[control]).cast(pl.Float64))
    if target == "effect":
        reward, names = pl.Series(past.reward).cast(pl.Float64), [str(arm) for arm in range(past.share.shape[1])]
        arm = pl.Series(past.arm).cast(pl.String)
        return by_effect(past.covariates, reward, arm, pl.Series(own), names, alpha)
    kept = past.reward & (rng.random(len(own)) * own < past.share.min(axis=1))
    classes = pl.Series(past.arm[kept]).cast(pl.String)
    return ConditionalInferenceTree(alpha, **SETTINGS).fit(past.covariates.filter(kept), classes)


def leaves_of(tree: ConditionalInferenceTree, covariates: pl.DataFrame) -> IntArray:
    """The leaf of each row, as a number from 0 on."""
    number = pl.Series([node.split is None for node in tree.nodes]).cast(pl.Int64).cum_sum() - 1
    return number.gather(tree.apply(covariates) - 1).to_numpy()


# LinUCB ------


class LinUCB:
    """MABWiser's LinUCB, a ridge regression per arm: a visitor gets the arm of the highest bound, and others the floor.

    Features are a constant, numbers at a scale of about 1, and factors as indicators. `warm`: 14 random days
    before count as well.
    """

    def __init__(self, traffic: Traffic, *, alpha: float = 0.3, floor: float = 0.05, warm: bool = False) -> None:
        from mabwiser.mab import MAB, LearningPolicy

        self.traffic, self.floor, self.arms, self.warm = traffic, floor, traffic.world.arms, warm
        self.features = [_features(run.covariates) for run in traffic.runs]
        arms, policy = list(range(self.arms)), LearningPolicy.LinUCB(alpha=alpha)
        self.bandits = [MAB(arms, policy, seed=seed) for seed in range(len(traffic.runs))]
        if warm:
            for bandit, visitors in zip(self.bandits, traffic.before, strict=True):
                past = Past.random(visitors, 14 * traffic.visits)
                bandit.fit(past.arm, past.reward.astype(np.float64), _features(past.covariates))

    def shares(self, day: int) -> FloatArray:
        rows = self.traffic.rows(day)
        if day == 0 and not self.warm:
            return np.full((len(self.bandits), self.traffic.visits, self.arms), 1 / self.arms)
        chosen = np.array([b.predict(features[rows]) for b, features in zip(self.bandits, self.features, strict=True)])
        return self.floor + (1 - self.arms * self.floor) * np.eye(self.arms)[chosen]

    def learn(self, day: int, arm: IntArray, reward: BoolArray, share: FloatArray) -> None:
        rows = self.traffic.rows(day)
        for bandit, features, *seen in zip(self.bandits, self.features, arm, reward.astype(np.float64), strict=True):
            (bandit.partial_fit if day or self.warm else bandit.fit)(*seen, features[rows])


def _features(covariates: pl.DataFrame) -> FloatArray:
    numbers = covariates.select("hour", "recency", "value", "member").to_numpy().astype(np.float64)
    scaled = (numbers - [15.5, 30, 100, 0]) / [3.5, 30, 100, 1]
    # Of each factor the first level is the constant's.
    factors = [
        np.eye(len(levels))[covariates[name].to_physical()][:, 1:]
        for name, levels in (("segment", SEGMENTS), ("channel", CHANNELS))
    ]
    return np.column_stack([np.ones(len(scaled)), scaled, *factors])
