"""The front page of the reports: it leads to every report there is, and says how to make the others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.publish.home import DAYS, lose_a_segment
from tests.publish.home import publish as publish_home
from venue_assets.home import Home
from venue_assets.publish.names import DICTIONARY_PAGES, FRONT_PAGES
from venue_assets.publish.publication import show_reports
from venue_assets.report.files import write_report
from venue_assets.semantic_layer.metrics import LANGUAGES

CHROMIUM = Path("/usr/bin/chromium")


class Page(HTMLParser):
    """Links with their texts, and what else is loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.late: set[str] = set()
        self.loaded: list[str] = []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self._in = named.get("href", "") if tag == "a" else self._in
        if tag == "a":
            self.links[self._in] = ""
            self.late |= {self._in} if "late" in named.get("class", "").split() else set()
        else:
            self.loaded += [named[name] for name in ("src", "href") if name in named]

    def handle_endtag(self, tag: str) -> None:
        self._in = "" if tag == "a" else self._in

    def handle_data(self, data: str) -> None:
        if self._in:
            self.links[self._in] += data


def front(home: Home, language: str = "en") -> tuple[Page, str]:
    text = (home.published / "reports" / FRONT_PAGES["zh" if language == "zh" else "en"]).read_text(encoding="utf-8")
    return Page(text), text


@pytest.fixture
def home(four_dates: Home) -> Home:
    publish_home(four_dates)
    return four_dates


def test_a_publication_without_reports_says_which_dates_can_have_one(home: Home) -> None:
    for language in LANGUAGES:
        page, text = front(home, language)
        other = "en" if language == "zh" else "zh"
        assert set(page.links) == {DICTIONARY_PAGES[language], FRONT_PAGES[other]}
        assert page.loaded == ["data:,"]
        for day in DAYS:
            assert f"<span>{day.day}</span>" in text
        assert "venue report --date" in text


def test_each_report_is_linked_as_soon_as_it_is_rendered(home: Home) -> None:
    write_report(home, DAYS[1])
    write_report(home, DAYS[-1], language="zh")
    english, chinese = front(home)[0], front(home, "zh")[0]
    assert english.links[f"{DAYS[1]}.html"] == str(DAYS[1].day)
    assert f"{DAYS[-1]}.zh.html" in english.links, "in the other language where there is no other"
    assert f"{DAYS[-1]}.zh.html" in chinese.links
    for page in (english, chinese):
        assert not page.late
        assert all((home.published / "reports" / unquote(link)).exists() for link in page.links)
    write_report(home, DAYS[-1])
    assert f"{DAYS[-1]}.html" in front(home)[0].links
    assert f"{DAYS[-1]}.zh.html" not in front(home)[0].links


def test_a_report_of_an_earlier_publication_is_marked_until_it_is_renewed(home: Home) -> None:
    write_report(home, DAYS[0])
    write_report(home, DAYS[1])
    lose_a_segment(home, DAYS[0])
    publish_home(home)
    assert front(home)[0].late == {f"{DAYS[0]}.html"}
    write_report(home, DAYS[0])
    assert front(home)[0].late == set()


def test_activities_are_found_whatever_they_are_called(home: Home) -> None:
    activity = f"""
[[activities]]
id = "kid's 50% fair"
venue_id = "harbour"
name = "<Fair> & more"
first_date = {DAYS[0]}
last_date = {DAYS[1]}
"""
    home.site_file.write_text(home.site_file.read_text() + activity)
    home = Home(home.root)
    show_reports(home)
    page, text = front(home)
    assert "&lt;Fair&gt; &amp; more" in text
    assert "venue report --activity " in text
    name = "activity-kid%27s%2050%25%20fair.html"
    (home.published / "reports" / name).write_text("")
    os.utime(home.published / "reports" / name)
    show_reports(home)
    page, text = front(home)
    (link,) = [link for link, said in page.links.items() if said == "<Fair> & more"]
    assert unquote(link) == name


def test_what_is_no_report_is_not_linked(home: Home) -> None:
    for name in ("notes.html", "2026-13-45.html", f"{DAYS[0]}.fr.html", f".{DAYS[0]}.html.part"):
        (home.published / "reports" / name).write_text("")
    show_reports(home)
    assert not [link for link in front(home)[0].links if re.match(r"notes|20", link)]


def test_it_is_written_only_where_something_changed(home: Home) -> None:
    pages = [home.published / "reports" / name for name in FRONT_PAGES.values()]
    before = [(page.stat().st_ino, page.stat().st_mtime_ns) for page in pages]
    publish_home(home)
    show_reports(home)
    assert [(page.stat().st_ino, page.stat().st_mtime_ns) for page in pages] == before


def test_a_page_that_cannot_be_written_is_told_and_no_failure(home: Home) -> None:
    page = home.published / "reports" / FRONT_PAGES["en"]
    page.unlink()
    page.mkdir()
    told: list[str] = []
    show_reports(home, told.append)
    (line,) = told
    assert "index.html" in line


@pytest.fixture
def looked_at(home: Home) -> Iterator[object]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    from playwright.sync_api import sync_playwright

    write_report(home, DAYS[0])
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=sandbox)
        yield browser.new_page(viewport={"width": 390, "height": 800})
        browser.close()


def test_it_fits_a_phone_and_leads_to_a_report_and_back(home: Home, looked_at: object) -> None:
    from playwright.sync_api import Page as Browsed

    assert isinstance(looked_at, Browsed)
    looked_at.goto((home.published / "reports" / FRONT_PAGES["en"]).as_uri())
    assert looked_at.evaluate("document.documentElement.scrollWidth") <= 390
    looked_at.get_by_role("link", name=str(DAYS[0].day), exact=True).click()
    looked_at.wait_for_url(f"**/{DAYS[0]}.html")
    looked_at.get_by_role("link", name="All reports").click()
    looked_at.wait_for_url("**/index.html")
    looked_at.get_by_role("link", name="Data dictionary").first.click()
    looked_at.wait_for_url("**/dictionary.html")
    looked_at.locator(".contents > summary").click()
    looked_at.get_by_role("link", name="Reports", exact=True).click()
    looked_at.wait_for_url("**/index.html")
