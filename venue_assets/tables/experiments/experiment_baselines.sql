-- The KPI per unit, had the experiment's units been counted in the 28 dates before it.
WITH starting AS (
  SELECT experiment_id, venue_id, unit, reward_days, first_date
  FROM experiments
  WHERE first_date = getvariable('event_date')
),
sold AS (
  SELECT event_date, session_id, count(DISTINCT order_id)::DOUBLE AS orders, sum(amount)::DOUBLE AS amount
  FROM order_lines
  WHERE status = 'completed' AND session_id IS NOT NULL
  GROUP BY event_date, session_id
),
-- Users count from the date on which they were first there, where the reward ends before the experiment begins.
arrivals AS (
  SELECT t.experiment_id, t.venue_id, t.reward_days, u.user_id, min(u.event_date) AS arrived_on
  FROM starting AS t
  JOIN user_days AS u ON u.venue_id = t.venue_id AND u.event_date < t.first_date AND u.entries > 0
  WHERE t.unit = 'user'
  GROUP BY t.experiment_id, t.venue_id, t.reward_days, t.first_date, u.user_id
  HAVING min(u.event_date) + t.reward_days < t.first_date
),
users AS (
  SELECT a.experiment_id, a.user_id,
    sum(u.orders)::DOUBLE AS orders,
    CASE WHEN bool_and(u.amount IS NOT NULL) THEN sum(u.amount)::DOUBLE END AS amount,
    sum(u.entries)::DOUBLE AS visits,
    sum(round(u.dwell_seconds * 1e6)::BIGINT)::BIGINT / 1e6 AS dwell_seconds
  FROM arrivals AS a
  JOIN user_days AS u
    ON u.venue_id = a.venue_id AND u.user_id = a.user_id
    AND u.event_date BETWEEN a.arrived_on AND a.arrived_on + a.reward_days
  GROUP BY a.experiment_id, a.user_id
),
figures AS (
  SELECT t.experiment_id, unnest(['conversion', 'orders', 'amount', 'dwell_seconds']) AS kpi,
    unnest([
      (o.orders IS NOT NULL)::DOUBLE, coalesce(o.orders, 0), coalesce(o.amount, 0),
      CASE WHEN s.state = 'complete' THEN s.dwell_seconds ELSE 0 END
    ]) AS figure
  FROM starting AS t
  JOIN sessions AS s ON s.venue_id = t.venue_id AND s.event_date < t.first_date AND s.enter_at IS NOT NULL
  LEFT JOIN sold AS o ON o.event_date = s.event_date AND o.session_id = s.session_id
  WHERE t.unit = 'visit'
  UNION ALL
  SELECT experiment_id, unnest(['conversion', 'orders', 'amount', 'visits', 'dwell_seconds']),
    unnest([(orders > 0)::DOUBLE, orders, amount, visits, dwell_seconds])
  FROM users
  UNION ALL
  SELECT t.experiment_id, unnest(['gmv', 'pv', 'uv', 'ocr', 'completed_orders', 'paying_users', 'lov_mean_seconds']),
    unnest([
      p.gmv::DOUBLE, p.pv::DOUBLE, p.uv::DOUBLE, p.ocr, p.completed_orders::DOUBLE, p.paying_users::DOUBLE,
      p.lov_mean_seconds
    ])
  FROM starting AS t
  JOIN primary_metrics AS p ON p.venue_id = t.venue_id AND p.event_date < t.first_date
  WHERE t.unit = 'venue_day'
)
-- Sums of floating-point numbers come out the same only in the same order.
SELECT t.experiment_id, k.kpi, k.position, count(f.figure) AS units,
  avg(f.figure ORDER BY f.figure) AS mean,
  var_samp(f.figure ORDER BY f.figure) AS variance
FROM starting AS t
JOIN experiment_kpis AS k ON k.experiment_id = t.experiment_id
LEFT JOIN figures AS f ON f.experiment_id = t.experiment_id AND f.kpi = k.kpi
GROUP BY t.experiment_id, k.kpi, k.position
ORDER BY t.experiment_id, k.position
