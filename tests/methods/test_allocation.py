"""The shares rule: equal to handing out one by one, quick for a million visits, and clear about what it refuses."""

from __future__ import annotations

from math import inf, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venue_assets.methods.ucb import KLUCB, UCB1, UCBV, allocate, forecast_visits


def one_by_one(n: list[int], mean: list[float], visits: int, exploration: float) -> list[int]:
    """The definition, in plain Python."""
    units, arms = list(n), range(len(n))
    # Added up by numpy as in `allocate`: among equal means the last bit of the leaf's decides who comes first.
    leaf = float(np.multiply(n, mean).sum()) / sum(n) if sum(n) else 0.5
    known = [m if k else leaf for k, m in zip(n, mean, strict=True)]
    for _ in range(visits):
        t = sum(units)
        index = [known[j] + exploration * sqrt(2 * log(t) / units[j]) if units[j] else inf for j in arms]
        units[index.index(max(index))] += 1
    return [after - before for after, before in zip(units, n, strict=True)]


@st.composite
def leaves(draw: st.DrawFn) -> tuple[list[int], list[float]]:
    """Arms that are alike, nearly alike or far apart, never seen or seen a lot."""
    arms = draw(st.integers(1, 7))
    n = draw(st.lists(st.integers(0, 10 ** draw(st.integers(0, 6))), min_size=arms, max_size=arms))
    digits = draw(st.integers(1, 4))
    mean = draw(st.lists(st.floats(0, 1).map(lambda m: round(m, digits)), min_size=arms, max_size=arms))
    return n, mean


explorations = st.sampled_from([0.0, 1e-9, 1e-4, 0.01, 0.1, 0.3, 1.0, 10.0])


@settings(deadline=None)
@given(leaves(), st.integers(1, 100), explorations)
def test_up_to_100_visits_are_handed_out_exactly_as_one_by_one(
    leaf: tuple[list[int], list[float]], visits: int, exploration: float
) -> None:
    found = allocate(*leaf, visits, index=UCB1(exploration))
    assert found.visits.tolist() == one_by_one(*leaf, visits, exploration)


@settings(max_examples=60, deadline=None)
@given(leaves(), st.integers(500, 10_000), explorations)
def test_up_to_10_000_visits_come_within_3_of_one_by_one(
    leaf: tuple[list[int], list[float]], visits: int, exploration: float
) -> None:
    found = allocate(*leaf, visits, index=UCB1(exploration)).visits
    assert found.sum() == visits
    assert np.abs(found - one_by_one(*leaf, visits, exploration)).max() <= 3


@pytest.mark.parametrize("index", [KLUCB(), UCBV()], ids=str)
def test_the_other_indices_come_within_3_of_one_by_one_as_well(index: KLUCB | UCBV) -> None:
    n, mean = np.array([[5, 0, 200, 40.0]]), np.array([[0.1, 0.5, 0.12, 0.05]])
    found = allocate(n[0], mean[0], 3000, index=index, variance=(mean * (1 - mean))[0]).visits
    mean[0, 1] = (n * mean).sum() / n.sum()
    spread = np.array([[0.09, 0, 0.12 * 0.88, 0.05 * 0.95]])
    spread[0, 1] = (n * (spread + (mean - mean[0, 1]) ** 2)).sum() / n.sum()
    units = n.copy()
    for _ in range(3000):
        units[0, index.value(mean, spread, units, units.sum(axis=1, keepdims=True)).argmax()] += 1
    assert np.abs(found - (units - n)[0]).max() <= 3


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(leaves(), st.integers(1, 700)), min_size=1, max_size=6))
def test_leaves_do_not_touch_each_other(given_: list[tuple[tuple[list[int], list[float]], int]]) -> None:
    arms = min(len(n) for (n, _), _ in given_)
    n = np.array([n[:arms] for (n, _), _ in given_])
    mean = np.array([m[:arms] for (_, m), _ in given_])
    visits = np.array([v for _, v in given_])
    together = allocate(n, mean, visits, floor=0.05)
    for row in range(len(n)):
        alone = allocate(n[row], mean[row], visits[row], floor=0.05)
        assert together.visits[row].tolist() == alone.visits.tolist()
        assert together.share[row].tolist() == alone.share.tolist()


@settings(deadline=None)
@given(leaves(), st.integers(1, 3000), st.floats(0, 1))
def test_shares_add_up_to_1_and_keep_the_floor(
    leaf: tuple[list[int], list[float]], visits: int, of_most: float
) -> None:
    floor = of_most / len(leaf[0])
    share = allocate(*leaf, visits, floor=floor).share
    assert share.sum() == pytest.approx(1)
    assert (share >= floor * (1 - 1e-12)).all()


def test_a_share_by_hand() -> None:
    """Two of three visits, K = 2, floor 0.1: 0.1 + 0.8 · 2/3."""
    found = allocate([10, 10], [0.5, 0.5], 3, floor=0.1)
    assert found.visits.tolist() == [2, 1]
    assert found.share.tolist() == pytest.approx([0.1 + 0.8 * 2 / 3, 0.1 + 0.8 / 3])
    assert found.index[0] == pytest.approx(0.5 + sqrt(2 * log(20) / 10))


def test_ties_go_to_the_first_arm() -> None:
    assert allocate([4, 4, 4], [0.2, 0.2, 0.2], 1).visits.tolist() == [1, 0, 0]
    assert allocate([4, 4, 4], [0.2, 0.2, 0.2], 2).visits.tolist() == [1, 1, 0]


def test_arms_never_seen_come_first_then_count_as_the_leaf_does() -> None:
    found = allocate([0, 90, 0], [np.nan, 0.2, np.nan], 2)
    assert found.visits.tolist() == [1, 0, 1]
    assert found.index[0] == inf
    assert allocate([0, 0, 0], [0, 0, 0], 2).visits.tolist() == [1, 1, 0], "as far as the visits reach"
    assert allocate([0, 0], [np.nan, np.nan], 1000).visits.tolist() == [500, 500], "both at 0.5"


def test_a_mean_may_be_a_rounding_error_above_1() -> None:
    assert allocate([3, 3], [1 + 1e-15, 0.5], 1).visits.tolist() == allocate([3, 3], [1, 0.5], 1).visits.tolist()


def test_without_exploration_the_best_mean_gets_all() -> None:
    assert allocate([3, 3, 3], [0.1, 0.3, 0.3], 1_000_000, index=UCB1(0)).visits.tolist() == [0, 1_000_000, 0]


@pytest.mark.parametrize(
    ("n", "mean", "visits", "floor", "sentence"),
    [
        ([1, 2], [0.5], 1, 0.0, r"expected \(leaves, arms\) twice"),
        ([], [], 1, 0.0, r"or \(arms,\) twice and one number"),
        ([[1, 2]], [[0.5, 0.5]], 1, 0.0, r"forecast \(\)"),
        ([1, -2], [0.5, 0.5], 1, 0.0, "whole numbers from 0 on"),
        ([1, 2.5], [0.5, 0.5], 1, 0.0, "Count each unit of an arm once"),
        ([1, 2], [0.5, 1.5], 1, 0.0, "bring rewards there first"),
        ([1, 2], [0.5, np.nan], 1, 0.0, "A mean reward lies outside"),
        ([1, 2], [0.5, 0.5], 0, 0.0, "use forecast_visits"),
        ([1, 2], [0.5, 0.5], 1, 0.6, "floor is 0.6 with 2 arms, expected a share from 0 to 1/2"),
        ([1, 2], [0.5, 0.5], 1, -0.1, "floor is -0.1"),
    ],
)
def test_what_is_refused(n: list[float], mean: list[float], visits: int, floor: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        allocate(n, mean, visits, floor=floor)


def test_a_variance_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"variance has shape \(1, 1\)"):
        allocate([1, 2], [0.5, 0.5], 1, index=UCBV(), variance=[0.1])


class TestForecast:
    """Visits to expect: same weekday of four weeks, else seven dates, else 1."""

    def test_the_mean_is_rounded_half_up(self) -> None:
        assert forecast_visits([[10, 11, 10, 11], [3, 3, 4, 4]], np.zeros((2, 7))).tolist() == [11, 4]
        assert forecast_visits([[2, 3, 2, 3]], [[0]]).tolist() == [3], "2.5, which numpy would round to even"

    def test_dates_before_the_experiment_do_not_count(self) -> None:
        assert forecast_visits([[np.nan, np.nan, 10, 20]], [[0]]).tolist() == [15]

    def test_a_date_without_units_counts_as_0(self) -> None:
        assert forecast_visits([[0, 0, 10, 20]], [[0]]).tolist() == [8]

    def test_else_the_last_seven_dates(self) -> None:
        assert forecast_visits([[np.nan] * 4], [[1, 2, 3, 4, 5, 6, 7]]).tolist() == [4]
        assert forecast_visits([[0] * 4], [[8, np.nan]]).tolist() == [8]

    def test_else_1_and_never_less(self) -> None:
        assert forecast_visits([[np.nan], [0.0], [0.25]], [[np.nan], [0.0], [0.0]]).tolist() == [1, 1, 1]
        assert forecast_visits(np.empty((2, 0)), np.empty((2, 0))).tolist() == [1, 1]

    def test_what_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"same_weekday has shape \(2,\)"):
            forecast_visits([1, 2], [[1], [2]])
        with pytest.raises(ValueError, match="same_weekday has 1 leaves and last_dates 2"):
            forecast_visits([[1]], [[1], [2]])
        with pytest.raises(ValueError, match="units from 0 on"):
            forecast_visits([[-1]], [[1]])
