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
