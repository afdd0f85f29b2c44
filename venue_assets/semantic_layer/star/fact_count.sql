WITH counted AS (
  SELECT event_date, venue_id, device_id, 'boundary_counts' AS stream, hour(local_time)::INTEGER AS hour,
    sum(in_count) AS in_count, sum(out_count) AS out_count
  FROM boundary_counts
  GROUP BY ALL
  UNION ALL
  SELECT event_date, venue_id, device_id, 'entrance_counts', hour(local_time)::INTEGER, sum(in_count), sum(out_count)
  FROM entrance_counts
  GROUP BY ALL
),
reported AS (
  SELECT event_date, venue_id, count(DISTINCT stream) AS streams
  FROM counted
  GROUP BY event_date, venue_id
)
SELECT c.event_date, c.venue_id, p.activity_id,
  c.venue_id || '/' || p.activity_id AS activity_key,
  d.device_key, c.device_id, c.stream, c.hour,
  TRY_CAST(c.in_count AS BIGINT) AS in_count,
  TRY_CAST(c.out_count AS BIGINT) AS out_count,
  c.in_count::DOUBLE * CASE WHEN d.counting = 'passages' AND c.stream = 'entrance_counts' THEN d.in_share ELSE 1 END
    AS people_in,
  r.streams = 2 AS is_compared,
  v.has_terminal
FROM counted AS c
JOIN reported AS r ON r.event_date = c.event_date AND r.venue_id = c.venue_id
JOIN site_devices AS d ON d.venue_id = c.venue_id AND d.device_id = c.device_id AND d.stream = c.stream
JOIN site_venues AS v ON v.venue_id = c.venue_id
JOIN primary_metrics AS p ON p.event_date = c.event_date AND p.venue_id = c.venue_id
