"""The judgement: SQL that turns landed lines of one stream into typed rows with the first reason against each.

The order of the reasons is part of the contract: malformed, duplicate, unknown_venue, unknown_device, wrong_event_date,
out_of_range. What is malformed was decided before, by `edge_collector.contract`; `text` is null there.
"""

from __future__ import annotations

import json
from functools import lru_cache

from edge_collector.contract import TIME_THAT_COUNTS, columns


@lru_cache
def parse_sql(stream: str) -> str:
    """The query that makes typed columns of `landed_lines` (n, text): `text` is a canonical line or null.

    It reads one relation and keeps its order.
    """
    fields = columns(stream)
    structure = json.dumps({c.name: _json_type(c.type) for c in fields})
    typed = ", ".join(f"{_typed(c.name, c.type)} AS {c.name}" for c in fields)
    return f"SELECT n, {typed} FROM (SELECT n, from_json(text, '{structure}') AS r FROM landed_lines)"


@lru_cache
def judge_sql(stream: str) -> str:
    """The query over `parsed`, `places`, `venues`, `devices` and `venue_day_spans` for one stream.

    `parsed` holds what `parse_sql` gives, the `problem` of a malformed line, whether its identity is `repeated`, when
    its segment was made (`created_at`), and the number of its `place`; `places` holds what each place is: venue, device
    and gateway. They are few, and millions of lines are joined by a number sooner than by texts. The result (n, reason,
    local_time) is narrow and in no order, because joins keep none.
    """
    at = f"p.{TIME_THAT_COUNTS[stream]}"
    return f"""
WITH known AS (
  SELECT l.place, v.venue_id, v.currency, d.device_id
  FROM places AS l
  LEFT JOIN venues AS v ON v.venue_id = l.venue_id
  LEFT JOIN devices AS d
    ON d.device_id = l.device_id AND d.venue_id = l.venue_id AND d.gateway_id = l.gateway_id AND d.stream = '{stream}'
), spans AS (
  SELECT l.place, s.starts_at, s.ends_at, s.utc_offset_seconds
  FROM places AS l
  JOIN venue_day_spans AS s ON s.venue_id = l.venue_id
)
SELECT p.n,
  CASE
    WHEN p.problem IS NOT NULL THEN 'malformed'
    WHEN p.repeated THEN 'duplicate'
    WHEN k.venue_id IS NULL THEN 'unknown_venue'
    WHEN k.device_id IS NULL THEN 'unknown_device'
    WHEN s.place IS NULL THEN 'wrong_event_date'
    WHEN {_out_of_range(stream, at)} THEN 'out_of_range'
  END AS reason,
  {at} + to_seconds(s.utc_offset_seconds) AS local_time
FROM parsed AS p
LEFT JOIN known AS k ON k.place = p.place
LEFT JOIN spans AS s ON s.place = p.place AND {at} >= s.starts_at AND {at} < s.ends_at
"""


def _json_type(column_type: str) -> str:
    # A cast of text to TIMESTAMP drops the offset without a word; TIMESTAMPTZ honours it.
    return "TIMESTAMPTZ" if column_type == "TIMESTAMP" else column_type


def _typed(name: str, column_type: str) -> str:
    return f"make_timestamp(epoch_us(r.{name}))" if column_type == "TIMESTAMP" else f"r.{name}"


def _out_of_range(stream: str, at: str) -> str:
    names = {c.name for c in columns(stream)}
    counts = [c for c in ("in_count", "out_count", "unpaired_count", "in_total", "out_total") if c in names]
    rules = [f"{at} > p.created_at + INTERVAL 24 HOURS"]
    rules += [f"p.{count} < 0" for count in counts]
    if counts:
        rules += ["p.interval_end <= p.interval_start", "p.in_total < p.in_count", "p.out_total < p.out_count"]
    if stream == "orders":
        rules += ["p.quantity < 1", "p.amount < 0", "p.currency <> k.currency"]
    if stream == "assignments":
        rules += ["NOT (p.propensity > 0 AND p.propensity <= 1)"]
    # An unknown (null) comparison is no reason against a row.
    return " OR ".join(f"coalesce({rule}, false)" for rule in rules)
