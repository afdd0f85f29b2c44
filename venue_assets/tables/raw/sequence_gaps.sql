SELECT stream, gateway_id, boot_id, first_missing, last_missing,
  least(last_missing::HUGEINT - first_missing + 1, 9223372036854775807)::BIGINT AS missing
FROM missing_sequences
ORDER BY stream, gateway_id, boot_id, first_missing
