"""`venue demo`: the same options change nothing, others replace what it landed and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from edge_collector.segment import segment_of, write_segment
from tests.cli.commands import DAY, done, empty_home, files, is_refused, venue
from tests.conftest import compute
from venue_assets.cli.demo import forget_unlanded, land, not_fresh
from venue_assets.home import Home
from venue_assets.lake.store import Lake
from venue_assets.simulate import Options
from venue_assets.tables.catalogue import catalogue


def test_demo_again_and_otherwise(tmp_path: Path) -> None:
    home = tmp_path / "home"
    said = done(home, "demo", "--days", "2", "--visits", "60", "--no-ui")
    assert "Reconciled with the truth" in said
    assert f"VENUE_DATA={home}" in said
    # Nobody is a fraction of a person, also where a count is stored as one; money has its cents.
    assert re.search(r"pf_entrance +│ +[\d,]+ +│ +[\d,]+ +│", said)
    assert re.search(r"gmv, EUR +│ +[\d,]+\.\d\d +│ +[\d,]+\.\d\d +│", said)
    for page in (home / "published" / "reports" / name for name in ("2026-01-06.html", "2026-01-06.zh.html")):
        assert f" {page}\n" in said
        assert page.exists()

    written = files(home / "landing", home / "lake", home / "published")
    said = done(home, "demo", "--days", "2", "--visits", "60", "--no-ui")
    assert "Simulated before with the same options" in said
    assert "Every table is fresh: nothing to compute" in said
    assert "Reconciled with the truth" in said
    assert files(home / "landing", home / "lake", home / "published") == written

    manifest = write_segment(
        home / "landing",
        stream="orders",
        event_date=date(2026, 1, 5),
        gateway_id="foo",
        boot_id="b",
        lines=[b'{"not": "an order"}'],
        seqs=[1],
        created_at=datetime(2026, 1, 5, 20, tzinfo=UTC),
    )
    foreign = {path: path.read_bytes() for path in (manifest, segment_of(manifest))}
    assert sorted(path.name for path in foreign) == ["foo-b-1-1.jsonl.zst", "foo-b-1-1.manifest.json"]

    # What cannot be simulated is refused before anything is removed.
    landed = files(home / "landing")
    is_refused(venue(home, "demo", "--no-ui", "--from", "2020-01-01"), "no venue opens before")
    assert files(home / "landing") == landed

    said = done(home, "demo", "--days", "2", "--visits", "50", "--seed", "2", "--no-ui")
    assert "Simulated 2 days from 2026-01-05" in said
    assert "Materialized" in said
    assert "Reconciled with the truth" in said
    after = files(home / "landing")
    assert {path: path.read_bytes() for path in foreign} == foreign
    assert {path for path in landed if landed[path] == after.get(path)} == set(foreign)
    assert all(path.name.startswith("sim") for path in after.keys() - foreign.keys())
    assert done(home, "status", "--problems") == "Every date is fresh\n"
    assert "1" in done(home, "query", "SELECT count(*) FROM quarantine WHERE segment LIKE 'foo-%'", "--format", "csv")


def test_what_a_longer_simulation_left_between_other_records_is_forgotten(tmp_path: Path) -> None:
    """The venues were closed there, as far as the landing tells now."""
    home = Home(empty_home(tmp_path))
    first = date(2026, 1, 5)
    land(home, Options(first_date=first, days=3, visits=20))
    raw = [table.name for table in catalogue() if table.is_landed]
    compute(home, *(first + timedelta(days=n) for n in range(3)), tables=raw)
    write_segment(
        home.landing,
        stream="orders",
        event_date=date(2026, 1, 12),
        gateway_id="foo",
        boot_id="b",
        lines=[b'{"not": "an order"}'],
        seqs=[1],
        created_at=datetime(2026, 1, 12, 20, tzinfo=UTC),
    )
    land(home, Options(first_date=first, days=1, visits=20))
    forget_unlanded(home)
    due = not_fresh(home)
    assert date(2026, 1, 7) in due
    assert [result.table.name for result in compute(home, *due, tables=raw)] == raw * len(due)
    assert Lake(home.lake).dates("raw_orders") == due


def test_what_a_simulation_advises_works_where_it_lands_less_than_an_earlier_one(tmp_path: Path) -> None:
    """Of one visit there is nobody whose cards were found to be one person's."""
    home = empty_home(tmp_path)
    done(home, "simulate", "--days", "1", "--visits", "300")
    done(home, "materialize", DAY, "--select", "landed_segments,raw_identity_links")
    said = done(home, "simulate", "--days", "1", "--visits", "1")
    assert not (home / "landing" / "identity_links").exists()
    steps = re.findall(r"venue (materialize .*?)  +- ", said)
    assert steps == [f"materialize {DAY}...{DAY} --withdraw", f"materialize {DAY}...{DAY}"]
    done(home, *steps[0].split())
    assert done(home, "status", "--problems") == "Every date is fresh\n"
