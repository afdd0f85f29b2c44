"""The peer of clean_to_metrics.py in plain SQL: the same logic as one would write it for DuckDB, without checks."""

from __future__ import annotations

from pathlib import Path

from clean_date import clean_file, result_folder
from crowd import VENUES
from measure import THREADS, report, work

PLAIN_SESSIONS = """
CREATE TABLE sessions AS
WITH steps AS (
  SELECT *,
    lag(direction) OVER person AS previous_direction,
    lead(direction) OVER person AS next_direction,
    lead(recorded_at) OVER person AS next_at,
    lead(gateway_id) OVER person AS next_gateway_id,
    lead(boot_id) OVER person AS next_boot_id,
    lead(seq) OVER person AS next_seq
  FROM read_parquet('{face_visits}')
  WINDOW person AS (PARTITION BY venue_id, user_id ORDER BY recorded_at, gateway_id, boot_id, seq)
), opened AS (
  SELECT *, direction = 'enter' AND next_direction IS NOT DISTINCT FROM 'leave' AS has_both
  FROM steps
  WHERE direction = 'enter' OR previous_direction IS DISTINCT FROM 'enter'
)
SELECT
  o.gateway_id || '-' || o.boot_id || '-' || o.seq AS session_id, o.venue_id,
  coalesce(a.activity_id, 'none') AS activity_id, o.user_id,
  CASE
    WHEN o.direction = 'leave' THEN 'no_entry'
    WHEN NOT o.has_both THEN 'no_exit'
    WHEN o.next_at > o.recorded_at + INTERVAL 12 HOURS THEN 'overlong'
    ELSE 'complete'
  END AS state,
  CASE WHEN o.direction = 'enter' THEN o.recorded_at END AS enter_at,
  CASE WHEN o.direction = 'leave' THEN o.recorded_at WHEN o.has_both THEN o.next_at END AS leave_at,
  CASE WHEN o.direction = 'enter' THEN o.local_time END AS enter_local,
  CASE WHEN o.has_both THEN (epoch_us(o.next_at) - epoch_us(o.recorded_at)) / 1e6 END AS dwell_seconds,
  CASE
    WHEN o.has_both THEN o.next_at
    WHEN o.direction = 'enter' THEN least(o.recorded_at + INTERVAL 12 HOURS, o.next_at - INTERVAL 1 MICROSECOND)
  END AS reaches_until,
  o.gateway_id, o.boot_id, o.seq,
  CASE WHEN o.direction = 'leave' THEN o.gateway_id WHEN o.has_both THEN o.next_gateway_id END AS leave_gateway_id,
  CASE WHEN o.direction = 'leave' THEN o.boot_id WHEN o.has_both THEN o.next_boot_id END AS leave_boot_id,
  CASE WHEN o.direction = 'leave' THEN o.seq WHEN o.has_both THEN o.next_seq END AS leave_seq
FROM opened AS o
LEFT JOIN activities AS a ON a.venue_id = o.venue_id
"""

PLAIN_ORDER_LINES = """
CREATE TABLE order_lines AS
WITH current_lines AS (SELECT * FROM read_parquet('{orders}') WHERE NOT superseded),
candidates AS (
  SELECT o.gateway_id, o.boot_id, o.seq, s.session_id,
    row_number() OVER (
      PARTITION BY o.gateway_id, o.boot_id, o.seq
      ORDER BY coalesce(o.ordered_at BETWEEN s.enter_at AND s.reaches_until, false) DESC,
        s.enter_at DESC NULLS LAST, s.leave_at DESC NULLS LAST, s.gateway_id DESC, s.boot_id DESC, s.seq DESC
    ) AS rank
  FROM current_lines AS o
  JOIN sessions AS s ON s.venue_id = o.venue_id AND s.user_id = o.user_id
    AND (
      o.ordered_at BETWEEN s.enter_at AND s.reaches_until
      OR o.ordered_at BETWEEN s.leave_at AND s.leave_at + INTERVAL 30 MINUTES
    )
)
SELECT o.venue_id, coalesce(v.activity_id, 'none') AS activity_id, o.order_id, o.order_no, o.user_id, c.session_id,
  o.ordered_at, o.local_time, o.category_id, o.quantity, o.amount, o.currency, o.status, o.gateway_id, o.boot_id, o.seq
FROM current_lines AS o
LEFT JOIN candidates AS c
  ON c.gateway_id = o.gateway_id AND c.boot_id = o.boot_id AND c.seq = o.seq AND c.rank = 1
LEFT JOIN activities AS v ON v.venue_id = o.venue_id
"""

PLAIN_METRICS = """
CREATE TABLE {name} AS
WITH slots AS ({slots}),
passers AS (
  SELECT venue_id, {count_hour} AS hour, sum(in_count)::BIGINT AS pf_range
  FROM read_parquet('{boundary_counts}') GROUP BY ALL
),
entrants AS (
  SELECT venue_id, {count_hour} AS hour, sum(in_count)::DOUBLE AS pf_entrance
  FROM read_parquet('{entrance_counts}') GROUP BY ALL
),
entries AS (
  SELECT venue_id, {enter_hour} AS hour, count(*) AS pv, count(DISTINCT user_id) AS uv,
    avg(dwell_seconds) FILTER (state = 'complete') AS lov_mean_seconds,
    quantile_cont(dwell_seconds, 0.5) FILTER (state = 'complete') AS lov_median_seconds,
    quantile_cont(dwell_seconds, 0.9) FILTER (state = 'complete') AS lov_p90_seconds
  FROM sessions WHERE enter_at IS NOT NULL GROUP BY ALL
),
sales AS (
  SELECT venue_id, {count_hour} AS hour,
    count(DISTINCT order_id) FILTER (status = 'completed') AS completed_orders,
    count(DISTINCT user_id) FILTER (status = 'completed') AS paying_users,
    sum(amount) FILTER (status = 'completed') AS gmv,
    sum(amount) FILTER (status = 'completed' AND user_id IS NULL) AS gmv_anonymous,
    sum(amount) FILTER (status IN ('cancelled', 'refunded')) AS cancelled_amount
  FROM order_lines GROUP BY ALL
)
SELECT s.venue_id, coalesce(a.activity_id, 'none') AS activity_id, {shown_hour} s.currency,
  p.pf_range, n.pf_entrance, false AS pf_entrance_estimated, n.pf_entrance / nullif(p.pf_range, 0) AS ocr,
  NULL::DOUBLE AS ocr_low, NULL::DOUBLE AS ocr_high, -- no device of this site states its accuracy
  coalesce(e.pv, 0) AS pv, coalesce(e.uv, 0) AS uv, e.lov_mean_seconds, e.lov_median_seconds, e.lov_p90_seconds,
  coalesce(e.pv, 0) / nullif(n.pf_entrance, 0) AS recognition_share,
  coalesce(m.completed_orders, 0) AS completed_orders, coalesce(m.paying_users, 0) AS paying_users,
  coalesce(m.gmv, 0)::DECIMAL(18, 2) AS gmv, coalesce(m.gmv_anonymous, 0)::DECIMAL(18, 2) AS gmv_anonymous,
  coalesce(m.cancelled_amount, 0)::DECIMAL(18, 2) AS cancelled_amount
FROM slots AS s
LEFT JOIN passers AS p ON p.venue_id = s.venue_id AND p.hour = s.hour
LEFT JOIN entrants AS n ON n.venue_id = s.venue_id AND n.hour = s.hour
LEFT JOIN entries AS e ON e.venue_id = s.venue_id AND e.hour = s.hour
LEFT JOIN sales AS m ON m.venue_id = s.venue_id AND m.hour = s.hour
LEFT JOIN activities AS a ON a.venue_id = s.venue_id
"""

ORDERS = {
    "sessions": "venue_id, coalesce(enter_at, leave_at), gateway_id, boot_id, seq",
    "order_lines": "venue_id, order_id, order_no",
    "primary_metrics": "venue_id",
    "hourly_metrics": "venue_id, hour",
}


def plain(root: Path, *, ordered: bool) -> None:
    """Sessions, order lines and metrics as Parquet, in the order of the engine's tables or in any."""
    import duckdb

    target = result_folder(root, "plain" if ordered else "unordered")
    files = {n: clean_file(root, n) for n in ("face_visits", "orders", "boundary_counts", "entrance_counts")}
    with work() as taken:
        con = duckdb.connect(config={"threads": THREADS, "memory_limit": "4GB"})
        con.execute("CREATE TABLE venues AS SELECT unnest(?) AS venue_id, 'EUR' AS currency", [list(VENUES)])
        con.execute("CREATE TABLE activities AS SELECT 'riverside' AS venue_id, 'fair' AS activity_id")
        con.execute(PLAIN_SESSIONS.format(**files))
        con.execute(PLAIN_ORDER_LINES.format(**files))
        con.execute(
            PLAIN_METRICS.format(
                name="primary_metrics", slots="SELECT *, 0 AS hour FROM venues", count_hour="0", enter_hour="0",
                shown_hour="", **files,
            )
        )  # fmt: skip
        con.execute(
            PLAIN_METRICS.format(
                name="hourly_metrics", slots="SELECT v.*, h::INTEGER AS hour FROM venues AS v, range(24) AS hours (h)",
                count_hour="hour(local_time)::INTEGER", enter_hour="hour(enter_local)::INTEGER", shown_hour="s.hour,",
                **files,
            )
        )  # fmt: skip
        for name, order in ORDERS.items():
            by = f"ORDER BY {order}" if ordered else ""
            con.execute(f"COPY (SELECT * FROM {name} {by}) TO '{target / name}.parquet' (FORMAT parquet)")
    report(taken)
