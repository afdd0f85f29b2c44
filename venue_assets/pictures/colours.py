"""Colours of what is drawn: each stands out from white by 3 to 1, which WCAG asks of shapes, and those of one drawing
are told apart with any colour vision. Where colour means something, a place or a word says it, too.
"""

from __future__ import annotations

from typing import Final

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
GREY: Final = "#8A8F98"
SKY: Final = "#3E97D1"
DEEP: Final = "#00456E"
"""Beside SKY: the two differ in lightness, and blue is what every eye sees."""
ARMS: Final = (GREY, BLUE, VERMILION, "#600078", "#904848", "#000000", "#3000D8", "#00381C")
"""The control is grey. More arms begin anew."""
SEEN: Final = 3.0
"""How much shapes have to stand out from white, to 1: WCAG AA."""


def against_white(colour: str) -> float:
    """How much a colour, #RRGGBB, stands out from white, to 1: WCAG's contrast ratio."""
    red, green, blue = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    light = 0.2126 * _linear(red) + 0.7152 * _linear(green) + 0.0722 * _linear(blue)
    return 1.05 / (light + 0.05)


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
