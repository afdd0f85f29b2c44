"""What the arms of an experiment really do to visits: the truth that tests and bandits are to find out."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np

from venue_assets.simulate.venue_day import FloatArray

World = Literal["none", "one_best", "by_group"]
"""`none`: no arm does anything. `one_best`: the last arm is best for everybody. `by_group`: the last arm is best for
members, the one before it for strangers; of two arms that is the control."""
WORLDS: Final[tuple[World, ...]] = get_args(World)

GROUPS: Final = ("member", "stranger")
"""Members come back, so that features of visitors know most of them; strangers are never seen before or again."""
EFFECT: Final = 0.03
"""How much the best arm adds to the conversion of a visit, absolute; less than the least chance that a visit buys."""


def effects(world: World, arms: int) -> FloatArray:
    """What each arm (column, the control first) adds to the conversion of a visit of each group (row), absolute."""
    added = np.zeros((len(GROUPS), arms))
    if world == "one_best":
        added[:, -1] = EFFECT
    elif world == "by_group":
        added[range(len(GROUPS)), [arms - 1, arms - 2]] = EFFECT
    # The control is what the venue does anyway: of two arms, the other one is worse for strangers.
    return added - added[:, :1]
