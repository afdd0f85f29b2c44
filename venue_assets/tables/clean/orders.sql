-- The order lines that hold; of several records of one line the latest is current.
SELECT * EXCLUDE (segment, line, reason, problem, text, text_bytes, text_sha256),
  user_id AS source_user_id,
  row_number() OVER (
    PARTITION BY venue_id, order_id, order_no
    ORDER BY recorded_at DESC, gateway_id DESC, boot_id DESC, seq DESC
  ) > 1 AS superseded
FROM raw_orders
WHERE reason IS NULL
ORDER BY gateway_id, boot_id, seq
