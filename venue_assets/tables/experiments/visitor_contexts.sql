-- What was known, at the end of the date before, of each person whom the event date is about.
-- Who had not been there for a year is new, and that is known too: a tree leaves out of its tests what is null.
WITH people AS (
  SELECT venue_id, user_id FROM user_days
  UNION
  -- Whoever was given an arm and then not seen, too: the part of the unit before its first '/' names the person, if any.
  SELECT a.venue_id, coalesce(m.member_user_id, split_part(a.unit_id, '/', 1))
  FROM assignments AS a
  LEFT JOIN identity_map AS m ON m.terminal_user_id = split_part(a.unit_id, '/', 1)
)
SELECT p.venue_id, p.user_id, f.recency_days,
  coalesce(f.frequency, 0) AS frequency,
  CASE WHEN f.user_id IS NULL THEN 0 ELSE f.value::DOUBLE END AS value,
  coalesce(f.segment, 'new') AS segment,
  coalesce(f.visits, 0) AS visits,
  f.mean_dwell_seconds, f.usual_hour, f.usual_weekday, f.category
FROM people AS p
LEFT JOIN visitor_features AS f
  ON f.event_date = getvariable('event_date') - 1 AND f.venue_id = p.venue_id AND f.user_id = p.user_id
ORDER BY p.venue_id, p.user_id
