"""What holds for every tree, whatever it was grown on."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree, Node

KINDS = ("continuous", "binary", "multi-class")
SPARSE: dict[str, Any] = {"alpha": 0.3, "minsplit": 10, "minbucket": 4}
"""Settings under which trees on little data have some splits."""


def drawn(seed: int, kind: str, rows: int = 150) -> tuple[pl.DataFrame, pl.Series]:
    """Two continuous covariates, a factor and an ordered one, a response that depends on some of them; no ties."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((2, rows))
    factor, ordered = generator.integers(0, 5, rows), generator.integers(0, 4, rows)
    score = x[0] + 1.5 * np.isin(factor, (1, 4)) - (x[1] > 0.3) * ordered + generator.standard_normal(rows)
    y = {
        "continuous": pl.Series(score),
        "binary": pl.Series(score > 0.5),
        "multi-class": pl.Series(np.digitize(score, [-1, 1]).astype(str)),
    }[kind]
    X = pl.DataFrame({"x0": x[0], "x1": x[1], "f": factor.astype(str), "o": ordered.astype(str)})
    return X.with_columns(pl.col("o").cast(pl.Enum(["0", "1", "2", "3"]))), y


def tree(**changed: Any) -> ConditionalInferenceTree:
    return ConditionalInferenceTree(**{**SPARSE, "ordered": ["o"], **changed})


def unambiguous(kind: str) -> int | None:
    """The depth to which no two splits are equally good: in small groups, counts of classes often are the same."""
    return None if kind == "continuous" else 1


def groups(fitted: ConditionalInferenceTree, X: pl.DataFrame) -> set[frozenset[int]]:
    """Which rows share a leaf, whatever its id."""
    return {frozenset(rows) for rows in X.with_row_index().group_by(fitted.apply(X)).agg("index")["index"].to_list()}


def approximately(node: Node) -> list[tuple[str, Any, Any]]:
    return [
        (name, pytest.approx(test.statistic, rel=1e-8), pytest.approx(test.p_value, rel=1e-8))
        for name, test in sorted(node.tests.items())
    ]


def exactly(node: Node) -> list[tuple[str, float, float]]:
    return [(name, test.statistic, test.p_value) for name, test in sorted(node.tests.items())]


seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(KINDS)


@settings(deadline=None, max_examples=50)
@given(seeds, kinds, st.randoms(use_true_random=False))
def test_the_order_of_rows_is_nothing(seed: int, kind: str, random: Any) -> None:
    X, y = drawn(seed, kind)
    order = random.sample(range(len(y)), len(y))
    one, other = tree().fit(X, y), tree().fit(X[order], y.gather(order))
    assert [(node.n, node.split) for node in other.nodes] == [(node.n, node.split) for node in one.nodes]
    for left, right in zip(one.nodes, other.nodes, strict=True):
        assert exactly(left) == approximately(right)


@settings(deadline=None, max_examples=50)
@given(seeds, kinds, st.permutations(["x0", "x1", "f", "o"]))
def test_the_order_of_covariates_is_nothing(seed: int, kind: str, order: list[str]) -> None:
    X, y = drawn(seed, kind)
    one, other = (tree(maxdepth=unambiguous(kind)).fit(table, y) for table in (X, X.select(order)))
    for left, right in zip(one.nodes, other.nodes, strict=True):
        assert (left.n, left.split, left.prediction) == (right.n, right.split, right.prediction)
        assert exactly(left) == approximately(right)


@settings(deadline=None, max_examples=50)
@given(seeds, kinds, st.permutations(["p", "q", "r", "s", "t"]))
def test_the_names_of_levels_are_nothing(seed: int, kind: str, names: list[str]) -> None:
    X, y = drawn(seed, kind)
    renamed = X.with_columns(pl.col("f").replace_strict(dict(zip("01234", names, strict=True))))
    one, other = (tree(maxdepth=unambiguous(kind)).fit(table, y) for table in (X, renamed))
    assert groups(one, X) == groups(other, renamed)
    assert exactly(one.nodes[0]) == approximately(other.nodes[0])


@settings(deadline=None, max_examples=50)
@given(seeds, st.permutations(["p", "q", "r"]))
def test_the_names_of_classes_are_nothing(seed: int, names: list[str]) -> None:
    X, y = drawn(seed, "multi-class")
    new = dict(zip("012", names, strict=True))
    one, other = (tree(maxdepth=1).fit(X, response) for response in (y, y.replace_strict(new)))
    assert groups(one, X) == groups(other, X)
    assert exactly(one.nodes[0]) == approximately(other.nodes[0])


@settings(deadline=None, max_examples=50)
@given(seeds, kinds, st.floats(0.01, 100), st.floats(-1000, 1000))
def test_the_units_of_a_number_are_nothing(seed: int, kind: str, scale: float, shift: float) -> None:
    X, y = drawn(seed, kind)
    one, other = tree().fit(X, y), tree().fit(moved := X.with_columns(pl.col("x0") * scale + shift), y)
    assert groups(one, X) == groups(other, moved)


@settings(deadline=None, max_examples=50)
@given(seeds, kinds, st.integers(1, 30), st.floats(0, 0.4), st.integers(0, 4))
def test_sizes_depths_and_levels_of_significance_are_kept(
    seed: int, kind: str, minbucket: int, minprob: float, maxdepth: int
) -> None:
    X, y = drawn(seed, kind)
    grown = tree(minbucket=minbucket, minprob=minprob, maxdepth=maxdepth).fit(X, y)
    depth = {1: 0}
    for node in grown.nodes:
        if node.split is not None:
            assert node.n >= 10
            assert node.tests[node.split.column].p_value < 0.3
            for child in node.children:
                depth[child] = depth[node.id] + 1
                assert grown.nodes[child - 1].n >= max(minbucket, minprob * node.n)
    assert max(depth.values()) <= maxdepth


@settings(deadline=None, max_examples=50)
@given(seeds, kinds, st.booleans())
def test_training_rows_reach_the_leaves_that_they_made(seed: int, kind: str, majority: bool) -> None:
    X, y = drawn(seed, kind)
    generator = np.random.default_rng(seed)
    X = X.with_columns(pl.when(pl.Series(generator.random(len(y)) > 0.2)).then(pl.all()))
    grown = tree(seed=seed % 1000, majority=majority).fit(X, y)
    counted = grown.apply(X).value_counts()
    leaves = {node.id: node.n for node in grown.nodes if node.split is None}
    assert dict(counted.iter_rows()) == leaves


@settings(deadline=None, max_examples=50)
@given(seeds, kinds)
def test_a_leaf_predicts_the_mean_or_the_most_frequent_class_of_its_rows(seed: int, kind: str) -> None:
    X, y = drawn(seed, kind)
    grown = tree().fit(X, y)
    found = pl.DataFrame({"leaf": grown.apply(X), "y": y, "prediction": grown.predict(X)})
    for rows in found.partition_by("leaf"):
        (prediction,) = rows["prediction"].unique()
        if kind == "continuous":
            assert prediction == pytest.approx(rows["y"].mean())
        else:
            assert prediction in rows["y"].mode()


@settings(deadline=None, max_examples=50)
@given(seeds, kinds)
def test_a_tree_survives_being_written_down(seed: int, kind: str) -> None:
    X, y = drawn(seed, kind)
    grown = tree(seed=3).fit(X, y)
    written = json.dumps(grown.to_dict(), allow_nan=False, sort_keys=True)
    read = ConditionalInferenceTree.from_dict(json.loads(written))
    assert json.dumps(read.to_dict(), sort_keys=True) == written
    assert read.nodes == grown.nodes
    assert read.apply(X).equals(grown.apply(X))
    assert read.predict(X).equals(grown.predict(X))
    assert json.dumps(tree(seed=3).fit(X, y).to_dict(), sort_keys=True) == written


@pytest.mark.parametrize("with_missing", [False, True])
def test_under_independence_p_is_uniform(with_missing: bool) -> None:
    generator = np.random.default_rng(11)
    found = []
    for _ in range(2500):
        x = generator.exponential(size=200)
        if with_missing:
            x[generator.random(200) < 0.2] = np.nan
        y = generator.standard_normal(200)
        root = ConditionalInferenceTree(alpha=1e-9, testtype="univariate").fit(pl.DataFrame({"x": x}), pl.Series(y))
        found.append(root.nodes[0].tests["x"].p_value)
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_noise_is_split_no_more_often_than_alpha() -> None:
    generator = np.random.default_rng(5)
    trees = 1000
    split = 0
    for _ in range(trees):
        X = pl.DataFrame({f"x{i}": generator.standard_normal(100) for i in range(5)})
        X = X.with_columns(f=pl.Series(generator.integers(0, 4, 100).astype(str)))
        grown = ConditionalInferenceTree(maxdepth=1).fit(X, pl.Series(generator.random(100) < 0.3))
        split += len(grown.nodes) > 1
    assert stats.binomtest(split, trees, 0.05).pvalue > 0.01
