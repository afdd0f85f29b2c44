SELECT * FROM site_experiments ORDER BY experiment_id
