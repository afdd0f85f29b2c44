SELECT event_date,
  event_date = max(event_date) OVER (PARTITION BY experiment_id) AS is_latest,
  experiment_id, arm, kpi, position = 0 AS decides, status, n_control, n_arm, control_mean, arm_mean, effect, low, high,
  p_value, significant, conclusion, conclusion_zh
FROM experiment_verdicts
