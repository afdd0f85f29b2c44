"""What charts find, as sentences: each computed from the figures that are drawn, in both languages.

What does not belong here: how numbers are written (wording.py), and sentences that tables have already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from venue_assets.report.figures import Figure, Row
from venue_assets.report.people import LONGEST, STEP, Occupancy, Segments
from venue_assets.report.subject import Subject, Venue
from venue_assets.report.trust import Trust
from venue_assets.report.wording import Words
from venue_assets.semantic_layer.metrics import Metric

LEVEL: Final = 0.02
"""A relative change below which a figure is said to be as usual."""


def headline(words: Words, figures: Mapping[str, Figure], currency: str) -> str:
    """How the venue did, in one sentence."""
    people = next((figures[n] for n in ("uv", "pf_entrance", "pf_range") if n in figures and figures[n].value), None)
    money = figures.get("gmv")
    parts = []
    if people:
        of = {"uv": words("visitors", "位访客"), "pf_entrance": words("people came in", "人进入")}
        name = of.get(people.metric.name, words("passers-by", "人路过"))
        parts.append(f"{words.number(people.value)}{words(' ', ' ')}{name}{_against(words, people)}")
    if money and money.value is not None:
        sold = words.money(money.value, currency)
        parts.append(words(f"{sold} sold", f"成交 {sold}") + _against(words, money))
    if not parts:
        return words("Nobody was seen and nothing was sold.", "没有到访，也没有成交。")
    return words("; ", "；").join(parts) + words(".", "。")


def _against(words: Words, figure: Figure) -> str:
    if figure.usual is None or not figure.usual or figure.value is None:
        return ""
    change = float(figure.value) / figure.usual - 1
    if abs(change) < LEVEL:
        return words(", as usual", "（与往常持平）")
    by = words.percent(abs(change), 0)
    return words(
        f", {by} {'more' if change > 0 else 'less'} than usual", f"（比往常{'多' if change > 0 else '少'} {by}）"
    )


def compared(words: Words, figure: Figure) -> str:
    """With what a figure is compared."""
    if not figure.compared or figure.usual is None:
        return words("no comparable day", "没有可比的日子")
    days = figure.compared
    if len(days) == 1:
        short = words.weekdays()[days[0].weekday()]
        return words(f"vs {short}, {words.day(days[0])}", f"对比{words.day(days[0])}（{short}）")
    weekday = words.weekday(days[0])
    return words(f"vs median of {len(days)} {weekday}s", f"对比此前 {len(days)} 个{weekday}的中位数")


_FIRST: Final = {
    "pf_range": ("{} passers-by", "{} 人路过"),
    "pf_entrance": ("{} people who walked in", "{} 人进店"),
    "pv": ("{} visits", "{} 次到访"),
}
_LAST: Final = {
    "pf_entrance": ("{} walked in", "{} 人进店"),
    "pv": ("{} were recognised visits", "{} 次为已识别到访"),
    "paying_users": ("{} people paid", "{} 人付费"),
}


def funnel(words: Words, steps: Sequence[tuple[str, str, float]]) -> str:
    """How many of the first step got to the last one; `steps` are name, label and number, at least two."""
    (first, _, came), (last, _, got) = steps[0], steps[-1]
    whole, part = words(*_FIRST[first]).format(words.number(came)), words(*_LAST[last]).format(words.number(got))
    if not came:
        return words("Nobody at the first step", "第一步没有人")
    share = words.percent(got / came)
    return words(f"Of {whole}, {part}: {share}", f"{whole}，其中 {part}：{share}")


def occupancy(words: Words, venue: Venue, peak: Row, *, several: bool) -> str:
    """When most people were inside, and how many."""
    at, n = words.clock(peak["second"] + venue.starts), words.number(peak["inside"], 0)
    if several:
        return words(f"On average most visitors were inside at {at}: {n}", f"平均而言，{at} 场内访客最多：{n} 人")
    return words(f"Visitors peaked at {at} with {n} inside", f"{at} 场内访客最多，共 {n} 人")


def occupancy_note(words: Words, found: Occupancy) -> str:
    """What the lines are, and what is not in them."""
    minutes = STEP // 60
    note = words(
        f"Recognised people between entry and leave, every {minutes} minutes.",
        f"每 {minutes} 分钟，已识别且在进入与离开之间的人数。",
    )
    if found.left_out:
        n = words.number(found.left_out)
        note += words(f" {n} visits whose leave is not known are left out.", f"离开时间未知的 {n} 次到访未计入。")
    if found.counted:
        note += words(
            " Counted: everybody, entries less exits at the entrance since the day began.",
            "计数：当日开始以来入口进入减去离开的人数（所有人）。",
        )
    return note


def busiest(words: Words, metric: Metric, row: Row) -> str:
    """The busiest hour of the week."""
    day, hour, n = words.weekdays()[row["weekday"]], f"{row['hour']:02d}:00", words.number(row["mean"])
    label = metric.label[words.language]
    return words(
        f"{day} from {hour} is the busiest hour: {n} {_lower(label)} on average",
        f"{day} {hour} 起的一小时最繁忙：平均{label} {n}",
    )


def durations(words: Words, bins: Sequence[Row], median: float | None) -> str:
    """How long half of the visits lasted."""
    n = sum(row["visits"] for row in bins)
    quick = sum(row["visits"] for row in bins if row["minutes"] < 10)
    if median is None:
        return words(f"{words.number(n)} complete visits", f"{words.number(n)} 次完整到访")
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


def returning(words: Words, rows: Sequence[Row]) -> str:
    """The part of returning visitors on the last date, against the first one shown."""
    known = [row for row in rows if (row["new_visitors"] or 0) + (row["returning_visitors"] or 0)]
    if not known:
        return words("Nobody was recognised on these dates", "这些日期没有识别到访客")

    def share(row: Row) -> float:
        return float(row["returning_visitors"] or 0) / float(
            (row["new_visitors"] or 0) + (row["returning_visitors"] or 0)
        )

    last = known[-1]
    now, day = words.percent(share(last), 0), last["event_date"]
    # Against the same weekday: among the first records nobody can have been there before.
    first = next((row for row in known if row["event_date"] == day - timedelta(days=7)), None)
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


def categories(words: Words, rows: Sequence[Row], currency: str) -> str:
    """The category that sold most, and its part."""
    total = sum(row["gmv"] for row in rows)
    best = rows[0]
    return words(
        f"Category {best['category_id']} sold most: {words.money(best['gmv'], currency)}, "
        f"{words.percent(best['gmv'] / total, 0)} of all",
        f"品类 {best['category_id']} 销售最多：{words.money(best['gmv'], currency)}，占 "
        f"{words.percent(best['gmv'] / total, 0)}",
    )


def segments(words: Words, found: Segments, currency: str) -> str:
    """How much the best customers are worth."""
    buyers = {n: row for n, row in found.users.items() if n != "visitor"}
    people, money = sum(r["users"] for r in buyers.values()), sum(r["monetary"] or 0 for r in buyers.values())
    best = buyers.get("important_value")
    if not buyers or not money:
        n = sum(r["users"] for r in found.users.values())
        return words(f"None of {words.number(n)} known people has bought yet", f"{words.number(n)} 位已知人员均未购买")
    if not best:
        return words(
            f"{words.number(people)} customers spent {words.money(money, currency)}",
            f"{words.number(people)} 位顾客共消费 {words.money(money, currency)}",
        )
    share, part = words.percent(best["users"] / people, 0), words.percent((best["monetary"] or 0) / money, 0)
    return words(
        f"{share} of the customers, the most valuable, bring {part} of the sales of a year",
        f"最有价值的 {share} 顾客贡献了一年销售额的 {part}",
    )


def moves(words: Words, found: Segments, named: Mapping[str, str]) -> str:
    """The largest move between segments."""
    top = next((m for m in found.moves if "none" not in (m["previous"], m["segment"])), None)
    since = words.day(found.since) if found.since else ""
    if top is None:
        return words(f"Nobody changed segment since {since}", f"自{since}以来没有人改变分群")
    n = sum(m["users"] for m in found.moves if "none" not in (m["previous"], m["segment"]))
    return words(
        f"{words.number(n)} people changed segment since {since}, most from {_lower(named[top['previous']])} to "
        f"{_lower(named[top['segment']])}",
        f"自{since}以来 {words.number(n)} 人改变分群，最多的是从{named[top['previous']]}到{named[top['segment']]}",
    )


def trust(words: Words, found: Trust) -> tuple[str, bool]:
    """What to think of the data, and whether that is good."""
    if not found.streams:
        return words("Nothing landed on these dates.", "这些日期没有数据落地。"), False
    part = words.percent(found.quarantined / found.landed) if found.landed else words.percent(0)
    conserved = (
        words("Every landed line is accounted for", "落地的每一行都有去向")
        if found.conserved
        else words("Landed lines are not all accounted for", "有落地行去向不明")
    )
    said = words(f"{conserved}; {part} were set aside", f"{conserved}；{part} 被隔离")
    wrong = []
    if found.refused:
        wrong.append(words.count(len(found.refused), "segment refused", "segments refused", " 个段被拒"))
    if found.missing:
        wrong.append(
            words(f"{words.number(found.missing)} numbers missing", f"{words.number(found.missing)} 个序号缺失")
        )
    if found.devices:
        wrong.append(words.count(len(found.devices), "silent device", "silent devices", " 台设备沉默"))
    if wrong:
        return said + words(f"; {words.listed(wrong)}.", f"；{words.listed(wrong)}。"), False
    return said + words("; nothing is missing and every device spoke.", "；没有缺失，设备均有上报。"), found.conserved


def agreement(words: Words, name: str, share: float | None) -> str:
    """How far terminals and entrance counts agree."""
    if share is None:
        return words(f"{name}: cannot be compared, one of the two is absent.", f"{name}：两者缺一，无法比较。")
    said = words.percent(share)
    if share > 1.02:
        return words(
            f"{name}: more entries at terminals than were counted ({said}); the counters miss people.",
            f"{name}：终端进入多于计数（{said}），计数器有遗漏。",
        )
    return words(
        f"{name}: terminals recognised {said} of the entries that were counted.",
        f"{name}：终端识别了计数进入的 {said}。",
    )


def activity(words: Words, subject: Subject, venue: Venue) -> str:
    """Which activity is on, and its how-manieth day it is."""
    on = subject.activities.get(venue.venue_id)
    if on is None:
        return words("no activity", "无活动")
    day, of = (subject.last - on.first_date).days + 1, (on.last_date - on.first_date + timedelta(days=1)).days
    return words(f"{on.name}, day {day} of {of}", f"{on.name}，第 {day} 天（共 {of} 天）")


def differing(words: Words, rows: Sequence[Row]) -> str:
    """How many figures of an activity are shown to differ from those of other days."""
    n = sum(not row["low"] <= 0 <= row["high"] for row in rows)
    if not n:
        return words("No figure is shown to differ from that of other days", "没有指标与其他日子有可见差异")
    return words(
        f"{n} of {len(rows)} figures differ from those of other days",
        f"{len(rows)} 个指标中有 {n} 个与其他日子不同",
    )


def _lower(text: str) -> str:
    """A label within a sentence; one that begins with an abbreviation stays."""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
