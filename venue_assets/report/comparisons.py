"""Figures against those of comparable days, as sentences in both languages, and how far a figure can be taken.

What does not belong here: which days are comparable (figures.py), and what charts find (findings.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from venue_assets.report.figures import VARIOUS, Figure, Row
from venue_assets.report.losses import LOST, Cause
from venue_assets.report.wording import Words

LEVEL: Final = 0.02
"""A relative change below which a figure is said to be as usual."""


ENOUGH: Final = 3
"""Comparable days from which on their median is what is usual."""


_PEOPLE: Final = {
    "uv": ("visitor", "visitors", " 位访客"),
    "pf_entrance": ("person came in", "people came in", " 人进入"),
    "pf_range": ("passer-by", "passers-by", " 人路过"),
}
"""What tells how many were there: the first that a venue has."""


def headline(words: Words, figures: Mapping[str, Figure], currency: str) -> str:
    """How the venue did, in one sentence."""
    of = [figures[n] for n in _PEOPLE if n in figures]
    people, money = next((figure for figure in of if figure.value), None), figures.get("gmv")
    parts, then = [], ""
    if people:
        parts.append(words.count(people.value, *_PEOPLE[people.metric.name]) + _against(words, people))
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


_NAMED: Final = 6
"""Damaged dates that are named."""
_CAUSES: Final[Mapping[Cause, tuple[str, str]]] = {
    "offline": ("gateway off line", "网关离线"),
    "silent": ("a device silent", "有设备沉默"),
    "refused": ("a segment refused", "有段被拒"),
    "gaps": ("records never arrived", "有记录未送达"),
}


def causes(words: Words, found: Iterable[Cause]) -> str:
    """What is wrong with a date."""
    return words.listed([words(*said) for cause, said in _CAUSES.items() if cause in set(found)])


def harmed(words: Words, days: Mapping[date, Iterable[Cause]]) -> str:
    """Damaged dates, each with what is wrong; the newest, where they are many."""
    named = [
        words(f"{words.short_day(day)} ({causes(words, of)})", f"{words.short_day(day)}{causes(words, of)}")
        for day, of in days.items()
    ]
    more = len(named) - _NAMED
    if more > 0:
        named = [words.count(more, "earlier date", "earlier dates", " 个更早的日期"), *named[more:]]
    return words.listed(named)


def damage(words: Words, figures: Iterable[Figure]) -> str:
    """Which dates were left out of comparisons as damaged, and whether the date itself is."""
    left_out: dict[date, set[Cause]] = {}
    own: set[Cause] = set()
    for figure in figures:
        own |= figure.incomplete
        for day, of in figure.damaged.items():
            left_out.setdefault(day, set()).update(of)
    said = ""
    if own:
        what = causes(words, own)
        said += words(
            f" Records of this date are missing ({what}): what rests on them is too low.",
            f"该日期有记录缺失（{what}），相关指标偏低。",
        )
    if left_out:
        listed = harmed(words, dict(sorted(left_out.items())))
        said += words(
            f" Damaged, and left out where a figure rests on it: {listed}.", f"受损日期不参与相关指标的比较：{listed}。"
        )
    return said


def damage_within(words: Words, found: Mapping[date, Iterable[Cause]]) -> str:
    """Dates of several that are damaged but still in the figures."""
    if not found:
        return ""
    listed = harmed(words, found)
    return words(
        f" Records are missing of {listed}; what rests on them is too low there.",
        f"以下日期有记录缺失，相关指标偏低：{listed}。",
    )


def rule(words: Words) -> str:
    """What a change is against, and what counts as damaged."""
    lost = words.percent(LOST, 0)
    return words(
        "Change: against the median of the same weekday in the 4 weeks before, of the days with records that are not "
        "damaged. A day is damaged for a figure where the gateway of the venue was off line, or where, in the streams "
        f"that the figure rests on, a device was silent, a segment was refused, or more than {lost} of the sequence "
        "numbers are missing.",
        "变化：对比此前 4 周内同一星期几（有记录且未受损的日子）的中位数。受损是指场所网关离线，或该指标所依据的数据流"
        f"中有设备沉默、有段被拒，或缺失的序号超过 {lost}。",
    )


def estimate(words: Words, figure: Figure) -> str:
    """How a figure is to be taken: whether it is estimated, and between what it lies, or known to be too low."""
    said = []
    if figure.interval is not None:
        low, high = map(words.percent, figure.interval)
        said.append(words(f"estimated, {low} to {high}", f"估计值，{low} 至 {high}"))
    elif figure.estimated:
        said.append(words("estimated", "估计值"))
    if figure.incomplete:
        what = causes(words, figure.incomplete)
        said.append(words(f"incomplete: {what}", f"不完整：{what}"))
    return words("; ", "；").join(said)


def compared(words: Words, figure: Figure) -> str:
    """With what a figure is compared."""
    left_out = words.listed([words.short_day(day) for day in figure.damaged])
    if not figure.compared or figure.usual is None:
        said = words("no comparable day", "没有可比的日子")
        if left_out:
            return said + words(f": {left_out} damaged", f"：{left_out}受损")
        if figure.settling:
            since = words.day(figure.settling)
            return said + words(f": records only since {since}", f"：记录始于{since}")
        return said
    days = figure.compared
    if len(days) == 1:
        short = words.weekdays()[days[0].weekday()]
        said = words(f"vs {short}, {words.day(days[0])}", f"对比{words.day(days[0])}（{short}）")
    else:
        weekday = words.weekday(days[0])
        said = words(f"vs median of {len(days)} {weekday}s", f"对比此前 {len(days)} 个{weekday}的中位数")
    said += activity_then(words, figure)
    return said + (words(f"; without {left_out}, damaged", f"；不含受损的{left_out}") if left_out else "")


def basis(words: Words, figure: Figure) -> str:
    """The days behind a comparison, by name; nothing where there is none."""
    said = []
    if figure.usual is not None and figure.compared:
        said.append(words("Compared with ", "对比：") + words.listed([words.short_day(day) for day in figure.compared]))
    if figure.damaged:
        said.append(words("Left out as damaged: ", "因受损未计入：") + harmed(words, figure.damaged))
    if figure.settling:
        since = words.day(figure.settling)
        said.append(
            words(
                f"Records begin on {since}, when everybody was new: no change is given in the first weeks",
                f"记录始于{since}，当时人人都是新访客：最初几周不给出变化",
            )
        )
    return words(". ", "。").join(said)


def differing(words: Words, rows: Sequence[Row]) -> str:
    """How many figures of an activity are shown to differ from those of other days."""
    n = sum(not row["low"] <= 0 <= row["high"] for row in rows)
    if not n:
        return words("No figure is shown to differ from that of other days", "没有指标与其他日子有可见差异")
    return words(
        f"{n} of {words.count(len(rows), 'figure', 'figures', '')} {'differs' if n == 1 else 'differ'} from those of "
        "other days",
        f"{len(rows)} 个指标中有 {n} 个与其他日子不同",
    )
