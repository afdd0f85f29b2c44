"""The demonstration: what it lands, what of it is to be computed, and whether the result is what the truth expects."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import duckdb

from venue_assets.home import Home
from venue_assets.lake.freshness import Freshness, gone, gone_dates
from venue_assets.lake.landing_index import scan
from venue_assets.lake.store import Lake
from venue_assets.simulate import Options, Simulation, remove, simulate
from venue_assets.tables.catalogue import catalogue

TRUTH: Final = "truth.json"
FIGURES: Final = (
    "pf_range",
    "pf_entrance",
    "ocr",
    "pv",
    "uv",
    "lov_mean_seconds",
    "lov_median_seconds",
    "lov_p90_seconds",
    "recognition_share",
    "completed_orders",
    "paying_users",
    "gmv",
    "gmv_anonymous",
    "cancelled_amount",
)
_ASIDE: Final = 1e-9
"""Relative difference below which two ways of adding the same fractions count as the same figure."""


def shipped_site() -> Path:
    """The site file that the demonstration plays."""
    beside = Path(__file__).resolve().parents[1] / "simulate" / "site.toml"
    return beside if beside.exists() else Path(__file__).resolve().parents[2] / "data" / "site.toml"


def ensure_site(home: Home) -> None:
    """Give an empty home the shipped site file."""
    if not home.site_file.exists():
        home.root.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shipped_site(), home.site_file)


def is_landed(home: Home, options: Options) -> bool:
    """Whether exactly these options were simulated here before, for the site as it is now, and nothing is in the lake
    that this landing has not: what a longer simulation left is dropped only where all is landed anew.
    """
    try:
        before = json.loads((home.root / TRUTH).read_text())
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(before, dict):
        return False
    now = json.loads(json.dumps(asdict(options), default=str))
    same = before.get("options") == now and before.get("site") == home.site_file.read_text()
    index, lake = scan(home.landing), Lake(home.lake)
    return bool(same and index.dates() and not gone_dates(lake, index, lake.dates("landed_segments")))


def land(home: Home, options: Options, **more: Any) -> Simulation:
    """Replace what the gateways `sim*` landed with a new simulation; nothing else in the landing is touched."""
    truth = home.root / TRUTH
    truth.unlink(missing_ok=True)
    remove(home.landing)
    run = simulate(home.site, home.landing, options, truth_file=truth, **more)
    content = json.loads(truth.read_text())
    content["site"] = home.site_file.read_text()
    truth.write_text(json.dumps(content, indent=1))
    return run


def forget_unlanded(home: Home) -> None:
    """Drop partitions of dates outside of what landed, and of streams without records: an earlier, longer simulation
    left them.
    """
    index, lake = scan(home.landing), Lake(home.lake)
    landed = index.dates()
    for table in catalogue():
        for day in lake.dates(table.name):
            is_outside = not landed or not landed[0] <= day <= landed[-1]
            if is_outside or (table.is_landed and gone(index, lake.provenance(table.name, day), day)):
                lake.remove(table.name, day)


def not_fresh(home: Home) -> list[date]:
    """Dates that have something to compute."""
    freshness = Freshness(home, catalogue(), scan(home.landing))
    return [
        day
        for day in freshness.operating_dates()
        if any(freshness.state(table, day).condition != "fresh" for table in catalogue().tables.values())
    ]


@dataclass(frozen=True)
class Published:
    """What was computed, as far as the truth knows it too."""

    primary_metrics: Sequence[dict[str, Any]]
    assignments: Sequence[dict[str, Any]]
    """By date: how many records landed, and what became of them."""
    units: Sequence[dict[str, Any]]
    """By experiment, date and arm: clean assignments, and how many of them are the first one of their unit."""

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection) -> Published:
        """Ask the tables of a connection."""
        return cls(*(con.sql(query).to_arrow_table().to_pylist() for query in (_METRICS, _ASSIGNMENTS, _UNITS)))


_METRICS: Final = "SELECT * FROM primary_metrics ORDER BY venue_id, event_date"
_ASSIGNMENTS: Final = """
SELECT 'assignments' AS stream, event_date,
  sum(landed)::BIGINT AS landed, sum(clean)::BIGINT AS clean, sum(quarantined)::BIGINT AS quarantined
FROM (
  SELECT event_date, rows AS landed, 0 AS clean, 0 AS quarantined FROM landed_segments WHERE stream = 'assignments'
  UNION ALL
  SELECT event_date, 0, 1, 0 FROM assignments
  UNION ALL
  SELECT event_date, 0, 0, 1 FROM quarantine WHERE stream = 'assignments'
)
GROUP BY event_date
"""
_UNITS: Final = """
SELECT experiment_id, event_date, arm, count(*) AS assigned, count(*) FILTER (is_first) AS units
FROM (
  SELECT *, 1 = row_number() OVER (
    -- A venue is a unit anew each day.
    PARTITION BY experiment_id, unit_id, CASE WHEN unit_id = venue_id THEN event_date END
    ORDER BY recorded_at, gateway_id, boot_id, seq
  ) AS is_first
  FROM assignments
)
GROUP BY experiment_id, event_date, arm
"""


@dataclass(frozen=True)
class Difference:
    """A published figure that is not what the truth expects."""

    of: str
    """Venue, stream, or experiment and arm."""
    event_date: str
    figure: str
    published: Any
    expected: Any


@dataclass(frozen=True)
class Reconciliation:
    """What was published against the truth: `expected` is what the dirt leaves, `clean` what really happened."""

    compared: int
    differences: Sequence[Difference]
    effect: Sequence[tuple[str, Any, Any]]
    """Per figure that adds up: sum of what really happened, and of what was published."""


def reconcile(home: Home, published: Published) -> Reconciliation:
    """Hold what was published against the truth that the simulation wrote."""
    truth = json.loads((home.root / TRUTH).read_text())
    expected = truth["expected"]
    landed = [
        row | {"quarantined": sum(row["quarantined"].values())}
        for row in expected["landed"]
        if row["stream"] == "assignments"
    ]
    assigned = [row for row in expected["units"] if row["assigned"]]
    compared, differences = 0, []
    for key, figures, there, wanted in (
        (("venue_id",), FIGURES, published.primary_metrics, expected["primary_metrics"]),
        (("stream",), ("landed", "clean", "quarantined"), published.assignments, landed),
        (("experiment_id", "arm"), ("assigned", "units"), published.units, assigned),
    ):
        compared += len(wanted) * len(figures)
        differences += _differences(key, figures, there, wanted)
    clean = truth["clean"]["primary_metrics"]
    currency = {row["venue_id"]: row["currency"] for row in published.primary_metrics}
    effect = [
        (name, _sum(clean, figure, venues), _sum(published.primary_metrics, figure, venues))
        for figure in ("pf_range", "pf_entrance", "pv", "completed_orders", "gmv", "cancelled_amount")
        for name, venues in _that_add_up(figure, currency)
    ]
    given, found = (sum(row["assigned"] for row in rows) for rows in (truth["clean"]["units"], published.units))
    return Reconciliation(compared, differences, [*effect, ("assignments", given, found)])


def _that_add_up(figure: str, currency: Mapping[str, str]) -> list[tuple[str, set[str]]]:
    """The venues whose figures may be added up, by the name of the sum: money only in one currency."""
    if figure not in ("gmv", "cancelled_amount"):
        return [(figure, set(currency))]
    return [(f"{figure}, {c}", {v for v, of in currency.items() if of == c}) for c in sorted(set(currency.values()))]


def _sum(rows: Sequence[Mapping[str, Any]], figure: str, venues: set[str]) -> Decimal:
    found = (row[figure] for row in rows if row["venue_id"] in venues and row[figure] is not None)
    return sum((Decimal(str(value)) for value in found), Decimal())


def _differences(
    key: Sequence[str], figures: Sequence[str], published: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]]
) -> list[Difference]:
    """What is not as expected; rows are matched by key and date."""
    there, wanted = (
        {(" ".join(row[k] for k in key), str(row["event_date"])): row for row in rows} for rows in (published, expected)
    )
    return [
        Difference(*at, figure, row.get(figure), wanted[at][figure])
        for at, row in ((at, there.get(at, {})) for at in wanted)
        for figure in figures
        if not _same(row.get(figure), wanted[at][figure])
    ]


def _same(published: Any, expected: Any) -> bool:
    if published is None or expected is None:
        return published is None and expected is None
    a, b = float(published), float(expected)
    return abs(a - b) <= _ASIDE * max(abs(a), abs(b), 1.0)
