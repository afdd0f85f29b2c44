"""What trees ask of a unit, in words: the values of its covariates, and the rules of groups.

What covariates are called is in metrics.yaml. What does not belong here: how trees are drawn (pictures/tree.py), and
which groups there are (methods/context_groups.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import floor
from typing import Final

from venue_assets.methods.context_groups import Condition
from venue_assets.semantic_layer.metrics import Language, registry

SHORT_WEEKDAYS: Final[Mapping[Language, tuple[str, ...]]] = {
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "zh": ("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
}
_HOURS: Final = ("hour", "usual_hour")
_WEEKDAYS: Final = ("weekday", "usual_weekday")


def label(column: str, language: Language) -> str:
    """What a covariate is called; its own name where it has no other."""
    known = registry().covariates.get(column)
    return known[language] if known else column


def level(column: str, value: object, language: Language) -> str:
    """One of the levels of a covariate; segments by their names."""
    known = registry().segments.get(str(value)) if column == "segment" else None
    return known[language] if known else str(value)


def between(column: str, low: float | None, high: float | None, language: Language) -> str:
    """Values above `low` and at most `high`, one of which may be missing: hours as times, weekdays by their names."""
    if column in _HOURS:
        first = None if low is None else f"{floor(low) + 1}:00"
        return _span(first, None if high is None else f"{floor(high)}:59", language)
    if column in _WEEKDAYS:
        names = SHORT_WEEKDAYS[language]
        begins, ends = names[0 if low is None else floor(low)], names[6 if high is None else floor(high) - 1]
        return begins if begins == ends else _span(begins, ends, language)
    said = []
    if low is not None:
        said.append({"en": "more than ", "zh": "超过 "}[language] + _number(column, low, language))
    if high is not None:
        said.append({"en": "at most ", "zh": "不超过 "}[language] + _number(column, high, language))
    return {"en": " and ", "zh": " 且"}[language].join(said)


def rule(conditions: Iterable[Condition], language: Language) -> str:
    """Who is in a group, within a sentence."""
    said = [_condition(condition, language) for condition in conditions]
    return {"en": " and ", "zh": "，且"}[language].join(said) or {"en": "everybody", "zh": "所有访客"}[language]


def _condition(condition: Condition, language: Language) -> str:
    name = label(condition.column, language)
    if condition.levels:
        *most, last = (level(condition.column, of, language) for of in condition.levels)
        comma, last_of = {"en": (", ", " or "), "zh": ("、", "或")}[language]
        values = f"{comma.join(most)}{last_of}{last}" if most else last
    else:
        values = between(condition.column, condition.low, condition.high, language)
    if language == "zh":
        verb = "" if "超过" in values else "为 " if values[:1].isascii() else "为"
        return f"{name}{verb}{values}{'（或未知）' if condition.unknown else ''}"
    return f"{name[:1].lower()}{name[1:]} {values}{' (or unknown)' if condition.unknown else ''}"


def _span(first: str | None, last: str | None, language: Language) -> str:
    if first is None:
        return {"en": f"until {last}", "zh": f"{last} 及以前"}[language]
    if last is None:
        return {"en": f"from {first}", "zh": f"{first} 起"}[language]
    space = " " if first.isascii() else ""
    return {"en": f"{first} to {last}", "zh": f"{first}{space}至{space}{last}"}[language]


def _number(column: str, value: float, language: Language) -> str:
    if column == "mean_dwell_seconds":
        return f"{value / 60:,.1f}" + {"en": " min", "zh": " 分钟"}[language]
    return f"{value:,.2f}" if column == "value" else f"{value:,g}"
