-- The visit records that hold; a linked terminal user becomes the member.
SELECT v.* EXCLUDE (segment, line, reason, problem, text, text_bytes, text_sha256, user_id),
  coalesce(m.member_user_id, v.user_id) AS user_id,
  v.user_id AS source_user_id
FROM raw_face_visits AS v
LEFT JOIN identity_map AS m ON m.terminal_user_id = v.user_id
WHERE v.reason IS NULL
ORDER BY gateway_id, boot_id, seq
