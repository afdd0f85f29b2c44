-- Sessions: one pass over each person's records in order of time.
WITH steps AS (
  SELECT *,
    lag(direction) OVER person AS previous_direction,
    lead(direction) OVER person AS next_direction,
    lead(recorded_at) OVER person AS next_at,
    lead(gateway_id) OVER person AS next_gateway_id,
    lead(boot_id) OVER person AS next_boot_id,
    lead(seq) OVER person AS next_seq
  FROM face_visits
  WINDOW person AS (PARTITION BY venue_id, user_id ORDER BY recorded_at, gateway_id, boot_id, seq)
),
opened AS (
  SELECT *,
    direction = 'enter' AND next_direction IS NOT DISTINCT FROM 'leave' AS has_both
  FROM steps
  -- A leave that closes an enter opens nothing.
  WHERE direction = 'enter' OR previous_direction IS DISTINCT FROM 'enter'
)
SELECT
  o.gateway_id || '-' || o.boot_id || '-' || o.seq AS session_id,
  o.venue_id,
  coalesce(a.activity_id, 'none') AS activity_id,
  o.user_id,
  CASE
    WHEN o.direction = 'leave' THEN 'no_entry'
    WHEN NOT o.has_both THEN 'no_exit'
    WHEN o.next_at > o.recorded_at + INTERVAL 12 HOURS THEN 'overlong'
    ELSE 'complete'
  END AS state,
  CASE WHEN o.direction = 'enter' THEN o.recorded_at END AS enter_at,
  CASE WHEN o.direction = 'leave' THEN o.recorded_at WHEN o.has_both THEN o.next_at END AS leave_at,
  CASE WHEN o.direction = 'enter' THEN o.local_time END AS enter_local,
  CASE WHEN o.has_both THEN (epoch_us(o.next_at) - epoch_us(o.recorded_at)) / 1e6 END AS dwell_seconds,
  CASE
    WHEN o.has_both THEN o.next_at
    WHEN o.direction = 'enter'
      THEN least(o.recorded_at + INTERVAL 12 HOURS, o.next_at - INTERVAL 1 MICROSECOND)
  END AS reaches_until,
  o.gateway_id, o.boot_id, o.seq,
  CASE WHEN o.direction = 'leave' THEN o.gateway_id WHEN o.has_both THEN o.next_gateway_id END AS leave_gateway_id,
  CASE WHEN o.direction = 'leave' THEN o.boot_id WHEN o.has_both THEN o.next_boot_id END AS leave_boot_id,
  CASE WHEN o.direction = 'leave' THEN o.seq WHEN o.has_both THEN o.next_seq END AS leave_seq
FROM opened AS o
LEFT JOIN activities AS a ON a.venue_id = o.venue_id
ORDER BY o.venue_id, o.recorded_at, o.gateway_id, o.boot_id, o.seq
