SELECT unnest(range(24))::INTEGER AS hour
