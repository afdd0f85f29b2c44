"""Groups for bandits: what the trees find, what their leaves are called, and where a moment leads."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.methods.context_groups import SETTINGS, by_effect, by_level, leaves_by_moment, rules

ARMS = ("none", "tea", "half")


def people(n: int, seed: int) -> tuple[pl.DataFrame, np.random.Generator]:
    rng = np.random.default_rng(seed)
    table = pl.DataFrame(
        {
            "segment": rng.choice(["keep", "value", "visitor"], n),
            "visits": rng.integers(1, 40, n),
            "hour": rng.integers(9, 21, n),
        }
    )
    unknown = pl.Series(rng.random(n) < 0.1)
    return table.with_columns(
        pl.when(unknown).then(None).otherwise(pl.col(name)).alias(name) for name in ("segment", "visits")
    ), rng


def trial(
    n: int, seed: int, effect: dict[str, np.ndarray], adaptive: bool = False
) -> tuple[ConditionalInferenceTree, str | None]:
    """A tree of effects over units of a trial whose arms add `effect` to a reward that differs by segment."""
    X, rng = people(n, seed)
    level = np.where(X["segment"].fill_null("") == "value", 0.4, 0.2)
    # Shares that move with time, as a bandit's do.
    tea = np.where(np.arange(n) < n / 2, 0.2, 0.6) if adaptive else np.full(n, 1 / 3)
    shares = np.stack([(1 - tea) / 2, tea, (1 - tea) / 2], axis=1)
    arm = (rng.random(n)[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    rate = level + sum(np.where(arm == ARMS.index(name), added, 0) for name, added in effect.items())
    reward = (rng.random(n) < rate) * 1.0
    return by_effect(
        X,
        pl.Series(reward),
        pl.Series([ARMS[a] for a in arm]),
        pl.Series(shares[np.arange(n), arm]),
        ARMS,
    )


def test_groups_of_level_are_found_and_hold_enough_units() -> None:
    X, rng = people(3000, 1)
    y = pl.Series((rng.random(3000) < np.where(X["segment"].fill_null("") == "value", 0.4, 0.1)) * 1.0)
    tree = by_level(X, y)
    assert tree.nodes[0].split is not None
    assert tree.nodes[0].split.column == "segment"
    assert min(node.n for node in tree.nodes) >= SETTINGS["minbucket"]


def test_without_rows_there_is_one_leaf_for_everybody() -> None:
    X, _ = people(10, 1)
    tree = by_level(X.clear(), pl.Series([], dtype=pl.Float64))
    assert tree.apply(X).unique().to_list() == [1]
    assert rules(tree) == {1: "everybody"}


def test_groups_of_effect_follow_the_effect_and_not_the_level() -> None:
    """Level differs by segment for all arms; what half a price does differs by the hour."""
    X, _ = people(20_000, 3)
    tree, arm = trial(20_000, 3, {"half": np.where(X["hour"] <= 13, 0.15, -0.15)})
    assert arm == "half"
    assert rules(tree) == {2: "hour <= 13", 3: "hour > 13"}
    assert [node.prediction for node in tree.nodes[1:]] == pytest.approx([0.15, -0.15], abs=0.04)


@pytest.mark.parametrize("adaptive", [False, True])
def test_an_effect_that_is_the_same_for_all_makes_no_groups(adaptive: bool) -> None:
    """At most as often as alpha says, with shares that move, too: 0.05 of 200 is 10, of which 18 is 2.6 sigma more."""
    found = sum(len(trial(900, seed, {"half": np.full(900, 0.1)}, adaptive)[0].nodes) > 1 for seed in range(200))
    assert found <= 18


def test_without_units_of_two_arms_there_is_no_effect_to_compare() -> None:
    X, _ = people(200, 1)
    for arms in ([], ["none"] * 200, ["tea"] * 100 + ["half"] * 100):
        n = len(arms)
        arm = pl.Series(arms, dtype=pl.String)
        tree, of = by_effect(X.head(n), pl.Series([0.5] * n, dtype=pl.Float64), arm, pl.Series([0.5] * n), ARMS)
        assert (len(tree.nodes), of) == (1, None)


def a_tree() -> tuple[ConditionalInferenceTree, pl.DataFrame]:
    X, rng = people(8000, 5)
    valued = (X["segment"].fill_null("") == "value").to_numpy()
    often = X["visits"].fill_null(0).to_numpy() > 20
    early = X["hour"].to_numpy() <= 14
    rate = 0.1 + 0.3 * (valued & early) + 0.3 * (~valued & often & ~early) + 0.2 * (X["hour"].to_numpy() > 18)
    return by_level(X, pl.Series((rng.random(8000) < rate) * 1.0)), X


def test_rules_say_who_is_in_a_leaf() -> None:
    tree, X = a_tree()
    words = rules(tree, ["segment", "visits"])
    assert list(words) == [node.id for node in tree.nodes if node.split is None]
    assert len(words) > 5
    held = X.with_columns(leaf=tree.apply(X))
    for leaf, rule in words.items():
        # Words to SQL: unknown values count where the rule says so.
        terms = []
        for term in rule.split(" and "):
            condition, unknown, _ = term.partition(" (or unknown)")
            name = next(n for n in X.columns if n in condition.split())
            if " in " in condition:
                column, _, levels = condition.partition(" in ")
                condition = f"{column} IN ({', '.join(repr(level) for level in levels.split(', '))})"
            elif condition[0].isdigit():
                low, _, rest = condition.partition(" < ")
                condition = f"{low} < {name} AND {rest}"
            terms.append(f"(({condition}) OR {name} IS NULL)" if unknown else f"({condition})")
        found = pl.SQLContext(held=held).execute(
            f"SELECT count(*) AS n, min(leaf) AS low, max(leaf) AS high FROM held WHERE {' AND '.join(terms)}",
            eager=True,
        )
        assert found.row(0) == (held.filter(pl.col("leaf") == leaf).height, leaf, leaf), rule


def test_leaves_by_moment_are_those_that_some_moment_leads_to() -> None:
    tree, X = a_tree()
    users = X.head(500)
    found = leaves_by_moment(tree, users.drop("hour"), ["weekday", "hour"])
    every = [tree.apply(users.with_columns(hour=pl.lit(hour))).to_list() for hour in range(24)]
    assert found == [sorted(set(leaves)) for leaves in zip(*every, strict=True)]
    assert max(map(len, found)) > 1


def test_a_tree_that_asks_for_no_moment_has_one_leaf_per_user() -> None:
    X, rng = people(2000, 1)
    y = pl.Series((rng.random(2000) < np.where(X["segment"].fill_null("") == "value", 0.5, 0.1)) * 1.0)
    tree = by_level(X.drop("hour"), y)
    assert len(tree.nodes) > 1
    assert leaves_by_moment(tree, X, ["hour"]) == [[leaf] for leaf in tree.apply(X)]
