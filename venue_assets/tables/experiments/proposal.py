"""A finding and the test that follows from it: its sentences, and its block for `site.toml`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil
from typing import Final

from venue_assets.methods.effect import Effect
from venue_assets.methods.sample_size import minimum_sample_size
from venue_assets.tables.experiments.wording import Shown, unit_words

ALPHA: Final = 0.05
RECENT: Final = 7
"""Dates of a funnel step that are held against those before."""
LONGEST: Final = 90
"""Days of a test that is worth proposing: within a quarter, season and offer are still those that it began with."""
_MOST: Final = 2**53


@dataclass(frozen=True)
class Finding:
    """What lies below the norm, and what a test of it would be about."""

    dimension: str
    subject: str
    words: tuple[str, str]
    """The step or the group, in English and Chinese."""
    kpi: str
    unit: str
    observed: float
    norm: float
    level: float
    interval: tuple[float, float]
    n: int
    of: int
    """Visits of all groups; of a step, dates."""
    share: float
    delta: float
    variance: float
    """Of both arms together."""
    units_a_day: float
    base: float
    """Mean of the KPI over all of the venue's units."""

    @property
    def expected_gain(self) -> float:
        return self.delta * self.share / self.base

    @property
    def required_n(self) -> int:
        needed = minimum_sample_size(delta=self.delta, variance=self.variance, alpha=ALPHA)
        # A single unit of each arm leaves no error to be estimated; and absurd amounts ask for absurd numbers.
        return min(_MOST, max(2, needed))

    @property
    def days(self) -> int:
        return ceil(2 * self.required_n / self.units_a_day)


def sentences(f: Finding, currency: str) -> tuple[str, str]:
    """What was found and what is worth testing, in English and Chinese."""
    tested = Shown.of(f.kpi, currency)
    # The ratio of a step is a fraction, whatever its test is judged by.
    seen = Shown.fraction(f.words) if f.dimension == "funnel" else tested
    compared = Effect(f.norm, f.observed, 1.0)
    low, high = (seen.number(end) for end in f.interval)
    level, gain = f"{100 * f.level:.4g}", f"{100 * f.expected_gain:.1f}"
    (unit, unit_zh), (kpi, kpi_zh) = unit_words(f.unit), tested.label
    said = []
    for language in (0, 1):
        observed, norm, difference = seen.values(language, compared)
        said.append((observed, norm, difference, tested.written(f.delta, language, is_step=True)))
    observed, norm, difference, delta = said[0]
    if f.dimension == "funnel":
        en = (
            f"{f.words[0]}: {observed} in the last {RECENT} dates against {norm} on the same weekdays before, "
            f"{difference} ({level} % interval {low} to {high}), {f.n} dates"
        )
    else:
        en = (
            f"{f.words[0]}: {kpi} {observed} against {norm} of all visits, {difference} ({level} % interval {low} "
            f"to {high}), {f.n:,} of {f.of:,} visits without a treatment"
        )
    days = f"about {f.days:,} {'day' if f.days == 1 else 'days'} at the present traffic"
    if f.days > LONGEST:
        en += (
            f"; out of reach of a test: to show {delta} of {kpi} takes {f.required_n:,} {unit} per arm, {days}, and "
            f"more than {LONGEST} days are too long."
        )
    else:
        en += f"; worth testing: {delta} of {kpi}, {f.required_n:,} {unit} per arm, {days}, for {gain} % more in all."
    observed, norm, difference, delta = said[1]
    if f.dimension == "funnel":
        zh = (
            f"{f.words[1]}：最近 {RECENT} 天为 {observed}，此前相同星期几为 {norm}，{difference}"
            f"（{level}% 置信区间 {low} 至 {high}），{f.n} 天"
        )
    else:
        zh = (
            f"{f.words[1]}：{kpi_zh} {observed}，全部到访为 {norm}，{difference}（{level}% 置信区间 {low} 至 {high}），"
            f"未受干预的 {f.of:,} 次到访中的 {f.n:,} 次"
        )
    days = f"按目前客流约需 {f.days:,} 天"
    if f.days > LONGEST:
        zh += f"；无法用试验检验：要测出{kpi_zh} {delta}，每组需 {f.required_n:,} {unit_zh}，{days}，"
        zh += f"超过 {LONGEST} 天则过长。"
    else:
        zh += f"；值得一试：{kpi_zh} {delta}，每组 {f.required_n:,} {unit_zh}，{days}，总体可多 {gain}%。"
    return en, zh


def block(finding: Finding, venue_id: str, rank: int, day: date, begins: date, sentence: str) -> str:
    """The test as TOML, with whom to give an arm: an experiment's units are those that were given one."""
    whom = f"every visit at {venue_id}" if finding.unit == "visit" else f"{venue_id}, once every day"
    if finding.dimension != "funnel":
        whom = f"{finding.words[0]}, and no others"
    name = re.sub(r"[^A-Za-z0-9_]", "_", f"{venue_id}_{finding.dimension}_{finding.kpi}_{day:%Y%m%d}")
    lines = (
        one_line(f"# Hypothesis {rank} of {venue_id}, {day}. {sentence}"),
        one_line(f"# Give an arm to: {whom}. Say what you try instead of `variant`."),
        "[[experiments]]",
        f"id = {json.dumps(name)}",
        f"venue_id = {json.dumps(venue_id, ensure_ascii=False)}",
        'kind = "randomised"',
        f'unit = "{finding.unit}"',
        'arms = ["as_now", "variant"]',
        f'kpi = "{finding.kpi}"',
        f"minimum_effect = {finding.delta!r}",
        f"first_date = {begins}",
        f"last_date = {begins + timedelta(days=finding.days - 1)}",
    )
    return "\n".join(lines) + "\n"


def one_line(text: str) -> str:
    """Without control characters, which a comment in TOML must not have."""
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)
