SELECT event_date, experiment_id, arm, position = 0 AS is_control, n_units, n, required_n, samples_needed, sample_ratio_ok
FROM sample_size_checks
