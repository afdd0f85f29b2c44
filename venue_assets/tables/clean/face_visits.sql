-- The visit records that hold; a linked terminal user becomes the member.
-- The user is worked out after sorting, because sorting millions of rows costs what these rows are wide.
SELECT * EXCLUDE (member_user_id), coalesce(member_user_id, source_user_id) AS user_id
FROM (
  SELECT v.* EXCLUDE (segment, line, reason, problem, text, text_bytes, text_sha256, user_id),
    v.user_id AS source_user_id,
    m.member_user_id
  FROM raw_face_visits AS v
  LEFT JOIN identity_map AS m ON m.terminal_user_id = v.user_id
  WHERE v.reason IS NULL
  ORDER BY v.gateway_id, v.boot_id, v.seq
)
