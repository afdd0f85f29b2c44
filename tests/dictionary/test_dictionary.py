"""The dictionary: everything is in it in both languages, every query in it runs, and it looks right at any size."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

from venue_assets.dictionary import write_dictionary
from venue_assets.dictionary.contents import MetricEntry, TableEntry, contents
from venue_assets.publish.names import DICTIONARY_PAGES, FRONT_PAGES
from venue_assets.semantic_layer.metrics import LANGUAGES, Language, registry
from venue_assets.semantic_layer.star import star
from venue_assets.tables.catalogue import catalogue

CHROMIUM = Path("/usr/bin/chromium")
FOUND = contents()
TABLES = [table for group in FOUND.tables for table in group.tables]
METRICS = [entry for group in FOUND.metrics for entry in group.metrics]
CHINESE = re.compile("[\u4e00-\u9fff]")


class Page(HTMLParser):
    """Ids, links, whatever is loaded, and the texts with the language that they are marked as."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids += [named["id"] or ""] if "id" in named else []
        self.links += [named["href"] or ""] if tag == "a" else []
        self.loaded += [named[name] or "" for name in ("src", "href") if name in named and tag != "a"]
        if tag not in ("meta", "link", "input", "wbr"):
            self._open.append((tag, named.get("lang") or (self._open[-1][1] if self._open else "")))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] not in ("style", "script", "code") and data.strip():
            self.texts.append((self._open[-1][1], data.strip()))


@pytest.fixture(scope="session", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    language: Language = request.param
    return language


@pytest.fixture(scope="session")
def page(folder: Path, language: Language) -> Page:
    return Page((folder / DICTIONARY_PAGES[language]).read_text(encoding="utf-8"))


def test_every_table_and_every_metric_is_in_it() -> None:
    assert {t.full_name for t in TABLES} == {f"{t.layer}.{t.name}" for t in catalogue()} | {
        f"star.{t.name}" for t in star()
    }
    assert [entry.metric for entry in METRICS] == [m for f in registry().folders for m in registry() if m.folder == f]


def test_every_anchor_is_there_once_and_every_link_leads_somewhere(page: Page, language: Language) -> None:
    assert len(page.ids) == len(set(page.ids))
    elsewhere = {link for link in page.links if not link.startswith("#")}
    assert elsewhere == {DICTIONARY_PAGES["en" if language == "zh" else "zh"], FRONT_PAGES[language]}
    assert {link.removeprefix("#") for link in page.links} - elsewhere <= set(page.ids)
    assert {f"table-{t.full_name.replace('.', '-')}" for t in TABLES} <= set(page.ids)
    assert {f"metric-{entry.metric.name}" for entry in METRICS} <= set(page.ids)


def test_each_language_has_a_page_of_its_own_with_the_same_entries(folder: Path) -> None:
    english, chinese = (Page((folder / DICTIONARY_PAGES[of]).read_text(encoding="utf-8")) for of in LANGUAGES)
    assert english.ids == chinese.ids
    assert {of for of, text in english.texts if CHINESE.search(text)} == {"zh"}
    assert {of for of, text in chinese.texts if CHINESE.search(text)} <= {"zh-Hans", "zh"}
    said = " ".join(text for _, text in chinese.texts)
    for entry in METRICS:
        assert f"{entry.metric.label.zh} {entry.metric.label.en}" in said
        assert entry.metric.description.zh.split("`")[0] in said
        assert entry.metric.description.en.split("`")[0] not in said
    for question in FOUND.questions:
        assert f"{question.question.zh} {question.question.en}" in said


def test_what_is_described_in_english_only_is_marked_so_on_the_chinese_page(folder: Path) -> None:
    chinese = Page((folder / DICTIONARY_PAGES["zh"]).read_text(encoding="utf-8"))
    languages = {text: of for of, text in chinese.texts}
    only_english = [c for t in TABLES for c in t.columns if not c.description.zh and "`" not in c.description.en]
    assert only_english
    assert {languages[c.description.en] for c in only_english} == {"en"}
    for table in TABLES:
        for column in table.columns:
            if column.name in registry().metrics and table.schema == "metrics":
                assert column.description.zh == registry()[column.name].description.zh
            assert table.schema != "star" or column.description.zh


def test_it_needs_nothing_from_anywhere(folder: Path, page: Page) -> None:
    assert [loaded for loaded in page.loaded if not loaded.startswith("data:")] == []
    for file in folder.iterdir():
        text = file.read_text(encoding="utf-8")
        assert "http:" not in text
        assert "https" not in text
        assert len(text.encode()) < 1_000_000


def test_no_script_runs_but_its_own(folder: Path, language: Language) -> None:
    text = (folder / DICTIONARY_PAGES[language]).read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)
    assert "default-src &#39;none&#39;" in policy or "default-src 'none'" in policy
    assert f"sha256-{digest}" in html.unescape(policy)


def test_the_same_definitions_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_dictionary(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {*DICTIONARY_PAGES.values(), "dictionary.md"}
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (folder / file.name).read_bytes()
    write_dictionary(tmp_path, publication_id="000012-abc")
    assert all("000012-abc" in file.read_text() for file in tmp_path.iterdir())


def test_what_is_special_in_html_and_markdown_is_escaped(folder: Path) -> None:
    assert "PF_entrance &lt;= PF_range" not in (folder / "dictionary.html").read_text()
    html, markdown = ((folder / f"dictionary.{kind}").read_text(encoding="utf-8") for kind in ("html", "md"))
    (rate,) = (e for e in METRICS if e.metric.name == "repurchasing_users")
    assert ">= 2" in rate.dax
    assert rate.dax not in html
    assert "&gt;= 2" in html
    assert rate.dax in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| `")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5, 6}


def test_every_column_is_in_both_files(folder: Path) -> None:
    markdown = (folder / "dictionary.md").read_text(encoding="utf-8")
    for table in TABLES:
        part = markdown[markdown.index(f"### {table.full_name}") :].split("\n### ")[0]
        for column in table.columns:
            assert f"| `{column.name}`" in part, f"{table.full_name}.{column.name}"


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.full_name)
def test_sample_queries_of_tables_run(published: duckdb.DuckDBPyConnection, table: TableEntry) -> None:
    cursor = published.execute(table.sample)
    assert [d[0] for d in cursor.description or ()]
    assert len(cursor.fetchall()) <= 10
    columns = published.execute(f"DESCRIBE {table.full_name}").fetchall()
    assert [c[0] for c in columns] == [c.name for c in table.columns]
    assert table.freshness.en
    assert table.freshness.zh
    assert table.owner.startswith("team:")


def test_the_sample_of_a_table_that_may_be_empty_says_when_it_is(published: duckdb.DuckDBPyConnection) -> None:
    """Else it would look broken where nobody links, or where nothing went wrong."""
    told = {table.name: table.sample.splitlines()[0] for table in TABLES if table.sample.startswith("-- ")}
    assert told["identity_map"] == "-- Empty where terminals and orders share one member number"
    (identity_map,) = (table for table in TABLES if table.name == "identity_map")
    assert published.execute(identity_map.sample).fetchall() == [], "members are shared here"
    assert told["sequence_gaps"] == "-- Empty on a good day"


@pytest.mark.parametrize("entry", METRICS, ids=lambda e: e.metric.name)
def test_queries_of_metrics_run(published: duckdb.DuckDBPyConnection, entry: MetricEntry) -> None:
    assert published.execute(entry.sample).fetchall()
    rows = published.execute(entry.sql).fetchall()
    assert [row[0] for row in rows] == ["harbour", "riverside"]
    assert all(row[1] is not None for row in rows)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, headless."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        yield playwright.chromium.launch(executable_path=str(CHROMIUM), args=sandbox)


@pytest.fixture(params=[(1280, "en"), (390, "en"), (1280, "zh"), (390, "zh")], ids=str)
def looked_at(request: pytest.FixtureRequest, browser: Any, folder: Path) -> Iterator[Any]:
    width, language = request.param
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((folder / DICTIONARY_PAGES[language]).as_uri())
    yield page
    page.close()
    assert said == []


def test_nothing_overflows(looked_at: Any) -> None:
    wide = looked_at.evaluate(
        """() => [...document.querySelectorAll('body *')].filter((node) => !node.closest('pre, nav.side, thead'))
        .filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > innerWidth + 0.5)
        .map((node) => node.outerHTML.slice(0, 120))"""
    )
    assert wide == []
    assert looked_at.evaluate("document.documentElement.scrollWidth") <= looked_at.viewport_size["width"]


def test_search_leaves_what_has_all_words(looked_at: Any) -> None:
    entries = looked_at.locator(".entry:visible")
    everything = entries.count()
    looked_at.fill("#search", "anonymous GMV")
    assert 0 < entries.count() < everything
    assert looked_at.locator("#metric-gmv_anonymous").is_visible()
    assert not looked_at.locator("#table-star-dim_device").is_visible()
    told = [int(number) for number in re.findall(r"\d+", looked_at.locator("#told").inner_text())]
    assert told == [entries.count(), everything]
    looked_at.fill("#search", "nosuchthing")
    assert entries.count() == 0
    assert looked_at.locator("#nothing").is_visible()
    looked_at.keyboard.press("Escape")
    assert entries.count() == everything


def test_a_click_copies_the_code(looked_at: Any) -> None:
    from playwright.sync_api import expect

    button = looked_at.locator("#question-recognition .copy").first
    before = button.inner_text()
    button.click()
    expect(button).to_have_text(re.compile("Copied|已复制"))  # the clipboard answers later
    expect(button).to_have_text(before)


def test_it_can_be_used_by_keyboard(looked_at: Any) -> None:
    looked_at.keyboard.press("/")
    assert looked_at.evaluate("document.activeElement.id") == "search"
    looked_at.keyboard.type("uv")
    assert looked_at.input_value("#search") == "uv"


ANCHORS = ("metric-gmv", "question-recognition", "table-star-fact_session", "dimensions")


@pytest.mark.parametrize("anchor", ANCHORS)
def test_an_anchor_is_at_the_top_below_the_bar_at_once(looked_at: Any, anchor: str) -> None:
    height = looked_at.locator(".top").bounding_box()["height"]

    def is_at_the_top() -> bool:
        top = looked_at.evaluate(
            "id => document.querySelector('#' + id + ' :is(h2, h3)').getBoundingClientRect().top", anchor
        )
        return bool(height <= top < height + 60)

    looked_at.goto(f"{looked_at.url}#{anchor}")
    assert is_at_the_top()
    looked_at.reload()
    assert is_at_the_top()
    looked_at.fill("#search", "dwell_seconds")  # a link leads out of a search, too
    looked_at.evaluate("scrollTo(0, 0)")
    if (contents := looked_at.locator("details.contents > summary")).is_visible():
        contents.click()
    looked_at.locator(f"a[href='#{anchor}']:visible").first.click()
    assert is_at_the_top()


def test_the_other_language_opens_at_the_same_entry(looked_at: Any) -> None:
    before = looked_at.url
    looked_at.goto(f"{before}#question-weekday_entry_rate")
    looked_at.click("#other")
    looked_at.wait_for_url("**#question-weekday_entry_rate")
    assert looked_at.url != f"{before}#question-weekday_entry_rate"
    assert looked_at.locator("#question-weekday_entry_rate").is_visible()
    assert looked_at.locator("#other").is_visible()


def test_on_paper_is_the_code_that_was_open_and_no_control(looked_at: Any) -> None:
    looked_at.emulate_media(media="print")
    question = looked_at.locator("#question-recognition details.code")
    assert [details.is_visible() for details in question.all()] == [True, False, False]
    for control in ("#search", "#other", ".copy", "nav"):
        assert not any(node.is_visible() for node in looked_at.locator(control).all())
