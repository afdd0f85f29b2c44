WITH people AS (
  SELECT venue_id, user_id,
    min(event_date) FILTER (entries > 0) AS first_entry_date,
    max(event_date) AS last_date
  FROM user_days
  GROUP BY venue_id, user_id
),
latest AS (
  SELECT * FROM rfm_segments WHERE event_date = (SELECT max(event_date) FROM rfm_segments)
)
SELECT p.venue_id || '/' || p.user_id AS customer_key, p.venue_id, p.user_id, p.first_entry_date, p.last_date,
  r.recency_days, r.frequency, r.monetary, v.currency,
  coalesce(r.segment, 'inactive') AS segment,
  coalesce(r.segment_zh, '不活跃') AS segment_zh
FROM people AS p
JOIN site_venues AS v ON v.venue_id = p.venue_id
LEFT JOIN latest AS r ON r.venue_id = p.venue_id AND r.user_id = p.user_id
