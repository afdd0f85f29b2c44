"""Whether the data can be trusted: what landed and what became of it, what is missing, and who was silent.

Of all streams of the subject's dates: a line that cannot be read belongs to no venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from edge_collector.contract import STREAMS
from venue_assets.report.figures import Asker, Row, text

_MANY: Final = 20
"""People after whom a terminal that saw none of them is silent."""


@dataclass(frozen=True)
class Trust:
    """What is known of the data itself."""

    streams: list[Row]
    """`stream`, `landed`, `clean`, `quarantined`, `missing` (sequence numbers that no segment covers)."""
    reasons: list[Row]
    """`reason`, `lines`: why lines were quarantined."""
    refused: list[Row]
    """`event_date`, `stream`, `segment`, `reason`, `remedy`."""
    devices: list[Row]
    """`venue_id`, `device_id`, `stream`, `first`, `last`, `last_heard`: who recorded nothing on these dates (then
    nothing was heard), or fell silent on the one date."""
    missing_dates: list[Row]
    """`venue_id`, `event_date`: dates on which a venue has no record of any stream."""

    @property
    def landed(self) -> int:
        """Lines that landed."""
        return sum(row["landed"] for row in self.streams)

    @property
    def clean(self) -> int:
        """Lines that became records."""
        return sum(row["clean"] for row in self.streams)

    @property
    def quarantined(self) -> int:
        """Lines that did not."""
        return sum(row["quarantined"] for row in self.streams)

    @property
    def missing(self) -> int:
        """Sequence numbers that no segment covers."""
        return sum(row["missing"] for row in self.streams)

    @property
    def conserved(self) -> bool:
        """Whether in every stream what landed is what became clean or was quarantined."""
        return all(row["landed"] == row["clean"] + row["quarantined"] for row in self.streams)


def trust(asker: Asker) -> Trust:
    """Look at the raw and clean tables of the subject's dates."""
    dates = asker.subject.dates
    gaps = _PUBLISHED_GAPS if asker.rows(_HAS_GAPS) else _GAPS
    landed = asker.rows(_LANDED.format(dates=dates, clean=_union(_CLEAN, dates), gaps=gaps.format(dates=dates)))
    reasons = asker.rows(
        f"SELECT reason, count(*) AS lines FROM raw.quarantine WHERE {dates} GROUP BY reason ORDER BY lines DESC, "
        "reason"
    )
    refused = asker.rows(
        f"SELECT event_date, stream, segment, reason, remedy FROM raw.refused_segments WHERE {dates} ORDER BY ALL"
    )
    silent = asker.rows(_DEVICES.format(judged=_judged(asker), many=_MANY))
    missing = asker.rows(_MISSING.format(judged=_judged(asker)))
    return Trust(landed, reasons, refused, _joined(silent), missing)


def _judged(asker: Asker) -> str:
    """The venues and dates of the subject, and who was heard on them."""
    subject = asker.subject
    # An activity is about its venues, each on its own dates; a date about all that are open.
    own = " OR ".join(
        f"(v.venue_id = {text(venue_id)} AND event_date BETWEEN DATE '{a.first_date}' AND DATE '{a.last_date}')"
        for venue_id, a in sorted(subject.activities.items())
    )
    return _JUDGED.format(
        heard=_union(_HEARD, subject.dates),
        first=subject.first,
        last=subject.last,
        own=f"({own})" if subject.is_activity else "true",
    )


def _joined(rows: list[Row]) -> list[Row]:
    """Dates in a row without any record of a device become one row."""
    found: list[Row] = []
    for row in rows:
        before = found[-1] if found else None
        if (
            before
            and row["last_heard"] is None is before["last_heard"]
            and all(row[n] == before[n] for n in ("venue_id", "device_id", "stream"))
            and row["event_date"] == before["last"] + timedelta(days=1)
        ):
            before["last"] = row["event_date"]
        else:
            found.append(row | {"first": row["event_date"], "last": row["event_date"]})
    return found


def _union(query: str, dates: str) -> str:
    return "\n  UNION ALL\n".join(query.format(stream=stream, dates=dates) for stream in STREAMS)


_CLEAN: Final = "  SELECT '{stream}' AS stream, count(*) AS n FROM clean.{stream} WHERE {dates}"
# By the names of segments alone: what no segment of any date covers has certainly not landed. (A hole inside of a
# segment's range is told by its manifest only, which is not published.)
_GAPS: Final = r"""
  SELECT stream, sum(first_seq - covered - 1) AS n
  FROM (
    SELECT stream, event_date, first_seq, max(last_seq) OVER (
      PARTITION BY stream, gateway_boot ORDER BY first_seq, last_seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS covered
    FROM (
      SELECT stream, event_date, regexp_extract(segment, '^(.+)-\d+-\d+\.', 1) AS gateway_boot,
        TRY_CAST(regexp_extract(segment, '-(\d+)-\d+\.', 1) AS BIGINT) AS first_seq,
        TRY_CAST(regexp_extract(segment, '-\d+-(\d+)\.', 1) AS BIGINT) AS last_seq
      FROM raw.landed_segments
    )
  )
  WHERE {dates} AND first_seq > covered + 1
  GROUP BY stream
"""
# What the publication knows of manifests, where it says so.
_HAS_GAPS: Final = "FROM duckdb_tables() WHERE schema_name = 'main' AND table_name = 'sequence_gaps'"
_PUBLISHED_GAPS: Final = """
  SELECT stream, sum(missing) AS n FROM main.sequence_gaps WHERE {dates} GROUP BY stream
"""
_LANDED: Final = """
SELECT l.stream, l.n AS landed, coalesce(c.n, 0) AS clean, coalesce(q.n, 0) AS quarantined,
  coalesce(g.n, 0)::BIGINT AS missing
FROM (SELECT stream, sum(rows)::BIGINT AS n FROM raw.landed_segments WHERE {dates} GROUP BY stream) AS l
LEFT JOIN ({clean}) AS c ON c.stream = l.stream
LEFT JOIN (SELECT stream, count(*) AS n FROM raw.quarantine WHERE {dates} GROUP BY stream) AS q ON q.stream = l.stream
LEFT JOIN ({gaps}) AS g ON g.stream = l.stream
ORDER BY l.stream
"""
_HEARD: Final = """
  SELECT event_date, venue_id, device_id, '{stream}' AS stream, max(local_time) AS last_heard
  FROM clean.{stream} WHERE {dates} GROUP BY event_date, venue_id, device_id
"""
_JUDGED: Final = """
WITH heard AS ({heard}),
days AS (
  SELECT v.venue_id, d.day::DATE AS event_date
  FROM star.dim_venue AS v, range(DATE '{first}', DATE '{last}' + 1, INTERVAL 1 DAY) AS d(day)
  WHERE v.opened_on <= d.day
),
judged AS (
  SELECT v.venue_id, v.event_date,
    (SELECT count(*) FROM heard AS h WHERE h.venue_id = v.venue_id AND h.event_date = v.event_date) > 0 AS has_records,
    (SELECT count(*) FROM heard AS h WHERE h.venue_id = v.venue_id) > 0 AS ever
  FROM days AS v WHERE {own}
)
"""
_MISSING: Final = "{judged} SELECT venue_id, event_date FROM judged WHERE NOT has_records AND ever ORDER BY ALL"
# A counter reports always, so it is silent when it stops an hour before the venue does: before any other device that
# people make speak or, where there is none, before the gateway. A terminal speaks of who comes, so it is silent when
# many were counted or sold to an hour and more after it stopped. Who orders decides when a till speaks, so a till is
# silent only without any record.
_DEVICES: Final = """{judged},
spoken AS (
  SELECT d.venue_id, d.device_id, d.stream, j.event_date, h.last_heard,
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
SELECT event_date, venue_id, device_id, stream, last_heard
FROM spoken AS s
WHERE last_heard IS NULL
  OR (stream IN ('boundary_counts', 'entrance_counts') AND last_heard < coalesce(others, gateway) - INTERVAL 1 HOUR)
  OR (stream = 'face_visits' AND {many} <= (
    SELECT coalesce(sum(n), 0) FROM people AS p
    WHERE p.venue_id = s.venue_id AND p.event_date = s.event_date AND p.local_time > s.last_heard + INTERVAL 1 HOUR
  ))
ORDER BY venue_id, device_id, stream, event_date
"""
