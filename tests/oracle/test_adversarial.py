"""Laws that hold on any day, and the adversary's promise that its days reach every rule."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, find, given, seed, settings

from tests.oracle.adversarial import landings
from tests.oracle.judgement import REASONS
from tests.oracle.landing_writer import Scenario
from tests.oracle.oracle import Oracle, recompute
from tests.oracle.places import HOUR, MS
from tests.oracle.records import STREAMS
from tests.oracle.segments import REFUSALS
from tests.oracle.traps import TRAPS

ADVERSARIAL = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)


def computed(scenario: Scenario) -> list[Oracle]:
    with tempfile.TemporaryDirectory() as folder:
        scenario.write(Path(folder))
        return [recompute(Path(folder), day) for day in scenario.dates]


@ADVERSARIAL
@given(landings())
def test_laws(scenario):
    for oracle in computed(scenario):
        for stream in STREAMS:
            quarantined = [row for row in oracle.quarantine if row["stream"] == stream]
            assert oracle.landed[stream] == len(oracle.clean[stream]) + len(quarantined)
            identities = [row["identity"] for row in oracle.clean[stream]]
            assert len(set(identities)) == len(identities)
        # Every clean visit is in one session, as its enter or its leave.
        used = [s[end] for s in oracle.sessions for end in ("enter_identity", "leave_identity") if s[end]]
        assert sorted(used) == sorted(row["identity"] for row in oracle.clean["face_visits"])
        keys = [(row["venue_id"], row["order_id"], row["order_no"]) for row in oracle.order_lines]
        assert len(set(keys)) == len(keys)
        venues = {row["venue_id"] for row in oracle.primary_metrics}
        assert all(row["venue_id"] in venues for stream in STREAMS for row in oracle.clean[stream])
        for row in oracle.primary_metrics:
            hours = [hour for hour in oracle.hourly_metrics if hour["venue_id"] == row["venue_id"]]
            for name in ("pf_range", "pv", "gmv", "gmv_anonymous", "cancelled_amount"):
                assert (row[name] or 0) == sum(hour[name] or 0 for hour in hours)
            assert row["pf_entrance_estimated"] == any(hour["pf_entrance_estimated"] for hour in hours)


@ADVERSARIAL
@given(landings(without=[*TRAPS]))
def test_without_traps_everything_is_clean(scenario):
    for oracle in computed(scenario):
        assert oracle.quarantine == []
        assert oracle.refused == []


def test_the_adversary_reaches_every_case():
    """Days that never get to a rule prove nothing about it."""
    reached: Counter = Counter()

    def look(scenario: Scenario) -> None:
        for oracle in computed(scenario):
            reached.update(row["reason"] for row in oracle.quarantine)
            reached.update(reason for _, reason in oracle.refused)
            reached.update(s["state"] for s in oracle.sessions)
            for line in oracle.order_lines:
                reached[f"attached to {line['session'] and line['session']['state']}"] += 1
            reached["superseded"] += sum(row["superseded"] for row in oracle.clean["orders"])
            reached["linked"] += sum(r["user_id"] != r["source_user_id"] for r in oracle.clean["face_visits"])
            reached["estimated"] += sum(row["pf_entrance_estimated"] for row in oracle.primary_metrics)
            reached["rates"] += sum(row["ocr"] is not None for row in oracle.primary_metrics)
            reached["lengths"] += sum(row["lov_p90_seconds"] is not None for row in oracle.primary_metrics)
            lasted = [s["leave_at"] - s["enter_at"] for s in oracle.sessions if s["enter_at"] and s["leave_at"]]
            reached["exactly 12 h"] += sum(time == 12 * HOUR for time in lasted)
            reached["12 h and a millisecond"] += sum(time == 12 * HOUR + MS for time in lasted)

    states = ("complete", "overlong", "no_exit", "no_entry")
    expected = {*REASONS, *REFUSALS, *states, *(f"attached to {state}" for state in (*states, None))}
    expected |= {"superseded", "linked", "estimated", "rates", "lengths", "exactly 12 h", "12 h and a millisecond"}
    # Examples depend on the constants of all modules that are loaded, so that one seed may miss what is rare.
    for number in range(8):
        explore = settings(ADVERSARIAL, max_examples=250, phases=[Phase.generate])(given(landings())(look))
        seed(number)(explore)()
        if all(reached[case] for case in expected):
            break
    assert {case: reached[case] for case in expected if not reached[case]} == {}


def test_a_trap_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no_such_trap"):
        find(landings(without=["no_such_trap"]), lambda scenario: True)
