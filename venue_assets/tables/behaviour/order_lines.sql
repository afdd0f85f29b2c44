-- Current lines and the session in which each was ordered.
WITH lines AS MATERIALIZED (
  SELECT *, row_number() OVER () AS line
  FROM orders
  WHERE NOT superseded
),
attached AS (
  SELECT o.line, s.session_id
  FROM lines AS o
  JOIN sessions AS s
    ON s.venue_id = o.venue_id AND s.user_id = o.user_id
    AND (
      o.ordered_at BETWEEN s.enter_at AND s.reaches_until
      OR o.ordered_at BETWEEN s.leave_at AND s.leave_at + INTERVAL 30 MINUTES
    )
  QUALIFY row_number() OVER (
    PARTITION BY o.line
    ORDER BY coalesce(o.ordered_at BETWEEN s.enter_at AND s.reaches_until, false) DESC,
      s.enter_at DESC NULLS LAST, CASE WHEN s.enter_at IS NULL THEN s.leave_at END DESC,
      s.gateway_id DESC, s.boot_id DESC, s.seq DESC -- of two enters at one instant, the later in the order of records
  ) = 1
)
SELECT
  o.venue_id, coalesce(v.activity_id, 'none') AS activity_id,
  o.order_id, o.order_no, o.user_id, a.session_id, o.ordered_at, o.local_time, o.category_id, o.quantity, o.amount,
  o.currency, o.status, o.gateway_id, o.boot_id, o.seq
FROM lines AS o
LEFT JOIN attached AS a ON a.line = o.line
LEFT JOIN activities AS v ON v.venue_id = o.venue_id
ORDER BY o.venue_id, o.order_id, o.order_no
