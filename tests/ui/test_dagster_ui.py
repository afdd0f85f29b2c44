"""What a data engineer sees in the Dagster UI: the graph, a table, its checks and dates, and landing data at work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.ui.conftest import HELD_BACK, MATERIALIZED, Ui
from venue_assets.graph.specs import PUBLISHED
from venue_assets.tables.catalogue import catalogue

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_the_graph_shows_every_table_in_the_group_of_its_layer(page: Page) -> None:
    expected: dict[str, set[str]] = {PUBLISHED: {PUBLISHED}}
    for table in catalogue().tables.values():
        expected.setdefault(table.layer, set()).add(table.name)

    page.goto("/asset-groups")
    for group in expected:
        page.locator(f"svg [data-tooltip={group}]").wait_for()
        row = page.locator(f"[class*=itemContainer]:has([title={group}])")
        row.get_by_role("img", name="arrow_drop_down").click()
    for name in catalogue().tables:
        page.locator(f"[class*=itemContainer] [title={name}]").wait_for()

    shown: dict[str, set[str]] = {}
    icon = "[class*=itemContainer] [role=img][aria-label=asset_group]"
    groups = {row.locator("xpath=..").locator("[title]").get_attribute("title") for row in page.locator(icon).all()}
    assert groups == set(expected)
    members: set[str] = set()
    for item in page.locator("[class*=itemContainer] [title]").all():
        title = str(item.get_attribute("title"))
        if title in groups and title not in shown:
            members = shown.setdefault(title, set())
        else:
            members.add(title)
    assert shown == expected


def test_the_page_of_a_table_says_what_its_columns_mean(page: Page) -> None:
    page.goto("/assets/primary_metrics?view=overview")
    page.get_by_text("Filter columns").or_(page.get_by_placeholder("Filter columns")).wait_for()
    for name, column in catalogue()["primary_metrics"].columns.items():
        cell = page.get_by_text(name, exact=True)
        row = page.locator("tr").filter(has=cell).filter(has_text=column.type).first
        # The cell of the description is drawn after the row.
        row.get_by_text(column.description.strip()[:40]).first.wait_for()
        shown = row.inner_text()
        assert column.description.strip() in shown
        assert f"[{column.unit}]" in shown or not column.unit
    assert page.get_by_text("data-engineering").count()
    assert page.get_by_text("DuckDB").count()


def test_the_page_of_a_table_names_its_entry_in_the_dictionary(ui: Ui, page: Page) -> None:
    page.goto("/assets/primary_metrics?view=overview")
    shown = page.get_by_text("dictionary.html#table-metrics-primary_metrics")
    shown.wait_for()
    page.goto(shown.inner_text())  # as who pastes it: browsers follow no link from a site to a file
    heading = page.get_by_role("heading", name="metrics.primary_metrics")
    assert 0 < heading.evaluate("node => node.getBoundingClientRect().top") < 150


def test_the_page_of_a_publication_leads_to_the_reports(ui: Ui, page: Page) -> None:
    page.goto(f"/assets/published?view=partitions&partition={MATERIALIZED[0]}")
    page.get_by_text(f"venue report --date {MATERIALIZED[0]} --open").wait_for()
    page.goto(page.get_by_text("reports/index.html").inner_text())
    page.get_by_role("heading", name="Reports").wait_for()
    assert page.get_by_role("link", name="Data dictionary").first.is_visible()


def test_its_checks_have_passed(page: Page) -> None:
    page.goto("/assets/primary_metrics?view=checks")
    checks = ["contract", *catalogue()["primary_metrics"].checks]
    page.get_by_text(f"Checks ({len(checks)})").wait_for()
    for name in checks:
        page.goto(f"/assets/primary_metrics?view=checks&checkDetail={name}")
        page.get_by_text("Evaluation result").wait_for()
        page.get_by_text("Passed", exact=True).wait_for()
    assert page.get_by_text("Succeeded", exact=True).count() == len(checks)


def test_its_dates_are_materialized_and_the_others_missing(ui: Ui, page: Page) -> None:
    assert ui.partitions("primary_metrics") == dict.fromkeys(MATERIALIZED, "MATERIALIZED")
    for day in MATERIALIZED:
        page.goto(f"/assets/primary_metrics?view=partitions&partition={day}")
        page.get_by_text("Materialized (2)").wait_for()
        page.get_by_text("Failed (0)").wait_for()
        page.get_by_text("Materialized", exact=True).wait_for()


def test_what_lands_is_computed_once_per_changed_date(ui: Ui, page: Page) -> None:
    started = time.time()
    ui.until(lambda: ui.ticks_after(started), "the sensor looks at the landing")
    assert ui.sensor_runs() == []  # all that had landed was materialized by hand before

    ui.land()
    once_each = [(MATERIALIZED[0], "SUCCESS"), (HELD_BACK, "SUCCESS")]
    ui.until(lambda: len(ui.sensor_runs()) >= 2, "the sensor launches the changed dates")
    ui.until(lambda: {status for _, status in ui.sensor_runs()} == {"SUCCESS"}, "its runs end well")
    assert ui.sensor_runs() == once_each
    for asset in ("primary_metrics", PUBLISHED):
        assert ui.partitions(asset) == dict.fromkeys((*MATERIALIZED, HELD_BACK), "MATERIALIZED")

    finished = time.time()
    ui.until(lambda: ui.ticks_after(finished), "the sensor looks again")
    assert ui.sensor_runs() == once_each

    page.goto(f"/assets/primary_metrics?view=partitions&partition={HELD_BACK}")
    page.get_by_text("Materialized (3)").wait_for()
