"""The visitors of a venue: funnel, occupancy, busy hours, durations, new and returning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Final

from venue_assets.pictures.colours import DEEP, SKY
from venue_assets.report import charts, comparisons, findings, people
from venue_assets.report.blocks import Block
from venue_assets.report.figures import Asker, Figure, Row
from venue_assets.report.sections.parts import count, empty, links, table
from venue_assets.report.subject import Venue
from venue_assets.report.wording import NOTHING, Words
from venue_assets.semantic_layer.metrics import registry

_FUNNEL: Final = ("pf_range", "pf_entrance", "pv", "paying_users")


def visitors(words: Words, asker: Asker, venue: Venue, figures: Mapping[str, Figure]) -> list[Block]:
    """Funnel, occupancy, busy hours, durations, new and returning."""
    return [
        _funnel(words, asker, venue, figures),
        _occupancy(words, asker, venue, figures),
        _busy(words, asker, venue),
        _durations(words, asker, venue, figures),
        _returning(words, asker, venue),
    ]


def _funnel(words: Words, asker: Asker, venue: Venue, figures: Mapping[str, Figure]) -> Block:
    possible = [(name, figures[name]) for name in _FUNNEL if name in figures]
    withheld = words.listed([f.metric.label[words.language] for _, f in possible if f.suppressed])
    unsaid = words(f" Withheld: {withheld}.", f"不公布：{withheld}。") if withheld else ""
    steps = [(n, f.metric.label[words.language], float(f.value)) for n, f in possible if f.value is not None]
    if len(steps) < 2:
        name = words("From passers-by to payers", "从路过到付费")
        if not steps:
            nothing = words("Nothing was counted, recognised or sold.", "没有计数、识别或成交。")
            return empty(name, unsaid.strip() or nothing)
        _, label, n = steps[0]
        only = f"{label}{words(': ', '：')}{words.number(n)}"
        return empty(name, words(f"Only one step is known here. {only}.", f"这里只知道其中一步。{only}。") + unsaid)
    counted, known = words("everybody, by sensors", "所有人（传感器）"), words("known people", "已识别人员")
    rows: list[Row] = [
        {
            "label": label,
            "value": n,
            "text": words.number(n),
            "series": counted if name in ("pf_range", "pf_entrance") else known,
        }
        for name, label, n in steps
    ]
    note = findings.funnel_note(words, [name for name, _, _ in steps])
    order = [name for name, _ in possible]
    for row, (before, now) in zip(rows[1:], pairwise(steps), strict=True):
        if now[2] > before[2]:
            row["text"] += words("  (more than the step before)", "（多于上一步）")
            note += findings.missed(words, now[1], now[0])
        elif before[2] and order.index(now[0]) == order.index(before[0]) + 1:
            row["text"] += findings.part(words, now[0], now[2] / before[2])
            if now[0] == "pv":
                row["whole"] = before[2]
    if "paying_users" in figures:
        note += findings.anonymous(words, people.anonymous_orders(asker, venue))
    of_series = {row["series"] for row in rows}
    return Block(
        findings.funnel(words, steps),
        note + unsaid,
        [(name, label) for name, label, _ in steps],
        charts.bars(
            rows, label="label", value="value", text="text", series=[n for n in (counted, known) if n in of_series]
        ),
        table=table(
            [words("Step", "步骤"), words("Number", "数量"), words("Of whom", "对象")],
            [[r["label"], r["text"], r["series"]] for r in rows],
            right={1},
        ),
    )


def _occupancy(words: Words, asker: Asker, venue: Venue, figures: Mapping[str, Figure]) -> Block:
    name = words("People inside over the day", "全天场内人数")
    if not venue.has_terminal:
        return empty(
            name,
            words(
                "The venue has no recognition terminal, so who is inside is not known.",
                "场所没有识别终端，无法得知场内人数。",
            ),
        )
    found = people.occupancy(asker, venue)
    if not found.recognised:
        return empty(name, words("No visit with both entry and leave was recorded.", "没有同时记录进入与离开的到访。"))
    known = [row for row in found.recognised if row["inside"] is not None]
    peak = found.peak
    if peak is None or peak["inside"] is None:
        return empty(name, words("Withheld: there were never enough people inside.", "不公布：场内人数始终过少。"))
    recognised, counted = words("recognised", "已识别"), words("counted", "计数")
    busy = [r["second"] for r in known if r["inside"] >= 1]
    low, high = (min(busy) - 3600, max(busy) + 3600) if busy else (0, people.DAY)
    line = [*found.recognised, *([peak] if peak["second"] % people.STEP else [])]
    rows = [
        row
        | {
            "series": series,
            "clock": words.clock(row["second"] + venue.starts),
            "figure": words.withheld if row["inside"] is None else findings.inside(words, row["inside"]),
        }
        for series, of in ((recognised, line), (counted, found.counted))
        for row in of
        if low <= row["second"] <= high
    ]
    several = asker.subject.first != asker.subject.last
    hourly = [r for r in rows if (r["second"] + venue.starts) % 3600 == 0]
    share = figures.get("recognition_share")
    everybody = [row for row in found.counted if row["inside"]]
    return Block(
        findings.occupancy(
            words, venue, peak, max(everybody, key=lambda row: row["inside"], default=None), several=several
        ),
        findings.occupancy_note(words, found, share.value if share else None),
        links(words, "pv"),
        charts.over_the_day(
            rows,
            names=[recognised, counted] if found.counted else [recognised],
            starts=venue.starts,
            y=words("people inside", "场内人数"),
            peak=peak,
        ),
        table=table(
            [words("Time", "时间"), words("Which", "类别"), words("Inside", "人数")],
            [[r["clock"], r["series"], r["figure"]] for r in hourly],
            right={2},
        ),
    )


def _busy(words: Words, asker: Asker, venue: Venue) -> Block:
    metric, rows, withheld = asker.busy_hours(venue)
    label = metric.label[words.language]
    if not rows:
        return empty(
            words("Busy hours of the week", "一周繁忙时段"),
            words("Every hour is withheld: too few people.", "各小时人数过少，不公布。")
            if withheld
            else words("No hour of these weeks has a record.", "这几周没有任何小时有记录。"),
        )
    unsaid = words(" Hours of few people are withheld.", "人数过少的小时不公布。") if withheld else ""
    first = venue.starts // 3600
    order = [(first + n) % 24 for n in range(24)]
    seen = [order.index(row["hour"]) for row in rows]
    shown = order[min(seen) : max(seen) + 1]
    names = words.weekdays()
    dates = asker.over_time(venue)
    for row in rows:
        row |= {
            "day": names[row["weekday"]],
            "clock": f"{row['hour']:02d}:00",
            "figure": f"{words.number(row['mean'], 1)} {label}",
        }
    by = {(row["weekday"], row["hour"]): words.number(row["mean"], 1) for row in rows}
    days = [row["event_date"] for row in dates]
    # An empty row tells something only where its weekday has come.
    there = range(7) if (days[-1] - days[0]).days >= 6 else sorted({day.weekday() for day in days})
    return Block(
        findings.busiest(
            words,
            metric,
            max(rows, key=lambda row: (row["mean"], -row["weekday"], -row["hour"])),
            days[0] if len(days) == 1 else None,
        ),
        findings.busy_note(words, metric, days) + _damaged(words, asker, venue, metric.name, days) + unsaid,
        links(words, metric.name),
        charts.by_hour(rows, hours=shown, y=label)
        if len(there) == 1
        else charts.heat_map(rows, weekdays=[names[d] for d in there], hours=shown, legend=label),
        table=table(
            ["", *(f"{h:02d}" for h in shown)],
            [[names[d], *(by.get((d, h), NOTHING) for h in shown)] for d in there],
        ),
    )


def _damaged(words: Words, asker: Asker, venue: Venue, metric: str, days: Sequence[date]) -> str:
    """The damaged dates among several that are drawn; of a single one the venue's headline says so."""
    harm = asker.harm(metric, venue)
    return comparisons.damage_within(words, {day: harm[day] for day in days if day in harm}) if len(days) > 1 else ""


def _durations(words: Words, asker: Asker, venue: Venue, figures: Mapping[str, Figure]) -> Block:
    name = words("How long visits lasted", "到访时长")
    if not venue.has_terminal:
        return empty(
            name,
            words(
                "The venue has no recognition terminal, so visits have no duration.", "场所没有识别终端，到访没有时长。"
            ),
        )
    bins = people.durations(asker, venue)
    if not bins or all(row["visits"] == 0 for row in bins):
        return empty(name, words("No complete visit was recorded.", "没有完整的到访记录。"))
    told = [row for row in bins if row["visits"] is not None]
    if not any(row["visits"] for row in told):
        return empty(name, words("Withheld: too few people.", "人数过少，不公布。"))
    median = figures["lov_median_seconds"].value
    step = people.BIN // 60
    for row in bins:
        until = row["minutes"] + step
        long = words(f"{row['minutes']} min and more", f"{row['minutes']} 分及以上")
        bar = words(f"{row['minutes']} to {until} min", f"{row['minutes']} 至 {until} 分")
        row |= {"until": until, "range": long if row["minutes"] * 60 == people.LONGEST else bar}
    return Block(
        findings.durations(words, bins, median),
        findings.last_bar(words),
        links(words, "lov_median_seconds", "lov_mean_seconds", "lov_p90_seconds"),
        charts.histogram(
            told,
            x=words("minutes", "分钟"),
            y=words("visits", "到访次数"),
            median=None if median is None else median / 60,
            median_label=words("median", "中位数"),
        ),
        table=table(
            [words("Duration", "时长"), words("Visits", "到访")],
            [[r["range"], count(words, r["visits"])] for r in bins],
        ),
    )


def _began(words: Words, asker: Asker, venue: Venue, rows: Sequence[Row]) -> str:
    """That the first dates shown are those of the first records, when everybody was new."""
    if not rows or asker.is_settled(venue, rows[0]["event_date"]):
        return ""
    since = words.day(asker.since(venue))
    return words(
        f" Records begin on {since}, when everybody was new, so returning visitors have to rise at first.",
        f"记录始于{since}，当时人人都是新访客，因此起初回访客必然上升。",
    )


def _returning(words: Words, asker: Asker, venue: Venue) -> Block:
    name = words("New and returning visitors", "新访客与回头客")
    if not venue.has_terminal:
        return empty(
            name,
            words(
                "The venue has no recognition terminal, so nobody is known to return.",
                "场所没有识别终端，无法得知谁是回头客。",
            ),
        )
    rows = asker.over_time(venue, "new_visitors", "returning_visitors")
    if all(row["new_visitors"] == 0 and row["returning_visitors"] == 0 for row in rows):
        return empty(name, words("Nobody was recognised on these dates.", "这些日期没有识别到访客。"))
    since = asker.since(venue)
    if asker.subject.last == since:
        return empty(name, findings.first_date(words, since))
    of = {n: registry()[n].label[words.language] for n in ("returning_visitors", "new_visitors")}
    days, harm = words.names([row["event_date"] for row in rows]), asker.harm("new_visitors", venue)
    long = [
        {
            "day": days[row["event_date"]],
            "series": label,
            "value": row[n] or 0,
            "place": place,
            "figure": count(words, row[n]),
        }
        for row in rows
        for place, (n, label) in enumerate(of.items())
    ]
    note = words(
        "Recognised people by whether they had entered the venue on an earlier date, as far as the records go; "
        "dates with records.",
        "已识别人员按此前是否到访过划分（以现有记录为准）；仅含有记录的日期。",
    )
    return Block(
        findings.returning(words, rows, is_comparable=lambda day: asker.is_settled(venue, day) and day not in harm),
        note + _began(words, asker, venue, rows) + _damaged(words, asker, venue, "new_visitors", list(days)),
        links(words, "new_visitors", "returning_visitors", "uv"),
        charts.stacked_days(long, series=list(of.values()), colours=[DEEP, SKY], y=words("visitors", "访客")),
        table=table(
            [words("Date", "日期"), *of.values()],
            [[days[r["event_date"]], *(count(words, r[n]) for n in of)] for r in rows],
        ),
    )
