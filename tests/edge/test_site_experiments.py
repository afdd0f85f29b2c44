"""Experiments in site.toml: every rule with its sentence, and what an experiment tells of itself."""

# ruff: noqa: E501  (tables read better with one case per line)

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from edge_collector.site import Site, SiteError, load_site
from tests import hall
from tests.conftest import REPOSITORY

PLACES = hall.VENUE + hall.VENUE.replace('"hall"', '"yard"').replace('"Hall"', '"Yard"') + hall.FAIR
VISIT = {
    "id": "sign",
    "venue_id": "hall",
    "kind": "randomised",
    "unit": "visit",
    "arms": ["plain", "bold"],
    "kpi": "conversion",
    "minimum_effect": 0.02,
    "first_date": "2026-01-05",
    "last_date": "2026-01-18",
}
USER = VISIT | {"unit": "user"}
DAY = VISIT | {"unit": "venue_day", "kpi": "gmv"}
BANDIT = VISIT | {"kind": "bandit"}
EFFECTS = BANDIT | {
    "id": "learner",
    "target": "effect",
    "learn_from": "sign",
    "first_date": "2026-01-19",
    "last_date": "2026-01-31",
}
"""After VISIT, which it learns from."""
CHANGE = DAY | {"kind": "before_after", "changed_on": "2026-01-12"}
FAIR = {name: value for name, value in VISIT.items() if name != "venue_id"} | {"activity_id": "fair"}


def site_of(tmp_path: Path, *experiments: dict[str, Any]) -> Site:
    """A site with these experiments; None stands for what is not given."""
    entries = [
        # JSON values of these kinds are TOML values, too.
        "\n[[experiments]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in e.items() if v is not None)
        for e in experiments
    ]
    (tmp_path / "site.toml").write_text(PLACES + "".join(entries))
    return load_site(tmp_path / "site.toml")


def mistakes(tmp_path: Path, *experiments: dict[str, Any]) -> list[str]:
    with pytest.raises(SiteError) as refused:
        site_of(tmp_path, *experiments)
    return list(refused.value.mistakes)


GOOD: dict[str, dict[str, Any]] = {
    "randomised visits": VISIT,
    "switched days": DAY | {"fixed_shares": [0.4, 0.6]},
    "users": USER | {"reward_days": 7},
    "before and after": CHANGE,
    "after from the last date": CHANGE | {"changed_on": "2026-01-18"},
    "bandit of conversion": BANDIT | {"covariates": ["segment", "hour", "venue_id"], "refit_days": 7},
    "bandit of amounts": BANDIT | {"kpi": "amount", "reward_bound": 50, "minimum_effect": 2},
    "a test that keeps a bandit's settings": VISIT | {"exploration": 0.1, "floor": 0.1, "target": "effect"},
    "in an activity": FAIR,
    "one day": VISIT | {"first_date": "2026-01-05", "last_date": "2026-01-05"},
    "several KPIs": VISIT | {"kpi": ["amount", "conversion"], "minimum_effect": 2},
    "thirds": BANDIT | {"arms": ["a", "b", "c"], "fixed_shares": [1 / 3, 1 / 3, 1 / 3], "floor": 1 / 3},
    "no floor, no exploration": BANDIT | {"floor": 0, "exploration": 0},
    "all of the history": BANDIT | {"history_days": 90},
    "a test that keeps what a bandit learns from": VISIT | {"learn_from": "another"},
}

MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "id missing": (VISIT | {"id": None}, "id: missing; it is required"),
    "id no file name": (VISIT | {"id": "a/b"}, "id: 'a/b' is given; letters, digits, '_' and '.' are expected, because it is part of file names"),
    "id a folder above": (VISIT | {"id": ".."}, "id: '..' is given; a name that does not begin with '.' is expected, because it is a folder of allocations"),
    "no place": (VISIT | {"venue_id": None}, "activity_id: missing; exactly one of venue_id and activity_id is expected"),
    "two places": (VISIT | {"activity_id": "fair"}, "activity_id: 'fair' is given; exactly one of venue_id and activity_id is expected"),
    "venue unknown": (VISIT | {"venue_id": "hal"}, "venue_id: 'hal' is given; one of ['hall', 'yard'] is expected"),
    "activity unknown": (FAIR | {"activity_id": "fare"}, "activity_id: 'fare' is given; one of ['fair'] is expected"),
    "before the activity": (FAIR | {"first_date": "2026-01-04"}, "first_date: 2026-01-04 is given; a date of fair (2026-01-05 to 2026-01-20) is expected"),
    "after the activity": (FAIR | {"last_date": "2026-01-21"}, "last_date: 2026-01-21 is given; a date of fair (2026-01-05 to 2026-01-20) is expected"),
    "kind": (VISIT | {"kind": "ab"}, "kind: 'ab' is given; input should be 'randomised', 'bandit' or 'before_after'"),
    "unit": (VISIT | {"unit": "day"}, "unit: 'day' is given; input should be 'user', 'visit' or 'venue_day'"),
    "before and after of visits": (CHANGE | {"unit": "visit", "kpi": "conversion"}, 'unit: \'visit\' is given; "venue_day" is expected with kind = "before_after", because its arms go by the date'),
    "bandit of days": (BANDIT | {"unit": "venue_day", "kpi": "gmv", "reward_bound": 9}, 'unit: \'venue_day\' is given; "user" or "visit" is expected with kind = "bandit"; switch days with kind = "randomised"'),
    "one arm": (VISIT | {"arms": ["plain"]}, "arms: ['plain'] is given; two arms or more are expected, the control first"),
    "no arms": (VISIT | {"arms": None}, "arms: missing; it is required"),
    "arm twice": (VISIT | {"arms": ["a", "b", "a"]}, "arms: ['a', 'b', 'a'] is given; each of them only once is expected"),
    "arm without a name": (VISIT | {"arms": ["a", ""]}, "arms[1]: '' is given; string should have at least 1 character"),
    "three arms after each other": (CHANGE | {"arms": ["a", "b", "c"]}, "arms: ['a', 'b', 'c'] is given; two arms are expected with kind = \"before_after\": what was, and what came"),
    "KPI of another unit": (VISIT | {"kpi": "gmv"}, "kpi: 'gmv' is given; one or more of ['amount', 'conversion', 'dwell_seconds', 'orders'] are expected with unit = \"visit\""),
    "KPI of users": (VISIT | {"kpi": ["amount", "visits"]}, "kpi: ['amount', 'visits'] is given; one or more of ['amount', 'conversion', 'dwell_seconds', 'orders'] are expected with unit = \"visit\""),
    "KPI of visits": (DAY | {"kpi": "amount"}, "kpi: 'amount' is given; one or more of ['completed_orders', 'gmv', 'lov_mean_seconds', 'ocr', 'paying_users', 'pv', 'uv'] are expected with unit = \"venue_day\""),
    "no KPI": (VISIT | {"kpi": []}, "kpi: [] is given; one or more of ['amount', 'conversion', 'dwell_seconds', 'orders'] are expected with unit = \"visit\""),
    "KPI twice": (VISIT | {"kpi": ["amount", "amount"]}, "kpi: ['amount', 'amount'] is given; each of them only once is expected"),
    "KPI a number": (VISIT | {"kpi": 5}, "kpi: 5 is given; input should be a valid list"),
    "alpha 0": (VISIT | {"alpha": 0}, "alpha: 0 is given; input should be greater than 0"),
    "alpha in percent": (VISIT | {"alpha": 5}, "alpha: 5 is given; input should be less than 1"),
    "alpha a word": (VISIT | {"alpha": "0.05"}, "alpha: '0.05' is given; a number is expected"),
    "power 1": (VISIT | {"power": 1}, "power: 1 is given; input should be less than 1"),
    "power of chance": (VISIT | {"alpha": 0.8}, "power: 0.8 is given; more than alpha (0.8) is expected"),
    "no effect": (VISIT | {"minimum_effect": 0}, "minimum_effect: 0 is given; input should be greater than 0"),
    "effect missing": (VISIT | {"minimum_effect": None}, "minimum_effect: missing; it is required"),
    "effect in percent": (VISIT | {"minimum_effect": 2}, "minimum_effect: 2 is given; less than 1 is expected, because conversion is a fraction (0.02 is two points of a hundred)"),
    "effect beyond all": (VISIT | {"minimum_effect": 10**400}, "minimum_effect: 1" + "0" * 76 + "... is given; a number is expected"),
    "visits that mature": (VISIT | {"reward_days": 3}, "reward_days: 3 is given; 0 is expected with unit = \"visit\"; only the reward of a user takes days"),
    "days that mature": (DAY | {"reward_days": 3}, "reward_days: 3 is given; 0 is expected with unit = \"venue_day\"; only the reward of a user takes days"),
    "half a day": (USER | {"reward_days": 0.5}, "reward_days: 0.5 is given; a whole number is expected"),
    "days backwards": (USER | {"reward_days": -1}, "reward_days: -1 is given; input should be greater than or equal to 0"),
    "years of reward": (USER | {"reward_days": 366}, "reward_days: 366 is given; input should be less than or equal to 365"),
    "ends first": (VISIT | {"last_date": "2026-01-04"}, "last_date: '2026-01-04' is given; 2026-01-05 or later is expected"),
    "no date": (VISIT | {"first_date": "soon"}, "first_date: 'soon' is given; a date such as 2026-01-05 is expected"),
    "no change": (CHANGE | {"changed_on": None}, "changed_on: missing; a date after 2026-01-05 and not after 2026-01-18 is expected, the first one of the second arm"),
    "changed at once": (CHANGE | {"changed_on": "2026-01-05"}, "changed_on: '2026-01-05' is given; a date after 2026-01-05 and not after 2026-01-18 is expected, the first one of the second arm"),
    "changed too late": (CHANGE | {"changed_on": "2026-01-19"}, "changed_on: '2026-01-19' is given; a date after 2026-01-05 and not after 2026-01-18 is expected, the first one of the second arm"),
    "changed at random": (VISIT | {"changed_on": "2026-01-12"}, "changed_on: '2026-01-12' is given; it belongs to kind = \"before_after\" only"),
    "shares of some": (VISIT | {"fixed_shares": [1]}, "fixed_shares: [1] is given; 2 shares that add up to 1 are expected, one per arm"),
    "shares that do not add up": (VISIT | {"fixed_shares": [0.5, 0.6]}, "fixed_shares: [0.5, 0.6] is given; 2 shares that add up to 1 are expected, one per arm"),
    "nearly all": (VISIT | {"fixed_shares": [0.5, 0.49999999]}, "fixed_shares: [0.5, 0.49999999] is given; 2 shares that add up to 1 are expected, one per arm"),
    "share of nothing": (VISIT | {"fixed_shares": [0, 1]}, "fixed_shares[0]: 0 is given; input should be greater than 0"),
    "shares by date": (CHANGE | {"fixed_shares": [0.5, 0.5]}, "fixed_shares: [0.5, 0.5] is given; none are expected with kind = \"before_after\", because its arms go by the date"),
    "seed": (VISIT | {"seed": -1}, "seed: -1 is given; input should be greater than or equal to 0"),
    "seed true": (VISIT | {"seed": True}, "seed: True is given; a whole number is expected"),
    "covariate twice": (BANDIT | {"covariates": ["hour", "hour"]}, "covariates: ['hour', 'hour'] is given; each of them only once is expected"),
    "covariates of a day": (DAY | {"covariates": ["weekday"]}, "covariates: ['weekday'] is given; none are expected with unit = \"venue_day\", because a day is not one visitor"),
    "exploration": (BANDIT | {"exploration": -0.1}, "exploration: -0.1 is given; input should be greater than or equal to 0"),
    "floor below 0": (BANDIT | {"floor": -0.1}, "floor: -0.1 is given; input should be greater than or equal to 0"),
    "floors too high": (BANDIT | {"floor": 0.6}, "floor: 0.6 is given; at most 1/2 is expected, because each of 2 arms gets it"),
    "floors of many": (BANDIT | {"arms": [f"a{n}" for n in range(21)]}, "floor: 0.05 is given; at most 1/21 is expected, because each of 21 arms gets it"),
    "no bound": (BANDIT | {"kpi": "amount"}, "reward_bound: missing; a bandit needs the amount that counts as 1"),
    "a bound of conversion": (BANDIT | {"reward_bound": 5}, "reward_bound: 5 is given; none is expected with conversion, which is 0 or 1"),
    "bound 0": (BANDIT | {"kpi": "amount", "reward_bound": 0}, "reward_bound: 0 is given; input should be greater than 0"),
    "refit never": (BANDIT | {"refit_days": 0}, "refit_days: 0 is given; input should be greater than or equal to 1"),
    "target": (BANDIT | {"target": "uplift"}, "target: 'uplift' is given; input should be 'reward' or 'effect'"),
    "no history": (BANDIT | {"history_days": 0}, "history_days: 0 is given; input should be greater than or equal to 1"),
    "history of years": (BANDIT | {"history_days": 91}, "history_days: 91 is given; at most 90 is expected, because nothing older is read for the groups"),
    "levels of a test": (BANDIT | {"learn_from": "sign"}, "learn_from: 'sign' is given; it belongs to target = \"effect\" only"),
    "a test without a name": (BANDIT | {"target": "effect", "learn_from": ""}, "learn_from: '' is given; string should have at least 1 character"),
    "unknown": (VISIT | {"colour": "red"}, "colour: is not known here; remove it or correct its name"),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_experiments_that_are_right(tmp_path: Path, name: str) -> None:
    site = site_of(tmp_path, GOOD[name])
    assert site.venue_of(site.experiments[0]).id == "hall"


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_said(tmp_path: Path, name: str) -> None:
    experiment, says = MISTAKES[name]
    assert mistakes(tmp_path, experiment) == [f"experiments[0].{says}"]


def test_a_covariate_must_be_one_of_those_there_are(tmp_path: Path) -> None:
    (said,) = mistakes(tmp_path, BANDIT | {"covariates": ["hour", "shoe_size"]})
    assert said.startswith("experiments[0].covariates[1]: 'shoe_size' is given; input should be 'recency_days', ")
    assert said.endswith("'venue_id', 'weekday' or 'hour'")


def test_all_mistakes_of_an_experiment_are_said_at_once(tmp_path: Path) -> None:
    wrong = {"kind": "bandid", "arms": ["a"], "kpi": "gmv", "alpha": 5, "last_date": "2026-01-01", "floor": -1}
    found = mistakes(tmp_path, FAIR | {"activity_id": "x"}, VISIT | wrong | {"venue_id": "yard"})
    assert [m.partition(":")[0] for m in found] == [
        *(f"experiments[1].{field}" for field in ("kind", "arms", "kpi", "alpha", "last_date", "floor")),
        "experiments[0].activity_id",
    ]


def test_ids_are_unique(tmp_path: Path) -> None:
    later = VISIT | {"first_date": "2026-01-19", "last_date": "2026-01-20"}
    assert mistakes(tmp_path, VISIT, later) == [
        "experiments[1].id: 'sign' is given twice; ids are expected to be unique"
    ]


@pytest.mark.parametrize(
    ("other", "until"),
    [
        (VISIT | {"id": "b", "first_date": "2026-01-18", "last_date": "2026-01-30"}, "2026-01-18"),
        (FAIR | {"id": "b", "kind": "bandit"}, "2026-01-18"),
    ],
    ids=["on one date", "through an activity"],
)
def test_experiments_on_one_unit_do_not_overlap(tmp_path: Path, other: dict[str, Any], until: str) -> None:
    assert mistakes(tmp_path, VISIT, other) == [
        f"experiments[1]: overlaps experiments[0] (sign), which lasts to {until} with its rewards; "
        "one experiment at a time per venue and unit (visit) is expected"
    ]


def test_a_user_who_is_still_being_watched_enters_no_other_experiment(tmp_path: Path) -> None:
    next_one = {"id": "b", "last_date": "2026-02-10"}
    (said,) = mistakes(tmp_path, USER | {"reward_days": 7}, USER | next_one | {"first_date": "2026-01-25"})
    assert "which lasts to 2026-01-25 with its rewards" in said
    site_of(tmp_path, USER | {"reward_days": 7}, USER | next_one | {"first_date": "2026-01-26"})


@pytest.mark.parametrize(
    "other",
    [DAY, USER, CHANGE, VISIT | {"venue_id": "yard"}, VISIT | {"first_date": "2026-01-19", "last_date": "2026-01-20"}],
    ids=["switched days", "users", "before and after", "another venue", "the day after"],
)
def test_experiments_that_do_not_disturb_each_other(tmp_path: Path, other: dict[str, Any]) -> None:
    assert len(site_of(tmp_path, VISIT, other | {"id": "b"}).experiments) == 2


@pytest.mark.parametrize(
    ("teacher", "bandit"),
    [
        ({}, {}),
        ({"kind": "bandit"}, {}),
        ({"arms": ["bold", "plain"]}, {}),
        ({"kpi": ["amount", "conversion"], "minimum_effect": 2}, {}),
        ({"unit": "user", "reward_days": 3, "last_date": "2026-01-15"}, {"unit": "user", "reward_days": 3}),
        ({"venue_id": None, "activity_id": "fair"}, {}),
        ({}, {"first_date": "2026-01-28", "history_days": 10}),
    ],
    ids=["a test", "a bandit", "another control", "a later KPI", "users", "an activity there", "the last day of it"],
)
def test_a_bandit_learns_effects_from_an_earlier_test(
    tmp_path: Path, teacher: dict[str, Any], bandit: dict[str, Any]
) -> None:
    for entries in (VISIT | teacher, EFFECTS | bandit), (EFFECTS | bandit, VISIT | teacher):
        assert "sign" in [e.learn_from for e in site_of(tmp_path, *entries).experiments]


UNFIT: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "kind": (CHANGE, EFFECTS | {"kpi": "conversion"}, "kind is 'before_after'; one whose arms were given at random is expected"),
    "venue": (VISIT | {"venue_id": "yard"}, EFFECTS, "venue is 'yard'; 'hall' is expected"),
    "unit": (USER, EFFECTS, "unit is 'user'; 'visit' is expected"),
    "arms": (VISIT | {"arms": ["plain", "bold", "loud"]}, EFFECTS, "arms are ['plain', 'bold', 'loud']; ['plain', 'bold'] is expected"),
    "KPI": (VISIT | {"kpi": ["orders"]}, EFFECTS, "kpi is ['orders']; one with 'conversion' is expected"),
    "reward_days": (USER | {"reward_days": 2, "last_date": "2026-01-16"}, EFFECTS | {"unit": "user"}, "reward_days is 2; 0 is expected"),
    "too long ago": (VISIT, EFFECTS | {"first_date": "2026-01-29", "history_days": 10}, "last_date is 2026-01-18; one before 2026-01-29 and not before 2026-01-19 (history_days = 10) is expected"),
    "not over": (VISIT | {"first_date": "2026-02-01", "last_date": "2026-02-03"}, EFFECTS, "last_date is 2026-02-03; one before 2026-01-19 and not before 2025-10-21 (history_days = 90) is expected"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNFIT)
def test_an_experiment_that_a_bandit_cannot_learn_from_is_told(tmp_path: Path, what: str) -> None:
    teacher, bandit, says = UNFIT[what]
    said = mistakes(tmp_path, teacher, bandit)
    assert f"experiments[1].learn_from: 'sign' is given, whose {says}" in said
    assert len(said) == 1 or what == "kind", "its unit and its KPI are those of days, too"


def test_an_experiment_that_is_not_there_teaches_nothing(tmp_path: Path) -> None:
    assert mistakes(tmp_path, VISIT, EFFECTS | {"learn_from": "signs"}) == [
        "experiments[1].learn_from: 'signs' is given; one of ['sign'] is expected"
    ]


def test_nobody_is_told_that_a_test_is_not_there_which_has_another_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path, VISIT | {"alpha": 5}, EFFECTS) == [
        "experiments[0].alpha: 5 is given; input should be less than 1"
    ]


def test_no_bandit_learns_from_itself(tmp_path: Path) -> None:
    (said,) = mistakes(tmp_path, EFFECTS | {"id": "sign"})
    assert "whose last_date is 2026-01-31; one before 2026-01-19" in said


def test_a_site_without_experiments_has_none(tmp_path: Path) -> None:
    assert site_of(tmp_path).experiments == []


def test_defaults(tmp_path: Path) -> None:
    (e,) = site_of(tmp_path, VISIT).experiments
    assert (e.alpha, e.power, e.reward_days, e.covariates) == (0.05, 0.8, 0, [])
    assert (e.exploration, e.floor, e.seed, e.target, e.history_days) == (0.3, 0.05, 1, "reward", 90)
    assert e.learn_from is None
    assert (e.fixed_shares, e.reward_bound, e.refit_days, e.changed_on) == (None, None, None, None)
    assert (e.kpi, e.primary_kpi, e.shares) == (["conversion"], "conversion", (0.5, 0.5))


def test_dates_of_an_experiment_and_its_arms(tmp_path: Path) -> None:
    users, change = site_of(tmp_path, USER | {"reward_days": 7}, CHANGE | {"id": "b"}).experiments
    first, last = date(2026, 1, 5), date(2026, 1, 18)
    assert (users.matures_on, change.matures_on) == (date(2026, 1, 25), last)
    assert users.arm_dates(0) == users.arm_dates(1) == (first, last)
    assert (change.arm_dates(0), change.arm_dates(1)) == ((first, date(2026, 1, 11)), (date(2026, 1, 12), last))


def test_the_shipped_site_tests_at_one_venue_and_learns_at_the_other() -> None:
    site = load_site(REPOSITORY / "data" / "site.toml")
    assert {(e.kind, site.venue_of(e).id) for e in site.experiments} == {
        ("randomised", "riverside"),
        ("bandit", "harbour"),
    }
    for experiment in site.experiments:
        streams = {d.stream for d in site.devices if d.venue_id == site.venue_of(experiment).id}
        assert "assignments" in streams, "assignments from an unknown device would be quarantined"
