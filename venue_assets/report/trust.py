"""Whether the data can be trusted: what landed and what became of it, what is missing, and who was silent.

Of all streams of the subject's dates: a line that cannot be read belongs to no venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_collector.contract import STREAMS
from venue_assets.report.figures import Asker, Row


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
    """`venue_id`, `device_id`, `stream`, `records`, `last_heard` of devices that reported nothing, or fell silent."""

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
    landed = asker.rows(_LANDED.format(dates=dates, clean=_union(_CLEAN, dates), gaps=_GAPS.format(dates=dates)))
    reasons = asker.rows(
        f"SELECT reason, count(*) AS lines FROM raw.quarantine WHERE {dates} GROUP BY reason ORDER BY lines DESC, "
        "reason"
    )
    refused = asker.rows(
        f"SELECT event_date, stream, segment, reason, remedy FROM raw.refused_segments WHERE {dates} ORDER BY ALL"
    )
    devices = asker.rows(_DEVICES.format(heard=_union(_HEARD, dates)), last=asker.subject.last)
    return Trust(landed, reasons, refused, devices)


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
  SELECT venue_id, device_id, '{stream}' AS stream, max(local_time) AS last_heard
  FROM clean.{stream} WHERE {dates} GROUP BY venue_id, device_id
"""
# Who orders or comes decides when a till or a terminal speaks, so only those are named that never did; a counter that
# fell silent hours before the others of its kind did is named, too.
_DEVICES: Final = """
WITH heard AS ({heard}),
judged AS (
  SELECT d.venue_id, d.device_id, d.stream, h.last_heard,
    max(h.last_heard) OVER (PARTITION BY d.venue_id, d.stream) AS others
  FROM star.dim_device AS d
  JOIN star.dim_venue AS v ON v.venue_id = d.venue_id AND v.opened_on <= $last
  LEFT JOIN heard AS h ON h.venue_id = d.venue_id AND h.device_id = d.device_id AND h.stream = d.stream
  WHERE d.stream NOT IN ('identity_links', 'assignments')
)
SELECT venue_id, device_id, stream, last_heard
FROM judged
WHERE last_heard IS NULL
  OR (stream IN ('boundary_counts', 'entrance_counts') AND last_heard < others - INTERVAL 1 HOUR)
ORDER BY ALL
"""
