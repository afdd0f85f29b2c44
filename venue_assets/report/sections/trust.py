"""Whether the data can be trusted, block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from venue_assets.report import charts, trust_findings
from venue_assets.report.blocks import Block, Table
from venue_assets.report.figures import Figure
from venue_assets.report.sections.parts import empty, links, table
from venue_assets.report.trust import Trust
from venue_assets.report.wording import NOTHING, Words

_REASONS: Final = {
    "malformed": ("cannot be read as a record", "无法读作记录"),
    "duplicate": ("delivered before", "重复送达"),
    "unknown_venue": ("venue not in site.toml", "场所不在 site.toml 中"),
    "unknown_device": ("device not in site.toml", "设备不在 site.toml 中"),
    "wrong_event_date": ("of another event date", "属于其他日期"),
    "out_of_range": ("a value that cannot be", "数值不可能"),
}
_REFUSALS: Final = {
    "manifest": ("its manifest cannot be read", "清单无法读取"),
    "schema": ("of an unknown schema", "模式版本未知"),
    "folder": ("in the wrong folder", "所在文件夹不符"),
    "missing": ("its file is missing", "文件缺失"),
    "hash": ("not the bytes that were sent", "内容与发送时不符"),
    "undecodable": ("cannot be decompressed", "无法解压"),
    "row_count": ("rows are missing or too many", "行数不符"),
}
_STREAMS: Final = {
    "boundary_counts": ("passers-by", "路过计数"),
    "entrance_counts": ("entrance", "入口计数"),
    "face_visits": ("terminals", "识别终端"),
    "orders": ("orders", "订单"),
    "assignments": ("assignments", "试验分组"),
    "identity_links": ("identity links", "身份关联"),
    "gateway_events": ("gateways", "网关"),
}


def trust_blocks(words: Words, found: Trust, shares: list[tuple[str, Figure]]) -> list[Block]:
    """Conservation, quarantine, refused segments, silent devices, agreement of counts and terminals."""

    def stream(name: str) -> str:
        return words(*_STREAMS.get(name, (name, name)))

    blocks = []
    if found.streams:
        columns = [
            words(*x)
            for x in (
                ("Stream", "数据流"),
                ("Landed", "落地"),
                ("Clean", "干净"),
                ("Quarantined", "隔离"),
                ("Numbers missing", "序号缺失"),
            )
        ]
        names = ("landed", "clean", "quarantined", "missing")
        rows = [[stream(r["stream"]), *(words.number(r[n]) for n in names)] for r in found.streams]
        rows.append([words("all", "合计"), *(words.number(sum(r[n] for r in found.streams)) for n in names)])
        blocks.append(
            Block(
                words(
                    f"{words.number(found.landed)} landed = {words.number(found.clean)} clean + "
                    f"{words.number(found.quarantined)} quarantined",
                    f"落地 {words.number(found.landed)} = 干净 {words.number(found.clean)} + 隔离 "
                    f"{words.number(found.quarantined)}",
                ),
                words(
                    "Lines of all venues, per stream. Missing are the numbers of a gateway's sequence that no "
                    "segment covers: those that belong to these dates, and those that show in the segments of these "
                    "dates but belong to earlier ones. Reports of several dates may tell the same ones.",
                    "各数据流中所有场所的行数。缺失为网关序列中没有任何段覆盖的序号：包括属于这些日期的，"
                    "以及在这些日期的段中可见但属于更早日期的；不同日期的报告可能指同一些序号。",
                ),
                table=Table(columns, rows, frozenset({1, 2, 3, 4})), open_table=True,
            )
        )  # fmt: skip
    if found.reasons:
        most = found.reasons[0]
        shown = [
            {
                "label": words(*_REASONS.get(r["reason"], (r["reason"], r["reason"]))),
                "value": r["lines"],
                "text": words.number(r["lines"]),
            }
            for r in found.reasons
        ]
        why = words(*_REASONS.get(most["reason"], (most["reason"], most["reason"])))
        share = words.percent(most["lines"] / found.quarantined, 0) if found.quarantined else NOTHING
        blocks.append(
            Block(
                words(f"Most lines set aside: {why}, {share}", f"被隔离最多的原因：{why}，占 {share}"),
                words(
                    "Quarantined lines by the first reason that applies; none of them enters a figure.",
                    "按首个适用原因划分的隔离行；均不计入任何指标。",
                ),
                spec=charts.bars(shown, label="label", value="value", text="text"),
                table=table(
                    [words("Reason", "原因"), words("Lines", "行数")], [[r["label"], r["text"]] for r in shown]
                ),
            )
        )  # fmt: skip
    else:
        blocks.append(
            Block(
                words("Nothing is in quarantine", "没有隔离的行"),
                words("Every landed line is a clean record.", "落地的每一行都是干净的记录。"),
                is_empty=True,
            )
        )
    blocks.append(_refused(words, found, stream))
    if found.missing_dates:
        blocks.append(_missing(words, found))
    blocks.append(_silent(words, found, stream))
    blocks.append(_agreement(words, shares))
    return blocks


def _agreement(words: Words, shares: list[tuple[str, Figure]]) -> Block:
    title = words("Entrance counts against terminals", "入口计数与识别终端")
    if not shares:
        return empty(title, words("No venue has both of them.", "没有同时具备两者的场所。"))
    lines = [trust_findings.agreement(words, name, figure) for name, figure in shares]
    return Block(title, words(" ", "").join(lines), links(words, "recognition_share"), is_empty=True)


def _refused(words: Words, found: Trust, stream: Callable[[str], str]) -> Block:
    if not found.refused:
        return Block(
            words("No segment was refused", "没有段被拒"),
            words("Every segment arrived whole.", "所有段均完整到达。"),
            is_empty=True,
        )
    columns = [words(*x) for x in (("Date", "日期"), ("Stream", "数据流"), ("Segment", "段"), ("Reason", "原因"))]
    rows = [
        [
            words.day(r["event_date"]),
            stream(r["stream"]),
            r["segment"],
            words(*_REFUSALS.get(r["reason"], (r["reason"], r["reason"]))),
        ]
        for r in found.refused
    ]
    n = len(rows)
    return Block(
        words(
            f"{n} segment{'' if n == 1 else 's'} refused: the rows are missing until shipped again",
            f"{n} 个段被拒：重新发送前这些行缺失",
        ),
        table=Table(columns, rows), open_table=True,
    )  # fmt: skip


def _missing(words: Words, found: Trust) -> Block:
    of: dict[str, list[str]] = {}
    for row in found.missing_dates:
        of.setdefault(row["venue"], []).append(words.short_day(row["event_date"]))
    columns = [words("Venue", "场所"), words("Dates", "日期")]
    n = words.count(len(found.missing_dates), "date", "dates", " 个日期")
    return Block(
        words(f"{n} without any record of a venue", f"{n}某场所没有任何记录"),
        words(
            "Nothing came from there: the gateway was off line, or the venue was closed. What happened then is in no "
            "figure.",
            "没有任何数据送达：网关离线，或场所关闭。当时的情况不在任何指标中。",
        ),
        table=Table(columns, [[venue, words.listed(days)] for venue, days in of.items()]), open_table=True,
    )  # fmt: skip


def _silent(words: Words, found: Trust, stream: Callable[[str], str]) -> Block:
    if not found.devices:
        if found.missing_dates:
            title = words("Every device spoke on every date with records", "在有记录的日期，所有设备均有上报")
            when = words(" on which its venue has any", "场所有记录的")
        else:
            title, when = words("Every device spoke", "所有设备均有上报"), ""
        return Block(
            title,
            words(
                f"No device was without a record on a date{when}, and none fell silent an hour before its venue.",
                f"没有设备在任一{when}日期缺少记录，也没有设备比场所提前一小时以上沉默。",
            ),
            is_empty=True,
        )
    columns = [
        words(*x)
        for x in (
            ("Date", "日期"),
            ("Venue", "场所"),
            ("Device", "设备"),
            ("Stream", "数据流"),
            ("Last heard", "最后上报"),
        )
    ]
    rows = [
        [
            words.short_day(r["first"]) if r["first"] == r["last"] else words.days(r["first"], r["last"]),
            r["venue"],
            r["device_id"],
            stream(r["stream"]),
            f"{words.short_day(r['last_heard'].date())}, {r['last_heard']:%H:%M}"
            if r["last_heard"]
            else words("no record", "没有记录"),
        ]
        for r in found.devices
    ]
    n = len({(r["venue_id"], r["device_id"], r["stream"]) for r in found.devices})
    return Block(
        words(
            f"{n} device{'' if n == 1 else 's'} without records, or silent before the venue",
            f"{n} 台设备没有记录或提前沉默",
        ),
        table=Table(columns, rows), open_table=True,
    )  # fmt: skip
