"""What a bandit's log says of its shares: for every unit, how probable each of the arms was.

The log has the propensity of the arm that a unit was given. The units of one date, allocation and leaf were drawn with
the same shares, so those given other arms tell the rest. Where an arm was never drawn, what is missing to 1 is its
share; several such arms have it in proportion to their fixed shares.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from itertools import count
from typing import Final

import numpy as np
import polars as pl

from venue_assets.methods.adaptive import BatchRewards
from venue_assets.tables.experiments.trial import FloatArray, IntArray, Trial

_TOLERANCE: Final = 1e-6
"""How far a sum may be from 1, and the share that is too small to weigh by: one unit would outweigh all others."""

Cell = tuple[date, str | None, int | None]
"""Date, allocation and leaf."""


@dataclass(frozen=True)
class Assigned:
    """The units of a bandit that can be weighed, in cells of equal shares.

    `cell` and `arm` have one entry per unit; `shares` has shape (cells, arms), and `place` says for each cell which
    batch (date) and which leaf of it it is. `left_out` are the arms of units of cells whose propensities do not add up.
    """

    cell: IntArray
    arm: IntArray
    reward: FloatArray
    shares: FloatArray
    place: list[tuple[int, int]]
    left_out: IntArray

    @classmethod
    def of(cls, units: pl.DataFrame, trial: Trial) -> Assigned:
        """From units of one KPI in a total order, columns as `trial.units` gives them."""
        keys: list[Cell] = units.select("assigned_on", "allocation_id", "leaf_id").rows()
        given: dict[Cell, dict[int, set[float]]] = defaultdict(lambda: defaultdict(set))
        for key, arm, propensity in zip(keys, units["arm_no"], units["propensity"], strict=True):
            given[key][arm].add(propensity)
        shares = {key: found for key, of_arm in given.items() if (found := _shares(of_arm, trial))}
        number = {key: n for n, key in enumerate(shares)}
        cells = np.array([number.get(key, -1) for key in keys], dtype=np.int64)
        arms = units["arm_no"].to_numpy().astype(np.int64)
        kept = cells >= 0
        return cls(
            cells[kept],
            arms[kept],
            units["reward"].to_numpy()[kept],
            np.array(list(shares.values()), dtype=np.float64).reshape(-1, len(trial.arms)),
            _places(list(shares)),
            arms[~kept],
        )

    @property
    def weights(self) -> FloatArray:
        """1 / propensity of each unit."""
        weights: FloatArray = 1 / self.shares[self.cell, self.arm]
        return weights

    @property
    def expected(self) -> FloatArray:
        """Units that each arm was meant to get: the sum of the shares that every unit was drawn with."""
        expected: FloatArray = self.shares[self.cell].sum(axis=0)
        return expected

    def batches(self) -> BatchRewards:
        """Summed up by batch, leaf and arm."""
        cells, arms = self.shares.shape
        where = self.cell * arms + self.arm
        shape = tuple(1 + max(of, default=0) for of in ([b for b, _ in self.place], [leaf for _, leaf in self.place]))
        sums = []
        for weights in (np.ones_like(self.reward), self.reward, self.reward**2):
            total = np.zeros((*shape, arms))
            for at, row in zip(self.place, np.bincount(where, weights, cells * arms).reshape(-1, arms), strict=True):
                total[at] = row
            sums.append(total)
        propensity = np.ones((*shape, arms))
        for at, row in zip(self.place, self.shares, strict=True):
            propensity[at] = row
        return BatchRewards(sums[0], sums[1], sums[2], propensity)


def _shares(given: dict[int, set[float]], trial: Trial) -> list[float] | None:
    """The shares of all arms, from the propensities that their units were logged with; None where they contradict."""
    if any(max(seen) - min(seen) > _TOLERANCE for seen in given.values()):
        return None
    shares = [min(given[arm]) if arm in given else None for arm in range(len(trial.arms))]
    rest = 1 - sum(share for share in shares if share is not None)
    fixed = [arm.fixed_share or 0.0 for arm in trial.arms]
    unseen = sum(share for share, seen in zip(fixed, shares, strict=True) if seen is None)
    if not unseen and abs(rest) > _TOLERANCE:
        return None
    filled = [rest * share / unseen if seen is None else seen for share, seen in zip(fixed, shares, strict=True)]
    return [share / sum(filled) for share in filled] if min(filled) > _TOLERANCE else None


def _places(cells: list[Cell]) -> list[tuple[int, int]]:
    """The batch and leaf of each cell. A leaf's second allocation of one date is a leaf of its own."""
    batches = {day: n for n, day in enumerate(sorted({day for day, _, _ in cells}))}
    seen: dict[tuple[date, int | None], count[int]] = defaultdict(count)
    leaves: dict[tuple[int | None, int], int] = {}
    return [(batches[day], leaves.setdefault((leaf, next(seen[day, leaf])), len(leaves))) for day, _, leaf in cells]
