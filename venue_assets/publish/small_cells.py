"""Figures that rest on few people are left out: null where 1 to `smallest` - 1 people are behind them.

This covers the figures that are published in sums: metrics of date and hour, KPI and migrations here, and the views of
metrics, which guard themselves. Nobody (0) is told. People behind a figure are: for counts of sensors the count itself;
for visits the recognised people who entered (for lengths of visit, those who also left); for sales the known users and,
of orders without a user, each order as somebody. A ratio is left out with either of its parts.

It does not cover what is told person by person (sessions, order lines, users and their segments, other facts of the
star): those rows are pseudonymous, not anonymous, and whoever may not see them must not get this file. Neither does it
cover the layer `experiments`: what was analysed has its numbers as they are, daily figures of the venue among them
(experiment_units where the unit is a venue_day, activity_comparison). Nor does it cover what can be worked out from
several published figures: a date from its hours, one segment from the sum of all. Only the nearest such sums are
closed: anonymous sales are left out where the known buyers are few, and the other way round; in the views, so are new
visitors and returning ones, whose sum is UV.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import duckdb

_COUNTED: Final[Mapping[str, tuple[str, ...]]] = {
    "pf_range": ("f.pf_range",),
    "pf_entrance": ("f.pf_entrance",),
    "ocr": ("f.pf_entrance", "f.pf_range"),
    "ocr_low": ("f.pf_entrance", "f.pf_range"),
    "ocr_high": ("f.pf_entrance", "f.pf_range"),
}
_VISITS: Final[Mapping[str, tuple[str, ...]]] = {
    "pv": ("p.visitors",),
    "uv": ("p.visitors",),
    "lov_mean_seconds": ("p.stayed",),
    "lov_median_seconds": ("p.stayed",),
    "lov_p90_seconds": ("p.stayed",),
    "recognition_share": ("p.visitors", "f.pf_entrance"),
}
_SALES: Final[Mapping[str, tuple[str, ...]]] = {
    "completed_orders": ("p.buyers",),
    "paying_users": ("p.payers",),
    "gmv": ("p.buyers",),
    "gmv_anonymous": ("p.unknown_buyers", "p.payers"),
    "cancelled_amount": ("p.cancelling",),
}
_FIGURES: Final[Mapping[str, tuple[str, ...]]] = {**_COUNTED, **_VISITS, **_SALES}
_KPI: Final[Mapping[str, tuple[str, ...]]] = {
    "completed_orders": ("p.buyers",),
    "paying_users": ("p.payers",),
    "gmv": ("p.buyers",),
    "gmv_anonymous": ("p.unknown_buyers", "p.payers"),
    "identified_gmv": ("p.payers", "p.unknown_buyers"),
    "users": ("f.users",),
    "arpu": ("p.payers", "f.users"),
    "arppu": ("p.payers",),
    "repurchasing_users": ("f.repurchasing_users",),
    "repurchase_rate": ("f.repurchasing_users", "p.payers"),
    "repurchasing_users_days": ("f.repurchasing_users_days",),
    "repurchase_rate_days": ("f.repurchasing_users_days", "p.payers"),
}
_MIGRATIONS: Final[Mapping[str, tuple[str, ...]]] = {"users": ("f.users",), "monetary": ("f.users",)}

_BUYERS: Final = """
  count(DISTINCT coalesce(user_id, order_key)) FILTER (is_completed) AS buyers,
  count(DISTINCT user_id) FILTER (is_completed) AS payers,
  count(DISTINCT order_key) FILTER (is_completed AND user_id IS NULL) AS unknown_buyers,
  count(DISTINCT coalesce(user_id, order_key)) FILTER (NOT is_completed) AS cancelling"""

# -1 is the whole event date, as in venue_figures.
_PEOPLE_OF_SLOTS: Final = f"""
SELECT coalesce(v.event_date, b.event_date) AS event_date, coalesce(v.venue_id, b.venue_id) AS venue_id,
  coalesce(v.slot, b.slot) AS slot, visitors, stayed, buyers, payers, unknown_buyers, cancelling
FROM (
  SELECT event_date, venue_id, CASE WHEN grouping(hour) = 1 THEN -1 ELSE hour END AS slot,
    count(DISTINCT user_id) AS visitors, count(DISTINCT user_id) FILTER (state = 'complete') AS stayed
  FROM venue.star.fact_session
  WHERE has_entry AND event_date IN ({{days}})
  GROUP BY GROUPING SETS ((event_date, venue_id), (event_date, venue_id, hour))
) AS v
FULL JOIN (
  SELECT event_date, venue_id, CASE WHEN grouping(hour) = 1 THEN -1 ELSE hour END AS slot, {_BUYERS}
  FROM venue.star.fact_order_line
  WHERE event_date IN ({{days}})
  GROUP BY GROUPING SETS ((event_date, venue_id), (event_date, venue_id, hour))
) AS b ON b.event_date = v.event_date AND b.venue_id = v.venue_id AND b.slot = v.slot"""

_PEOPLE_OF_WINDOWS: Final = f"""
SELECT k.event_date, k.venue_id, k.window_name, {_BUYERS}
FROM venue.metrics.kpi AS k
JOIN venue.star.fact_order_line AS o
  ON o.venue_id = k.venue_id AND o.event_date BETWEEN k.first_date AND k.event_date
WHERE k.event_date IN ({{days}})
GROUP BY k.event_date, k.venue_id, k.window_name"""

_BY_SLOT: Final = "p.event_date = f.event_date AND p.venue_id = f.venue_id AND p.slot = "

_TABLES: Final[Mapping[str, tuple[Mapping[str, tuple[str, ...]], str, str]]] = {
    "metrics.primary_metrics": (_FIGURES, _PEOPLE_OF_SLOTS, f"{_BY_SLOT} -1"),
    "metrics.hourly_metrics": (_FIGURES, _PEOPLE_OF_SLOTS, f"{_BY_SLOT} f.hour"),
    "metrics.venue_figures": (_FIGURES, _PEOPLE_OF_SLOTS, f"{_BY_SLOT} f.slot"),
    "metrics.kpi": (
        _KPI,
        _PEOPLE_OF_WINDOWS,
        "p.event_date = f.event_date AND p.venue_id = f.venue_id AND p.window_name = f.window_name",
    ),
    "segments.rfm_migrations": (_MIGRATIONS, "", ""),
    "star.fact_segment_migration": (_MIGRATIONS, "", ""),
}


TABLES: Final = tuple(name.partition(".")[2] for name in _TABLES if not name.startswith("star."))
"""The tables of the layers whose figures are guarded."""


def leave_out(con: duckdb.DuckDBPyConnection, days: Collection[str], smallest: int) -> None:
    """In the database attached as `venue`, whose star is filled: the small figures of these dates become null."""
    if smallest <= 1 or not days:
        return
    dates = ", ".join(f"DATE '{day}'" for day in sorted(days))
    for table, (figures, people, on) in _TABLES.items():
        columns = ", ".join(
            f"CASE WHEN {' OR '.join(_is_small(count, smallest) for count in behind)} THEN NULL ELSE f.{name} END"
            f" AS {name}"
            for name, behind in figures.items()
        )
        join = f" LEFT JOIN ({people.format(days=dates)}) AS p ON {on}" if people else ""
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE guarded AS SELECT f.* REPLACE ({columns}) "
            f"FROM venue.{table} AS f{join} WHERE f.event_date IN ({dates})"
        )
        con.execute(f"DELETE FROM venue.{table} WHERE event_date IN ({dates})")
        con.execute(f"INSERT INTO venue.{table} FROM guarded")
    con.execute("DROP TABLE guarded")


def _is_small(count: str, smallest: int) -> str:
    return f"coalesce({count} > 0 AND {count} < {smallest}, false)"
