"""What people type: dates, ranges and tables, the options that several commands share, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer

from edge_collector import event_time
from edge_collector.site import Site
from venue_assets.home import Home
from venue_assets.nearest import did_you_mean


class UserError(Exception):
    """What the user gave cannot be done; the message is one clear sentence."""


Dates = Annotated[str, typer.Argument(help="One event date, or a range FIRST...LAST.", metavar="DATE")]
Days = Annotated[int, typer.Option(min=1, max=3660, help="How many event dates.")]
Visits = Annotated[
    int, typer.Option(min=1, max=10_000_000, help="Recognised visits of an average day, over all venues.")
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same people, days and mishaps.")]
From = Annotated[str, typer.Option("--from", metavar="DATE", help="First event date.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the UI.")]


def home_with_site() -> Home:
    """The data folder, which a wrong or missing site file keeps from being used.

    Raises SiteError or FileNotFoundError, before anything starts and anything is written.
    """
    home = Home.of_environment()
    _ = home.site
    return home


def event_date(text: str) -> date:
    """One date. Raises UserError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{text!r} is given; a date such as 2026-01-05 is expected") from None


def event_dates(text: str) -> list[date]:
    """The dates of `FIRST...LAST`, or the one of `DATE`. Raises UserError."""
    match = re.fullmatch(r"(\S+?)(?:\.\.\.?(\S+))?", text.strip())
    if not match:
        raise UserError(
            f"{text!r} is given; a date such as 2026-01-05 or a range such as 2026-01-05...2026-01-18 is expected"
        )
    first = event_date(match[1])
    last = event_date(match[2]) if match[2] else first
    if last < first:
        raise UserError(f"the range {text} ends before it begins; FIRST...LAST is expected")
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def computable(site: Site) -> tuple[date, date]:
    """The first and the last event date that there is: from the first opening to today where it begins first."""
    now = datetime.now(UTC)
    today = max(event_time.event_date(now, venue.time_zone, venue.day_starts_at) for venue in site.venues)
    return site.opened_on, today


def refuse_outside(days: Sequence[date], site: Site) -> None:
    """Raises UserError where a date cannot be computed, because no venue had opened or it has not begun."""
    first, last = computable(site)
    if outside := [day for day in days if not first <= day <= last]:
        raise UserError(
            f"{outside[0]} is given; dates from {first} (the earliest opened_on in site.toml) to today ({last}) are "
            "expected"
        )


def selected_tables(text: str | None) -> list[str] | None:
    """Table names of `a,b+`; a plus adds everything that reads the table, the publication included.

    Raises UserError.
    """
    from venue_assets.graph.specs import PUBLISHED
    from venue_assets.tables.catalogue import catalogue

    if text is None:
        return None
    found: dict[str, None] = {}
    for part in (p.strip() for p in text.split(",") if p.strip()):
        name = part.removesuffix("+")
        known = [*catalogue().tables, PUBLISHED]
        if name not in known:
            raise UserError(f"{name!r} is given{did_you_mean(name, known)}; a table is expected: {', '.join(known)}")
        if name == PUBLISHED or not part.endswith("+"):
            found[name] = None
        else:
            found |= dict.fromkeys([*catalogue().downstream(name), PUBLISHED])
    if not found:
        raise UserError("--select is empty; table names are expected, such as sessions+")
    return list(found)
