SELECT event_date,
  venue_id || '/' || event_date || '/' || order_id AS order_key,
  order_no, venue_id, activity_id,
  venue_id || '/' || activity_id AS activity_key,
  CASE WHEN status = 'completed' THEN venue_id || '/' || user_id END AS customer_key,
  user_id, session_id,
  local_time AS ordered_local,
  hour(local_time)::INTEGER AS hour,
  category_id, quantity, amount, currency, status,
  status = 'completed' AS is_completed
FROM order_lines
