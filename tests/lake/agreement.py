"""Holds the system's tables against the oracle: every row and figure of every table that the oracle knows."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tests.conftest import compute, rows, upstream
from tests.oracle.analysis import analyse
from tests.oracle.oracle import Oracle, recompute
from tests.oracle.site import read_site
from venue_assets.home import Home
from venue_assets.tables.catalogue import catalogue

STREAMS = (
    "boundary_counts",
    "entrance_counts",
    "face_visits",
    "orders",
    "assignments",
    "identity_links",
    "gateway_events",
)


ANALYSIS = ("user_days", "kpi", "rfm_segments", "rfm_migrations", "visitor_features")
COMPARED = (
    *("refused_segments", "quarantine", "landed_segments"),
    *STREAMS,
    *("sessions", "order_lines", "behaviour_events", "primary_metrics", "hourly_metrics"),
    *ANALYSIS,
)
"""What the oracle knows. Experiments have one of their own, in tests/experiments."""


def assert_agreement(data: Path, *days: date) -> None:
    """Compute `days` with the system and with the oracle, and compare everything, exactly."""
    home = Home(data)
    compute(home, *sorted(days), tables=upstream(*COMPARED))
    oracles = {day: recompute(data, day) for day in sorted(days)}
    for day, oracle in oracles.items():
        _assert_day(home, day, oracle)
        assert_analysis(home, {d: o for d, o in oracles.items() if d <= day}, day)


def assert_analysis(home: Home, days: dict[date, Oracle], day: date) -> None:
    """Compare what is computed over windows of dates, exactly and in order, as of one of `days`."""
    expected_tables = vars(analyse(read_site(home.root / "site.toml"), days, day))
    assert set(expected_tables) == set(ANALYSIS)
    for table, expected in expected_tables.items():
        key = catalogue()[table].key
        found = {tuple(row[k] for k in key): row for row in rows(home, table, day)}
        assert list(found) == sorted(expected), f"{day} {table}"
        for at, row in expected.items():
            assert found[at] == row, f"{day} {table} {at}"


def _assert_day(home: Home, day: date, oracle: Oracle) -> None:
    _same(f"{day} refused", [(r["segment"], r["reason"]) for r in rows(home, "refused_segments", day)], oracle.refused)
    quarantined = ("stream", "reason", "segment", "line", "text")
    _same(
        f"{day} quarantine",
        [(*(r[n] for n in quarantined), r["text_bytes"], r["text_sha256"]) for r in rows(home, "quarantine", day)],
        [(*(q[n] for n in quarantined), q["length"], q["sha256"]) for q in oracle.quarantine],
    )
    for row in rows(home, "quarantine", day):
        assert row["problem"], row
        assert "changed after" not in str(row["problem"]), row
    landed = dict.fromkeys(STREAMS, 0)
    for row in rows(home, "landed_segments", day):
        landed[row["stream"]] += row["rows"]
    assert landed == {s: oracle.landed.get(s, 0) for s in STREAMS}
    for stream in STREAMS:
        found = rows(home, stream, day)
        _same(f"{day} clean {stream}", [_clean(r) for r in found], [_clean_oracle(r) for r in oracle.clean[stream]])
        assert len(found) + sum(q["stream"] == stream for q in oracle.quarantine) == landed[stream]
    named = ("session_id", "venue_id", "user_id", "state")
    _same(
        f"{day} sessions",
        [(*(r[n] for n in named), r["enter_at"], r["leave_at"]) for r in rows(home, "sessions", day)],
        [(*(s[n] for n in named), _naive(s["enter_at"]), _naive(s["leave_at"])) for s in oracle.sessions],
    )
    named = ("venue_id", "order_id", "order_no", "user_id", "session_id", "status")
    _same(
        f"{day} order_lines",
        [(*(r[n] for n in named), f"{r['amount'] + 0:.2f}") for r in rows(home, "order_lines", day)],
        [(*(o[n] for n in named), f"{o['amount'] + 0:.2f}") for o in oracle.order_lines],
    )
    for table, expected in (("primary_metrics", oracle.primary_metrics), ("hourly_metrics", oracle.hourly_metrics)):
        key = ("venue_id", "hour") if table == "hourly_metrics" else ("venue_id",)
        found_by_key = {tuple(r[k] for k in key): r for r in rows(home, table, day)}
        expected_by_key = {tuple(r[k] for k in key): r for r in expected}
        assert found_by_key.keys() == expected_by_key.keys(), f"{day} {table}"
        for at, row in expected_by_key.items():
            for figure, value in row.items():
                found_value = found_by_key[at][figure]
                assert _equal(figure, found_value, value), (
                    f"{day} {table} {at} {figure}: {found_value}, {value} expected"
                )
    events = rows(home, "behaviour_events", day)
    counts = sum(len(oracle.clean[s]) for s in ("boundary_counts", "entrance_counts", "face_visits"))
    assert len(events) == counts + len(oracle.order_lines)
    assert events == sorted(events, key=lambda e: e["event_at"]), "behaviour events are not in order of time"
    visits = {e["session_id"] for e in events if e["kind"] in ("enter", "leave")}
    assert visits == {s["session_id"] for s in oracle.sessions}


def _equal(figure: str, found: Any, expected: Any) -> bool:
    """Exactly, but for interpolated quantiles, whose last bit depends on the order of three multiplications."""
    if figure in ("lov_median_seconds", "lov_p90_seconds") and found is not None and expected is not None:
        return math.isclose(found, expected, rel_tol=1e-14)
    return bool(found == expected)


def _same(what: str, found: list[Any], expected: list[Any]) -> None:
    if sorted(map(repr, found)) != sorted(map(repr, expected)):
        missing = [e for e in expected if e not in found]
        extra = [f for f in found if f not in expected]
        raise AssertionError(f"{what}: missing {missing[:3]}, extra {extra[:3]}")


def _clean(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        (row["gateway_id"], row["boot_id"], row["seq"]),
        row["venue_id"],
        row["device_id"],
        row["recorded_at"],
        row.get("source_user_id"),
        row.get("user_id"),
        row.get("superseded"),
        None if row.get("amount") is None else f"{row['amount'] + 0:.2f}",
    )


def _clean_oracle(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        tuple(row["identity"]),
        row["venue_id"],
        row["device_id"],
        _naive(row["recorded_at"]),
        row.get("source_user_id"),
        row.get("user_id"),
        row.get("superseded"),
        None if row.get("amount") is None else f"{row['amount'] + 0:.2f}",
    )


def _naive(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC).replace(tzinfo=None)
