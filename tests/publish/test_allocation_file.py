"""Allocation files: written with the publication, signed, and such that a gateway comes to the warehouse's leaves."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from edge_collector.allocation import Allocation, read_allocation
from edge_collector.key_file import KeyProblem
from tests.conftest import REPOSITORY, compute, rows
from venue_assets.graph.build import engine_resource
from venue_assets.home import Home
from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.methods.context_groups import by_level
from venue_assets.publish.allocations import ALLOCATIONS, KEY_VARIABLE, PUBLIC_KEY, load_key, write_allocations
from venue_assets.publish.publication import publish as publish_
from venue_assets.simulate import Dirt, Options, simulate
from venue_assets.tables.catalogue import catalogue

FIRST = date(2026, 1, 5)
DAYS = [FIRST + timedelta(days=n) for n in range(5)]
"""The shipped bandit begins on the 8th, so its first shares are due on the 7th."""
DUE = [date(2026, 1, 8), date(2026, 1, 9), date(2026, 1, 10)]


@pytest.fixture(autouse=True)
def _no_key_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("computed")
    shutil.copyfile(REPOSITORY / "data" / "site.toml", root / "site.toml")
    home = Home(root)
    simulate(home.site, home.landing, Options(FIRST, days=len(DAYS), visits=600, dirt=Dirt.none()))
    compute(home, *DAYS)
    return root


@pytest.fixture
def lake_home(computed: Path, tmp_path: Path) -> Home:
    shutil.copytree(computed, tmp_path / "home")
    return Home(tmp_path / "home")


def publish(home: Home) -> None:
    publish_(home, catalogue(), engine_resource())


def folder(home: Home) -> Path:
    return home.published / ALLOCATIONS


def public_key(home: Home) -> Ed25519PublicKey:
    key = load_pem_public_key((folder(home) / PUBLIC_KEY).read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    return key


def read(home: Home, day: date) -> Allocation:
    found = read_allocation(folder(home), "voucher", day, public_key(home))
    assert found is not None
    return found


def test_each_date_with_shares_has_its_signed_file(lake_home: Home) -> None:
    publish(lake_home)
    files = sorted(str(path.relative_to(folder(lake_home))) for path in folder(lake_home).rglob("*") if path.is_file())
    assert files == [PUBLIC_KEY, *(f"voucher/{day}.json" for day in DUE)]
    assert folder(lake_home).is_symlink()
    for day in DUE:
        assert read(lake_home, day).event_date == day
    assert read_allocation(folder(lake_home), "voucher", FIRST, public_key(lake_home)) is None


def test_the_file_says_what_site_and_tables_say(lake_home: Home) -> None:
    publish(lake_home)
    found = read(lake_home, DUE[-1])
    experiment = next(e for e in lake_home.site.experiments if e.id == "voucher")
    table = rows(lake_home, "bandit_allocations", DAYS[-1])
    assert {row["allocation_id"] for row in table} == {found.allocation_id}
    assert found.shares == {
        leaf: {row["arm"]: row["share"] for row in table if row["leaf"] == leaf} for leaf in {r["leaf"] for r in table}
    }
    assert (found.unit, found.arms, found.floor, found.seed) == ("visit", experiment.arms, 0.15, experiment.seed)
    assert found.fixed_shares == list(experiment.shares)
    document = json.loads((folder(lake_home) / "voucher" / f"{DUE[-1]}.json").read_bytes())
    (tree,) = rows(lake_home, "context_tree", DAYS[-1])
    assert document["tree"] == json.loads(str(tree["tree"]))
    users = {row["user_id"] for row in rows(lake_home, "visitor_features", DAYS[-1]) if row["venue_id"] == "harbour"}
    assert set(found.leaf_of_user) == users
    assert len(users) > 100


def test_a_file_whose_dates_did_not_change_is_linked(lake_home: Home) -> None:
    publish(lake_home)
    paths = [folder(lake_home) / "voucher" / f"{day}.json" for day in DUE]
    before = [(path.stat().st_ino, path.read_bytes()) for path in paths]
    # Another last date: segments of it were lost, though not those of a whole stream, which would be refused.
    _, *lost = sorted(lake_home.landing.glob(f"orders/event_date={DAYS[-1]}/*.manifest.json"))
    for manifest in lost:
        manifest.unlink()
    compute(lake_home, DAYS[-1])
    publish(lake_home)
    after = [(path.stat().st_ino, path.read_bytes()) for path in paths]
    assert after[:2] == before[:2]
    assert after[2] != before[2]


def test_publishing_anew_gives_the_same_bytes(lake_home: Home) -> None:
    publish(lake_home)
    before = {path.name: path.read_bytes() for path in (folder(lake_home) / "voucher").iterdir()}
    shutil.rmtree(lake_home.published)
    publish(lake_home)
    assert {path.name: path.read_bytes() for path in (folder(lake_home) / "voucher").iterdir()} == before


def test_the_key_is_made_once_for_its_owner_alone_and_outside_of_what_is_published(lake_home: Home) -> None:
    publish(lake_home)
    key = lake_home.allocation_key
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.parent == lake_home.root
    secret = key.read_text().strip().encode()
    for path in (*lake_home.lake.rglob("*"), *lake_home.published.rglob("*")):
        assert not path.is_file() or secret not in path.read_bytes()
    assert load_key(lake_home).public_key() == public_key(lake_home)


def test_the_key_of_the_environment_comes_first(lake_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "11" * 32)
    publish(lake_home)
    assert not lake_home.allocation_key.exists()
    assert load_key(lake_home).public_key() == public_key(lake_home)


@pytest.mark.parametrize("text", ["abc", "zz" * 32, "11" * 16])
def test_what_is_no_key_is_told(home: Home, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(KEY_VARIABLE, text)
    with pytest.raises(KeyProblem, match="64 hexadecimal digits are expected"):
        load_key(home)


def test_a_key_that_others_can_read_publishes_nothing(lake_home: Home) -> None:
    publish(lake_home)
    lake_home.allocation_key.chmod(0o644)
    shutil.rmtree(lake_home.published)
    with pytest.raises(KeyProblem, match="chmod 600"):
        publish(lake_home)
    assert not (lake_home.published / "current").exists()


# Of tables that the simulator does not give --------------------------------------------------------------------------

DAY = DAYS[-1]
CHANGED = {name: {str(DAY)} for name in ("bandit_allocations", "context_tree", "visitor_features", "identity_map")}


@pytest.fixture
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    """A publication's tables without rows."""
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS venue")
        for name in CHANGED:
            table = catalogue()[name]
            con.execute(f"CREATE SCHEMA IF NOT EXISTS venue.{table.layer}")
            columns = ", ".join(f"{column} {c.type}" for column, c in table.columns.items())
            con.execute(f"CREATE TABLE venue.{table.layer}.{name} (event_date DATE, {columns})")
        yield con


def insert(con: duckdb.DuckDBPyConnection, name: str, **values: Any) -> None:
    columns = ", ".join(f'"{column}"' for column in ("event_date", *values))
    marks = ", ".join("?" * (len(values) + 1))
    con.execute(
        f"INSERT INTO venue.{catalogue()[name].layer}.{name} ({columns}) VALUES ({marks})", [DAY, *values.values()]
    )


def shared_out(
    con: duckdb.DuckDBPyConnection,
    tree: ConditionalInferenceTree,
    arms: tuple[str, ...] = ("none", "tea", "second_half_price"),
) -> None:
    insert(con, "context_tree", experiment_id="voucher", tree=json.dumps(tree.to_dict()))
    for node in tree.nodes:
        for position, arm in enumerate(arms if node.split is None else ()):
            insert(
                con, "bandit_allocations", experiment_id="voucher", leaf=node.id, arm=arm, position=position,
                event_date_of_shares=DUE[-1], share=1 / len(arms), allocation_id="a",
            )  # fmt: skip


def users() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "segment": ["keep", "value", "new"] * 700,
            "visits": [n % 30 for n in range(2100)],
            "hour": [9 + n % 7 for n in range(2100)],
            "weekday": [1 + n % 5 for n in range(2100)],
        }
    )


def a_tree() -> ConditionalInferenceTree:
    """Splits by user and moment in turn."""
    X = users()
    y = (
        2.0 * (X["segment"] == "value") * (X["hour"] > 11)
        + 1.0 * (X["visits"] > 14) * (X["hour"] <= 12)
        + (1.0 * (X["weekday"] > 3) * (X["segment"] == "keep"))
    )
    return by_level(X, y)


def test_the_gateway_comes_to_the_leaf_of_the_warehouse(
    home: Home, tmp_path: Path, tables: duckdb.DuckDBPyConnection
) -> None:
    """Whatever is known of a visitor, at every hour: also where the tree asks for the user again after the hour."""
    tree = a_tree()
    assert {n.split.column for n in tree.nodes if n.split} == {"segment", "visits", "hour", "weekday"}
    shared_out(tables, tree)
    known = users().unique(["segment", "visits"], maintain_order=True)
    for n, (segment, visits) in enumerate(known.select("segment", "visits").iter_rows()):
        insert(tables, "visitor_features", venue_id="harbour", user_id=f"u{n}", segment=segment, visits=visits)
    insert(tables, "visitor_features", venue_id="riverside", user_id="elsewhere", segment="value", visits=20)
    write_allocations(tmp_path / "out", tables, home, CHANGED, None, shutil.copyfile)
    found = read_allocation(tmp_path / "out", "voucher", DUE[-1], load_key(home).public_key())
    assert found is not None
    assert "elsewhere" not in found.leaf_of_user
    nobody = pl.DataFrame({"segment": ["new"], "visits": [0]})
    everybody = pl.concat([known.select("segment", "visits"), nobody])
    names = [*(f"u{n}" for n in range(known.height)), "a stranger"]
    for hour in range(24):
        moment = {"hour": pl.lit(hour), "weekday": pl.lit(DUE[-1].isoweekday())}
        expected = tree.apply(everybody.with_columns(**moment)).to_list()
        assert [found.leaf_of(name, datetime(2026, 1, 10, hour, 59)) for name in names] == expected


def test_who_is_linked_at_the_terminal_is_the_member(
    home: Home, tmp_path: Path, tables: duckdb.DuckDBPyConnection
) -> None:
    X = users().select("segment")
    tree = by_level(X, (X["segment"] == "value").cast(pl.Float64))
    shared_out(tables, tree)
    for user, segment in (("member", "value"), ("terminal", "keep"), ("left", "value")):
        insert(tables, "visitor_features", venue_id="harbour", user_id=user, segment=segment)
    insert(tables, "identity_map", terminal_user_id="terminal", member_user_id="member")
    insert(tables, "identity_map", terminal_user_id="left", member_user_id="a member never seen here")
    write_allocations(tmp_path / "out", tables, home, CHANGED, None, shutil.copyfile)
    found = read_allocation(tmp_path / "out", "voucher", DUE[-1], load_key(home).public_key())
    assert found is not None
    value = tree.apply(pl.DataFrame({"segment": ["value"]}))[0]
    assert found.leaf_of_user == {"member": value, "terminal": value}


def test_without_a_bandit_there_is_an_empty_folder_and_no_key(
    home: Home, tmp_path: Path, tables: duckdb.DuckDBPyConnection
) -> None:
    write_allocations(tmp_path / "out", tables, home, CHANGED, None, shutil.copyfile)
    assert list((tmp_path / "out").iterdir()) == []
    assert not home.allocation_key.exists()


def test_an_experiment_that_is_no_longer_what_it_was_has_no_file(
    home: Home, tmp_path: Path, tables: duckdb.DuckDBPyConnection
) -> None:
    shared_out(tables, by_level(users(), pl.Series([0.0] * 2100)), arms=("none", "coffee"))
    write_allocations(tmp_path / "out", tables, home, CHANGED, None, shutil.copyfile)
    assert not list((tmp_path / "out").rglob("*.json"))


def link(source: Path, target: Path) -> None:
    target.hardlink_to(source)


def test_another_key_signs_all_files_anew(home: Home, tmp_path: Path, tables: duckdb.DuckDBPyConnection) -> None:
    shared_out(tables, by_level(users(), pl.Series([0.0] * 2100)))
    unchanged: dict[str, set[str]] = {name: set() for name in CHANGED}
    write_allocations(tmp_path / "1", tables, home, CHANGED, None, shutil.copyfile)
    write_allocations(tmp_path / "2", tables, home, unchanged, tmp_path / "1", link)
    home.allocation_key.unlink()
    write_allocations(tmp_path / "3", tables, home, unchanged, tmp_path / "1", link)
    one, two, three = (tmp_path / n / f"voucher/{DUE[-1]}.json" for n in "123")
    assert one.samefile(two)
    assert not one.samefile(three)
    assert read_allocation(tmp_path / "3", "voucher", DUE[-1], load_key(home).public_key()) is not None


def test_a_large_seed_survives(home: Home, tmp_path: Path, tables: duckdb.DuckDBPyConnection) -> None:
    text = home.site_file.read_text().replace('id = "voucher"', f'id = "voucher"\nseed = {2**63 - 1}')
    home.site_file.write_text(text)
    shared_out(tables, by_level(users(), pl.Series([0.0] * 2100)))
    write_allocations(tmp_path / "out", tables, Home(home.root), CHANGED, None, shutil.copyfile)
    found = read_allocation(tmp_path / "out", "voucher", DUE[-1], load_key(home).public_key())
    assert found is not None
    assert found.seed == 2**63 - 1
