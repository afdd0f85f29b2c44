"""The page: a report as one HTML file that needs nothing else, the same bytes for the same publication."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

import duckdb
import jinja2
from markupsafe import Markup

from venue_assets.publish.names import DICTIONARY_PAGES, FRONT_PAGES
from venue_assets.report import comparisons, findings, trust_findings, vega
from venue_assets.report.blocks import Block, Definition, Page, VenuePart
from venue_assets.report.figures import Asker, Figure
from venue_assets.report.losses import whole
from venue_assets.report.sections import customers, trials, visitors
from venue_assets.report.sections import trust as trust_section
from venue_assets.report.sections.cards import GLANCE, against_other_days, cards
from venue_assets.report.subject import Venue, subject_of
from venue_assets.report.trust import trust
from venue_assets.report.wording import Words
from venue_assets.semantic_layer.metrics import Language, Metric, registry
from venue_assets.semantic_layer.query import question
from venue_assets.semantic_layer.star import star

_FOLDER: Final = Path(__file__).parent


def render(
    con: duckdb.DuckDBPyConnection, subject: date | str, *, language: Language = "en", other: str | None = None
) -> str:
    """The report of an event date, or of an activity by its id, from a published database. Raises CannotReport.

    `other` is the name of the file beside it that is the same in the other language, where there is one.
    """
    about = subject_of(con, subject)
    asker = Asker(con, about)
    words = Words(language, asker.smallest_cell)
    page = _completed(words, _page(words, asker))
    own_script = _file("page.js")
    scripts = [vega.script(), own_script]
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    # `<` could end the element that holds them.
    specs = json.dumps(page.specs, ensure_ascii=False, sort_keys=True).replace("<", "\\u003c")
    return _template().render(
        page=page,
        words=words,
        rule=comparisons.rule(words),
        lang={"en": "en", "zh": "zh-Hans"}[language],
        dictionary=DICTIONARY_PAGES[language],
        front_page=FRONT_PAGES[language],
        other=other and quote(other),
        style=Markup(_file("page.css")),  # noqa: S704 (ours)
        scripts=[Markup(script) for script in scripts],  # noqa: S704 (ours)
        specs=Markup(specs),  # noqa: S704 (escaped)
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {hashes}",
    )


def _page(words: Words, asker: Asker) -> Page:
    subject = asker.subject
    found = trust(asker)
    said, good = trust_findings.trust(words, found)
    missing = {
        v.venue_id: [row["event_date"] for row in found.missing_dates if row["venue_id"] == v.venue_id]
        for v in subject.venues
    }
    parts = [_venue(words, asker, venue, missing[venue.venue_id]) for venue in subject.venues]
    shares = [
        (v.name, f["recognition_share"]) for v in subject.venues if "recognition_share" in (f := asker.figures(v))
    ]
    zones = words.listed(list(dict.fromkeys(f"{v.name}: {v.time_zone}, {v.day_starts_at}" for v in subject.venues)))
    activity = next(iter(subject.activities.values())) if subject.is_activity else None
    return Page(
        subject.dates,
        activity.name if activity else words.full_day(subject.last),
        words.days(subject.first, subject.last) if activity else words("Daily report", "每日报告"),
        parts,
        said,
        "good" if good else "bad",
        trust_section.trust_blocks(words, found, shares),
        [
            words(f"Publication {asker.publication_id}", f"发布编号 {asker.publication_id}"),
            words(f"Event date {subject.last}", f"日期 {subject.last}")
            if not activity
            else words(f"Event dates {subject.first} to {subject.last}", f"日期 {subject.first} 至 {subject.last}"),
            words(
                "Generated from published/venue.duckdb by venue report",
                "由 venue report 根据 published/venue.duckdb 生成",
            ),
            words(f"Local time and start of the day: {zones}", f"当地时间与每日起点：{zones}"),
        ],
    )


def _venue(words: Words, asker: Asker, venue: Venue, missing: Sequence[date]) -> VenuePart:
    about = findings.activity(words, asker.subject, venue)
    if not asker.has_records(venue):
        nothing = words("Nothing was recorded here on this date.", "该日期此处没有任何记录。")
        return VenuePart(venue.venue_id, venue.name, about, nothing, [], [], [], [], [], [], [])
    figures = asker.figures(venue)
    shown = cards(words, asker, venue, figures)
    return VenuePart(
        venue.venue_id,
        venue.name,
        about,
        comparisons.headline(words, figures, venue.currency) + _caveats(words, asker, venue, figures, missing),
        list(shown.values()),
        [shown[name] for name in GLANCE if name in shown][:3],
        visitors.visitors(words, asker, venue, figures),
        customers.sales(words, asker, venue),
        customers.customers(words, asker, venue),
        trials.experiments(words, asker, venue),
        trials.ideas(words, asker, venue),
        trials.no_ideas(words, asker, venue),
        against_other_days(words, asker, venue),
    )


def _caveats(words: Words, asker: Asker, venue: Venue, figures: Mapping[str, Figure], missing: Sequence[date]) -> str:
    """What the headline's figures, and those that they are compared with, lack."""
    said = comparisons.unrecorded(words, missing) + comparisons.damage(words, figures.values())
    if asker.subject.is_activity:
        found = whole(asker.damaged(venue))
        partly = {day: of for day, of in found.items() if day >= asker.subject.first and day not in missing}
        said += comparisons.damage_within(words, partly)
    return said


def _completed(words: Words, page: Page) -> Page:
    """The page with what it refers to: specifications of charts, and definitions of metrics."""
    blocks = list(_blocks(page))
    shown = {name for block in blocks for name, _ in block.metrics}
    shown |= {card.metric for venue in page.venues for card in venue.cards}
    dates = page.dates
    definitions = [_definition(words, metric, dates) for metric in registry() if metric.name in shown]
    specs = {chart_id(block): block.spec for block in blocks if block.spec is not None}
    return replace(page, definitions=definitions, specs=specs)


def _definition(words: Words, metric: Metric, dates: str) -> Definition:
    return Definition(
        metric.name,
        metric.label[words.language],
        metric.symbol,
        metric.description[words.language],
        registry().units[metric.unit][words.language],
        question(registry(), star(), [metric.name], by=["event_date", "venue_id"], where=dates),
    )


def chart_id(block: Block) -> str:
    """A name for a chart that follows from what it draws."""
    drawn = json.dumps([block.title, block.spec], sort_keys=True, default=str)
    return f"chart-{hashlib.sha256(drawn.encode()).hexdigest()[:10]}"


def _blocks(page: Page) -> Iterator[Block]:
    groups: list[Sequence[Block]] = [page.trust]
    for venue in page.venues:
        groups += [[venue.compared] if venue.compared else [], venue.visitors, venue.sales, venue.customers]
        groups += [verdict.blocks for verdict in venue.verdicts]
    for group in groups:
        yield from group


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _file(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.globals["chart_id"] = chart_id
    environment.filters["svg"] = Markup  # drawings of ours, whose texts are escaped already
    return environment.from_string(_file("page.html.jinja"))
