"""`venue experiment`: what it says before anything is computed, over days of a closed loop, and on wrong input."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from statistics import NormalDist

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edge_collector.event_time import event_date
from tests.cli.commands import SITE, done, empty_home, is_refused, venue
from tests.experiments.lab import put
from venue_assets.cli.doctor import examine
from venue_assets.home import Home
from venue_assets.methods.context_groups import by_effect, by_level

Z = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped site, and nothing computed."""
    return empty_home(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Five days of the closed loop: two before the bandit, three with it; and what the command said."""
    root = empty_home(tmp_path_factory.mktemp("played"))
    return root, said_by(root, "simulate --days 5 --visits 150 --from 2026-01-06 --world one_best")


@pytest.fixture(scope="module")
def home(played: tuple[Path, str]) -> Path:
    return played[0]


def said_by(home: Path, line: str) -> str:
    """What `venue experiment` with this line printed, which must succeed."""
    return done(home, "experiment", *line.split())


def row_of(table: str, first: str) -> list[str]:
    """The cells of the row that begins with a word."""
    (line,) = (line for line in table.splitlines() if line.split("│")[0].strip() == first)
    return [cell.strip() for cell in line.split("│")]


# Wrong input ----------------------------------------------------------------------------------------------------------

WRONG: list[tuple[str, tuple[str, ...]]] = [
    ("show nope", ("'nope' is given", "one of welcome_screen, voucher is expected")),
    ("show vouchr", ("'vouchr' is given (did you mean voucher?)",)),
    ("size nope", ("'nope' is given", "welcome_screen, voucher")),
    ("simulate nope", ("'nope' is given", "welcome_screen, voucher")),
    ("show", ("ID", "venue experiment show --help")),
    ("show voucher --date soon", ("'soon' is given", "a date such as")),
    ("show voucher --days 0", ("--days", "venue experiment show --help")),
    ("list --date 2026-13-01", ("'2026-13-01' is given",)),
    ("size", ("an ID, or --kpi and --delta", "venue experiment size --help")),
    ("size --kpi conversion", ("an ID, or --kpi and --delta",)),
    ("size voucher --kpi amount", ("either an ID or these",)),
    ("size --kpi clicks --delta 2", ("--kpi clicks", "conversion, amount")),
    ("size --kpi conversions --delta 2", ("--kpi conversions is given (did you mean conversion?)",)),
    ("size --kpi gmv --delta 2 --unit visit", ("--unit visit", "venue_day is expected")),
    ("size --kpi conversion --delta 0.1 --unit hour", ("--unit", "venue experiment size --help")),
    ("size --kpi conversion --delta 2 --baseline 0.1", ("--delta 2.0", "less than 1")),
    ("size --kpi conversion --delta -0.1 --baseline 0.1", ("--delta -0.1",)),
    ("size --kpi conversion --delta 0.1 --baseline 7", ("--baseline 7.0", "from 0 to 1")),
    ("size --kpi amount --delta 1 --baseline 0.3", ("--baseline 0.3", "of a conversion")),
    ("size --kpi conversion --delta 0.1 --variance 3", ("--variance 3.0", "--baseline with conversion")),
    ("size --kpi amount --delta 1 --variance 0", ("--variance 0.0", "above 0")),
    ("size --kpi amount --delta 1", ("no --venue is given", "one of riverside, harbour")),
    ("size --kpi amount --delta 1 --venue moon", ("--venue moon", "riverside, harbour")),
    ("size --kpi amount --delta 1 --venue Harbor", ("--venue Harbor is given (did you mean harbour?)",)),
    ("size --kpi amount --delta 1 --variance 9 --alpha 2", ("--alpha 2.0",)),
    ("size --kpi amount --delta 1 --variance 9 --power 0.01", ("--power 0.01", "more than alpha")),
    ("size --kpi amount --delta 1 --variance 9 --arms 1", ("--arms", "venue experiment size --help")),
    ("size voucher", ("conversion per visit at harbour is not known", "materialize them", "--baseline RATE")),
    ("size --kpi gmv --delta 9 --venue harbour", ("gmv per venue_day at harbour is not known", "--variance NUMBER")),
    ("simulate --days 0", ("--days", "venue experiment simulate --help")),
    ("simulate --world flat", ("'flat'", "one_best")),
    ("simulate --from 2020-01-01", ("--from 2020-01-01", "no venue opens before")),
    ("simulate --from soon", ("'soon' is given",)),
    ("shown", ("shown", "venue experiment --help")),
]


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_input_is_one_sentence(bare: Path, line: str, words: tuple[str, ...]) -> None:
    is_refused(venue(bare, "experiment", *line.split()), *words)
    assert [p.name for p in bare.iterdir()] == ["site.toml"]


@pytest.mark.parametrize("line", ["list", "size voucher", "show voucher", "simulate"])
def test_a_home_that_is_missing_or_wrong(tmp_path: Path, line: str) -> None:
    is_refused(venue(tmp_path / "nowhere", "experiment", *line.split()), str(tmp_path / "nowhere"), "VENUE_DATA")
    (tmp_path / "site.toml").write_text("venues = many")
    is_refused(venue(tmp_path, "experiment", *line.split()), "not valid TOML")


def test_a_site_without_experiments(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE.read_text().partition("[[experiments]]")[0])
    said = done(tmp_path, "experiment", "list")
    assert "has no [[experiments]]" in said
    assert "improvement_hypotheses" in said
    is_refused(venue(tmp_path, "experiment", "show", "voucher"), "'voucher' is given", "site.toml has none")
    is_refused(venue(tmp_path, "experiment", "simulate"), "has no bandit")


@pytest.mark.parametrize("command", ["list", "size", "show", "simulate"])
def test_every_command_shows_an_example(bare: Path, command: str) -> None:
    said = " ".join(done(bare, "experiment", command, "--help").split())
    assert f"Example: venue experiment {command}" in said
    assert f" {command} " in done(bare, "experiment", "--help")


# Nothing computed yet -------------------------------------------------------------------------------------------------


def test_everything_can_be_asked_before_anything_is_computed(bare: Path) -> None:
    said = done(bare, "experiment", "list", "--date", "2026-01-01")
    assert row_of(said, "voucher")[-2:] == ["planned", "-"]
    assert "Next: venue experiment show welcome_screen" in said
    said = done(bare, "experiment", "show", "voucher", "--date", "2026-01-01")
    assert "2026-01-08...2026-02-28: planned on 2026-01-01" in said
    assert "Nothing is computed of it as of 2026-01-01; it has figures from 2026-01-07 on" in said
    assert "Next: venue materialize 2026-01-07" in said


@pytest.mark.parametrize(
    ("on", "state"),
    [
        ("2026-01-07", "planned"),
        ("2026-01-08", "running"),
        ("2026-01-18", "running"),
        ("2026-01-19", "maturing"),
        ("2026-01-21", "maturing"),
        ("2026-01-22", "ended"),
    ],
)
def test_the_state_of_an_experiment_goes_by_the_date(tmp_path: Path, on: str, state: str) -> None:
    text = SITE.read_text().replace(
        'unit = "visit"\narms = ["plain"', 'unit = "user"\nreward_days = 3\narms = ["plain"'
    )
    (tmp_path / "site.toml").write_text(text)
    assert row_of(done(tmp_path, "experiment", "list", "--date", on), "welcome_screen")[-2] == state


@pytest.mark.parametrize("newest", [None, 1, 0], ids=["no shares at all", "yesterday's", "today's"])
def test_a_bandit_without_shares_for_today_goes_on_with_the_fixed_ones_and_that_is_told(
    tmp_path: Path, newest: int | None
) -> None:
    """As after a day on which nothing landed: nobody can know how the arms did then."""
    home = empty_home(tmp_path)
    today = event_date(datetime.now(UTC), "Asia/Shanghai", time(4))
    dates = f"first_date = {today - timedelta(days=9)}\nlast_date = {today + timedelta(days=9)}"
    site = SITE.read_text().replace("first_date = 2026-01-08\nlast_date = 2026-02-28", dates)
    (home / "site.toml").write_text(site.replace("floor = 0.15", "fixed_shares = [0.5, 0.25, 0.25]\nfloor = 0.15"))
    if newest is not None:
        at = home / "published" / "allocations" / "voucher" / f"{today - timedelta(days=newest)}.json"
        at.parent.mkdir(parents=True)
        at.touch()
    age = f" (the newest are for {today - timedelta(days=1)})" if newest else ""
    said = (
        f"no shares for today, {today}{age}: gateways go on with the fixed ones (none 50.0 %, tea 25.0 %, "
        "second_half_price 25.0 %) until there are, and each record says so"
    )
    assert (said in said_by(home, "show voucher")) == (newest != 0)
    assert "no shares" not in said_by(home, "show welcome_screen")
    found = [f for f in examine(Home(home)) if f.subject == "experiment voucher"]
    assert [(f.level, f.found) for f in found] == ([("warning", said)] if newest != 0 else [])


def test_a_size_can_be_asked_from_figures_alone(bare: Path) -> None:
    said = said_by(bare, "size --kpi conversion --delta 0.02 --baseline 0.14")
    needed = (0.14 * 0.86 + 0.16 * 0.84) * Z**2 / 0.02**2
    assert row_of(said, "required units per arm")[1] == f"{int(needed) + 1:,} of 2 arms"
    assert row_of(said, "units a day at present")[1] == "- (give --venue to know)"
    assert "Next: put it into site.toml as [[experiments]]" in said
    said = said_by(bare, "size --kpi amount --delta 2 --variance 100 --arms 3 --venue harbour")
    z = NormalDist().inv_cdf(1 - 0.025 / 2) + NormalDist().inv_cdf(0.8)
    assert row_of(said, "required units per arm")[1] == f"{int(200 * z**2 / 4) + 1} of 3 arms"


def test_a_kpi_that_never_varies_has_no_size(tmp_path: Path) -> None:
    """Twenty visits without an order: an effect would be found at once, which is no plan."""
    root = empty_home(tmp_path)
    for n in range(2):
        day = date(2026, 1, 6 + n)
        put(Home(root), "primary_metrics", day, [{"venue_id": "harbour"}])
        visit = {"venue_id": "harbour", "state": "complete", "enter_at": datetime(2026, 1, 6, 9)}
        put(Home(root), "sessions", day, [visit | {"session_id": f"{day}/{i}"} for i in range(10)])
    line = "size --kpi amount --delta 1 --venue harbour"
    is_refused(
        venue(root, "experiment", *line.split()),
        "amount per visit at harbour is the same for all units in the 28 dates before 2026-01-08, so no size follows",
        "--variance NUMBER",
    )
    assert "required units per arm" in said_by(root, f"{line} --variance 9")


# The closed loop ------------------------------------------------------------------------------------------------------


def test_each_day_of_the_loop_is_decided_by_the_shares_of_the_day_before(played: tuple[Path, str]) -> None:
    home, said = played
    assert "Day 1 of 5, 2026-01-06: landed; no bandit is on" in said
    assert said.count("Materialized") == 5
    assert said.rstrip().endswith("Next: venue experiment show voucher --days 5")
    for day in (date(2026, 1, 8) + timedelta(days=n) for n in range(3)):
        told = json.loads((home / "published" / "allocations" / "voucher" / f"{day}.json").read_text())
        assert f"{day}: landed; voucher by allocation {told['allocation_id']}" in said
        given = (
            pq.ParquetFile(home / "lake" / "assignments" / f"event_date={day}" / "part-0.parquet").read().to_pylist()
        )
        given = [a for a in given if a["experiment_id"] == "voucher"]
        assert given
        for a in given:
            assert a["allocation_id"] == told["allocation_id"]
            assert a["propensity"] == pytest.approx(told["shares"][str(a["leaf_id"])][a["arm"]], abs=1e-6)
    assert json.loads((home / "truth.json").read_text())["options"]["world"] == "one_best"


def test_list_says_how_each_stands_on_the_newest_date(home: Path) -> None:
    said = done(home, "experiment", "list")
    assert "as of 2026-01-10" in said
    for name in ("welcome_screen", "voucher"):
        assert row_of(said, name)[-2:] == ["running", "running"]
    assert row_of(done(home, "experiment", "list", "--date", "2026-01-07"), "voucher")[-2:] == ["planned", "-"]


def test_show_tells_gate_verdict_groups_and_shares(home: Path) -> None:
    said = done(home, "experiment", "show", "voucher")
    assert "Gate of 2026-01-10" in said
    for arm in ("none", "tea", "second_half_price"):
        assert row_of(said, arm)[-1] == "no"
    assert re.search(r"Sample ratio: p = [\d.e-]+, ", said)
    assert said.count("running of 2026-01-10: no verdict yet: ") == 2
    assert "尚无结论" in said
    assert "Groups (reward), fitted on 2026-01-07 to " in said
    assert "leaf 1: everybody (" in said
    assert "Shares of 2026-01-08...2026-01-11" in said
    for line in (line for line in said.splitlines() if line.strip().startswith("2026-01-")):
        _, leaf, expected, *shares = (cell.strip() for cell in line.split("│"))
        assert int(leaf) == 1
        assert int(expected.replace(",", "")) >= 1
        assert sum(float(share.removesuffix(" %")) for share in shares) == pytest.approx(100, abs=0.2)
    assert "Next: venue experiment size voucher" in said
    # Of a test with fixed shares there are neither groups nor shares; and the past is as it was then.
    said = done(home, "experiment", "show", "welcome_screen", "--date", "2026-01-09")
    assert "Gate of 2026-01-09" in said
    assert "Groups" not in said
    assert "Shares" not in said
    assert "2026-01-08...2026-01-09" in said_by(home, "show voucher --date 2026-01-08 --days 2")


def test_show_names_groups_as_people_do_and_no_effect_before_the_verdict(home: Path, tmp_path: Path) -> None:
    root = tmp_path / "home"
    shutil.copytree(home, root, ignore=shutil.ignore_patterns("published", "dagster", "landing"))
    n = 800
    first = [i % 2 == 0 for i in range(n)]
    covariates = pl.DataFrame({"segment": ["general_keep" if f else "new" for f in first]})
    reward = pl.Series([float(i // 2 % 10 < (2 if f else 7)) for i, f in enumerate(first)])
    arm = pl.Series([("none", "tea")[i // 2 % 2] for i in range(n)])
    by_hour = by_level(pl.DataFrame({"hour": [5 if f else 6 for f in first]}), reward)
    effects = by_effect(
        covariates, reward * pl.Series([float(a == "tea") for a in arm]), arm, pl.Series([0.5] * n), ["none", "tea"]
    )
    for tree, said in (
        (
            by_level(covariates, reward),
            ("leaf 2: Segment: General keep (400 rows, mean 0.2)", "leaf 3: Segment: New ("),
        ),
        (by_hour, ("Hour of the visit: until 5:59 (", "Hour of the visit: from 6:00 (")),
        (effects, ("Segment: New (400 rows, tea against none)", "everybody (800 rows, tea against none)")),
    ):
        file = root / "lake" / "context_tree" / "event_date=2026-01-10" / "part-0.parquet"
        table = pq.ParquetFile(file).read()
        column = table.schema.get_field_index("tree")
        grown = pa.array([json.dumps(tree.to_dict())] * table.num_rows)
        pq.write_table(table.set_column(column, "tree", grown), file)
        shown = done(root, "experiment", "show", "voucher")
        for words in said:
            assert words in shown


def test_size_tells_what_the_traffic_can_show(home: Path) -> None:
    said = done(home, "experiment", "size", "voucher")
    # Planned with the days before the experiment, and today's traffic.
    sessions = [
        pq.ParquetFile(home / "lake" / "sessions" / f"event_date=2026-01-{n:02d}" / "part-0.parquet").read().to_pylist()
        for n in range(6, 11)
    ]
    visits = [[s for s in of_day if s["venue_id"] == "harbour" and s["enter_at"]] for of_day in sessions]
    a_day = sum(map(len, visits)) / 5
    assert f"over {len(visits[0]) + len(visits[1])} units of the 28 dates before 2026-01-08" in said
    assert row_of(said, "units a day at present")[1] == f"{a_day:,.1f}"
    (rate,) = re.findall(r"mean ([\d.]+),", said)
    raised = float(rate) + 0.02
    z = NormalDist().inv_cdf(1 - 0.025 / 2) + NormalDist().inv_cdf(0.8)
    needed = (float(rate) * (1 - float(rate)) + raised * (1 - raised)) * z**2 / 0.02**2
    required = int(row_of(said, "required units per arm")[1].split()[0].replace(",", ""))
    assert required == pytest.approx(needed, rel=1e-3)  # the rate is shown with four digits
    assert (
        row_of(said, "days until every arm has them")[1] == f"{-int(-required // (a_day / 3))} (under the fixed shares)"
    )
    assert row_of(said, "effect that its 52 days can show")[1].endswith("or more")
    floor = int(0.15 * a_day * 52)
    assert row_of(said, "an arm at the floor (0.15) by 2026-02-28")[1] == (
        f"{floor:,} units, {required - floor:,} too few: it never gets there"
    )
    assert "Next: venue experiment show voucher" in said


def test_a_planned_size_is_taken_from_the_last_dates(home: Path) -> None:
    said = said_by(home, "size --kpi amount --delta 5 --venue riverside")
    amounts = []
    for n in range(6, 11):
        of = {
            name: pq.ParquetFile(home / "lake" / name / f"event_date=2026-01-{n:02d}" / "part-0.parquet").read()
            for name in ("sessions", "order_lines")
        }
        sold: dict[str, float] = {}
        for line in of["order_lines"].to_pylist():
            if line["status"] == "completed":
                sold[line["session_id"]] = sold.get(line["session_id"], 0.0) + float(line["amount"])
        visits = [s for s in of["sessions"].to_pylist() if s["venue_id"] == "riverside" and s["enter_at"]]
        amounts += [sold.get(s["session_id"], 0.0) for s in visits]
    mean = sum(amounts) / len(amounts)
    variance = sum((a - mean) ** 2 for a in amounts) / (len(amounts) - 1)
    assert f"variance {variance:.6g}, over {len(amounts)} units of the 28 dates before 2026-01-11" in said
    assert row_of(said, "required units per arm")[1] == f"{int(2 * variance * Z**2 / 25) + 1:,} of 2 arms"
    said = said_by(home, "size --kpi visits --delta 0.5 --venue riverside --unit user")
    assert "visits per user at riverside: variance" in said
    said = said_by(home, "size --kpi gmv --delta 500 --venue riverside")
    assert row_of(said, "units a day at present")[1] == "1.0"


def test_a_partition_that_cannot_be_read_is_named(home: Path) -> None:
    path = home / "lake" / "context_tree" / "event_date=2026-01-10" / "part-0.parquet"
    content = path.read_bytes()
    path.write_bytes(b"nothing")
    try:
        is_refused(venue(home, "experiment", "show", "voucher"), "context_tree of 2026-01-10 cannot be read")
    finally:
        path.write_bytes(content)
