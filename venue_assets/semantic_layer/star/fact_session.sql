-- Counted too: entrance sensors of the venue reported, and of each it is known how many of its passages lead in.
WITH counted AS (
  SELECT e.event_date, e.venue_id
  FROM entrance_counts AS e
  JOIN site_devices AS d ON d.venue_id = e.venue_id AND d.device_id = e.device_id AND d.stream = 'entrance_counts'
  GROUP BY e.event_date, e.venue_id
  HAVING bool_and(CASE WHEN d.counting = 'passages' THEN d.in_share ELSE 1 END IS NOT NULL)
)
SELECT s.event_date, s.session_id, s.venue_id, s.activity_id,
  s.venue_id || '/' || s.activity_id AS activity_key,
  CASE WHEN s.enter_at IS NOT NULL THEN s.venue_id || '/' || s.user_id END AS customer_key,
  s.user_id, s.state,
  s.enter_at IS NOT NULL AS has_entry,
  s.enter_local,
  hour(s.enter_local)::INTEGER AS hour,
  s.dwell_seconds,
  o.session_id IS NOT NULL AS has_order,
  c.venue_id IS NOT NULL AS is_counted_too
FROM sessions AS s
LEFT JOIN (SELECT DISTINCT event_date, session_id FROM order_lines WHERE status = 'completed') AS o
  ON o.event_date = s.event_date AND o.session_id = s.session_id
LEFT JOIN counted AS c ON c.event_date = s.event_date AND c.venue_id = s.venue_id
