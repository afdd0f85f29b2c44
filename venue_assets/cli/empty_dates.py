"""Dates for which nothing landed, or not any more: which are computed all the same, which are refused, and how what was
computed is taken out again.

A date between landed ones, on which the venue was closed, is computed: its zeros are true, and windows read them. So is
one on which an experiment matures. Any other would be a day of zeros that nobody measured. It is refused, and one that
is in the lake nevertheless (the Dagster UI computes what it is told to; an import was taken back) is withdrawn when
somebody says so, never by itself: a landing that is empty because its disk is not there must cost no figures. The same
holds of a single stream of a date: as long as nobody says that it was taken back, it is expected to come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from venue_assets.cli import show
from venue_assets.cli.arguments import UserError
from venue_assets.cli.show import relative, say
from venue_assets.home import Home

if TYPE_CHECKING:
    from venue_assets.lake.freshness import Freshness

_RANGES_SHOWN: Final = 6


def with_reason(home: Home, days: Sequence[date], tables: Sequence[str] | None = None) -> list[date]:
    """Those of the dates that there is a reason to compute; says which are left out. Raises UserError where none is.

    Where only some `tables` are computed, and none from the landing, it does not matter what is gone from there.
    """
    from venue_assets.cli.standing import dates_there
    from venue_assets.lake.freshness import Freshness
    from venue_assets.lake.landing_index import scan
    from venue_assets.publish.record import current
    from venue_assets.tables.catalogue import catalogue

    freshness = Freshness(home, catalogue(), scan(home.landing))
    due = [day for day in days if freshness.has_reason(day)]
    if tables is None or any(catalogue()[name].layer == "raw" for name in tables if name in catalogue().tables):
        due = _without_gone(freshness, due)
    idle = [day for day in days if not freshness.has_reason(day)]
    if not idle:
        return due
    landed, back = freshness.landed, ""
    # Where nothing is left, it is the landing that has to come back.
    if landed and (there := sorted(dates_there(freshness, current(home)) & set(idle))):
        back = f"; venue materialize {_argument(there)} --withdraw takes out what was computed of it"
    if not due:
        raise UserError(f"nothing landed for {show.dates(idle)}; {_expected(home, landed)}{back}")
    when = "before" if max(idle) < landed[0] else "later" if min(idle) > landed[-1] else "before or later"
    say(f"Left out: {show.dates(idle)}, because nothing landed then, nor {when}{back}")
    return due


def _without_gone(freshness: Freshness, days: Sequence[date]) -> list[date]:
    """The dates of which all streams that they were computed from are still there; says which are left out.

    Raises UserError where none is.
    """
    lost = {day: of for day in days if (of := freshness.gone(day))}
    if not lost:
        return list(days)
    from venue_assets.lake.freshness import GONE

    streams = sorted(frozenset[str]().union(*lost.values()))
    said = (
        f"{GONE.format(', '.join(streams))}; bring them back, or, if they were taken back: "
        f"venue materialize {_argument(sorted(lost))} --withdraw"
    )
    if len(lost) == len(days):
        raise UserError(f"{show.dates(list(lost))}: {said}")
    say(f"Left out: {show.dates(list(lost))}, because {said}")
    return [day for day in days if day not in lost]


def withdraw(home: Home, days: Sequence[date]) -> list[date]:
    """Take dates for which nothing landed out of the lake and of what is published; again where that was cut off.

    Of dates of which only some streams are gone it forgets these; returns them, to be computed from what is left.
    Raises UserError.
    """
    from venue_assets.cli.standing import dates_there
    from venue_assets.graph.build import engine_resource
    from venue_assets.graph.instance import open_instance
    from venue_assets.graph.sensors import dates_in_flight
    from venue_assets.lake.freshness import Freshness
    from venue_assets.lake.landing_index import scan
    from venue_assets.publish.publication import publish
    from venue_assets.publish.record import current
    from venue_assets.tables.catalogue import catalogue

    freshness = Freshness(home, catalogue(), scan(home.landing))
    there = sorted(dates_there(freshness, current(home)) & set(days))
    if not there:
        raise UserError(f"nothing of {show.dates(days)} is in {relative(home.lake)}; there is nothing to withdraw")
    if not freshness.landed:
        raise UserError(
            f"{_nothing_at_all(home)}; --withdraw takes out single dates, and here it would be all: to begin anew, "
            f"remove {relative(home.lake)} and run venue publish"
        )
    idle = [day for day in there if not freshness.has_reason(day)]
    lost = [day for day in there if freshness.has_reason(day) and freshness.gone(day)]
    if not idle and not lost:
        raise UserError(
            f"{show.dates(there)} landed, or lies between dates that did; --withdraw takes out dates for which nothing "
            "landed, and streams that are gone from landing/"
        )
    with open_instance(home) as instance:
        if busy := sorted(dates_in_flight(instance) & {*idle, *lost}):
            raise UserError(f"a run of {show.dates(busy)} is under way; wait until it has ended, then withdraw again")
    for day in lost:
        say(f"Taken as taken back: {', '.join(freshness.gone(day))} of {day}; the date is computed from what is left")
        _forget_gone(freshness, day)
    if not idle:
        return lost
    for table in catalogue().tables:
        for day in idle:
            freshness.lake.remove(table, day)
    made = publish(home, catalogue(), engine_resource(), log=say)
    say(
        f"Withdrawn {show.dates(idle)} from {relative(home.lake)} and {relative(home.published)} "
        f"(publication {made.publication_id}); the Dagster UI still lists what was once materialized"
    )
    if shown := _reports(home, idle):
        say(f"Still there, rendered before: {', '.join(map(relative, shown))}; remove what nobody is to read")
    if not lost:
        say("Next: [bold]venue status --problems[/]")
    return lost


def _forget_gone(freshness: Freshness, day: date) -> None:
    """Drop the partitions that were made of streams that are gone, so that the date is computed from what is left."""
    from venue_assets.lake.freshness import gone
    from venue_assets.tables.catalogue import catalogue

    for table in catalogue():
        if table.is_landed and gone(freshness.index, freshness.provenance(table.name, day), day):
            freshness.lake.remove(table.name, day)
            freshness.forget(table.name, day)


def _expected(home: Home, landed: Sequence[date]) -> str:
    """Which dates landed, and what to do."""
    if not landed:
        return f"{_nothing_at_all(home)}; venue import, venue demo or a gateway fills it"
    ranges = show.dates(landed)
    if ranges.count(",") >= _RANGES_SHOWN:
        ranges = f"{len(landed)} of {landed[0]}...{landed[-1]}"
    return (
        f"event dates with landed data are {ranges}: materialize these, or land records of the others first "
        "(venue import, or a gateway)"
    )


def _nothing_at_all(home: Home) -> str:
    return f"nothing at all landed in {home.landing}: look whether it is there and can be read"


def _argument(days: Sequence[date]) -> str:
    """The dates as one argument; what lies between them and landed is not withdrawn."""
    return str(days[0]) if len(days) == 1 else f"{days[0]}...{days[-1]}"


def _reports(home: Home, days: Sequence[date]) -> list[Path]:
    """The rendered pages of these dates."""
    from venue_assets.publish.names import REPORTS

    return [path for day in days for path in sorted((home.published / REPORTS).glob(f"{day}*.html"))]
