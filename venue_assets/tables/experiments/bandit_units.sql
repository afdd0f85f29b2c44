-- The units of bandits, on the date at whose end the reward is complete, with what was known when the arm was given.
WITH moments AS (
  SELECT experiment_id, unit_id, recorded_at, min(hour(local_time))::INTEGER AS hour
  FROM assignments
  GROUP BY experiment_id, unit_id, recorded_at
)
SELECT u.experiment_id, u.unit_id, u.assigned_on, u.arm, u.propensity, u.leaf_id, u.allocation_id, u.reward,
  e.venue_id, isodow(u.assigned_on)::INTEGER AS weekday, t.hour, c.recency_days, c.frequency, c.value, c.segment,
  c.visits, c.mean_dwell_seconds, c.usual_hour, c.usual_weekday, c.category
FROM experiment_units AS u
JOIN experiments AS e ON e.experiment_id = u.experiment_id AND e.kind = 'bandit'
JOIN moments AS t
  ON t.experiment_id = u.experiment_id AND t.unit_id = u.unit_id AND t.recorded_at = u.assigned_at
-- Whom the unit names, not whose session it turned out to be: the gateway knew no more.
LEFT JOIN identity_map AS m ON m.terminal_user_id = split_part(u.unit_id, '/', 1)
LEFT JOIN visitor_contexts AS c
  ON c.event_date = u.assigned_on AND c.venue_id = e.venue_id
  AND c.user_id = coalesce(m.member_user_id, split_part(u.unit_id, '/', 1))
WHERE u.position = 0
ORDER BY u.experiment_id, u.unit_id
