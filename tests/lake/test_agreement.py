"""The tables equal an independent recomputation from the landed files, on simulated and on adversarial days."""

from __future__ import annotations

import shutil
import tempfile
from datetime import date, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from edge_collector.site import load_site
from tests.conftest import REPOSITORY
from tests.lake.agreement import assert_agreement
from tests.oracle.adversarial import Scenario, landings
from venue_assets.home import Home
from venue_assets.simulate import Options, simulate

# Berlin forward and back, Lord Howe (half an hour) back; forward there is in October too.
FIRST_DAYS = (date(2026, 3, 28), date(2026, 10, 24), date(2026, 4, 4))


def test_simulated_days_with_all_their_dirt(home: Home) -> None:
    options = Options(date(2026, 1, 5), days=9, visits=120)
    simulate(home.site, home.landing, options)
    assert_agreement(home.root, *options.dates)


def test_days_on_which_clocks_change(tmp_path: Path) -> None:
    site = (REPOSITORY / "data" / "site.toml").read_text().replace("opened_on = 2026-01-01", "opened_on = 2025-01-01")
    (tmp_path / "site.toml").write_text(site.replace("Asia/Shanghai", "Australia/Lord_Howe"))
    for first in FIRST_DAYS:
        simulate(load_site(tmp_path / "site.toml"), tmp_path / "landing", Options(first, days=2, visits=60))
    assert_agreement(tmp_path, *(first + timedelta(days=n) for first in FIRST_DAYS for n in (0, 1)))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(landings())
def test_adversarial_days(scenario: Scenario) -> None:
    data = Path(tempfile.mkdtemp())
    try:
        scenario.write(data)
        assert_agreement(data, *scenario.dates)
    finally:
        shutil.rmtree(data)
