"""The closed loop of the benchmarks in small: what must hold whatever chance does. tests/benchmarks/regret.py has the
figures."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.closed_loop import WORLDS, Given, LeafPolicy, Policy, Settings, Target, Traffic, simulate

TARGETS: list[Target] = ["reward", "effect", "arms of the rewarded"]


@pytest.fixture(scope="module")
def by_group() -> Traffic:
    return Traffic.draw(WORLDS["best arm by group"], 3, days=10, days_before=14)


def test_the_oracle_misses_nothing_and_a_fixed_arm_less_than_uniform_shares(by_group: Traffic) -> None:
    policies: list[Policy] = [Given.oracle(by_group), Given.best_fixed(by_group), Given.uniform(by_group)]
    oracle, fixed, uniform = (simulate(by_group, policy).regret for policy in policies)
    assert (oracle == 0).all()
    assert ((fixed > 0) & (fixed < uniform)).all()


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "reward"])
def test_groups_of_similar_effect_miss_less_than_uniform_shares(by_group: Traffic, target: Target) -> None:
    ours, uniform = (
        simulate(by_group, policy)
        for policy in (LeafPolicy(by_group, Settings(target=target)), Given.uniform(by_group))
    )
    assert (ours.regret < uniform.regret).all()
    assert (ours.leaves > 1).all()


@pytest.mark.parametrize("world", ["no effect", "one best arm"])
def test_without_context_one_best_arm_is_found_and_no_effect_costs_nothing(world: str) -> None:
    traffic = Traffic.draw(WORLDS[world], 3, days=6, days_before=0)
    ours = simulate(traffic, LeafPolicy(traffic, Settings(history_days=0)))
    uniform = simulate(traffic, Given.uniform(traffic))
    assert (ours.regret < uniform.regret).all() if world == "one best arm" else not ours.regret.any()
    assert (ours.conversions > 0).all()


@pytest.mark.parametrize("target", TARGETS)
def test_a_tree_of_its_own_units_counts_every_unit_once_and_keeps_the_floor(target: Target) -> None:
    traffic = Traffic.draw(WORLDS["best arm by group"], 2, days=4, days_before=0, visits=500)
    policy = LeafPolicy(traffic, Settings(target=target, history_days=0, refit_days=2, floor=0.1))
    simulate(traffic, policy)
    assert policy.n.sum(axis=(1, 2)).tolist() == [2000, 2000]
    assert policy.total.sum(axis=(1, 2)).tolist() == policy.reward.sum(axis=1).tolist()
    np.testing.assert_allclose(policy.share.sum(axis=2), 1)
    assert policy.share.min() >= 0.1 - 1e-12
