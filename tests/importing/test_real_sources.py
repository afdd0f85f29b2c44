"""The two real sources, with the maps that ship for them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from edge_collector import contract

if TYPE_CHECKING:
    from conftest import Bench

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


@needs_data
def test_online_retail(example_bench: Callable[[str], Bench]) -> None:
    bench = example_bench("online_retail")
    map_path = EXAMPLES / "online_retail" / "map.toml"
    result = bench.run("orders", DATA / "online_retail", map_path=map_path)
    assert (result.rows_read, result.landed, result.rejected) == (525_461, 525_461, 0)
    records = bench.records("orders")
    assert Counter(r["status"] for r in records) == {"completed": 515_255, "cancelled": 10_206}
    assert sum(r["user_id"] is None for r in records) == 107_927
    assert sum(r["quantity"] < 1 for r in records) == 2_121
    assert sum(r["amount"].startswith("-") for r in records) == 3
    assert len({(r["order_id"], r["order_no"]) for r in records}) == len(records)
    times: dict[str, set[str]] = {}
    for r in records:
        times.setdefault(r["order_id"], set()).add(r["ordered_at"])
    assert len(times) == 28_816
    assert all(len(t) == 1 for t in times.values())

    frame = pl.read_parquet(DATA / "online_retail" / "*.parquet", columns=["Invoice", "Quantity", "Price"])
    expected: Counter[str] = Counter()
    for invoice, quantity, price in frame.rows():
        amount = (quantity * Decimal(str(price))).quantize(Decimal("0.01"), ROUND_HALF_UP)
        expected["cancelled" if invoice.startswith("C") else "completed"] += (
            abs(amount) if invoice.startswith("C") else amount
        )
    landed: Counter[str] = Counter()
    for r in records:
        landed[r["status"]] += Decimal(r["amount"])  # type: ignore[assignment]
    assert landed == expected

    lines = bench.lines("orders")
    pattern = re.compile(contract.canonical_pattern("orders"))
    assert all(pattern.match(line.decode()) for line in lines)
    customers = pl.read_parquet(DATA / "online_retail" / "*.parquet", columns=["Customer ID"]).drop_nulls()
    for number in customers["Customer ID"].unique().sort().cast(int).to_list()[::500]:
        assert not [line for line in lines[::10] if f'"{number}' in line.decode()]


@pytest.mark.parametrize("name", ["calit2", "online_retail"])
def test_example_maps_fit_their_sites(name: str) -> None:
    from edge_collector.column_map import load_map
    from edge_collector.site import load_site

    bound = load_map(EXAMPLES / name / "map.toml", load_site(EXAMPLES / name / "site.toml"))
    assert bound.gateway_id == f"import_{name}"
    assert "map.toml" in (EXAMPLES / name / "README.md").read_text()
