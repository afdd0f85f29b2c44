"""Online Retail II, recomputed with polars from the source file: GMV, orders and payers per event date, and RFM."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import polars as pl

CENT = Decimal("0.01")


SEGMENTS = {
    (True, True, True): "important_value",
    (True, False, True): "important_develop",
    (False, True, True): "important_keep",
    (False, False, True): "important_win_back",
    (True, True, False): "general_value",
    (True, False, False): "general_develop",
    (False, True, False): "general_keep",
    (False, False, False): "general_win_back",
}


def amount(quantity: int, price: float) -> Decimal:
    """What a line costs, in pounds."""
    return (quantity * Decimal(repr(price))).quantize(CENT, ROUND_HALF_UP)


def lines(source: Path) -> pl.DataFrame:
    """The order lines that count, with their event date (London, day starts at 04:00), customer and amount in pence.

    Invoices that begin with C are cancelled and count by their absolute amount; other lines with a quantity below 1 or
    a negative amount are left out, as quarantine does. An order's time is its smallest.
    """
    book = pl.read_parquet(source).with_columns(
        at=pl.col("InvoiceDate").str.to_datetime("%Y-%m-%d %H:%M:%S").min().over("Invoice"),
        cancelled=pl.col("Invoice").str.starts_with("C"),
        customer=pl.col("Customer ID").cast(pl.Int64).cast(pl.String),
    )
    amounts = book.select("Quantity", "Price").unique()
    cents = [int(amount(quantity, price) * 100) for quantity, price in amounts.iter_rows()]
    book = book.join(amounts.with_columns(cents=pl.Series(cents, dtype=pl.Int64)), on=["Quantity", "Price"])
    book = book.with_columns(cents=pl.when("cancelled").then(pl.col("cents").abs()).otherwise("cents"))
    # No order was placed while London's clocks changed, so local time minus four hours is the event date.
    book = book.with_columns(event_date=(pl.col("at") - timedelta(hours=4)).dt.date())
    return book.filter(pl.col("cancelled") | ((pl.col("Quantity") >= 1) & (pl.col("cents") >= 0)))


def per_event_date(lines: pl.DataFrame) -> pl.DataFrame:
    """One row per event date: gmv, gmv_anonymous, cancelled_amount, orders, payers."""
    done = ~pl.col("cancelled")
    return (
        lines.group_by("event_date")
        .agg(
            gmv=pl.col("cents").filter(done).sum(),
            gmv_anonymous=pl.col("cents").filter(done & pl.col("customer").is_null()).sum(),
            cancelled_amount=pl.col("cents").filter(~done).sum(),
            completed_orders=pl.col("Invoice").filter(done).n_unique(),
            paying_users=pl.col("customer").filter(done).drop_nulls().n_unique(),
        )
        .sort("event_date")
    )


def rfm(lines: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """RFM of every customer with a completed order in the 365 dates that end at `as_of`: values, scores, segment."""
    buyers = (
        lines.filter(
            ~pl.col("cancelled"),
            pl.col("customer").is_not_null(),
            pl.col("event_date").is_between(as_of - timedelta(days=364), as_of),
        )
        .group_by("customer")
        .agg(
            recency_days=(pl.lit(as_of) - pl.col("event_date").max()).dt.total_days(),
            frequency=pl.col("Invoice").n_unique().cast(pl.Int64),
            cents=pl.col("cents").sum(),
        )
    )
    buyers = buyers.with_columns(
        r_score=6 - _score(buyers["recency_days"]),
        f_score=_score(buyers["frequency"]),
        m_score=_score(buyers["cents"]),
    )
    n = buyers.height
    high = [(buyers[name] * n > buyers[name].sum()).to_list() for name in ("r_score", "f_score", "m_score")]
    return buyers.with_columns(
        segment=pl.Series([SEGMENTS[levels] for levels in zip(*high, strict=True)], dtype=pl.String)
    )


def _score(values: pl.Series) -> pl.Series:
    ordered, n = values.sort(), len(values)
    cuts = [ordered[(k * n + 4) // 5 - 1] for k in (1, 2, 3, 4)] if n else []
    return sum(((values > cut).cast(pl.Int64) for cut in cuts), start=pl.Series([1] * n, dtype=pl.Int64))
