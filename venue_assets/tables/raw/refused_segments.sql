-- What was refused, and what to do about it.
SELECT stream, segment, reason, detail, remedy
FROM landed_segments
WHERE reason IS NOT NULL
ORDER BY stream, segment
