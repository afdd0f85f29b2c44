-- Who was given what, and what came of it: on the date at whose end the reward is complete, one row per unit and KPI.
WITH given AS (
  -- The first assignment of a unit counts, of those that can count at all; a venue has one on each date.
  SELECT e.experiment_id, a.unit_id, e.unit, e.venue_id, e.first_date, e.reward_days, a.arm, a.propensity, a.leaf_id,
    a.allocation_id, a.event_date AS assigned_on, a.recorded_at AS assigned_at
  FROM assignments AS a
  JOIN experiments AS e ON e.experiment_id = a.experiment_id AND e.venue_id = a.venue_id
  JOIN experiment_arms AS r ON r.experiment_id = a.experiment_id AND r.arm = a.arm
  WHERE e.kind <> 'before_after' AND a.event_date BETWEEN r.first_date AND r.last_date
    AND (e.unit <> 'venue_day' OR a.unit_id = a.venue_id)
  QUALIFY row_number() OVER (
    PARTITION BY e.experiment_id, a.unit_id, CASE WHEN e.unit = 'venue_day' THEN a.event_date END
    ORDER BY a.recorded_at, a.gateway_id, a.boot_id, a.seq
  ) = 1
),
units AS (
  SELECT * EXCLUDE (reward_days)
  FROM given
  WHERE assigned_on = getvariable('event_date') - reward_days
  UNION ALL
  SELECT e.experiment_id, e.venue_id, e.unit, e.venue_id, e.first_date, r.arm, NULL, NULL, NULL,
    getvariable('event_date'), NULL
  FROM experiments AS e
  JOIN experiment_arms AS r ON r.experiment_id = e.experiment_id
  WHERE e.kind = 'before_after' AND getvariable('event_date') BETWEEN r.first_date AND r.last_date
),
-- A visit's unit names a person if the part before its first '/' is somebody seen at the venue on this date.
named AS (
  SELECT u.experiment_id, u.unit_id, u.venue_id, u.assigned_at, s.user_id
  FROM units AS u
  LEFT JOIN identity_map AS m ON m.terminal_user_id = split_part(u.unit_id, '/', 1)
  LEFT JOIN (SELECT DISTINCT venue_id, user_id FROM sessions) AS s
    ON s.venue_id = u.venue_id AND s.user_id = coalesce(m.member_user_id, split_part(u.unit_id, '/', 1))
  WHERE u.unit = 'visit'
),
matched AS (
  SELECT n.experiment_id, n.unit_id, s.session_id, s.user_id,
    CASE WHEN s.state = 'complete' THEN s.dwell_seconds ELSE 0 END AS dwell_seconds
  FROM named AS n
  JOIN sessions AS s
    ON s.venue_id = n.venue_id AND s.user_id = coalesce(n.user_id, s.user_id)
    AND s.enter_at BETWEEN n.assigned_at - INTERVAL 10 MINUTES AND n.assigned_at + INTERVAL 10 MINUTES
  QUALIFY row_number() OVER (
    PARTITION BY n.experiment_id, n.unit_id
    ORDER BY abs(epoch_us(s.enter_at) - epoch_us(n.assigned_at)), s.enter_at, s.gateway_id, s.boot_id, s.seq
  ) = 1
),
known AS (
  SELECT u.*, v.session_id,
    CASE u.unit WHEN 'user' THEN coalesce(m.member_user_id, u.unit_id) ELSE coalesce(v.user_id, n.user_id) END AS user_id
  FROM units AS u
  LEFT JOIN identity_map AS m ON u.unit = 'user' AND m.terminal_user_id = u.unit_id
  LEFT JOIN named AS n ON n.experiment_id = u.experiment_id AND n.unit_id = u.unit_id
  LEFT JOIN matched AS v ON v.experiment_id = u.experiment_id AND v.unit_id = u.unit_id
),
-- What the person did before the experiment, and (a user) while the reward ran, under the name known by now.
done AS (
  SELECT k.experiment_id, k.unit_id, k.unit, d.event_date < k.first_date AS earlier,
    count(DISTINCT d.event_date) AS dates,
    count(DISTINCT d.event_date) FILTER (d.orders > 0) AS dates_with_orders,
    sum(d.orders)::DOUBLE AS orders,
    CASE WHEN bool_and(d.amount IS NOT NULL) THEN sum(d.amount)::DOUBLE END AS amount,
    sum(d.entries)::DOUBLE AS visits,
    -- Integer microseconds add up to the same sum in any order.
    sum(round(d.dwell_seconds * 1e6)::BIGINT)::BIGINT / 1e6 AS dwell_seconds
  FROM known AS k
  JOIN (
    SELECT d.* REPLACE (coalesce(m.member_user_id, d.user_id) AS user_id)
    FROM user_days AS d
    LEFT JOIN identity_map AS m ON m.terminal_user_id = d.user_id
  ) AS d
    ON d.venue_id = k.venue_id AND d.user_id = k.user_id
    AND (
      d.event_date BETWEEN k.first_date - 28 AND k.first_date - 1
      OR k.unit = 'user' AND d.event_date BETWEEN k.assigned_on AND getvariable('event_date')
    )
  GROUP BY k.experiment_id, k.unit_id, k.unit, earlier
),
sold AS (
  SELECT session_id, count(DISTINCT order_id)::DOUBLE AS orders, sum(amount)::DOUBLE AS amount
  FROM order_lines
  WHERE status = 'completed' AND session_id IS NOT NULL
  GROUP BY session_id
),
figures AS (
  SELECT experiment_id, unit_id, earlier,
    unnest(['conversion', 'orders', 'amount', 'visits', 'dwell_seconds']) AS kpi,
    unnest(
      CASE unit
        WHEN 'user' THEN [(dates_with_orders > 0)::DOUBLE, orders, amount, visits, dwell_seconds]
        ELSE [dates_with_orders / dates, orders / dates, amount / dates, visits / dates, dwell_seconds / dates]
      END
    ) AS figure
  FROM done
  UNION ALL
  SELECT v.experiment_id, v.unit_id, false, unnest(['conversion', 'orders', 'amount', 'dwell_seconds']),
    unnest([(s.orders IS NOT NULL)::DOUBLE, coalesce(s.orders, 0), coalesce(s.amount, 0), v.dwell_seconds])
  FROM matched AS v
  LEFT JOIN sold AS s ON s.session_id = v.session_id
  UNION ALL
  SELECT k.experiment_id, k.unit_id, false,
    unnest(['gmv', 'pv', 'uv', 'ocr', 'completed_orders', 'paying_users', 'lov_mean_seconds']),
    unnest([
      p.gmv::DOUBLE, p.pv::DOUBLE, p.uv::DOUBLE, p.ocr, p.completed_orders::DOUBLE, p.paying_users::DOUBLE,
      p.lov_mean_seconds
    ])
  FROM known AS k
  JOIN primary_metrics AS p ON p.venue_id = k.venue_id
  WHERE k.unit = 'venue_day'
),
rewarded AS (
  SELECT k.experiment_id, k.unit_id, i.kpi, i.position, k.arm, k.propensity, k.leaf_id, k.allocation_id, k.assigned_on,
    k.assigned_at, k.user_id, k.session_id,
    k.unit = 'venue_day' OR f.kpi IS NOT NULL AS matched,
    -- Who did nothing has no figure at all; a figure that is null is not known.
    CASE WHEN k.unit <> 'venue_day' AND f.kpi IS NULL THEN 0 ELSE f.figure END AS reward,
    b.figure AS pre_value
  FROM known AS k
  JOIN experiment_kpis AS i ON i.experiment_id = k.experiment_id
  LEFT JOIN figures AS f
    ON f.experiment_id = k.experiment_id AND f.unit_id = k.unit_id AND f.kpi = i.kpi AND NOT f.earlier
  LEFT JOIN figures AS b
    ON b.experiment_id = k.experiment_id AND b.unit_id = k.unit_id AND b.kpi = i.kpi AND b.earlier
)
SELECT *
FROM rewarded
WHERE reward IS NOT NULL
ORDER BY experiment_id, unit_id, position
