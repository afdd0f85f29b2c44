"""What the commands share: which experiment is meant, as of which date, and asking the lake about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_collector import event_time
from edge_collector.allocation import days_of
from edge_collector.experiment import Experiment
from edge_collector.site import Site
from venue_assets.cli.arguments import UserError, computable, event_date
from venue_assets.home import Home
from venue_assets.nearest import did_you_mean

if TYPE_CHECKING:
    import duckdb

AsOf = Annotated[
    str | None, typer.Option("--date", metavar="DATE", help="As of the end of this event date; else the newest one.")
]
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of an experiment in site.toml.")]


def named(site: Site, experiment_id: str) -> Experiment:
    """The experiment of this id. Raises UserError."""
    known = {e.id: e for e in site.experiments}
    if experiment_id in known:
        return known[experiment_id]
    expected = f"one of {', '.join(known)} is expected" if known else "site.toml has none"
    raise UserError(f"experiment {experiment_id!r} is given{did_you_mean(experiment_id, known)}; {expected}")


def as_of(home: Home, on: str | None) -> date:
    """The date that is asked for, else the newest that is computed, else today. Raises UserError."""
    if on is not None:
        return event_date(on)
    from venue_assets.lake.store import Lake

    computed = Lake(home.lake).dates("primary_metrics")
    return max(computed) if computed else computable(home.site)[1]


@contextmanager
def lake(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Every table as a view. Raises UserError where a partition that is asked for cannot be read."""
    import duckdb

    from venue_assets.cli.query import connect, damaged
    from venue_assets.tables.catalogue import catalogue

    try:
        with connect(home, catalogue()) as con:
            yield con
    except duckdb.Error as error:
        if not (where := damaged(error, home)):
            raise UserError(" ".join(str(error).split())) from None
        table, day = where
        raise UserError(f"{table} of {day} cannot be read; compute it again: venue materialize {day}") from None


def asked(con: duckdb.DuckDBPyConnection, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of an answer."""
    con.execute(sql, parameters or None)
    names = [column[0] for column in con.description or ()]
    return [dict(zip(names, row, strict=True)) for row in con.fetchall()]


def without_shares(home: Home, e: Experiment) -> str:
    """Of a bandit that is on today and has no shares for it: so, and what gateways do instead; else nothing.

    Shares of a date are made when the one before has landed: a day on which nothing came leaves none.
    """
    from venue_assets.publish.allocations import ALLOCATIONS

    venue = home.site.venue_of(e)
    today = event_time.event_date(datetime.now(UTC), venue.time_zone, venue.day_starts_at)
    days = days_of(home.published / ALLOCATIONS, e.id)
    if e.kind != "bandit" or not e.first_date <= today <= e.last_date or today in days:
        return ""
    newest = max((day for day in days if day < today), default=None)
    fixed = ", ".join(f"{arm} {100 * share:.1f} %" for arm, share in zip(e.arms, e.shares, strict=True))
    known = f" (the newest are for {newest})" if newest else ""
    return (
        f"no shares for today, {today}{known}: gateways go on with the fixed ones ({fixed}) until there are, and each "
        "record says so"
    )


def state(e: Experiment, day: date) -> str:
    """Where an experiment is in its dates, in one word."""
    if day < e.first_date:
        return "planned"
    if day <= e.last_date:
        return "running"
    return "maturing" if day <= e.matures_on else "ended"
