"""The report's theme: colours, and visuals as white cards on a grey page.

What does not belong here: what a single visual looks like (pbir.py).
"""

from __future__ import annotations

from typing import Any

from venue_assets.pictures.colours import ARMS, BLUE
from venue_assets.powerbi.pbir import THEME


def theme() -> dict[str, Any]:
    """The theme as Power BI's JSON."""
    hidden = [{"show": False}]
    return {
        "name": THEME,
        # Grey is the last: no series here is a control.
        "dataColors": [*ARMS[1:], ARMS[0]],
        "background": "#FFFFFF",
        "foreground": "#1F2933",
        "tableAccent": BLUE,
        "textClasses": {
            "title": {"fontFace": "Segoe UI Semibold", "fontSize": 10, "color": "#1F2933"},
            "label": {"fontFace": "Segoe UI", "fontSize": 9, "color": "#3E4C59"},
            "callout": {"fontFace": "Segoe UI", "fontSize": 22, "color": "#1F2933"},
        },
        "visualStyles": {
            "*": {
                "*": {
                    "background": [{"show": True, "color": _solid("#FFFFFF"), "transparency": 0}],
                    "border": [{"show": True, "color": _solid("#D9DEE3"), "radius": 6}],
                }
            },
            "textbox": {"*": {"background": hidden, "border": hidden}},
            "page": {"*": {"background": [{"color": _solid("#F3F5F7"), "transparency": 0}]}},
        },
    }


def _solid(colour: str) -> dict[str, Any]:
    return {"solid": {"color": colour}}
