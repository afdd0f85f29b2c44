"""What people type: dates, ranges and tables, the options that several commands share, and what is wrong with them."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated

import typer

from venue_assets.home import Home


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
        if name not in catalogue().tables and name != PUBLISHED:
            raise UserError(f"{name!r} is given; a table is expected: {', '.join(catalogue().tables)}, {PUBLISHED}")
        if name == PUBLISHED or not part.endswith("+"):
            found[name] = None
        else:
            found |= dict.fromkeys([*catalogue().downstream(name), PUBLISHED])
    if not found:
        raise UserError("--select is empty; table names are expected, such as sessions+")
    return list(found)
