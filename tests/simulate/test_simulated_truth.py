"""The simulator's truth against an independent reading of what it landed."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from edge_collector.contract import Malformed, canonical_pattern, columns, parse
from edge_collector.segment import Refused, manifests, numbered_lines, ranges, read_manifest, read_segment, segment_of
from edge_collector.site import Site, load_site
from tests.simulate import landed_facts
from venue_assets.simulate import Dirt, Options, Outcome, Simulation, simulate

SITE = Path(__file__).parents[2] / "data" / "site.toml"
FIRST = date(2026, 1, 5)


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(SITE)


@pytest.fixture(scope="module")
def run(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    landing = tmp_path_factory.mktemp("dirty") / "landing"
    return simulate(site, landing, Options(FIRST, days=11, visits=700), truth_file=landing.parent / "truth.json")


@pytest.fixture(scope="module")
def facts(site: Site, run: Simulation) -> landed_facts.Facts:
    return landed_facts.read(run.landing, site)


def agrees(outcome: Outcome, facts: landed_facts.Facts) -> None:
    assert outcome.landed == facts.landed
    assert outcome.quarantined == facts.quarantined
    assert dict(outcome.refused) == dict(facts.refused)
    for stream, day in facts.landed:
        assert outcome.clean(stream, day) == len(facts.clean.get((stream, day), []))
    for (venue_id, day), figures in outcome.figures.items():
        found = landed_facts.primary_metrics(facts, venue_id, day)
        assert asdict(figures.metrics) == pytest.approx(found), (venue_id, day)
        states = landed_facts.sessions(facts, venue_id, day)[0]
        assert asdict(figures.sessions) == {s: states[s] for s in ("complete", "overlong", "no_exit", "no_entry")}
        assert figures.superseded == landed_facts.current_lines(facts, venue_id, day)[1]
    units = {
        (experiment_id, day, arm): tuple(counts)
        for venue_id, day in outcome.figures
        for (experiment_id, arm), counts in landed_facts.visit_units(facts, venue_id, day).items()
    }
    conversions = outcome.units.conversions
    assert {key: (n, conversions[key]) for key, n in outcome.units.assigned.items()} == units
    assert outcome.units.units == outcome.units.assigned


def test_expected_is_what_the_files_hold(run: Simulation, facts: landed_facts.Facts) -> None:
    agrees(run.truth.expected, facts)
    assert len(run.truth.expected.figures) == 2 * 11


def test_clean_is_what_the_files_hold_without_dirt(site: Site, run: Simulation, tmp_path: Path) -> None:
    options = Options(FIRST, days=3, visits=700, dirt=Dirt.none())
    clean = simulate(site, tmp_path, options)
    facts = landed_facts.read(tmp_path, site)
    agrees(clean.truth.expected, facts)
    assert clean.truth.expected.figures == clean.truth.clean
    assert not any(clean.truth.expected.quarantined.values())
    assert not clean.truth.missing_seqs
    assert all(f.sessions.complete == f.metrics.pv for f in clean.truth.clean.values())
    # and it is the clean truth of a longer, dirty run too
    assert clean.truth.clean.items() <= run.truth.clean.items()


def test_truth_holds_without_late_segments_too(site: Site, tmp_path: Path) -> None:
    options = Options(FIRST, days=4, visits=500, seed=3, dirt=Dirt(late_segments=0.1))
    run = simulate(site, tmp_path, options, hold_late=True)
    assert run.late
    agrees(run.truth.before_late, landed_facts.read(tmp_path, site))
    before, held = run.segments, len(run.late)
    assert run.land_late() == held
    assert run.segments == before + held
    assert run.land_late() == 0
    agrees(run.truth.expected, landed_facts.read(tmp_path, site))
    assert run.truth.expected.figures != run.truth.before_late.figures


def test_every_reason_and_incident_occurs(run: Simulation, facts: landed_facts.Facts) -> None:
    found = {reason for counts in facts.quarantined.values() for reason in counts}
    assert found == landed_facts.REASONS
    assert facts.refused.total() == 2
    assert any("out_of_range" in counts for (stream, _), counts in facts.quarantined.items() if stream == "face_visits")
    states = [f.sessions for f in run.truth.expected.figures.values()]
    assert all(s.no_exit and s.complete for s in states if s.complete)
    assert any(s.no_entry for s in states)
    assert any(f.superseded for f in run.truth.expected.figures.values())


def test_offline_gateway(run: Simulation) -> None:
    gateway, day = run.truth.incidents.offline or pytest.fail("none was planned")
    assert not list(run.landing.glob(f"*/event_date={day}/{gateway}-*"))
    (venue,) = (v for v, d in run.truth.clean if d == day and v in gateway)
    metrics = run.truth.expected.figures[venue, day].metrics
    assert (metrics.pf_range, metrics.pf_entrance, metrics.ocr, metrics.recognition_share) == (None,) * 4
    assert (metrics.pv, metrics.uv, metrics.completed_orders, metrics.gmv) == (0, 0, 0, Decimal(0))
    assert metrics.lov_mean_seconds is None
    assert (run.truth.clean[venue, day].metrics.pv or 0) > 0


def test_missing_numbers(run: Simulation, facts: landed_facts.Facts) -> None:
    missing = {}
    for key, seqs in facts.manifest_seqs.items():
        if gap := ranges(set(range(min(seqs), max(seqs) + 1)) - seqs):
            missing[key] = gap
    assert missing == run.truth.missing_seqs
    assert missing


def test_rates(run: Simulation, facts: landed_facts.Facts) -> None:
    lines = facts.landed.total()
    total = {reason: sum(c[reason] for c in facts.quarantined.values()) for reason in ("malformed", "duplicate")}
    assert total["malformed"] / lines == pytest.approx(0.01, rel=0.2)
    assert total["duplicate"] / lines == pytest.approx(0.02, rel=0.2)
    unsynced = [r["clock"] == "unsynced" for rows in facts.clean.values() for r in rows]
    assert sum(unsynced) / len(unsynced) == pytest.approx(0.0075, rel=0.3)
    share = [f.sessions.no_exit / f.metrics.pv for f in run.truth.expected.figures.values() if f.metrics.pv]
    assert sum(share) / len(share) == pytest.approx(0.06, abs=0.02)  # missing leaves, double enters, lost leaves


def test_a_plausible_venue(run: Simulation) -> None:
    figures = run.truth.clean
    for f in figures.values():
        m = f.metrics
        assert m.pf_range and m.pf_entrance and m.pv and m.uv and m.completed_orders and m.gmv  # noqa: PT018
        assert m.pf_range > 3 * m.pf_entrance
        assert m.pv <= m.pf_entrance
        assert m.recognition_share == pytest.approx(0.8, abs=0.08)
        assert m.uv <= m.pv
        assert m.lov_median_seconds == pytest.approx(1200, rel=0.25)
        assert 0 <= (m.gmv_anonymous or 0) < m.gmv
    pv = sum(f.metrics.pv or 0 for f in figures.values())
    orders = sum(f.metrics.completed_orders or 0 for f in figures.values())
    assert pv / 11 == pytest.approx(700, rel=0.25)
    assert orders / pv == pytest.approx(0.145, abs=0.03)
    by_weekday = defaultdict(list)
    for (_, day), f in figures.items():
        by_weekday[day.weekday()].append(f.metrics.pv or 0)
    assert max(by_weekday[5]) > 1.2 * min(by_weekday[0])


def test_members_come_back_under_one_pseudonym(facts: landed_facts.Facts) -> None:
    dates = defaultdict(set)
    venues = defaultdict(set)
    for (stream, day), rows in facts.clean.items():
        if stream == "face_visits":
            for r in rows:
                dates[r["user_id"]].add(day)
                venues[r["user_id"]].add(r["venue_id"])
    often = [user for user, days in dates.items() if len(days) >= 3]
    assert len(often) > 50
    assert any(len(v) == 2 for v in venues.values())
    assert all(re.fullmatch(r"[A-Za-z0-9_.]+:[0-9a-f]{32}", user) for user in dates)


def test_totals_prove_the_counts(site: Site, tmp_path: Path) -> None:
    simulate(site, tmp_path, Options(FIRST, days=8, visits=200, dirt=Dirt.none()))
    facts = landed_facts.read(tmp_path, site)
    by_device = defaultdict(list)
    for (stream, _), rows in facts.clean.items():
        if stream.endswith("_counts"):
            for r in rows:
                by_device[stream, r["venue_id"], r["device_id"]].append(r)
    opened = 0
    for rows in by_device.values():
        rows.sort(key=lambda r: datetime.fromisoformat(r["interval_start"]))
        for before, after in pairwise(rows):
            assert datetime.fromisoformat(before["interval_end"]) == datetime.fromisoformat(after["interval_start"])
            new = after["device_epoch"] != before["device_epoch"]
            opened += new
            for way in ("in", "out"):
                if after[f"{way}_count"] is not None:
                    assert after[f"{way}_total"] == after[f"{way}_count"] + (0 if new else before[f"{way}_total"])
    events = [r for (stream, _), rows in facts.clean.items() if stream == "gateway_events" for r in rows]
    assert opened == sum(r["kind"] == "epoch_opened" for r in events) > 0
    assert sum(r["kind"] == "heartbeat" for r in events) == 2 * 8 * 24


def test_lines_are_judged_alike_by_the_reference_parser(run: Simulation) -> None:
    bulk = {stream: re.compile(canonical_pattern(stream)) for stream in landed_facts.FIELDS}
    refused = 0
    for stream in landed_facts.FIELDS:
        for path in manifests(run.landing, stream, FIRST):
            for _, line in numbered_lines(read_segment(segment_of(path), read_manifest(path))):
                mine = landed_facts.parsed(stream, line)
                if mine is None:
                    refused += 1
                    with pytest.raises(Malformed):
                        parse(stream, line)
                else:
                    assert bulk[stream].fullmatch(line.decode()), line
                    assert list(mine) == [c.name for c in columns(stream)]
    assert refused > 20


def test_refused_segments_are_refused_by_the_reader(run: Simulation) -> None:
    found = []
    for stream, day, _ in run.truth.expected.refused:
        for path in manifests(run.landing, stream, day):
            try:
                read_segment(segment_of(path), read_manifest(path))
            except Refused as refusal:
                found.append((stream, day, refusal.reason))
    assert sorted(found) == sorted(run.truth.expected.refused)


def test_no_manifest_is_older_than_its_date_or_much_younger(run: Simulation, facts: landed_facts.Facts) -> None:
    end = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=13)
    assert max(facts.created) < end
    assert min(facts.created) > datetime(2026, 1, 4, 20, tzinfo=UTC)


def test_truth_file(run: Simulation) -> None:
    text = json.loads((run.landing.parent / "truth.json").read_bytes())
    rows = text["expected"]["primary_metrics"]
    assert len(rows) == len(text["clean"]["primary_metrics"]) == 22
    assert re.fullmatch(r"\d+\.\d\d", rows[0]["gmv"])
    by_key = {(r["venue_id"], r["event_date"]): r for r in rows}
    for (venue_id, day), f in run.truth.expected.figures.items():
        assert by_key[venue_id, str(day)] == {
            "venue_id": venue_id,
            "event_date": str(day),
            **f.metrics.to_json(),
        }
    assert sum(r["landed"] for r in text["expected"]["landed"]) == run.truth.expected.landed.total()
    assert text["options"]["dirt"]["malformed"] == 0.01
