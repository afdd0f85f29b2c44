-- What landed and is not clean, of all streams, and what to do about it.
WITH quarantined AS (
  SELECT 'boundary_counts' AS stream, reason, segment, line, problem, text, text_bytes, text_sha256
  FROM raw_boundary_counts
  WHERE reason IS NOT NULL
  UNION ALL
  SELECT 'entrance_counts' AS stream, reason, segment, line, problem, text, text_bytes, text_sha256
  FROM raw_entrance_counts
  WHERE reason IS NOT NULL
  UNION ALL
  SELECT 'face_visits' AS stream, reason, segment, line, problem, text, text_bytes, text_sha256
  FROM raw_face_visits
  WHERE reason IS NOT NULL
  UNION ALL
  SELECT 'orders' AS stream, reason, segment, line, problem, text, text_bytes, text_sha256
  FROM raw_orders
  WHERE reason IS NOT NULL
  UNION ALL
  SELECT 'assignments' AS stream, reason, segment, line, problem, text, text_bytes, text_sha256
  FROM raw_assignments
  WHERE reason IS NOT NULL
  UNION ALL
  SELECT 'identity_links' AS stream, reason, segment, line, problem, text, text_bytes, text_sha256
  FROM raw_identity_links
  WHERE reason IS NOT NULL
  UNION ALL
  SELECT 'gateway_events' AS stream, reason, segment, line, problem, text, text_bytes, text_sha256
  FROM raw_gateway_events
  WHERE reason IS NOT NULL
)
SELECT *,
  CASE reason
    WHEN 'malformed' THEN 'correct what writes these lines and land them again under new numbers'
    WHEN 'duplicate' THEN 'nothing to do: the record was landed before and counts once'
    WHEN 'unknown_venue' THEN 'add the venue to site.toml, then rerun the date; or correct the venue_id at the gateway'
    WHEN 'unknown_device' THEN 'add the device with its venue, stream and gateway to site.toml, then rerun the date'
    WHEN 'wrong_event_date' THEN 'set the clock of the gateway; its time lies on another event date than its folder'
    WHEN 'out_of_range' THEN 'look at the device or the export: a count, amount, interval, currency or time cannot be'
  END AS remedy
FROM quarantined
ORDER BY stream, segment, line
