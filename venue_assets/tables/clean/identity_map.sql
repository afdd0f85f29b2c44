-- The latest link of each terminal user up to the end of the event date, unless it parts the two.
SELECT terminal_user_id, member_user_id
FROM identity_links
WHERE (SELECT identity FROM site) = 'linked'
QUALIFY action = 'link' AND row_number() OVER (
  PARTITION BY terminal_user_id
  ORDER BY recorded_at DESC, gateway_id DESC, boot_id DESC, seq DESC
) = 1
ORDER BY terminal_user_id
