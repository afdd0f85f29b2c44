"""How well a sensor counts, as `site.toml` states it: measured, or by a person who counted beside it.

What does not belong here: what follows for a figure (`venue_assets.methods.counted_share`, `venue_figures`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from edge_collector.settings import Day, Entry, Number

_Count = Annotated[int, Field(strict=True, ge=1)]
_Ratio = Annotated[Number, Field(gt=0, le=10)]


class ManualCount(Entry):
    """Whom the device `counted`, and how many a person saw in the same time (`true`).

    Those who came in, for a device that tells directions. Some hundred people make the interval worth reading.
    """

    counted: _Count
    true: _Count
    on: Day | None = None


class Accuracy(Entry):
    """The device counts `low` to `high` times as many as there are, with 95 % confidence; 1 is exactly."""

    low: _Ratio
    high: _Ratio


def misplaced(stream: str, manual_count: ManualCount | None, accuracy: Accuracy | None) -> Iterator[str]:
    """What is wrong with a device's statements, each beginning with the field."""
    for name, given in (("manual_count", manual_count), ("accuracy", accuracy)):
        if given and not stream.endswith("_counts"):
            yield f"{name}: given for {stream}; it belongs to devices that count"
    if manual_count and accuracy:
        yield "accuracy: given beside manual_count; one of them is expected"
    if accuracy and accuracy.high < accuracy.low:
        yield f"accuracy.high: {accuracy.high} is given; {accuracy.low} or more is expected, its own low"
