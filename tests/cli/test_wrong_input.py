"""Wrong input: exit code 2, one sentence that says what is expected, and nothing written."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from edge_collector.site import load_site
from tests.cli.commands import SITE, empty_home, is_refused, venue
from venue_assets.cli.arguments import computable

ORDERS_MAP = """
kind = "orders"
name = "kiosk"
venue = "riverside"
device = "kiosk"
amount_is = "line"

[columns]
order_id = "order"
ordered_at = "time"
amount = "amount"

[constants]
category_id = "all"
quantity = 1
"""

KIOSK = """
[[devices]]
id = "kiosk"
venue_id = "riverside"
gateway_id = "import_kiosk"
stream = "orders"
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which nothing landed, with maps that are wrong in some way."""
    home = empty_home(tmp_path_factory.mktemp("bare"))
    (home / "site.toml").write_text(SITE.read_text() + KIOSK)
    (home / "good.toml").write_text(ORDERS_MAP)
    (home / "unknown_key.toml").write_text('colour = "red"\n' + ORDERS_MAP)
    (home / "unknown_column.toml").write_text(ORDERS_MAP.replace('"amount"\n', '"price"\n'))
    (home / "unknown_venue.toml").write_text(ORDERS_MAP.replace('"riverside"', '"nowhere"'))
    (home / "other.csv").write_text("a,b\n1,2\n")
    (home / "no_toml.toml").write_text("kind = orders")
    (home / "orders.csv").write_text("order,time,amount\n1,2026-01-05 12:00:00,3.50\n")
    return home


WRONG: list[tuple[str, tuple[str, ...]]] = [
    # dates
    ("materialize 2026-13-01", ("'2026-13-01' is given", "a date such as 2026-01-05 is expected")),
    ("materialize yesterday", ("'yesterday' is given", "a date such as 2026-01-05 is expected")),
    ("materialize 2026-01-08...2026-01-05", ("2026-01-08...2026-01-05 ends before it begins",)),
    ("materialize 2026-01-05...2026-02-30", ("'2026-02-30' is given",)),
    ("materialize 2025-12-31", ("2025-12-31 is given", "from 2026-01-01", "opened_on")),
    ("materialize 2025-12-31...2026-01-02", ("2025-12-31 is given", "from 2026-01-01")),
    ("materialize 2099-01-01", ("2099-01-01 is given", "to today")),
    ("materialize {tomorrow}", ("{tomorrow} is given", "to today ({today})")),
    ("rerun --date {tomorrow}", ("{tomorrow} is given", "to today ({today})")),
    ("simulate --days 1 --from {tomorrow}", ("--from {tomorrow}", "to today ({today})")),
    ("status 2030-01-01", ("2030-01-01 is given", "dates from 2026-01-01", "to today ({today})")),
    ("status 2026-99-99", ("'2026-99-99' is given",)),
    ("status 2026-01-08...2026-01-05", ("ends before it begins",)),
    ("rerun --date 2026-1-5", ("'2026-1-5' is given",)),
    ("rerun --date 2025-12-31", ("2025-12-31 is given", "opened_on")),
    # tables
    (
        "materialize 2026-01-05 --select session",
        ("'session' is given (did you mean sessions?)", "primary_metrics", "published"),
    ),
    ("materialize 2026-01-05 --select sessions,nope+", ("'nope' is given",)),
    ("materialize 2026-01-05 --select ,", ("--select is empty",)),
    ("rerun --date 2026-01-05 --from nope", ("'nope' is given; a table is expected", "sessions")),
    ("rerun --date 2026-01-05 --from Primary_metric", ("(did you mean primary_metrics?)",)),
    # what belongs together
    ("rerun", ("--failed", "--date", "venue rerun --help")),
    ("rerun --failed --date 2026-01-05", ("either --failed or --date",)),
    ("rerun --failed --from sessions", ("--from", "--date only")),
    # the simulator
    ("demo --no-ui --days 0", ("--days", "venue demo --help")),
    ("demo --no-ui --from 2020-01-01", ("--from 2020-01-01", "no venue opens before 2026-01-01")),
    ("demo --no-ui --from 9999-12-30", ("--from 9999-12-30", "calendar")),
    ("demo --no-ui --from 2099-01-01", ("--from 2099-01-01", "dates to today")),
    ("demo --no-ui --from soon", ("'soon' is given",)),
    ("simulate --days 0", ("--days", "venue simulate --help")),
    ("simulate --days many", ("--days", "venue simulate --help")),
    ("simulate --seed 99999999999999999999", ("seed", "is expected")),
    ("simulate --from 2020-01-01", ("--from 2020-01-01", "no venue opens before 2026-01-01")),
    # files and maps
    ("import orders {home}/orders.csv --map {home}/none.toml", ("none.toml", "cannot be read")),
    ("import orders {home}/orders.csv --map {home}/no_toml.toml", ("no_toml.toml", "not valid TOML", "line 1")),
    ("import orders {home}/orders.csv --map {home}/unknown_key.toml", ("colour", "is not known here")),
    ("import orders {home}/orders.csv --map {home}/unknown_column.toml", ("'price' (columns.amount)", "it has order")),
    ("import orders {home}/other.csv --map {home}/good.toml", ("'order'", "'time'", "'amount'", "it has a, b")),
    ("import orders {home}/none.csv --map {home}/unknown_venue.toml", ("none.csv", "there is no such file")),
    ("import counts {home}/orders.csv --map {home}/good.toml", ('"counts" is expected',)),
    ("import orders {home}/none.csv --map {home}/good.toml", ("none.csv", "there is no such file")),
    ("import orders {home}/orders.csv", ("--map", "venue import --help")),
    ("import tills {home}/orders.csv --map {home}/good.toml", ("'tills'", "orders")),
    # the rest
    ("query SELEC", ("syntax error", "SELEC")),
    ("query SELECT+1;SELECT+2", ("2 statements are given", "one SELECT")),
    ("query DROP/**/VIEW/**/sessions", ("type DROP is given", "one SELECT")),
    ("query CREATE/**/TABLE/**/t(a/**/int)", ("type CREATE is given", "one SELECT")),
    ("query COPY/**/sessions/**/TO/**/'{home}/x.csv'", ("type COPY is given", "one SELECT")),
    ("query SET/**/threads=1", ("type SET is given", "one SELECT")),
    ("query FROM/**/read_text('/etc/hostname')", ("/etc/hostname", "reads the tables of {home}/lake and nothing else")),
    ("query FROM_nowhere", ("syntax error",)),
    ("query SELECT*FROM/**/nowhere", ("nowhere", "does not exist; tables: ", "primary_metrics")),
    ("query SELECT*FROM/**/orderlines", ("orderlines", "(did you mean order_lines?)")),
    ("landing token remove sim_north", ("sim_north", "has no token; see: venue landing token list")),
    ("query ;", ("SQL is empty",)),
    ("query SELECT+1 --format xml", ("'xml'", "json")),
    ("query SELECT+1 --limit -1", ("--limit",)),
    ("ui --port 0", ("--port",)),
    ("status --all", ("--all", "venue status --help")),
    ("materialise 2026-01-05", ("materialise", "Did you mean 'materialize'?", "venue --help")),
]


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_input_is_one_sentence(bare: Path, line: str, words: tuple[str, ...]) -> None:
    before = {p for p in bare.rglob("*") if not p.is_relative_to(bare / "dagster") and p.name != "pseudonym.key"}
    _, today = computable(load_site(SITE))
    given = {"home": bare, "today": today, "tomorrow": today + timedelta(days=1)}
    is_refused(venue(bare, *line.format(**given).split()), *(word.format(**given) for word in words))
    after = {p for p in bare.rglob("*") if not p.is_relative_to(bare / "dagster") and p.name != "pseudonym.key"}
    assert after == before


NEED_A_SITE = [
    "simulate",
    "import orders x.csv --map x.toml",
    "materialize 2026-01-05",
    "status",
    "rerun --failed",
    "rerun --date 2026-01-05",
    "publish",
    "ui",
]


@pytest.mark.parametrize("line", [*NEED_A_SITE, "query SELECT+1"])
@pytest.mark.parametrize("named", [True, False], ids=["nonexistent", "unset"])
def test_missing_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, *, named: bool) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "nowhere" if named else None
    is_refused(venue(home, *line.split()), str(home or tmp_path / "data"), "VENUE_DATA")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("line", ["demo --no-ui", *NEED_A_SITE])
@pytest.mark.parametrize(
    ("site", "words"),
    [("venues = many", ("not valid TOML", "line 1")), ("venue = []", ("venues: missing", "venue: is not known here"))],
    ids=["no_toml", "no_site"],
)
def test_wrong_site_file(tmp_path: Path, line: str, site: str, words: tuple[str, ...]) -> None:
    (tmp_path / "site.toml").write_text(site)
    is_refused(venue(tmp_path, *line.split()), str(tmp_path / "site.toml"), *words)
    assert [p.name for p in tmp_path.iterdir()] == ["site.toml"]


@pytest.mark.parametrize("line", ["demo --no-ui", *NEED_A_SITE, "query SELECT+1", "doctor"])
def test_data_folder_that_is_a_file(tmp_path: Path, line: str) -> None:
    (tmp_path / "file").write_text("")
    is_refused(venue(tmp_path / "file", *line.split()), str(tmp_path / "file"), "VENUE_DATA")


@pytest.mark.parametrize("line", ["demo --no-ui", "simulate"])
def test_site_without_simulated_gateways(tmp_path: Path, line: str) -> None:
    (tmp_path / "site.toml").write_text(SITE.read_text().replace('"sim_', '"real_'))
    is_refused(venue(tmp_path, *line.split()), "no device has a gateway_id that begins with 'sim'")


def test_doctor_names_what_is_missing(tmp_path: Path) -> None:
    """For the doctor a missing folder is a finding, not wrong input."""
    ended = venue(tmp_path / "nowhere", "doctor")
    assert ended.code == 1
    assert "site.toml" in ended.out
    assert "copy data/site.toml there" in ended.out
