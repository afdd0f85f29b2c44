"""What did not arrive: silent devices, dates without records, refused segments, missing numbers, and so damaged dates.

A date of a venue is damaged in a stream where the venue has no record at all (its gateway was off line), where a device
of the stream was silent, where a segment of the stream was refused, or where more than `LOST` of the stream's numbers
are missing: its figures are too low, and whatever is compared with it looks better than it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, Literal

import numpy as np

from edge_collector.contract import STREAMS

LOST: Final = 0.01
"""The part of a stream's numbers on a date beyond which they are missed."""
_MEASURED: Final = ("boundary_counts", "entrance_counts", "face_visits", "orders")
_MANY: Final = 20
"""People after whom a terminal that saw none of them is silent."""

Cause = Literal["offline", "silent", "refused", "gaps"]
Damaged = Mapping[date, Mapping[str, frozenset[Cause]]]
"""By date, what is wrong in each stream."""
Row = dict[str, Any]
Ask = Callable[[str], list[Row]]
"""Gives the rows of some SQL."""


def silent(ask: Ask, dates: str, first: date, last: date, own: str = "true") -> list[Row]:
    """Devices without a record on a date, or silent before their venue was: `event_date`, `venue_id`, `venue`,
    `device_id`, `stream`, `last_heard`. A date of which the venue has no record at all is not among them.

    `dates` is a condition on `event_date`, `first` and `last` bound it; `own` is one on venue `v` and `event_date`.
    """
    return ask(_SILENT.format(judged=_judged(dates, first, last, own), many=_MANY))


def without_records(ask: Ask, dates: str, first: date, last: date, own: str = "true") -> list[Row]:
    """Dates on which a venue that has figures has no record of any stream: `venue_id`, `venue`, `event_date`."""
    return ask(_WITHOUT.format(judged=_judged(dates, first, last, own)))


def damaged(ask: Ask, first: date, last: date) -> Mapping[str, Damaged]:
    """By venue, the damaged dates of those that are published."""
    dates = f"event_date BETWEEN DATE '{first}' AND DATE '{last}'"
    found: dict[str, dict[date, dict[str, set[Cause]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(set)))
    published = {
        (row["venue_id"], row["event_date"])
        for row in ask(f"SELECT venue_id, event_date FROM metrics.primary_metrics WHERE {dates}")
    }
    for row in without_records(ask, dates, first, last):
        for stream in STREAMS:
            found[row["venue_id"]][row["event_date"]][stream].add("offline")
    for row in silent(ask, dates, first, last):
        found[row["venue_id"]][row["event_date"]][row["stream"]].add("silent")
    missing: dict[tuple[str, str, date], int] = defaultdict(int)
    for gap in gaps(ask):
        missing[gap["stream"], gap["gateway_id"], gap["day"]] += gap["missing"]
    for row in ask(_LANDED.format(dates=dates)):
        of = found[row["venue_id"]][row["event_date"]][row["stream"]]
        lost = missing.get((row["stream"], row["gateway_id"], row["event_date"]), 0)
        if row["refused"]:
            of.add("refused")
        if lost > LOST * (lost + float(row["rows"])):
            of.add("gaps")
    return {
        venue: {
            day: {stream: frozenset(causes) for stream, causes in of.items() if causes}
            for day, of in sorted(days.items())
            if (venue, day) in published and any(of.values())
        }
        for venue, days in found.items()
    }


def gaps(ask: Ask) -> list[Row]:
    """Each gap in the numbers once: `stream`, `gateway_id`, `missing`, `told` (the dates that tell it, the first one
    first) and `day`, the date that it belongs to.

    A date tells the gaps up to its own numbers, so those of a date of which nothing landed are told by later ones. They
    belong where their middle lies between the middles of the dates' numbers.
    """
    numbered: dict[tuple[str, ...], list[tuple[float, int]]] = defaultdict(list)
    for row in ask(_NUMBERED):
        numbered[row["stream"], row["gateway_id"], row["boot_id"]].append(
            (row["middle"], row["event_date"].toordinal())
        )
    found = []
    for row in ask(_GAPS):
        middles, day = numbered[row["stream"], row["gateway_id"], row["boot_id"]], row["told"][0]
        if middles:
            middle = (row["first_missing"] + row["last_missing"]) / 2
            at, days = np.array(middles).T
            day = date.fromordinal(round(float(np.interp(middle, at, days))))
        found.append(row | {"day": day})
    return found


def whole(found: Damaged) -> dict[date, frozenset[Cause]]:
    """Damaged dates with all that is wrong in any stream of which there are figures."""
    every = {day: frozenset(cause for of in _MEASURED for cause in found[day].get(of, ())) for day in found}
    return {day: causes for day, causes in every.items() if causes}


def _judged(dates: str, first: date, last: date, own: str) -> str:
    """Venues and dates, and who was heard on them."""
    heard = "\n  UNION ALL\n".join(_HEARD.format(stream=stream, dates=dates) for stream in STREAMS)
    return _JUDGED.format(heard=heard, first=first, last=last, dates=dates, own=own)


_SEGMENTS: Final = r"""
  SELECT event_date, stream, rows, reason, regexp_extract(segment, '^([^-]+)-', 1) AS gateway_id,
    regexp_extract(segment, '^[^-]+-([^-]+)-', 1) AS boot_id,
    (TRY_CAST(regexp_extract(segment, '-(\d+)-\d+\.', 1) AS DOUBLE)
      + TRY_CAST(regexp_extract(segment, '-(\d+)\.', 1) AS DOUBLE)) / 2 AS middle
  FROM raw.landed_segments
"""
_LANDED: Final = f"""
SELECT d.venue_id, event_date, stream, gateway_id, sum(rows) AS rows, bool_or(reason IS NOT NULL) AS refused
FROM ({_SEGMENTS}) JOIN (SELECT DISTINCT venue_id, stream, gateway_id FROM star.dim_device) AS d
  USING (stream, gateway_id)
WHERE {{dates}} GROUP BY d.venue_id, event_date, stream, gateway_id
"""
_NUMBERED: Final = f"""
SELECT stream, gateway_id, boot_id, event_date, median(middle) AS middle
FROM ({_SEGMENTS}) WHERE (stream, gateway_id, boot_id) IN (SELECT (stream, gateway_id, boot_id) FROM raw.sequence_gaps)
GROUP BY stream, gateway_id, boot_id, event_date ORDER BY middle, event_date
"""
_GAPS: Final = """
SELECT stream, gateway_id, boot_id, first_missing, last_missing, missing,
  list(DISTINCT event_date ORDER BY event_date) AS told
FROM raw.sequence_gaps GROUP BY ALL ORDER BY ALL
"""
_HEARD: Final = """
  SELECT event_date, venue_id, device_id, '{stream}' AS stream, max(local_time) AS last_heard
  FROM clean.{stream} WHERE {dates} GROUP BY event_date, venue_id, device_id
"""
_JUDGED: Final = """
WITH heard AS ({heard}),
days AS (
  SELECT day::DATE AS event_date FROM range(DATE '{first}', DATE '{last}' + 1, INTERVAL 1 DAY) AS d(day)
),
judged AS (
  SELECT v.venue_id, v.venue, event_date,
    (SELECT count(*) FROM heard AS h WHERE h.venue_id = v.venue_id AND h.event_date = days.event_date) > 0
      AS has_records,
    v.venue_id IN (SELECT venue_id FROM metrics.primary_metrics) AS ever
  FROM star.dim_venue AS v, days WHERE v.opened_on <= event_date AND {dates} AND {own}
)
"""
_WITHOUT: Final = "{judged} SELECT venue_id, venue, event_date FROM judged WHERE NOT has_records AND ever ORDER BY ALL"
# A counter reports always, so it is silent when it stops an hour before the venue does: before any other device that
# people make speak or, where there is none, before the gateway. A terminal speaks of who comes, so it is silent when
# many were counted or sold to an hour and more after it stopped. Who orders decides when a till speaks, so a till is
# silent only without any record.
_SILENT: Final = """{judged},
spoken AS (
  SELECT d.venue_id, j.venue, d.device_id, d.stream, j.event_date, h.last_heard,
    (SELECT max(o.last_heard) FROM heard AS o WHERE o.venue_id = j.venue_id AND o.event_date = j.event_date
      AND o.device_id <> d.device_id
      AND o.stream IN ('boundary_counts', 'entrance_counts', 'face_visits', 'orders')) AS others,
    (SELECT max(o.last_heard) FROM heard AS o WHERE o.venue_id = j.venue_id AND o.event_date = j.event_date
      AND o.stream = 'gateway_events') AS gateway
  FROM judged AS j JOIN star.dim_device AS d USING (venue_id)
  LEFT JOIN heard AS h ON h.venue_id = d.venue_id AND h.device_id = d.device_id AND h.stream = d.stream
    AND h.event_date = j.event_date
  WHERE d.stream NOT IN ('identity_links', 'assignments') AND (j.has_records OR NOT j.ever)
),
people AS (
  SELECT event_date, venue_id, local_time, in_count AS n FROM clean.entrance_counts
  UNION ALL
  SELECT event_date, venue_id, local_time, 1 FROM clean.orders
)
SELECT event_date, venue_id, venue, device_id, stream, last_heard
FROM spoken AS s
WHERE last_heard IS NULL
  OR (stream IN ('boundary_counts', 'entrance_counts') AND last_heard < coalesce(others, gateway) - INTERVAL 1 HOUR)
  OR (stream = 'face_visits' AND {many} <= (
    SELECT coalesce(sum(n), 0) FROM people AS p
    WHERE p.venue_id = s.venue_id AND p.event_date = s.event_date AND p.local_time > s.last_heard + INTERVAL 1 HOUR
  ))
ORDER BY venue_id, device_id, stream, event_date
"""
