"""What lands of what was tried: like other records, at any start of the day, in the truth file too."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import pytest

from edge_collector.site import Site
from tests.simulate import landed_facts
from tests.simulate.trying import FIRST, experiment, records, trying
from venue_assets.simulate import Dirt, Options, simulate


def test_assignments_suffer_what_other_records_suffer(site: Site, tmp_path: Path) -> None:
    truth = simulate(site, tmp_path, Options(FIRST, days=10, visits=2000)).truth
    facts = landed_facts.read(tmp_path, site)
    found = {
        reason for (stream, _), counts in facts.quarantined.items() if stream == "assignments" for reason in counts
    }
    assert found == landed_facts.REASONS
    gateway, day = truth.incidents.offline or pytest.fail("none was planned")
    venue_id = gateway.removeprefix("sim_")
    assert facts.of_venue("assignments", venue_id, day) == []
    assert any(d == day and truth.units.assigned[e, d, arm] for e, d, arm in truth.units.assigned)


@pytest.mark.parametrize("starts", ["00:00", "13:00", "23:00"])
def test_other_starts_of_the_day(site: Site, tmp_path: Path, starts: str) -> None:
    at = datetime.strptime(starts, "%H:%M").time()
    venues = [v.model_copy(update={"day_starts_at": at}) for v in site.venues]
    per_day = experiment(id="light", unit="venue_day", kpi="gmv")
    changed = trying(site, *site.experiments, per_day).model_copy(update={"venues": venues})
    truth = simulate(changed, tmp_path, Options(FIRST, days=1, visits=200, dirt=Dirt.none())).truth
    facts = landed_facts.read(tmp_path, changed)
    assert truth.expected.landed == facts.landed
    assert not any(facts.quarantined.values())
    assert len([r for _, r in records(facts) if r["experiment_id"] == "light"]) == 1


@pytest.mark.parametrize("day", [date(2026, 3, 28), date(2026, 10, 24)])
def test_days_on_which_clocks_change(site: Site, tmp_path: Path, day: date) -> None:
    changed = trying(site, experiment(first_date=day, last_date=day))
    truth = simulate(changed, tmp_path, Options(day, days=1, visits=300, seed=5)).truth
    facts = landed_facts.read(tmp_path, changed)
    assert truth.expected.quarantined == facts.quarantined
    units = truth.expected.units
    for (_, arm), counts in landed_facts.visit_units(facts, "riverside", day).items():
        assert [units.assigned["music", day, arm], units.conversions["music", day, arm]] == counts
    assert units.assigned.total() == len(records(facts)) > 100


def test_linked_identities_name_units_as_terminals_do(site: Site, tmp_path: Path) -> None:
    linked = site.model_copy(update={"identity": "linked"})
    truth = simulate(linked, tmp_path, Options(FIRST, days=1, visits=300)).truth
    facts = landed_facts.read(tmp_path, linked)
    at_terminals = {r["user_id"] for r in facts.of_venue("face_visits", "riverside", FIRST)}
    units = [r["unit_id"].split("/")[0] for r in facts.of_venue("assignments", "riverside", FIRST)]
    assert sum(unit in at_terminals for unit in units) / len(units) > 0.95
    assert all(row["conversions"] for row in truth.to_json()["clean"]["units"])
    # Which links were lost on their way, and so who is who, the truth does not follow.
    assert {row["conversions"] for row in truth.to_json()["expected"]["units"]} == {None}


def test_the_truth_file_tells_what_the_arms_do(site: Site, tmp_path: Path) -> None:
    truth_file = tmp_path / "truth.json"
    truth = simulate(site, tmp_path, Options(FIRST, days=1, visits=200, world="by_group"), truth_file=truth_file).truth
    written = json.loads(truth_file.read_bytes())
    assert written["options"]["world"] == "by_group"
    rows = {(r["experiment_id"], r["arm"]): r for r in written["experiments"]}
    assert [*rows] == [
        ("voucher", "none"),
        ("voucher", "tea"),
        ("voucher", "second_half_price"),
        ("welcome_screen", "plain"),
        ("welcome_screen", "greeting"),
    ]
    assert rows["voucher", "tea"]["effect_by_group"] == {"member": 0.0, "stranger": 0.03}
    assert rows["welcome_screen", "greeting"]["effect_by_group"] == {"member": 0.03, "stranger": -0.03}
    key = ("voucher", FIRST, "tea")
    row = next(r for r in written["clean"]["units"] if (r["experiment_id"], r["arm"]) == ("voucher", "tea"))
    assert row == {
        "experiment_id": "voucher",
        "event_date": str(FIRST),
        "arm": "tea",
        "assigned": truth.units.assigned[key],
        "units": truth.units.units[key],
        "conversions": truth.units.conversions[key],
    }
    assert rows["voucher", "tea"]["units"] == row["units"] > 0


def test_an_unknown_world_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"world: 'best' is given; one of \['none', 'one_best', 'by_group'\] is expected"
    ):
        Options(FIRST, world="best")  # type: ignore[arg-type]
