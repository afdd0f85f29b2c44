"""Tables on a terminal: what does not fit beside each other is told below each other, and nothing is cut off."""

from __future__ import annotations

import io
from datetime import date, timedelta
from decimal import Decimal

import pytest
from rich.console import Console

from venue_assets.cli import demo_report, show


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    shown = io.StringIO()
    monkeypatch.setattr(show, "console", Console(file=shown, width=80, highlight=False))
    return shown


def test_the_metrics_of_the_demo_are_whole_at_80_columns(terminal: io.StringIO) -> None:
    figures = {"pf_range": 10_013, "pf_entrance": 1_690, "ocr": 0.169, "pv": 1_156, "uv": 1_041}
    figures |= {"lov_median_seconds": 1_200.0, "recognition_share": 0.684, "completed_orders": 206, "paying_users": 187}
    days = [date(2026, 1, 17) + timedelta(days=n) for n in range(2)]
    demo_report.metrics(
        [
            {"venue_id": "harbour", "event_date": day, "activity_id": "lantern_week", "currency": "CNY", **figures}
            | {"gmv": Decimal("60387.89")}
            for day in days
        ]
    )
    said = terminal.getvalue()
    assert "…" not in said
    assert all(len(line) <= 80 for line in said.splitlines())
    assert all(name in said for name in ("passers-by", "recognised", "GMV", "60,387.89", "68.4%"))
    assert said.count("2026-01-17") == said.count("2026-01-18") == 2, "each part says of which date it is"


def test_a_table_that_fits_is_one(terminal: io.StringIO) -> None:
    show.table("figures", ["date", "n"], [["2026-01-17", 1], ["2026-01-18", 2]], right=["n"])
    assert terminal.getvalue().count("figures") == 1


def test_a_sentence_without_spaces_is_folded_and_not_cut(terminal: io.StringIO) -> None:
    sentence = "尚无结论：「second_half_price」与「none」各有三千六百九十三与三千六百八十九次到访" * 2
    show.table("", ["status", "conclusion"], [["running", sentence]], wrap=["conclusion"])
    assert "…" not in terminal.getvalue()
    told = "".join(line.partition("│")[2].strip() for line in terminal.getvalue().splitlines() if "│" in line)
    assert told == sentence
