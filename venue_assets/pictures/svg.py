"""The few shapes that pictures are made of, as SVG text: black on white, no scripts, every text escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from textwrap import wrap
from typing import Final
from xml.sax.saxutils import escape

CHARACTER: Final = 6.7
"""Width of a character of the font at its size, in pixels, on the generous side."""
LINE: Final = 16
TITLE: Final = 14
"""Size of a title's font."""
_BOLD: Final = 1.08
"""How much wider than others bold characters are."""


def drawing(width: float, height: float, shapes: Iterable[str]) -> str:
    """A picture of this size."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(shapes)}</svg>'
    )


def box(x: float, y: float, width: float, height: float, fill: str, *, round_: float = 0, stroke: str = "black") -> str:
    """A rectangle from its upper left corner."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{round_:g}" fill="{fill}" '
        f'stroke="{stroke}"/>'
    )


def area(boxes: Iterable[tuple[float, float, float, float]], fill: str) -> str:
    """Rectangles of one colour, each from its upper left corner, as one shape without an outline."""
    paths = (f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z" for x, y, width, height in boxes)
    return f'<path d="{"".join(paths)}" fill="{fill}"/>'


def curve(points: Iterable[tuple[float, float]], stroke: str) -> str:
    """Straight lines from point to point."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{stroke}" stroke-width="2"/>'


def dot(x: float, y: float, fill: str) -> str:
    """A point."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{fill}"/>'


def line(x1: float, y1: float, x2: float, y2: float, *, stroke: str = "black", dashed: bool = False) -> str:
    """A straight line."""
    dashes = ' stroke-dasharray="3 3"' if dashed else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"{dashes}/>'


def text(
    x: float, y: float, words: str, *, anchor: str = "middle", bold: bool = False, fill: str = "black", size: int = 12
) -> str:
    """One line of text; `y` is its base line."""
    style = (' font-weight="bold"' if bold else "") + (f' font-size="{size}"' if size != 12 else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style} fill="{fill}">{escape(_legal(words))}</text>'


def titled(x: float, y: float, words: str, width: float) -> tuple[list[str], float]:
    """A title in as many lines as it takes, from the base line of the first one; and how far down the last one is."""
    lines = wrap(words, int(width / (CHARACTER * _BOLD * TITLE / 12)))
    apart = TITLE + 4
    shapes = [text(x, y + n * apart, line, anchor="start", bold=True, size=TITLE) for n, line in enumerate(lines)]
    return shapes, (len(lines) - 1) * apart


def on_white(x: float, y: float, words: str) -> str:
    """Text in the middle of a line, readable there."""
    wide = len(words) * CHARACTER
    return box(x - wide / 2, y - LINE + 4, wide, LINE, "white", stroke="none") + text(x, y, words)


def shortened(words: str, most: int) -> str:
    """`words`, or as many characters of them as fit, and an ellipsis."""
    return words if len(words) <= most else words[: most - 1] + "…"


def _legal(words: str) -> str:
    """Without the characters that XML knows no way to write."""
    return re.sub("[\x00-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", words)
