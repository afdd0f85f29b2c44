"""The tables equal an independent recomputation from the landed files, on simulated and on adversarial days."""

from __future__ import annotations

import shutil
import tempfile
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_collector.site import load_site
from tests.conftest import REPOSITORY
from tests.lake.agreement import assert_agreement
from tests.oracle.adversarial import landings
from tests.oracle.landing_writer import Scenario
from venue_assets.home import Home
from venue_assets.lake import landed
from venue_assets.simulate import Options, simulate

IDENTITY = pa.schema({"gateway_id": pa.string(), "boot_id": pa.string(), "seq": pa.int64()})

# Berlin forward and back, Lord Howe (half an hour) back; forward there is in October too.
FIRST_DAYS = (date(2026, 3, 28), date(2026, 10, 24), date(2026, 4, 4))


def test_simulated_days_with_all_their_dirt(home: Home) -> None:
    options = Options(date(2026, 1, 5), days=9, visits=120)
    simulate(home.site, home.landing, options)
    assert_agreement(home.root, *options.dates)


def test_days_that_are_judged_in_many_batches(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent again is mostly found in another batch than what was sent first."""
    monkeypatch.setattr(landed, "_BATCH_BYTES", 2000)
    monkeypatch.setattr(landed, "_EVIDENCE_ROWS", 5)
    options = Options(date(2026, 1, 5), days=3, visits=80)
    simulate(home.site, home.landing, options)
    assert_agreement(home.root, *options.dates)


@given(st.lists(st.lists(st.one_of(st.none(), st.tuples(*[st.sampled_from("ab")] * 2, st.integers(1, 4))))))
def test_an_identity_is_seen_once(batches: list[list[tuple[str, str, int] | None]]) -> None:
    seen, told = landed.Seen(), set()
    for batch in batches:
        names = ("gateway_id", "boot_id", "seq")
        columns = zip(*(row or (None, None, None) for row in batch), strict=True) if batch else ([], [], [])
        rows = pa.table(dict(zip(names, map(list, columns), strict=True)), IDENTITY)
        expected = []
        for row in batch:
            expected.append(row in told)
            told |= {row} - {None}
        assert seen.again(rows).tolist() == expected


def test_days_on_which_clocks_change(tmp_path: Path) -> None:
    site = (REPOSITORY / "data" / "site.toml").read_text().replace("opened_on = 2026-01-01", "opened_on = 2025-01-01")
    (tmp_path / "site.toml").write_text(site.replace("Asia/Shanghai", "Australia/Lord_Howe"))
    for first in FIRST_DAYS:
        simulate(load_site(tmp_path / "site.toml"), tmp_path / "landing", Options(first, days=2, visits=60))
    assert_agreement(tmp_path, *(first + timedelta(days=n) for first in FIRST_DAYS for n in (0, 1)))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(landings())
def test_adversarial_days(scenario: Scenario) -> None:
    data = Path(tempfile.mkdtemp())
    try:
        scenario.write(data)
        assert_agreement(data, *scenario.dates)
    finally:
        shutil.rmtree(data)
