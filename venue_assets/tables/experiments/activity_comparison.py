"""A venue's current activity against earlier ones, weekday by weekday: not randomised, and said so.

In this layer rather than among the metrics, because it is a comparison with an interval and a conclusion, told in the
same way as a verdict, which it must not be taken for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

import duckdb
import polars as pl
import pyarrow as pa

from edge_collector.experiment import KPIS
from venue_assets.methods.effect import Effect, NotComputable
from venue_assets.methods.matched_weekdays import matched_weekdays
from venue_assets.tables.experiments.wording import Shown, quoted

_COMPARED: Final = ("pf_range", *KPIS["venue_day"])
_ALPHA: Final = 0.05 / len(_COMPARED)
_SCHEMA: Final = pa.schema(
    {
        "venue_id": pa.string(),
        "activity_id": pa.string(),
        "first_date": pa.date32(),
        "kpi": pa.string(),
        "position": pa.int32(),
        "compared_with": pa.string(),
        "days": pa.int64(),
        "compared_days": pa.int64(),
        "mean": pa.float64(),
        "compared_mean": pa.float64(),
        "difference": pa.float64(),
        "level": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "randomised": pa.bool_(),
        "conclusion": pa.string(),
        "conclusion_zh": pa.string(),
    }
)

# Earlier dates of the activity itself, as older partitions may call them, belong to neither side; nor do dates without
# any record of the venue, whose zeros say that a gateway was off line or the place closed, not that nobody came.
_DAYS: Final = f"""
SELECT a.venue_id, a.activity_id, a.first_date, p.currency, p.activity_id AS activity_of_day,
  p.event_date >= a.first_date AS current, isodow(p.event_date) AS weekday,
  {", ".join(f"p.{kpi}::DOUBLE AS {kpi}" for kpi in _COMPARED)}
FROM activities AS a
JOIN primary_metrics AS p ON p.venue_id = a.venue_id AND p.event_date >= a.first_date - 365
WHERE (p.event_date >= a.first_date OR p.activity_id <> a.activity_id)
  AND (coalesce(p.pf_range, p.pf_entrance) IS NOT NULL OR greatest({", ".join(f"p.{kpi}" for kpi in _COMPARED)}) > 0)
ORDER BY a.venue_id, p.event_date
"""


def compute(con: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
    """One row per venue with an activity on `day`, and KPI."""
    days = con.sql(_DAYS).pl()
    rows = [row for (_,), of_venue in days.group_by("venue_id", maintain_order=True) for row in _compared(of_venue)]
    return pa.Table.from_pylist(rows, _SCHEMA)


def _compared(days: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The KPI of one venue; `days` in order of their dates."""
    activity = days.row(-1, named=True)
    current, before = days.filter("current"), days.filter(~pl.col("current"))
    earlier = [name for name in before["activity_of_day"].unique(maintain_order=True) if name != "none"]
    if earlier:
        before = before.filter(pl.col("activity_of_day") != "none")
    for position, kpi in enumerate(_COMPARED):
        now, then = (side.drop_nulls(kpi) for side in (current, before))
        found = matched_weekdays(
            then[kpi], now[kpi], before_weekdays=then["weekday"], after_weekdays=now["weekday"], alpha=_ALPHA
        )
        n = (
            now.join(then, on="weekday", how="semi").height,
            then.join(now, on="weekday", how="semi").height,
        )
        en, zh = _sentences(Shown.of(kpi, activity["currency"]), activity["activity_id"], earlier, n, found)
        row = {name: activity[name] for name in ("venue_id", "activity_id", "first_date")}
        row |= {"kpi": kpi, "position": position, "compared_with": ", ".join(earlier) or "none"}
        row |= {"days": n[0], "compared_days": n[1], "level": 1 - _ALPHA, "randomised": False}
        if isinstance(found, Effect):
            row |= {"mean": found.arm, "compared_mean": found.control, "difference": found.effect}
            row |= dict(zip(("low", "high"), found.interval, strict=True))
        yield row | {"conclusion": en, "conclusion_zh": zh}


def _sentences(
    shown: Shown, activity: str, earlier: list[str], n: tuple[int, int], found: Effect | NotComputable
) -> tuple[str, str]:
    (kpi, kpi_zh), (activity, activity_zh) = shown.label, quoted(activity)
    names = list(map(quoted, earlier))
    others = ", ".join(name for name, _ in names) or "days without an activity"
    others_zh = "、".join(name_zh for _, name_zh in names) or "无活动的日子"
    if isinstance(found, NotComputable):
        why, why_zh = _WHY[found.cause]
        return (
            f"not randomised: {activity} cannot be compared with {others} in {kpi}: {why}.",
            f"并非随机试验：{activity_zh}的{kpi_zh}无法与{others_zh}比较：{why_zh}。",
        )
    low, high = (shown.number(end) for end in found.interval)
    level = f"{100 * (1 - found.alpha):.3g}"
    than, than_zh = ("not shown to differ from", "未见不同于")
    if found.significant:
        than, than_zh = ("higher than", "高于") if found.effect > 0 else ("lower than", "低于")
    mean, other_mean, difference = shown.values(0, found)
    en = (
        f"not randomised: {activity} is {than} {others} in {kpi} on the same weekdays: {mean} against "
        f"{other_mean} a day, {difference} ({level} % interval {low} to {high}), {n[0]} and {n[1]} days; whatever else "
        "differed between these days is part of the difference."
    )
    mean, other_mean, difference = shown.values(1, found)
    zh = (
        f"并非随机试验：按相同星期几比较，{activity_zh}的{kpi_zh}{than_zh}{others_zh}：每天 {mean} 对 "
        f"{other_mean}，{difference}（{level}% 置信区间 {low} 至 {high}），{n[0]} 与 {n[1]} 天；"
        "这些日子之间的其他差异也包含在内。"
    )
    return en, zh


_WHY: Final = {
    "empty_control": ("no day before it has this figure", "此前没有任何一天有这一指标"),
    "empty_arm": ("none of its own days has this figure", "活动期间没有任何一天有这一指标"),
    "no_common_weekday": ("there is no weekday that both have", "双方没有相同的星期几"),
    "too_few_units": ("too few days to estimate an error", "天数太少，无法估计误差"),
    "no_variance": ("all days are alike, so no error can be estimated", "每天数值都相同，无法估计误差"),
}
