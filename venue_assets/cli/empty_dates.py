"""Dates for which nothing landed: which are computed all the same, which are refused, and how one is taken out again.

A date between landed ones, on which the venue was closed, is computed: its zeros are true, and windows read them. So is
one on which an experiment matures. Any other would be a day of zeros that nobody measured. It is refused, and one that
is in the lake nevertheless (the Dagster UI computes what it is told to; an import was taken back) is withdrawn when
somebody says so, never by itself: a landing that is empty because its disk is not there must cost no figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from venue_assets.cli import show
from venue_assets.cli.arguments import UserError
from venue_assets.cli.show import relative, say
from venue_assets.home import Home

_RANGES_SHOWN: Final = 6


def with_reason(home: Home, days: Sequence[date]) -> list[date]:
    """Those of the dates that there is a reason to compute; says which are left out. Raises UserError where none is."""
    from venue_assets.lake.freshness import Freshness
    from venue_assets.lake.landing_index import scan
    from venue_assets.tables.catalogue import catalogue

    freshness = Freshness(home, catalogue(), scan(home.landing))
    due = [day for day in days if freshness.has_reason(day)]
    idle = [day for day in days if day not in set(due)]
    if not idle:
        return due
    landed = [day for day in freshness.index.dates() if freshness.has_reason(day)]
    there = set(freshness.operating_dates()) & set(idle)
    back = f"; venue materialize {_range(sorted(there))} --withdraw takes out what was computed of it"
    back = back if there and landed else ""  # where nothing is left, it is the landing that has to come back
    if not due:
        raise UserError(f"nothing landed for {show.dates(idle)}; {_expected(home, landed)}{back}")
    say(
        f"Left out: {show.dates(idle)}, because nothing landed then, nor "
        f"{'before' if max(idle) < landed[0] else 'later' if min(idle) > landed[-1] else 'before or later'}{back}"
    )
    return due


def withdraw(home: Home, days: Sequence[date]) -> None:
    """Take dates for which nothing landed out of the lake and of what is published. Raises UserError."""
    from venue_assets.cli.standing import noted_failures
    from venue_assets.graph.build import engine_resource
    from venue_assets.lake.freshness import Freshness
    from venue_assets.lake.landing_index import scan
    from venue_assets.lake.store import Lake
    from venue_assets.publish.publication import current, publish
    from venue_assets.tables.catalogue import catalogue

    freshness = Freshness(home, catalogue(), scan(home.landing))
    publication = current(home)
    published = publication.dates if publication else set()
    there = {*freshness.operating_dates(), *noted_failures(home), *published} & set(days)
    idle = sorted(day for day in there if not freshness.has_reason(day))
    if not idle:
        raise UserError(
            f"{show.dates(sorted(there))} landed, or lies between dates that did; --withdraw takes out dates for which "
            "nothing landed"
            if there
            else f"nothing of {show.dates(days)} is in {relative(home.lake)}; --withdraw has nothing to take out"
        )
    for table in catalogue().tables:
        for day in idle:
            Lake(home.lake).remove(table, day)
    made = publish(home, catalogue(), engine_resource(), log=say)
    say(
        f"Withdrawn {show.dates(idle)} from {relative(home.lake)} and {relative(home.published)} "
        f"(publication {made.publication_id}); the Dagster UI still lists what was once materialized"
    )
    say("Next: [bold]venue status --problems[/]")


def _expected(home: Home, landed: Sequence[date]) -> str:
    """Which dates landed, and what to do."""
    if not landed:
        return (
            f"nothing at all landed in {home.landing}: look whether it is there and can be read; venue import, venue "
            "demo or a gateway fills it"
        )
    ranges = show.dates(landed)
    if ranges.count(",") >= _RANGES_SHOWN:
        ranges = f"{len(landed)} of {landed[0]}...{landed[-1]}"
    return (
        f"event dates with landed data are {ranges}: materialize these, or land records of the others first "
        "(venue import, or a gateway)"
    )


def _range(days: Sequence[date]) -> str:
    """The dates as one argument."""
    return str(days[0]) if len(days) == 1 else f"{days[0]}...{days[-1]}"
