"""What is found of experiments, as sentences in both languages; the verdicts themselves come from their table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from venue_assets.report.comparisons import harmed
from venue_assets.report.figures import Row
from venue_assets.report.trials import PACE, Outcome, Trial, total_shares
from venue_assets.report.wording import Words
from venue_assets.tables.experiments.wording import quoted

BADGES: Final[Mapping[Outcome, tuple[str, str]]] = {
    "better": ("It worked", "有效"),
    "worse": ("It did harm", "有害"),
    "higher": ("Higher afterwards, not randomised", "之后更高（非随机）"),
    "lower": ("Lower afterwards, not randomised", "之后更低（非随机）"),
    "no_difference": ("No difference shown", "未见差异"),
    "running": ("Still running", "进行中"),
    "not_enough": ("Not enough samples", "样本不足"),
    "withheld": ("Withheld", "暂不下结论"),
}


def progress(words: Words, trial: Trial) -> str:
    """How far the arm with the fewest units has come, or had come when the verdict fell."""
    on = trial.deciding["analysed_on"] if trial.deciding else None
    if trial.progress is None:
        return words("How many units are needed is not known yet", "尚不清楚需要多少样本")
    if trial.progress >= 1:
        return (
            words(
                f"Every arm had the units that it needs on {words.day(on)}, the date of the analysis",
                f"{words.day(on)}（分析日）各组样本均已足够",
            )
            if on
            else words("Every arm has the units that it needs", "各组样本均已足够")
        )
    done = words.percent(trial.progress, 0)
    if on:
        return words(
            f"The slowest arm had {done} of the units that it needs on {words.day(on)}, the date of the analysis",
            f"{words.day(on)}（分析日）进度最慢的组有所需样本的 {done}",
        )
    days = max((row["days_needed"] for row in trial.gates if row["days_needed"] is not None), default=None)
    more = (
        ""
        if days is None
        else words(
            f": about {words.count(days, 'more day', 'more days', '')} at the pace of the last {PACE} dates",
            f"，按最近 {PACE} 天的速度约还需 {words.number(days)} 天",
        )
    )
    return words(
        f"The slowest arm has {done} of the units that it needs{more}", f"进度最慢的组已有所需样本的 {done}{more}"
    )


def since_then(words: Words, trial: Trial) -> str:
    """How many units have come after the one analysis; nothing where none have."""
    if trial.come_since <= 0 or trial.deciding is None or not trial.deciding["analysed_on"]:
        return ""
    n = words.count(trial.come_since, "more unit has", "more units have", "")
    return words(f" {n} come since, which changes nothing of it.", f"此后又有 {n} 个样本，不再改变结论。")


def pace(words: Words, trial: Trial) -> str:
    """That the pace so far is that of fixed shares, where a plan would change it."""
    if not _is_pace_to_change(trial):
        return ""
    return words(
        " No plan was followed so far; once one is, arms to which it gives less fill more slowly.",
        "至今未执行计划；执行后，份额较小的组积累样本会变慢。",
    )


def pace_in_short(words: Words, trial: Trial) -> str:
    """The same behind a sentence that gives days at the present pace; nothing where none are given."""
    if not _is_pace_to_change(trial) or all(row["days_needed"] is None for row in trial.gates):
        return ""
    return words(" Longer for arms that get less once a plan is followed.", "若执行计划，份额较小的组需时更久。")


def _is_pace_to_change(trial: Trial) -> bool:
    analysed = trial.deciding and trial.deciding["analysed_on"]
    return not analysed and bool(trial.planned) and not any(row["by_plan"] for row in trial.given)


def days_count(words: Words, trial: Trial) -> str:
    """What a day on which records are missing counts as, where days are the units."""
    if trial.unit != "venue_day":
        return ""
    said = words(
        " A day is a unit with what landed of it: visits and orders of a day on which a gateway was off line are 0.",
        "每天按已落地的记录计：网关离线的日子，到访与订单为 0。",
    )
    if trial.damaged:
        listed = harmed(words, trial.damaged)
        said += words(f" Damaged, and in it: {listed}.", f"其中受损的日子：{listed}。")
    return said


def ratio(words: Words, trial: Trial) -> str:
    """Whether the arms got the units that they were meant to get."""
    if not trial.gates or trial.gates[0]["sample_ratio_p"] is None:
        return words("Sample ratio: not checked, for arms go by date.", "样本比例：按日期分组，无需检查。")
    if all(row["sample_ratio_ok"] for row in trial.gates):
        return words(
            "Sample ratio: the arms got the units that they were meant to get.", "样本比例：各组得到了应得的样本。"
        )
    return words(
        "Sample ratio: the arms did not get the units that they were meant to get, so no comparison is fair.",
        "样本比例：各组未得到应得的样本，比较不公平。",
    )


def effect(words: Words, trial: Trial, row: Row, written: str) -> str:
    """The difference that decides."""
    if not row["significant"]:
        said = words(
            "No arm is shown to differ from the control: every interval holds 0",
            "没有一组与对照组有可见差异：区间均包含 0",
        )
    else:
        arm, control = (words(*quoted(row[side])) for side in ("arm", "control"))
        said = words(f"{arm} against {control}: {written}", f"{arm}对比{control}：{written}")
    return said if trial.is_randomised else said + words("; not randomised", "；非随机")


def shares(words: Words, trial: Trial, arm: str) -> str:
    """What the plan of the next date gives an arm, and what the gateway really gave it on the last date."""
    on = words.day(trial.planned[0]["day"])
    share, name = words.percent(total_shares(trial.planned)[arm], 0), words(*quoted(arm))
    said = words(f"{name} is to get {share} on {on}", f"{on}计划将 {share} 分给{name}")
    if not trial.given:
        return said + words("; nothing was assigned yet", "；尚未分配")
    last = trial.given[-1]["assigned_on"]
    of = [row for row in trial.given if row["assigned_on"] == last]
    units, by_plan = sum(row["units"] for row in of), sum(row["by_plan"] for row in of)
    got = words.percent(sum(row["units"] for row in of if row["arm"] == arm) / units, 0)
    how = (
        words("by the plan", "按计划分配")
        if by_plan == units
        else words("by fixed shares, no plan was followed", "按固定份额分配，未执行计划")
        if not by_plan
        else words(
            f"{words.percent(by_plan / units, 0)} of it by a plan, the rest by fixed shares",
            f"其中 {words.percent(by_plan / units, 0)} 按计划分配，其余按固定份额",
        )
    )
    return said + words(f"; on {words.day(last)} it got {got}, {how}", f"；{words.day(last)}实际得到 {got}，{how}")


def shares_note(words: Words, trial: Trial, arm: str) -> str:
    """What the columns are, what had been planned for the last date, and on how many dates a plan was followed."""
    note = words(
        "Columns: the share of each arm in what was really assigned on each date; the last one, pale, is the plan.",
        "各列：各日期实际分配中各组的份额；最后一列（浅色）为计划。",
    )
    before = total_shares(trial.planned_before)
    if arm in before:
        on, share = words.day(trial.planned_before[0]["day"]), words.percent(before[arm], 0)
        name = words(*quoted(arm))
        note += words(f" For {on}, {share} had been planned for {name}.", f"{on}曾计划将 {share} 分给{name}。")
    dates = {row["assigned_on"] for row in trial.given}
    followed = {row["assigned_on"] for row in trial.given if row["by_plan"]}
    if dates and not followed:
        note += words(
            f" On none of {words.count(len(dates), 'date', 'dates', '')} did the gateway follow a plan: the plans have "
            "had no effect so far.",
            f"在 {len(dates)} 个日期中网关从未执行计划：计划至今没有产生作用。",
        )
    elif dates:
        note += words(
            f" The gateway followed a plan on {len(followed)} of {words.count(len(dates), 'date', 'dates', '')}.",
            f"在 {len(dates)} 个日期中有 {len(followed)} 个网关执行了计划。",
        )
    return note


def tree(words: Words, leaves: int, fitted_on: date | None, kpi: str, *, of_effects: bool) -> str:
    """Into how many groups visitors fall, and in what these differ."""
    on = words(f", as fitted on {words.day(fitted_on)}", f"（{words.day(fitted_on)}拟合）") if fitted_on else ""
    if leaves == 1:
        return words(f"All visitors are one group{on}", f"所有访客为一组{on}")
    what = words(f"the effect on {kpi}", f"对{kpi}的效应") if of_effects else kpi
    return words(
        f"Visitors fall into {leaves} groups that differ in {what}{on}", f"访客分为{what}不同的 {leaves} 组{on}"
    )


def chosen(words: Words) -> str:
    """How far the means of groups can be taken that were found in the same data."""
    return words(
        " The groups were chosen for how far apart they lie here: among later visitors, expect them closer together.",
        "分组是依据此处的差异选出的：在今后的访客中，差异通常会更小。",
    )
