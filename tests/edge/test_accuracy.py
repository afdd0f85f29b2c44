"""A sensor's accuracy in site.toml: stated as an interval or as a manual count, and only where it means something."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_collector.accuracy import Accuracy, ManualCount
from edge_collector.site import SiteError, load_site
from tests.conftest import REPOSITORY

SITE = (REPOSITORY / "data" / "site.toml").read_text()
ENTRANCE, TERMINAL = 'stream = "entrance_counts"', 'stream = "face_visits"'
COUNT = "manual_count = {counted = 412, true = 430, on = 2026-11-03}"


def site(tmp_path: Path, below: str, given: str) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(SITE.replace(below, f"{below}\n{given}", 1))
    return path


def test_an_accuracy_is_read(tmp_path: Path) -> None:
    counted = load_site(site(tmp_path, ENTRANCE, COUNT)).devices[2].manual_count
    assert isinstance(counted, ManualCount)
    assert (counted.counted, counted.true, str(counted.on)) == (412, 430, "2026-11-03")
    stated = load_site(site(tmp_path, ENTRANCE, "accuracy = {low = 0.95, high = 1}")).devices[2].accuracy
    assert stated == Accuracy(low=0.95, high=1)


@pytest.mark.parametrize(
    ("below", "given", "told"),
    [
        (TERMINAL, COUNT, "devices[3].manual_count: given for face_visits; it belongs to devices that count"),
        (ENTRANCE, COUNT + "\naccuracy = {low = 0.9, high = 1}", "devices[2].accuracy: given beside manual_count"),
        (ENTRANCE, "accuracy = {low = 0.9, high = 0.8}", "devices[2].accuracy.high: 0.8 is given; 0.9 or more"),
        (ENTRANCE, "accuracy = {low = 0, high = 1}", "devices[2].accuracy.low: 0 is given"),
        (ENTRANCE, "accuracy = {low = 0.9}", "devices[2].accuracy.high: missing"),
        (ENTRANCE, "manual_count = {counted = 0, true = 12}", "devices[2].manual_count.counted: 0 is given"),
        (ENTRANCE, "manual_count = {counted = 4.0, true = 5}", "devices[2].manual_count.counted: 4.0 is given"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, below: str, given: str, told: str) -> None:
    with pytest.raises(SiteError) as error:
        load_site(site(tmp_path, below, given))
    assert any(mistake.startswith(told) for mistake in error.value.mistakes), error.value.mistakes
