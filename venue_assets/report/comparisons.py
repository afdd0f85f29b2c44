"""Figures against those of comparable days, as sentences in both languages, and how far a figure can be taken.

What does not belong here: which days are comparable (figures.py), and what charts find (findings.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from venue_assets.report.figures import VARIOUS, Figure, Row
from venue_assets.report.wording import Words

LEVEL: Final = 0.02
"""A relative change below which a figure is said to be as usual."""


ENOUGH: Final = 3
"""Comparable days from which on their median is what is usual."""


def headline(words: Words, figures: Mapping[str, Figure], currency: str) -> str:
    """How the venue did, in one sentence."""
    of = [figures[n] for n in ("uv", "pf_entrance", "pf_range") if n in figures]
    people, money = next((figure for figure in of if figure.value), None), figures.get("gmv")
    parts, then = [], ""
    if people:
        named = {"uv": words("visitors", "位访客"), "pf_entrance": words("people came in", "人进入")}
        name = named.get(people.metric.name, words("passers-by", "人路过"))
        parts.append(f"{words.number(people.value)} {name}{_against(words, people)}")
        then = activity_then(words, people)
    elif any(figure.suppressed for figure in of):
        parts.append(words("The number of visitors is withheld", "访客人数不公布"))
    if money and money.value is not None:
        sold = words.money(money.value, currency)
        parts.append(words(f"{sold} sold", f"成交 {sold}") + _against(words, money))
        then = then or activity_then(words, money)
    elif money and money.suppressed:
        parts.append(words("sales are withheld", "成交额不公布"))
    if not parts:
        return words("Nobody was seen and nothing was sold.", "没有到访，也没有成交。")
    said = words("; ", "；").join(parts)
    return said[:1].upper() + said[1:] + then + words(".", "。")


def _against(words: Words, figure: Figure) -> str:
    if figure.usual is None or not figure.usual or figure.value is None:
        return ""
    days = figure.compared
    usual = len(days) >= ENOUGH
    on = words.listed([words.short_day(day) for day in days])
    change = float(figure.value) / figure.usual - 1
    if abs(change) < LEVEL:
        return words(
            ", as usual" if usual else f", about as {'many' if _is_people(figure) else 'much'} as on {on}",
            "（与往常持平）" if usual else f"（与{on}相近）",
        )
    by = words.percent(abs(change), 0)
    less = "fewer" if _is_people(figure) else "less"
    return words(
        f", {by} {'more' if change > 0 else less} than {'usual' if usual else f'on {on}'}",
        f"（比{'往常' if usual else on}{'多' if change > 0 else '少'} {by}）",
    )


def _is_people(figure: Figure) -> bool:
    return not figure.metric.is_money


def activity_then(words: Words, figure: Figure) -> str:
    """Which activity was on when it is compared, if it was another one than now."""
    then = figure.activity_then
    if then is None or figure.usual is None:
        return ""
    if then == VARIOUS:
        return words(", not all with the same activity", "，当时活动不尽相同")
    return (
        words(f", during {then} then", f"，当时有活动 {then}")
        if then
        else words(", without an activity then", "，当时无活动")
    )


def unrecorded(words: Words, days: Sequence[date]) -> str:
    """The dates that are not in the figures, for they have no records."""
    if not days:
        return ""
    listed = words.listed([words.short_day(day) for day in days])
    return words(f" Without {listed}, of which there are no records.", f"不含没有记录的{listed}。")


def estimate(words: Words, figure: Figure) -> str:
    """Whether a figure is estimated, and between what it lies."""
    if figure.interval is None:
        return words("estimated", "估计值") if figure.estimated else ""
    low, high = map(words.percent, figure.interval)
    return words(f"estimated, {low} to {high}", f"估计值，{low} 至 {high}")


def compared(words: Words, figure: Figure) -> str:
    """With what a figure is compared."""
    if not figure.compared or figure.usual is None:
        return words("no comparable day", "没有可比的日子")
    days = figure.compared
    if len(days) == 1:
        short = words.weekdays()[days[0].weekday()]
        said = words(f"vs {short}, {words.day(days[0])}", f"对比{words.day(days[0])}（{short}）")
    else:
        weekday = words.weekday(days[0])
        said = words(f"vs median of {len(days)} {weekday}s", f"对比此前 {len(days)} 个{weekday}的中位数")
    return said + activity_then(words, figure)


def differing(words: Words, rows: Sequence[Row]) -> str:
    """How many figures of an activity are shown to differ from those of other days."""
    n = sum(not row["low"] <= 0 <= row["high"] for row in rows)
    if not n:
        return words("No figure is shown to differ from that of other days", "没有指标与其他日子有可见差异")
    return words(
        f"{n} of {len(rows)} figures differ from those of other days",
        f"{len(rows)} 个指标中有 {n} 个与其他日子不同",
    )
