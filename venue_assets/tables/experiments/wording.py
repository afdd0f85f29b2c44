"""Sentences about an experiment's arm and its control, in English and Chinese: the same facts in the same order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from venue_assets.methods.effect import Effect, NotComputable
from venue_assets.semantic_layer.metrics import registry
from venue_assets.tables.experiments.trial import Trial

_REASONS_ZH: Final = {
    "empty_control": "对照组没有样本，无从比较。",
    "empty_arm": "该组没有样本。",
    "too_few_units": "样本太少，无法估计误差。",
    "no_variance": "两组各自的数值全都相同，无法估计误差。",
    "zero_denominator": "分母之和为零。",
    "no_common_weekday": "前后两段时间没有相同的星期几。",
}


def kpi_label(kpi: str) -> tuple[str, str]:
    """What the registry calls a KPI, within a sentence, in English and Chinese."""
    label = registry().kpi(kpi).label
    # GMV and the like keep their capitals.
    return label.en if label.en[1:2].isupper() else label.en[:1].lower() + label.en[1:], label.zh


def quoted(name: str) -> tuple[str, str]:
    """An id of the site within a sentence, in English and Chinese: it may be any word, as "none" or "control"."""
    return f"“{name}”", f"「{name}」"


def unit_words(unit: str) -> tuple[str, str]:
    """What is assigned, as it follows a number, in English and Chinese."""
    words = registry().experiment_units[unit]
    return words.en, words.zh


@dataclass(frozen=True)
class Shown:
    """How values of a KPI are written: times `factor`, with so many decimals, and a unit behind values and steps."""

    label: tuple[str, str]
    """Within a sentence, in English and Chinese; so are the units."""
    factor: int = 1
    decimals: int = 2
    unit: tuple[str, str] = ("", "")
    step: tuple[str, str] | None = None

    @classmethod
    def of(cls, kpi: str, currency: str) -> Shown:
        """As the registry has the KPI written; means of what is counted have decimals."""
        figure, label = registry().kpi(kpi), kpi_label(kpi)
        if figure.is_fraction:
            return cls.fraction(label)
        if figure.is_money:
            return cls(label, unit=(f" {currency}", f" {currency}"))
        if figure.unit == "s":
            unit = registry().units[figure.unit]
            return cls(label, decimals=0, unit=(f" {unit.en}", f" {unit.zh}"))
        return cls(label)

    @classmethod
    def fraction(cls, label: tuple[str, str]) -> Shown:
        return cls(label, 100, 1, (" %", "%"), (" points", " 个百分点"))

    def values(self, language: int, found: Effect) -> tuple[str, str, str]:
        """The means of arm and control, and their difference."""
        return (
            self.written(found.arm, language),
            self.written(found.control, language),
            self.written(found.effect, language, is_step=True),
        )

    def written(self, value: float, language: int, *, is_step: bool = False) -> str:
        """A value, or the difference of two."""
        if is_step:
            return self.number(value, "+") + (self.step or self.unit)[language]
        return self.number(value) + self.unit[language]

    def number(self, value: float, sign: str = "") -> str:
        # Adding 0 turns -0 into 0.
        return f"{round(self.factor * value, self.decimals) + 0:{sign},.{self.decimals}f}"


@dataclass(frozen=True)
class Gate:
    """What an arm still lacks, as sample_size_checks says it."""

    arm: str
    n_units: int
    required_n: int | None
    samples_needed: int | None
    days_needed: int | None


def running(trial: Trial, gate: Gate, counts: tuple[int, int], names: tuple[str, str]) -> tuple[str, str]:
    """Before the verdict: counts, and how long it will take. `gate` is that of the arm that lacks most."""
    en, zh = unit_words(trial.unit)
    (arm, arm_zh), (control, control_zh) = map(quoted, names)
    (least, least_zh), (n_arm, n_control) = quoted(gate.arm), counts
    if gate.required_n is None:
        needed, needed_zh = "how many are needed is not known yet", "尚不知需要多少"
    else:
        needed = f"{gate.required_n:,} needed in arm {least}"
        needed_zh = f"{least_zh}组共需 {gate.required_n:,} {zh}"
    days, days_zh = _days(gate)
    return (
        f"no verdict yet: {n_arm:,} and {n_control:,} {en} with {arm} and {control}, {needed}{days}.",
        f"尚无结论：{arm_zh}与{control_zh}各有 {n_arm:,} 与 {n_control:,} {zh}，{needed_zh}{days_zh}。",
    )


def not_enough(trial: Trial, gate: Gate) -> tuple[str, str]:
    """The last date came first."""
    (en, zh), (arm, arm_zh) = unit_words(trial.unit), quoted(gate.arm)
    if gate.samples_needed is None:
        return (
            f"not enough samples: how many are needed cannot be said, because {arm} or the control has fewer than "
            f"two {en}, or all their rewards are alike.",
            f"样本不足：无法得知需要多少，因为{arm_zh}组或对照组的样本不足两个，或数值全都相同。",
        )
    days, days_zh = _days(gate)
    return (
        f"not enough samples: {gate.samples_needed:,} more {en} in arm {arm}{days}.",
        f"样本不足：{arm_zh}组还差 {gate.samples_needed:,} {zh}{days_zh}。",
    )


def _days(gate: Gate) -> tuple[str, str]:
    if gate.samples_needed is None or not gate.samples_needed:
        return "", ""
    if gate.days_needed is None:
        return ", and at present none come", "，目前没有新增"
    return (
        f", about {gate.days_needed:,} {'day' if gate.days_needed == 1 else 'days'} at the present pace",
        f"，按目前速度约需 {gate.days_needed:,} 天",
    )


def withheld(trial: Trial, p_value: float, counts: list[tuple[str, int]]) -> tuple[str, str]:
    """The arms did not get the units that they were meant to get."""
    en, zh = unit_words(trial.unit)
    given = [(*quoted(arm), n) for arm, n in counts]
    listed = ", ".join(f"{n:,} with {arm}" for arm, _, n in given)
    listed_zh = "，".join(f"{arm_zh}组 {n:,}" for _, arm_zh, n in given)
    p = _p_value(p_value)
    return (
        f"withheld: the arms did not get the {en} that they were meant to get ({listed}; sample ratio {p}, at least "
        "0.001 is expected). Find out where assignment, matching or logging loses some of them.",
        f"暂不下结论：各组得到的样本与应得的比例不符（{listed_zh}，单位：{zh}；样本比例检验 {p}，应不小于 0.001）。"
        "请先查明样本在分组、匹配或记录的哪一步丢失。",
    )


def verdict(
    trial: Trial,
    shown: Shown,
    method: str,
    found: Effect,
    names: tuple[str, str],
    counts: tuple[int, int],
    p_value: float,
    blocked: bool,
) -> tuple[str, str]:
    """The effect of an arm. `blocked`: the interval leaves 0 out, but the deciding KPI shows no difference."""
    better = found.effect > 0 if p_value < trial.alpha else None
    low, high = (shown.number(end) for end in found.interval)
    level, p = f"{100 * (1 - found.alpha):.3g}", _p_value(p_value)
    (n_arm, n_control), (unit, unit_zh) = counts, unit_words(trial.unit)
    (kpi, kpi_zh), (decides, decides_zh) = shown.label, kpi_label(trial.kpi)
    claim, claim_zh = _claim(trial, names, better)
    arm, control, difference = shown.values(0, found)
    en = (
        f"{claim}: {kpi} {arm} against {control}, {difference} "
        f"({level} % interval {low} to {high}), {p}, n = {n_arm:,} and {n_control:,} {unit}"
    )
    arm, control, difference = shown.values(1, found)
    zh = (
        f"{claim_zh}：{kpi_zh} {arm} 对 {control}，{difference}"
        f"（{level}% 置信区间 {low} 至 {high}），{p}，样本 {n_arm:,} 与 {n_control:,} {unit_zh}"
    )
    remarks = (
        (trial.unit == "venue_day", "days are the units, not visitors", "样本单位是天，而非访客"),
        (
            method == "matched_weekdays",
            "whatever else changed between the two periods is part of the difference",
            "两段时间之间的其他变化也包含在差异之中",
        ),
        (method == "adaptive", "every unit weighted by the share its arm had", "每个样本按其分组当时的比例加权"),
        (
            method == "cuped",
            f"adjusted for the {kpi} of the same people in the 28 days before",
            f"已按同一批人此前 28 天的{kpi_zh}校正",
        ),
        (
            blocked,
            f"no claim on {kpi}, because {decides}, which decides, does not differ",
            f"起决定作用的{decides_zh}没有差异，故不就{kpi_zh}下结论",
        ),
    )
    said = [(remark, remark_zh) for holds, remark, remark_zh in remarks if holds]
    return "; ".join([en, *(r for r, _ in said)]) + ".", "；".join([zh, *(r for _, r in said)]) + "。"


def not_stated(kpi: str, names: tuple[str, str], why: NotComputable) -> tuple[str, str]:
    """All gates held, and still there is nothing to compare."""
    (arm, arm_zh), (control, control_zh) = map(quoted, names)
    label, label_zh = kpi_label(kpi)
    return (
        f"{arm} against {control}: no effect on {label} can be stated. {why.reason}",
        f"{arm_zh}对{control_zh}：无法给出对{label_zh}的影响。{_REASONS_ZH[why.cause]}",
    )


def _claim(trial: Trial, names: tuple[str, str], better: bool | None) -> tuple[str, str]:
    """What the numbers behind it amount to: None is no difference."""
    (arm, arm_zh), (control, control_zh) = both = tuple(map(quoted, names))
    if trial.kind == "before_after":
        after, after_zh = {
            True: ("higher than", "高于"),
            False: ("lower than", "低于"),
            None: ("not shown to differ from", "未见不同于"),
        }[better]
        return (
            f"not randomised: {arm} is {after} {control} on the same weekdays",
            f"并非随机试验：按相同星期几比较，{arm_zh}{after_zh}{control_zh}",
        )
    if better is None:
        return f"no difference between {arm} and {control} is shown", f"未见{arm_zh}与{control_zh}有差异"
    (winner, winner_zh), (loser, loser_zh) = both if better else both[::-1]
    return f"{winner} beats {loser}", f"{winner_zh}优于{loser_zh}"


def _p_value(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"
