"""Dates for which nothing landed: computed where there is a reason, refused elsewhere, and taken out when asked to."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from tests.cli.commands import DAY, SITE, Ended, copied, done, empty_home, files, is_refused, simulated, venue
from venue_assets.graph.instance import open_instance
from venue_assets.graph.runs import materialize as in_the_ui
from venue_assets.home import Home

CLOSED, LAST, BEYOND = "2026-01-06", "2026-01-07", "2026-01-20"
POP_UP = f"""
[[experiments]]
id = "pop_up"
venue_id = "riverside"
kind = "randomised"
unit = "user"
arms = ["plain", "greeting"]
kpi = "conversion"
minimum_effect = 0.025
first_date = {DAY}
last_date = {LAST}
reward_days = 7
"""


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three simulated days, on the second of which the venues were closed; the first is materialized."""
    root = simulated(tmp_path_factory.mktemp("computed"), days=3, visits=40)
    for folder in (root / "landing").glob(f"*/event_date={CLOSED}"):
        shutil.rmtree(folder)
    done(root, "materialize", DAY)
    return root


@pytest.fixture(scope="module")
def computed_nevertheless(computed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A date for which nothing landed is computed, too: the Dagster UI computes what it is told to."""
    root = copied(computed, tmp_path_factory.mktemp("nevertheless"))
    with open_instance(Home(root)) as instance:
        assert in_the_ui(Home(root), instance, [date.fromisoformat(BEYOND)])[0].success
    return root


@pytest.fixture(scope="module")
def all_computed(computed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three days are computed."""
    root = copied(computed, tmp_path_factory.mktemp("all"))
    done(root, "materialize", f"{CLOSED}...{LAST}")
    return root


def dates_of(home: Path, *source: str) -> list[str]:
    said = done(home, "query", *source, "SELECT DISTINCT event_date FROM primary_metrics ORDER BY 1", "--format", "csv")
    return said.split()[1:]


@pytest.mark.parametrize("line", ["materialize {}", "rerun --date {}", "materialize {} --select sessions+"])
@pytest.mark.parametrize("dates", [BEYOND, "2026-01-04", "2026-01-20...2026-02-01"])
def test_a_date_for_which_nothing_landed_is_refused(computed: Path, line: str, dates: str) -> None:
    before = files(computed / "lake", computed / "published")
    is_refused(
        venue(computed, *line.format(dates).split()),
        f"nothing landed for {dates}; event dates with landed data are {DAY}, {LAST}: materialize these, or land ",
        "venue import",
    )
    assert files(computed / "lake", computed / "published") == before


def test_where_nothing_landed_at_all_the_landing_is_named(tmp_path: Path) -> None:
    home = empty_home(tmp_path)
    is_refused(venue(home, "materialize", DAY), f"nothing at all landed in {home / 'landing'}", "can be read", "demo")


def test_a_closed_day_between_landed_ones_is_computed_and_told(home: Path) -> None:
    said = done(home, "materialize", f"{DAY}...2026-01-10")
    assert "Left out: 2026-01-08...2026-01-10, because nothing landed then, nor later\n" in said
    assert f"Materialized {DAY}...{LAST} in 1 run" in said
    assert f"nothing landed for {CLOSED}: no records there, and all figures are 0 or null" in said
    assert dates_of(home) == dates_of(home, "--published") == [DAY, CLOSED, LAST]
    assert done(home, "status", "--problems") == "Every date is fresh\n"


def test_a_date_on_which_an_experiment_matures_is_computed_although_nothing_lands(home: Path) -> None:
    """A pop-up venue is gone on the last date of its test; the rewards of its users are complete a week later."""
    (home / "site.toml").write_text(SITE.read_text().partition("[[experiments]]")[0] + POP_UP)
    assert Home(home).site.experiments[0].matures_on == date(2026, 1, 14)
    assert "Materialized 2026-01-14 in 1 run" in done(home, "materialize", "2026-01-14...2026-01-15")
    is_refused(venue(home, "materialize", "2026-01-15"), "nothing landed for 2026-01-15")


def test_a_date_that_was_computed_nevertheless_is_shown_and_withdrawn(
    computed_nevertheless: Path, tmp_path: Path
) -> None:
    home = copied(computed_nevertheless, tmp_path)
    assert dates_of(home) == dates_of(home, "--published") == [DAY, BEYOND]
    said = done(home, "status", BEYOND)
    assert "nothing landed for it" in said
    assert f"Next: venue materialize {BEYOND} --withdraw\n" in said
    is_refused(venue(home, "materialize", BEYOND), f"venue materialize {BEYOND} --withdraw takes out what was computed")

    assert f"Withdrawn {BEYOND} from " in done(home, "materialize", BEYOND, "--withdraw")
    assert dates_of(home) == dates_of(home, "--published") == [DAY]
    assert "Nothing landed and nothing computed for 2026-01-20" in done(home, "status", BEYOND)
    is_refused(venue(home, "materialize", BEYOND, "--withdraw"), f"nothing of {BEYOND} is in ")


def test_a_failed_date_for_which_nothing_landed_is_withdrawn_too(home: Path) -> None:
    (home / "lake" / "sessions" / f"event_date={BEYOND}").touch()
    with open_instance(Home(home)) as instance:
        assert not in_the_ui(Home(home), instance, [date.fromisoformat(BEYOND)])[0].success
    (home / "lake" / "sessions" / f"event_date={BEYOND}").unlink()
    assert f"Left out: {BEYOND}, because nothing landed then" in done(home, "rerun", "--failed")
    done(home, "materialize", BEYOND, "--withdraw")
    assert BEYOND not in done(home, "status")
    assert done(home, "rerun", "--failed").startswith("Nothing failed: ")


def test_a_date_is_not_withdrawn_while_a_run_computes_it(home: Path) -> None:
    tried: list[Ended] = []

    def in_between(_: date, table: str) -> None:
        if table == "sessions":
            tried.append(venue(home, "materialize", BEYOND, "--withdraw"))

    with open_instance(Home(home)) as instance:
        assert in_the_ui(Home(home), instance, [date.fromisoformat(BEYOND)], listener=in_between)[0].success
    is_refused(tried[0], f"a run of {BEYOND} is under way; wait until it has ended")
    assert dates_of(home) == [DAY, BEYOND]


@pytest.mark.parametrize("left", ["half of the tables", "no table"])
def test_a_withdrawal_that_was_cut_off_is_told_and_finished_by_the_same_command(
    computed_nevertheless: Path, tmp_path: Path, left: str
) -> None:
    home = copied(computed_nevertheless, tmp_path)
    partitions = sorted((home / "lake").glob(f"*/event_date={BEYOND}"))
    for partition in partitions[:20] if left == "half of the tables" else partitions:
        shutil.rmtree(partition)
    assert BEYOND in dates_of(home, "--published")
    problems = venue(home, "status", "--problems")
    assert problems.code == 1
    assert f" venue materialize {BEYOND} --withdraw\n" in problems.out
    done(home, "materialize", BEYOND, "--withdraw")
    assert dates_of(home) == dates_of(home, "--published") == [DAY]
    assert BEYOND not in done(home, "status")


def test_what_a_withdrawn_date_gave_to_others_is_told(home: Path) -> None:
    """Shares for the next date are taken back with it; pages that somebody had rendered are theirs to remove."""
    with open_instance(Home(home)) as instance:
        assert in_the_ui(Home(home), instance, [date.fromisoformat(LAST), date(2026, 1, 8)])[0].success
    for folder in (home / "landing").glob(f"*/event_date={LAST}"):
        shutil.rmtree(folder)
    shares = home / "published" / "allocations" / "voucher" / "2026-01-09.json"
    assert shares.exists()
    done(home, "report", "--date", "2026-01-08")
    said = done(home, "materialize", f"{LAST}...2026-01-08", "--withdraw")
    assert f"Withdrawn {LAST}...2026-01-08 from " in said
    assert not shares.exists()
    assert f"Still there, rendered before: {home / 'published' / 'reports' / '2026-01-08.html'}; remove " in said


def test_figures_whose_segments_are_gone_stay_until_somebody_says_so(home: Path) -> None:
    """An import that was taken back looks like a landing whose disk is not there: only people know which it is."""
    done(home, "materialize", LAST)
    (home / "elsewhere").mkdir()
    for folder in (home / "landing").glob(f"*/event_date={LAST}"):
        folder.rename(home / "elsewhere" / folder.parent.name)
    said = done(home, "status")
    assert "orders that it was computed from are gone from landing/" in said
    assert f"Next: bring its segments back to landing/ (is its disk there?), or venue materialize {LAST} --wi" in said
    is_refused(venue(home, "materialize", LAST), f"venue materialize {LAST} --withdraw takes out what was computed")
    assert dates_of(home) == dates_of(home, "--published") == [DAY, LAST]
    done(home, "materialize", LAST, "--withdraw")
    assert dates_of(home) == dates_of(home, "--published") == [DAY]


def test_a_landing_of_which_nothing_is_there_costs_no_figures(home: Path) -> None:
    before = files(home / "lake", home / "published")
    (home / "landing").rename(home / "elsewhere")
    for line in (f"materialize {DAY}", f"materialize {DAY} --withdraw", f"rerun --date {DAY}"):
        is_refused(venue(home, *line.split()), f"nothing at all landed in {home / 'landing'}: look whether it is there")
    assert f"Next: look at {home / 'landing'}: nothing of what these dates were computed from" in done(home, "status")
    assert files(home / "lake", home / "published") == before


@pytest.fixture
def without_orders(all_computed: Path, tmp_path: Path) -> Path:
    """All three days are computed; then the orders of the second landed one are taken away."""
    home = copied(all_computed, tmp_path)
    (home / "landing" / "orders" / f"event_date={LAST}").rename(home / "elsewhere")
    return home


def orders_of(home: Path) -> list[str]:
    figures = (
        "SELECT event_date, sum(completed_orders) AS n FROM primary_metrics GROUP BY ALL HAVING n > 0 ORDER BY ALL"
    )
    return [row.partition(",")[0] for row in done(home, "query", figures, "--format", "csv").split()[1:]]


def test_a_single_stream_that_is_gone_costs_no_figures(without_orders: Path) -> None:
    home = without_orders
    before = files(home / "lake", home / "published")
    ended = venue(home, "status", "--problems")
    assert ended.code == 1
    assert "raw_orders: the segments of orders that it was computed from are gone from landing/" in ended.out
    first = ended.out.partition("Next: ")[2].splitlines()[0]
    assert first == f"bring its segments back to landing/ (is its disk there?), or venue materialize {LAST} --withdraw"
    doctor = venue(home, "doctor")
    assert doctor.code == 1
    assert f"the segments of orders that it was computed from are gone from landing/: {LAST}" in doctor.out
    for line in (f"materialize {LAST}", f"rerun --date {LAST}"):
        is_refused(venue(home, *line.split()), f"{LAST}: the segments of orders ", "bring them back", "--withdraw")
    with open_instance(Home(home)) as instance:
        failed = in_the_ui(Home(home), instance, [date.fromisoformat(LAST)])[0]
    assert failed.errors[date.fromisoformat(LAST)].startswith("raw_boundary_counts: the segments of orders ")
    assert f"Left out: {LAST}" in done(home, "rerun", "--failed")
    assert files(home / "lake", home / "published") == before
    (home / "elsewhere").rename(home / "landing" / "orders" / f"event_date={LAST}")
    assert done(home, "status", "--problems") == "Every date is fresh\n"
    assert orders_of(home) == [DAY, LAST]


def test_the_dates_around_a_stream_that_is_gone_are_computed(without_orders: Path) -> None:
    said = done(without_orders, "materialize", f"{DAY}...{LAST}")
    assert f"Left out: {LAST}, because the segments of orders that it was computed from are gone from landing/" in said
    assert f"Materialized {DAY}...{CLOSED} in 1 run" in said
    assert f"Materialized {LAST} in 1 run" in done(without_orders, "rerun", "--date", LAST, "--from", "sessions")
    assert orders_of(without_orders) == [DAY, LAST]


def test_a_single_stream_that_was_taken_back_is_withdrawn(without_orders: Path) -> None:
    said = done(without_orders, "materialize", LAST, "--withdraw")
    assert f"Taken as taken back: orders of {LAST}; the date is computed from what is left\n" in said
    assert f"Materialized {LAST} in 1 run" in said
    assert orders_of(without_orders) == [DAY]
    assert done(without_orders, "status", "--problems") == "Every date is fresh\n"


def test_a_date_with_landed_data_cannot_be_withdrawn(home: Path) -> None:
    before = files(home / "lake", home / "published")
    is_refused(venue(home, "materialize", DAY, "--withdraw"), f"{DAY} landed, or lies between dates that did")
    is_refused(venue(home, "materialize", BEYOND, "--withdraw", "--select", "sessions"), "a date is withdrawn whole")
    assert files(home / "lake", home / "published") == before
