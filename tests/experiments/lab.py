"""What tests of experiments share: sites with experiments, assignments, units put where the engine would put them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from edge_collector.segment import write_segment
from tests.conftest import REPOSITORY, compute, rows
from tests.conftest import upstream as upstream
from tests.oracle.landing_writer import site_toml
from venue_assets.home import Home
from venue_assets.lake.store import Lake
from venue_assets.tables.catalogue import catalogue

DAY = timedelta(days=1)
DEVICES = {"riverside": ("sim_riverside", "screen"), "harbour": ("sim_harbour", "voucher_printer")}
FIRST = date(2026, 1, 8)
TEST: dict[str, Any] = {
    "id": "screen_test",
    "venue_id": "riverside",
    "kind": "randomised",
    "unit": "visit",
    "arms": ["plain", "greeting"],
    "kpi": ["conversion"],
    "minimum_effect": 0.1,
    "first_date": FIRST,
    "last_date": FIRST + 9 * DAY,
}


def shipped_site(*experiments: dict[str, Any]) -> str:
    """The shipped venues and activities, with other experiments."""
    text = (REPOSITORY / "data" / "site.toml").read_text(encoding="utf-8").partition("[[experiments]]")[0]
    return text + "\n" + site_toml({"experiments": list(experiments)})


def make_home(root: Path, *experiments: dict[str, Any]) -> Home:
    root.mkdir(parents=True, exist_ok=True)
    (root / "site.toml").write_text(shipped_site(*experiments), encoding="utf-8")
    return Home(root)


@dataclass(frozen=True)
class Assignment:
    """A record of the stream; all but the first three as they mostly are."""

    unit_id: str
    arm: str
    at: datetime
    day: date
    experiment_id: str = "screen_test"
    venue_id: str = "riverside"
    propensity: float = 0.5
    leaf_id: int | None = None
    allocation_id: str | None = None


def land_assignments(home: Home, assignments: Iterable[Assignment], boot_id: str = "lab") -> None:
    """One segment per gateway and event date."""
    of: dict[tuple[str, date], list[Assignment]] = defaultdict(list)
    for assignment in assignments:
        of[assignment.venue_id, assignment.day].append(assignment)
    for (venue_id, day), given in of.items():
        gateway_id, device_id = DEVICES[venue_id]
        first = 1 + 100_000 * day.toordinal()
        lines = [
            json.dumps(
                {
                    "gateway_id": gateway_id,
                    "boot_id": boot_id,
                    "seq": first + n,
                    "venue_id": venue_id,
                    "device_id": device_id,
                    "recorded_at": a.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
                    "clock": "synced",
                    "experiment_id": a.experiment_id,
                    "unit_id": a.unit_id,
                    "arm": a.arm,
                    "propensity": a.propensity,
                    "leaf_id": a.leaf_id,
                    "allocation_id": a.allocation_id,
                }
            ).encode()
            for n, a in enumerate(given)
        ]
        write_segment(
            home.landing, stream="assignments", event_date=day, gateway_id=gateway_id, boot_id=boot_id, lines=lines,
            seqs=range(first, first + len(lines)), created_at=datetime.combine(day + DAY, datetime.min.time(), UTC),
        )  # fmt: skip


def put(home: Home, name: str, day: date, made: list[dict[str, Any]]) -> None:
    """Rows of a table into the lake; columns that are not given stay empty."""
    table, lake = catalogue()[name], Lake(home.lake)
    schema = pa.schema([field.with_nullable(True) for field in table.schema])
    with lake.draft(
        name, day, schema, pa.Table.from_pylist(made, schema).to_batches(), code=table.code, inputs={}
    ) as d:
        lake.put(name, day, d)


def unit(n: int, arm: str, reward: float, day: date, **others: Any) -> dict[str, Any]:
    """A unit of TEST."""
    return {
        "experiment_id": "screen_test",
        "unit_id": f"u{n:06d}",
        "kpi": "conversion",
        "position": 0,
        "arm": arm,
        "propensity": 0.5,
        "assigned_on": day,
        "matched": True,
        "reward": float(reward),
    } | others


def put_days(home: Home, days: dict[date, list[dict[str, Any]]], baseline: list[dict[str, Any]] | None = None) -> None:
    """Units of each date, and on the first one what was known before."""
    for n, (day, made) in enumerate(sorted(days.items())):
        put(home, "experiment_units", day, made)
        put(home, "experiment_baselines", day, (baseline or []) if n == 0 else [])


def judge(home: Home, *days: date) -> None:
    """Gates and verdicts of the dates, in order."""
    compute(home, *days, tables=["sample_size_checks", "experiment_verdicts"])


def gates(home: Home, day: date) -> dict[str, dict[str, Any]]:
    return {str(row["arm"]): dict(row) for row in rows(home, "sample_size_checks", day)}


def verdict(home: Home, day: date) -> dict[str, Any]:
    """The only row."""
    (row,) = rows(home, "experiment_verdicts", day)
    return dict(row)
