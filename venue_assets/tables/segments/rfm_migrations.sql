-- How many users went from which segment to which, of all that were in either window.
SELECT venue_id,
  coalesce(previous_segment, 'none') AS previous_segment,
  coalesce(segment, 'none') AS segment,
  segment_zh,
  count(*) AS users,
  TRY_CAST(coalesce(sum(monetary), 0) AS DECIMAL(18, 2)) AS monetary,
  currency
FROM rfm_segments
GROUP BY ALL
ORDER BY venue_id, previous_segment, segment
