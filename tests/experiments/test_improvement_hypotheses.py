"""What a venue might try next: planted weak spots are found, chance alone is not, and the proposed test can be set up.

Over made-up control samples of 28 dates, and once over simulated days.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Any

import duckdb
import polars as pl
import pytest

from edge_collector.site import Site, SiteError, load_site
from tests.conftest import REPOSITORY, compute, rows
from tests.experiments.lab import DAY, TEST, make_home, shipped_site, upstream
from venue_assets.lake.landing_index import LandingIndex
from venue_assets.lake.reference import References
from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.simulate import Options, simulate
from venue_assets.tables.catalogue import catalogue
from venue_assets.tables.experiments import improvement_hypotheses
from venue_assets.tables.references import REFERENCES

TODAY = date(2026, 3, 1)
DATES = [TODAY - timedelta(days=n) for n in reversed(range(28))]
HOURS = range(10, 18)
Row = dict[str, Any]


class Past:
    """The inputs of the table: 28 dates of a venue, as far as they are given."""

    def __init__(self) -> None:
        self.tables: dict[str, list[Row]] = {
            name: []
            for name in (
                "control_visits", "visitor_contexts", "primary_metrics", "context_tree", "experiments", "booked_units"
            )
        }  # fmt: skip

    def day(self, day: date, venue_id: str = "riverside", **figures: Any) -> None:
        plain = {"venue_id": venue_id, "currency": "EUR", "pv": 200}
        self.tables["primary_metrics"].append({"event_date": day} | plain | figures)

    def visit(self, day: date, n: int, hour: int, amount: float, weight: float = 1.0, **known: Any) -> None:
        """`known` is what is known of the person."""
        venue_id = known.pop("venue_id", "riverside")
        key = {"event_date": day, "venue_id": venue_id, "user_id": f"u{day}/{n}"}
        self.tables["control_visits"].append(
            key
            | {"session_id": f"s{day}/{n:05d}", "weekday": day.isoweekday(), "hour": hour}
            | {"orders": int(amount > 0), "amount": amount, "weight": weight}
        )
        if known:
            self.tables["visitor_contexts"].append(key | known)

    def findings(self) -> list[Row]:
        con = duckdb.connect()
        con.execute(f"SET VARIABLE event_date = DATE '{TODAY}'")
        for name, made in self.tables.items():
            if name in REFERENCES:
                types = dict(REFERENCES[name])
            else:
                types = {"event_date": "DATE"} | {n: c.type for n, c in catalogue()[name].columns.items()}
            con.execute(f"CREATE TABLE {name} ({', '.join(f'{n} {t}' for n, t in types.items())})")
            if made:
                frame = pl.DataFrame(made, infer_schema_length=None)
                con.register("made", frame.to_arrow())
                con.execute(f"INSERT INTO {name} BY NAME FROM made")
        return [dict(row) for row in improvement_hypotheses.compute(con, TODAY).to_pylist()]

    def finding(self, dimension: str, kpi: str) -> Row:
        (row,) = (r for r in self.findings() if (r["dimension"], r["kpi"]) == (dimension, kpi))
        return row


def visits(chance: Callable[[int], float], *, seed: int = 1, a_day: int = 200, days: list[date] = DATES) -> Past:
    """So many visits a day, evenly over the hours; of those at an hour, `chance(hour)` buy for 10 EUR."""
    dice, past = random.Random(seed), Past()
    for day in days:
        past.day(day, pv=a_day)
        for n in range(a_day):
            hour = HOURS[n % len(HOURS)]
            past.visit(day, n, hour, 10.0 * (dice.random() < chance(hour)))
    return past


def test_the_hour_at_which_fewest_visits_buy_is_found_with_the_test_worth_making() -> None:
    past = visits(lambda hour: 0.05 if hour == 13 else 0.2)
    found = past.finding("hour", "conversion")
    of_13 = [v["orders"] for v in past.tables["control_visits"] if v["hour"] == 13]
    everyone = [v["orders"] for v in past.tables["control_visits"]]
    own, norm = sum(of_13) / 700, sum(everyone) / 5600
    assert (found["subject"], found["unit"], found["n"], found["share"]) == ("13", "visit", 700, 0.125)
    assert found["observed"] == pytest.approx(own)
    assert found["norm"] == pytest.approx(norm)
    # Eight hours and the segment new were looked at; the segment has no others to be compared with. Two KPI each.
    level = 1 - 0.05 / 16
    # As if the 700 had been drawn from the 5,600.
    error = (norm * (1 - norm) * 5600 / 5599 / 700 * (1 - 700 / 5600)) ** 0.5
    reach = NormalDist().inv_cdf((1 + level) / 2) * error
    assert found["level"] == pytest.approx(level)
    assert (found["low"], found["high"]) == (pytest.approx(own - norm - reach), pytest.approx(own - norm + reach))
    # Half of what is missing, and the visits for it: the textbook's formula, at the larger variance.
    assert found["delta"] == float(f"{(norm - own) / 2:.2g}")
    raised = norm + found["delta"]
    z = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
    needed = (norm * (1 - norm) + raised * (1 - raised)) * z**2 / found["delta"] ** 2
    assert 0 <= found["required_n"] - needed < 1
    # 25 visits a day begin at that hour, and there are two arms.
    assert found["days"] == -(-2 * found["required_n"] // 25)
    assert found["expected_gain"] == pytest.approx(found["delta"] * 0.125 / norm)
    assert found["finding"].startswith("visits that begin from 13:00 to 13:59: conversion ")
    assert f"{found['required_n']:,} visits per arm, about {found['days']} days" in found["finding"]
    assert "13:00 至 13:59 开始的到访：转化率" in found["finding_zh"]


def test_value_is_looked_at_beside_conversion() -> None:
    past = visits(lambda _: 0.5)
    for visit in past.tables["control_visits"]:
        visit["amount"] *= 0.5 if visit["hour"] == 10 else 1
    assert past.finding("hour", "amount")["subject"] == "10"
    assert [f["kpi"] for f in past.findings()] == ["amount"]


def test_segments_and_leaves_are_groups_too() -> None:
    dice, past = random.Random(3), Past()
    for day in DATES:
        past.day(day)
        for n in range(200):
            segment = ("general_keep", "important_value")[n % 2]
            chance = 0.1 if segment == "general_keep" and n % 8 < 4 else 0.4
            past.visit(day, n, HOURS[n % 8], 8.0 * (dice.random() < chance), segment=segment)
    both = zip(past.tables["control_visits"], past.tables["visitor_contexts"], strict=True)
    frame = pl.DataFrame([visit | known for visit, known in both])
    tree = ConditionalInferenceTree(maxdepth=2).fit(frame.select("segment", "hour"), frame["orders"].cast(pl.Float64))
    past.tables["experiments"] = [{"experiment_id": "voucher", "venue_id": "riverside"}]
    past.tables["booked_units"] = [{"venue_id": "riverside", "unit": "visit", "until": TODAY + 9 * DAY}]
    past.tables["context_tree"] = [
        {"event_date": TODAY, "experiment_id": "voucher", "tree": json.dumps(tree.to_dict())}
    ]
    kept = past.finding("segment", "conversion")
    assert kept["subject"] == "general_keep"
    assert kept["finding_zh"].startswith("一般保持分群的到访：转化率 ")
    leaf = past.finding("leaf", "conversion")
    assert "general_keep" in leaf["subject"]
    assert "hour <= 12" in leaf["subject"]
    # The rule as people say it; as the tree has it, it is the subject.
    rule = "hour of the visit until 12:59 and segment General keep (or unknown)"
    assert leaf["finding"].startswith(f"visits of the group with {rule}: conversion ")
    assert leaf["finding_zh"].startswith("到访时段为 12:59 及以前，且分群为一般保持（或未知）这一群体的到访：转化率 ")
    assert leaf["observed"] == pytest.approx(0.1, abs=0.03)
    # The venue's visits are taken until the bandit has matured.
    assert f"first_date = {TODAY + 10 * DAY}\n" in leaf["block"]


@pytest.mark.parametrize(
    ("dates", "reach", "reach_zh"),
    [
        (DATES, "as far as records reach", "以现有记录为准"),
        (DATES[14:], f"in records that begin on {DATES[14]}", f"记录始于 {DATES[14]}"),
    ],
    ids=["records may reach further", "records begin"],
)
def test_people_who_were_not_there_before_are_the_segment_new_as_everywhere(
    dates: list[date], reach: str, reach_zh: str
) -> None:
    dice, past = random.Random(4), Past()
    for day in dates:
        past.day(day)
        for n in range(100):
            known = {"segment": "general_value"} if n % 2 else {}
            past.visit(day, n, 12, 8.0 * (dice.random() < (0.4 if n % 2 else 0.1)), **known)
    found = past.finding("segment", "conversion")
    assert found["subject"] == "new"
    new = "visits of segment New, people not there in the 365 dates before"
    assert found["finding"].startswith(f"{new}, {reach}: conversion")
    assert found["finding_zh"].startswith(f"新访客（此前 365 天未到访者，{reach_zh}）分群的到访：转化率")


@pytest.mark.parametrize(
    ("step", "kpi", "unit", "figure"),
    [
        ("walk_in", "ocr", "venue_day", "ocr"),
        ("recognised", "pv", "venue_day", "recognition_share"),
        ("payers", "paying_users", "venue_day", "paying_users"),
    ],
)
def test_the_step_of_the_funnel_that_has_fallen_furthest_is_found(step: str, kpi: str, unit: str, figure: str) -> None:
    dice, past = random.Random(5), Past()
    for day in DATES:
        now = {"ocr": 0.5, "recognition_share": 0.8, "paying_users": 60, "completed_orders": 80, "pv": 200}
        if day > TODAY - 7 * DAY:
            now[figure] *= 0.8
        past.day(day, **{name: value * dice.uniform(0.99, 1.01) for name, value in now.items()})
    found = past.finding("funnel", kpi)
    assert (found["subject"], found["unit"], found["rank"]) == (step, unit, 1)
    assert found["observed"] / found["norm"] == pytest.approx(0.8, rel=0.02)
    assert found["high"] < 0
    # A fifth is lost; half of it is an eighth of what is left.
    assert found["expected_gain"] == pytest.approx(0.125, rel=0.05)
    assert found["days"] == 2 * found["required_n"]
    assert "in the last 7 dates against" in found["finding"]


def test_fewer_visits_that_buy_are_a_step_of_the_control_sample() -> None:
    past = visits(lambda _: 0.2, days=DATES[:21])
    later = visits(lambda _: 0.1, days=DATES[21:], seed=2)
    for name, made in later.tables.items():
        past.tables[name] += made
    found = past.finding("funnel", "conversion")
    assert (found["subject"], found["unit"]) == ("buying", "visit")
    assert (found["observed"], found["norm"]) == (pytest.approx(0.1, abs=0.02), pytest.approx(0.2, abs=0.02))


def test_visits_count_as_many_as_they_stand_for() -> None:
    """A bandit that gave the control to every fourth visit of half of the hours hides nothing, and invents nothing."""
    dice, whole, thinned = random.Random(10), Past(), Past()
    for day in DATES:
        whole.day(day)
        thinned.day(day)
        for n in range(384):
            hour = HOURS[n % 8]
            amount = 10.0 * (dice.random() < (0.05 if hour == 10 else 0.3))
            whole.visit(day, n, hour, amount)
            if hour >= 14 or n % 32 < 8:
                thinned.visit(day, n, hour, amount, weight=1.0 if hour >= 14 else 4.0)
    expected, found = (past.finding("hour", "conversion") for past in (whole, thinned))
    assert found["subject"] == expected["subject"] == "10"
    assert found["n"] * 4 == expected["n"]
    assert found["share"] == expected["share"] == 0.125
    assert found["norm"] == pytest.approx(expected["norm"], abs=0.02)
    assert found["low"] < expected["low"]
    assert found["high"] - found["low"] > 1.5 * (expected["high"] - expected["low"])


def test_findings_are_ranked_by_what_might_be_gained() -> None:
    past = visits(lambda hour: {13: 0.05, 14: 0.3}.get(hour, 0.2))
    for visit in past.tables["control_visits"]:
        visit["amount"] *= 0.4 if visit["hour"] > 14 else 1
    found = past.findings()
    assert [f["rank"] for f in found] == list(range(1, len(found) + 1))
    gains = [f["expected_gain"] for f in found]
    assert gains == sorted(gains, reverse=True)
    assert all(gain > 0 for gain in gains)


def test_chance_alone_is_rarely_a_finding() -> None:
    """Of 200 venues whose visits and days are all alike but for chance, at most a few have one: 2.5 % are allowed for
    groups, and 2.5 % for steps, because only what lies below the norm is told."""
    dice, past = random.Random(6), Past()
    for v in range(200):
        for day in DATES:
            past.day(day, f"v{v:03d}", ocr=dice.gauss(0.5, 0.05), recognition_share=dice.gauss(0.8, 0.05))
            for n in range(40):
                bought = dice.expovariate(0.1) * (dice.random() < 0.3)
                past.visit(day, 1000 * v + n, HOURS[n % 8], bought, venue_id=f"v{v:03d}")
    found = past.findings()
    groups = {f["venue_id"] for f in found if f["dimension"] != "funnel"}
    steps = {f["venue_id"] for f in found if f["dimension"] == "funnel"}
    assert len(groups) <= 12
    assert len(steps) <= 12


@pytest.mark.parametrize("a_day", [1, 4])
def test_of_few_visits_nothing_is_said(a_day: int) -> None:
    assert visits(lambda hour: 0.0 if hour == 10 else 1.0, a_day=a_day).findings() == []


def test_a_venue_without_orders_has_no_findings_about_them() -> None:
    assert visits(lambda _: 0.0).findings() == []


def test_no_data_at_all_give_no_rows() -> None:
    assert Past().findings() == []


def test_the_block_is_a_test_that_the_site_file_takes(tmp_path: Path) -> None:
    """Behind the shipped site, in which both venues have experiments on visits at other dates."""
    past = visits(lambda hour: 0.05 if hour == 13 else 0.2)
    past.tables["primary_metrics"] = [
        row | {"ocr": 0.5 if row["event_date"] <= TODAY - 7 * DAY else 0.39 + 0.001 * row["event_date"].day}
        for row in past.tables["primary_metrics"]
    ]
    found = past.findings()
    assert {f["dimension"] for f in found} == {"hour", "funnel"}
    shipped = (REPOSITORY / "data" / "site.toml").read_text(encoding="utf-8")
    for finding in found:
        (tmp_path / "site.toml").write_text(f"{shipped}\n{finding['block']}", encoding="utf-8")
        made = load_site(tmp_path / "site.toml").experiments[-1]
        assert made.venue_id == "riverside"
        assert made.kpi == [finding["kpi"]]
        assert made.unit == finding["unit"]
        assert made.minimum_effect == finding["delta"]
        assert made.first_date == TODAY + DAY
        assert (made.last_date - made.first_date).days + 1 == finding["days"]
        assert finding["finding"] in finding["block"]
    assert "# Give an arm to: visits that begin from 13:00 to 13:59, and no others." in "".join(
        f["block"] for f in found
    )
    # Two on the visits of one venue exclude each other, as the site file says.
    of_visits = [f["block"] for f in found if f["unit"] == "visit"]
    assert len(of_visits) > 1
    (tmp_path / "site.toml").write_text("\n".join([shipped, *of_visits]), encoding="utf-8")
    with pytest.raises(SiteError, match="overlaps"):
        load_site(tmp_path / "site.toml")


PLANNED: list[Row] = [
    TEST | {"id": "earlier", "first_date": TODAY - 20 * DAY, "last_date": TODAY - DAY},
    TEST | {"id": "running", "first_date": TODAY, "last_date": TODAY + 3 * DAY},
    TEST | {"id": "planned", "first_date": TODAY + 40 * DAY, "last_date": TODAY + 49 * DAY},
    TEST | {"id": "of_users", "unit": "user", "reward_days": 30, "first_date": TODAY, "last_date": TODAY + 90 * DAY},
    TEST | {"id": "elsewhere", "venue_id": "harbour", "first_date": TODAY + 99 * DAY, "last_date": TODAY + 120 * DAY},
    TEST
    | {"id": "days", "kind": "before_after", "unit": "venue_day", "kpi": ["gmv"], "first_date": TODAY + 10 * DAY}
    | {"changed_on": TODAY + 20 * DAY, "last_date": TODAY + 30 * DAY},
]


def booked(site: Site, day: date) -> list[Row]:
    return [dict(row) for row in References(site, LandingIndex({})).relation("booked_units", day).to_pylist()]


def test_units_are_booked_until_the_last_experiment_on_them_has_matured(tmp_path: Path) -> None:
    """Planned ones too, and as seen from a date none that were over by then."""
    site = make_home(tmp_path, *PLANNED).site
    assert booked(site, TODAY) == [
        {"venue_id": "harbour", "unit": "visit", "until": TODAY + 120 * DAY},
        {"venue_id": "riverside", "unit": "user", "until": TODAY + 120 * DAY},
        {"venue_id": "riverside", "unit": "venue_day", "until": TODAY + 30 * DAY},
        {"venue_id": "riverside", "unit": "visit", "until": TODAY + 49 * DAY},
    ]
    later = booked(site, TODAY + 50 * DAY)
    assert [(row["venue_id"], row["unit"]) for row in later] == [("harbour", "visit"), ("riverside", "user")]


def test_each_block_can_be_pasted_behind_experiments_that_are_planned(tmp_path: Path) -> None:
    """The site file takes it as it is: it begins when the last one on these units has matured."""
    past = visits(lambda hour: 0.05 if hour == 13 else 0.2)
    for row in past.tables["primary_metrics"]:
        row["ocr"] = 0.5 if row["event_date"] <= TODAY - 7 * DAY else 0.39 + 0.001 * row["event_date"].day
    home = make_home(tmp_path, *PLANNED)
    past.tables["booked_units"] = booked(home.site, TODAY)
    shipped = home.site_file.read_text(encoding="utf-8")
    found = past.findings()
    first_dates = set()
    for finding in found:
        home.site_file.write_text(f"{shipped}\n{finding['block']}", encoding="utf-8")
        made = load_site(home.site_file).experiments[-1]
        assert (made.last_date - made.first_date).days + 1 == finding["days"]
        first_dates.add((made.unit, made.first_date))
    assert first_dates == {("visit", TODAY + 50 * DAY), ("venue_day", TODAY + 31 * DAY)}


def test_names_cannot_break_out_of_the_block(tmp_path: Path) -> None:
    dice, past = random.Random(7), Past()
    odd = 'the "old"\nhall \\ [[venues]]'
    for day in DATES:
        past.day(day, odd)
        for n in range(100):
            past.visit(day, n, 10 + n % 2, 5.0 * (dice.random() < (0.1, 0.4)[n % 2]), venue_id=odd)
    site = shipped_site().replace('"riverside"', json.dumps(odd))
    for finding in past.findings():
        (tmp_path / "site.toml").write_text(f"{site}\n{finding['block']}", encoding="utf-8")
        assert load_site(tmp_path / "site.toml").experiments[-1].venue_id == odd


def test_what_takes_longer_than_a_quarter_is_said_to_be_out_of_reach_and_why() -> None:
    past = visits(lambda hour: 0.05 if hour == 13 else 0.2)
    for row in past.tables["primary_metrics"]:
        row["pv"] = 40
    found = past.finding("hour", "conversion")
    assert 90 < found["days"] < 365
    assert found["block"] is None
    assert "worth testing" not in found["finding"]
    assert re.search(r"; out of reach of a test: to show \+[\d.]+ points of conversion takes", found["finding"])
    assert found["finding"].endswith(
        f"takes {found['required_n']:,} visits per arm, about {found['days']} days at the present traffic, and "
        "more than 90 days are too long."
    )
    assert found["finding_zh"].endswith(f"按目前客流约需 {found['days']} 天，超过 90 天则过长。")


# The control sample ---------------------------------------------------------------------------------------------------


def test_the_control_sample_leaves_out_what_experiments_have_touched(tmp_path: Path) -> None:
    """Recomputed in plain Python over two simulated days with a test on visits, one on users and one on days."""
    first = date(2026, 1, 8)
    of_visits = TEST | {"id": "of_visits", "last_date": first + DAY}
    of_users = of_visits | {"id": "of_users", "unit": "user", "reward_days": 2}
    of_days = of_visits | {"id": "of_days", "unit": "venue_day", "venue_id": "harbour", "kpi": ["gmv"]}
    home = make_home(tmp_path / "home", of_visits, of_users, of_days)
    simulate(home.site, home.landing, Options(first_date=first, days=2, visits=150))
    compute(home, first, first + DAY, tables=upstream("control_visits", "improvement_hypotheses"))
    for n, day in enumerate([first, first + DAY]):
        given = [a for d in range(n + 1) for a in rows(home, "assignments", first + d * DAY)]
        treated = {a["unit_id"] for a in given if a["experiment_id"] == "of_users" and a["arm"] == "greeting"}
        visits_given = {
            u["session_id"]
            for u in rows(home, "experiment_units", day)
            if u["experiment_id"] == "of_visits" and u["arm"] == "greeting"
        }
        days_given = {
            a["venue_id"]
            for a in rows(home, "assignments", day)
            if a["experiment_id"] == "of_days" and a["arm"] == "greeting"
        }
        sold: dict[object, dict[object, float]] = {}
        for line in rows(home, "order_lines", day):
            if line["status"] == "completed" and line["session_id"]:
                of_order = sold.setdefault(line["session_id"], {})
                of_order[line["order_id"]] = of_order.get(line["order_id"], 0.0) + float(str(line["amount"]))
        expected = {
            s["session_id"]: (len(sold.get(s["session_id"], {})), sum(sold.get(s["session_id"], {}).values()))
            for s in rows(home, "sessions", day)
            if s["enter_at"]
            and s["session_id"] not in visits_given
            and s["venue_id"] not in days_given
            and not (s["venue_id"] == "riverside" and s["user_id"] in treated)
        }
        found = {r["session_id"]: (r["orders"], r["amount"]) for r in rows(home, "control_visits", day)}
        controls = {a["unit_id"] for a in given if a["experiment_id"] == "of_users" and a["arm"] == "plain"}
        plain = {
            u["session_id"]
            for u in rows(home, "experiment_units", day)
            if u["experiment_id"] == "of_visits" and u["arm"] == "plain"
        }
        for r in rows(home, "control_visits", day):
            of_user = r["venue_id"] == "riverside" and r["user_id"] in controls
            assert r["weight"] == (2 if r["session_id"] in plain else 1) * (2 if of_user else 1)
        assert found.keys() == expected.keys()
        for session_id, (orders, amount) in expected.items():
            assert found[session_id] == (orders, pytest.approx(amount, abs=1e-9))
        assert treated
        assert visits_given
        assert 0 < len(found) < len(rows(home, "sessions", day))
