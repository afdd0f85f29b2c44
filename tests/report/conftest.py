"""Published homes whose reports are looked at, and a browser that looks."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.conftest import REPOSITORY, compute
from venue_assets.graph.build import engine_resource
from venue_assets.home import Home
from venue_assets.publish.publication import publish
from venue_assets.simulate import Options, simulate
from venue_assets.tables.catalogue import catalogue

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
DAYS = [date(2026, 1, n) for n in (5, 6, 8, 9, 10, 11, 12, 13)]
"""A comparable Monday and Tuesday, then all dates of the experiments up to the report's."""
LAST = DAYS[-1]


def published_home(root: Path, site: str, days: list[date], visits: int) -> Home:
    """A simulated site, computed and published."""
    root.mkdir(exist_ok=True)
    (root / "site.toml").write_text(site)
    home = Home(root)
    simulate(home.site, home.landing, Options(days[0], days=(days[-1] - days[0]).days + 1, visits=visits))
    compute(home, *days)
    publish(home, catalogue(), engine_resource())
    return home


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The shipped site, eight dates of it."""
    site = (REPOSITORY / "data" / "site.toml").read_text()
    return published_home(tmp_path_factory.mktemp("report"), site, DAYS, visits=300)


@contextmanager
def reading(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published database."""
    with duckdb.connect(str(home.published / "venue.duckdb"), read_only=True) as con:
        yield con


@pytest.fixture
def writable(home: Home, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of the published database, to be changed."""
    shutil.copyfile(home.published / "venue.duckdb", tmp_path / "venue.duckdb")
    with duckdb.connect(str(tmp_path / "venue.duckdb")) as con:
        yield con


def usual_tuesdays(con: duckdb.DuckDBPyConnection, venue: str) -> None:
    """Two more Tuesdays of visits before the one that there is: enough for what is usual."""
    for day in ("2025-12-30", "2025-12-23"):
        con.execute(
            f"INSERT INTO star.fact_session SELECT * REPLACE (DATE '{day}' AS event_date, "
            f"'{day}' || session_id AS session_id) FROM star.fact_session WHERE event_date = DATE '2026-01-06' "
            f"AND venue_id = '{venue}' AND has_entry ORDER BY session_id LIMIT 40"
        )


def words_of(html: str) -> str:
    """What a page says, in one line."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)).replace("\N{NO-BREAK SPACE}", " "))


def section(html: str, name: str) -> str:
    """The part of a page with this id."""
    return html.partition(f'<section id="{name}"')[2].partition("</section>")[0]


def cards(html: str, venue: str) -> dict[str, str]:
    """What the cards of a venue say, by metric."""
    found = re.findall(r'<div class="card" data-metric="(\w+)">(.*?)</div>', section(html, f"venue-{venue}"), re.DOTALL)
    return {metric: words_of(card).strip() for metric, card in found}


@dataclass
class Looked:
    """A page in a browser, and what it complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def each(self, selector: str, script: str) -> list[Any]:
        """What a function gives of each element."""
        return list(self.page.eval_on_selector_all(selector, f"all => all.map({script})"))

    @property
    def too_wide(self) -> list[str]:
        """Elements whose content is wider than they are, drawings and what scrolls by itself left out."""
        return list(self.page.evaluate(_TOO_WIDE))


_TOO_WIDE = """() => [...document.querySelectorAll('html, body, body *')]
  .filter(e => !e.closest('svg, .scroll, .hidden, .outline, .stacks thead, script, style'))
  .filter(e => getComputedStyle(e).display !== 'inline' && e.scrollWidth > e.clientWidth + 1)
  .map(e => `${e.tagName}.${e.className}: ${e.scrollWidth} > ${e.clientWidth}: ${e.textContent.slice(0, 40)}`)"""

Look = Callable[..., Looked]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, headless."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is absent (Debian: apt-get install chromium)")
    playwright_of = pytest.importorskip("playwright.sync_api", reason="playwright is absent")
    with playwright_of.sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=sandbox)
        yield chromium
        chromium.close()


@pytest.fixture
def look(browser: Any, tmp_path: Path) -> Iterator[Look]:
    """Open a page from a file, at some width, until all of its charts are drawn."""
    opened = []

    def look_at(html: str, width: int = 1280) -> Looked:
        file = tmp_path / "page.html"
        file.write_text(html, encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900})
        opened.append(page)
        looked = Looked(page)
        page.on("console", lambda message: looked.complaints.append(message.text))
        page.on("pageerror", lambda error: looked.complaints.append(str(error)))
        page.on("requestfailed", lambda request: looked.complaints.append(f"failed: {request.url}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("file:", "data:"))
                else looked.complaints.append(f"asked for: {request.url}")
            ),
        )
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-drawn]", timeout=120_000)
        return looked

    yield look_at
    for page in opened:
        page.close()
