SELECT event_date_of_shares AS event_date, experiment_id, leaf, rule, arm, units, mean, share
FROM bandit_allocations
