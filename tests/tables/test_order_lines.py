"""Which session an order line is attached to where several would do."""

from __future__ import annotations

import duckdb
import pytest

from venue_assets.tables.catalogue import catalogue

LINE = """
CREATE TABLE activities (venue_id VARCHAR, activity_id VARCHAR);
CREATE TABLE orders AS SELECT
  'hall' AS venue_id, '8812' AS order_id, 1 AS order_no, 'k1:a' AS user_id,
  TIMESTAMP '2026-01-05 10:00:00' AS ordered_at,
  ordered_at AS local_time, 'tea' AS category_id, 1 AS quantity, 2.50::DECIMAL(18, 2) AS amount, 'EUR' AS currency,
  'completed' AS status, 'till' AS gateway_id, 'b1' AS boot_id, 1 AS seq, false AS superseded;
CREATE TABLE sessions (
  session_id VARCHAR, venue_id VARCHAR, user_id VARCHAR, enter_at TIMESTAMP, leave_at TIMESTAMP,
  reaches_until TIMESTAMP, gateway_id VARCHAR, boot_id VARCHAR, seq BIGINT
)
"""


@pytest.mark.parametrize(
    ("sessions", "attached_to"),
    [
        pytest.param([("g-b-1", "09:00", "11:00"), ("g-b-3", "09:30", "10:30")], "g-b-3", id="the latest enter"),
        pytest.param([("g-b-1", "10:00", "10:00"), ("g-b-3", "10:00", None)], "g-b-3", id="enters at one instant"),
        pytest.param([("g.1-b-1", "10:00", None), ("g1-b-1", "10:00", "10:00")], "g1-b-1", id="then by gateway"),
        pytest.param([("g-b-1", None, "09:50"), ("g-b-3", None, "09:55")], "g-b-3", id="no enter: the latest leave"),
        pytest.param([("g-b-1", "09:00", "09:50"), ("g-b-3", None, "09:55")], "g-b-1", id="an enter before none"),
    ],
)
def test_of_several_sessions_a_line_belongs_to_that_with_the_latest_enter_in_the_order_of_records(
    sessions: list[tuple[str, str | None, str | None]], attached_to: str
) -> None:
    with duckdb.connect() as con:
        con.execute(LINE)
        for session_id, enter, leave in sessions:
            enter_at, leave_at = (at and f"2026-01-05 {at}:00" for at in (enter, leave))
            until = leave_at if enter_at and leave_at else enter_at and "2026-01-05 22:00:00"
            gateway, boot, seq = session_id.split("-")
            con.execute(
                "INSERT INTO sessions VALUES (?, 'hall', 'k1:a', ?, ?, ?, ?, ?, ?)",
                [session_id, enter_at, leave_at, until, gateway, boot, int(seq)],
            )
        sql = catalogue()["order_lines"].sql
        assert sql
        assert con.execute(f"SELECT session_id FROM ({sql})").fetchall() == [(attached_to,)]
