-- What landed and is not clean, of all streams.
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
ORDER BY stream, segment, line
