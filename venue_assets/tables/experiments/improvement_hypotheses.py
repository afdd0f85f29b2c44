"""What a venue might try next: where it falls below its own norm, and the test of whether that can change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import sqrt
from typing import Any, Final, get_args

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from edge_collector.experiment import VisitorCovariate
from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.methods.context_groups import conditions, rules
from venue_assets.methods.effect import Effect
from venue_assets.methods.matched_weekdays import matched_weekdays
from venue_assets.methods.sample_size import planned_continuous_variance, planned_ratio_variance
from venue_assets.methods.two_sample import Sample
from venue_assets.semantic_layer.covariates import level, rule
from venue_assets.semantic_layer.metrics import LANGUAGES
from venue_assets.tables.experiments.proposal import ALPHA, LONGEST, RECENT, Finding, block, one_line, sentences

DATES: Final = 28
"""Dates whose visits are looked at, this one the last."""
FEWEST: Final = 50
"""Visits of a group, and of all others, below which nothing is said of it."""
FEWEST_BUYERS: Final = 10
"""That many are expected in a group of the norm, and as many who do not buy: the normal distribution rests on it."""
NEW: Final = "new"
"""The segment of who was not there in the year before, as visitor_contexts calls it."""
DIMENSIONS: Final = ("funnel", "leaf", "segment", "hour")

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

_VISITS: Final = """
SELECT v.*, (v.orders > 0)::DOUBLE AS conversion, c.* EXCLUDE (event_date, venue_id, user_id)
FROM control_visits AS v
LEFT JOIN visitor_contexts AS c
  ON c.event_date = v.event_date AND c.venue_id = v.venue_id AND c.user_id = v.user_id
ORDER BY v.venue_id, v.event_date, v.session_id
"""
# What is null of a date leaves that date out of the step.
_DAYS: Final = """
SELECT p.venue_id, p.event_date, isodow(p.event_date) AS weekday, p.currency,
  getvariable('event_date') - p.event_date < $recent AS recent, p.pv::DOUBLE AS pv, p.ocr,
  p.paying_users::DOUBLE AS paying_users, p.ocr AS walk_in, p.recognition_share AS recognised, v.buying,
  p.paying_users / nullif(p.completed_orders, 0) AS payers
FROM primary_metrics AS p
LEFT JOIN (
  SELECT event_date, venue_id,
    sum(weight ORDER BY session_id) FILTER (orders > 0) / sum(weight ORDER BY session_id) AS buying
  FROM control_visits
  GROUP BY event_date, venue_id
) AS v ON v.event_date = p.event_date AND v.venue_id = p.venue_id
ORDER BY p.venue_id, p.event_date
"""
_TREES: Final = """
SELECT e.venue_id, t.tree
FROM context_tree AS t
JOIN experiments AS e ON e.experiment_id = t.experiment_id
ORDER BY t.experiment_id
"""
_BOOKED: Final = "SELECT venue_id, unit, until FROM booked_units"
_SCHEMA: Final = pa.schema(
    {
        "venue_id": pa.string(),
        "rank": pa.int32(),
        "dimension": pa.string(),
        "subject": pa.string(),
        "kpi": pa.string(),
        "unit": pa.string(),
        "observed": pa.float64(),
        "norm": pa.float64(),
        "difference": pa.float64(),
        "level": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "n": pa.int64(),
        "share": pa.float64(),
        "delta": pa.float64(),
        "required_n": pa.int64(),
        "days": pa.int64(),
        "expected_gain": pa.float64(),
        "finding": pa.string(),
        "finding_zh": pa.string(),
        "block": pa.string(),
    }
)


def compute(con: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
    """The findings of each venue, ranked."""
    visits = con.sql(_VISITS).pl()
    days = con.sql(_DAYS, params={"recent": RECENT}).pl()
    trees: dict[str, list[str]] = {}
    for venue_id, tree in con.sql(_TREES).fetchall():
        trees.setdefault(venue_id, []).append(tree)
    booked = {(venue_id, unit): until for venue_id, unit, until in con.sql(_BOOKED).fetchall()}
    rows: list[dict[str, Any]] = []
    for (venue_id,), of_venue in days.group_by("venue_id", maintain_order=True):
        own = visits.filter(pl.col("venue_id") == venue_id)
        groups = _groups(own, trees.get(str(venue_id), []), _began(of_venue, day))
        found = [*_weakest_step(of_venue), *_weakest_groups(own, of_venue, groups)]
        found.sort(key=lambda f: (-f.expected_gain, DIMENSIONS.index(f.dimension), f.kpi))
        for rank, finding in enumerate(found, 1):
            begins = max(day, booked.get((str(venue_id), finding.unit), day)) + timedelta(days=1)
            rows.append(_row(finding, str(venue_id), of_venue["currency"][-1], rank, day, begins))
    return pa.Table.from_pylist(rows, _SCHEMA)


# Steps of the funnel --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    """A ratio of each date, and the KPI of a test that is to raise it."""

    name: str
    words: tuple[str, str]
    kpi: str
    unit: str


_STEPS: Final = (
    _Step("walk_in", ("people who walk in per passer-by", "路过者中进店的比例"), "ocr", "venue_day"),
    _Step("recognised", ("recognised visits per person who walks in", "进店者中被识别的比例"), "pv", "venue_day"),
    _Step("buying", ("share of recognised visits with an order", "到访中下单的比例"), "conversion", "visit"),
    _Step("payers", ("known payers per completed order", "每个成交订单的付费用户数"), "paying_users", "venue_day"),
)


def _weakest_step(days: pl.DataFrame) -> Iterator[Finding]:
    """Of one venue, the step that has fallen furthest, relative to what it was."""
    fallen: list[tuple[float, _Step, Effect, int]] = []
    for step in _STEPS:
        known = days.filter(pl.col(step.name).is_not_null())
        now, then = known.filter("recent"), known.filter(~pl.col("recent"))
        found = matched_weekdays(
            then[step.name],
            now[step.name],
            before_weekdays=then["weekday"],
            after_weekdays=now["weekday"],
            alpha=ALPHA / len(_STEPS),
        )
        if isinstance(found, Effect) and found.interval[1] < 0 and found.arm > 0:
            fallen.append((found.effect / found.control, step, found, known.height))
    if not fallen:
        return
    _, step, found, n = min(fallen, key=lambda of: of[0])
    if step.kpi == "conversion":
        base, units_a_day = found.arm, _mean(days["pv"])
        delta = _worth_testing(-found.effect)
        variance = planned_ratio_variance(base, delta)
    else:
        # Days are the units, and what the step leads to is what they are judged by.
        recent = days.filter("recent")[step.kpi].drop_nulls()
        base, units_a_day = _mean(recent), 1.0
        delta = _worth_testing(base * (found.control / found.arm - 1), below=1.0 if step.kpi == "ocr" else None)
        variance = planned_continuous_variance(Sample.of(days[step.kpi].drop_nulls()).variance)
    if not (base > 0 and units_a_day > 0 and variance > 0):
        return
    yield Finding(
        "funnel", step.name, step.words, step.kpi, step.unit, found.arm, found.control, 1 - found.alpha,
        found.interval, n, days.height, 1.0, delta, variance, units_a_day, base,
    )  # fmt: skip


# Groups of visits -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Group:
    dimension: str
    subject: str
    words: tuple[str, str]
    inside: Mask


def _weakest_groups(visits: pl.DataFrame, days: pl.DataFrame, possible: Iterable[_Group]) -> Iterator[Finding]:
    """Of one venue, per dimension and KPI the group that lies furthest below all visits."""
    if visits.height < 2 * FEWEST:
        return
    groups = [g for g in possible if min(g.inside.sum(), (~g.inside).sum()) >= FEWEST]
    pv = _mean(days["pv"])
    if not groups or not pv > 0:
        return
    weight = visits["weight"].to_numpy()
    everyone = {kpi: _Weighed.of(visits[kpi].to_numpy(), weight) for kpi in ("conversion", "amount")}
    buyers = everyone["conversion"].mean
    # Some of both kinds are needed; whether they are there is not looked up in the group itself.
    converting = [g for g in groups if g.inside.sum() * min(buyers, 1 - buyers) >= FEWEST_BUYERS]
    compared = len(converting) + len(groups)
    for dimension in DIMENSIONS:
        for kpi, of in (("conversion", converting), ("amount", groups)):
            below = [
                (found.effect, n, g, found)
                for n, g in enumerate(of)
                if g.dimension == dimension
                and (found := _against_all(everyone[kpi], g.inside, ALPHA / compared))
                and found.interval[1] < 0
            ]
            if below:
                _, _, group, found = min(below, key=lambda b: b[:2])
                yield _of_group(group, kpi, everyone[kpi], found, pv)


@dataclass(frozen=True)
class _Weighed:
    """Values of visits, each of which stands for `weight` of them."""

    values: FloatArray
    weight: FloatArray
    mean: float
    variance: float

    @classmethod
    def of(cls, values: FloatArray, weight: FloatArray) -> _Weighed:
        mean = float((weight * values).sum() / weight.sum())
        spread = float((weight * (values - mean) ** 2).sum() / weight.sum())
        return cls(values, weight, mean, spread * len(values) / (len(values) - 1))

    def inside(self, group: Mask) -> _Weighed:
        return _Weighed.of(self.values[group], self.weight[group])


def _of_group(group: _Group, kpi: str, everyone: _Weighed, found: Effect, pv: float) -> Finding:
    own = everyone.inside(group.inside)
    delta, share = _worth_testing(-found.effect), float(own.weight.sum() / everyone.weight.sum())
    # The gate plans with all of the venue's visits, so that less than their variance would promise too much.
    if kpi == "conversion":
        variance = max(planned_ratio_variance(rate, min(delta, 1 - rate)) for rate in (own.mean, everyone.mean))
    else:
        variance = max(planned_continuous_variance(of.variance) for of in (own, everyone))
    return Finding(
        group.dimension, group.subject, group.words, kpi, "visit", found.arm, found.control, 1 - found.alpha,
        found.interval, len(own.values), len(everyone.values), share, delta, variance, pv * share, everyone.mean,
    )  # fmt: skip


def _against_all(everyone: _Weighed, inside: Mask, alpha: float) -> Effect | None:
    """A group's mean against that of all visits, to which the group belongs.

    Were the group nothing special, it would be so many visits drawn from all: with equal weights, variance
    S²/n·(1 - n/N); else the same with the weights of either mean. With the group's own variance instead, as in Welch's
    test, a group with few large amounts by chance has a low mean and a small error at once; of 200 venues without any
    differences 20 then had a finding, at a level that allows for 5.
    Source: Cochran, "Sampling Techniques" (1977), section 2.5.
    """
    if not everyone.variance > 0:
        return None
    own = everyone.inside(inside)
    # What each visit adds to the group's mean, less what it adds to that of all.
    part = np.where(inside, everyone.weight / own.weight.sum(), 0.0) - everyone.weight / everyone.weight.sum()
    return Effect(everyone.mean, own.mean, sqrt(everyone.variance * float((part**2).sum())), alpha)


def _groups(visits: pl.DataFrame, trees: Sequence[str], began: date | None) -> Iterator[_Group]:
    """`began` is the first date of the venue's records, where that is known."""
    for text in trees:
        tree = ConditionalInferenceTree.from_dict(json.loads(text))
        leaves = tree.apply(visits).to_numpy()
        written = rules(tree, get_args(VisitorCovariate))
        for leaf, of in conditions(tree, get_args(VisitorCovariate)).items():
            said, said_zh = (one_line(rule(of, language)) for language in LANGUAGES)
            words = (f"visits of the group with {said}", f"{said_zh}这一群体的到访")
            yield _Group("leaf", one_line(written[leaf]), words, leaves == leaf)
    segments = visits["segment"].fill_null(NEW)
    for segment in sorted(segments.unique()):
        named, named_zh = (level("segment", segment, language) for language in LANGUAGES)
        words = (f"visits of segment {named}", f"{named_zh}分群的到访")
        if segment == NEW:
            reach, reach_zh = "as far as records reach", "以现有记录为准"
            if began:
                reach, reach_zh = f"in records that begin on {began}", f"记录始于 {began}"
            words = (
                f"visits of segment {named}, people not there in the 365 dates before, {reach}",
                f"{named_zh}（此前 365 天未到访者，{reach_zh}）分群的到访",
            )
        yield _Group("segment", segment, words, (segments == segment).to_numpy())
    for hour in sorted(visits["hour"].unique()):
        words = (f"visits that begin from {hour}:00 to {hour}:59", f"{hour}:00 至 {hour}:59 开始的到访")
        yield _Group("hour", str(hour), words, (visits["hour"] == hour).to_numpy())


def _began(days: pl.DataFrame, day: date) -> date | None:
    """The first date of records; None where they fill the dates that are looked at, and may reach back further."""
    first: date = days["event_date"][0]
    return first if (day - first).days < DATES - 1 else None


# The rows -------------------------------------------------------------------------------------------------------------


def _row(finding: Finding, venue_id: str, currency: str, rank: int, day: date, begins: date) -> dict[str, Any]:
    en, zh = sentences(finding, currency)
    return {
        "venue_id": venue_id,
        "rank": rank,
        "dimension": finding.dimension,
        "subject": finding.subject,
        "kpi": finding.kpi,
        "unit": finding.unit,
        "observed": finding.observed,
        "norm": finding.norm,
        "difference": finding.observed - finding.norm,
        "level": finding.level,
        "low": finding.interval[0],
        "high": finding.interval[1],
        "n": finding.n,
        "share": finding.share,
        "delta": finding.delta,
        "required_n": finding.required_n,
        "days": finding.days,
        "expected_gain": finding.expected_gain,
        "finding": en,
        "finding_zh": zh,
        "block": block(finding, venue_id, rank, day, begins, en) if finding.days <= LONGEST else None,
    }


def _worth_testing(missing: float, below: float | None = None) -> float:
    """Half of what is missing: all of it is more than a change is likely to bring. Two digits are precise enough."""
    half = float(f"{missing / 2:.2g}")
    return half if below is None else min(half, 0.99 * below)


def _mean(values: pl.Series) -> float:
    """0 where nothing is known."""
    known = values.drop_nulls().to_numpy()
    return float(known.mean()) if len(known) else 0.0
