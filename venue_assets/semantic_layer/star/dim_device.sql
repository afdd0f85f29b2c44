SELECT * FROM site_devices ORDER BY device_key
