"""What an activity brought against earlier ones: the figures by least squares, done another way, and what is said."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.conftest import compute, rows
from tests.experiments.lab import DAY, make_home, put
from venue_assets.home import Home
from venue_assets.lake.freshness import Freshness
from venue_assets.lake.landing_index import scan
from venue_assets.tables.catalogue import catalogue

SPRING = """
[[activities]]
id = "spring_fair"
name = "Spring Fair"
venue_id = "riverside"
first_date = 2026-03-02
last_date = 2026-03-15
"""
FIRST = date(2026, 3, 2)
KPIS = ["pf_range", "gmv", "pv", "uv", "ocr", "completed_orders", "paying_users", "lov_mean_seconds"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The shipped venues; Riverside had a Winter Fair (9 to 18 January) and has a Spring Fair (from 2 March)."""
    made = make_home(tmp_path / "home")
    made.site_file.write_text(made.site_file.read_text(encoding="utf-8") + SPRING, encoding="utf-8")
    return made


def activity_of(day: date) -> str:
    if date(2026, 1, 9) <= day <= date(2026, 1, 18):
        return "winter_fair"
    return "spring_fair" if day >= FIRST else "none"


def figures(day: date, **known: Any) -> dict[str, Any]:
    """A row of primary_metrics."""
    plain: dict[str, Any] = dict.fromkeys(KPIS)
    return {"venue_id": "riverside", "activity_id": activity_of(day), "currency": "EUR"} | plain | known


def put_metrics(home: Home, first: date, last: date, **known: Any) -> None:
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        put(home, "primary_metrics", day, [figures(day, **{k: v(day) if callable(v) else v for k, v in known.items()})])


def compared(home: Home, day: date) -> dict[str, dict[str, Any]]:
    compute(home, day, tables=["activity_comparison"])
    return {str(row["kpi"]): dict(row) for row in rows(home, "activity_comparison", day)}


def least_squares(before: dict[date, float], after: dict[date, float], alpha: float) -> tuple[float, float, float]:
    """The difference with its interval: a regression on one level per weekday and on `after`, by another way."""
    common = {d.weekday() for d in before} & {d.weekday() for d in after}
    days = [(d, v, 0.0) for d, v in before.items()] + [(d, v, 1.0) for d, v in after.items()]
    days = [row for row in days if row[0].weekday() in common]
    X = np.array([[float(d.weekday() == w) for w in sorted(common)] + [side] for d, _, side in days])
    y = np.array([v for _, v, _ in days])
    solved = np.linalg.solve(X.T @ X, X.T @ y)
    df = len(y) - X.shape[1]
    error = float(np.sqrt(((y - X @ solved) ** 2).sum() / df * np.linalg.inv(X.T @ X)[-1, -1]))
    reach = float(stats.t.ppf(1 - alpha / 2, df)) * error
    return float(solved[-1]), float(solved[-1]) - reach, float(solved[-1]) + reach


def test_a_date_without_any_record_is_no_day_of_zeros(home: Home) -> None:
    """A gateway was off line: its visits and orders are 0 by definition, and nobody knows what they were."""
    off_line = date(2026, 3, 5)
    for n in range(65):
        day = date(2026, 1, 5) + timedelta(days=n)
        pv = 0 if day == off_line else 100 + 10 * (day.weekday() >= 5) + 5 * (day >= FIRST) + n % 3
        put(home, "primary_metrics", day, [figures(day, pv=pv, uv=pv, completed_orders=0, gmv=0)])
    found = compared(home, date(2026, 3, 8))
    assert found["pv"]["days"] == 6
    assert found["pv"]["mean"] == pytest.approx(106, abs=5)


def test_an_activity_is_compared_with_earlier_ones_at_its_venue_on_the_same_weekdays(home: Home) -> None:
    dice = random.Random(7)
    pv = {}
    for n in range(65):
        day = date(2026, 1, 5) + timedelta(days=n)
        pv[day] = 100 + 40 * (day.weekday() >= 5) + 30 * (day >= FIRST) + dice.randint(-5, 5)
        put(home, "primary_metrics", day, [figures(day, pv=pv[day])])
    now = date(2026, 3, 8)
    found = compared(home, now)["pv"]
    winter = {d: float(v) for d, v in pv.items() if activity_of(d) == "winter_fair"}
    spring = {d: float(v) for d, v in pv.items() if FIRST <= d <= now}
    effect, low, high = least_squares(winter, spring, 0.05 / 8)
    assert found["difference"] == pytest.approx(effect, rel=1e-9)
    assert (found["low"], found["high"]) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))
    assert found["mean"] - found["compared_mean"] == pytest.approx(effect, rel=1e-9)
    assert low > 0
    assert found["compared_with"] == "winter_fair"
    assert (found["days"], found["compared_days"], found["randomised"]) == (7, 10, False)
    assert found["first_date"] == FIRST
    assert found["conclusion"].startswith(
        "not randomised: “spring_fair” is higher than “winter_fair” in visits (PV) on the same weekdays: "
    )
    assert "99.4 % interval" in found["conclusion"]
    assert found["conclusion"].endswith("whatever else differed between these days is part of the difference.")
    assert found["conclusion_zh"].startswith(
        "并非随机试验：按相同星期几比较，「spring_fair」的到访人次高于「winter_fair」：每天 "
    )


def test_without_an_earlier_activity_it_is_compared_with_days_without_one(home: Home) -> None:
    dice = random.Random(8)
    first, now = date(2026, 1, 19), date(2026, 3, 4)
    put_metrics(home, first, now, gmv=lambda _: dice.randint(900, 1100))
    found = compared(home, now)["gmv"]
    assert found["compared_with"] == "none"
    # Monday to Wednesday only, because the activity has had no other weekday yet.
    assert (found["days"], found["compared_days"]) == (3, 18)
    assert "“spring_fair” is not shown to differ from days without an activity in GMV" in found["conclusion"]
    assert "EUR a day" in found["conclusion"]
    assert "未见不同于无活动的日子" in found["conclusion_zh"]


def test_what_lies_more_than_365_days_back_takes_no_part(home: Home) -> None:
    dice = random.Random(9)
    put_metrics(home, FIRST - timedelta(days=372), FIRST - timedelta(days=358), pv=lambda _: dice.randint(1, 9))
    put_metrics(home, FIRST, FIRST + 6 * DAY, pv=lambda _: dice.randint(1, 9))
    assert compared(home, FIRST + 6 * DAY)["pv"]["compared_days"] == 8
    assert Freshness(home, catalogue(), scan(home.landing)).dates(
        "primary_metrics", FIRST, catalogue()["activity_comparison"].inputs["primary_metrics"]
    )[0] == FIRST - timedelta(days=365)


@pytest.mark.parametrize(
    ("before", "now", "why", "why_zh"),
    [
        ({}, {"pv": 5}, "no day before it has this figure", "此前没有任何一天有这一指标"),
        ({"pv": 5}, {}, "none of its own days has this figure", "活动期间没有任何一天有这一指标"),
        ({"pv": 5}, {"pv": 5}, "all days are alike, so no error can be estimated", "每天数值都相同，无法估计误差"),
    ],
)
def test_where_nothing_can_be_compared_the_reason_is_told(
    home: Home, before: dict[str, int], now: dict[str, int], why: str, why_zh: str
) -> None:
    put_metrics(home, FIRST - 14 * DAY, FIRST - DAY, **before)
    put_metrics(home, FIRST, FIRST + 6 * DAY, **now)
    found = compared(home, FIRST + 6 * DAY)["pv"]
    assert found["difference"] is found["mean"] is found["low"] is None
    assert found["conclusion"] == (
        f"not randomised: “spring_fair” cannot be compared with days without an activity in visits (PV): {why}."
    )
    assert found["conclusion_zh"].endswith(f"{why_zh}。")


def test_on_the_first_day_there_is_no_second_weekday_to_estimate_an_error(home: Home) -> None:
    put_metrics(home, FIRST - 7 * DAY, FIRST - 7 * DAY, pv=4)
    put_metrics(home, FIRST, FIRST, pv=5)
    assert "too few days to estimate an error" in compared(home, FIRST)["pv"]["conclusion"]
    put_metrics(home, FIRST - 7 * DAY, FIRST - 7 * DAY)
    put_metrics(home, FIRST - 6 * DAY, FIRST - 6 * DAY, pv=4)
    assert "there is no weekday that both have" in compared(home, FIRST)["pv"]["conclusion"]


def test_a_warning_names_an_activity_without_anything_to_compare_with(home: Home) -> None:
    put_metrics(home, FIRST, FIRST, pv=5)
    (made,) = compute(home, FIRST, tables=["activity_comparison"])
    (check,) = (c for c in made.checks if c.name == "there_is_something_to_compare_with")
    assert not check.passed
    assert dict(check.figures) == {"activities": 1, "that_cannot_be_compared": 1, "first_activity": "spring_fair"}


def test_a_date_without_an_activity_has_no_rows(home: Home) -> None:
    put_metrics(home, FIRST - DAY, FIRST - DAY, pv=5)
    assert compared(home, FIRST - DAY) == {}
