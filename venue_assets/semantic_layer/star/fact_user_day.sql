SELECT u.event_date, u.venue_id, u.activity_id,
  u.venue_id || '/' || u.activity_id AS activity_key,
  u.venue_id || '/' || u.user_id AS customer_key,
  u.user_id, u.entries,
  u.entries > 0 AND c.first_entry_date = u.event_date AS is_first_entry,
  u.orders, u.amount, u.currency
FROM user_days AS u
JOIN dim_customer AS c ON c.venue_id = u.venue_id AND c.user_id = u.user_id
