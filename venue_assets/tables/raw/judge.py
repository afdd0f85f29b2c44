"""The judgement: SQL that turns landed lines of one stream into typed rows with the first reason against each.

The order of the reasons is part of the contract: malformed, duplicate, unknown_venue, unknown_device, wrong_event_date,
out_of_range. What is malformed was decided before, by `edge_collector.contract`; `text` is null there.
"""

from __future__ import annotations

import json
from functools import lru_cache

from edge_collector.contract import TIME_THAT_COUNTS, columns


@lru_cache
def judge_sql(stream: str) -> str:
    """The query over `landed_lines`, `seen`, `venues`, `devices` and `venue_day_spans` for one stream.

    `landed_lines` has (n, segment, line, text, problem, created_at): `text` is a canonical line or null, `n` numbers
    the lines in byte order of segment name, then line. `seen` holds identities of earlier batches of the same date.
    The rows come in the order of `n`, with the columns of the raw table and `n` itself.
    """
    fields = columns(stream)
    structure = json.dumps({c.name: _json_type(c.type) for c in fields})
    typed = ",\n    ".join(f"{_typed(c.name, c.type)} AS {c.name}" for c in fields)
    names = ", ".join(f"p.{c.name}" for c in fields)
    at = f"p.{TIME_THAT_COUNTS[stream]}"
    return f"""
WITH decoded AS (
  SELECT n, segment, line, problem, created_at, from_json(text, '{structure}') AS r FROM landed_lines
), parsed AS MATERIALIZED (
  SELECT n, segment, line, problem, created_at,
    {typed}
  FROM decoded
), repeated AS (
  SELECT gateway_id, boot_id, seq, min(n) AS first_n
  FROM parsed WHERE problem IS NULL
  GROUP BY gateway_id, boot_id, seq HAVING count(*) > 1
)
SELECT p.n, p.segment, p.line,
  CASE
    WHEN p.problem IS NOT NULL THEN 'malformed'
    WHEN p.n > repeated.first_n OR seen.seq IS NOT NULL THEN 'duplicate'
    WHEN v.venue_id IS NULL THEN 'unknown_venue'
    WHEN d.device_id IS NULL THEN 'unknown_device'
    WHEN s.venue_id IS NULL THEN 'wrong_event_date'
    WHEN {_out_of_range(stream, at)} THEN 'out_of_range'
  END AS reason,
  p.problem,
  {at} + to_seconds(s.utc_offset_seconds) AS local_time,
  {names}
FROM parsed AS p
LEFT JOIN repeated
  ON repeated.gateway_id = p.gateway_id AND repeated.boot_id = p.boot_id AND repeated.seq = p.seq
LEFT JOIN seen
  ON seen.gateway_id = p.gateway_id AND seen.boot_id = p.boot_id AND seen.seq = p.seq
LEFT JOIN venues AS v ON v.venue_id = p.venue_id
LEFT JOIN devices AS d
  ON d.device_id = p.device_id AND d.venue_id = p.venue_id AND d.gateway_id = p.gateway_id AND d.stream = '{stream}'
LEFT JOIN venue_day_spans AS s
  ON s.venue_id = p.venue_id AND {at} >= s.starts_at AND {at} < s.ends_at
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
        rules += ["p.quantity < 1", "p.amount < 0", "p.currency <> v.currency"]
    if stream == "assignments":
        rules += ["NOT (p.propensity > 0 AND p.propensity <= 1)"]
    # An unknown (null) comparison is no reason against a row.
    return " OR ".join(f"coalesce({rule}, false)" for rule in rules)
