-- What is known of each user at the end of the event date, from the 365 dates that end with it.
WITH totals AS (
  SELECT venue_id, user_id,
    getvariable('event_date') - max(event_date) AS recency_days,
    sum(entries)::BIGINT AS visits,
    -- Integer microseconds add up to the same sum in any order.
    sum((dwell_seconds * 1e6)::BIGINT)::BIGINT / nullif(sum(complete_sessions), 0)::BIGINT / 1e6 AS mean_dwell_seconds
  FROM user_days
  GROUP BY venue_id, user_id
),
hours AS (
  SELECT venue_id, user_id, first_hour AS usual_hour
  FROM user_days
  WHERE first_hour IS NOT NULL
  GROUP BY venue_id, user_id, first_hour
  QUALIFY row_number() OVER (PARTITION BY venue_id, user_id ORDER BY count(*) DESC, first_hour) = 1
),
weekdays AS (
  SELECT venue_id, user_id, isodow(event_date)::INTEGER AS usual_weekday
  FROM user_days
  GROUP BY venue_id, user_id, isodow(event_date)
  QUALIFY row_number() OVER (PARTITION BY venue_id, user_id ORDER BY count(*) DESC, isodow(event_date)) = 1
),
categories AS (
  SELECT venue_id, user_id, top_category AS category
  FROM user_days
  WHERE top_category IS NOT NULL
  GROUP BY venue_id, user_id, top_category
  QUALIFY row_number() OVER (PARTITION BY venue_id, user_id ORDER BY count(*) DESC, top_category) = 1
)
SELECT s.venue_id, s.user_id, t.recency_days, s.frequency, s.monetary AS value, s.currency, s.segment, t.visits,
  t.mean_dwell_seconds, h.usual_hour, w.usual_weekday, c.category
FROM rfm_segments AS s
JOIN totals AS t ON t.venue_id = s.venue_id AND t.user_id = s.user_id
JOIN weekdays AS w ON w.venue_id = s.venue_id AND w.user_id = s.user_id
LEFT JOIN hours AS h ON h.venue_id = s.venue_id AND h.user_id = s.user_id
LEFT JOIN categories AS c ON c.venue_id = s.venue_id AND c.user_id = s.user_id
ORDER BY s.venue_id, s.user_id
