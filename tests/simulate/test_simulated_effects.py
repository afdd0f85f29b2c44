"""What the arms do: known effects, on those who were given them and on nobody else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from edge_collector.site import Site
from tests.simulate.test_simulator import digests
from tests.simulate.trying import FIRST, experiment, trying
from venue_assets.simulate import WORLDS, Dirt, Options, World, simulate
from venue_assets.simulate.chance import generator
from venue_assets.simulate.population import Population
from venue_assets.simulate.trials import trials_of, uplift
from venue_assets.simulate.venue_day import VenueDay
from venue_assets.simulate.visits import visits_of
from venue_assets.simulate.worlds import GROUPS, effects


def test_experiments_change_nothing_but_assignments_and_orders(site: Site, tmp_path: Path) -> None:
    options = Options(FIRST - timedelta(days=1), days=3, visits=200)
    simulate(trying(site), tmp_path / "without", options)
    simulate(site, tmp_path / "with", options)
    simulate(site, tmp_path / "none", Options(FIRST - timedelta(days=1), days=3, visits=200, world="none"))
    without, one_best, none = (digests(tmp_path / name) for name in ("without", "with", "none"))

    def changed(other: dict[str, str]) -> set[str]:
        paths = {path for path in other.keys() | without.keys() if other.get(path) != without.get(path)}
        return {path.partition("-b1-")[0].rsplit("/", 1)[0] for path in paths}

    tried = {f"/event_date={day}" for day in (FIRST, FIRST + timedelta(days=1))}
    assert changed(none) == {f"assignments{day}" for day in tried}, "an arm without an effect leaves no trace"
    assert changed(one_best) >= {f"{stream}{day}" for stream in ("assignments", "orders") for day in tried}
    assert {path.split("/")[0] for path in changed(one_best)} == {"assignments", "orders"}


def test_worlds() -> None:
    """Rows: members, strangers. The control never has an effect, and the best arm is best by the same everywhere."""
    assert GROUPS == ("member", "stranger")
    assert effects("none", 3).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert effects("one_best", 3).tolist() == [[0, 0, 0.03], [0, 0, 0.03]]
    assert effects("by_group", 3).tolist() == [[0, 0, 0.03], [0, 0.03, 0]]
    assert effects("one_best", 2).tolist() == [[0, 0.03], [0, 0.03]]
    assert effects("by_group", 2).tolist() == [[0, 0.03], [0, -0.03]]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("unit", ["visit", "user", "venue_day"])
def test_each_visit_has_the_effect_of_its_arm_and_group(site: Site, world: World, unit: str) -> None:
    tried = experiment(unit=unit, arms=["a", "b", "c"], kpi="gmv" if unit == "venue_day" else "conversion")
    population = Population(1, 500, ["riverside"], linked=False)
    day = VenueDay.of(site.venue("riverside"), FIRST)
    visits = visits_of(day, population, generator(1, "x"), average=500, activity=None)
    (trial,) = trials_of([tried], day, visits, world, None, {}, can_assign=True)
    person = trial.person.tolist()
    if unit == "visit":
        arms = dict(zip(person, trial.arm.tolist(), strict=True))
    else:
        users = {} if unit == "venue_day" else dict(zip(visits.user[person].tolist(), trial.arm.tolist(), strict=True))
        arms = {i: users.get(u, int(trial.arm[0])) for i, u in enumerate(visits.user.tolist()) if u >= 0}
    assert sorted(arms) == np.flatnonzero(visits.recognised).tolist()
    wanted = [
        effects(world, 3)[0 if member >= 0 else 1, arms[i]] if i in arms else 0.0
        for i, member in enumerate(visits.member.tolist())
    ]
    assert trial.effect.tolist() == wanted
    assert uplift([trial, trial], visits).tolist() == [2 * added for added in wanted]
    assert uplift([], visits).tolist() == [0.0] * len(wanted)


@pytest.mark.parametrize("world", ["one_best", "by_group"])
def test_conversion_rises_by_the_true_effect(site: Site, tmp_path: Path, world: World) -> None:
    """Of some 30,000 visits, within three standard errors: the effect is one on conversion, not on buying."""
    site = trying(site, experiment())
    truth = simulate(site, tmp_path, Options(FIRST, days=5, visits=10_000, dirt=Dirt.none(), world=world)).truth
    control, arm = truth.units.arms(world)
    rates = [row["conversions"] / row["units"] for row in (control, arm)]
    error = sum(p * (1 - p) / row["units"] for p, row in zip(rates, (control, arm), strict=True)) ** 0.5
    assert control["effect"] == 0
    assert rates[0] == pytest.approx(0.14, abs=0.015)
    assert rates[1] - rates[0] == pytest.approx(arm["effect"], abs=3 * error)
    if world == "one_best":
        assert arm["effect"] == pytest.approx(0.03)
        assert rates[1] - rates[0] > 3 * error
    else:
        members = truth.units.of_group["music", "member"] / (control["units"] + arm["units"])
        assert arm["effect"] == pytest.approx(0.03 * (2 * members - 1))
        assert 0.6 < members < 0.7
