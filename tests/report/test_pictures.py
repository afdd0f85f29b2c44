"""Pictures of tables in the metadata of the Dagster UI."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from tests.conftest import compute, rows
from tests.report.conftest import DAYS, LAST
from venue_assets.home import Home
from venue_assets.methods.context_groups import by_effect, by_level
from venue_assets.pictures import kpi
from venue_assets.tables.catalogue import catalogue
from venue_assets.tables.experiments import context_tree


def words(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter() if node.tag.endswith("text")]


@pytest.fixture(scope="module")
def copy(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home, to be computed in."""
    root = tmp_path_factory.mktemp("pictured")
    return Home(Path(shutil.copytree(home.root, root / "home", ignore=shutil.ignore_patterns("published", "dagster"))))


@contextmanager
def lake_of(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """What KPI are made of, over all dates."""
    with duckdb.connect() as con:
        for table in ("user_days", "primary_metrics"):
            con.execute(
                f"CREATE VIEW {table} AS FROM read_parquet('{home.lake / table}/*/*.parquet', hive_partitioning=true)"
            )
        yield con


def test_the_last_point_of_every_kpi_is_the_kpi(copy: Home) -> None:
    """However it is computed: over the window up to each date, or at once over the whole."""
    with lake_of(copy) as con:
        for row in rows(copy, "kpi", LAST):
            *_, last = kpi.over_dates(con, row["venue_id"], row["first_date"])  # type: ignore[arg-type]
            assert last["event_date"] == LAST
            for name in ("arpu", "arppu", "repurchase_rate"):
                assert last[name] == pytest.approx(row[name], rel=1e-12), (row["venue_id"], row["window_name"], name)


def test_kpi_are_drawn_as_small_multiples_by_venue_and_window(copy: Home) -> None:
    (computed,) = compute(copy, LAST, tables=["kpi"])
    assert computed.picture is not None
    said = words(computed.picture)
    for row in rows(copy, "kpi", LAST):
        assert f"{row['gmv']:,.2f} {row['currency']}" in said
        assert f"{row['arppu']:,.2f} {row['currency']}" in said
        assert f"{100 * float(row['repurchase_rate']):.1f} %" in said  # type: ignore[arg-type]
    assert sum(title.startswith(("harbour, ", "riverside, ")) for title in said) == len(rows(copy, "kpi", LAST)) == 4
    assert computed.picture.count("<polyline") == 3 * 4


def test_a_date_of_which_a_venue_has_no_record_is_shaded(copy: Home) -> None:
    """Its GMV is 0 in the table, as on a date on which nobody bought."""
    with lake_of(copy) as con:
        without = {
            venue: [at["event_date"] for at in kpi.over_dates(con, venue, DAYS[0]) if not at["recorded"]]
            for venue in ("harbour", "riverside")
        }
    assert without == {"harbour": [], "riverside": [date(2026, 1, 9)]}  # when the simulation's gateway is off line
    (computed,) = compute(copy, LAST, tables=["kpi"])
    assert computed.picture is not None
    said = words(computed.picture)
    gaps = [title.partition(",")[0] for title in said if title.endswith(", 1 of them without records")]
    assert gaps == ["riverside", "riverside"], "a title per window"
    assert "Shaded: no record of the venue on that date, its gateway was off line or it was closed." in said


def test_a_tree_of_effects_tells_none_before_its_verdict(home: Home) -> None:
    """Dagster shows it every day, and daily looks would find what is not there; the level of the KPI is no effect."""
    n = 1200
    hour, arm = [i % 2 for i in range(n)], [("none", "tea")[i // 2 % 2] for i in range(n)]
    reward = [float(h == 1 and a == "tea" and i % 5 > 0) for i, (h, a) in enumerate(zip(hour, arm, strict=True))]
    frame, rewarded = pl.DataFrame({"hour": hour}), pl.Series(reward)
    of_effects = by_effect(frame, rewarded, pl.Series(arm), pl.Series([0.5] * n), ["none", "tea"])
    row = {"experiment_id": "voucher", "fitted_on": LAST, "rows": n, "leaves": 2}
    drawn = {
        target: words(
            context_tree.picture(pa.Table.from_pylist([row | {"target": target, "tree": json.dumps(tree.to_dict())}]))
        )
        for target, tree in (("effect of tea against none", of_effects), ("reward", by_level(frame, rewarded)))
    }
    told = {target: {text.split()[0] for text in said} & {"mean", "p"} for target, said in drawn.items()}
    assert told == {"effect of tea against none": set(), "reward": {"mean", "p"}}
    assert (
        "Effects are told once there is a verdict: by venue experiment show and in the report."
        in (drawn["effect of tea against none"])
    )
    assert "n = 600" in drawn["effect of tea against none"]


def test_kpi_that_are_not_known_are_said_to_be(copy: Home) -> None:
    table = catalogue()["kpi"]
    nothing = {"venue_id": "hall", "window_name": "last_30_days", "first_date": LAST, "dates": 0, "currency": "EUR"}
    with duckdb.connect() as con:
        con.execute("CREATE TABLE user_days(event_date DATE, venue_id VARCHAR, user_id VARCHAR, orders BIGINT)")
        con.execute(
            "CREATE TABLE primary_metrics(event_date DATE, venue_id VARCHAR, gmv DECIMAL(18,2), "
            "gmv_anonymous DECIMAL(18,2), pf_range BIGINT, pf_entrance DOUBLE, pv BIGINT, completed_orders BIGINT, "
            "cancelled_amount DECIMAL(18,2))"
        )
        empty = table.schema.empty_table()
        assert words(kpi.picture(empty, con)) == ["No venue has landed anything yet."]
        row = {name: nothing.get(name) for name in table.schema.names}
        said = words(kpi.picture(empty.from_pylist([row], table.schema), con))
    assert said.count("not known") == 8
