"""Experiments and ideas for new ones."""

from __future__ import annotations

import html
import re
from typing import Any, Final, get_args

from edge_collector.experiment import VisitorCovariate
from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.methods.context_groups import EVERYBODY, conditions, rules
from venue_assets.pictures.colours import ARMS
from venue_assets.pictures.tree import Wording, forest, outline
from venue_assets.report import charts
from venue_assets.report import trial_findings as findings
from venue_assets.report.blocks import Block, Idea, Table, Tone, Verdict
from venue_assets.report.figures import Asker, Row
from venue_assets.report.subject import Venue
from venue_assets.report.trials import Outcome, Trial, hypotheses, total_shares, trials
from venue_assets.report.wording import Words, typeset
from venue_assets.semantic_layer.covariates import rule
from venue_assets.semantic_layer.metrics import LANGUAGES, registry
from venue_assets.tables.experiments.proposal import RECENT
from venue_assets.tables.experiments.wording import Shown, kpi_label, unit_words

_TONES: Final[dict[Outcome, Tone]] = {
    "better": "good",
    "worse": "bad",
    "higher": "neutral",
    "lower": "neutral",
    "no_difference": "neutral",
    "running": "neutral",
    "not_enough": "neutral",
    "withheld": "bad",
}
_KINDS: Final = {
    "randomised": ("randomised, fixed shares", "随机，固定份额"),
    "bandit": ("randomised, shares move to what works (bandit)", "随机，份额向有效者移动（多臂老虎机）"),
    "before_after": ("before and after, not randomised", "前后对比，非随机"),
}


def experiments(words: Words, asker: Asker, venue: Venue) -> list[Verdict]:
    """Each experiment: what came of it, and how far it has come."""
    return [
        _untold(words, trial) if trial.is_of_few(asker.smallest_cell) else _verdict(words, trial, venue.currency)
        for trial in trials(asker, venue)
    ]


def _untold(words: Words, trial: Trial) -> Verdict:
    n = words.number(words.smallest_cell)
    said = words(
        f"Withheld: an arm has fewer than {n} {words(*unit_words(trial.unit))} so far.",
        f"不公布：有的组至今不足 {n} {words(*unit_words(trial.unit))}。",
    )
    return Verdict(trial.experiment_id, words.withheld[:1].upper() + words.withheld[1:], "neutral", said, [said])


def _verdict(words: Words, trial: Trial, currency: str) -> Verdict:
    badge = words(*findings.BADGES[trial.outcome])
    if trial.outcome == "running" and trial.progress is not None:
        badge += words(": ", "：") + words.percent(min(trial.progress, 0.99), 0)
    unit, kpi = words(*unit_words(trial.unit)), _kpi(words, trial)
    about = words(
        f"{words(*_KINDS[trial.kind])}; unit {trial.unit.replace('_', ' ')}, KPI {kpi}; "
        f"{words.days(trial.first_date, trial.last_date)}",
        f"{words(*_KINDS[trial.kind])}；单位{unit.lstrip('次位')}，KPI {kpi}；"
        f"{words.days(trial.first_date, trial.last_date)}",
    )
    first = trial.deciding
    sentences = [_begun(words, row) for row in trial.verdicts]
    blocks = [
        block
        for block in (
            _progress(words, trial),
            _effect(words, trial),
            _tree(words, trial, currency),
            _shares(words, trial),
        )
        if block
    ]
    glance = _begun(words, first) if first else words("No figures yet.", "尚无数据。")
    glance += findings.pace_in_short(words, trial)
    return Verdict(trial.experiment_id, badge, _TONES[trial.outcome], glance, sentences, about, blocks)


def _begun(words: Words, row: Row) -> str:
    """The conclusion of a row, begun with a capital."""
    said = typeset(row[words("conclusion", "conclusion_zh")])
    return said[:1].upper() + said[1:]


def _kpi(words: Words, trial: Trial) -> str:
    """What the registry calls the KPI; with its unit where figures would not say it."""
    label, figure = words(*kpi_label(trial.kpi)), registry().kpi(trial.kpi)
    if figure.unit != "s":
        return label
    return words(f"{label} ({registry().units['s'].en})", f"{label}（{registry().units['s'].zh}）")


def _is_fraction(trial: Trial) -> bool:
    return registry().kpi(trial.kpi).is_fraction


def _progress(words: Words, trial: Trial) -> Block:
    unit = words(*unit_words(trial.unit))
    rows = []
    for gate in trial.gates:
        of = words.number(gate["required_n"]) if gate["required_n"] else "?"
        text = words(f"{words.number(gate['n'])} of {of} {unit}", f"{words.number(gate['n'])} / {of} {unit}")
        rows.append(
            {
                "arm": gate["arm"],
                "n": gate["n"],
                "required": gate["required_n"],
                "text": text,
                "given": words.number(gate["n_units"]),
            }
        )
    note = words(
        "Bars: what the units so far are worth; black lines: what is needed. ",
        "条形：目前样本的有效数量；黑线：所需数量。",
    )
    note += findings.ratio(words, trial) + findings.since_then(words, trial) + findings.pace(words, trial)
    note += findings.days_count(words, trial)
    columns = [words("Arm", "组"), words("Worth of needed", "有效 / 所需"), words("Units", "样本")]
    return Block(
        findings.progress(words, trial), note, spec=charts.progress(rows),
        table=Table(columns, [[r["arm"], r["text"], r["given"]] for r in rows], frozenset({1, 2})),
    )  # fmt: skip


def _effect(words: Words, trial: Trial) -> Block | None:
    """Only of the one analysis: there is no effect to look at before it."""
    rows, deciding = trial.effects, trial.deciding
    if not rows or deciding is None:
        return None
    fraction = _is_fraction(trial)
    shown = [
        {"arm": f"{r['arm']} − {r['control']}", "text": _written(words, trial, r)}
        | {n: 100 * r[n] if fraction else r[n] for n in ("effect", "low", "high")}
        for r in rows
    ]
    kpi = _kpi(words, trial)
    worth = 100 * trial.minimum_effect if fraction else trial.minimum_effect
    note = words(
        f"Difference in {kpi}{' in points' if fraction else ''} by the one analysis of "
        f"{words.day(rows[0]['analysed_on'])}, "
        f"with its {words.percent(rows[0]['level'], 0 if rows[0]['level'] == 0.95 else 1)} interval; dashed: the "
        "smallest effect worth finding.",
        f"{words.day(rows[0]['analysed_on'])}唯一一次分析的{kpi}之差{'（百分点）' if fraction else ''}及其 "
        f"{words.percent(rows[0]['level'], 0 if rows[0]['level'] == 0.95 else 1)} 区间；虚线：值得发现的最小效应。",
    )
    if not trial.is_randomised:
        note += words(
            " Not randomised: whatever else changed between the dates is part of the difference.",
            "非随机：各日期间其他变化也包含在差异内。",
        )
    columns = [
        words("Comparison", "比较"),
        words("Effect and interval", "效应与区间"),
        words("Control", "对照组"),
        words("Arm", "试验组"),
        "p",
    ]
    cells = [
        [
            s["arm"],
            s["text"],
            _level(words, trial, r["control_mean"]),
            _level(words, trial, r["arm_mean"]),
            "< 0.0001" if r["p_value"] < 0.0001 else f"{r['p_value']:.2g}",
        ]
        for s, r in zip(shown, rows, strict=True)
    ]
    return Block(
        findings.effect(words, trial, deciding, _written(words, trial, deciding)), note,
        spec=charts.effects(
            shown,
            x=words("points", "百分点") if fraction else kpi,
            scale="+.1f" if fraction else "+,.2~f",
            worth=worth,
            worth_label=words("smallest effect worth finding", "值得发现的最小效应"),
        ),
        table=Table(columns, cells, frozenset({1, 2, 3, 4})),
    )  # fmt: skip


def _level(words: Words, trial: Trial, mean: float) -> str:
    return words.percent(mean) if _is_fraction(trial) else words.number(mean, 2)


def _written(words: Words, trial: Trial, row: Row) -> str:
    scale, digits = (100, 1) if _is_fraction(trial) else (1, 2)
    effect, low, high = (words.signed(scale * row[n], digits) for n in ("effect", "low", "high"))
    points = words(" points", " 个百分点") if _is_fraction(trial) else ""
    return words(f"{effect}{points} ({low} to {high})", f"{effect}{points}（{low} 至 {high}）")


def _shares(words: Words, trial: Trial) -> Block | None:
    if not trial.planned:
        return None
    day = trial.planned[0]["day"]
    total = total_shares(trial.planned)
    arms = [*trial.arms, *(arm for arm in total if arm not in trial.arms)]
    given: dict[Any, dict[str, int]] = {}
    for row in trial.given:
        given.setdefault(row["assigned_on"], {})[row["arm"]] = row["units"]
    given = {on: of for on, of in sorted(given.items()) if sum(of.values())}
    days = words.names([*given, day])
    plan = days[day]
    columns = {days[on]: {arm: of.get(arm, 0) / sum(of.values()) for arm in arms} for on, of in given.items()} | {
        plan: total
    }
    rows = [
        {
            "day": label,
            "series": arm,
            "value": of.get(arm, 0.0),
            "place": -n,
            "figure": words.percent(of.get(arm, 0.0), 0),
        }
        for label, of in columns.items()
        for n, arm in enumerate(arms)
    ]
    leading = max(total, key=lambda arm: total[arm])
    note = findings.shares_note(words, trial, leading)
    note += words(" Groups and their planned shares:", "各群体的计划份额：")
    groups, told = {row["leaf"]: row for row in trial.planned}, _rules(words, trial.tree)
    planned = {(row["leaf"], row["arm"]): row["share"] for row in trial.planned}
    table = Table(
        [words("Group of visitors", "访客群体"), words("Expected", "预计"), *arms],
        [
            [
                # A plan by another tree than the last one has its rule as it was written down.
                told.get(str(group["rule"]), str(group["rule"])),
                words.number(group["forecast"]),
                *(words.percent(planned.get((leaf, arm), 0.0), 0) for arm in arms),
            ]
            for leaf, group in groups.items()
        ],
        frozenset(range(1, 2 + len(arms))),
    )
    colours = [ARMS[n % len(ARMS)] for n in range(len(arms))]
    return Block(
        findings.shares(words, trial, leading), note,
        spec=charts.stacked_days(rows, series=arms, colours=colours, y=words("share", "份额"), share=True,
            apart=(plan, words("plan", "计划"))),
        table=table, open_table=True, wide=True,
    )  # fmt: skip


def _tree(words: Words, trial: Trial, currency: str) -> Block | None:
    if trial.tree is None:
        return None
    leaves = sum(not node["children"] for node in trial.tree["nodes"])
    # What leaves of a tree of effects predict are effects, and those are not shown before the verdict.
    of_effects = any(n.get("response") for n in trial.tree["nodes"])
    told = trial.is_decided or not of_effects
    shown = Shown.of(trial.kpi, currency)
    wording = Wording(
        language=words.language,
        leaf=words("group", "群体"),
        mean=words("mean", "均值") if told else None,
        written=lambda mean: shown.written(mean, LANGUAGES.index(words.language), is_step=of_effects),
        response=lambda response: _contrast(words, trial, response),
        more=words("and {} more", "另有 {} 项"),
        tests=trial.is_decided,
        between=(words(", ", "、"), words(", ", "，"), words(": ", "：")),
    )
    svg = forest([("", trial.tree, wording)])
    title = findings.tree(words, leaves, trial.fitted_on, words(*kpi_label(trial.kpi)), of_effects=of_effects)
    note = words(
        "Conditional inference tree: in each node the covariate that tells visitors apart best",
        "条件推断树：每个节点为最能区分访客的变量",
    )
    if trial.is_decided:
        note += words(", with its adjusted p-value", "及其校正后的 p 值")
    unit = words(*unit_words(trial.unit))
    what = words("mean effect" if of_effects else "mean KPI", "平均效应" if of_effects else " KPI 均值")
    note += words(
        f"; n {unit}{f' and their {what}' if told else ''} in each group.",
        f"；每个群体的{unit.lstrip('次位')}数 n{f' 与{what}' if told else ''}。",
    )
    if told:
        note += findings.chosen(words)
    if leaves == 1:
        return Block(title, words("No covariate tells groups apart.", "没有变量能区分群体。"), is_empty=True)
    # As wide as there is place, but never so small that it cannot be read: then it scrolls.
    width = float(re.search(r'width="(\d+)"', svg)[1])  # type: ignore[index]
    named = f'role="img" aria-label="{html.escape(title, quote=True)}" style="min-width: {0.75 * width:.0f}px"'
    labelled = svg.replace("<svg ", f"<svg {named} ", 1)
    return Block(title, note, svg=labelled, outline=outline(trial.tree, wording))


def _contrast(words: Words, trial: Trial, response: str) -> list[str]:
    """What a node of a tree of effects is about, "tea against none", in two lines."""
    control = trial.arms[0]
    arm = response.removesuffix(f" against {control}")
    return [arm, words(f"against {control}", f"对比 {control}")]


def _rules(words: Words, tree: dict[str, Any] | None) -> dict[str, str]:
    """The groups of a tree in words, by their rules as tables have them."""
    told = {EVERYBODY: rule((), words.language)}
    if tree is not None:
        fitted, personal = ConditionalInferenceTree.from_dict(tree), get_args(VisitorCovariate)
        written = rules(fitted, personal)
        told |= {written[leaf]: rule(of, words.language) for leaf, of in conditions(fitted, personal).items()}
    return {written: said[:1].upper() + said[1:] for written, said in told.items()}


def ideas(words: Words, asker: Asker, venue: Venue) -> list[Idea]:
    """What might be tried next, with the test that would tell."""
    found = [(typeset(row[words("finding", "finding_zh")]), row["block"]) for row in hypotheses(asker, venue)]
    return [_idea(words, said, block) for said, block in found]


def _idea(words: Words, said: str, block: str | None) -> Idea:
    """What was found, and after the last semicolon the test of it."""
    finding, _, test = (part[:1].upper() + part[1:] for part in said.rpartition(words("; ", "；")))
    return Idea(finding + words(".", "。"), test, block) if finding else Idea(test, "", block)


def no_ideas(words: Words, asker: Asker, venue: Venue) -> str:
    """What is said where there are none; of the first dates that there is no norm yet."""
    since = asker.since(venue)
    if (asker.subject.last - since).days < RECENT:
        return words(
            f"Too early to tell: records begin on {words.day(since)}, and a norm takes more than {RECENT} dates.",
            f"为时尚早：记录始于{words.day(since)}，超过 {RECENT} 天的记录才能构成平常水平。",
        )
    return words("Nothing stands out from the venue's own norm.", "没有明显低于该场所平常水平之处。")
