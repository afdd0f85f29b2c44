"""What is found of the data itself, as sentences in both languages."""

from __future__ import annotations

from collections.abc import Sequence

from venue_assets.report.figures import Figure, Row
from venue_assets.report.trust import Trust
from venue_assets.report.wording import Words


def trust(words: Words, found: Trust) -> tuple[str, bool]:
    """What to think of the data, and whether that is good."""
    if not found.landed and not found.refused:
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
        wrong.append(missing(words, found.gaps))
    if found.missing_dates:
        wrong.append(
            words.count(len(found.missing_dates), "date without records", "dates without records", " 个日期无记录")
        )
    if found.devices:
        silent = len({(row["venue_id"], row["device_id"], row["stream"]) for row in found.devices})
        wrong.append(words.count(silent, "silent device", "silent devices", " 台设备沉默"))
    if wrong:
        return said + words(f"; {words.listed(wrong)}.", f"；{words.listed(wrong)}。"), False
    return said + words("; nothing is missing and every device spoke.", "；没有缺失，设备均有上报。"), found.conserved


def missing(words: Words, gaps: Sequence[Row]) -> str:
    """How many records a gateway numbered that never arrived, of which dates, and what of it was told already."""
    n = words.count(sum(gap["missing"] for gap in gaps), "record", "records", " 条记录")
    days = words.listed([words.short_day(day) for day in sorted({gap["day"] for gap in gaps})])
    told, known = [gap for gap in gaps if gap["before"]], ""
    if told:
        part = "" if len(told) == len(gaps) else words.number(sum(gap["missing"] for gap in told))
        since = words.day(min(gap["before"] for gap in told))
        known = words(
            f"; {f'{part} of them ' if part else ''}not new: told since {since}",
            f"；{f'其中 {part} 个' if part else ''}并非新增，自{since}已告知",
        )
    return words(f"{n} never arrived (of {days}{known})", f"{n}未送达（属于{days}{known}）")


def agreement(words: Words, name: str, figure: Figure) -> str:
    """How far terminals and entrance counts agree."""
    share = figure.value
    if figure.suppressed:
        return words(f"{name}: withheld.", f"{name}：不公布。")
    if share is None:
        return words(f"{name}: cannot be compared, one of the two is absent.", f"{name}：两者缺一，无法比较。")
    said = words.percent(share)
    if figure.estimated:
        said += words(" (estimated)", "（估计值）")
    if share > 1.02:
        return words(
            f"{name}: more entries at terminals than were counted ({said}); the counters miss people.",
            f"{name}：终端进入多于计数（{said}），计数器有遗漏。",
        )
    return words(
        f"{name}: terminals recognised {said} of the entries that were counted.",
        f"{name}：终端识别了计数进入的 {said}。",
    )
