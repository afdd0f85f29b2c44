"""How the page looks: on a telephone, on paper, and to whom does not see it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tests.report.conftest import LAST, Look, Looked, reading, section, words_of
from venue_assets.home import Home
from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.methods.context_groups import by_effect
from venue_assets.report import render
from venue_assets.semantic_layer.metrics import Language

Pages = Mapping[tuple[date | str, Language], str]
SUBJECTS: tuple[date | str, ...] = (LAST, "winter_fair")
LANGUAGES: tuple[Language, ...] = ("en", "zh")


@pytest.fixture(scope="module")
def pages(home: Home) -> Pages:
    with reading(home) as con:
        return {(s, language): render(con, s, language=language) for s in SUBJECTS for language in LANGUAGES}


# The funnel, and who was inside ---------------------------------------------------------------------------------------


def test_who_was_not_recognised_is_not_drawn_as_lost(look: Look, pages: Pages) -> None:
    said = words_of(section(pages[LAST, "en"], "venue-harbour"))
    assert re.search(r"% of [\d,]+ passers-by walked in; \d+ known people paid, [\d.]+ per 100 of \d+ recognised", said)
    assert "Who walked in unrecognised (pale) is not lost" in said
    assert re.search(r"Visits \(PV\) [\d,]+ \([\d.]+ % recognised\) known people", said)
    looked = look(pages[LAST, "en"])
    funnel = looked.page.locator("#venue-harbour figure").filter(has_text="passers-by walked in").locator(".chart")
    labels = funnel.locator("svg .mark-text text").all_text_contents()
    steps = [text for text in labels if text in ("Passers-by", "Entries counted", "Visits (PV)", "Paying users")]
    assert steps == ["Passers-by", "Entries counted", "Visits (PV)", "Paying users"]
    colours = funnel.evaluate(
        "e => [...e.querySelectorAll('svg .mark-rect path')].map(p => [p.getAttribute('fill'), p.getBBox().width])"
    )
    (pale, entries), *bars = colours
    assert [colour for colour, _ in bars] == ["#0072B2", "#0072B2", "#D55E00", "#D55E00"]
    assert pale == "#D8DEE6"
    assert entries == pytest.approx(bars[1][1], abs=0.5)  # the pale bar is as long as that of the entries


def test_the_most_people_inside_are_counted_from_entry_to_entry(home: Home) -> None:
    with reading(home) as con:
        page = render(con, LAST)
        stays = con.execute(
            "SELECT epoch_us(enter_local), epoch_us(enter_local) + (1e6 * dwell_seconds)::BIGINT "
            f"FROM star.fact_session WHERE venue_id = 'harbour' AND event_date = '{LAST}' AND state = 'complete'"
        ).fetchall()
    most = max(sum(came <= at < went for came, went in stays) for at, _ in stays)
    said = words_of(section(page, "venue-harbour"))
    assert f"At most {most} recognised people were inside at once, at " in said
    assert "between entry and leave: a point every 10 minutes, and the peak, its time to the minute." in said
    assert re.search(r"The terminal recognised \d+ % of those who walked in; more were inside than this\.", said)


# A wide screen --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", [date(2026, 1, 5), *SUBJECTS])
def test_no_block_leaves_the_place_beside_it_empty(look: Look, home: Home, subject: date | str) -> None:
    with reading(home) as con:
        looked = look(render(con, subject))
    ends = looked.each(
        ".blocks",
        "e => [...Map.groupBy(e.children, b => b.offsetTop).values()].map(row => Math.round("
        "e.getBoundingClientRect().right - Math.max(...row.map(b => b.getBoundingClientRect().right))))",
    )
    assert {end for rows in ends for end in rows} == {0}


def test_a_name_above_a_bar_goes_up_to_its_figure(look: Look, writable: duckdb.DuckDBPyConnection) -> None:
    writable.execute("UPDATE star.fact_order_line SET category_id = 'things of the household and others like them'")
    for width, is_cut in ((1280, False), (390, True)):
        bars = look(render(writable, LAST), width).page.locator("#venue-harbour figure").filter(has_text="sold most")
        name, figure = (bars.locator(".chart svg text").nth(n) for n in (0, 1))
        left, right = (text.bounding_box() for text in (name, figure))
        assert left
        assert right
        assert left["x"] + left["width"] <= right["x"]
        assert str(name.text_content()).endswith("…") == is_cut


# A telephone ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_nothing_is_cut_on_a_telephone(look: Look, pages: Pages, subject: date | str, language: Language) -> None:
    """Tables are lists there and trees are words; all folded numbers are looked at, too."""
    looked = look(pages[subject, language], 390)
    looked.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert looked.too_wide == []
    wide = "e => e.scrollWidth > e.clientWidth + 1 ? e.getAttribute('aria-label') : ''"
    assert set(looked.each(".scroll", wide)) == {""}
    assert not [text for text in looked.each(".chart svg text", "e => e.textContent") if text.endswith("…")]
    beyond = "e => { const r = e.getBoundingClientRect(); return r.left < 0 || r.right > 390 ? e.textContent : '' }"
    assert set(looked.each(".chart svg text", beyond)) == {""}
    assert set(looked.each(".stacks td", "e => getComputedStyle(e, '::before').content !== 'none'")) == {True}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_figures_are_compared_with_is_said_once_and_the_experiment_is_on_the_first_screen(
    look: Look, pages: Pages, language: Language
) -> None:
    """One venue and its experiment, at the height of a telephone."""
    looked = look(pages[LAST, language], 390)
    said = looked.each(".panel", "e => [...e.querySelectorAll('.compared')].map(c => c.textContent)")
    assert [len(lines) for lines in said] == [1] * len(said)
    assert looked.each("#glance .badge", "e => e.getBoundingClientRect().bottom")[0] < 844


def test_a_tree_is_words_where_there_is_no_width_for_it(look: Look, writable: duckdb.DuckDBPyConnection) -> None:
    grown(writable, "segment")
    page = render(writable, LAST)
    narrow, wide = look(page, 390), look(page, 1280)
    assert not narrow.page.locator(".drawing").first.is_visible()
    assert wide.page.locator(".drawing").first.is_visible()
    said = narrow.page.locator(".outline").first.inner_text()
    assert re.search(r"General keep: group 2, n = 400.*\n?.*New: group 3, n = 400", said, re.DOTALL)
    chinese = render(writable, LAST, language="zh").partition('class="outline"')[2].partition("</ul></li>")[0]
    assert "一般保持：群体 2，n = 400，均值 20.0%" in chinese
    assert not re.search("[,:]", words_of(chinese))


def test_nodes_and_branches_of_a_tree_are_called_as_people_call_them(
    look: Look, writable: duckdb.DuckDBPyConnection
) -> None:
    for column, en, zh in (
        ("segment", {"Segment", "General keep", "New"}, {"分群", "一般保持", "新访客"}),
        ("usual_weekday", {"Usual weekday", "Mon to Fri", "Sat to Sun"}, {"惯常星期", "周一至周五", "周六至周日"}),
        ("hour", {"Hour of the visit", "until 5:59", "from 6:00"}, {"到访时段", "5:59 及以前", "6:00 起"}),
        (
            "mean_dwell_seconds",
            {"Mean visit length", "at most 0.1 min", "more than 0.1 min"},
            {"平均停留时长", "不超过 0.1 分钟", "超过 0.1 分钟"},
        ),
    ):
        grown(writable, column)
        for language, said in (("en", en), ("zh", zh)):
            drawn = set(look(render(writable, LAST, language=language)).each(".drawing text", "e => e.textContent"))
            assert said < drawn
            assert column not in drawn


def grown(con: duckdb.DuckDBPyConnection, column: str) -> ConditionalInferenceTree:
    """A tree of two leaves that asks for this covariate alone, in the place of the bandit's."""
    n = 800
    first = [i % 2 == 0 for i in range(n)]
    values = [("general_keep" if f else "new") if column == "segment" else 5 if f else 6 for f in first]
    response = [float(i // 2 % 10 < (2 if f else 7)) for i, f in enumerate(first)]
    tree = ConditionalInferenceTree(maxdepth=1).fit(pl.DataFrame({column: values}), pl.Series(response))
    con.execute("UPDATE experiments.context_tree SET tree = $1", [json.dumps(tree.to_dict())])
    return tree


def test_whose_effect_a_group_is_about_is_said_whole_and_in_the_language_of_the_page(
    look: Look, writable: duckdb.DuckDBPyConnection
) -> None:
    """A tree of effects calls each contrast "tea against none"; before the verdict none of its effects is told."""
    n = 1200
    hour, arm = [i % 2 for i in range(n)], [("none", "second_half_price")[i // 2 % 2] for i in range(n)]
    reward = [float(h == 1 and a != "none" and i % 5 > 0) for i, (h, a) in enumerate(zip(hour, arm, strict=True))]
    tree = by_effect(
        pl.DataFrame({"hour": hour}), pl.Series(reward), pl.Series(arm), pl.Series([0.5] * n),
        ["none", "tea", "second_half_price"],
    )  # fmt: skip
    writable.execute("UPDATE experiments.context_tree SET tree = $1", [json.dumps(tree.to_dict())])
    english, chinese = render(writable, LAST), render(writable, LAST, language="zh")
    assert {"second_half_price", "against none"} < set(look(english).each(".drawing text", "e => e.textContent"))
    assert "group 2, n = 600, second_half_price against none" in words_of(english)
    assert "Visitors fall into 2 groups that differ in the effect on conversion" in english
    assert {"second_half_price", "对比 none"} < set(look(chinese).each(".drawing text", "e => e.textContent"))
    assert "群体 2，n = 600，second_half_price 对比 none" in words_of(chinese)
    assert "against" not in words_of(section(chinese, "venue-harbour"))


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_of_a_chart_touches_another_and_no_line_goes_through_one(
    look: Look, writable: duckdb.DuckDBPyConnection, language: Language, width: int
) -> None:
    writable.execute(
        "UPDATE experiments.experiment_verdicts SET status = 'verdict', analysed_on = $1, level = 0.95, "
        "control_mean = 0.129, arm_mean = 0.154, effect = 0.025, low = 0.01, high = 0.041, p_value = 0.0012, "
        "significant = true",
        [LAST],
    )
    looked = look(render(writable, LAST, language=language), width)
    assert looked.page.locator(".chart svg text", has_text="greeting − plain").count() == 1
    assert looked.page.evaluate(_TOUCHING) == []


_TOUCHING = """() => [...document.querySelectorAll('.chart svg')].flatMap(svg => {
  const box = e => { const r = e.getBoundingClientRect();  // of a letter without its leading
    return [r.left, r.top + 2, r.right, r.bottom - 2]; };
  const cut = ([a, b, c, d], [e, f, g, h]) => a < g && e < c && b < h && f < d;
  const texts = [...svg.querySelectorAll('text')].filter(t => t.textContent && t.getAttribute('opacity') !== '0')
    .filter((t, n, all) => !all.slice(0, n).some(o => o.textContent === t.textContent &&
      o.getAttribute('transform') === t.getAttribute('transform')));  // once more on white
  const lines = [...svg.querySelectorAll('.mark-rule.role-mark line')];
  return texts.flatMap((t, n) => [...texts.slice(n + 1), ...lines].filter(o => cut(box(t), box(o)))
    .map(o => `${t.textContent} | ${o.textContent || o.getAttribute('stroke')}`));
})"""


def test_no_name_of_a_column_is_broken_on_a_telephone(look: Look, writable: duckdb.DuckDBPyConnection) -> None:
    writable.execute(
        "INSERT INTO raw.refused_segments BY NAME SELECT $1::DATE AS event_date, 'orders' AS stream, "
        "'sim_riverside-b1-20210000000000-212000000000000.jsonl.zst' AS segment, 'hash_differs' AS reason, "
        "'ship it again' AS remedy",
        [LAST],
    )
    looked = look(render(writable, LAST), 390)
    names = looked.each(
        "#trust .stacks td",
        "e => [e.dataset.column, parseFloat(getComputedStyle(e, '::before').height) / "
        "parseFloat(getComputedStyle(e).lineHeight)]",
    )
    assert "Segment" in {name for name, _ in names}
    assert [name for name, lines in names if lines > 1.1] == []
    assert looked.too_wide == []


# Paper ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_no_page_of_paper_is_mostly_empty(
    look: Look, pages: Pages, subject: date | str, language: Language, tmp_path: Path
) -> None:
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is absent (Debian: apt-get install poppler-utils)")
    look(pages[subject, language]).page.pdf(
        path=tmp_path / "page.pdf", prefer_css_page_size=True, print_background=True
    )
    subprocess.run(["pdftotext", "-bbox", "page.pdf", "words.html"], cwd=tmp_path, check=True)
    sheets = re.findall(
        r'<page width="[\d.]+" height="([\d.]+)">(.*?)</page>', (tmp_path / "words.html").read_text(), re.DOTALL
    )
    ends = [max(map(float, re.findall(r'yMax="([\d.]+)"', words))) / float(height) for height, words in sheets]
    assert 4 <= len(ends) <= 12
    assert min(ends[:-1]) > 0.6


def test_no_letter_on_paper_is_below_seven_points(look: Look, pages: Pages) -> None:
    looked = look(pages[LAST, "en"])
    looked.page.emulate_media(media="print")
    looked.page.set_viewport_size({"width": 703, "height": 1000})  # what is left of A4
    looked.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert min(_points(looked)) >= 7
    assert looked.too_wide == []


def _points(looked: Looked) -> list[float]:
    """The height of every letter that is seen, in points of the paper; 0.75 of a pixel each."""
    return list(
        looked.page.evaluate(
            """() => [...document.querySelectorAll('body *')].filter(e => e.getClientRects().length &&
              !e.closest('.hidden, .outline, script') &&
              [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).map(e => {
                const svg = e.closest('svg'), zoom = Number(getComputedStyle(document.body).zoom);
                const drawn = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : zoom;
                return 0.75 * drawn * parseFloat(getComputedStyle(e).fontSize); })"""
        )
    )


@pytest.mark.parametrize("subject", [date(2026, 1, 5), *SUBJECTS])
def test_on_paper_the_figures_at_a_glance_stand_side_by_side_and_no_chart_shrinks(
    look: Look, home: Home, subject: date | str
) -> None:
    with reading(home) as con:
        looked = look(render(con, subject))
    looked.page.emulate_media(media="print")
    looked.page.set_viewport_size({"width": 703, "height": 1000})
    looked.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    rows = looked.each(".cards.few", "e => new Set([...e.children].map(c => c.offsetTop)).size")
    assert set(rows) == {1}
    assert min(_points(looked)) >= 7


# Without seeing it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_tables_and_drawings_can_be_found_and_read_by_ear(look: Look, pages: Pages, language: Language) -> None:
    looked = look(pages[LAST, language])
    looked.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert looked.each("html", "e => e.lang") == [{"en": "en", "zh": "zh-Hans"}[language]]
    heads = looked.each("table", "e => [...e.querySelectorAll('thead th')].map(h => [h.scope, h.textContent.trim()])")
    assert heads
    assert all(scope == "col" and name for table in heads for scope, name in table)
    assert set(looked.each("tbody tr", "e => e.querySelectorAll('th[scope=row]').length")) == {1}
    # Display takes the meaning of a table away where rows are lists; roles keep it.
    roles = {"table": "table", "thead, tbody": "rowgroup", "tr": "row", "td": "cell"}
    for tags, role in roles.items():
        assert set(looked.each(tags, "e => e.getAttribute('role')")) == {role}, tags
    named = looked.each("[role=region], [role=img], nav, svg[role]", "e => e.getAttribute('aria-label')")
    assert all(name and name.strip() for name in named)
    assert not looked.each("[tabindex]", "e => e.tabIndex > 0").count(True)
    assert all(text.strip() for text in looked.each("a, summary, button", "e => e.textContent"))
    assert set(looked.each(".scroll, pre", "e => e.tabIndex")) == {0}
    assert not looked.each("img:not([alt])", "e => e.src")


def test_every_stop_of_the_keyboard_is_seen(look: Look, pages: Pages) -> None:
    looked = look(pages[LAST, "en"])
    stops = set()
    for _ in range(40):
        looked.page.keyboard.press("Tab")
        kind, outline, left = looked.page.evaluate(
            "() => { const e = document.activeElement; return [e.tagName, getComputedStyle(e).outlineStyle, "
            "e.getBoundingClientRect().left] }"
        )
        assert outline != "none", kind
        assert left >= 0
        stops.add(kind)
    assert stops >= {"A"}


def test_letters_in_charts_stand_out_from_white(look: Look, pages: Pages) -> None:
    """WCAG AA: 4.5 to 1."""
    from tests.report.test_report import _contrast

    inks = set(look(pages[LAST, "en"]).each(".chart svg text", "e => getComputedStyle(e).fill"))
    assert inks
    assert all(_contrast(ink, "rgb(255, 255, 255)") >= 4.5 for ink in inks), inks
