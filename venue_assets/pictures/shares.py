"""Shares of arms as bars, one bar per group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final

from venue_assets.pictures.svg import CHARACTER, LINE, box, drawing, shortened, text

_COLOURS: Final = ("#999999", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
"""Okabe & Ito's, which people with any colour vision tell apart; the control is grey. More arms begin anew."""
_DARK: Final = ("#0072B2", "#D55E00")
_MARGIN: Final = 24
_BAR: Final = 480
_MOST: Final = 90
"""Characters on a line of a rule."""


@dataclass(frozen=True)
class Bars:
    """One chart: a title, and per group its name and the share of each arm."""

    title: str
    arms: Sequence[str]
    groups: Sequence[tuple[str, Mapping[str, float]]]


def charts(bars: Iterable[Bars]) -> str:
    """Charts below each other."""
    shapes: list[str] = []
    top, width = float(_MARGIN), float(_BAR + 2 * _MARGIN)
    for chart in bars:
        shapes.append(text(_MARGIN, top, chart.title, anchor="start", bold=True))
        top += LINE
        x = float(_MARGIN)
        for arm, colour in zip(chart.arms, _colours(chart.arms), strict=True):
            name = shortened(arm, 30)
            shapes += [box(x, top, 12, 12, colour), text(x + 17, top + 10, name, anchor="start")]
            x += 32 + len(name) * CHARACTER
        width = max(width, x)
        top += 2 * LINE
        for name, shares in chart.groups:
            for words in wrap(name, _MOST):
                width = max(width, 2 * _MARGIN + len(words) * CHARACTER)
                shapes.append(text(_MARGIN, top + 10, words, anchor="start"))
                top += LINE
            x = float(_MARGIN)
            for arm, colour in zip(chart.arms, _colours(chart.arms), strict=True):
                wide = _BAR * shares[arm]
                shapes.append(box(x, top, wide, 22, colour))
                if wide > 36:
                    fill = "white" if colour in _DARK else "black"
                    shapes.append(text(x + wide / 2, top + 15, f"{100 * shares[arm]:.0f} %", fill=fill))
                x += wide
            top += 22 + LINE
        top += _MARGIN
    if not shapes:
        shapes.append(text(_MARGIN, top, "No shares are due for the next date.", anchor="start"))
        top += _MARGIN
    return drawing(width, top, shapes)


def _colours(arms: Sequence[str]) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(len(arms))]
