"""The funnel from passers-by to buyers: a table of its stages, and one measure that is each stage's metric.

Power BI's funnel wants its stages as a column; metrics are measures. So the model has a table of stages, related to
nothing.

What does not belong here: the metrics, which the registry defines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from venue_assets.semantic_layer.metrics import Registry

TABLE: Final = "funnel_stage"
NUMBER: Final = "stage_number"
STAGE: Final = "stage"
MEASURE: Final = "Funnel"
FOLDER: Final = "visitors"
STAGES: Final = ("pf_range", "pf_entrance", "pv", "buying_visits")


def rows(registry: Registry) -> str:
    """The M of the table: a number and a name per stage."""
    labels = [registry[name].label for name in STAGES]
    stages = ",\n".join(f'        {{{n}, "{label.en} · {label.zh}"}}' for n, label in enumerate(labels, 1))
    return f"""\
let
    Stages = #table(type table [{NUMBER} = Int64.Type, {STAGE} = text], {{
{stages}
    }})
in
    Stages"""


def formula(names: Mapping[str, str]) -> str:
    """The measure: the metric of the stage that is looked at, blank where it is several."""
    cases = ",\n".join(f"    {n}, [{names[name]}]" for n, name in enumerate(STAGES, 1))
    return f"SWITCH(\n    SELECTEDVALUE({TABLE}[{NUMBER}]),\n{cases}\n)"
