"""The shipped maps fit their sites, and that of Calit2 its source; the one of Online Retail is in test_order_book."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.importing.conftest import Bench

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "data" / "examples"
DATA = REPOSITORY.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder shared/data is not beside the repository")


@needs_data
def test_calit2(example_bench: Callable[[str], Bench]) -> None:
    bench = example_bench("calit2")
    result = bench.run("counts", DATA / "calit2", map_path=EXAMPLES / "calit2" / "map.toml")
    assert (result.rows_read, result.landed, result.rejected, result.records) == (10_082, 10_077, 5, 5_039)
    assert (result.ambiguous, result.nonexistent, len(result.event_dates)) == (4, 0, 105)
    assert result.rejects_file is not None
    found = re.findall(r"^(cal-\w+\.csv),(\d+),", result.rejects_file.read_text(), re.MULTILINE)
    assert found == [
        ("cal-inflow.csv", "3994"),
        ("cal-inflow.csv", "4745"),
        ("cal-outflow.csv", "3994"),
        ("cal-outflow.csv", "3995"),
        ("cal-outflow.csv", "4746"),
    ]
    records = bench.records("entrance_counts")
    assert sum(r["in_count"] for r in records) == max(r["in_total"] for r in records) == 19_625
    assert sum(r["out_count"] or 0 for r in records) == max(r["out_total"] or 0 for r in records) == 18_806
    assert [r["interval_start"] for r in records if r["out_count"] is None] == ["2005-10-30T20:00:00.000-08:00"]
    again = bench.run("counts", DATA / "calit2" / "cal-outflow.csv", map_path=EXAMPLES / "calit2" / "map.toml")
    assert again.nothing_new


@pytest.mark.parametrize("name", ["calit2", "online_retail"])
def test_example_maps_fit_their_sites(name: str) -> None:
    from edge_collector.foreign_files.column_map import load_map
    from edge_collector.site import load_site

    bound = load_map(EXAMPLES / name / "map.toml", load_site(EXAMPLES / name / "site.toml"))
    assert bound.gateway_id == f"import_{name}"
    assert "map.toml" in (EXAMPLES / name / "README.md").read_text()
