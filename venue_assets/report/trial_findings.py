"""What is found of experiments, as sentences in both languages; the verdicts themselves come from their table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from venue_assets.report.figures import Row
from venue_assets.report.trials import Outcome, Trial
from venue_assets.report.wording import Words

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
    """How far the arm with the fewest units has come."""
    if trial.progress is None:
        return words("How many units are needed is not known yet", "尚不清楚需要多少样本")
    if trial.progress >= 1:
        return words("Every arm has the units that it needs", "各组样本均已足够")
    days = max((row["days_needed"] for row in trial.gates if row["days_needed"] is not None), default=None)
    done = words.percent(trial.progress, 0)
    more = "" if days is None else words(f", about {days} more days", f"，约还需 {days} 天")
    return words(
        f"The slowest arm has {done} of the units that it needs{more}", f"进度最慢的组已有所需样本的 {done}{more}"
    )


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
        said = words(
            f"Arm {row['arm']} against {row['control']}: {written}", f"{row['arm']} 对比 {row['control']}：{written}"
        )
    return said if trial.is_randomised else said + words("; not randomised", "；非随机")


def shares(words: Words, arm: str, share: float, day: date, first: float | None) -> str:
    """Which arm leads the plan of the next date."""
    now, on = words.percent(share, 0), words.day(day)
    if first is None or words.percent(first, 0) == now:
        return words(f"{arm} gets {now} of the visits planned for {on}", f"{on}计划将 {now} 的到访分给 {arm}")
    way = words("up from", "高于") if share > first else words("down from", "低于")
    then = words.percent(first, 0)
    return words(
        f"{arm} gets {now} of the visits planned for {on}, {way} {then} at the start",
        f"{on}计划将 {now} 的到访分给 {arm}，{way}开始时的 {then}",
    )


def tree(words: Words, leaves: int, fitted_on: date | None) -> str:
    """Into how many groups visitors fall."""
    on = words(f", as fitted on {words.day(fitted_on)}", f"（{words.day(fitted_on)}拟合）") if fitted_on else ""
    if leaves == 1:
        return words(f"All visitors are one group{on}", f"所有访客为一组{on}")
    return words(f"Visitors fall into {leaves} groups that differ{on}", f"访客分为 {leaves} 个有差异的组{on}")
