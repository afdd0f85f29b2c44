-- What each known person did in the event date.
WITH visits AS (
  SELECT venue_id, user_id,
    count(*) AS entries,
    count(*) FILTER (state = 'complete') AS complete_sessions,
    -- Integer microseconds add up to the same sum in any order.
    coalesce(sum(epoch_us(leave_at) - epoch_us(enter_at)) FILTER (state = 'complete'), 0)::BIGINT / 1e6
      AS dwell_seconds,
    hour(arg_min(enter_local, enter_at))::INTEGER AS first_hour
  FROM sessions
  WHERE enter_at IS NOT NULL
  GROUP BY venue_id, user_id
),
completed AS (
  SELECT venue_id, user_id, order_id, category_id, amount
  FROM order_lines
  WHERE status = 'completed' AND user_id IS NOT NULL
),
purchases AS (
  SELECT venue_id, user_id, count(DISTINCT order_id) AS orders, TRY_CAST(sum(amount) AS DECIMAL(18, 2)) AS amount
  FROM completed
  GROUP BY venue_id, user_id
),
favourites AS (
  SELECT venue_id, user_id, category_id AS top_category
  FROM completed
  GROUP BY venue_id, user_id, category_id
  QUALIFY row_number() OVER (PARTITION BY venue_id, user_id ORDER BY sum(amount) DESC, category_id) = 1
),
people AS (
  SELECT venue_id, user_id FROM visits
  UNION
  SELECT venue_id, user_id FROM purchases
)
SELECT p.venue_id, coalesce(a.activity_id, 'none') AS activity_id, p.user_id,
  coalesce(v.entries, 0) AS entries,
  coalesce(v.complete_sessions, 0) AS complete_sessions,
  coalesce(v.dwell_seconds, 0) AS dwell_seconds,
  v.first_hour,
  coalesce(b.orders, 0) AS orders,
  -- Null only where a sum does not fit.
  CASE WHEN b.orders > 0 THEN b.amount ELSE 0 END AS amount,
  f.top_category,
  n.currency
FROM people AS p
JOIN venues AS n ON n.venue_id = p.venue_id
LEFT JOIN activities AS a ON a.venue_id = p.venue_id
LEFT JOIN visits AS v ON v.venue_id = p.venue_id AND v.user_id = p.user_id
LEFT JOIN purchases AS b ON b.venue_id = p.venue_id AND b.user_id = p.user_id
LEFT JOIN favourites AS f ON f.venue_id = p.venue_id AND f.user_id = p.user_id
ORDER BY p.venue_id, p.user_id
