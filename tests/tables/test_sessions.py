"""Sessions of a full day: the fast SQL, which leans on the order of its subqueries, against plain windows."""

from __future__ import annotations

import duckdb
import pytest

from venue_assets.tables.catalogue import catalogue

RECORDS = 600_000
"""Several row groups per thread: what has no order shows it only then."""

MADE = """
CREATE TABLE face_visits AS
SELECT 'gw' || (i % 3) AS gateway_id, 'b' || (i % 2) AS boot_id, i AS seq, 'v' || (chance % 2) AS venue_id,
  -- A quarter of the people are called so much alike that hash() takes 256 of them for one.
  CASE WHEN h % 4 > 0 THEN 'k1:' || md5(h::VARCHAR)
    ELSE printf('k1:0123%x0123456%x0123456%x0123456%x0123', h // 8 % 16, h // 128 % 16, h // 2048 % 16, h // 32768) END
    AS user_id,
  CASE WHEN chance // 2 % 5 < 3 THEN 'enter' ELSE 'leave' END AS direction,
  TIMESTAMP '2026-01-05 06:00:00' + to_milliseconds(chance // 10 % 30000000) AS recorded_at,
  recorded_at + INTERVAL 1 HOUR AS local_time
-- Two calls of hash() on one number go together; the digest of a text does not go with either.
FROM (
  SELECT range AS i, (hash(range) % 90000)::BIGINT AS h, (md5_number_lower(range::VARCHAR) // 2)::BIGINT AS chance
  FROM range($records)
)
"""

PLAIN = """
WITH steps AS (
  SELECT *, lag(direction) OVER person AS before, lead(direction) OVER person AS after,
    lead(recorded_at) OVER person AS next_at, lead(seq) OVER person AS next_seq
  FROM face_visits
  WINDOW person AS (PARTITION BY venue_id, user_id ORDER BY recorded_at, gateway_id, boot_id, seq)
)
SELECT gateway_id || '-' || boot_id || '-' || seq AS session_id, venue_id, user_id,
  CASE WHEN direction = 'enter' THEN recorded_at END AS enter_at,
  CASE WHEN direction = 'leave' THEN recorded_at WHEN after = 'leave' THEN next_at END AS leave_at,
  CASE WHEN direction = 'leave' THEN seq WHEN after = 'leave' THEN next_seq END AS leave_seq
FROM steps
WHERE direction = 'enter' OR before IS DISTINCT FROM 'enter'
ORDER BY venue_id, recorded_at, gateway_id, boot_id, seq
"""


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_sessions_of_a_full_day_are_those_of_plain_windows_in_the_same_order(threads: int) -> None:
    with duckdb.connect(config={"threads": threads}) as con:
        con.execute("SET preserve_insertion_order = true")
        con.execute(MADE, {"records": RECORDS})
        con.execute("CREATE TABLE activities (venue_id VARCHAR, activity_id VARCHAR)")
        plain = con.sql(PLAIN).to_arrow_table()
        met = "count(enter_at) < count(*) AND count(leave_at) < count(*) AND count(*) < 0.9 * $records"
        both = "count(DISTINCT (venue_id, user_id)) > 1.9 * count(DISTINCT user_id)"
        seen = con.execute(f"SELECT {met}, {both} FROM plain", {"records": RECORDS}).fetchall()
        assert seen == [(True, True)], "some enters meet their leaves, some do not, and people are at both venues"
        sql = catalogue()["sessions"].sql
        assert sql
        ours = con.sql(f"SELECT {', '.join(plain.column_names)} FROM ({sql})").to_arrow_table()
        assert ours.combine_chunks().equals(plain.combine_chunks())
