-- Sessions: sorted by person, each one's records lie side by side in order of time, and neighbours make a session.
-- Sorting millions of rows costs what they are wide, most of all in texts, and, beyond 24 bytes, what their key is: a
-- record's texts are sorted once, into the order of the sessions, and only numbers travel to the person and back.
WITH origins AS (
  SELECT o.venue_id, o.gateway_id, o.boot_id, coalesce(a.activity_id, 'none') AS activity_id,
    row_number() OVER (ORDER BY o.venue_id, o.gateway_id, o.boot_id)::INTEGER AS origin,
    dense_rank() OVER (ORDER BY o.venue_id)::INTEGER AS venue
  FROM (SELECT DISTINCT venue_id, gateway_id, boot_id FROM face_visits) AS o
  LEFT JOIN activities AS a ON a.venue_id = o.venue_id
),
timeline AS MATERIALIZED (
  SELECT o.venue, o.origin, v.user_id, v.recorded_at, v.local_time, v.direction = 'enter' AS enters, v.seq
  FROM face_visits AS v
  JOIN origins AS o ON o.venue_id = v.venue_id AND o.gateway_id = v.gateway_id AND o.boot_id = v.boot_id
  ORDER BY o.venue, v.recorded_at, o.origin, v.seq
),
records AS (
  SELECT origin, recorded_at, enters, seq, (row_number() OVER ())::INTEGER AS place,
    -- One digest, turned by the venue, is one person there. hash() would not do: ids much alike can share 64 bits.
    xor(md5_number(user_id), venue::UHUGEINT) AS person
  FROM timeline
  ORDER BY person, place
),
-- OVER () is the order of `records`, and reads it as it comes instead of sorting it anew for each person.
neighbours AS (
  SELECT place,
    lag(CASE WHEN enters THEN person END) OVER () IS NOT DISTINCT FROM person AS after_enter,
    lead(person) OVER () IS NOT DISTINCT FROM person AS has_next,
    lead(enters) OVER () AS next_enters,
    lead(recorded_at) OVER () AS next_at,
    lead(origin) OVER () AS next_origin,
    lead(seq) OVER () AS next_seq
  FROM records
),
-- Back in the order of the timeline, whose rows are joined by position.
steps AS (
  SELECT t.origin, t.user_id, t.recorded_at, t.local_time, t.enters, t.seq,
    n.after_enter, n.has_next, n.next_enters, n.next_at, n.next_origin, n.next_seq
  FROM timeline AS t
  POSITIONAL JOIN (SELECT * FROM neighbours ORDER BY place) AS n
),
opened AS (
  SELECT origin, user_id, enters, recorded_at, local_time, seq,
    enters AND has_next AND NOT next_enters AS has_both,
    CASE WHEN has_next THEN next_at END AS next_at,
    CASE WHEN NOT enters THEN origin WHEN has_next AND NOT next_enters THEN next_origin END AS leave_origin,
    CASE WHEN NOT enters THEN seq WHEN has_next AND NOT next_enters THEN next_seq END AS leave_seq
  FROM steps
  -- A leave that closes an enter opens nothing.
  WHERE enters OR NOT after_enter
),
-- Origins are looked up by position rather than joined: a list keeps the order of the sessions.
named AS (
  SELECT * EXCLUDE (names), names[origin] AS opening, names[leave_origin] AS closing
  FROM (SELECT *, (SELECT list(o ORDER BY o.origin) FROM origins AS o) AS names FROM opened)
)
SELECT
  concat(opening.gateway_id, '-', opening.boot_id, '-', seq) AS session_id,
  opening.venue_id AS venue_id,
  opening.activity_id AS activity_id,
  user_id,
  CASE
    WHEN NOT enters THEN 'no_entry'
    WHEN NOT has_both THEN 'no_exit'
    WHEN next_at > recorded_at + INTERVAL 12 HOURS THEN 'overlong'
    ELSE 'complete'
  END AS state,
  CASE WHEN enters THEN recorded_at END AS enter_at,
  CASE WHEN NOT enters THEN recorded_at WHEN has_both THEN next_at END AS leave_at,
  CASE WHEN enters THEN local_time END AS enter_local,
  CASE WHEN has_both THEN (epoch_us(next_at) - epoch_us(recorded_at)) / 1e6 END AS dwell_seconds,
  CASE
    WHEN has_both THEN next_at
    WHEN enters THEN least(recorded_at + INTERVAL 12 HOURS, next_at - INTERVAL 1 MICROSECOND)
  END AS reaches_until,
  opening.gateway_id AS gateway_id,
  opening.boot_id AS boot_id,
  seq,
  closing.gateway_id AS leave_gateway_id,
  closing.boot_id AS leave_boot_id,
  leave_seq
FROM named
