-- The records that hold.
SELECT * EXCLUDE (segment, line, reason, problem, text, text_bytes, text_sha256)
FROM raw_identity_links
WHERE reason IS NULL
ORDER BY gateway_id, boot_id, seq
