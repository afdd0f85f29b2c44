SELECT d AS event_date,
  year(d)::INTEGER AS year,
  quarter(d)::INTEGER AS quarter,
  month(d)::INTEGER AS month_number,
  strftime(d, '%Y-%m') AS month,
  strftime(d, '%G-W%V') AS iso_week,
  isodow(d)::INTEGER AS weekday_number,
  strftime(d, '%a') AS weekday,
  isodow(d) >= 6 AS is_weekend
FROM (
  SELECT unnest(range(
    date_trunc('year', min(event_date))::TIMESTAMP,
    (date_trunc('year', max(event_date) + 1) + INTERVAL 1 YEAR)::TIMESTAMP,
    INTERVAL 1 DAY
  ))::DATE AS d
  FROM primary_metrics
)
ORDER BY event_date
