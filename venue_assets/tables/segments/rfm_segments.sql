-- Recency, frequency and money over the 365 dates that end at this one, and over those that end the day before.
WITH dates AS (
  SELECT unnest([getvariable('event_date'), getvariable('event_date') - 1]) AS as_of
),
totals AS (
  SELECT d.as_of, u.venue_id, u.user_id,
    d.as_of - max(u.event_date) FILTER (u.orders > 0) AS recency_days,
    sum(u.orders)::BIGINT AS frequency,
    coalesce(sum(u.amount), 0) AS monetary
  FROM user_days AS u
  JOIN dates AS d ON u.event_date BETWEEN d.as_of - 364 AND d.as_of
  GROUP BY d.as_of, u.venue_id, u.user_id
),
cuts AS (
  SELECT as_of, venue_id, count(*) AS n,
    -- Of decimal fractions q the exact ceil(q * n)-th smallest value; fractions in floating point could miss by one.
    quantile_disc(recency_days, [0.2, 0.4, 0.6, 0.8]) AS recency_days,
    quantile_disc(frequency, [0.2, 0.4, 0.6, 0.8]) AS frequency,
    quantile_disc(monetary, [0.2, 0.4, 0.6, 0.8]) AS monetary
  FROM totals
  WHERE frequency > 0
  GROUP BY as_of, venue_id
),
scores AS (
  -- Who has no completed order meets no cuts and has no scores.
  SELECT t.as_of, t.venue_id, t.user_id, t.recency_days, t.frequency, t.monetary, c.n,
    5 - len([cut FOR cut IN c.recency_days IF cut < t.recency_days])::INTEGER AS r_score,
    1 + len([cut FOR cut IN c.frequency IF cut < t.frequency])::INTEGER AS f_score,
    1 + len([cut FOR cut IN c.monetary IF cut < t.monetary])::INTEGER AS m_score
  FROM totals AS t
  LEFT JOIN cuts AS c ON c.as_of = t.as_of AND c.venue_id = t.venue_id AND t.frequency > 0
),
sums AS (
  SELECT as_of, venue_id, sum(r_score) AS r_score, sum(f_score) AS f_score, sum(m_score) AS m_score
  FROM scores
  GROUP BY as_of, venue_id
),
levels AS (
  -- Above the mean, without dividing; null for who has no scores.
  SELECT s.* EXCLUDE (n),
    s.r_score * s.n > a.r_score AS r_high, s.f_score * s.n > a.f_score AS f_high, s.m_score * s.n > a.m_score AS m_high
  FROM scores AS s
  JOIN sums AS a ON a.as_of = s.as_of AND a.venue_id = s.venue_id
),
segments AS (
  SELECT *,
    CASE WHEN m_high THEN 'important_' WHEN NOT m_high THEN 'general_' ELSE '' END || CASE
      WHEN r_high AND f_high THEN 'value'
      WHEN r_high THEN 'develop'
      WHEN f_high THEN 'keep'
      WHEN NOT r_high THEN 'win_back'
      ELSE 'visitor'
    END AS segment,
    CASE WHEN m_high THEN '重要' WHEN NOT m_high THEN '一般' ELSE '' END || CASE
      WHEN r_high AND f_high THEN '价值'
      WHEN r_high THEN '发展'
      WHEN f_high THEN '保持'
      WHEN NOT r_high THEN '挽留'
      ELSE '到访未购'
    END AS segment_zh
  FROM levels
),
today AS (
  SELECT * FROM segments WHERE as_of = getvariable('event_date')
),
yesterday AS (
  SELECT * FROM segments WHERE as_of = getvariable('event_date') - 1
)
SELECT coalesce(t.venue_id, y.venue_id) AS venue_id, coalesce(t.user_id, y.user_id) AS user_id,
  t.recency_days, t.frequency, TRY_CAST(t.monetary AS DECIMAL(18, 2)) AS monetary, v.currency,
  t.r_score, t.f_score, t.m_score, t.segment, t.segment_zh, y.segment AS previous_segment
FROM today AS t
FULL JOIN yesterday AS y ON y.venue_id = t.venue_id AND y.user_id = t.user_id
JOIN venues AS v ON v.venue_id = coalesce(t.venue_id, y.venue_id)
ORDER BY venue_id, user_id
