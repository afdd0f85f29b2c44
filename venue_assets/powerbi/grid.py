"""Where visuals stand on a page: four bands, in each as many visuals as there are, side by side.

What does not belong here: which visuals there are (report_pages.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from venue_assets.powerbi.pbir import PAGE_WIDTH, Visual

MARGIN: Final = 16
HEADER: Final = (12, 72)
CARDS: Final = (92, 92)
UPPER: Final = (192, 252)
LOWER: Final = (452, 252)
"""Bands of a page: where one begins, and how high it is."""


def row(band: tuple[int, int], visuals: Sequence[Visual], shares: Sequence[int] = ()) -> list[Visual]:
    """Visuals side by side, as wide as their shares of the page."""
    y, height = band
    shares = shares or [1] * len(visuals)
    free = PAGE_WIDTH - MARGIN * (len(visuals) + 1)
    placed, x = [], MARGIN
    for visual, share in zip(visuals, shares, strict=True):
        width = free * share // sum(shares)
        placed.append(replace(visual, box=(x, y, width, height)))
        x += width + MARGIN
    return placed
