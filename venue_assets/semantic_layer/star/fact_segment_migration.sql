SELECT event_date, venue_id, previous_segment, segment, segment_zh, segment <> previous_segment AS is_move,
  users, monetary, currency
FROM rfm_migrations
