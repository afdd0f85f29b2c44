-- What landed and is not clean, of all streams: what is wrong with it, and what to do about it.
WITH landed AS (
  -- A field that a stream does not have is null here, and with it every sentence about it.
  SELECT 'boundary_counts' AS stream, * FROM raw_boundary_counts
  UNION ALL BY NAME
  SELECT 'entrance_counts' AS stream, * FROM raw_entrance_counts
  UNION ALL BY NAME
  SELECT 'face_visits' AS stream, * FROM raw_face_visits
  UNION ALL BY NAME
  SELECT 'orders' AS stream, * FROM raw_orders
  UNION ALL BY NAME
  SELECT 'assignments' AS stream, * FROM raw_assignments
  UNION ALL BY NAME
  SELECT 'identity_links' AS stream, * FROM raw_identity_links
  UNION ALL BY NAME
  SELECT 'gateway_events' AS stream, * FROM raw_gateway_events
), event_days AS (
  SELECT venue_id, min(starts_at) AS starts_at, max(ends_at) AS ends_at FROM venue_day_spans GROUP BY venue_id
), quarantined AS (
  SELECT landed.*,
    coalesce(interval_start, ordered_at, recorded_at) AS counted_at,
    CASE
      WHEN interval_start IS NOT NULL THEN 'interval_start'
      WHEN ordered_at IS NOT NULL THEN 'ordered_at'
      ELSE 'recorded_at'
    END AS counted_by,
    landed_segments.created_at AS sealed_at,
    venues.currency AS venue_currency,
    event_days.starts_at,
    event_days.ends_at
  FROM landed
  LEFT JOIN landed_segments ON landed_segments.stream = landed.stream AND landed_segments.segment = landed.segment
  LEFT JOIN venues ON venues.venue_id = landed.venue_id
  LEFT JOIN event_days ON event_days.venue_id = landed.venue_id
  WHERE landed.reason IS NOT NULL
), explained AS (
  SELECT *, concat_ws('; ',
    CASE WHEN counted_at > sealed_at + INTERVAL 24 HOURS THEN format(
      '{} {} UTC is given; at most 24 h after the segment was sealed at {} UTC is expected',
      counted_by, counted_at, sealed_at
    ) END,
    CASE WHEN interval_end <= interval_start THEN format(
      'interval_end {} UTC is given; a time after interval_start {} UTC is expected', interval_end, interval_start
    ) END,
    CASE WHEN in_count < 0 THEN format('in_count {} is given; 0 or more is expected', in_count) END,
    CASE WHEN out_count < 0 THEN format('out_count {} is given; 0 or more is expected', out_count) END,
    CASE WHEN unpaired_count < 0 THEN format('unpaired_count {} is given; 0 or more is expected', unpaired_count) END,
    CASE WHEN in_total < greatest(in_count, 0) THEN format(
      'in_total {} is given; {} or more is expected', in_total, greatest(in_count, 0)
    ) END,
    CASE WHEN out_total < greatest(out_count, 0) THEN format(
      'out_total {} is given; {} or more is expected', out_total, greatest(out_count, 0)
    ) END,
    CASE WHEN quantity < 1 THEN format('quantity {} is given; 1 or more is expected', quantity) END,
    CASE WHEN amount < 0 THEN format('amount {} is given; 0 or more is expected', amount::VARCHAR) END,
    CASE WHEN currency <> venue_currency THEN format(
      'currency {} is given; {}, the venue''s, is expected', currency, venue_currency
    ) END,
    CASE WHEN NOT (propensity > 0 AND propensity <= 1) THEN format(
      'propensity {} is given; more than 0 and at most 1 is expected', propensity
    ) END
  ) AS what_is_out_of_range
  FROM quarantined
)
SELECT stream, reason, segment, line,
  left(CASE reason
    WHEN 'malformed' THEN problem
    WHEN 'duplicate' THEN format('seq {} of {}/{} was already seen; once is expected', seq, gateway_id, boot_id)
    WHEN 'unknown_venue' THEN format('venue {} is not in site.toml', venue_id)
    WHEN 'unknown_device' THEN format(
      'device {} is not in site.toml for venue {}, stream {} and gateway {}', device_id, venue_id, stream, gateway_id
    )
    WHEN 'wrong_event_date' THEN format(
      '{} {} UTC lies outside the event date {} of venue {}', counted_by, counted_at, event_date, venue_id
    ) || coalesce(format('; {} to {} UTC is expected', starts_at, ends_at), '')
    WHEN 'out_of_range' THEN coalesce(
      nullif(what_is_out_of_range, ''), 'site.toml or the landing changed after the line was judged; rerun the date'
    )
  END, 500) AS problem,
  CASE reason
    WHEN 'malformed' THEN 'correct what writes these lines and land them again under new numbers'
    WHEN 'duplicate' THEN 'nothing to do: the record was landed before and counts once'
    WHEN 'unknown_venue' THEN 'add the venue to site.toml, then rerun the date; or correct the venue_id at the gateway'
    WHEN 'unknown_device' THEN 'add the device with its venue, stream and gateway to site.toml, then rerun the date'
    WHEN 'wrong_event_date' THEN 'set the clock of the gateway; its time lies on another event date than its folder'
    WHEN 'out_of_range' THEN 'look at the device or the export: a count, amount, interval, currency or time cannot be'
  END AS remedy,
  text, text_bytes, text_sha256
FROM explained
ORDER BY stream, segment, line
