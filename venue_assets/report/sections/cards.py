"""The figures of a venue as cards, with their change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from venue_assets.report import comparisons, people
from venue_assets.report.blocks import Block, Card, Tone
from venue_assets.report.figures import CARDS, Asker, Figure, Row
from venue_assets.report.losses import Cause, whole
from venue_assets.report.sections.parts import table
from venue_assets.report.subject import Venue
from venue_assets.report.wording import Words
from venue_assets.semantic_layer.metrics import registry

GLANCE: Final = ("uv", "conversion", "gmv", "pf_entrance", "pf_range", "completed_orders")
"""The figures of the overview: the first three that a venue has."""


def cards(words: Words, asker: Asker, venue: Venue, figures: Mapping[str, Figure]) -> dict[str, Card]:
    """The venue's figures as cards."""
    against = people.comparison(asker, venue)
    return {n: _card(words, figures[n], venue, against.get(n), asker) for n in CARDS if n in figures}


def _card(words: Words, figure: Figure, venue: Venue, against: Row | None, asker: Asker) -> Card:
    metric = figure.metric
    change, up, compared = None, None, comparisons.compared(words, figure)
    certain = len(figure.compared) >= comparisons.ENOUGH
    if asker.subject.is_activity:
        over = asker.subject.last >= asker.subject.activities[venue.venue_id].last_date
        compared = words("whole activity", "整个活动") if over else words("whole activity so far", "活动至今")
        if against and against["difference"] is not None and against["compared_mean"]:
            change = words.change(metric, against["mean"], against["compared_mean"])
            up = against["difference"] > 0
            certain = not against["low"] <= 0 <= against["high"]
            compared = words("a day, vs other days of the same weekday", "日均，对比其他日子的同一星期几")
            if not certain:
                compared += words("; not shown to differ", "；未见差异")
    elif figure.usual is not None and figure.value is not None:
        change = words.change(metric, float(figure.value), figure.usual)
        up = float(figure.value) > figure.usual
    if figure.suppressed:
        n = words.number(asker.smallest_cell)
        compared = words(f"would tell of fewer than {n} people", f"会透露不足 {n} 人的情况")
    value = words.value(metric, figure.value, venue.currency, suppressed=figure.suppressed)
    unit = venue.currency if metric.is_money and value.endswith(venue.currency) else ""
    value = value.removesuffix(unit).strip()
    moved = change is not None and any(c in "123456789" for c in change)
    tone: Tone = "neutral"
    # One day differs from another by chance, too; and a figure that is known to be too low has changed for the worse
    # only on paper.
    if moved and certain and not figure.incomplete and metric.better != "none":
        tone = "good" if up == (metric.better == "up") else "bad"
    return Card(
        metric.name,
        metric.label[words.language],
        value,
        unit,
        comparisons.estimate(words, figure),
        change,
        ("▲" if up else "▼") if moved else "",
        tone,
        {"good": words("better", "向好"), "bad": words("worse", "变差"), "neutral": ""}[tone],
        compared,
        "" if asker.subject.is_activity else comparisons.basis(words, figure),
    )


def _partly(asker: Asker, venue: Venue) -> dict[date, frozenset[Cause]]:
    """The dates of which a part was recorded only."""
    found = whole(asker.damaged(venue))
    return {day: of for day, of in found.items() if "offline" not in of}


def against_other_days(words: Words, asker: Asker, venue: Venue) -> Block | None:
    """What the activity brought per day against other days, by KPI; none for a date, or with nothing to compare."""
    rows = [row for row in people.comparison(asker, venue).values() if row["difference"] is not None]
    if not rows:
        return None

    def written(row: Row, value: float, *, signed: bool = False) -> str:
        metric = registry()[row["kpi"]]
        if signed and metric.format.endswith("%"):
            return words.points(value)
        sign = "+" if signed and value > 0 else ""
        # Cents of what is not known to ten units would be made up.
        if metric.is_money and row["high"] - row["low"] >= 10:
            return sign + words.money(value, venue.currency, 0)
        return sign + words.value(metric, value, venue.currency)

    first = rows[0]
    cells = [
        [
            registry()[row["kpi"]].label[words.language],
            written(row, row["mean"]),
            written(row, row["compared_mean"]),
            written(row, row["difference"], signed=True),
            f"{written(row, row['low'], signed=True)} … {written(row, row['high'], signed=True)}",
        ]
        for row in rows
    ]
    others = (
        words("days without an activity", "无活动的日子")
        if first["compared_with"] == "none"
        else words(f"days of {first['compared_with']}", f"{first['compared_with']} 的日子")
    )
    level = words.percent(first["level"])
    note = words(
        f"Figures a day, against {others}, both over the weekdays that the two have, with the {level} interval of the "
        "difference. Not randomised: whatever else differed between these days is part of the difference.",
        f"日均，对比{others}，两者均只计双方都有的星期几，附差异的 {level} 区间。"
        "并非随机试验：这些日子之间的其他差异也包含在内。",
    )
    note += words(
        " The data dictionary's question on activities takes all dates of the activity and of the four weeks before, "
        "whatever their weekday, so its figures are others.",
        "数据字典中关于活动的问题按活动期间及此前四周的所有日期计算，不区分星期几，因此数字不同。",
    )
    note += words(
        " Dates without any record are on neither side; of which only a part was recorded counts with that part.",
        "没有任何记录的日期不计入任何一方；只有部分记录的日期按其已有部分计入。",
    )
    note += comparisons.damage_within(words, _partly(asker, venue))
    columns = [
        words(*x)
        for x in (
            ("Figure", "指标"),
            ("This activity", "本活动"),
            ("Other days", "其他日子"),
            ("Difference", "差异"),
            ("Interval", "区间"),
        )
    ]
    names = [(row["kpi"], registry()[row["kpi"]].label[words.language]) for row in rows]
    title = comparisons.differing(words, rows)
    return Block(title, note, names, table=table(columns, cells), open_table=True, wide=True)
