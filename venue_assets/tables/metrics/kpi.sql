-- Users are distinct over the whole window; money and orders add up over its dates, because an order belongs to one.
WITH windows AS (
  SELECT venue_id, 'last_30_days' AS window_name, getvariable('event_date') - 29 AS first_date
  FROM venues
  WHERE operates
  UNION ALL
  SELECT v.venue_id, 'activity_to_date' AS window_name, a.first_date
  FROM venues AS v
  JOIN activities AS a ON a.venue_id = v.venue_id
  WHERE v.operates
),
sales AS (
  SELECT w.venue_id, w.window_name, count(*) AS dates,
    sum(p.completed_orders)::BIGINT AS completed_orders,
    -- One date whose sum did not fit its column makes the sum of all unknown.
    CASE WHEN bool_and(p.gmv IS NOT NULL) THEN TRY_CAST(sum(p.gmv) AS DECIMAL(18, 2)) END AS gmv,
    CASE WHEN bool_and(p.gmv_anonymous IS NOT NULL) THEN TRY_CAST(sum(p.gmv_anonymous) AS DECIMAL(18, 2)) END
      AS gmv_anonymous
  FROM windows AS w
  JOIN primary_metrics AS p ON p.venue_id = w.venue_id AND p.event_date >= w.first_date
  GROUP BY w.venue_id, w.window_name
),
people AS (
  SELECT w.venue_id, w.window_name, u.user_id, sum(u.orders) AS orders, count(*) FILTER (u.orders > 0) AS order_dates
  FROM windows AS w
  JOIN user_days AS u ON u.venue_id = w.venue_id AND u.event_date >= w.first_date
  GROUP BY w.venue_id, w.window_name, u.user_id
),
users AS (
  SELECT venue_id, window_name,
    count(*) AS users,
    count(*) FILTER (orders >= 1) AS paying_users,
    count(*) FILTER (orders >= 2) AS repurchasing_users,
    count(*) FILTER (order_dates >= 2) AS repurchasing_users_days
  FROM people
  GROUP BY venue_id, window_name
),
figures AS (
  SELECT w.venue_id, w.window_name, w.first_date, v.currency, coalesce(s.dates, 0) AS dates,
    s.gmv, s.gmv_anonymous, (s.gmv - s.gmv_anonymous)::DECIMAL(18, 2) AS identified_gmv, s.completed_orders,
    CASE WHEN v.has_terminal OR v.takes_orders THEN coalesce(u.users, 0) END AS users,
    CASE WHEN v.takes_orders THEN coalesce(u.paying_users, 0) END AS paying_users,
    CASE WHEN v.takes_orders THEN coalesce(u.repurchasing_users, 0) END AS repurchasing_users,
    CASE WHEN v.takes_orders THEN coalesce(u.repurchasing_users_days, 0) END AS repurchasing_users_days
  FROM windows AS w
  JOIN venues AS v ON v.venue_id = w.venue_id
  LEFT JOIN sales AS s ON s.venue_id = w.venue_id AND s.window_name = w.window_name
  LEFT JOIN users AS u ON u.venue_id = w.venue_id AND u.window_name = w.window_name
)
SELECT f.venue_id, f.window_name, f.first_date, f.dates, coalesce(a.activity_id, 'none') AS activity_id, f.currency,
  f.gmv, f.gmv_anonymous, f.identified_gmv, f.completed_orders, f.users, f.paying_users,
  f.identified_gmv::DOUBLE / nullif(f.users, 0) AS arpu,
  f.identified_gmv::DOUBLE / nullif(f.paying_users, 0) AS arppu,
  f.repurchasing_users,
  f.repurchasing_users / nullif(f.paying_users, 0) AS repurchase_rate,
  f.repurchasing_users_days,
  f.repurchasing_users_days / nullif(f.paying_users, 0) AS repurchase_rate_days
FROM figures AS f
LEFT JOIN activities AS a ON a.venue_id = f.venue_id
ORDER BY f.venue_id, f.window_name
