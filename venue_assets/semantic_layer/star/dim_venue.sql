SELECT * FROM site_venues ORDER BY venue_id
