"""What the demonstration shows at its end: the metrics, how they compare with the truth, what was learned, where all of
it lies, and the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from venue_assets.cli import show
from venue_assets.cli.demo import TRUTH, Reconciliation
from venue_assets.cli.show import relative, say
from venue_assets.home import Home

if TYPE_CHECKING:
    import duckdb

_COLUMNS = {
    "date": "event_date",
    "activity": "activity_id",
    "passers-by": "pf_range",
    "walked in": "pf_entrance",
    "OCR": "ocr",
    "PV": "pv",
    "UV": "uv",
    "median min": "lov_median_seconds",
    "recognised": "recognition_share",
    "orders": "completed_orders",
    "payers": "paying_users",
    "GMV": "gmv",
}


def metrics(rows: Sequence[dict[str, Any]]) -> None:
    """A table per venue, with a row per date."""
    for venue in dict.fromkeys(row["venue_id"] for row in rows):
        own = [dict(row) for row in rows if row["venue_id"] == venue]
        for row in own:
            for share in ("ocr", "recognition_share"):
                row[share] = None if row[share] is None else f"{row[share]:.1%}"
            row["lov_median_seconds"] = (
                None if row["lov_median_seconds"] is None else f"{row['lov_median_seconds'] / 60:.1f}"
            )
        say("")
        show.table(
            f"{venue} ({own[0]['currency']})",
            list(_COLUMNS),
            [[row[name] for name in _COLUMNS.values()] for row in own],
            right=set(_COLUMNS) - {"date", "activity"},
        )


def reconciliation(found: Reconciliation) -> None:
    """Whether every figure is what the truth expects; and if so, what the dirt cost."""
    say("")
    if found.differences:
        say(f"[bold red]{len(found.differences)} of {found.compared} figures differ from the truth:[/]")
        show.table(
            "differences",
            ["of", "date", "figure", "published", "expected"],
            [[d.of, d.event_date, d.figure, d.published, d.expected] for d in found.differences[:20]],
        )
        return
    say(
        f"[bold green]Reconciled with the truth[/]: all {found.compared} figures are exactly what the landed records "
        "allow."
    )
    show.table(
        "What the dirt cost (malformed, lost and refused records, an offline gateway)",
        ["figure", "really happened", "found", "share"],
        [
            [n, *(_written(n, value) for value in (clean, there)), f"{there / clean:.1%}" if clean else "-"]
            for n, clean, there in found.effect
        ],
        right=["really happened", "found", "share"],
    )


def _written(figure: str, value: Decimal | int) -> str:
    """Money, which names its currency, with cents; counts without decimals, though some are stored as fractions."""
    return f"{value:,.2f}" if ", " in figure else f"{value:,.0f}"


_SEGMENTS = """
SELECT venue_id, segment, segment_zh, count(*) AS users, round(sum(monetary), 2) AS gmv, currency
FROM rfm_segments WHERE event_date = $day AND segment IS NOT NULL
GROUP BY ALL ORDER BY venue_id, users DESC, segment
"""
_VERDICTS = """
SELECT experiment_id, status, conclusion, conclusion_zh
FROM experiment_verdicts WHERE event_date = $day ORDER BY experiment_id, position, arm
"""
_SHARES = """
SELECT experiment_id, rule AS "group", any_value(forecast) AS expected,
  string_agg(printf('%s %.0f%%', arm, 100 * share), ', ' ORDER BY position) AS shares
FROM bandit_allocations WHERE event_date = $day GROUP BY experiment_id, leaf, rule ORDER BY experiment_id, leaf
"""


_SENTENCES = {"conclusion", "conclusion_zh", "group", "shares"}


def analysis(con: duckdb.DuckDBPyConnection, day: date) -> None:
    """What the last date says: who the users are, what the experiments have shown, and the shares of the next date."""
    for title, sql, right in (
        (f"RFM segments at the end of {day}", _SEGMENTS, ("users", "gmv")),
        ("Experiments: one analysis each, and none before there is enough", _VERDICTS, ()),
        (f"Shares of {day + timedelta(days=1)}, per group of visitors", _SHARES, ("expected",)),
    ):
        found = con.sql(sql, params={"day": day})
        rows = found.fetchall()
        if rows:
            say("")
            show.table(title, found.columns, rows, right=right, wrap={*found.columns} & _SENTENCES)


def places(home: Home) -> None:
    """Where everything lies."""
    say("")
    for what, path in (
        ("landed segments", home.landing),
        ("tables (Parquet)", home.lake),
        ("for analysts", home.published / "venue.duckdb"),
        ("", home.published / "parquet"),
        ("definitions", home.published / "reports" / "dictionary.html"),
        ("the truth", home.root / TRUTH),
    ):
        show.unfolded(f"{what:17} {relative(path)}")


def pages(home: Home, *, open_one: bool) -> None:
    """The reports of the last date in both languages and the page that lists them; the English one in the browser."""
    from venue_assets.cli.report import open_page, write
    from venue_assets.publish.names import FRONT_PAGES

    english, chinese = write(home, None), write(home, None, "zh")
    show.unfolded(f"{'the report':17} {relative(english)}")
    show.unfolded(f"{'in Chinese':17} {relative(chinese)}")
    front_page = english.with_name(FRONT_PAGES["en"])
    show.unfolded(f"{'all reports':17} [bold]{relative(front_page)}[/], the page to start from")
    if open_one:
        open_page(english)
