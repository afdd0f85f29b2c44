"""The command `venue report`: where pages lie, what is refused, and when a browser opens."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.cli.commands import done, is_refused, venue
from tests.report.conftest import LAST
from venue_assets.home import Home
from venue_assets.report.files import write_report


def test_the_command_writes_a_page_and_says_where(home: Home) -> None:
    said = done(home.root, "report", "--lang", "zh")
    page = home.published / "reports" / f"{LAST}.zh.html"
    assert str(page) in said
    assert "Next: " in said
    assert '<html lang="zh-Hans">' in page.read_text(encoding="utf-8")
    done(home.root, "report", "--activity", "winter_fair")
    assert (home.published / "reports" / "activity-winter_fair.html").exists()
    done(home.root, "report", "--date", "2026-01-05")
    assert (home.published / "reports" / "2026-01-05.html").exists()
    assert not [p for p in (home.published / "reports").iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--date 2026-02-01", ("2026-02-01 is given", "from 2026-01-05 to 2026-01-13")),
        ("--date soon", ("'soon' is given", "a date such as")),
        ("--activity summer", ("'summer' is given", "winter_fair, lantern_week")),
        ("--date 2026-01-05 --activity winter_fair", ("one of them is expected",)),
        ("--lang fr", ("'fr'", "'en', 'zh'")),
    ],
)
def test_what_cannot_be_reported_is_refused_with_what_exists(home: Home, arguments: str, words: Sequence[str]) -> None:
    is_refused(venue(home.root, "report", *arguments.split()), *words)


def test_a_browser_opens_only_when_asked_for(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    done(home.root, "report")
    assert opened == []
    done(home.root, "report", "--open")
    assert opened == [(home.published / "reports" / f"{LAST}.html").resolve().as_uri()]


def test_the_demonstration_ends_with_its_reports(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from venue_assets.cli import demo_report

    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    demo_report.pages(home, open_one=False)
    assert opened == []
    said = capsys.readouterr().out.replace("\n", "")
    assert re.search(r"published/reports/index\.html, the page to start from\s*$", said)
    demo_report.pages(home, open_one=True)
    assert opened == [(home.published / "reports" / f"{LAST}.html").resolve().as_uri()]


def test_the_same_page_again_is_not_written_again(home: Home) -> None:
    done(home.root, "report")
    page = home.published / "reports" / f"{LAST}.html"
    before = page.stat()
    done(home.root, "report")
    assert (page.stat().st_ino, page.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_two_languages_of_a_report_link_to_each_other(home: Home, tmp_path: Path) -> None:
    """The first one is there alone until the second comes."""
    copy = Home(Path(shutil.copytree(home.root, tmp_path / "home", symlinks=True)))
    shutil.rmtree(copy.published / "reports")
    english = write_report(copy, LAST)
    assert "hreflang" not in english.read_text()
    chinese = write_report(copy, LAST, language="zh")
    assert f'<a href="{chinese.name}" lang="zh-Hans" hreflang="zh-Hans">中文</a>' in english.read_text()
    assert f'<a href="{english.name}" lang="en" hreflang="en">English</a>' in chinese.read_text()


@pytest.mark.parametrize(
    ("activity", "name"),
    [
        ("kid's fair", "activity-kid%27s%20fair.html"),
        ("a/../../../outside", "activity-a%2F%2E%2E%2F%2E%2E%2F%2E%2E%2Foutside.html"),
        ("a.zh", "activity-a%2Ezh.html"),
        ("灯会", "activity-灯会.html"),
    ],
)
def test_whatever_an_activity_is_called_its_page_is_among_the_reports(
    home: Home, tmp_path: Path, activity: str, name: str
) -> None:
    shutil.copyfile(home.root / "site.toml", tmp_path / "site.toml")
    (tmp_path / "published").mkdir()
    shutil.copyfile(home.published / "venue.duckdb", tmp_path / "published" / "venue.duckdb")
    with duckdb.connect(str(tmp_path / "published" / "venue.duckdb")) as con:
        con.execute("UPDATE star.dim_activity SET activity_id = $1 WHERE activity_id = 'winter_fair'", [activity])
    assert write_report(Home(tmp_path), activity) == tmp_path / "published" / "reports" / name
    assert [p.name for p in (tmp_path / "published" / "reports").iterdir()] == [name]
