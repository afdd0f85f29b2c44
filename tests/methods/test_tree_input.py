"""What a tree takes, what it refuses, and how it says so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree, Split

ROWS = 200
SIDES = ["near", "far"] * (ROWS // 2)


def table(**columns: Any) -> pl.DataFrame:
    """`side` decides about the response, `number` does not."""
    return pl.DataFrame({"side": SIDES, "number": np.random.default_rng(0).standard_normal(ROWS), **columns})


def response() -> pl.Series:
    return pl.Series("y", np.where(np.array(SIDES) == "near", 5.0, 0.0) + np.arange(ROWS) % 7)


def fitted(**settings: Any) -> ConditionalInferenceTree:
    return ConditionalInferenceTree(maxdepth=1, **settings).fit(table(), response())


class TestSettings:
    @pytest.mark.parametrize(
        ("setting", "value", "expected"),
        [
            ("alpha", 0, "a number between 0 and 1"),
            ("alpha", 1.0, "a number between 0 and 1"),
            ("alpha", -0.1, "a number between 0 and 1"),
            ("alpha", float("nan"), "a number between 0 and 1"),
            ("alpha", "0.05", "a number between 0 and 1"),
            ("minsplit", 0, "a whole number of rows, at least 1"),
            ("minbucket", 2.5, "a whole number of rows, at least 1"),
            ("minprob", 1, r"a share in \[0, 1\)"),
            ("maxdepth", -1, "None or a whole number of levels below the root, at least 0"),
            ("testtype", "Bonferroni", "one of bonferroni, univariate, teststatistic"),
            ("testtype", "montecarlo", "one of bonferroni, univariate, teststatistic"),
            ("majority", 1, "True or False"),
            ("seed", -1, "None or a whole number, at least 0"),
        ],
    )
    def test_out_of_range_is_refused_by_name(self, setting: str, value: Any, expected: str) -> None:
        with pytest.raises(ValueError, match=f"^{setting} is .*; {expected} is expected$"):
            ConditionalInferenceTree(**{setting: value})

    def test_ordered_names_columns_of_x(self) -> None:
        with pytest.raises(ValueError, match=r"ordered names \['size'\], which X does not have.*'side', 'number'"):
            ConditionalInferenceTree(ordered=["size"]).fit(table(), response())

    def test_ordered_is_a_list_of_names(self) -> None:
        with pytest.raises(ValueError, match="ordered is 'side'; a list of column names is expected"):
            ConditionalInferenceTree(ordered="side").fit(table(), response())

    def test_ordered_columns_know_their_order(self) -> None:
        with pytest.raises(ValueError, match=r"'side', which is String: the order .* cast it to a pl\.Enum"):
            ConditionalInferenceTree(ordered=["side"]).fit(table(), response())


class TestTables:
    @pytest.mark.parametrize(
        ("X", "said"),
        [
            (pl.DataFrame({"x": []}, schema={"x": pl.Float64}), "X has 0 rows and 1 columns"),
            (pl.DataFrame(), "X has 0 rows and 0 columns"),
            (pl.DataFrame({"x": [1.0, 2.0]}), f"X has 2 rows, y has {ROWS}; one response per row"),
            ({"x": [1.0] * ROWS}, "X is given as dict; a polars DataFrame is expected"),
            (table(number=[float("inf")] + [1.0] * (ROWS - 1)), "'number' has infinite values"),
            (table(number=[-1e200] + [1.0] * (ROWS - 1)), "'number' has infinite values or some beyond"),
            (table(day=[date(2026, 1, 1)] * ROWS), "'day' is Date; a numeric, Boolean, .* a weekday"),
            (table(tags=[["a"]] * ROWS), "'tags' is List"),
        ],
    )
    def test_what_cannot_be_a_table_of_covariates_is_refused(self, X: Any, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            ConditionalInferenceTree().fit(X, response())

    @pytest.mark.parametrize(
        ("y", "said"),
        [
            (pl.Series([None] * 3 + [1.0] * (ROWS - 3)), "y has 3 missing values; leave those rows out"),
            (pl.Series([float("nan")] + [1.0] * (ROWS - 1)), "y has 1 missing values"),
            (pl.Series([None] + ["a", "b"] * 99 + ["a"]), "y has 1 missing values"),
            (pl.Series([float("inf")] + [1.0] * (ROWS - 1)), "y has infinite values"),
            (pl.Series([date(2026, 1, 1)] * ROWS), "y is Date; a numeric, Boolean, String"),
            ([1.0] * ROWS, "y is given as list; a polars Series is expected"),
        ],
    )
    def test_what_cannot_be_a_response_is_refused(self, y: Any, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            ConditionalInferenceTree().fit(table(), y)

    def test_fewer_rows_than_minsplit_are_one_leaf(self) -> None:
        (leaf,) = ConditionalInferenceTree(minsplit=201).fit(table(), response()).nodes
        assert (leaf.id, leaf.n, leaf.split, leaf.tests, leaf.children) == (1, ROWS, None, {}, ())
        assert len(ConditionalInferenceTree(minsplit=200, maxdepth=1).fit(table(), response()).nodes) == 3

    @pytest.mark.parametrize("y", [pl.Series([0.1] * ROWS), pl.Series([True] * ROWS), pl.Series(["a"] * ROWS)])
    def test_a_response_that_does_not_vary_is_one_leaf(self, y: pl.Series) -> None:
        (leaf,) = ConditionalInferenceTree().fit(table(), y).nodes
        assert leaf.tests == {}
        assert leaf.prediction == pytest.approx(y[0])
        assert leaf.distribution in (None, (0.0, 1.0), (1.0,))

    @pytest.mark.parametrize("constant", [0.1, True, "here", 10**15])
    def test_a_constant_covariate_has_statistic_0_and_p_1(self, constant: Any) -> None:
        grown = ConditionalInferenceTree(maxdepth=1).fit(table(constant=[constant] * ROWS), response())
        test = grown.nodes[0].tests["constant"]
        assert (test.statistic, test.p_value, test.log_p_value) == (0, 1, 0)
        assert grown.nodes[0].split is not None
        assert grown.nodes[0].split.column == "side"

    def test_constant_covariates_alone_are_one_leaf(self) -> None:
        assert len(ConditionalInferenceTree().fit(pl.DataFrame({"x": [1.0] * ROWS}), response()).nodes) == 1

    @pytest.mark.parametrize("dtype", [pl.Float64, pl.Int8, pl.Boolean, pl.String, pl.Enum(["a", "b"]), pl.Null])
    def test_a_covariate_without_any_value_has_no_test(self, dtype: Any) -> None:
        empty = pl.Series([None] * ROWS, dtype=dtype)
        grown = ConditionalInferenceTree().fit(table(empty=empty), response())
        assert set(grown.nodes[0].tests) == {"side", "number"}
        assert len(grown.apply(table(empty=empty))) == ROWS

    @pytest.mark.parametrize(
        "side",
        [
            pl.Series(SIDES).cast(pl.Categorical),
            pl.Series(SIDES).cast(pl.Enum(["far", "middle", "near"])),
            pl.Series([side == "near" for side in SIDES]),
            pl.Series([int(side == "near") for side in SIDES], dtype=pl.UInt8),
            pl.Series([Decimal(int(side == "near")) for side in SIDES]),
        ],
    )
    def test_two_groups_are_two_groups_in_every_type(self, side: pl.Series) -> None:
        grown = ConditionalInferenceTree(maxdepth=1).fit(table(side=side), response())
        assert grown.nodes[0].tests["side"].statistic == pytest.approx(fitted().nodes[0].tests["side"].statistic)
        assert grown.apply(table(side=side)).to_list() == [3 if name == "near" else 2 for name in SIDES]

    def test_tiny_and_huge_numbers_are_tested_like_others(self) -> None:
        expected = fitted().nodes[0].tests["number"].statistic
        for scale in (1e-100, 1e100):
            X = table().with_columns(pl.col("number") * scale)
            for y in (response(), response() * scale):
                found = ConditionalInferenceTree(maxdepth=1).fit(X, y).nodes[0].tests["number"].statistic
                assert found == pytest.approx(expected)


class TestMissingValues:
    """Of the values of `side` that are known, 90 of 150 are near, so that far, the first in order, is the smaller."""

    known = pl.Series([*["far"] * 60, *["near"] * 90, *[None] * 50])
    y = pl.Series([*[0.0] * 60, *[5.0] * 90, *[2.5] * 50]) + pl.Series(np.arange(ROWS) % 7)

    def fit(self, **settings: Any) -> ConditionalInferenceTree:
        grown = ConditionalInferenceTree(maxdepth=1, **settings).fit(pl.DataFrame({"side": self.known}), self.y)
        assert grown.nodes[0].split == Split("side", None, ("far",), ("near",), 0.4)
        return grown

    def test_with_majority_they_go_to_the_larger_child(self) -> None:
        assert [node.n for node in self.fit(majority=True).nodes] == [200, 60, 140]

    def test_without_it_they_go_to_either_in_proportion(self) -> None:
        first = [self.fit(seed=seed).nodes[1].n - 60 for seed in range(40)]
        assert len(set(first)) > 5
        assert np.mean(first) == pytest.approx(0.4 * 50, abs=2)

    def test_a_seed_makes_chance_repeatable(self) -> None:
        X = pl.DataFrame({"side": self.known})
        assert self.fit(seed=1).apply(X).equals(self.fit(seed=1).apply(X))

    def test_nan_is_missing(self) -> None:
        number = self.known.replace_strict({"far": 1.0, "near": 2.0})
        trees = [
            ConditionalInferenceTree(majority=True).fit(pl.DataFrame({"x": x}), self.y)
            for x in (number, number.fill_null(float("nan")))
        ]
        assert trees[0].to_dict() == trees[1].to_dict()


class TestNewRows:
    def test_a_missing_column_is_named(self) -> None:
        for method in (fitted().predict, fitted().apply):
            with pytest.raises(ValueError, match=r"X lacks the columns \['number'\]; .* \['side', 'number'\]"):
                method(table().drop("number"))

    def test_a_column_of_another_kind_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'side' is Int64, but was factor when the tree was fitted"):
            fitted().predict(table(side=[1] * ROWS))

    def test_other_columns_and_another_order_are_nothing(self) -> None:
        X = table(more=[date(2026, 1, 1)] * ROWS)
        assert fitted().apply(X.select("more", "number", "side")).equals(fitted().apply(table()))

    @pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["new", "near", "far"])])
    def test_a_level_never_seen_goes_to_the_larger_child(self, dtype: Any) -> None:
        X = pl.DataFrame({"side": ["far"] * 60 + ["near"] * 90})
        grown = ConditionalInferenceTree().fit(X, TestMissingValues.y[:150])
        new = pl.DataFrame({"side": pl.Series(["near", "new", "far", "new"], dtype=dtype)})
        assert grown.apply(new).to_list() == [3, 3, 2, 3]

    def test_a_level_not_seen_in_the_node_goes_to_its_larger_child(self) -> None:
        # Among the old, only a and b occur; the young are split no further.
        young = pl.DataFrame({"age": [1.0] * 100, "group": ["c"] * 100})
        old = pl.DataFrame({"age": [9.0] * 100, "group": ["a"] * 30 + ["b"] * 70})
        noise = np.arange(200) % 7 / 7
        y = pl.Series(np.repeat([0.0, 50.0, 60.0], [100, 30, 70]) + noise)
        grown = ConditionalInferenceTree(alpha=1e-9).fit(pl.concat([young, old]), y)
        assert grown.nodes[2].split == Split("group", None, ("a",), ("b",), 0.3)
        assert grown.apply(pl.DataFrame({"age": [9.0], "group": ["c"]})).to_list() == [5]

    def test_an_ordered_level_never_seen_goes_to_the_larger_child(self) -> None:
        sizes = pl.Enum(["s", "m", "l"])
        X = pl.DataFrame({"size": pl.Series(["s"] * 90 + ["m"] * 30 + ["l"] * 30, dtype=sizes)})
        y = pl.Series(np.repeat([0.0, 9.0, 9.0], [90, 30, 30]) + np.arange(150) % 7)
        grown = ConditionalInferenceTree(ordered=["size"]).fit(X, y)
        assert grown.nodes[0].split == Split("size", "s", None, None, 0.6)
        assert grown.apply(pl.DataFrame({"size": ["l", "s", "xl", "m"]})).to_list() == [3, 2, 2, 3]

    def test_infinities_go_where_they_lie(self) -> None:
        X = pl.DataFrame({"x": np.arange(100.0)})
        grown = ConditionalInferenceTree(maxdepth=1).fit(X, pl.Series(np.arange(100) > 40))
        assert grown.nodes[0].split == Split("x", 40.0, None, None, 0.41)
        assert grown.predict(pl.DataFrame({"x": [-np.inf, 40.0, 40.5, np.inf]})).to_list() == [False, False, True, True]

    def test_no_rows_have_no_leaves(self) -> None:
        assert fitted().apply(table().head(0)).to_list() == []
        assert fitted().predict(table().head(0)).to_list() == []

    def test_a_tree_that_was_not_fitted_says_so(self) -> None:
        for use in (lambda tree: tree.nodes, lambda tree: tree.apply(table()), lambda tree: tree.to_dict()):
            with pytest.raises(ValueError, match="not been fitted; call fit"):
                use(ConditionalInferenceTree())


class TestClasses:
    def test_shares_are_those_of_the_classes_in_order(self) -> None:
        y = pl.Series(["b"] * 20 + ["a"] * 60 + ["c"] * 120)
        grown = ConditionalInferenceTree(maxdepth=0).fit(table(), y)
        assert grown.classes == ("a", "b", "c")
        assert grown.nodes[0].distribution == pytest.approx((0.3, 0.1, 0.6))
        assert grown.nodes[0].prediction == "c"

    def test_of_equally_frequent_classes_the_first_is_predicted(self) -> None:
        y = pl.Series(["no", "yes"] * 100, dtype=pl.Enum(["yes", "no"]))
        assert ConditionalInferenceTree(maxdepth=0).fit(table(), y).nodes[0].prediction == "yes"

    def test_a_boolean_response_predicts_booleans(self) -> None:
        y = pl.Series([side == "near" for side in SIDES])
        assert ConditionalInferenceTree().fit(table(), y).predict(table()).equals(y.rename("prediction"))


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


class TestDocuments:
    """A document that somebody changed is refused, with the place."""

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda document: document.clear(), "schema: Field required"),
            (lambda document: document.pop("nodes"), "nodes: Field required"),
            (put("schema", value=2), "schema: Input should be 1, but '2' is given"),
            (put("more", value=1), "keys that a tree does not have"),
            (put("nodes", 0, "more", value=1), "keys that a tree does not have"),
            (put("control", "alpha", value=2.0), "alpha is 2.0"),
            (put("control", "testtype", value="other"), "control.testtype"),
            (put("nodes", value=[]), r"nodes \[1\] are missing"),
            (put("nodes", 1, "id", value=3), "node 3 stands where preorder has another"),
            (put("nodes", 0, "id", value="1"), "nodes.0.id"),
            (put("nodes", 0, "children", value=[]), "node 1 has 0 children"),
            (put("nodes", 0, "children", value=[2, 9]), "node 1 has no such children"),
            (put("nodes", 0, "children", value=[3, 2]), "node 1's first child is not the next"),
            (put("nodes", 1, "n", value=99), "node 1 has 200 rows, its children together another number"),
            (put("nodes", 0, "prediction", value="a"), "node 1 predicts 'a'"),
            (put("nodes", 0, "prediction", value=float("nan")), "not JSON compliant"),
            (put("nodes", 0, "tests", value={"other": {"statistic": 1, "p_value": 1, "log_p_value": 0}}), "'other'"),
            (put("nodes", 0, "tests", "side", "p_value", value=1.5), "node 1's test of 'side'"),
            (put("nodes", 0, "split", "column", value="other"), "node 1 splits 'other', which is no column"),
            (put("nodes", 0, "split", "column", value="number"), r"node 1 cannot split 'number' \(numeric\)"),
            (put("nodes", 0, "split", "levels", value=["middle"]), r"node 1 cannot split 'side' \(factor\)"),
            (put("nodes", 0, "split", "levels", value=["near"]), r"node 1 cannot split 'side' \(factor\)"),
            (put("nodes", 0, "split", "levels", value=None), r"node 1 cannot split 'side' \(factor\)"),
            (put("nodes", 0, "split", "cut", value=1.0), r"node 1 cannot split 'side' \(factor\)"),
            (put("nodes", 0, "split", "first_share", value=1.5), "a share of 1.5"),
            (put("columns", 0, "levels", value=["near", "near"]), "column 'side' has levels"),
            (put("columns", 0, "levels", value=[True, False]), "column 'side' has levels"),
            (put("columns", 0, "name", value="number"), "columns are named"),
            (put("columns", 0, "kind", value="date"), "columns.0.kind"),
        ],
    )
    def test_is_refused(self, change: Callable[[dict[str, Any]], None], said: str) -> None:
        document = copy.deepcopy(fitted().to_dict())
        change(document)
        with pytest.raises(ValueError, match=f"this is no tree as to_dict makes it: .*{said}.* Hand over"):
            ConditionalInferenceTree.from_dict(document)

    def test_something_else_is_refused(self) -> None:
        for given in ({}, [], None, {"schema": object()}):
            with pytest.raises(ValueError, match="this is no tree as to_dict makes it"):
                ConditionalInferenceTree.from_dict(given)  # type: ignore[arg-type]
