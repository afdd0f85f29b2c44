SELECT * FROM site_activities ORDER BY activity_key
