SELECT s.event_date, s.session_id, s.venue_id, s.activity_id,
  s.venue_id || '/' || s.activity_id AS activity_key,
  CASE WHEN s.enter_at IS NOT NULL THEN s.venue_id || '/' || s.user_id END AS customer_key,
  s.user_id, s.state,
  s.enter_at IS NOT NULL AS has_entry,
  s.enter_local,
  hour(s.enter_local)::INTEGER AS hour,
  s.dwell_seconds,
  o.session_id IS NOT NULL AS has_order,
  p.pf_entrance IS NOT NULL AS is_counted_too
FROM sessions AS s
LEFT JOIN (SELECT DISTINCT event_date, session_id FROM order_lines WHERE status = 'completed') AS o
  ON o.event_date = s.event_date AND o.session_id = s.session_id
LEFT JOIN primary_metrics AS p ON p.event_date = s.event_date AND p.venue_id = s.venue_id
