"""The `venue` command as people meet it: exit codes, the one sentence about wrong input, and the way from landing to
published figures. Commands run through `main`, which the installed script calls; the script itself is tried too."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from edge_collector.segment import segment_of, write_segment
from edge_collector.site import load_site
from venue_assets.cli import main
from venue_assets.cli.arguments import computable
from venue_assets.tables.catalogue import catalogue

ROOT = Path(__file__).parents[2]
SITE = ROOT / "data" / "site.toml"
SCRIPT = Path(sys.executable).with_name("venue")
COMMANDS = ["demo", "simulate", "import", "materialize", "status", "rerun", "query", "publish", "report", "ui"]
COMMANDS += ["doctor", "experiment", "landing"]
DAY = "2026-01-05"
RANGE = "2026-01-05...2026-01-06"

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


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def venue(home: Path | None, *arguments: str) -> Ended:
    """Run a command in this process; `home` becomes VENUE_DATA. Whatever it does to the environment is undone."""
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.dict(os.environ), mock.patch.object(sys, "argv", ["venue", *arguments]):
        os.environ.pop("VENUE_DATA", None)
        if home is not None:
            os.environ["VENUE_DATA"] = str(home)
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    assert code is None or isinstance(code, int)
    return Ended(code or 0, out.getvalue(), err.getvalue())


def done(home: Path, *arguments: str) -> str:
    """What a command that must succeed printed."""
    ended = venue(home, *arguments)
    assert ended.code == 0, ended
    return ended.out


def is_refused(ended: Ended, *words: str) -> None:
    """Exit code 2, nothing but one sentence, and in it the words that help."""
    assert ended.code == 2, ended
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert ended.err.startswith("error: ")
    assert ended.err.endswith("\n")
    assert ended.err.count("\n") == 1, ended.err
    for word in words:
        assert word in ended.err


def empty_home(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SITE, root / "site.toml")
    return root


def files(*folders: Path) -> dict[Path, tuple[int, int, int]]:
    """Size, time of change and inode of every file: a file that was written anew differs, even with the same bytes."""
    found = (p for folder in folders for p in folder.rglob("*") if p.is_file() and p.name != ".lock")
    return {p: (s.st_size, s.st_mtime_ns, s.st_ino) for p in found for s in [p.stat()]}


# Wrong input ----------------------------------------------------------------------------------------------------------


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
    ("materialize 2026-01-05 --select session", ("'session' is given", "sessions", "primary_metrics", "published")),
    ("materialize 2026-01-05 --select sessions,nope+", ("'nope' is given",)),
    ("materialize 2026-01-05 --select ,", ("--select is empty",)),
    ("rerun --date 2026-01-05 --from nope", ("'nope' is given", "sessions")),
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
    ("query SELECT*FROM/**/nowhere", ("nowhere", "does not exist", "primary_metrics")),
    ("query ;", ("SQL is empty",)),
    ("query SELECT+1 --format xml", ("'xml'", "json")),
    ("query SELECT+1 --limit -1", ("--limit",)),
    ("ui --port 0", ("--port",)),
    ("status --all", ("--all", "venue status --help")),
    ("materialise 2026-01-05", ("materialise", "venue --help")),
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


# Help and the installed script ----------------------------------------------------------------------------------------


def script(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "VENUE_DATA": str(home)}
    return subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_script_lists_the_commands_in_the_order_of_use(tmp_path: Path) -> None:
    shown = script(tmp_path, "--help")
    assert shown.returncode == 0
    assert re.findall(r"^\W*([a-z]+)  +[A-Z]", shown.stdout.partition("Commands")[2], re.MULTILINE) == COMMANDS


def test_script_ends_with_2(tmp_path: Path) -> None:
    ended = script(empty_home(tmp_path), "materialize", "2026-13-01")
    is_refused(Ended(ended.returncode, ended.stdout, ended.stderr), "'2026-13-01' is given")


def test_script_tells_its_version_and_how_to_begin(tmp_path: Path) -> None:
    assert re.fullmatch(r"venue \d+\.\d+\.\d+\n", script(tmp_path, "--version").stdout)
    assert "Example: venue demo" in script(tmp_path, "--help").stdout


def test_help_starts_without_dagster() -> None:
    """Else every `venue --help` would take seconds."""
    code = "import sys, venue_assets.cli; print({'dagster', 'duckdb', 'polars', 'pyarrow'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout == "set()\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(tmp_path: Path, command: str) -> None:
    assert f"Example: venue {command}" in " ".join(done(tmp_path, command, "--help").split())


# From landing to published figures ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated days, materialized."""
    root = empty_home(tmp_path_factory.mktemp("home"))
    said = done(root, "simulate", "--days", "2", "--visits", "60")
    assert re.search(r"Landed [\d,]+ lines in \d+ segments", said)
    assert f"Next: venue materialize {RANGE}" in said
    assert (root / "truth.json").exists()
    states = done(root, "status")
    assert states.count("missing") >= 2
    assert f"Next: venue materialize {RANGE}" in states
    assert f"Materialized {RANGE} in 1 run" in done(root, "materialize", RANGE)
    return root


def test_status_all_fresh(home: Path) -> None:
    said = done(home, "status")
    for day in ("2026-01-05", "2026-01-06"):
        (row,) = (line for line in said.splitlines() if line.strip().startswith(day))
        assert row.count("fresh") == 7
    assert not {"stale", "failed", "missing", "Next:"} & set(said.split())
    assert done(home, "status", "--problems") == "Every date is fresh\n"
    assert "2026-01-06" not in done(home, "status", DAY)
    said = done(home, "status", "2026-01-09")
    assert "Nothing landed and nothing computed for 2026-01-09; landed are event dates 2026-01-05 to 2026-01-06" in said


def test_status_problems_lists_only_what_is_not_fresh(home: Path) -> None:
    partition = next((home / "lake" / "primary_metrics" / "event_date=2026-01-06").glob("*.parquet"))
    content = partition.read_bytes()
    partition.unlink()
    try:
        said = done(home, "status", "--problems")
    finally:
        partition.write_bytes(content)
    assert "2026-01-05" not in said
    assert "primary_metrics: never computed" in said
    assert "Next: venue materialize 2026-01-06" in said


def test_query(home: Path) -> None:
    sql = "SELECT event_date, venue_id, pv FROM primary_metrics ORDER BY ALL"
    rows = list(csv.DictReader(io.StringIO(done(home, "query", sql, "--format", "csv"))))
    assert [(row["event_date"], row["venue_id"]) for row in rows] == [
        (day, venue_id) for day in ("2026-01-05", "2026-01-06") for venue_id in ("harbour", "riverside")
    ]
    assert sum(int(row["pv"]) for row in rows) > 0
    found = json.loads(done(home, "query", sql, "--format", "json"))
    assert [{name: str(value) for name, value in row.items()} for row in found] == rows
    assert "2 of 4 rows" in done(home, "query", sql, "--limit", "2")
    assert "of 4 rows" not in done(home, "query", sql, "--limit", "0")


def test_query_shows_brackets_as_they_are(home: Path) -> None:
    shown = done(home, "query", "SELECT '[/x]' AS \"[/y]\", '[bold]z' AS b")
    assert all(text in shown for text in ("[/x]", "[/y]", "[bold]z"))


def test_publish_says_that_nothing_changed(home: Path) -> None:
    before = files(home / "published")
    assert re.search(r"Publication \S+: 2 event dates \(nothing changed\)", done(home, "publish"))
    assert files(home / "published") == before


def test_rerun_failed_has_nothing_to_do(home: Path) -> None:
    before = files(home / "lake", home / "published")
    assert done(home, "rerun", "--failed") == (
        "Nothing failed: every run ended well. Missing and stale dates: venue status --problems\n"
    )
    assert files(home / "lake", home / "published") == before


def test_rerun_from_a_table_computes_what_reads_it_and_nothing_else(home: Path) -> None:
    before = files(home / "lake", home / "published")
    assert f"Materialized {DAY} in 1 run" in done(home, "rerun", "--date", DAY, "--from", "sessions")
    after = files(home / "lake", home / "published")
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed == {
        home / "lake" / table / f"event_date={DAY}" / "part-0.parquet" for table in catalogue().downstream("sessions")
    }
    assert done(home, "status", "--problems") == "Every date is fresh\n"


def test_doctor_finds_no_error(home: Path) -> None:
    said = done(home, "doctor")
    assert "event dates 2026-01-05 to 2026-01-06" in said
    assert "error" not in said.split()


# The demonstration ----------------------------------------------------------------------------------------------------


def test_demo_again_and_otherwise(tmp_path: Path) -> None:
    home = tmp_path / "home"
    said = done(home, "demo", "--days", "2", "--visits", "60", "--no-ui")
    assert "Reconciled with the truth" in said
    assert f"VENUE_DATA={home}" in said
    for page in (home / "published" / "reports" / name for name in ("2026-01-06.html", "2026-01-06.zh.html")):
        assert f" {page}\n" in said
        assert page.exists()

    written = files(home / "landing", home / "lake", home / "published")
    said = done(home, "demo", "--days", "2", "--visits", "60", "--no-ui")
    assert "Simulated before with the same options" in said
    assert "Every table is fresh: nothing to compute" in said
    assert "Reconciled with the truth" in said
    assert files(home / "landing", home / "lake", home / "published") == written

    manifest = write_segment(
        home / "landing",
        stream="orders",
        event_date=date(2026, 1, 5),
        gateway_id="foo",
        boot_id="b",
        lines=[b'{"not": "an order"}'],
        seqs=[1],
        created_at=datetime(2026, 1, 5, 20, tzinfo=UTC),
    )
    foreign = {path: path.read_bytes() for path in (manifest, segment_of(manifest))}
    assert sorted(path.name for path in foreign) == ["foo-b-1-1.jsonl.zst", "foo-b-1-1.manifest.json"]

    # What cannot be simulated is refused before anything is removed.
    landed = files(home / "landing")
    is_refused(venue(home, "demo", "--no-ui", "--from", "2020-01-01"), "no venue opens before")
    assert files(home / "landing") == landed

    said = done(home, "demo", "--days", "2", "--visits", "50", "--seed", "2", "--no-ui")
    assert "Simulated 2 days from 2026-01-05" in said
    assert "Materialized" in said
    assert "Reconciled with the truth" in said
    after = files(home / "landing")
    assert {path: path.read_bytes() for path in foreign} == foreign
    assert {path for path in landed if landed[path] == after.get(path)} == set(foreign)
    assert all(path.name.startswith("sim") for path in after.keys() - foreign.keys())
    assert done(home, "status", "--problems") == "Every date is fresh\n"
    assert "1" in done(home, "query", "SELECT count(*) FROM quarantine WHERE segment LIKE 'foo-%'", "--format", "csv")
