"""What the registry cannot say of people: how many were inside, how long visits were, RFM segments and their moves.

From published tables; every figure is over the dates of the report's subject at one venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from venue_assets.report.figures import HISTORY, Asker, Row
from venue_assets.report.subject import Venue

STEP: Final = 600
"""Seconds from one look at who is inside to the next."""
BIN: Final = 300
"""Seconds of a bar of visit durations."""
LONGEST: Final = 7200
"""Longer visits are together in the last bar."""
DAY: Final = 86400
WINDOW: Final = 365
"""Dates over which segments look back."""
WEEK: Final = 7
"""Dates of records before which segments mean nothing: nobody can have stayed away for a week."""


@dataclass(frozen=True)
class Occupancy:
    """Mean number of people inside, by seconds since the event date began; none where it is withheld."""

    recognised: list[Row]
    """`second`, `inside`: from sessions with entry and leave, at every `STEP`."""
    peak: Row | None
    """The same at the moment of the most, exactly: from entry to entry and leave to leave."""
    counted: list[Row]
    """The same from entrance counts, in - out since the start; empty where a sensor does not count both."""
    left_out: int | None
    """Sessions whose leave is not known; none where they are withheld."""


def occupancy(asker: Asker, venue: Venue) -> Occupancy:
    """Who was inside over the day; over several dates, the mean of those with records."""
    dates = sum(asker.subject.first <= row["event_date"] <= asker.subject.last for row in asker.over_time(venue))
    few = asker.smallest_cell
    of = {"venue": venue.venue_id, "starts": venue.starts, "step": STEP, "dates": max(dates, 1), "few": few}
    recognised = asker.rows(_INSIDE.format(dates=asker.subject.dates), **of)
    (left_out,) = asker.rows(_LEFT_OUT.format(dates=asker.subject.dates), venue=venue.venue_id, few=few)
    counted = asker.rows(_COUNTED.format(dates=asker.subject.dates), **of)
    peak = asker.rows(_PEAK.format(dates=asker.subject.dates), **{n: v for n, v in of.items() if n != "step"})
    return Occupancy(recognised, peak[0] if peak else None, counted, left_out["n"])


_STAYS: Final = """stays AS (
  SELECT epoch(enter_local) - epoch(event_date::TIMESTAMP) - $starts AS came, came + dwell_seconds AS went,
    coalesce(user_id, session_id) AS who
  FROM star.fact_session
  WHERE venue_id = $venue AND {dates} AND state = 'complete'
)"""
_INSIDE: Final = f"""
WITH marks AS (SELECT unnest(range(0, 86400, $step)) AS second),
{_STAYS}
SELECT second, CASE WHEN count(came) = 0 OR count(DISTINCT who) >= $few THEN count(came) / $dates END AS inside
FROM marks LEFT JOIN stays ON came <= second AND second < went
GROUP BY second HAVING (SELECT count(*) FROM stays) > 0
ORDER BY second
"""
# Who leaves at the moment at which somebody enters is no longer inside.
_PEAK: Final = f"""
WITH {_STAYS},
turns AS (SELECT came AS second, 1 AS more FROM stays UNION ALL SELECT went, -1 FROM stays),
most AS (
  SELECT second FROM (
    SELECT second, sum(more) OVER (ORDER BY second, more ROWS UNBOUNDED PRECEDING) AS inside FROM turns
  )
  ORDER BY inside DESC, second LIMIT 1
)
SELECT second, CASE WHEN count(DISTINCT who) >= $few THEN count(*) / $dates END AS inside
FROM most JOIN stays ON came <= second AND second < went GROUP BY second
"""
_LEFT_OUT: Final = """
SELECT CASE WHEN count(*) = 0 OR count(DISTINCT coalesce(user_id, session_id)) >= $few THEN count(*) END AS n
FROM star.fact_session WHERE venue_id = $venue AND {dates} AND has_entry AND state <> 'complete'
"""
_COUNTED: Final = """
WITH counted AS (
  SELECT (epoch(local_time) - epoch(event_date::TIMESTAMP) - $starts)::BIGINT // $step AS slot, in_count, out_count
  FROM clean.entrance_counts
  WHERE venue_id = $venue AND {dates}
),
usable AS (SELECT count(*) > 0 AND count(out_count) = count(*) AS yes FROM counted),
moved AS (SELECT slot, sum(in_count - out_count) AS more FROM counted GROUP BY slot),
there AS (SELECT slot, greatest(0, sum(more) OVER (ORDER BY slot)) AS inside FROM moved)
SELECT slot * $step + $step AS second, CASE WHEN inside = 0 OR inside >= $few THEN inside / $dates END AS inside
FROM there WHERE (SELECT yes FROM usable) AND slot BETWEEN 0 AND 143
ORDER BY slot
"""


def durations(asker: Asker, venue: Venue) -> list[Row]:
    """Complete visits by duration: `minutes` at which a bar begins, `visits`, none where they are withheld.

    Bars without visits are there, too.
    """
    return asker.rows(
        f"""
        WITH visits AS (
          SELECT least(floor(dwell_seconds / {BIN}), {LONGEST // BIN})::BIGINT AS bin,
            coalesce(user_id, session_id) AS who
          FROM star.fact_session WHERE venue_id = $venue AND {asker.subject.dates} AND state = 'complete'
        ),
        bins AS (SELECT unnest(range(0, (SELECT max(bin) FROM visits) + 1)) AS bin)
        SELECT bin * {BIN // 60} AS minutes,
          CASE WHEN count(who) = 0 OR count(DISTINCT who) >= $few THEN count(who) END AS visits
        FROM bins LEFT JOIN visits AS v USING (bin) GROUP BY bin ORDER BY bin
        """,
        venue=venue.venue_id,
        few=asker.smallest_cell,
    )


@dataclass(frozen=True)
class Segments:
    """The RFM segments of a venue at the end of the last date, and how users moved since an earlier one."""

    users: dict[str, Row]
    """By segment: `users`, `monetary`, `before` (users then); each none where it is withheld."""
    since: date | None
    """The earlier date; none where there is none."""
    moves: list[Row]
    """`previous`, `segment`, `users`: those who changed segment, the largest first and those withheld last.

    `none` is outside the window.
    """


def segments(asker: Asker, venue: Venue) -> Segments:
    """Segments now, and at the earliest date that is kept of the 28 before; else as of the date before.

    Not at one of the first `WEEK` dates of records but for the last of them.
    """
    last, settled = asker.subject.last, asker.since(venue) + timedelta(days=WEEK - 1)
    of = {"venue": venue.venue_id, "last": last, "few": max(asker.smallest_cell, 1)}
    kept = [
        row["day"] for row in asker.rows(_KEPT, venue=venue.venue_id, last=last, first=last - timedelta(days=HISTORY))
    ]
    whole = last in kept
    earlier = next((day for day in kept if settled <= day < last), None) if whole else None
    rows = asker.rows(_SEGMENTS if whole else _SEGMENTS_OF_MOVES, **of)
    then = earlier or last - timedelta(days=1)
    before = asker.rows(_SEGMENTS if whole else _SEGMENTS_OF_MOVES, **of | {"last": then}) if then >= settled else []
    found = {row["segment"]: row["users"] for row in before}
    moves = asker.rows(_MOVES, **of, since=earlier) if earlier else []
    if not whole and before:
        moves = asker.rows(_MOVES_OF_A_DATE, **of)
    users = {row["segment"]: row | {"before": found.get(row["segment"], 0)} for row in rows}
    return Segments(users, then if before else None, moves)


# Who is in which segment is kept of some dates only; how many moved is kept of all.
_KEPT: Final = """
SELECT DISTINCT event_date AS day FROM segments.rfm_segments
WHERE venue_id = $venue AND event_date BETWEEN $first AND $last ORDER BY day
"""
_SEGMENTS: Final = """
SELECT segment, CASE WHEN count(*) >= $few THEN count(*) END AS users,
  CASE WHEN count(*) >= $few THEN sum(monetary) END AS monetary
FROM segments.rfm_segments
WHERE venue_id = $venue AND event_date = $last AND segment IS NOT NULL GROUP BY segment ORDER BY segment
"""
_SEGMENTS_OF_MOVES: Final = """
SELECT segment, CASE WHEN told AND n >= $few THEN n END AS users,
  CASE WHEN told AND n >= $few THEN money END AS monetary
FROM (
  SELECT segment, count(users) = count(*) AS told, sum(users)::BIGINT AS n, sum(monetary) AS money
  FROM segments.rfm_migrations
  WHERE venue_id = $venue AND event_date = $last AND segment <> 'none' GROUP BY segment
)
ORDER BY segment
"""
_MOVES: Final = """
SELECT coalesce(b.segment, 'none') AS previous, coalesce(n.segment, 'none') AS segment,
  CASE WHEN count(*) >= $few THEN count(*) END AS users
FROM (SELECT user_id, segment FROM segments.rfm_segments WHERE venue_id = $venue AND event_date = $last) AS n
FULL JOIN (SELECT user_id, segment FROM segments.rfm_segments WHERE venue_id = $venue AND event_date = $since) AS b
  USING (user_id)
WHERE coalesce(b.segment, 'none') <> coalesce(n.segment, 'none')
GROUP BY coalesce(b.segment, 'none'), coalesce(n.segment, 'none')
ORDER BY users DESC NULLS LAST, previous, segment
"""
_MOVES_OF_A_DATE: Final = """
SELECT previous_segment AS previous, segment, CASE WHEN users >= $few THEN users END AS users
FROM segments.rfm_migrations
WHERE venue_id = $venue AND event_date = $last AND previous_segment <> segment
ORDER BY users DESC NULLS LAST, previous, segment
"""


def anonymous_orders(asker: Asker, venue: Venue) -> int | None:
    """Completed orders of whom nobody knows; none where they are withheld, for each is a person."""
    (row,) = asker.rows(
        "SELECT count(DISTINCT order_key) FILTER (is_completed AND user_id IS NULL) AS n FROM star.fact_order_line "
        f"WHERE venue_id = $venue AND {asker.subject.dates}",
        venue=venue.venue_id,
    )
    return None if 0 < row["n"] < asker.smallest_cell else int(row["n"])


def comparison(asker: Asker, venue: Venue) -> dict[str, Row]:
    """What the activity brought per day against other days, by KPI; empty for a date."""
    if not asker.subject.is_activity:
        return {}
    rows: list[dict[str, Any]] = asker.rows(
        "SELECT * FROM experiments.activity_comparison WHERE venue_id = $venue AND activity_id = $activity "
        "AND event_date = $last ORDER BY position",
        venue=venue.venue_id,
        activity=asker.subject.activities[venue.venue_id].activity_id,
        last=asker.subject.last,
    )
    return {row["kpi"]: row for row in rows}
