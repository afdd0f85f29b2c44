"""The report of a simulated site: each figure is the published one, and the page can be looked at, read and printed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from statistics import median

import duckdb
import pytest

from tests.report.conftest import LAST, Look, cards, reading, section, usual_tuesdays, words_of
from venue_assets.home import Home
from venue_assets.report import render
from venue_assets.semantic_layer.metrics import Language, registry
from venue_assets.semantic_layer.query import question
from venue_assets.semantic_layer.star import star

SUBJECTS: Sequence[date | str] = (LAST, "winter_fair")
BOTH: Sequence[Language] = ("en", "zh")
CURRENCIES = {"harbour": "CNY", "riverside": "EUR"}
PLAIN = ("pf_range", "pf_entrance", "pv", "uv", "completed_orders", "paying_users")


@pytest.fixture(scope="module")
def pages(home: Home) -> dict[tuple[date | str, Language], str]:
    with reading(home) as con:
        return {(s, language): render(con, s, language=language) for s in SUBJECTS for language in BOTH}


@pytest.fixture(scope="module")
def english(pages: dict[tuple[date | str, Language], str]) -> str:
    return pages[LAST, "en"]


# Figures --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("venue_id", CURRENCIES)
def test_figures_are_those_of_primary_metrics(home: Home, english: str, venue_id: str) -> None:
    with reading(home) as con:
        found = con.execute("FROM metrics.primary_metrics WHERE event_date = ? AND venue_id = ?", [LAST, venue_id])
        row = dict(zip([c[0] for c in found.description or ()], found.fetchone() or (), strict=True))
    shown = cards(english, venue_id)
    for metric in PLAIN:
        assert f" {row[metric]:,.0f} " in f" {shown[metric]} ", metric
    assert f"{row['ocr']:.1%}".replace("%", " %") in shown["ocr"]
    assert f"{row['gmv']:,.2f} {CURRENCIES[venue_id]}" in shown["gmv"]
    minutes, seconds = divmod(round(row["lov_median_seconds"]), 60)
    assert f"{minutes} min {seconds} s" in shown["lov_median_seconds"]


@pytest.mark.parametrize("venue_id", CURRENCIES)
def test_figures_are_the_answers_to_their_questions(home: Home, english: str, venue_id: str) -> None:
    """The SQL that the page gives as a definition gives the page's figure."""
    shown = cards(english, venue_id)
    definitions = dict(re.findall(r'<div id="def-(\w+)">.*?<pre[^>]*>(.*?)</pre>', english, re.DOTALL))
    assert set(shown) <= set(definitions)
    with reading(home) as con:
        for metric, said in shown.items():
            sql = (
                definitions[metric]
                .replace("&#39;", "'")
                .replace("&gt;", ">")
                .replace("&lt;", "<")
                .replace("&#34;", '"')
            )
            ((value,),) = [row[2:] for row in con.execute(sql).fetchall() if row[1] == venue_id]
            unit = registry()[metric].format
            if value is None:
                assert "–" in said, metric
            elif unit == "0.0 %":
                assert f"{100 * value:.1f} %" in said, metric
            elif unit == "#,0.00":
                assert f"{Decimal(str(value)):,.2f}" in said, metric
            elif registry()[metric].unit != "s":
                assert f" {value:,.0f} " in f" {said} ", metric


def test_change_is_against_the_median_of_the_same_weekday_in_the_four_weeks_before(
    writable: duckdb.DuckDBPyConnection,
) -> None:
    """One such day says which; with more, how many."""
    writable.execute("UPDATE star.fact_session SET has_entry = true WHERE event_date = DATE '2026-01-06'")
    asked = question(registry(), star(), ["pv"], by=["venue_id"], where=f"event_date IN (DATE '{LAST}')")
    now = dict(writable.execute(asked).fetchall())["harbour"]
    before = {}
    for day, weeks in (("2025-12-30", 2), ("2025-12-23", 3), ("2025-12-16", 4), ("2025-12-09", 5)):
        writable.execute(
            f"""INSERT INTO star.fact_session
            SELECT * REPLACE (DATE '{day}' AS event_date, '{day}' || session_id AS session_id)
            FROM star.fact_session WHERE event_date = DATE '2026-01-06' AND venue_id = 'harbour' AND has_entry
            ORDER BY session_id LIMIT {10 * weeks}"""
        )
        before[weeks] = 10 * weeks
    (first,) = writable.execute(
        "SELECT count(*) FROM star.fact_session WHERE event_date = DATE '2026-01-06' AND venue_id = 'harbour'"
    ).fetchone() or (0,)
    usual = median([first, before[2], before[3], before[4]])  # five weeks before is too long ago
    said = cards(render(writable, LAST), "harbour")["pv"]
    assert f"{100 * (now / usual - 1):+,.1f} %" in said
    assert said.endswith("vs median of 4 Tuesdays, without an activity then")
    assert cards(render(writable, date(2026, 1, 8)), "harbour")["pv"].endswith("no comparable day")


def test_colour_is_not_the_only_sign_of_a_change(writable: duckdb.DuckDBPyConnection) -> None:
    usual_tuesdays(writable, "harbour")
    found = re.findall(
        r'<span class="change (good|bad)"><span aria-hidden="true">(.)</span> (.)(.*?)</span>\n',
        render(writable, LAST),
    )
    assert found
    for tone, arrow, sign, rest in found:
        assert (arrow, sign) in {("▲", "+"), ("▼", "\N{MINUS SIGN}")}
        assert {"good": "(better)", "bad": "(worse)"}[tone] in rest


def test_every_currency_stays_with_its_venue(english: str) -> None:
    assert "CNY" not in words_of(section(english, "venue-riverside"))
    assert "EUR" not in words_of(section(english, "venue-harbour"))


def test_an_activity_counts_people_once_over_all_of_its_dates(
    home: Home, pages: dict[tuple[date | str, Language], str]
) -> None:
    with reading(home) as con:
        ((people,),) = con.execute(
            "SELECT count(DISTINCT user_id) FROM star.fact_session WHERE has_entry AND activity_id = 'winter_fair'"
        ).fetchall()
    assert f" {people:,} " in f" {cards(pages['winter_fair', 'en'], 'riverside')['uv']} "


def test_before_its_verdict_an_experiment_shows_how_far_it_is_and_no_effect(home: Home, english: str) -> None:
    with reading(home) as con:
        shown = dict(
            con.execute(
                "SELECT experiment_id, any_value(status) FROM experiments.experiment_verdicts WHERE event_date = ? "
                "GROUP BY experiment_id", [LAST]
            ).fetchall()
        )  # fmt: skip
    assert set(shown.values()) == {"running"}
    for experiment in shown:
        part = english.partition(f'id="experiment-{experiment}"')[2].partition("<h3>")[0]
        assert "Still running" in words_of(part)
        assert not re.search(r"\bp\s*[<=]|p-value|interval|points", words_of(part)), experiment


def test_an_effect_is_shown_with_its_interval_once_the_verdict_fell(writable: duckdb.DuckDBPyConnection) -> None:
    writable.execute(
        "UPDATE experiments.experiment_verdicts SET status = 'verdict', analysed_on = event_date, level = 0.95, "
        "control_mean = 0.129, arm_mean = 0.154, effect = 0.025, low = 0.010, high = 0.041, p_value = 0.0012, "
        "significant = true WHERE experiment_id = 'welcome_screen'"
    )
    said = words_of(render(writable, LAST))
    assert "It worked" in said
    assert "“greeting” against “plain”: +2.5 points (+1.0 to +4.1)" in said
    writable.execute("UPDATE experiments.experiment_verdicts SET effect = -0.025, low = -0.041, high = -0.010")
    assert "It did harm" in words_of(render(writable, LAST))


def test_data_trust_adds_up(home: Home, english: str) -> None:
    with reading(home) as con:
        ((landed, quarantined),) = con.execute(
            "SELECT (SELECT sum(rows) FROM raw.landed_segments WHERE event_date = $day), "
            "(SELECT count(*) FROM raw.quarantine WHERE event_date = $day)", {"day": LAST}
        ).fetchall()  # fmt: skip
    said = words_of(section(english, "trust"))
    assert f"{landed:,} landed = {landed - quarantined:,} clean + {quarantined:,} quarantined" in said


# The page -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", BOTH)
@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("width", [1280, 390])
def test_it_can_be_looked_at(
    look: Look, pages: dict[tuple[date | str, Language], str], subject: date | str, language: Language, width: int
) -> None:
    """No complaint, no request, every chart drawn with marks, and nothing wider than its place."""
    looked = look(pages[subject, language], width)
    assert looked.complaints == []
    marks = looked.each(
        "[data-chart]", "e => e.querySelectorAll('svg [class^=mark-] path, svg [class^=mark-] text').length"
    )
    assert len(marks) > 5
    assert min(marks) > 0
    assert looked.too_wide == []


def test_it_can_be_read_without_seeing_it(look: Look, english: str) -> None:
    looked = look(english)
    assert looked.each("html", "e => e.lang") == ["en"]
    named = looked.each(
        "figure:has(svg)",
        "e => [e.querySelector('h3, h4, h5').textContent, e.querySelector('[role=img]').getAttribute('aria-label')]",
    )
    assert len(named) > 10
    assert all(label.startswith(finding) for finding, label in named)
    assert set(looked.each("[data-chart]", "e => e.getAttribute('aria-hidden')")) == {"true"}
    levels = [int(name[1]) for name in looked.each("h1, h2, h3, h4, h5", "e => e.tagName")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    ids = looked.each("[id]", "e => e.id")
    assert len(ids) == len(set(ids))
    assert set(looked.each("a[href^='#']", "e => e.getAttribute('href').slice(1)")) <= set(ids)


def test_a_definition_is_a_hover_or_a_key_away(look: Look, english: str) -> None:
    looked = look(english)
    link = looked.page.locator("#venue-harbour .card[data-metric=uv] a")
    assert link.get_attribute("title") == registry()["uv"].description.en
    link.focus()
    looked.page.keyboard.press("Enter")
    assert looked.page.url.endswith("#def-uv")
    assert looked.page.locator("#def-uv").is_visible()


def test_texts_stand_out_from_their_ground(look: Look, english: str) -> None:
    """WCAG AA: 4.5 to 1."""
    looked = look(english)
    pairs = looked.page.evaluate(
        """() => [...document.querySelectorAll('body *')].filter(e => !e.closest('svg, script, style, .skip') &&
          [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).map(e => {
            let ground = e; const clear = 'rgba(0, 0, 0, 0)';
            const bare = () => getComputedStyle(ground).backgroundColor === clear;
            while (ground.parentElement && bare()) ground = ground.parentElement;
            return [getComputedStyle(e).color, getComputedStyle(ground).backgroundColor, e.className]; })"""
    )
    for ink, ground, where in pairs:
        assert _contrast(ink, ground) >= 4.5, (ink, ground, where)


def _contrast(one: str, other: str) -> float:
    low, high = sorted(_luminance(*map(int, re.findall(r"\d+", colour)[:3])) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def _luminance(*rgb: int) -> float:
    parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def test_it_prints(look: Look, english: str) -> None:
    looked = look(english)
    printed = looked.page.pdf(prefer_css_page_size=True, print_background=True)
    assert printed.startswith(b"%PDF")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 16
    looked.page.emulate_media(media="print")
    looked.page.set_viewport_size({"width": 703, "height": 1000})  # what is left of A4
    assert looked.too_wide == []


def test_it_is_one_small_file_the_same_each_time(home: Home, english: str) -> None:
    with reading(home) as con:
        assert render(con, LAST) == english
    assert len(english.encode()) < 2_000_000
    assert not re.search(
        r"""(?:src|href)=["']?(?!#|data:|index\.html"|dictionary\.html["#])[^\s>"']""",
        english.partition('<script type="application/json"')[0],
    )
    with reading(home) as con:
        ((publication,),) = con.execute("SELECT DISTINCT publication_id FROM main.publication").fetchall()
    footer = words_of(english.partition("<footer>")[2])
    for said in (publication, str(LAST), "Europe/Berlin", "Asia/Shanghai"):
        assert said in footer


def test_chinese_says_the_same(pages: dict[tuple[date | str, Language], str]) -> None:
    chinese = pages[LAST, "zh"]
    assert '<html lang="zh-Hans">' in chinese
    english, said = cards(pages[LAST, "en"], "harbour"), cards(chinese, "harbour")
    for metric in PLAIN:
        assert registry()[metric].label.zh in said[metric]
        assert re.findall(r"[\d,]+", said[metric])[0] == re.findall(r"[\d,]+", english[metric].replace("(", ""))[0]
    # What is left in Latin letters are names, ids, symbols and units; no English sentence.
    text = words_of(section(chinese, "glance") + section(chinese, "venue-harbour") + section(chinese, "trust"))
    assert not re.search(r"\b(?:the|of|and|is|are|was|with)\b", re.sub(r"Generated.*", "", text))


def test_charts_are_valid_vega_lite(english: str) -> None:
    import altair

    found = json.loads(english.partition('id="specs">')[2].partition("</script>")[0])
    assert len(found) > 10
    for spec in found.values():
        altair.Chart.from_dict(spec, validate=True)
