"""The numbers in a node, recomputed the slow way: from all permutations, from all cuts, from all pairs of groups."""

from __future__ import annotations

from itertools import combinations, permutations
from math import exp, log, log1p

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy import stats

from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree, Split, splits
from venue_assets.methods.conditional_inference_tree.chi_squared import bonferroni, log_survival

Matrix = NDArray[np.float64]


def over_all_permutations(g: Matrix, h: Matrix) -> float:
    """c = (T - μ) Σ⁺ (T - μ)ᵀ with μ and Σ from T of every order of h: g of shape (n, p), h of shape (n, q)."""
    found = np.array([(g.T @ h[list(order)]).ravel() for order in permutations(range(len(h)))])
    mean, covariance = found.mean(axis=0), np.atleast_2d(np.cov(found.T, bias=True))
    deviation = (g.T @ h).ravel() - mean
    return float(deviation @ np.linalg.pinv(covariance, rcond=1.5e-8, hermitian=True) @ deviation)


def indicators(values: list[str]) -> Matrix:
    return (np.array(values)[:, np.newaxis] == np.unique(values)).astype(float)


def column(values: list[float]) -> Matrix:
    return np.array(values, dtype=float)[:, np.newaxis]


NUMBERS, OTHERS = [0.3, 1.9, -2.0, 0.7, 5.1, 0.2, 0.9], [2.0, 2.5, 0.1, 1.0, 3.0, -1.0, 0.4]
LEVELS, CLASSES = ["a", "b", "a", "c", "b", "c", "b"], ["u", "v", "u", "w", "v", "u", "v"]
YES_NO = [True, False, True, True, False, False, True]


@pytest.mark.parametrize(
    ("x", "g", "df_of_x"),
    [
        pytest.param(pl.Series(NUMBERS), column(NUMBERS), 1, id="numeric"),
        pytest.param(pl.Series(YES_NO), column(YES_NO), 1, id="Boolean"),
        pytest.param(pl.Series(LEVELS), indicators(LEVELS), 2, id="factor"),
        pytest.param(
            pl.Series(LEVELS, dtype=pl.Enum(["b", "c", "a"])), column([2 if v == "a" else v == "c" for v in LEVELS]), 1,
            id="ordered",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("y", "h", "df_of_y"),
    [
        pytest.param(pl.Series(OTHERS), column(OTHERS), 1, id="continuous"),
        pytest.param(pl.Series(YES_NO[::-1]), column(YES_NO[::-1]), 1, id="binary"),
        pytest.param(pl.Series(CLASSES), indicators(CLASSES), 2, id="multi-class"),
    ],
)
def test_the_statistic_is_the_quadratic_form_over_all_permutations(
    x: pl.Series, g: Matrix, df_of_x: int, y: pl.Series, h: Matrix, df_of_y: int
) -> None:
    tree = ConditionalInferenceTree(minsplit=2, maxdepth=1, ordered=["x"] if isinstance(x.dtype, pl.Enum) else ())
    (test,) = tree.fit(pl.DataFrame({"x": x}), y).nodes[0].tests.values()
    assert test.statistic == pytest.approx(over_all_permutations(g, h), rel=1e-9)
    assert test.p_value == pytest.approx(stats.chi2.sf(test.statistic, df_of_x * df_of_y), rel=1e-9)


def test_rows_whose_covariate_is_missing_take_no_part_in_its_test() -> None:
    x = pl.Series([*NUMBERS, None, float("nan")])
    tree = ConditionalInferenceTree(minsplit=2).fit(pl.DataFrame({"x": x}), pl.Series([*OTHERS, 99.0, -50.0]))
    assert tree.nodes[0].tests["x"].statistic == pytest.approx(over_all_permutations(column(NUMBERS), column(OTHERS)))


def test_a_rare_class_in_a_rare_level_does_not_count_where_the_pseudo_inverse_drops_it() -> None:
    # One eigenvalue of the covariance lies below 1.5e-8 of the largest: one dimension less than (3 - 1) * (3 - 1).
    n = 60_000
    levels = ["rare"] + ["a"] * (n // 2) + ["b"] * (n // 2 - 1)
    classes = ["u", "v"] * (n // 2 - 1) + ["u", "w"]
    tree = ConditionalInferenceTree(maxdepth=1).fit(pl.DataFrame({"x": levels}), pl.Series(classes))
    g, h = indicators(levels), indicators(classes)
    g, h = g - g.mean(axis=0), h - h.mean(axis=0)
    covariance = np.kron(g.T @ g * n / (n - 1), h.T @ h / n)
    eigenvalues, axes = np.linalg.eigh(covariance)
    kept = eigenvalues > np.sqrt(np.finfo(float).eps) * eigenvalues.max()
    statistic = float((((g.T @ h).ravel() @ axes)[kept] ** 2 / eigenvalues[kept]).sum())
    assert kept.sum() == 3
    test = tree.nodes[0].tests["x"]
    assert test.statistic == pytest.approx(statistic, rel=1e-6, abs=1e-12)
    assert test.log_p_value == pytest.approx(stats.chi2.logsf(statistic, kept.sum()), rel=1e-6, abs=1e-12)


def standardised(first: NDArray[np.bool_], h: Matrix) -> float:
    """The statistic of a split: the quadratic form of its indicator, with h of shape (n, q)."""
    n, m = len(first), int(first.sum())
    deviation = (h[first] - h.mean(axis=0)).sum(axis=0)
    inverse = np.linalg.pinv(np.atleast_2d(np.cov(h.T, bias=True)), hermitian=True)
    return float(deviation @ inverse @ deviation) * (n - 1) / (m * (n - m))


def only_split(x: pl.Series, y: pl.Series, **settings: int) -> Split:
    tree = ConditionalInferenceTree(alpha=0.999, maxdepth=1, **settings).fit(pl.DataFrame({"x": x}), y)  # type: ignore[arg-type]
    split = tree.nodes[0].split
    assert split is not None
    return split


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("classes", [0, 4])
def test_the_cut_is_the_best_observed_value_that_leaves_minbucket_rows_on_both_sides(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.integers(0, 25, 60) / 4
    y = generator.integers(0, classes, 60).astype(str) if classes else generator.standard_normal(60) + x / 5
    h = indicators(list(y)) if classes else column(list(y))
    cuts = [cut for cut in np.unique(x) if 9 <= (x <= cut).sum() <= 51]
    best = max(cuts, key=lambda cut: standardised(x <= cut, h))
    assert only_split(pl.Series(x), pl.Series(y), minbucket=9).cut == best


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("classes", [0, 3])
def test_a_factor_of_few_levels_is_split_into_the_best_of_all_pairs_of_groups(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.choice(list("abcdefg"), 80)
    y = generator.integers(0, classes, 80).astype(str) if classes else generator.standard_normal(80)
    h = indicators(list(y)) if classes else column(list(y))
    groups = [g for size in range(1, 7) for g in combinations("abcdefg", size) if 12 <= np.isin(x, g).sum() <= 68]
    best = max(groups, key=lambda group: standardised(np.isin(x, group), h))
    split = only_split(pl.Series(x), pl.Series(y), minbucket=12)
    assert set(best) in (set(split.levels or ()), set(split.other_levels or ()))
    assert split.levels is not None
    assert split.levels[0] == "a", "the first level goes to the first child"


@pytest.mark.parametrize("seed", range(5))
def test_a_factor_of_many_levels_gets_the_same_split_for_a_number_as_from_all_pairs(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 13, 600)
    x, y = pl.Series(codes.astype(str)), pl.Series(generator.standard_normal(600) + np.cos(codes))
    along_means = only_split(x, y)
    monkeypatch.setattr(splits, "EXHAUSTIVE", 13)
    assert along_means == only_split(x, y)


def test_a_factor_of_many_levels_is_split_by_classes_that_lie_along_one_direction() -> None:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 40, 8000)
    upper = codes % 2 == 1
    classes = np.where(upper, generator.choice(["u", "v", "w"], 8000, p=[0.6, 0.2, 0.2]), "w")
    split = only_split(pl.Series(codes.astype(str)), pl.Series(classes))
    assert {int(str(level)) % 2 for level in split.levels or ()} == {0}
    assert {int(str(level)) % 2 for level in split.other_levels or ()} == {1}


def test_thousands_of_levels_are_no_obstacle() -> None:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 5000, 50_000)
    split = only_split(pl.Series(codes.astype(str)), pl.Series(generator.standard_normal(50_000) + codes % 3))
    assert len(split.levels or ()) + len(split.other_levels or ()) == len(np.unique(codes))


def test_with_bonferroni_p_counts_the_covariates_that_vary() -> None:
    generator = np.random.default_rng(0)
    X = pl.DataFrame({"a": generator.standard_normal(50), "b": generator.standard_normal(50), "constant": [1.0] * 50})
    y = pl.Series(generator.standard_normal(50))
    alone = ConditionalInferenceTree(testtype="univariate").fit(X, y).nodes[0].tests
    adjusted = ConditionalInferenceTree().fit(X, y).nodes[0].tests
    for name in ("a", "b"):
        assert adjusted[name].p_value == pytest.approx(1 - (1 - alone[name].p_value) ** 2)


def test_of_two_p_values_too_small_for_a_float_the_smaller_one_is_split() -> None:
    # The factor's statistic is larger, but it has 39 degrees of freedom.
    generator = np.random.default_rng(0)
    y = np.repeat([0.0, 1.0], 2000)
    number = y + 0.1 * generator.standard_normal(4000)
    factor = (20 * y + generator.integers(0, 20, 4000)).astype(int).astype(str)
    tree = ConditionalInferenceTree(maxdepth=1).fit(pl.DataFrame({"number": number, "factor": factor}), pl.Series(y))
    tests, split = tree.nodes[0].tests, tree.nodes[0].split
    assert tests["number"].p_value == tests["factor"].p_value == 0
    assert tests["factor"].statistic > tests["number"].statistic
    assert tests["number"].log_p_value < tests["factor"].log_p_value < -745
    assert split is not None
    assert split.column == "number"


def test_teststatistic_takes_the_largest_statistic_and_splits_above_one_minus_alpha() -> None:
    X, y = pl.DataFrame({"x": NUMBERS * 3, "z": LEVELS * 3}), pl.Series(OTHERS * 3)
    tests = ConditionalInferenceTree(testtype="teststatistic").fit(X, y).nodes[0].tests
    largest = max(test.statistic for test in tests.values())
    assert largest > 0.95
    tree = ConditionalInferenceTree(testtype="teststatistic", minbucket=1).fit(X, y)
    assert tree.nodes[0].split is not None
    assert tests[tree.nodes[0].split.column].statistic == largest
    weak, response = pl.DataFrame({"x": [0.0, 1.0] * 20}), pl.Series([0.0, 0.0, 1.0, 1.0] * 9 + [0.0, 1.0] * 2)
    statistic = ConditionalInferenceTree().fit(weak, response).nodes[0].tests["x"].statistic
    assert 0 < statistic < 0.95
    for alpha, nodes in ((1 - statistic * 1.01, 1), (1 - statistic * 0.99, 3)):
        tree = ConditionalInferenceTree(alpha=alpha, testtype="teststatistic", maxdepth=1).fit(weak, response)
        assert len(tree.nodes) == nodes


def test_when_the_best_covariate_leaves_too_few_rows_on_a_side_the_next_one_is_split() -> None:
    generator = np.random.default_rng(0)
    y = np.append(generator.standard_normal(200), [60.0] * 5)
    rare, other = np.append(np.zeros(200), np.ones(5)), np.append(generator.standard_normal(200), [3.0] * 5)
    tree = ConditionalInferenceTree(minbucket=7).fit(pl.DataFrame({"rare": rare, "other": other}), pl.Series(y))
    tests, split = tree.nodes[0].tests, tree.nodes[0].split
    assert tests["rare"].p_value < tests["other"].p_value < 0.05
    assert split is not None
    assert split.column == "other"


@pytest.mark.parametrize("statistic", [0.0, 1e-9, 1.0, 30.0, 1400.0, 5e4, 1e7])
def test_tail_probabilities_keep_their_logarithm(statistic: float) -> None:
    assert log_survival(statistic, 2) == pytest.approx(-statistic / 2, rel=1e-12)
    assert log_survival(statistic, 4) == pytest.approx(-statistic / 2 + log1p(statistic / 2), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("df", [1, 3, 10, 101])
def test_tail_probabilities_are_continuous_where_their_formula_changes(df: int) -> None:
    low, high = 0.0, 4000.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if stats.chi2.sf(middle, df) > 1e-290 else (low, middle)
    slope = log_survival(high + 1, df) - log_survival(high + 2, df)
    assert log_survival(low, df) - log_survival(high, df) == pytest.approx(slope * (high - low), abs=1e-8)


def test_the_adjustment_does_not_lose_small_p_values() -> None:
    assert bonferroni(log(1e-20), 10) == pytest.approx((1e-19, log(1e-19)))
    assert bonferroni(-2000.0, 10) == (0.0, -2000 + log(10))
    assert bonferroni(0.0, 10) == (1.0, 0.0)
    assert bonferroni(log(0.3), 4)[0] == pytest.approx(1 - 0.7**4)
    assert exp(bonferroni(log(0.3), 4)[1]) == pytest.approx(1 - 0.7**4)
