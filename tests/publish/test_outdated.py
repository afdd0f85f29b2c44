"""Reports outlive the publication they were made of: which show what has changed since is told, with the remedy."""

from __future__ import annotations

import os
from datetime import date

import pytest

from tests.publish.home import DAYS, lose_a_segment, rename_a_venue, set_smallest_cell
from tests.publish.home import publish as publish_home
from venue_assets.graph.build import engine_resource
from venue_assets.home import Home
from venue_assets.publish.publication import publish
from venue_assets.tables.catalogue import catalogue


@pytest.fixture
def with_reports(four_dates: Home) -> Home:
    """Published, with reports of two dates in two languages, and something else."""
    publish_home(four_dates)
    for name in (f"{DAYS[0]}.html", f"{DAYS[0]}.zh.html", f"{DAYS[1]}.html", "activity-unknown.html", "notes.html"):
        (four_dates.published / "reports" / name).touch()
    return four_dates


def told_by(home: Home) -> list[str]:
    told: list[str] = []
    publish(home, catalogue(), engine_resource(), log=told.append)
    return told


def test_reports_of_the_current_publication_are_not_told(with_reports: Home) -> None:
    assert told_by(with_reports) == []


def test_reports_of_a_corrected_date_are_told_until_they_are_renewed(with_reports: Home) -> None:
    lose_a_segment(with_reports, DAYS[0])
    (line,) = told_by(with_reports)
    assert f"reports/{DAYS[0]}.html, reports/{DAYS[0]}.zh.html. " in line
    assert f"venue report --date {DAYS[0]}; venue report --date {DAYS[0]} --lang zh" in line
    (again,) = told_by(with_reports)  # nothing is new, and they are as old as before
    assert again == line
    for report in (with_reports.published / "reports").glob(f"{DAYS[0]}*"):
        os.utime(report)
    assert told_by(with_reports) == []


def test_a_setting_and_a_name_change_what_all_reports_show(with_reports: Home) -> None:
    (line,) = told_by(set_smallest_cell(with_reports, 5))
    assert line.startswith("3 reports show")
    for report in (with_reports.published / "reports").iterdir():
        os.utime(report)
    (line,) = told_by(rename_a_venue(Home(with_reports.root)))
    assert line.startswith("3 reports show")


def test_a_report_of_an_activity_shows_all_its_dates(with_reports: Home) -> None:
    activity = f"""
[[activities]]
id = "fair"
venue_id = "harbour"
centre = [52.5198, 13.4100]
radius_m = 150
name = "Fair"
first_date = {DAYS[0]}
last_date = {date.max.replace(year=2026)}
"""
    with_reports.site_file.write_text(with_reports.site_file.read_text() + activity)
    home = Home(with_reports.root)
    publish_home(home)
    for report in (home.published / "reports").iterdir():
        os.utime(report)
    (home.published / "reports" / "activity-fair.zh.html").touch()
    lose_a_segment(home, DAYS[2])
    (line,) = told_by(home)
    assert "reports/activity-fair.zh.html" in line
    assert "venue report --activity fair --lang zh" in line
