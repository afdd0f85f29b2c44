"""What charts find, as sentences: each computed from the figures that are drawn, in both languages.

What does not belong here: what figures are compared with (comparisons.py), whether the data can be trusted
(trust_findings.py), how numbers are written (wording.py), and sentences that tables have already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from venue_assets.report.figures import SETTLED, Row
from venue_assets.report.people import LONGEST, STEP, Occupancy, Segments
from venue_assets.report.subject import Subject, Venue
from venue_assets.report.wording import Words
from venue_assets.semantic_layer.metrics import Metric

_TENTHS_BELOW: Final = 10
_STEPS: Final = {
    "pf_range": ("passer-by", "passers-by", " 人路过"),
    "pf_entrance": ("person walked in", "people walked in", " 人进店"),
    "pv": ("recognised visit", "recognised visits", " 次已识别到访"),
    "paying_users": ("known person paid", "known people paid", " 位已知人员付费"),
}
_OF: Final = {
    "pf_entrance": ("{share} of {whole} walked in", "{whole}，其中 {share} 进店"),
    "paying_users": ("{part}, {hundred} per 100 of {whole}", "{whole}，{part}，每 100 次 {hundred} 位"),
}


def funnel(words: Words, steps: Sequence[tuple[str, str, float]]) -> str:
    """How many of those counted walked in and how many of those recognised paid; `steps` are name, label and number.

    From counted to recognised there is no loss but another way to count, so no share is told across it.
    """
    of = {name: (words.count(n, *_STEPS[name]), n) for name, _, n in steps}
    said = []
    for first, last in (("pf_range", "pf_entrance"), ("pv", "paying_users")):
        if first not in of or last not in of:
            said += [of[name][0] for name in (first, last) if name in of]
            continue
        (whole, came), (part, got) = of[first], of[last]
        if got > came:
            said.append(words(f"{part}, but only {whole}: people were missed", f"{part}，却只有{whole}：有人被遗漏"))
        elif came:
            share, hundred = words.percent(got / came), words.number(100 * got / came, 1)
            said.append(words(*_OF[last]).format(whole=whole, part=part, share=share, hundred=hundred))
        else:
            said.append(whole)
    return words("; ", "；").join(said)


def part(words: Words, step: str, share: float) -> str:
    """What a step is of the one before."""
    if step == "pv":
        return words(f"  ({words.percent(share)} recognised)", f"（识别了 {words.percent(share)}）")
    if step == "paying_users":
        n = words.number(100 * share, 1)
        return words(f"  ({n} per 100 visits)", f"（每 100 次到访 {n}）")
    return words(f"  ({words.percent(share)})", f"（{words.percent(share)}）")


def funnel_note(words: Words, steps: Sequence[str]) -> str:
    """What the steps are, and where the way to count changes."""
    note = ""
    if {"pf_range", "pf_entrance"} & set(steps):
        note += words("Sensors count everybody. ", "传感器统计所有人。")
    if {"pv", "paying_users"} & set(steps):
        note += words(
            "Visits are those of people whom the terminal recognised; payers are known people, not visits.",
            "到访为终端识别到的人员的到访；付费用户按已知的人计，而非按次。",
        )
    if {"pf_entrance", "pv"} <= set(steps):
        note += words(
            " Who walked in unrecognised (pale) is not lost: of them it is not known what they did.",
            "进店但未被识别的人（浅色）并未流失，只是不知其行为。",
        )
    return note.strip()


_MISSED: Final = {
    "pf_entrance": ("the boundary counters missed people", "边界计数器有遗漏"),
    "pv": ("the entrance counters missed people", "入口计数器有遗漏"),
    "paying_users": ("the terminal missed people", "终端有遗漏"),
}


def missed(words: Words, label: str, step: str) -> str:
    """What it means that a step exceeds the one before."""
    why = words(*_MISSED[step])
    return words(f" {label}: more than the step before: {why}.", f"{label}：多于上一步：{why}。")


def anonymous(words: Words, orders: int | None) -> str:
    """The orders of whom nobody knows, who are in no step."""
    if orders == 0:
        return ""
    if orders is None:
        return words(" A few orders are anonymous; who paid them is not in it.", "少量订单匿名，其付款人未计入。")
    n = words.count(orders, "completed order is", "completed orders are", " 个已完成订单")
    return words(f" {n} anonymous; who paid is not in it.", f"{n}匿名，其付款人未计入。")


def inside(words: Words, people: float) -> str:
    """How many people are inside: a count, or an average, of which few people have tenths."""
    return words.number(people, 1 if people < _TENTHS_BELOW and not float(people).is_integer() else 0)


def occupancy(words: Words, venue: Venue, peak: Row, counted: Row | None, *, several: bool) -> str:
    """When most recognised people were inside, and how many; and of everybody, where the entrance counts both ways."""
    at, n = words.clock(peak["second"] + venue.starts), inside(words, peak["inside"])
    if several:
        said = words(
            f"On average most recognised people were inside at {at}: {n}",
            f"平均而言，{at} 场内的已识别人员最多：{n} 人",
        )
        return said + _of_everybody(words, venue, counted)
    most = words.count(peak["inside"], "recognised person was", "recognised people were", "")
    said = words(f"At most {most} inside at once, at {at}", f"同时在场的已识别人员最多 {n} 人（{at}）")
    return said + _of_everybody(words, venue, counted)


def _of_everybody(words: Words, venue: Venue, counted: Row | None) -> str:
    if counted is None:
        return ""
    at, n = words.clock(counted["second"] + venue.starts), inside(words, counted["inside"])
    return words(f"; of everybody counted {n}, at {at}", f"；计数所有人最多 {n} 人（{at}）")


def occupancy_note(words: Words, found: Occupancy, share: float | None) -> str:
    """What the lines are, and what is not in them; `share` of those who walked in were recognised."""
    minutes = STEP // 60
    note = words(
        f"Recognised people only, between entry and leave: a point every {minutes} minutes, and the peak, its time "
        "to the minute.",
        f"仅含已识别人员（进入与离开之间）：每 {minutes} 分钟一点，另加峰值（时刻显示到分钟）。",
    )
    if share is not None and share <= 1:
        note += words(
            f" The terminal recognised {words.percent(share, 0)} of those who walked in; more were inside than this.",
            f"终端识别了进店人数的 {words.percent(share, 0)}，实际在场人数更多。",
        )
    if found.left_out is None:
        note += words(" A few visits whose leave is not known are left out.", "离开时间未知的少量到访未计入。")
    elif found.left_out:
        n = words.count(found.left_out, "visit is left out, for its", "visits are left out, for their", "")
        note += words(f" {n} leave is not known.", f"离开时间未知的 {n} 次到访未计入。")
    if found.counted:
        note += words(
            " Counted: everybody, entries less exits at the entrance since the day began.",
            "计数：当日开始以来入口进入减去离开的人数（所有人）。",
        )
    return note


def busiest(words: Words, metric: Metric, row: Row, only: date | None) -> str:
    """The busiest hour of the week; of a single date, of that."""
    day, hour, n = words.weekdays()[row["weekday"]], f"{row['hour']:02d}:00", words.number(row["mean"])
    label = metric.label[words.language]
    if only:
        return words(
            f"{words.day(only)}, from {hour}, was the busiest hour: {n} {_lower(label)}",
            f"{words.day(only)} {hour} 起的一小时最繁忙：{label} {n}",
        )
    if row["dates"] == 1:
        return words(
            f"{day} from {hour} was the busiest hour: {n} {_lower(label)}, of one date only",
            f"{day} {hour} 起的一小时最繁忙：{label} {n}（仅一个日期）",
        )
    return words(
        f"{day} from {hour} was the busiest hour: {n} {_lower(label)} on average of {row['dates']} dates",
        f"{day} {hour} 起的一小时最繁忙：平均{label} {n}（{row['dates']} 个日期）",
    )


def busy_note(words: Words, metric: Metric, days: Sequence[date]) -> str:
    """What the map of busy hours shows, and of how many dates."""
    label = metric.label[words.language]
    if len(days) == 1:
        return words(
            f"{label} by local hour; these weeks have records of one date only.",
            f"按当地小时的{label}；这几周只有一个日期有记录。",
        )
    many = words.count(len(days), "date", "dates", " 个日期")
    return words(
        f"{label} by weekday and local hour, mean over the {many} with records of these weeks.",
        f"按星期与当地小时的{label}，为这几周有记录的 {many}的平均值。",
    )


def first_date(words: Words, since: date) -> str:
    """Why nobody returns on the first date of records."""
    return words(
        f"Records begin on {words.day(since)}: of nobody can it be known whether they had been there before, so "
        "everybody counts as new.",
        f"记录始于{words.day(since)}：无从得知谁曾经来过，因此所有人都计为新访客。",
    )


def durations(words: Words, bins: Sequence[Row], median: float | None) -> str:
    """How long half of the visits lasted."""
    if any(row["visits"] is None for row in bins):
        return (
            words("How long visits lasted; short bars are withheld", "到访时长（人数过少的条不公布）")
            if median is None
            else words(
                f"Half of the visits lasted longer than {words.duration(median)}",
                f"一半的到访超过 {words.duration(median)}",
            )
        )
    n = sum(row["visits"] for row in bins)
    quick = sum(row["visits"] for row in bins if row["minutes"] < 10)
    if median is None:
        return words.count(n, "complete visit", "complete visits", " 次完整到访")
    return words(
        f"Half of the visits lasted longer than {words.duration(median)}; {words.percent(quick / n, 0)} ended "
        "within 10 min",
        f"一半的到访超过 {words.duration(median)}；{words.percent(quick / n, 0)} 在 10 分钟内结束",
    )


def last_bar(words: Words) -> str:
    """What the last bar of durations holds."""
    hours = LONGEST // 3600
    return words(
        f"Complete visits by duration, in bars of 5 minutes; the last one holds all from {hours} hours on.",
        f"完整到访的时长分布，每条 5 分钟；最后一条为 {hours} 小时及以上。",
    )


def returning(words: Words, rows: Sequence[Row], *, is_comparable: Callable[[date], bool]) -> str:
    """The part of returning visitors on the last date, against a week earlier where that date can be compared with."""
    told = [row for row in rows if None not in (row["new_visitors"], row["returning_visitors"])]
    known = [row for row in told if row["new_visitors"] + row["returning_visitors"]]
    if not known:
        if len(told) < len(rows):
            return words("New and returning visitors are withheld", "新访客与回头客人数不公布")
        return words("Nobody was recognised on these dates", "这些日期没有识别到访客")

    def share(row: Row) -> float:
        return float(row["returning_visitors"]) / float(row["new_visitors"] + row["returning_visitors"])

    last = known[-1]
    now, day = words.percent(share(last), 0), last["event_date"]
    # Against the same weekday, but not among the first records (nobody can have been there before them) nor damaged.
    week = day - timedelta(days=7)
    first = next((row for row in known if row["event_date"] == week and is_comparable(week)), None)
    if first is None:
        return words(
            f"{now} of the visitors of {words.day(day)} had been there before",
            f"{words.day(day)}有 {now} 的访客曾经来过",
        )
    then = words.percent(share(first), 0)
    said = words(
        f"{now} of the visitors of {words.day(day)} had been there before", f"{words.day(day)}有 {now} 的访客曾经来过"
    )
    if now == then:
        return said + words(", as a week earlier", "，与一周前相同")
    up = share(last) > share(first)
    return said + words(
        f", {'up' if up else 'down'} from {then} a week earlier", f"，{'高于' if up else '低于'}一周前的 {then}"
    )


def categories(words: Words, rows: Sequence[Row], currency: str, *, withheld: int) -> str:
    """The category that sold most, and its part; of those that are told, where some are not."""
    total = sum(row["gmv"] for row in rows)
    best = rows[0]
    if withheld:
        sold = words.money(best["gmv"], currency)
        return words(
            f"Of the categories that can be told, {best['category_id']} sold most: {sold}",
            f"在可公布的品类中，{best['category_id']} 销售最多：{sold}",
        )
    return words(
        f"Category {best['category_id']} sold most: {words.money(best['gmv'], currency)}, "
        f"{words.percent(best['gmv'] / total, 0)} of all",
        f"品类 {best['category_id']} 销售最多：{words.money(best['gmv'], currency)}，占 "
        f"{words.percent(best['gmv'] / total, 0)}",
    )


def segments(words: Words, found: Segments, currency: str, since: date | None) -> str:
    """How much the best customers are worth, in a year or since the first records, where those are younger."""
    buyers = {n: row for n, row in found.users.items() if n != "visitor"}
    if any(r["users"] is None for r in found.users.values()):
        return words("Segments of few people are withheld, and so are parts of the whole", "人数过少的分群及占比不公布")
    people, money = sum(r["users"] for r in buyers.values()), sum(r["monetary"] or 0 for r in buyers.values())
    best = buyers.get("important_value")
    if not buyers or not money:
        n = words.count(sum(r["users"] for r in found.users.values()), "known person", "known people", " 位已知人员")
        return words(f"None of {n} has bought yet", f"{n}均未购买")
    if not best:
        n = words.count(people, "customer", "customers", " 位顾客")
        return words(f"{n} spent {words.money(money, currency)}", f"{n}共消费 {words.money(money, currency)}")
    share, part = words.percent(best["users"] / people, 0), words.percent((best["monetary"] or 0) / money, 0)
    return words(
        f"{share} of the customers, the most valuable, brought {part} of the sales "
        + (f"since {words.day(since)}" if since else "of a year")
        + " to known customers",
        f"最有价值的 {share} 顾客贡献了{f'{words.day(since)}以来' if since else '一年'}已识别顾客销售额的 {part}",
    )


def too_early(words: Words, since: date, week: int) -> str:
    """Why customers of the first dates are in no segments."""
    return words(
        f"Segments are held back until there are {week} dates of records, which begin on {words.day(since)}: before "
        "that nobody can have stayed away, yet whoever has not come again would be called one to win back.",
        f"记录始于{words.day(since)}，满 {week} 天后才显示分群：此前无从得知谁已流失，而未再次消费者都会被称为待挽留。",
    )


def young(words: Words, since: date, last: date) -> str:
    """From when there are records, and in the first weeks how little keeping and winning back mean."""
    said = words(f" Records begin on {words.full_day(since)}", f"记录始于{words.full_day(since)}")
    n = (last - since).days + 1
    if n > SETTLED:
        return said + words(".", "。")
    return said + words(
        f": to keep or win back is who bought early in these {n} dates.", f"：“保持”与“挽留”指这 {n} 天内较早购买者。"
    )


def moves(words: Words, found: Segments, named: Mapping[str, str]) -> str:
    """The largest move between segments."""
    inside = [m for m in found.moves if "none" not in (m["previous"], m["segment"])]
    since = words.day(found.since) if found.since else ""
    if not inside:
        return words(f"Nobody changed segment since {since}", f"自{since}以来没有人改变分群")
    known = [m["users"] for m in inside if m["users"] is not None]
    if not known:
        return words(f"A few people changed segment since {since}", f"自{since}以来有少数人改变分群")
    n = words.count(sum(known), "person", "people", " 人")
    if len(known) < len(inside):
        n = words(f"More than {n}", f"超过 {n}")
    # The largest of many moves is seldom most of them.
    top, of = inside[0], words.number(known[0])
    return words(
        f"{n} changed segment since {since}; the largest move, of {of}, is from {_lower(named[top['previous']])} to "
        f"{_lower(named[top['segment']])}",
        f"自{since}以来 {n}改变分群，最多的一种为{named[top['previous']]}到{named[top['segment']]}（{of} 人）",
    )


def activity(words: Words, subject: Subject, venue: Venue) -> str:
    """Which activity is on, and its how-manieth day it is."""
    on = subject.activities.get(venue.venue_id)
    if on is None:
        return words("no activity", "无活动")
    day, of = (subject.last - on.first_date).days + 1, (on.last_date - on.first_date + timedelta(days=1)).days
    return words(f"{on.name}, day {day} of {of}", f"{on.name}，第 {day} 天（共 {of} 天）")


def _lower(text: str) -> str:
    """A label within a sentence; one that begins with an abbreviation stays."""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
