-- One continuous behaviour table out of the four streams.
WITH counts AS (
  SELECT interval_start, local_time, venue_id, 'boundary_count' AS kind, device_id, in_count, out_count,
    gateway_id, boot_id, seq
  FROM boundary_counts
  UNION ALL
  SELECT interval_start, local_time, venue_id, 'entrance_count' AS kind, device_id, in_count, out_count,
    gateway_id, boot_id, seq
  FROM entrance_counts
),
visits AS (
  SELECT v.recorded_at, v.local_time, v.venue_id, v.direction, v.device_id, v.user_id,
    coalesce(opened.session_id, closed.session_id) AS session_id, v.gateway_id, v.boot_id, v.seq
  FROM face_visits AS v
  LEFT JOIN sessions AS opened
    ON opened.gateway_id = v.gateway_id AND opened.boot_id = v.boot_id AND opened.seq = v.seq
  LEFT JOIN sessions AS closed
    ON closed.leave_gateway_id = v.gateway_id AND closed.leave_boot_id = v.boot_id AND closed.leave_seq = v.seq
),
events AS (
  SELECT interval_start AS event_at, local_time, venue_id, kind, device_id,
    NULL::VARCHAR AS user_id, NULL::VARCHAR AS session_id, in_count, out_count,
    NULL::VARCHAR AS order_id, NULL::BIGINT AS order_no, NULL::VARCHAR AS category_id, NULL::BIGINT AS quantity,
    NULL::DECIMAL(18, 2) AS amount, NULL::VARCHAR AS currency, NULL::VARCHAR AS status, gateway_id, boot_id, seq
  FROM counts
  UNION ALL
  SELECT recorded_at, local_time, venue_id, direction, device_id,
    user_id, session_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, gateway_id, boot_id, seq
  FROM visits
  UNION ALL
  SELECT l.ordered_at, l.local_time, l.venue_id, 'order_line' AS kind, o.device_id,
    l.user_id, l.session_id, NULL, NULL, l.order_id, l.order_no, l.category_id, l.quantity,
    l.amount, l.currency, l.status, l.gateway_id, l.boot_id, l.seq
  FROM order_lines AS l
  JOIN orders AS o ON o.gateway_id = l.gateway_id AND o.boot_id = l.boot_id AND o.seq = l.seq
)
SELECT e.event_at, e.local_time, e.venue_id, coalesce(a.activity_id, 'none') AS activity_id, e.kind, e.device_id,
  e.user_id, e.session_id, e.in_count, e.out_count, e.order_id, e.order_no, e.category_id, e.quantity, e.amount,
  e.currency, e.status, e.gateway_id, e.boot_id, e.seq
FROM events AS e
LEFT JOIN activities AS a ON a.venue_id = e.venue_id
ORDER BY e.event_at, e.venue_id, e.kind, e.gateway_id, e.boot_id, e.seq
