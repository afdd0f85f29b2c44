"""The names under which readers find things in `published/`; by them the pages there link to each other.

What does not belong here: what stands in them, and who writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from venue_assets.semantic_layer.metrics import Language

CURRENT: Final = "current"
REPORTS: Final = "reports"
POWERBI: Final = "powerbi"
DICTIONARY: Final = "dictionary"
DICTIONARY_PAGES: Final[Mapping[Language, str]] = {"en": "dictionary.html", "zh": "dictionary.zh.html"}
DICTIONARY_MARKDOWN: Final = "dictionary.md"
FRONT_PAGES: Final[Mapping[Language, str]] = {"en": "index.html", "zh": "index.zh.html"}
"""Beside the reports, as the dictionary is."""


def entry_of_table(schema: str, name: str) -> str:
    """The anchor of a table's entry in the pages of the dictionary."""
    return f"table-{schema}-{name}"
