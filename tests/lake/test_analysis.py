"""User days, KPI, segments, migrations and features equal an independent recomputation, over long and gappy histories.

Simulated and adversarial landings are held against the same oracle in test_agreement. Here sessions and order lines are
drawn and put into the lake as they would have been computed, so that a year costs no more than its few busy dates.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_collector.segment import write_segment
from tests.conftest import compute
from tests.lake.agreement import assert_analysis
from tests.oracle.analysis import DAY, cut_points
from tests.oracle.landing_writer import site_toml
from tests.oracle.metrics import order_figures
from tests.oracle.oracle import Oracle
from tests.oracle.sessions import form_sessions
from tests.oracle.site import Site, read_site
from venue_assets.home import Home
from venue_assets.lake.freshness import Freshness
from venue_assets.lake.landing_index import scan
from venue_assets.lake.store import Lake
from venue_assets.tables.catalogue import Window, catalogue

LAST = date(2026, 6, 10)
OFFSETS = (0, 0, 0, 1, 1, 2, 28, 29, 30, 31, 60, 363, 364, 365, 366, 367)
"""Days before LAST: around the edges of every window, with a year of nothing between."""
VENUES = {"hall": ("Europe/Berlin", "EUR"), "quay": ("Asia/Shanghai", "CNY"), "stall": ("Europe/Berlin", "EUR")}
STREAMS = {"hall": ("face_visits", "orders"), "quay": ("face_visits", "orders"), "stall": ("orders",)}
TABLES = ["user_days", "kpi", "rfm_segments", "rfm_migrations", "visitor_features"]


@dataclass(frozen=True)
class Visit:
    venue_id: str
    offset: int
    user_id: str
    hour: int
    micros: int | None  # how long; None without a leave
    lone_leave: bool = False


@dataclass(frozen=True)
class Line:
    venue_id: str
    offset: int
    user_id: str | None
    order_id: str
    category_id: str
    cents: int
    status: str = "completed"


users = st.sampled_from(("ann", "bob", "Bob", "cy", "会员"))
visits = st.builds(
    Visit,
    venue_id=st.sampled_from(("hall", "quay")),
    offset=st.sampled_from(OFFSETS),
    user_id=users,
    hour=st.integers(5, 20),
    micros=st.one_of(st.none(), st.sampled_from((0, 1, 1_000_001, 12 * 3600 * 10**6, 12 * 3600 * 10**6 + 1))),
    lone_leave=st.sampled_from((False, False, False, True)),
)
lines = st.builds(
    Line,
    venue_id=st.sampled_from(tuple(VENUES)),
    offset=st.sampled_from(OFFSETS),
    user_id=st.one_of(users, users, users, st.none()),
    order_id=st.sampled_from("1234"),
    category_id=st.sampled_from(("tea", "Tea", "茶")),
    cents=st.sampled_from((0, 1, 10, 10, 1999, 1_000_000_007)),
    status=st.sampled_from(("completed", "completed", "completed", "cancelled", "refunded")),
)
activities = st.lists(
    st.tuples(st.sampled_from(tuple(VENUES)), st.sampled_from((0, 1, 29, 30, 31, 200)), st.sampled_from((-3, 0, 0, 1))),
    max_size=3,
    unique_by=lambda a: a[0],
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(visits, max_size=25), st.lists(lines, max_size=25), activities)
def test_histories_around_the_edges_of_all_windows(
    visits: list[Visit], lines: list[Line], activities: list[tuple[str, int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _assert_history(Path(folder), visits, lines, activities)


@pytest.mark.parametrize(
    ("visits", "lines"),
    [
        pytest.param([], [], id="nothing at all"),
        pytest.param([Visit("hall", 0, "ann", 9, 5)], [], id="one user, no orders"),
        pytest.param([], [Line("hall", 0, "ann", "1", "tea", 5)], id="one buyer"),
        pytest.param([], [Line("hall", 0, None, "1", "tea", 5)], id="an anonymous buyer"),
        pytest.param([], [Line("hall", 0, str(n), str(n), "tea", 5) for n in range(7)], id="all alike"),
        pytest.param([], [Line("hall", 0, "ann", "1", c, 5) for c in ("tea", "Tea", "茶")], id="a tie of categories"),
        pytest.param(
            [],
            [Line("hall", n, u, o, "tea", 5) for u, n, o in (("ann", 0, "1"), ("ann", 0, "2"), ("bob", 0, "3"))],
            id="two orders on one date",
        ),
        pytest.param([], [Line("hall", n, "ann", str(n), "tea", 5) for n in (0, 1)], id="orders on two dates"),
        pytest.param([Visit("hall", 365, "ann", 9, 5)], [], id="who left the window"),
        pytest.param([Visit("hall", 0, "ann", 9, 5, lone_leave=True)], [], id="a lone leave is no entry"),
    ],
)
def test_small_histories(tmp_path: Path, visits: list[Visit], lines: list[Line]) -> None:
    _assert_history(tmp_path, visits, lines, [("hall", 3, 0)])


def _assert_history(
    root: Path, visits: list[Visit], lines: list[Line], activities: Iterable[tuple[str, int, int]]
) -> None:
    # Dates are computed at which something is, and the last one with the one before and after.
    offsets = sorted({v.offset for v in visits} | {line.offset for line in lines} | {0, 1, -1}, reverse=True)
    home, site = _home(root, activities, LAST - offsets[0] * DAY)
    days = {LAST - n * DAY: _oracle(site, n, visits, lines) for n in offsets}
    for oracle in days.values():
        _put(home, site, oracle)
    compute(home, *days, tables=TABLES)
    for day in days:
        assert_analysis(home, {d: o for d, o in days.items() if d <= day}, day)


def _home(root: Path, activities: Iterable[tuple[str, int, int]], first: date) -> tuple[Home, Site]:
    venues = [
        {"id": v, "name": v, "time_zone": zone, "currency": currency, "opened_on": first}
        for v, (zone, currency) in VENUES.items()
    ]
    devices = [
        {"id": s, "venue_id": v, "gateway_id": f"g_{v}", "stream": s} for v, streams in STREAMS.items() for s in streams
    ]
    named = [
        {"id": f"fair_{v}", "name": v, "venue_id": v, "first_date": LAST - n * DAY, "last_date": LAST + m * DAY}
        for v, n, m in activities
        if n >= -m
    ]
    (root / "site.toml").write_text(site_toml({"venues": venues, "devices": devices, "activities": named}))
    home = Home(root)
    for venue_id in VENUES:  # something has landed, so the venue operates
        write_segment(
            home.landing, stream="gateway_events", event_date=first, gateway_id=f"g_{venue_id}", boot_id="b",
            lines=[b"{}"], seqs=[1], created_at=datetime(2026, 7, 1, tzinfo=UTC),
        )  # fmt: skip
    return home, read_site(root / "site.toml")


def _oracle(site: Site, offset: int, visits: list[Visit], lines: list[Line]) -> Oracle:
    """What the oracle of a date would hold."""
    oracle = Oracle(LAST - offset * DAY)
    records = []
    for n, visit in enumerate(v for v in visits if v.offset == offset):
        zone = ZoneInfo(VENUES[visit.venue_id][0])
        at = datetime.combine(oracle.event_date, datetime.min.time(), zone).replace(hour=visit.hour).astimezone(UTC)
        head = {"venue_id": visit.venue_id, "user_id": visit.user_id, "hour": visit.hour}
        leave_at = at + timedelta(microseconds=visit.micros or 0)
        enter = head | {"direction": "enter", "recorded_at": at, "identity": ("g", "b", 2 * n)}
        leave = head | {"direction": "leave", "recorded_at": leave_at, "identity": ("g", "b", 2 * n + 1)}
        records += [leave] if visit.lone_leave else [enter] if visit.micros is None else [enter, leave]
    oracle.sessions = form_sessions(records)
    oracle.order_lines = [
        {name: getattr(line, name) for name in ("venue_id", "user_id", "order_id", "category_id", "status")}
        | {"amount": Decimal(line.cents) / 100, "order_no": n}
        for n, line in enumerate(line for line in lines if line.offset == offset)
    ]
    for venue_id, venue in site.venues.items():
        here = [line for line in oracle.order_lines if line["venue_id"] == venue_id]
        head = {"venue_id": venue_id, "activity_id": site.activity(venue_id, oracle.event_date)}
        figures = order_figures(here, takes_orders=True)
        oracle.primary_metrics.append(head | {"currency": venue.currency} | figures)
    return oracle


def _put(home: Home, site: Site, oracle: Oracle) -> None:
    """Sessions, order lines and primary metrics of a date into the lake."""
    activity = {venue_id: site.activity(venue_id, oracle.event_date) for venue_id in site.venues}
    sessions = [
        {
            **{n: s[n] for n in ("session_id", "venue_id", "user_id", "state")},
            "activity_id": activity[s["venue_id"]],
            "enter_at": s["enter_at"] and s["enter_at"].replace(tzinfo=None),
            "leave_at": s["leave_at"] and s["leave_at"].replace(tzinfo=None),
            "enter_local": s["enter_at"]
            and s["enter_at"].astimezone(ZoneInfo(VENUES[s["venue_id"]][0])).replace(tzinfo=None),
        }
        for s in oracle.sessions
    ]
    order_lines = [o | {"currency": VENUES[o["venue_id"]][1]} for o in oracle.order_lines]
    for name, rows in (
        ("sessions", sessions),
        ("order_lines", order_lines),
        ("primary_metrics", [row | {"pf_entrance_estimated": False} for row in oracle.primary_metrics]),
    ):
        table = catalogue()[name]
        # What these tables' readers do not read stays empty.
        schema = pa.schema([field.with_nullable(True) for field in table.schema])
        lake, rows_of = Lake(home.lake), pa.Table.from_pylist(rows, schema)
        with lake.draft(name, oracle.event_date, schema, rows_of.to_batches(), code=table.code, inputs={}) as draft:
            lake.put(name, oracle.event_date, draft)


# Windows --------------------------------------------------------------------------------------------------------------


def test_a_date_can_be_computed_alone_and_reads_only_its_window(tmp_path: Path) -> None:
    lines = [Line("hall", n, user, "1", "tea", 5) for n in (0, 1, 364, 365, 366) for user in ("ann", "bob")]
    home, site = _home(tmp_path, [("hall", 40, 0)], LAST - 400 * DAY)
    days = {LAST - n * DAY: _oracle(site, n, [], lines) for n in (366, 365, 364, 1, 0)}
    for oracle in days.values():
        _put(home, site, oracle)
    compute(home, *days, tables=["user_days"])
    compute(home, LAST, tables=TABLES)  # no KPI, no segments of any other date
    assert_analysis(home, days, LAST)
    freshness = Freshness(home, catalogue(), scan(home.landing))
    read = {name: set(freshness.inputs(catalogue()[name], LAST)) for name in TABLES}
    dates = {name: {n.removeprefix("user_days/") for n in read[name] if n.startswith("user_days/")} for name in TABLES}
    assert dates["rfm_segments"] == {str(LAST - n * DAY) for n in (0, 1, 364, 365)}
    assert dates["visitor_features"] == {str(LAST - n * DAY) for n in (0, 1, 364)}
    assert dates["kpi"] == {str(LAST - n * DAY) for n in (0, 1)}
    assert not any(n.startswith(("kpi/", "rfm_segments/")) for n in read["kpi"] | read["rfm_segments"])
    assert read["rfm_migrations"] == {f"rfm_segments/{LAST}"}
    assert len(freshness.dates("user_days", LAST, Window(days=30, since="activity"))) == 41


# Scores ---------------------------------------------------------------------------------------------------------------


def _scores(*venues: list[tuple[int, int, int]]) -> list[list[tuple[Any, ...]]]:
    """R, F and M scores by the shipped SQL, of each venue's users with so many days since, orders and cents."""
    con = duckdb.connect()
    con.execute(f"SET VARIABLE event_date = DATE '{LAST}'")
    users = [(f"v{v:03d}", f"{u:06d}", *values) for v, of in enumerate(venues) for u, values in enumerate(of)]
    venue_id, user_id, days, orders, cents = zip(*users, strict=True)
    rows = pa.table(
        {
            "venue_id": venue_id,
            "user_id": user_id,
            "event_date": pa.array([LAST - r * DAY for r in days], pa.date32()),
            "orders": pa.array(orders, pa.int64()),
            "amount": pa.array([Decimal(m) / 100 for m in cents], pa.decimal128(18, 2)),
        }
    )
    con.register("user_days", rows)
    con.execute("CREATE VIEW venues AS SELECT DISTINCT venue_id, 'EUR' AS currency FROM user_days")
    found = con.sql(f"SELECT r_score, f_score, m_score FROM ({catalogue()['rfm_segments'].sql})").fetchall()
    scores = iter(found)
    return [list(islice(scores, len(of))) for of in venues]


def test_cut_points_are_exact_for_every_number_of_users() -> None:
    """Where q * n is whole, a fraction in floating point would be off by one."""
    venues = [[(v, v, v) for v in range(1, n + 1)] for n in range(1, 301)]
    for values, found in zip(venues, _scores(*venues), strict=True):
        cuts = cut_points([v for v, _, _ in values])
        expected = [1 + sum(cut < v for cut in cuts) for v, _, _ in values]
        assert found == [(6 - e, e, e) for e in expected], len(values)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_equal_values_get_equal_scores(values: list[tuple[int, int, int]]) -> None:
    (found,) = _scores(values)
    for column in range(3):
        cuts = cut_points([v[column] for v in values])
        expected = [1 + sum(cut < v[column] for cut in cuts) for v in values]
        assert [row[column] for row in found] == [6 - e if column == 0 else e for e in expected]


# Checks ---------------------------------------------------------------------------------------------------------------

# Relations that fit together, as far as checks read them.
FITTING = {
    "venues": "SELECT 'hall' AS venue_id, true AS takes_orders",
    "sessions": "SELECT 'hall' AS venue_id, unnest([now(), now(), now(), NULL]) AS enter_at",
    "order_lines": "FROM (VALUES ('hall', 'completed', 'ann', 5.00), ('hall', 'completed', NULL, 7.00), "
    "('hall', 'refunded', 'ann', 9.00)) AS o (venue_id, status, user_id, amount)",
    "user_days": f"FROM (VALUES ('hall', 'ann', 2, 5.00, DATE '{LAST}'), ('hall', 'bob', 1, 0.00, DATE '{LAST}')) "
    "AS u (venue_id, user_id, entries, amount, event_date)",
    "kpi": f"FROM (VALUES ('hall', 'last_30_days', DATE '{LAST}', 5.00)) "
    "AS k (venue_id, window_name, first_date, identified_gmv)",
    "rfm_segments": "FROM (VALUES {}) AS s (frequency, r_score, f_score, m_score, segment, previous_segment)",
    "rfm_migrations": "SELECT 1 AS users, 'general_keep' AS segment, 'none' AS previous_segment",
    "visitor_features": "SELECT 'ann' AS user_id",
}
BUYER = "(2, 3, 3, 3, 'general_keep', NULL)"


@pytest.mark.parametrize(
    ("table", "check", "wrong"),
    [
        ("user_days", "nothing_is_lost", {"sessions": "SELECT 'hall' AS venue_id, now() AS enter_at"}),
        ("user_days", "nothing_is_lost", {"user_days": f"FROM ({FITTING['user_days']}) WHERE user_id = 'bob'"}),
        ("user_days", "nothing_is_lost", {"user_days": f"FROM ({FITTING['user_days']}) WHERE false"}),
        ("user_days", "amounts_fit", {"user_days": "SELECT 'hall' AS venue_id, NULL AS amount"}),
        ("kpi", "money_is_that_of_the_users", {"user_days": f"FROM ({FITTING['user_days']}) WHERE user_id = 'bob'"}),
        ("kpi", "sums_fit", {"kpi": "SELECT 'hall' AS venue_id, NULL AS identified_gmv"}),
        ("rfm_migrations", "nobody_is_lost", {"rfm_migrations": FITTING["rfm_migrations"].replace("1", "2")}),
        ("visitor_features", "same_users_as_segments", {"visitor_features": "SELECT 1 WHERE false"}),
    ],
)  # fmt: skip
def test_checks_pass_what_fits_and_refuse_what_does_not(table: str, check: str, wrong: dict[str, str]) -> None:
    assert _passes(table, check, {})
    assert not _passes(table, check, wrong)


@pytest.mark.parametrize(
    ("row", "passes"),
    [
        (BUYER, True),
        ("(0, NULL, NULL, NULL, 'visitor', NULL)", True),
        ("(NULL, NULL, NULL, NULL, NULL, 'visitor')", True),
        ("(NULL, NULL, NULL, NULL, NULL, NULL)", False),
        ("(0, 1, NULL, NULL, 'visitor', NULL)", False),
        ("(1, NULL, NULL, NULL, 'visitor', NULL)", False),
        ("(1, 6, 1, 1, 'general_value', NULL)", False),
        ("(1, 1, NULL, 1, 'general_value', NULL)", False),
        ("(0, 1, 1, 1, 'general_value', NULL)", False),
    ],
)
def test_segments_that_contradict_their_scores_are_refused(row: str, passes: bool) -> None:
    changed = {"rfm_segments": FITTING["rfm_segments"].format(row)}
    assert _passes("rfm_segments", "scores_and_segments_agree", changed) is passes


def _passes(table: str, check: str, changed: dict[str, str]) -> bool:
    con = duckdb.connect()
    for name, sql in (FITTING | changed).items():
        con.execute(f"CREATE VIEW {name} AS {sql.format(BUYER)}")
    (found,) = con.sql(catalogue()[table].checks[check].sql).to_arrow_table().to_pylist()
    return bool(found["passed"])
