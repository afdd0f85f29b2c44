"""Colours of what is drawn: seen on white, and told apart with any colour vision."""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.report.conftest import LAST, Look, reading
from venue_assets.home import Home
from venue_assets.pictures.colours import ARMS, BLUE, DEEP, GREY, SEEN, SKY, VERMILION, against_white
from venue_assets.powerbi.theme import theme
from venue_assets.report import render

Vector = NDArray[np.float64]
APART: Final = 0.12
"""Of Okabe and Ito's nine, with a grey in the place of white, the nearest are 0.02 apart."""

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009),
# severity 1.
VISIONS: Final = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# Ottosson, "A perceptual color space for image processing" (2020).
CONES: Final = np.array(
    [[0.41222147, 0.53633254, 0.05144599], [0.21190350, 0.68069955, 0.10739696], [0.08830246, 0.28171884, 0.62997870]]
)
OKLAB: Final = np.array(
    [
        [0.21045426, 0.79361779, -0.00407205],
        [1.97799850, -2.42859221, 0.45059371],
        [0.02590404, 0.78277177, -0.80867577],
    ]
)


def light(colour: str) -> Vector:
    parts = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def apart(one: str, other: str, vision: str) -> float:
    a, b = (OKLAB @ np.cbrt(CONES @ np.clip(VISIONS[vision] @ light(c), 0, 1)) for c in (one, other))
    return float(np.linalg.norm(a - b))


def test_every_colour_stands_out_from_white() -> None:
    """The theme of Power BI has no others."""
    assert (against_white("#FFFFFF"), against_white("#000000")) == (1, 21)
    assert against_white("#767676") == pytest.approx(4.54, abs=0.005)  # WCAG's own example
    colours = {*ARMS, BLUE, VERMILION, GREY, SKY, DEEP}
    assert set(theme()["dataColors"]) <= colours
    for colour in colours:
        assert against_white(colour) >= SEEN, colour


@pytest.mark.parametrize("vision", VISIONS)
def test_arms_and_series_are_told_apart(vision: str) -> None:
    for one, other in [*combinations(ARMS, 2), (SKY, DEEP), (BLUE, VERMILION)]:
        assert apart(one, other, vision) >= APART, (one, other)


def test_whatever_is_stacked_is_filled_or_outlined_with_such_a_colour(look: Look, home: Home) -> None:
    """The planned column is pale, so its outlines have to be seen."""
    with reading(home) as con:
        page = look(render(con, LAST))
    found = page.each(
        ".chart svg .mark-rect.role-mark path",
        "e => [e.getAttribute('fill'), e.getAttribute('fill-opacity'), e.getAttribute('stroke')]",
    )
    pale = [stroke for _, opacity, stroke in found if opacity is not None and float(opacity) < 1]
    assert set(pale) == set(ARMS[:3])
    stacked = {stroke for _, _, stroke in found} & {*ARMS, SKY, DEEP}
    assert stacked == {*ARMS[:3], SKY, DEEP}
