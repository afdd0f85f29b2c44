"""Whether the data can be trusted: what landed and what became of it, what is missing, and who was silent.

Of all streams of the subject's dates: a line that cannot be read belongs to no venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from edge_collector.contract import STREAMS
from venue_assets.report.figures import Asker, Row, text
from venue_assets.report.losses import gaps, silent, without_records


@dataclass(frozen=True)
class Trust:
    """What is known of the data itself."""

    streams: list[Row]
    """`stream`, `landed`, `clean`, `quarantined`, `missing` (sequence numbers that no manifest contains)."""
    reasons: list[Row]
    """`reason`, `lines`: why lines were quarantined."""
    refused: list[Row]
    """`event_date`, `stream`, `segment`, `reason`, `remedy`."""
    devices: list[Row]
    """`venue_id`, `venue`, `device_id`, `stream`, `first`, `last`, `last_heard`: who recorded nothing on these dates
    (then nothing was heard), or fell silent on the one date."""
    missing_dates: list[Row]
    """`venue_id`, `venue`, `event_date`: dates on which a venue has no record of any stream."""
    gaps: list[Row]
    """Gaps in the numbers, each once: `stream`, `missing`, `day` (the date that it belongs to) and `before`, the
    earlier date that told it first; none where these dates are the first to tell it."""

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
        """Sequence numbers that no manifest contains."""
        return sum(row["missing"] for row in self.gaps)

    @property
    def conserved(self) -> bool:
        """Whether in every stream what landed is what became clean or was quarantined."""
        return all(row["landed"] == row["clean"] + row["quarantined"] for row in self.streams)


def trust(asker: Asker) -> Trust:
    """Look at the raw and clean tables of the subject's dates."""
    dates = asker.subject.dates
    found = _gaps(asker)
    landed = {row["stream"]: row for row in asker.rows(_LANDED.format(dates=dates, clean=_union(_CLEAN, dates)))}
    nothing = {"landed": 0, "clean": 0, "quarantined": 0}
    streams = [
        {"stream": stream, **landed.get(stream, nothing)}
        | {"missing": sum(gap["missing"] for gap in found if gap["stream"] == stream)}
        for stream in sorted({*landed, *(gap["stream"] for gap in found)})
    ]
    reasons = asker.rows(
        f"SELECT reason, count(*) AS lines FROM raw.quarantine WHERE {dates} GROUP BY reason ORDER BY lines DESC, "
        "reason"
    )
    refused = asker.rows(
        f"SELECT event_date, stream, segment, reason, remedy FROM raw.refused_segments WHERE {dates} "
        f"AND EXISTS (FROM star.dim_device AS v WHERE {_own(asker)} AND starts_with(segment, v.gateway_id || '-')) "
        "ORDER BY ALL"
        if asker.subject.is_activity
        else f"SELECT event_date, stream, segment, reason, remedy FROM raw.refused_segments WHERE {dates} ORDER BY ALL"
    )
    judged = (asker.rows, dates, asker.subject.first, asker.subject.last, _own(asker))
    return Trust(streams, reasons, refused, _joined(silent(*judged)), without_records(*judged), found)


def _gaps(asker: Asker) -> list[Row]:
    """The gaps that belong to the subject's dates or that these tell: later dates tell of one that was off line."""
    first, last = asker.subject.first, asker.subject.last
    return [
        gap | {"before": gap["told"][0] if gap["told"][0] < first and gap["day"] < first else None}
        for gap in gaps(asker.rows)
        if any(first <= day <= last for day in (gap["day"], *gap["told"]))
    ]


def _own(asker: Asker) -> str:
    """An activity is about its venues, each on its own dates; a date about all that are open."""
    if not asker.subject.is_activity:
        return "true"
    own = " OR ".join(
        f"(v.venue_id = {text(venue_id)} AND event_date BETWEEN DATE '{a.first_date}' AND DATE '{a.last_date}')"
        for venue_id, a in sorted(asker.subject.activities.items())
    )
    return f"({own})"


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
_LANDED: Final = """
SELECT l.stream, l.n AS landed, coalesce(c.n, 0) AS clean, coalesce(q.n, 0) AS quarantined
FROM (SELECT stream, sum(rows)::BIGINT AS n FROM raw.landed_segments WHERE {dates} GROUP BY stream) AS l
LEFT JOIN ({clean}) AS c ON c.stream = l.stream
LEFT JOIN (SELECT stream, count(*) AS n FROM raw.quarantine WHERE {dates} GROUP BY stream) AS q ON q.stream = l.stream
"""
