"""Shares of arms over time: a stacked column per date, then the shares that are planned, by name.

What all groups together got comes first, and large; then each group on the same axis of dates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from textwrap import wrap
from typing import Final

from venue_assets.pictures.colours import ARMS
from venue_assets.pictures.svg import CHARACTER, LINE, area, box, drawing, line, shortened, text

_QUIET: Final = "#555555"
_MARGIN: Final = 24
_AXIS: Final = 46
"""Left of the columns, for the percentages."""
_PLOT: Final = 460
_WIDEST: Final = 48
"""A column, and the planned one."""
_APART: Final = 18
"""The planned column from the others."""
_LARGE: Final = 170
_SMALL: Final = 84
"""Height of the columns of all together, and of one group."""
_PERCENT: Final = 76
"""From the planned column to the names of its arms."""
_NAME: Final = 26
"""Characters of an arm's name."""
_TITLE: Final = 14
_WORDS: Final = 118
"""Characters on a line."""
_MOST_COLUMNS: Final = 72
_SPANS: Final = (1, 7, 28, 364)
"""Dates of a column: more as the dates get too many to be told apart."""
_TICKS: Final = (1, 2, 7, 14, 28, 56, 112, 364, 728, 1456)
"""Dates from one label on the axis to the next."""
_TICK: Final = 54


@dataclass(frozen=True)
class Panel:
    """A group of units: how many of them each arm was given on each date that has some, and the planned shares."""

    name: str
    given: Mapping[date, Mapping[str, int]]
    planned: Mapping[str, float]


@dataclass(frozen=True)
class Chart:
    """The shares of one experiment, from its first date to the next one, of which only the plan is known."""

    title: str
    remark: str
    arms: Sequence[str]
    first_date: date
    next_date: date
    panels: Sequence[Panel]
    """The first one is drawn large."""


def charts(found: Iterable[Chart]) -> str:
    """Charts below each other."""
    shapes: list[str] = []
    top, width = float(_MARGIN), 0.0
    for chart in found:
        made, top, needed = _chart(chart, top)
        shapes += made
        width = max(width, needed)
        top += 2 * _MARGIN
    if not shapes:
        shapes.append(text(_MARGIN, top + 8, "No shares are due for the next date.", anchor="start"))
        top += 2 * _MARGIN
    return drawing(max(width, 320), top - _MARGIN, shapes)


@dataclass(frozen=True)
class _Dates:
    """The axis of a chart: `count` columns of `span` dates, each `step` wide, and the planned one behind them."""

    first: date
    planned: date
    span: int
    count: int
    step: float

    @classmethod
    def of(cls, chart: Chart) -> _Dates:
        dates = max(0, (chart.next_date - chart.first_date).days)
        span = next((s for s in _SPANS if dates <= s * _MOST_COLUMNS), _SPANS[-1])
        count = -(-dates // span)
        return cls(chart.first_date, chart.next_date, span, count, min(_WIDEST, _PLOT / max(count, 1)))

    @property
    def left(self) -> float:
        return _MARGIN + _AXIS

    @property
    def planned_at(self) -> float:
        """Left edge of the planned column."""
        return self.left + self.count * self.step + (_APART if self.count else 0)

    @property
    def right(self) -> float:
        return self.planned_at + _WIDEST

    def columns(self, given: Mapping[date, Mapping[str, int]], arms: Sequence[str]) -> dict[int, list[float]]:
        """By column, the share of each arm; none where there are no units."""
        units: dict[int, list[int]] = {}
        for day, of_arm in given.items():
            column = units.setdefault((day - self.first).days // self.span, [0] * len(arms))
            for n, arm in enumerate(arms):
                column[n] += of_arm.get(arm, 0)
        return {at: [n / sum(of) for n in of] for at, of in units.items() if 0 <= at < self.count and any(of)}

    def ticks(self) -> Iterator[tuple[float, date]]:
        """Middles of the columns that have a label, with their first dates."""
        apart = next((t for t in _TICKS if t >= self.span and t / self.span * self.step >= _TICK), _TICKS[-1])
        for n in range(0, self.count, max(1, apart // self.span)):
            middle = self.left + (n + 0.5) * self.step
            if middle <= self.planned_at + _WIDEST / 2 - 1.2 * _TICK:
                yield middle, self.first + timedelta(days=n * self.span)


def _chart(chart: Chart, top: float) -> tuple[list[str], float, float]:
    """Its shapes, where they end, and how much width they need."""
    dates = _Dates.of(chart)
    remark = chart.remark + (f" Each column is {dates.span} dates." if dates.span > 1 else "")
    shapes: list[str] = []
    for words in wrap(chart.title, _WORDS * 12 // _TITLE):
        shapes.append(text(_MARGIN, top + 4, words, anchor="start", bold=True, size=_TITLE))
        top += LINE + 4
    for words in wrap(remark, _WORDS):
        shapes.append(text(_MARGIN, top + 2, words, anchor="start", fill=_QUIET))
        top += LINE
    labels = max(len(shortened(arm, _NAME)) for arm in chart.arms) * CHARACTER + _PERCENT
    widest = max((len(words) for words in (*wrap(remark, _WORDS), *_headings(chart))), default=0)
    titles = max((len(words) for words in wrap(chart.title, _WORDS * 12 // _TITLE)), default=0) * _TITLE / 12
    width = max(dates.right + labels, _MARGIN + max(widest, 1.08 * titles) * CHARACTER) + _MARGIN
    for n, panel in enumerate(chart.panels):
        top += LINE
        for words in wrap(panel.name, _WORDS):
            shapes.append(text(_MARGIN, top + 8, words, anchor="start", bold=True))
            top += LINE
        top += 8
        high = max(_SMALL if n else _LARGE, LINE * (len(chart.arms) - 1))
        shapes += _panel(panel, chart.arms, dates, top, high)
        top += high + 2 * LINE + 8
    return shapes, top, width


def _headings(chart: Chart) -> Iterator[str]:
    for panel in chart.panels:
        # Bold, so a little wider.
        yield from (words + " " * (len(words) // 12) for words in wrap(panel.name, _WORDS))


def _panel(panel: Panel, arms: Sequence[str], dates: _Dates, top: float, high: float) -> Iterator[str]:
    colours = [ARMS[n % len(ARMS)] for n in range(len(arms))]
    bottom = top + high
    columns = dates.columns(panel.given, arms)
    gap = min(3.0, 0.16 * dates.step) if dates.step >= 4 else 0.0
    below = dict.fromkeys(columns, bottom)
    for n, colour in enumerate(colours):
        pieces = []
        for at, shares in columns.items():
            tall = high * shares[n]
            below[at] -= tall
            if tall > 0:
                pieces.append((dates.left + at * dates.step + gap / 2, below[at], dates.step - gap, tall))
        if pieces:
            yield area(pieces, colour)
    for part in (0.0, 0.5, 1.0):
        y = bottom - high * part
        yield line(dates.left - 6, y, dates.left - 2, y)
        yield text(dates.left - 10, y + 4, f"{100 * part:.0f} %", anchor="end", fill=_QUIET)
    if columns:
        # So that a half can be read off in the middle of the columns, too.
        yield line(dates.left, bottom - high / 2, dates.left + dates.count * dates.step, bottom - high / 2, dashed=True)
    elif dates.count:
        middle = dates.left + dates.count * dates.step / 2
        yield text(middle, top + high / 2, "no units yet", fill=_QUIET)
    yield from _axis(dates, bottom)
    yield from _planned(panel.planned, arms, colours, dates, bottom, high)


def _axis(dates: _Dates, bottom: float) -> Iterator[str]:
    year = None
    for x, day in dates.ticks():
        yield line(x, bottom + 1, x, bottom + 5)
        yield text(x, bottom + 18, _day(day), fill=_QUIET)
        if day.year != year:
            year = day.year
            yield text(x, bottom + 32, str(year), fill=_QUIET)
    x = dates.planned_at + _WIDEST / 2
    yield text(x, bottom + 18, _day(dates.planned), bold=True)
    yield text(x, bottom + 32, "planned", bold=True)


def _planned(
    shares: Mapping[str, float], arms: Sequence[str], colours: Sequence[str], dates: _Dates, bottom: float, high: float
) -> Iterator[str]:
    y = bottom
    middles = []
    for arm, colour in zip(arms, colours, strict=True):
        tall = high * shares[arm]
        y -= tall
        middles.append(y + tall / 2)
        yield box(dates.planned_at, y, _WIDEST, tall, colour)
    for arm, colour, middle, at in zip(arms, colours, middles, _spread(middles, bottom - high, bottom), strict=True):
        yield line(dates.right, middle, dates.right + 14, at, stroke=_QUIET)
        yield box(dates.right + 14, at - 6, 12, 12, colour)
        yield text(dates.right + _PERCENT - 8, at + 4, f"{100 * shares[arm]:.0f} %", anchor="end", bold=True)
        yield text(dates.right + _PERCENT, at + 4, shortened(arm, _NAME), anchor="start")


def _spread(wanted: Sequence[float], top: float, bottom: float) -> list[float]:
    """Places from below to above, near those that are wanted, and a line apart from each other."""
    places: list[float] = []
    for place in wanted:
        places.append(min(place, places[-1] - LINE) if places else min(place, bottom))
    above = top
    for n in reversed(range(len(places))):
        places[n] = max(places[n], above)
        above = places[n] + LINE
    return places


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"
