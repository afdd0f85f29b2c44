"""Sales by category, the RFM map, and moves between segments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from venue_assets.report import charts, findings, people
from venue_assets.report.blocks import Block, Tile
from venue_assets.report.figures import Asker, Row
from venue_assets.report.sections.parts import MOST, count, empty, links, segment_name, table
from venue_assets.report.subject import Venue
from venue_assets.report.wording import NOTHING, Words
from venue_assets.semantic_layer.metrics import registry

_SEGMENTS: Final = {
    "important_value": "R↑ F↑ M↑",
    "general_value": "R↑ F↑ M↓",
    "important_develop": "R↑ F↓ M↑",
    "general_develop": "R↑ F↓ M↓",
    "important_keep": "R↓ F↑ M↑",
    "general_keep": "R↓ F↑ M↓",
    "important_win_back": "R↓ F↓ M↑",
    "general_win_back": "R↓ F↓ M↓",
}
"""In the order of the map: recency and frequency down, money across; an arrow up is above the mean score."""


def sales(words: Words, asker: Asker, venue: Venue) -> list[Block]:
    """Sales by category."""
    name = words("Sales by category", "各品类销售")
    if not venue.takes_orders:
        return [empty(name, words("The venue takes no orders.", "场所不接受订单。"))]
    rows, withheld = asker.categories(venue)
    if not rows and withheld:
        return [
            empty(name, words("Withheld: every category was bought by too few people.", "不公布：各品类购买人数过少。"))
        ]
    if not rows:
        return [empty(name, words("Nothing was sold.", "没有成交。"))]
    shown = [
        {
            "label": row["category_id"],
            "value": row["gmv"],
            "text": words.money(row["gmv"], venue.currency),
            "pieces": words.number(row["pieces_sold"]) if row["pieces_sold"] is not None else NOTHING,
        }
        for row in rows[:MOST]
    ]
    note = words("GMV of completed lines.", "已完成行的成交额。")
    if len(rows) > MOST:
        rest = words.money(sum(r["gmv"] for r in rows[MOST:]), venue.currency)
        note += words(f" {len(rows) - MOST} further categories: {rest}.", f"其余 {len(rows) - MOST} 个品类：{rest}。")
    if withheld:
        note += words(f" {withheld} of few people withheld.", f"{withheld} 个品类因人数过少不公布。")
    return [
        Block(
            findings.categories(words, rows, venue.currency, withheld=withheld),
            note,
            links(words, "gmv", "pieces_sold"),
            charts.bars(shown, label="label", value="value", text="text"),
            table=table(
                [words("Category", "品类"), *(registry()[n].label[words.language] for n in ("gmv", "pieces_sold"))],
                [[r["label"], r["text"], r["pieces"]] for r in shown],
            ),
        )
    ]


def customers(words: Words, asker: Asker, venue: Venue) -> list[Block]:
    """The RFM map and moves between segments."""
    found = people.segments(asker, venue)
    since = asker.since(venue)
    young = since if (asker.subject.last - since).days < people.WINDOW - 1 else None
    name = words("Customers by recency, frequency and money", "按最近消费、频次与金额划分的顾客")
    if not found.users:
        return [
            empty(
                name,
                words(
                    "Nobody is known by a pseudonym yet, so there are no segments.", "尚无可识别人员，因此没有分群。"
                ),
            )
        ]
    if (asker.subject.last - since).days < people.WEEK - 1 and set(found.users) - {"visitor"}:
        return [empty(name, findings.too_early(words, since, people.WEEK))]
    named = {segment: segment_name(words, segment) for segment in registry().segments}
    most = max((float(row["monetary"] or 0) for row in found.users.values()), default=0)
    tiles, rows = [], []
    for segment in (*_SEGMENTS, "visitor"):
        row = found.users.get(segment, {"users": 0, "monetary": 0, "before": 0})
        hidden = row["users"] is None
        tile = Tile(
            named[segment],
            _SEGMENTS.get(segment, ""),
            count(words, row["users"]),
            NOTHING if hidden else words.money(row["monetary"] or 0, venue.currency),
            _since(words, row, found),
            float(row["monetary"] or 0) / most if most and not hidden else 0,
        )
        tiles.append(tile)
        rows.append([_SEGMENTS.get(segment, ""), tile.name, tile.users, tile.money])
    note = words(
        "Users with a completed order in 365 dates, by whether recency (R), frequency (F) and money (M) are above "
        "the mean score; "
        "darker is more money. Visitors came and bought nothing.",
        "365 天内有已完成订单的用户，按最近消费 (R)、频次 (F)、金额 (M) 是否高于平均得分划分；颜色越深金额越多。"
        "到访未购者来过但未购买。",
    )
    if young:
        note += findings.young(words, young, asker.subject.last)
    columns = ["R F M", words("Segment", "分群"), words("People", "人数"), words("Money", "金额")]
    map_ = Block(
        findings.segments(words, found, venue.currency, young), note, tiles=tiles,
        table=table(columns, rows, right={2, 3}),
    )  # fmt: skip
    return [map_, _moves(words, asker, found, named, young)]


def _since(words: Words, row: Row, found: people.Segments) -> str:
    """The change, where both numbers are told: with a small one it would tell that."""
    if found.since is None or row["users"] is None or row["before"] is None:
        return ""
    return words(
        f"{words.signed(row['users'] - row['before'])} since {words.day(found.since)}",
        f"自{words.day(found.since)} {words.signed(row['users'] - row['before'])}",
    )


def _moves(words: Words, asker: Asker, found: people.Segments, named: Mapping[str, str], young: date | None) -> Block:
    name = words("Moves between segments", "分群迁移")
    if found.since is None:
        return empty(name, words("There is no earlier date with segments to compare with.", "没有可比较的更早分群。"))
    told = [m for m in found.moves if "none" not in (m["previous"], m["segment"]) and m["users"] is not None]
    inside = told[:MOST]
    came, left = (
        count(words, None if None in users else sum(users))
        for users in ([m["users"] for m in found.moves if m[side] == "none"] for side in ("previous", "segment"))
    )
    note = words(
        f"People by segment on {words.day(found.since)} and on {words.day(asker.subject.last)}, the {MOST} largest "
        "moves; "
        f"{came} were not known before"
        + (f", as records begin on {words.day(young)}." if young else f", {left} have left the window of 365 dates."),
        f"{words.day(found.since)}与{words.day(asker.subject.last)}的分群，最大的 {MOST} 种迁移；{came} 人此前未知"
        + (f"（记录始于{words.day(young)}）。" if young else f"，{left} 人已离开 365 天窗口。"),
    )
    title = findings.moves(words, found, named)
    if not inside:
        return empty(title, note)
    rows = [
        {
            "label": f"{named[m['previous']]} → {named[m['segment']]}",
            "value": m["users"],
            "text": words.number(m["users"]),
        }
        for m in inside
    ]
    return Block(
        title, note, spec=charts.bars(rows, label="label", value="value", text="text"),
        table=table([words("Move", "迁移"), words("People", "人数")], [[r["label"], r["text"]] for r in rows]),
    )  # fmt: skip
