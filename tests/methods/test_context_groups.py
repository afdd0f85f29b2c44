"""Groups for bandits: what the trees find, what their leaves are called, and where a moment leads."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_collector.allocation import Tree
from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.methods.context_groups import ALPHA, SETTINGS, by_effect, by_level, leaves_by_moment, rules

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


Trial = tuple[pl.DataFrame, pl.Series, pl.Series, pl.Series]
"""Covariates, rewards, arms and propensities."""


def trial(n: int, seed: int, effect: dict[str, np.ndarray], adaptive: bool = False) -> Trial:
    """Units of a trial whose arms add `effect` to a reward that differs by segment."""
    X, rng = people(n, seed)
    level = np.where(X["segment"].fill_null("") == "value", 0.4, 0.2)
    # Shares that move with time, as a bandit's do.
    tea = np.where(np.arange(n) < n / 2, 0.2, 0.6) if adaptive else np.full(n, 1 / 3)
    shares = np.stack([(1 - tea) / 2, tea, (1 - tea) / 2], axis=1)
    arm = (rng.random(n)[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    rate = level + sum(np.where(arm == ARMS.index(name), added, 0) for name, added in effect.items())
    reward = (rng.random(n) < rate) * 1.0
    return X, pl.Series(reward), pl.Series([ARMS[a] for a in arm]), pl.Series(shares[np.arange(n), arm])


def contrast(reward: pl.Series, arm: pl.Series, propensity: pl.Series, treated: str) -> pl.Series:
    """The definition, unit by unit, of one arm against the control."""
    mean = reward.mean()
    sign = {treated: 1, ARMS[0]: -1}
    rows = zip(reward, arm, propensity, strict=True)
    return pl.Series([(y - mean) * sign.get(a, 0) / e for y, a, e in rows], dtype=pl.Float64)


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
    tree = by_effect(*trial(20_000, 3, {"half": np.where(X["hour"] <= 13, 0.15, -0.15)}), ARMS)
    assert [node.response for node in tree.nodes] == ["half against none"] * 3
    assert rules(tree) == {2: "hour <= 13", 3: "hour > 13"}
    assert [node.prediction for node in tree.nodes[1:]] == pytest.approx([0.15, -0.15], abs=0.04)


def test_each_node_splits_by_the_arm_whose_effect_differs_there() -> None:
    """Half a price works in the morning only; tea in the evening, and only on those who come often."""
    X, _ = people(20_000, 5)
    early, often = (X["hour"] <= 13).to_numpy(), (X["visits"].fill_null(0) > 20).to_numpy()
    added = {"half": np.where(early, 0.2, -0.2), "tea": np.where(~early, np.where(often, 0.15, -0.15), 0)}
    tree = by_effect(*trial(20_000, 5, added), ARMS)
    assert rules(tree) == {2: "hour <= 13", 4: "hour > 13 and visits <= 20", 5: "hour > 13 and visits > 20"}
    half, tea = "half against none", "tea against none"
    assert [node.response for node in tree.nodes] == [half, half, tea, tea, tea]
    assert [tree.nodes[leaf - 1].prediction for leaf in (2, 4, 5)] == pytest.approx([0.2, -0.15, 0.15], abs=0.04)


@pytest.mark.parametrize("adaptive", [False, True])
def test_an_effect_that_is_the_same_for_all_makes_no_groups(adaptive: bool) -> None:
    """At most as often as alpha says, with shares that move, too: 0.05 of 200 is 10, of which 18 is 2.6 sigma more."""
    everywhere = {"half": np.full(900, 0.1)}
    found = sum(len(by_effect(*trial(900, seed, everywhere, adaptive), ARMS).nodes) > 1 for seed in range(200))
    assert found <= 18


def test_the_root_takes_the_clearest_of_the_contrasts_each_at_its_part_of_alpha() -> None:
    X, _ = people(6000, 7)
    added = {"tea": np.where(X["hour"] > 14, 0.1, 0), "half": np.where(X["visits"].fill_null(0) > 20, 0.2, 0)}
    units = trial(6000, 7, added)
    stumps = {
        arm: ConditionalInferenceTree(ALPHA / 2, **SETTINGS).fit(X, contrast(*units[1:], arm)).nodes[0]
        for arm in ARMS[1:]
    }
    smallest = {arm: min(test.log_p_value for test in root.tests.values()) for arm, root in stumps.items()}
    tree = by_effect(*units, ARMS)
    assert (
        tree.to_dict()["control"]
        == ConditionalInferenceTree(ALPHA / 2, **SETTINGS).fit(X, units[1]).to_dict()["control"]
    )
    assert min(smallest, key=lambda arm: smallest[arm]) == "half"
    root, clearest = tree.nodes[0], stumps["half"]
    assert (root.response, root.split, root.n) == ("half against none", clearest.split, 6000)
    assert root.prediction == pytest.approx(clearest.prediction)
    assert {name: test.log_p_value for name, test in root.tests.items()} == pytest.approx(
        {name: test.log_p_value for name, test in clearest.tests.items()}
    )


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 1500),
    seed=st.integers(0, 2**32 - 1),
    strength=st.floats(-0.3, 0.5),
    adaptive=st.booleans(),
    arms=st.permutations(ARMS),
)
def test_what_holds_of_every_tree_of_effects(
    n: int, seed: int, strength: float, adaptive: bool, arms: list[str]
) -> None:
    X, _ = people(n, seed)
    visits, hour = X["visits"].fill_null(0).to_numpy(), X["hour"].to_numpy()
    added = {"tea": np.where(visits > 20, strength, 0), "half": np.where(hour > 14, -strength, strength)}
    X, reward, arm, propensity = trial(n, seed, added, adaptive)
    tree = by_effect(X, reward, arm, propensity, arms)
    # It is a document like that of any other tree, also for a gateway.
    document = tree.to_dict()
    assert ConditionalInferenceTree.from_dict(document).to_dict() == document
    gateway = Tree.model_validate(document)
    assert [node.id for node in gateway.nodes] == list(range(1, len(tree.nodes) + 1))
    # Its leaves hold the units that it sends there, and not too few.
    leaf = tree.apply(X)
    assert dict(leaf.value_counts().iter_rows()) == {x.id: x.n for x in tree.nodes if not x.split}
    assert min(node.n for node in tree.nodes) >= min(n, SETTINGS["minbucket"])
    assert gateway.leaves_below[1] == set(rules(tree))
    depth = {1: 0}
    for node in tree.nodes:
        depth |= dict.fromkeys(node.children, depth[node.id] + 1)
        for child in node.children:
            # A leaf is about what sets it apart from its sibling.
            assert tree.nodes[child - 1].split or tree.nodes[child - 1].response == node.response
        if node.split:
            assert node.tests[node.split.column].p_value < ALPHA / 2
    assert max(depth.values()) <= SETTINGS["maxdepth"]
    # What it predicts is the effect among the units of the leaf, as Horvitz and Thompson estimate it.
    for node in tree.nodes:
        held = leaf == node.id
        if node.split or node.response is None or depth[node.id] == SETTINGS["maxdepth"]:
            continue
        treated, control = node.response.split(" against ")
        assert control == arms[0]
        if {treated, control} <= set(arm.filter(held)):
            y = reward.filter(held) - reward.filter(held).mean()
            sign = (arm.filter(held) == treated).cast(int) - (arm.filter(held) == control).cast(int)
            assert node.prediction == pytest.approx((y * sign / propensity.filter(held)).mean(), abs=1e-9)


def test_without_units_of_two_arms_there_is_no_effect_to_compare() -> None:
    X, _ = people(200, 1)
    for arms in ([], ["none"] * 200, ["tea"] * 100 + ["half"] * 100):
        n = len(arms)
        arm = pl.Series(arms, dtype=pl.String)
        tree = by_effect(X.head(n), pl.Series([0.5] * n, dtype=pl.Float64), arm, pl.Series([0.5] * n), ARMS)
        (node,) = tree.nodes
        assert (node.n, node.response) == (max(n, 1), None)
        assert ConditionalInferenceTree.from_dict(tree.to_dict()).nodes == tree.nodes


def test_where_an_arm_is_never_given_the_others_still_make_groups() -> None:
    """Half a price was not on offer in the morning: there is no such effect there, but that of tea."""
    X, rng = people(8000, 6)
    early, often = (X["hour"] <= 13).to_numpy(), (X["visits"].fill_null(0) > 20).to_numpy()
    shares = np.where(early[:, None], [0.5, 0.5, 0.0], [1 / 3] * 3)
    arm = (rng.random(8000)[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    rate = 0.3 + np.where(arm == 1, np.where(early & often, 0.3, 0), np.where((arm == 2) & ~early, 0.3, 0))
    reward, propensity = pl.Series((rng.random(8000) < rate) * 1.0), pl.Series(shares[np.arange(8000), arm])
    tree = by_effect(X, reward, pl.Series([ARMS[a] for a in arm]), propensity, ARMS)
    assert {"hour <= 13 and visits <= 20", "hour <= 13 and visits > 20"} <= set(rules(tree).values())


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
