"""The simulator as a tool: repeatable, considerate of what is not its own, clear about wrong input."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from edge_collector.segment import write_segment
from edge_collector.site import Site, load_site
from tests.simulate import landed_facts
from venue_assets.simulate import Dirt, Options, remove, simulate

SITE = Path(__file__).parents[2] / "data" / "site.toml"
FIRST = date(2026, 1, 5)


@pytest.fixture
def site() -> Site:
    return load_site(SITE)


def digests(landing: Path) -> dict[str, str]:
    return {
        str(p.relative_to(landing)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(landing.rglob("*"))
        if p.is_file()
    }


def test_same_seed_same_bytes(site: Site, tmp_path: Path) -> None:
    options = Options(FIRST, days=7, visits=150)
    for name in ("a", "b"):
        simulate(site, tmp_path / name / "landing", options, truth_file=tmp_path / name / "truth.json")
    simulate(site, tmp_path / "c", Options(FIRST, days=7, visits=150, seed=2))
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert not set(digests(tmp_path / "a" / "landing").values()) & set(digests(tmp_path / "c").values())


def test_clean_truth_of_a_date_does_not_depend_on_the_other_dates(site: Site, tmp_path: Path) -> None:
    long = simulate(site, tmp_path / "a", Options(FIRST, days=4, visits=150)).truth.clean
    alone = simulate(site, tmp_path / "b", Options(date(2026, 1, 7), days=1, visits=150)).truth.clean
    assert len(alone) == 2
    assert alone.items() <= long.items()


def test_landing_again_changes_nothing(site: Site, tmp_path: Path) -> None:
    options = Options(FIRST, days=2, visits=100)
    simulate(site, tmp_path, options)
    before = digests(tmp_path)
    simulate(site, tmp_path, options)
    assert digests(tmp_path) == before


def test_remove_touches_only_simulated_gateways(site: Site, tmp_path: Path) -> None:
    simulate(site, tmp_path, Options(FIRST, days=2, visits=100))
    simulated = len(digests(tmp_path))
    foreign = write_segment(
        tmp_path,
        stream="orders",
        event_date=FIRST,
        gateway_id="gw_sim",
        boot_id="b1",
        lines=[b"{}"],
        seqs=[1],
        created_at=datetime(2026, 1, 5, 12, tzinfo=UTC),
    )
    note = tmp_path / "orders" / f"event_date={FIRST}" / "sim_notes.txt"
    note.write_text("not a segment")
    odd = note.with_name("sim-odd.manifest.json")
    odd.write_text("not a segment's name")
    assert remove(tmp_path) == simulated
    assert set(tmp_path.rglob("*.*")) == {foreign, foreign.with_name("gw_sim-b1-1-1.jsonl.zst"), note, odd}
    assert [p.name for p in tmp_path.iterdir()] == ["orders"]
    assert remove(tmp_path) == 0
    assert remove(tmp_path / "absent") == 0


def test_only_simulated_gateways_and_their_venues_take_part(site: Site, tmp_path: Path) -> None:
    devices = [
        d.model_copy(update={"gateway_id": "real_one"}) if d.venue_id == "harbour" or d.id == "till" else d
        for d in site.devices
    ]
    run = simulate(site.model_copy(update={"devices": devices}), tmp_path, Options(FIRST, days=1, visits=100))
    assert {venue for venue, _ in run.truth.expected.figures} == {"riverside"}
    assert not (tmp_path / "orders").exists()
    assert run.truth.expected.figures["riverside", FIRST].metrics.gmv is None
    real = [d.model_copy(update={"gateway_id": "real_one"}) for d in site.devices]
    with pytest.raises(ValueError, match="nothing to simulate"):
        simulate(site.model_copy(update={"devices": real}), tmp_path, Options(FIRST))


def test_several_gateways_and_a_gateway_of_two_venues(site: Site, tmp_path: Path) -> None:
    """Riverside's terminal hangs at harbour's gateway, and each venue has a lone sensor that counts both ways."""
    changes = {
        ("riverside", "terminal"): {"gateway_id": "sim_harbour"},
        ("riverside", "entrance"): {"counting": "passages", "in_share": 0.5},
        ("harbour", "entrance_west"): {"counting": "passages"},
    }
    devices = [d.model_copy(update=changes.get((d.venue_id, d.id), {})) for d in site.devices]
    changed = site.model_copy(update={"devices": devices})
    truth = simulate(changed, tmp_path, Options(FIRST, days=2, visits=200)).truth
    facts = landed_facts.read(tmp_path, changed)
    assert truth.expected.landed == facts.landed
    for (venue_id, day), f in truth.expected.figures.items():
        found = landed_facts.primary_metrics(facts, venue_id, day)
        assert (f.metrics.pv, f.metrics.uv, f.metrics.gmv) == (found["pv"], found["uv"], found["gmv"])
        half = found["pf_entrance"] * 0.5 if venue_id == "riverside" else None
        assert f.metrics.pf_entrance == half
        assert (f.metrics.ocr is None) == (venue_id == "harbour")


@pytest.mark.parametrize("day", [date(2026, 3, 28), date(2026, 10, 24), date(2026, 3, 29)])
def test_days_on_which_clocks_change(site: Site, tmp_path: Path, day: date) -> None:
    truth = simulate(site, tmp_path, Options(day, days=1, visits=300, seed=5)).truth
    facts = landed_facts.read(tmp_path, site)
    assert truth.expected.landed == facts.landed
    assert truth.expected.quarantined == facts.quarantined


@pytest.mark.parametrize("starts", ["00:00", "13:00", "23:00"])
def test_other_starts_of_the_day(site: Site, tmp_path: Path, starts: str) -> None:
    at = datetime.strptime(starts, "%H:%M").time()
    venues = [v.model_copy(update={"day_starts_at": at}) for v in site.venues]
    changed = site.model_copy(update={"venues": venues})
    truth = simulate(changed, tmp_path, Options(FIRST, days=1, visits=200, dirt=Dirt.none())).truth
    facts = landed_facts.read(tmp_path, changed)
    assert truth.expected.landed == facts.landed
    assert not any(facts.quarantined.values())


def test_linked_identities_change_no_primary_metric(site: Site, tmp_path: Path) -> None:
    options = Options(FIRST, days=1, visits=300)
    shared = simulate(site, tmp_path / "shared", options).truth
    linked = simulate(site.model_copy(update={"identity": "linked"}), tmp_path / "linked", options).truth
    assert linked.clean == shared.clean
    facts = landed_facts.read(tmp_path / "linked", site)
    at_terminals = {r["user_id"] for r in facts.of_venue("face_visits", "riverside", FIRST)}
    at_tills = {r["user_id"] for r in facts.of_venue("orders", "riverside", FIRST) if r["user_id"]}
    links = {r["terminal_user_id"]: r["member_user_id"] for r in facts.clean["identity_links", FIRST]}
    assert len(set(links.values())) == len(links) > 10
    assert len(at_tills & {links.get(u, u) for u in at_terminals}) > len(at_tills & at_terminals)


def test_venues_take_part_from_their_opening_on(site: Site, tmp_path: Path) -> None:
    venues = [site.venues[0], site.venues[1].model_copy(update={"opened_on": date(2026, 1, 6)})]
    run = simulate(site.model_copy(update={"venues": venues}), tmp_path, Options(FIRST, days=2, visits=100))
    assert set(run.truth.expected.figures) == {
        ("riverside", FIRST),
        ("riverside", date(2026, 1, 6)),
        ("harbour", date(2026, 1, 6)),
    }
    with pytest.raises(ValueError, match="no venue opens before 2026-01-01"):
        simulate(site, tmp_path, Options(date(2025, 1, 1), days=3))


def test_tiny_and_uneven_runs(site: Site, tmp_path: Path) -> None:
    options = Options(FIRST, days=7, visits=1, interval_seconds=420, segment_lines=40)
    dates: list[date] = []
    run = simulate(site, tmp_path, options, progress=dates.append)
    assert dates == options.dates
    facts = landed_facts.read(tmp_path, site)
    assert run.truth.expected.landed == facts.landed
    assert run.segments == len(list(tmp_path.rglob("*.manifest.json")))


@pytest.mark.parametrize("wrong", [{"days": 0}, {"visits": -1}, {"seed": -1}, {"interval_seconds": 0}])
def test_wrong_options_are_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: .* is given; .* is expected"):
        Options(FIRST, **wrong)
    with pytest.raises(ValueError, match=r"malformed: 2 is given; a rate from 0 to 1 is expected"):
        Dirt(malformed=2)
