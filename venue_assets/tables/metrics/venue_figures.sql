-- All figures, for the whole event date (slot -1) and for each local hour, by grouping sets over one scan each.
WITH slots AS (
  SELECT v.*, slot::INTEGER AS slot
  FROM venues AS v, range(-1, 24) AS hours (slot)
  WHERE v.operates
),
by_device AS (
  SELECT 'boundary_counts' AS stream, venue_id, device_id, coalesce(hour(local_time), -1)::INTEGER AS slot,
    sum(in_count) AS counted
  FROM boundary_counts
  GROUP BY GROUPING SETS ((venue_id, device_id), (venue_id, device_id, hour(local_time)))
  UNION ALL
  SELECT 'entrance_counts', venue_id, device_id, coalesce(hour(local_time), -1)::INTEGER, sum(in_count)
  FROM entrance_counts
  GROUP BY GROUPING SETS ((venue_id, device_id), (venue_id, device_id, hour(local_time)))
),
-- What each device counted, and how many people that can have been; unknown (null) where it states no accuracy.
of_device AS (
  SELECT b.stream, b.venue_id, b.device_id, b.slot, b.counted, d.counting, d.in_share,
    b.counted::DOUBLE / a.counted_share_high AS least, b.counted::DOUBLE / a.counted_share_low AS most
  FROM by_device AS b
  JOIN devices AS d ON d.device_id = b.device_id AND d.venue_id = b.venue_id AND d.stream = b.stream
  LEFT JOIN device_accuracy AS a ON a.device_id = b.device_id AND a.venue_id = b.venue_id AND a.stream = b.stream
),
-- Sums of fractions are ordered, because they depend on it.
passers AS (
  SELECT venue_id, slot, TRY_CAST(sum(counted) AS BIGINT) AS pf_range,
    CASE WHEN bool_and(least IS NOT NULL) THEN sum(least ORDER BY device_id) END AS least,
    CASE WHEN bool_and(least IS NOT NULL) THEN sum(most ORDER BY device_id) END AS most
  FROM of_device
  WHERE stream = 'boundary_counts'
  GROUP BY venue_id, slot
),
entrants AS (
  SELECT venue_id, slot, bool_or(counting = 'passages') AS estimated,
    -- One sensor of unknown share makes the whole figure unknown.
    CASE WHEN bool_and(share IS NOT NULL) THEN sum(counted::DOUBLE * share ORDER BY device_id) END AS pf_entrance,
    CASE WHEN bool_and(least * share IS NOT NULL) THEN sum(least * share ORDER BY device_id) END AS least,
    CASE WHEN bool_and(least * share IS NOT NULL) THEN sum(most * share ORDER BY device_id) END AS most
  FROM (SELECT *, CASE WHEN counting = 'passages' THEN in_share ELSE 1.0::DOUBLE END AS share FROM of_device)
  WHERE stream = 'entrance_counts'
  GROUP BY venue_id, slot
),
visitors AS (
  -- Each person once, with a bit for every local hour in which they came; few patterns of hours remain to be counted.
  SELECT venue_id, hours, count(user_id) AS people
  FROM (
    SELECT venue_id, user_id, bit_or(1 << hour(enter_local)) AS hours
    FROM sessions
    WHERE enter_at IS NOT NULL
    GROUP BY venue_id, user_id
  )
  GROUP BY venue_id, hours
),
distinct_visitors AS (
  SELECT v.venue_id, s.slot, sum(v.people)::BIGINT AS uv
  FROM visitors AS v
  JOIN slots AS s ON s.venue_id = v.venue_id AND (s.slot = -1 OR (v.hours >> s.slot) & 1 = 1)
  GROUP BY v.venue_id, s.slot
),
entries AS (
  SELECT venue_id, coalesce(hour(enter_local), -1)::INTEGER AS slot,
    count(*) AS pv,
    -- Integer microseconds add up to the same sum in any order.
    sum((dwell_seconds * 1e6)::BIGINT) FILTER (state = 'complete')::BIGINT
      / nullif(count(*) FILTER (state = 'complete'), 0) / 1e6 AS lov_mean_seconds,
    quantile_cont(dwell_seconds, [0.5, 0.9]) FILTER (state = 'complete') AS lov_quantiles
  FROM sessions
  WHERE enter_at IS NOT NULL
  GROUP BY GROUPING SETS ((venue_id), (venue_id, hour(enter_local)))
),
sales AS (
  SELECT venue_id, coalesce(hour(local_time), -1)::INTEGER AS slot,
    count(DISTINCT order_id) FILTER (status = 'completed') AS completed_orders,
    count(DISTINCT user_id) FILTER (status = 'completed') AS paying_users,
    sum(amount) FILTER (status = 'completed') AS gmv,
    sum(amount) FILTER (status = 'completed' AND user_id IS NULL) AS gmv_anonymous,
    sum(amount) FILTER (status IN ('cancelled', 'refunded')) AS cancelled_amount
  FROM order_lines
  GROUP BY GROUPING SETS ((venue_id), (venue_id, hour(local_time)))
)
SELECT
  s.venue_id,
  s.slot,
  CASE WHEN s.has_boundary THEN p.pf_range END AS pf_range,
  CASE WHEN s.has_entrance THEN n.pf_entrance END AS pf_entrance,
  coalesce(n.estimated, false) AS pf_entrance_estimated,
  n.pf_entrance / nullif(p.pf_range, 0) AS ocr,
  CASE WHEN p.pf_range > 0 THEN n.least / p.most END AS ocr_low,
  CASE WHEN p.pf_range > 0 THEN n.most / p.least END AS ocr_high,
  CASE WHEN s.has_terminal THEN coalesce(e.pv, 0) END AS pv,
  CASE WHEN s.has_terminal THEN coalesce(u.uv, 0) END AS uv,
  e.lov_mean_seconds,
  e.lov_quantiles[1] AS lov_median_seconds,
  e.lov_quantiles[2] AS lov_p90_seconds,
  CASE WHEN s.has_terminal THEN coalesce(e.pv, 0) / nullif(n.pf_entrance, 0) END AS recognition_share,
  CASE WHEN s.takes_orders THEN coalesce(m.completed_orders, 0) END AS completed_orders,
  CASE WHEN s.takes_orders THEN coalesce(m.paying_users, 0) END AS paying_users,
  CASE WHEN s.takes_orders THEN TRY_CAST(coalesce(m.gmv, 0) AS DECIMAL(18, 2)) END AS gmv,
  CASE WHEN s.takes_orders THEN TRY_CAST(coalesce(m.gmv_anonymous, 0) AS DECIMAL(18, 2)) END AS gmv_anonymous,
  CASE WHEN s.takes_orders THEN TRY_CAST(coalesce(m.cancelled_amount, 0) AS DECIMAL(18, 2)) END AS cancelled_amount
FROM slots AS s
LEFT JOIN passers AS p ON p.venue_id = s.venue_id AND p.slot = s.slot
LEFT JOIN entrants AS n ON n.venue_id = s.venue_id AND n.slot = s.slot
LEFT JOIN entries AS e ON e.venue_id = s.venue_id AND e.slot = s.slot
LEFT JOIN distinct_visitors AS u ON u.venue_id = s.venue_id AND u.slot = s.slot
LEFT JOIN sales AS m ON m.venue_id = s.venue_id AND m.slot = s.slot
ORDER BY s.venue_id, s.slot
