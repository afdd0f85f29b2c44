-- Each local hour, per venue.
SELECT f.venue_id, coalesce(a.activity_id, 'none') AS activity_id, f.slot AS hour, v.currency,
  f.pf_range, f.pf_entrance, f.pf_entrance_estimated, f.ocr, f.ocr_low, f.ocr_high, f.pv, f.uv,
  f.lov_mean_seconds, f.lov_median_seconds, f.lov_p90_seconds, f.recognition_share, f.completed_orders,
  f.paying_users, f.gmv, f.gmv_anonymous, f.cancelled_amount
FROM venue_figures AS f
JOIN venues AS v ON v.venue_id = f.venue_id
LEFT JOIN activities AS a ON a.venue_id = f.venue_id
WHERE f.slot >= 0
ORDER BY f.venue_id, f.slot
