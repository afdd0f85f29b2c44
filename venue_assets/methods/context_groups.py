"""Groups of units for a bandit: the trees that it asks for, and what their leaves mean.

Two targets. *Level*: units whose reward is similarly high, from units that were treated alike. *Effect*: units on whom
the arms have similar effects, from units of all arms with their propensities.

Effect. Of each unit with reward y, arm a and propensity e a node sees the propensity-weighted contrast of an arm k
against the control c

    z = (y - m)·(1[a = k]/e - 1[a = c]/e),          m = mean reward of the node's units

whose expectation, given the covariates x, is the effect of k on units like x: 1[a = k]/e has the expectation 1 whatever
the shares were (Horvitz & Thompson 1952; as outcome of a tree: Athey & Imbens, PNAS 113 (2016), "transformed outcome").
Units of other arms have z = 0 and stay: without them units with other shares would have other expectations. Taking m
off changes no expectation and much of the variance.

With more than two arms there are several contrasts, and the one that differs between units need not be the same
everywhere, so every node chooses anew. It tests each contrast against every covariate by the conditional inference
test (Hothorn, Hornik & Zeileis 2006), Bonferroni over the covariates, at alpha / (number of contrasts): Bonferroni over
both, so that units on whom every effect is the same are split with a probability of alpha at most. The contrast and
covariate with the smallest p-value make the split: groups matter where an effect differs between them, not where it is
largest on the whole. One joint test of all contrasts, which that paper has as well, would not say whose effect it is.

What is not here: what the leaves get (`ucb`), and how a tree is fitted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from math import inf
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree, Node, Split

ALPHA: Final = 0.05
SETTINGS: Final[dict[str, Any]] = {"minsplit": 100, "minbucket": 50, "maxdepth": 4, "majority": True}
"""At most 16 leaves of at least 50 units, so that a leaf has something to learn from. Missing values go with the
larger child, so that whoever meets the same unit again comes to the same leaf."""
EVERYBODY: Final = "everybody"


def by_level(X: pl.DataFrame, y: pl.Series) -> ConditionalInferenceTree:
    """Groups of similar reward `y`. Without rows a single leaf, which then claims one row."""
    if not X.height:
        X, y = X.clear(1), pl.Series("response", [0.0])
    return ConditionalInferenceTree(ALPHA, **SETTINGS).fit(X, y)


def by_effect(
    X: pl.DataFrame, reward: pl.Series, arm: pl.Series, propensity: pl.Series, arms: Sequence[str], alpha: float = ALPHA
) -> ConditionalInferenceTree:
    """Groups of similar effect of the `arms` against the first of them, the control; one row per unit.

    Each node says in `response` which contrast it is about, "tea against none": an inner node about that by which it
    is split, a leaf about that which sets it apart from its sibling. `prediction` is its mean, the effect. Without
    units of the control and another arm there is nothing to contrast: a single leaf without a response.
    """
    if not X.height:
        return by_level(X, reward)
    units = pl.DataFrame({"reward": reward, "arm": arm, "propensity": propensity})
    whole = ConditionalInferenceTree(alpha / (len(arms) - 1), **SETTINGS | {"maxdepth": 0}).fit(X, reward)
    nodes = _grown(X, units, arms, whole.control.alpha, whole.nodes[0], SETTINGS["maxdepth"])
    if nodes == whole.nodes:
        return whole
    document = whole.to_dict()
    document["control"]["maxdepth"] = SETTINGS["maxdepth"]
    return ConditionalInferenceTree.from_dict(document | {"nodes": [asdict(node) for node in nodes]})


def rules(tree: ConditionalInferenceTree, personal: Collection[str] = ()) -> dict[int, str]:
    """What each leaf holds, in words: `segment in keep, value and hour <= 14`.

    A covariate in `personal` may be unknown of a unit; "(or unknown)" then stands in the leaves to which that leads.
    """
    return {leaf: " and ".join(map(str, of)) or EVERYBODY for leaf, of in conditions(tree, personal).items()}


@dataclass(frozen=True)
class Condition:
    """What a leaf asks of one covariate: a number above `low` and at most `high`, or one of `levels`."""

    column: str
    low: float | None = None
    high: float | None = None
    levels: tuple[str, ...] = ()
    unknown: bool = False
    """Whether units of which it is not known are there, too."""

    def __str__(self) -> str:
        if self.levels:
            words = f"{self.column} in {', '.join(self.levels)}"
        else:
            words = f"{self.column} <= {self.high:g}" if self.high is not None else f"{self.column} > {self.low:g}"
            if self.low is not None and self.high is not None:
                words = f"{self.low:g} < {words}"
        return f"{words} (or unknown)" if self.unknown else words


def conditions(tree: ConditionalInferenceTree, personal: Collection[str] = ()) -> dict[int, tuple[Condition, ...]]:
    """What each leaf holds, a condition per covariate; none where all units are in one. `personal` as in `rules`."""
    return {
        leaf: tuple(
            _condition(column, [step for step in path if step[0].column == column], personal)
            for column in dict.fromkeys(split.column for split, _ in path)
        )
        for leaf, path in _paths(tree.nodes)
    }


def leaves_by_moment(tree: ConditionalInferenceTree, X: pl.DataFrame, moments: Collection[str]) -> list[list[int]]:
    """Per row of `X` the leaves that its unit can come to, ascending: several where the tree asks for a moment.

    `moments` are numeric covariates that X need not have, because they are not known yet.
    """
    splits = [node.split for node in tree.nodes if node.split]
    cuts = {name: sorted({_number(split.cut) for split in splits if split.column == name}) for name in moments}
    # Every value up to the next cut goes the same way, so the cuts and one value beyond stand for all.
    grid = product(*([*of, inf] for of in cuts.values()))
    found = [tree.apply(X.with_columns(**{n: pl.lit(v) for n, v in zip(cuts, at, strict=True)})) for at in grid]
    leaves: NDArray[np.int64] = np.stack([leaf.to_numpy() for leaf in found], axis=1)
    return [sorted(set(row)) for row in leaves.tolist()]


def _grown(
    X: pl.DataFrame, units: pl.DataFrame, arms: Sequence[str], alpha: float, node: Node, levels: int
) -> list[Node]:
    """`node`, whose rows these are, and all that grows below it in so many levels, in preorder."""
    stumps = _stumps(X, units, arms, alpha) if levels else {}
    clearest = min(stumps, key=lambda name: _evidence(stumps[name]), default=None)
    if clearest is None or not stumps[clearest].nodes[0].split:
        # A leaf stays with what sets it apart from its sibling, as its own units show it where they have both arms.
        own = node.response or clearest
        return [replace(stumps[own].nodes[0], id=node.id, response=own) if own in stumps else node]
    stump, side = stumps[clearest], stumps[clearest].apply(X)
    grown: list[Node] = []
    children: list[int] = []
    for child in stump.nodes[1:]:
        rows = side == child.id
        children.append(node.id + 1 + len(grown))
        child = replace(child, id=children[-1], response=clearest)
        grown += _grown(X.filter(rows), units.filter(rows), arms, alpha, child, levels - 1)
    return [replace(stump.nodes[0], id=node.id, children=tuple(children), response=clearest), *grown]


def _stumps(
    X: pl.DataFrame, units: pl.DataFrame, arms: Sequence[str], alpha: float
) -> dict[str, ConditionalInferenceTree]:
    """By the name of each contrast that these units have, a tree of one split, or none."""
    arm, (control, *others) = units["arm"], arms
    weighted = (units["reward"] - units["reward"].mean()) / units["propensity"]
    given, stump = set(arm.unique()), SETTINGS | {"maxdepth": 1}
    return {
        f"{k} against {control}": ConditionalInferenceTree(alpha, **stump).fit(
            X, weighted * ((arm == k).cast(pl.Float64) - (arm == control).cast(pl.Float64))
        )
        for k in others
        if {k, control} <= given
    }


def _evidence(stump: ConditionalInferenceTree) -> tuple[bool, float]:
    """What splits comes first, then the smallest p-value (its logarithm; 0 where nothing was tested)."""
    root = stump.nodes[0]
    return root.split is None, min((test.log_p_value for test in root.tests.values()), default=0.0)


_Path = list[tuple[Split, bool]]
"""The splits on the way to a node, and whether it went to the first child."""


def _paths(nodes: Sequence[Node]) -> list[tuple[int, _Path]]:
    found: list[tuple[int, _Path]] = []
    pending: list[tuple[Node, _Path]] = [(nodes[0], [])]
    while pending:
        node, path = pending.pop()
        if node.split is None:
            found.append((node.id, path))
            continue
        for child, first in zip(reversed(node.children), (False, True), strict=True):
            pending.append((nodes[child - 1], [*path, (node.split, first)]))
    return found


def _condition(column: str, steps: _Path, personal: Collection[str]) -> Condition:
    """All splits by one covariate as one condition: the narrowest bounds, or the levels that all of them let pass."""
    unknown = column in personal and all(first == split.first_is_larger for split, first in steps)
    if steps[0][0].cut is not None:
        low = max((_number(split.cut) for split, first in steps if not first), default=None)
        high = min((_number(split.cut) for split, first in steps if first), default=None)
        return Condition(column, low, high, unknown=unknown)
    # A later split knows only the levels that had come as far as to it.
    last, first = steps[-1]
    levels = (last.levels if first else last.other_levels) or ()
    return Condition(column, levels=tuple(map(str, levels)), unknown=unknown)


def _number(cut: float | str | None) -> float:
    """A cut of a numeric covariate; there are no ordered factors among the covariates."""
    assert cut is not None
    return float(cut)
