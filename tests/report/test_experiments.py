"""Experiments on the page: what was planned, what was really done, how long it takes, and what a verdict rests on."""

from __future__ import annotations

import re
from datetime import date

import duckdb
import pytest

from tests.report.conftest import LAST, section, words_of
from tests.report.test_damage import refuse
from tests.report.test_looks import grown
from venue_assets.methods.context_groups import rules
from venue_assets.report import render

Database = duckdb.DuckDBPyConnection
NEXT = date(2026, 1, 14)


def of_experiment(page: str, experiment: str) -> str:
    return words_of(page.partition(f'id="experiment-{experiment}"')[2].partition('class="experiment"')[0])


def voucher(con: Database) -> str:
    return of_experiment(render(con, LAST), "voucher")


def plan(con: Database, day: date) -> dict[str, float]:
    """The share of each arm in all units that are expected on a date."""
    return dict(
        con.execute(
            "SELECT arm, sum(share * forecast) / (SELECT sum(DISTINCT forecast) FROM experiments.bandit_allocations "
            "WHERE event_date_of_shares = $1) FROM experiments.bandit_allocations WHERE event_date_of_shares = $1 "
            "GROUP BY arm",
            [day],
        ).fetchall()
    )


def test_the_plan_is_told_beside_what_was_really_assigned(writable: Database) -> None:
    given = dict(
        writable.execute(
            "SELECT arm, count(DISTINCT unit_id) FROM clean.assignments WHERE experiment_id = 'voucher' "
            f"AND event_date = '{LAST}' GROUP BY arm"
        ).fetchall()
    )
    planned, before = plan(writable, NEXT), plan(writable, LAST)
    leading = max(planned, key=lambda arm: planned[arm])
    got = given[leading] / sum(given.values())
    said = voucher(writable)
    assert (
        f"“{leading}” is to get {planned[leading]:.0%} on 14 Jan; on 13 Jan it got {got:.0%}, by fixed shares, no "
        "plan was followed"
    ).replace("%", " %") in said
    assert f"For 13 Jan, {100 * before[leading]:.0f} % had been planned for “{leading}”." in said
    assert "On none of 6 dates did the gateway follow a plan: the plans have had no effect so far." in said
    assert "up from" not in said
    assert "未执行计划" in render(writable, LAST, language="zh")


@pytest.mark.parametrize(
    ("followed", "said"),
    [("true", "it got [0-9]+ %, by the plan"), ("arm = 'tea'", "[0-9]+ % of it by a plan, the rest by fixed shares")],
)
def test_a_gateway_that_follows_a_plan_is_said_to(writable: Database, followed: str, said: str) -> None:
    writable.execute(f"UPDATE clean.assignments SET allocation_id = 'a' WHERE event_date = '{LAST}' AND {followed}")
    assert re.search(said, voucher(writable))
    assert "The gateway followed a plan on 1 of 6 dates." in voucher(writable)


def test_the_rule_of_a_group_is_said_in_words_and_in_the_language_of_the_page(writable: Database) -> None:
    for rule, en, zh in (
        ("everybody", "Everybody", "所有访客"),
        *zip(
            rules(grown(writable, "segment"), ["segment"]).values(),
            ("Segment General keep", "Segment New (or unknown)"),
            ("分群为一般保持", "分群为新访客（或未知）"),
            strict=True,
        ),
    ):
        writable.execute("UPDATE experiments.bandit_allocations SET rule = $1", [rule])
        assert re.search(rf"second_half_price {re.escape(en)} [\d,]+ ", voucher(writable))
        assert re.search(
            rf"second_half_price {zh} [\d,]+ ", of_experiment(render(writable, LAST, language="zh"), "voucher")
        )


def test_a_plan_by_another_tree_keeps_its_rule_as_it_was_written_down(writable: Database) -> None:
    writable.execute("UPDATE experiments.bandit_allocations SET rule = 'category in happy_hour and hour > 9'")
    assert "category in happy_hour and hour > 9" in voucher(writable).replace("&gt;", ">")


def test_how_long_it_takes_has_one_answer_that_of_the_gate(writable: Database) -> None:
    ((days,),) = writable.execute(
        "SELECT max(days_needed) FROM experiments.sample_size_checks WHERE experiment_id = 'voucher' "
        f"AND event_date = '{LAST}'"
    ).fetchall()
    said = voucher(writable)
    told = set(re.findall(r"about ([\d,]+) (?:more )?days?", said))
    assert told == {f"{days:,}"}
    assert "No plan was followed so far; once one is, arms to which it gives less fill more slowly." in said
    longer = "days at the present pace. Longer for arms that get less once a plan is followed."
    assert longer in words_of(section(render(writable, LAST), "glance"))
    assert "若执行计划，份额较小的组需时更久。" in section(render(writable, LAST, language="zh"), "glance")
    writable.execute(f"UPDATE clean.assignments SET allocation_id = 'a' WHERE event_date = '{LAST}'")
    assert "No plan was followed so far" not in voucher(writable)
    assert "Longer for arms" not in render(writable, LAST)


def test_what_no_test_can_tell_in_time_is_not_among_what_to_try(writable: Database) -> None:
    writable.execute("DELETE FROM experiments.improvement_hypotheses")
    for rank, (finding, block) in enumerate((("within reach.", "[[experiments]]"), ("out of reach.", None)), 1):
        writable.execute(
            "INSERT INTO experiments.improvement_hypotheses BY NAME SELECT $1::DATE AS event_date, 'harbour' AS "
            "venue_id, $2 AS rank, $3 AS finding, $3 AS finding_zh, $4 AS block",
            [LAST, rank, finding, block],
        )
    page = section(render(writable, LAST), "venue-harbour")
    to_try, _, beyond = page.partition("What to try next")[2].partition("</ol>")
    assert "Within reach." in to_try
    assert "Out of reach." not in to_try
    assert "no test would tell in time whether that can change: Out of reach." in words_of(beyond)


def test_a_verdict_rests_on_the_units_of_its_date_and_those_since_are_told_apart(writable: Database) -> None:
    analysed = date(2026, 1, 11)
    writable.execute(
        "UPDATE experiments.experiment_verdicts SET status = 'verdict', analysed_on = $1, level = 0.95, "
        "control_mean = 0.13, arm_mean = 0.15, effect = 0.02, low = 0.01, high = 0.03, p_value = 0.01, "
        "significant = true WHERE experiment_id = 'welcome_screen'",
        [analysed],
    )
    n = {
        (day, arm): units
        for day, arm, units in writable.execute(
            "SELECT event_date, arm, n_units FROM experiments.sample_size_checks WHERE experiment_id = 'welcome_screen'"
        ).fetchall()
    }
    said = of_experiment(render(writable, LAST), "welcome_screen")
    assert "on 11 Jan, the date of the analysis" in said
    for arm in ("plain", "greeting"):
        assert f"{arm} {n[analysed, arm]:,} of " in said
        assert f"{arm} {n[LAST, arm]:,} of " not in said
    since = sum(n[LAST, arm] - n[analysed, arm] for arm in ("plain", "greeting"))
    assert since > 0
    assert f"{since:,} more units have come since, which changes nothing of it." in said


def test_where_days_are_units_it_is_said_what_a_damaged_day_counts_as(writable: Database) -> None:
    rule = "visits and orders of a day on which a gateway was off line are 0."
    assert rule not in of_experiment(render(writable, LAST), "welcome_screen")
    writable.execute("DELETE FROM raw.sequence_gaps")
    writable.execute(
        "UPDATE star.dim_experiment SET unit = 'venue_day', kind = 'before_after' "
        "WHERE experiment_id = 'welcome_screen'"
    )
    refuse(writable, "orders", date(2026, 1, 10))
    said = of_experiment(render(writable, LAST), "welcome_screen")
    assert rule in said
    assert re.search(r"Damaged, and in it: .*Sat 10 Jan \(a segment refused\)", said)
