"""Verdicts: given once, repeated from the same units, and each with its sentence."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import compute, rows
from tests.experiments.lab import DAY, FIRST, TEST, judge, make_home, put, put_days, unit, verdict
from tests.experiments.test_gates import BANDIT, BASELINE, arm_units, both, drawn
from venue_assets.home import Home
from venue_assets.lake.freshness import Freshness
from venue_assets.lake.landing_index import scan
from venue_assets.methods.adaptive import BatchRewards, adaptive_effect
from venue_assets.methods.cuped import cuped
from venue_assets.methods.effect import Effect
from venue_assets.methods.matched_weekdays import matched_weekdays
from venue_assets.methods.two_sample import Sample, difference_of_means, difference_of_proportions
from venue_assets.tables.catalogue import catalogue

DAYS = [FIRST + n * DAY for n in range(10)]
EFFECT = ("control_mean", "arm_mean", "effect", "level", "low", "high", "p_value", "significant", "method")


def verdicts(home: Home, day: date) -> dict[tuple[str, str], dict[str, Any]]:
    return {(str(r["arm"]), str(r["kpi"])): dict(r) for r in rows(home, "experiment_verdicts", day)}


def test_one_analysis(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST)
    days = {day: both(day, (60, 60), (12, 30)) for day in DAYS}
    put_days(home, days, BASELINE)
    judge(home, *DAYS)
    # 354 units per arm, 60 a day: the sixth date.
    for day in DAYS[:5]:
        found = verdict(home, day)
        assert (found["status"], found["analysed_on"]) == ("running", None)
        assert [found[c] for c in EFFECT] == [None] * len(EFFECT)
        assert found["n_control"] == found["n_arm"] == 60 * (1 + DAYS.index(day))
    assert verdict(home, DAYS[3])["conclusion"] == (
        "no verdict yet: 240 and 240 visits with “greeting” and “plain”, 354 needed in arm “greeting”, about 2 days at "
        "the present pace."
    )
    assert verdict(home, DAYS[3])["conclusion_zh"] == (
        "尚无结论：「greeting」与「plain」各有 240 与 240 次到访，「greeting」组共需 354 次到访，按目前速度约需 2 天。"
    )
    first = verdict(home, DAYS[5])
    assert (first["status"], first["analysed_on"]) == ("verdict", DAYS[5])
    expected = difference_of_proportions(72, 360, 180, 360)
    assert isinstance(expected, Effect)
    assert (first["effect"], first["low"], first["high"]) == (expected.effect, *expected.interval)
    assert (first["method"], first["p_value"]) == ("proportions", expected.p_value)
    assert first["conclusion"] == (
        "“greeting” beats “plain”: conversion 50.0 % against 20.0 %, +30.0 points (95 % interval 23.4 to 36.6), "
        "p < 0.0001, n = 360 and 360 visits."
    )
    assert first["conclusion_zh"] == (
        "「greeting」优于「plain」：转化率 50.0% 对 20.0%，+30.0 个百分点（95% 置信区间 23.4 至 36.6），p < 0.0001，"
        "样本 360 与 360 次到访。"
    )
    for day in DAYS[6:]:
        assert verdict(home, day) == first

    # What comes after the analysis does not change it; a corrected date before it does, on all dates.
    put(home, "experiment_units", DAYS[7], both(DAYS[7], (60, 60), (60, 0)))
    judge(home, *DAYS[7:])
    assert verdict(home, DAYS[9]) == first
    put(home, "experiment_units", DAYS[2], both(DAYS[2], (60, 60), (12, 12)))
    judge(home, *DAYS[2:])
    corrected = verdict(home, DAYS[9])
    assert corrected["effect"] == pytest.approx((180 - 18 - 72) / 360)
    assert all(verdict(home, day) == corrected for day in DAYS[5:])
    # With units taken away the gate opens later, and so does the verdict.
    put(home, "experiment_units", DAYS[2], [])
    judge(home, *DAYS[2:])
    assert verdict(home, DAYS[5])["status"] == "running"
    assert verdict(home, DAYS[9])["analysed_on"] == DAYS[6]


def test_no_difference_is_shown_and_the_control_may_win(tmp_path: Path) -> None:
    for name, successes, claim in (
        ("alike", (120, 124), "no difference between “greeting” and “plain” is shown"),
        ("worse", (180, 100), "“plain” beats “greeting”"),
    ):
        home = make_home(tmp_path / name, TEST)
        put_days(home, {FIRST: both(FIRST, (400, 400), successes)}, BASELINE)
        judge(home, FIRST)
        assert verdict(home, FIRST)["conclusion"].startswith(claim + ": conversion ")


def test_an_arm_may_be_called_by_any_word(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST | {"arms": ["control", "none"]})
    put_days(home, {FIRST: arm_units(0, "control", 60, 12, FIRST) + arm_units(60, "none", 50, 20, FIRST)}, BASELINE)
    judge(home, FIRST)
    found = verdict(home, FIRST)
    assert "50 and 60 visits with “none” and “control”, 354 needed in arm “none”" in found["conclusion"]
    assert "「none」与「control」各有 50 与 60 次到访，「none」组共需 354 次到访" in found["conclusion_zh"]


def test_not_enough_on_the_last_date(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST | {"last_date": DAYS[2]})
    put_days(home, {day: both(day, (60, 50), (12, 30)) for day in DAYS[:3]}, BASELINE)
    judge(home, *DAYS[:3])
    assert verdict(home, DAYS[1])["status"] == "running"
    found = verdict(home, DAYS[2])
    assert (found["status"], found["analysed_on"]) == ("not_enough", DAYS[2])
    assert [found[c] for c in EFFECT] == [None] * len(EFFECT)
    assert (found["n_control"], found["n_arm"]) == (180, 150)
    assert found["conclusion"] == (
        "not enough samples: 204 more visits in arm “greeting”, about 5 days at the present pace."
    )
    assert found["conclusion_zh"] == "样本不足：「greeting」组还差 204 次到访，按目前速度约需 5 天。"


@pytest.mark.parametrize(
    ("made", "known", "sentence"),
    [
        ([], [], "not enough samples: how many are needed cannot be said, because “greeting” or the control has fewer"),
        (arm_units(0, "greeting", 50, 3, FIRST), BASELINE, "withheld: the arms did not get the visits"),
        (both(FIRST, (500, 500), (0, 0)), [], "not enough samples: how many are needed cannot be said"),
        ([], BASELINE, "not enough samples: 354 more visits in arm “greeting”, and at present none come."),
    ],
    ids=["nothing", "empty control", "no variance", "planned, but no units"],
)  # fmt: skip
def test_what_cannot_be_judged(
    tmp_path: Path, made: list[dict[str, Any]], known: list[dict[str, Any]], sentence: str
) -> None:
    home = make_home(tmp_path, TEST | {"last_date": FIRST})
    put_days(home, {FIRST: made}, known)
    judge(home, FIRST)
    found = verdict(home, FIRST)
    assert found["conclusion"].startswith(sentence)
    assert [found[c] for c in EFFECT] == [None] * len(EFFECT)
    assert found["conclusion_zh"].startswith(("样本不足", "暂不下结论"))


def test_withheld_while_the_arms_do_not_get_what_they_were_meant_to(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST)
    lost = {day: both(day, (500, 400), (150, 200)) for day in DAYS[:2]}
    put_days(home, lost | {day: both(day, (500, 600), (150, 200)) for day in DAYS[2:4]}, BASELINE)
    judge(home, *DAYS[:4])
    found = verdict(home, DAYS[1])
    assert (found["status"], found["analysed_on"], found["p_value"]) == ("withheld", None, None)
    assert found["conclusion"] == (
        "withheld: the arms did not get the visits that they were meant to get (1,000 with “plain”, 800 with "
        "“greeting”; sample ratio p < 0.0001, at least 0.001 is expected). Find out where assignment, matching or "
        "logging loses some of them."
    )
    assert found["conclusion_zh"].startswith(
        "暂不下结论：各组得到的样本与应得的比例不符（「plain」组 1,000，「greeting」组 800"
    )
    # The first date on which *every* gate holds.
    assert verdict(home, DAYS[3])["analysed_on"] == next(
        day for day in DAYS[:4] if verdict(home, day)["status"] == "verdict"
    )
    last = make_home(tmp_path / "last", TEST | {"last_date": FIRST})
    put_days(last, {FIRST: lost[FIRST]}, BASELINE)
    judge(last, FIRST)
    assert (verdict(last, FIRST)["status"], verdict(last, FIRST)["analysed_on"]) == ("withheld", FIRST)


def test_several_arms_and_kpis_share_the_error(tmp_path: Path) -> None:
    """The first KPI at alpha/2 per arm; the others at alpha/4, and only where the first is significant."""
    arms = ["plain", "greeting", "song"]
    home = make_home(tmp_path, TEST | {"arms": arms, "kpi": ["conversion", "orders", "amount"]})
    rng = np.random.default_rng(1)
    made, values = [], {}
    for kpi, position, of in (
        ("conversion", 0, {"plain": 150, "greeting": 155, "song": 230}),
        ("orders", 1, {"plain": 1.0, "greeting": 2.0, "song": 1.5}),
        ("amount", 2, {"plain": 9.0, "greeting": 9.1, "song": 9.2}),
    ):
        for at, arm in enumerate(arms):
            rewards = np.arange(500) < of[arm] if position == 0 else rng.gamma(2, of[arm] / 2, 500).round(2)
            values[kpi, arm] = rewards.astype(float)
            others = {"kpi": kpi, "position": position, "propensity": 1 / 3}
            made += [unit(1000 * at + n, arm, float(r), FIRST, **others) for n, r in enumerate(rewards)]
    put_days(home, {FIRST: made}, BASELINE)
    judge(home, FIRST)
    found = verdicts(home, FIRST)
    assert list(found) == [(arm, kpi) for arm in ("greeting", "song") for kpi in ("conversion", "orders", "amount")]
    for arm in ("greeting", "song"):
        first = difference_of_proportions(150, 500, int(values["conversion", arm].sum()), 500, alpha=0.025)
        assert isinstance(first, Effect)
        row = found[arm, "conversion"]
        assert row["p_value"] == pytest.approx(min(1, 2 * first.p_value))
        assert (row["low"], row["high"]) == first.interval
        assert row["level"] == 0.975
        assert row["significant"] == first.significant
        for kpi in ("orders", "amount"):
            other = difference_of_means(*(Sample.of(values[kpi, a]) for a in ("plain", arm)), alpha=0.0125)
            assert isinstance(other, Effect)
            row = found[arm, kpi]
            assert row["p_value"] == pytest.approx(max(min(1, 4 * other.p_value), min(1, 2 * first.p_value)))
            assert (row["method"], row["level"]) == ("welch", 0.9875)
            assert (row["low"], row["high"]) == other.interval
    assert found["song", "orders"]["significant"]
    # Its interval leaves 0 out, but the KPI that decides does not differ.
    blocked = found["greeting", "orders"]
    assert blocked["low"] > 0
    assert not blocked["significant"]
    assert blocked["conclusion"].startswith("no difference between “greeting” and “plain” is shown: orders ")
    assert blocked["conclusion"].endswith("; no claim on orders, because conversion, which decides, does not differ.")
    assert "EUR" in found["song", "amount"]["conclusion"]
    assert " 98.8 % interval" in found["song", "amount"]["conclusion"].replace("(", " ")


def test_what_was_known_before_takes_noise_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for name, known in (("most", 0.95), ("few", 0.8)):
        home = make_home(tmp_path / name, TEST | {"unit": "user", "kpi": "amount", "minimum_effect": 8})
        before = rng.gamma(2, 20, 800).round(2)
        rewards = (before + rng.normal(10, 5, 800)).round(2)
        there = rng.random(800) < known
        made = [
            unit(n, ("plain", "greeting")[n % 2], float(rewards[n]), FIRST, kpi="amount", assigned_on=FIRST)
            | {"pre_value": float(before[n]) if there[n] else None}
            for n in range(800)
        ]
        put_days(home, {FIRST: made})
        judge(home, FIRST)
        found, filled = verdict(home, FIRST), np.where(there, before, 0)
        if name == "few":
            expected = difference_of_means(Sample.of(rewards[::2]), Sample.of(rewards[1::2]))
        else:
            expected = cuped(rewards[::2], rewards[1::2], control_before=filled[::2], arm_before=filled[1::2])
            assert "; adjusted for the amount of the same people in the 28 days before." in found["conclusion"]
        assert isinstance(expected, Effect)
        assert found["method"] == ("cuped" if name == "most" else "welch")
        assert found["effect"] == pytest.approx(expected.effect)
        assert found["p_value"] == pytest.approx(expected.p_value)


def test_before_after_compares_matched_weekdays_and_says_so(tmp_path: Path) -> None:
    change = {"kind": "before_after", "unit": "venue_day", "kpi": "gmv", "minimum_effect": 300}
    last = FIRST + 27 * DAY
    home = make_home(tmp_path, TEST | change | {"last_date": last, "changed_on": FIRST + 14 * DAY})
    dates = [FIRST + n * DAY for n in range(28)]
    rng = np.random.default_rng(3)
    gmv = [1000.0 + 400 * (day.weekday() > 4) + 500 * (n >= 14) + rng.normal(0, 100) for n, day in enumerate(dates)]
    put_days(
        home,
        {
            day: [unit(0, ("plain", "greeting")[n >= 14], gmv[n], day, unit_id="riverside", kpi="gmv", propensity=None)]
            for n, day in enumerate(dates)
        },
    )
    judge(home, *dates)
    early = rows(home, "sample_size_checks", dates[5])[0]
    assert (early["sample_ratio_p"], early["sample_ratio_ok"], early["required_n"]) == (None, True, None)
    found = verdict(home, last)
    assert (found["status"], found["method"]) == ("verdict", "matched_weekdays")
    until = dates.index(found["analysed_on"]) + 1
    weekdays = [day.weekday() for day in dates]
    expected = matched_weekdays(
        gmv[:14], gmv[14:until], before_weekdays=weekdays[:14], after_weekdays=weekdays[14:until]
    )
    assert isinstance(expected, Effect)
    assert found["effect"] == pytest.approx(expected.effect)
    assert found["conclusion"].startswith(
        "not randomised: “greeting” is higher than “plain” on the same weekdays: GMV 1,"
    )
    assert found["conclusion"].endswith(
        f"n = {until - 14} and 14 days; days are the units, not visitors; whatever else changed between the two "
        "periods is part of the difference."
    )
    assert found["conclusion_zh"].startswith("并非随机试验：按相同星期几比较，「greeting」高于「plain」：成交总额 ")


def test_a_switchback_counts_days(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST | {"unit": "venue_day", "kpi": "pv", "minimum_effect": 40, "last_date": DAYS[-1]})
    pv = [100, 151, 108, 148, 95, 160, 104, 155, 99, 150]
    put_days(
        home,
        {
            day: [unit(0, ("plain", "greeting")[n % 2], pv[n], day, unit_id="riverside", kpi="pv")]
            for n, day in enumerate(DAYS)
        },
    )
    judge(home, *DAYS)
    found = verdict(home, DAYS[-1])
    assert (found["status"], found["method"]) == ("verdict", "welch")
    assert found["conclusion"].startswith("“greeting” beats “plain”: visits (PV) ")
    assert found["conclusion"].endswith("days; days are the units, not visitors.")
    assert found["n_arm"] + found["n_control"] == DAYS.index(found["analysed_on"]) + 1


def test_a_bandit_is_judged_by_its_propensities(tmp_path: Path) -> None:
    home = make_home(tmp_path, BANDIT | {"minimum_effect": 0.3})
    shares = [(0.4, 0.3, 0.3), (0.2, 0.3, 0.5), (0.2, 0.2, 0.6)]
    counts = [(160, 120, 120), (80, 120, 200), (80, 80, 240)]
    arms = BANDIT["arms"]
    days = {}
    for day, of, n in zip(DAYS, shares, counts, strict=False):
        days[day] = drawn(dict(zip(arms, of, strict=True)), dict(zip(arms, n, strict=True)), day, leaf=1)
        days[day] += drawn(dict.fromkeys(arms, 1 / 3), dict.fromkeys(arms, 40), day, leaf=2, allocation=None)
    put_days(home, days, BASELINE)
    judge(home, *DAYS[:3])
    found = verdicts(home, DAYS[2])
    until = DAYS.index(found["song", "conversion"]["analysed_on"]) + 1
    n = np.array([[c, (40, 40, 40)] for c in counts], dtype=float)[:until]
    total = n // 3
    propensity = np.array([[s, (1 / 3,) * 3] for s in shares])[:until]
    for at, arm in ((1, "greeting"), (2, "song")):
        expected = adaptive_effect(BatchRewards.of(n, total, total, propensity), at, alpha=0.025)
        assert isinstance(expected, Effect)
        row = found[arm, "conversion"]
        assert row["method"] == "adaptive"
        assert row["effect"] == pytest.approx(expected.effect)
        assert (row["low"], row["high"]) == pytest.approx(expected.interval)
        assert row["p_value"] == pytest.approx(min(1, 2 * expected.p_value))
        assert row["conclusion"].endswith("visits; every unit weighted by the share its arm had.")


def test_all_alike_can_be_judged_enough_and_still_not_compared(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST)
    put_days(home, {FIRST: both(FIRST, (400, 400), (0, 0))}, BASELINE)
    judge(home, FIRST)
    found = verdict(home, FIRST)
    assert (found["status"], found["effect"], found["method"]) == ("verdict", None, "proportions")
    assert found["conclusion"] == (
        "“greeting” against “plain”: no effect on conversion can be stated. All rewards of the control are 0 and all "
        "of the arm 0: no error can be estimated."
    )
    (computed,) = compute(home, FIRST, tables=["experiment_verdicts"])
    told = {check.name: check for check in computed.checks}
    assert not told["effects_can_be_stated"].passed


def test_a_date_that_was_never_computed_is_told(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST)
    put_days(home, {day: both(day, (60, 60), (12, 30)) for day in DAYS}, BASELINE)
    judge(home, DAYS[0], DAYS[3])
    (computed,) = compute(home, DAYS[3], tables=["experiment_verdicts"])
    told = {check.name: check for check in computed.checks}["every_date_is_there"]
    assert not told.passed
    assert told.figures == {"dates_missing": 2, "first_experiment": "screen_test"}


def test_gates_that_are_older_than_the_site(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST | {"id": "another"})
    put_days(home, {FIRST: []})
    judge(home, FIRST)
    home = make_home(tmp_path, TEST)
    with pytest.raises(LookupError, match=r"sample_size_checks of 2026-01-08 says nothing of experiment screen_test"):
        compute(home, FIRST, tables=["experiment_verdicts"])
    judge(home, FIRST)
    home = make_home(tmp_path, TEST | {"arms": ["plain", "song"]})
    with pytest.raises(LookupError, match=r"with the arms plain, song: it is older than the site"):
        compute(home, FIRST, tables=["experiment_verdicts"])


def test_units_of_before_the_experiment_was_moved_take_no_part(tmp_path: Path) -> None:
    other = TEST | {"id": "other", "venue_id": "harbour"}
    home = make_home(tmp_path, TEST | {"first_date": DAYS[2]}, other)
    put_days(home, {day: both(day, (60, 60), (12, 30)) for day in DAYS[:4]})
    judge(home, *DAYS[:4])
    found = {r["experiment_id"]: r for r in rows(home, "experiment_verdicts", DAYS[3])}
    assert found["screen_test"]["n_arm"] == 120
    assert found["other"]["n_arm"] == 0


def test_a_corrected_date_makes_the_verdict_stale(tmp_path: Path) -> None:
    home = make_home(tmp_path, TEST)
    put_days(home, {day: both(day, (60, 60), (12, 30)) for day in DAYS[:4]}, BASELINE)
    judge(home, *DAYS[:4])

    def conditions() -> list[str]:
        freshness = Freshness(home, catalogue(), scan(home.landing))
        return [freshness.state(catalogue()["experiment_verdicts"], day).condition for day in DAYS[:4]]

    assert conditions() == ["fresh"] * 4
    put(home, "experiment_units", DAYS[2], both(DAYS[2], (60, 60), (12, 31)))
    assert conditions() == ["fresh", "fresh", "stale", "stale"]


def test_rerunning_gives_the_same_bytes(tmp_path: Path) -> None:
    home = make_home(tmp_path, BANDIT)
    shares = {"plain": 0.5, "greeting": 0.3, "song": 0.2}
    put_days(home, {FIRST: drawn(shares, {"plain": 50, "greeting": 30, "song": 20})}, BASELINE)
    again = [
        [c.content for c in compute(home, FIRST, tables=["sample_size_checks", "experiment_verdicts"])] for _ in "ab"
    ]
    assert again[0] == again[1]
