-- The visits of the date that no experiment has touched, other than as its control, and what came of them.
WITH given AS (
  SELECT e.venue_id, e.unit, coalesce(m.member_user_id, a.unit_id) AS unit_id, a.event_date, r.position, a.propensity
  FROM assignments AS a
  JOIN experiments AS e ON e.experiment_id = a.experiment_id AND e.venue_id = a.venue_id
  JOIN experiment_arms AS r ON r.experiment_id = a.experiment_id AND r.arm = a.arm
  LEFT JOIN identity_map AS m ON e.unit = 'user' AND m.terminal_user_id = a.unit_id
),
-- Whoever has once been given another arm goes on being treated until the experiment has matured.
users AS (
  SELECT venue_id, unit_id AS user_id, max(position) > 0 AS treated, max(1 / propensity) AS weight
  FROM given
  WHERE unit = 'user'
  GROUP BY venue_id, unit_id
),
visits AS (
  SELECT u.session_id, max(r.position) > 0 AS treated, max(1 / u.propensity) AS weight
  FROM experiment_units AS u
  JOIN experiment_arms AS r ON r.experiment_id = u.experiment_id AND r.arm = u.arm
  WHERE u.session_id IS NOT NULL
  GROUP BY u.session_id
),
treated_venues AS (
  SELECT venue_id FROM given
  WHERE unit = 'venue_day' AND position > 0 AND event_date = getvariable('event_date')
  UNION
  SELECT e.venue_id
  FROM experiments AS e
  JOIN experiment_arms AS r ON r.experiment_id = e.experiment_id
  WHERE e.kind = 'before_after' AND r.position > 0 AND getvariable('event_date') BETWEEN r.first_date AND r.last_date
),
sold AS (
  SELECT session_id, count(DISTINCT order_id)::BIGINT AS orders, sum(amount)::DOUBLE AS amount
  FROM order_lines
  WHERE status = 'completed' AND session_id IS NOT NULL
  GROUP BY session_id
)
SELECT s.session_id, s.venue_id, s.user_id, isodow(getvariable('event_date'))::INTEGER AS weekday,
  hour(s.enter_local)::INTEGER AS hour, coalesce(o.orders, 0)::BIGINT AS orders, coalesce(o.amount, 0)::DOUBLE AS amount,
  coalesce(v.weight, 1) * coalesce(u.weight, 1) AS weight
FROM sessions AS s
LEFT JOIN sold AS o ON o.session_id = s.session_id
LEFT JOIN visits AS v ON v.session_id = s.session_id
LEFT JOIN users AS u ON u.venue_id = s.venue_id AND u.user_id = s.user_id
ANTI JOIN treated_venues AS t ON t.venue_id = s.venue_id
WHERE s.enter_at IS NOT NULL AND NOT coalesce(v.treated, false) AND NOT coalesce(u.treated, false)
ORDER BY s.session_id
