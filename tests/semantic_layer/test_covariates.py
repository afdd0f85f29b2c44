"""What trees ask of a unit is said in words, in every language, and never by the name of a column."""

from __future__ import annotations

import re
from typing import get_args

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_collector.experiment import MomentCovariate, VisitorCovariate
from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.methods.context_groups import Condition, conditions, rules
from venue_assets.semantic_layer.covariates import between, label, level, rule
from venue_assets.semantic_layer.metrics import LANGUAGES, Language, registry

COVARIATES = (*get_args(VisitorCovariate), *get_args(MomentCovariate))
NODE = 18
"""Letters of a node's name that fit into its box; a Chinese one is as wide as two."""


def test_every_covariate_that_an_experiment_may_name_has_a_label_that_fits_a_node() -> None:
    assert set(registry().covariates) == set(COVARIATES)
    for column in COVARIATES:
        assert "_" not in label(column, "en")
        assert len(label(column, "en")) <= NODE
        assert re.fullmatch("[\u4e00-\u9fff]+", label(column, "zh"))
        assert 2 * len(label(column, "zh")) <= NODE


@pytest.mark.parametrize(
    ("column", "low", "high", "en", "zh"),
    [
        ("hour", None, 12, "until 12:59", "12:59 及以前"),
        ("hour", 9, None, "from 10:00", "10:00 起"),
        ("usual_hour", 9, 14, "10:00 to 14:59", "10:00 至 14:59"),
        ("weekday", None, 5, "Mon to Fri", "周一至周五"),
        ("weekday", 5, None, "Sat to Sun", "周六至周日"),
        ("usual_weekday", 6, None, "Sun", "周日"),
        ("frequency", None, 2, "at most 2", "不超过 2"),
        ("visits", 2, 5, "more than 2 and at most 5", "超过 2 且不超过 5"),
        ("mean_dwell_seconds", 1230, None, "more than 20.5 min", "超过 20.5 分钟"),
        ("value", None, 1234.5, "at most 1,234.50", "不超过 1,234.50"),
    ],
)
def test_bounds_are_hours_weekdays_minutes_and_money(
    column: str, low: float | None, high: float | None, en: str, zh: str
) -> None:
    assert (between(column, low, high, "en"), between(column, low, high, "zh")) == (en, zh)


def test_a_rule_reads_as_part_of_a_sentence() -> None:
    of = (
        Condition("segment", levels=("general_keep", "new"), unknown=True),
        Condition("hour", low=9, high=14),
        Condition("frequency", high=2),
    )
    assert rule(of, "en") == (
        "segment General keep or New (or unknown) and hour of the visit 10:00 to 14:59 and completed orders at most 2"
    )
    assert rule(of, "zh") == "分群为一般保持或新访客（或未知），且到访时段为 10:00 至 14:59，且成交订单数不超过 2"
    assert (rule((), "en"), rule((), "zh")) == ("everybody", "所有访客")


def test_what_has_no_other_name_keeps_its_own() -> None:
    assert label("shoe_size", "en") == "shoe_size"
    assert level("category", "salt and pepper", "zh") == "salt and pepper"
    assert level("segment", "of_somebody_else", "en") == "of_somebody_else"


@given(st.sampled_from(COVARIATES), st.integers(1, 6), st.sampled_from(LANGUAGES))
def test_the_two_sides_of_a_cut_are_never_called_the_same(column: str, cut: int, language: Language) -> None:
    assert between(column, None, cut, language) != between(column, cut, None, language)


def test_every_leaf_of_a_tree_has_a_rule_and_the_same_in_words() -> None:
    n = 800
    frame = pl.DataFrame({"segment": ["new", "general_keep"] * (n // 2), "hour": [9 + i // 2 % 8 for i in range(n)]})
    response = pl.Series([float(i % 2 == 0) + float(i // 2 % 8 < 4) * (i % 2) for i in range(n)])
    tree = ConditionalInferenceTree(maxdepth=2).fit(frame, response)
    written, told = rules(tree), conditions(tree)
    assert len(written) == len(told) > 2
    for leaf, of in told.items():
        assert written[leaf] == " and ".join(map(str, of))
        assert "general_keep" not in rule(of, "en")
        assert not {"<", ">", "_"} & set(rule(of, "en") + rule(of, "zh"))
