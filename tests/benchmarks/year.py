"""A year in the lake for the benchmarks, cheaply: two simulated weeks, again and again on later dates.

Times are shifted; who came on one date of the two weeks only is somebody else each time, so that new people keep
coming, and regulars stay who they are. Segments and features, which hold everybody of the year, are computed by the
shipped SQL, but only of the dates that a publication reads; the other dates hold those of the two weeks.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

FIRST: Final = date(2026, 1, 5)
WEEKS: Final = 14
"""Dates that are simulated."""
EVERYBODY: Final = ("rfm_segments", "visitor_features")


def make(root: Path, *, days: int, held_back: int, visits: int, whole: set[date]) -> list[date]:
    """A home with `days` dates in its lake and as many as `held_back` beside it; returns all of them.

    `whole` are the dates of which everybody's segments are computed.
    """
    from venue_assets.tables.catalogue import catalogue

    dates = [FIRST + timedelta(days=n) for n in range(days + held_back)]
    done = root / "year.json"
    # A year of other tables would do as one whose dates all wait for the missing ones.
    tables = [table.name for table in catalogue()]
    what = {"days": days, "held_back": held_back, "visits": visits, "tables": tables}
    if done.exists() and json.loads(done.read_text()) == what:
        return dates
    shutil.rmtree(root, ignore_errors=True)
    weeks = root / "weeks"
    _simulate(weeks, visits)
    shutil.copyfile(weeks / "site.toml", root / "site.toml")
    _repeat(weeks, root, dates)
    _everybody(root, sorted(whole & set(dates)))
    for day in dates[days:]:
        move(root / "lake", root / "held_back", day)
    done.write_text(json.dumps(what))
    return dates


def move(source: Path, target: Path, day: date) -> None:
    """All partitions of a date, from one folder of tables to another."""
    for folder in sorted(source.glob(f"*/event_date={day}")):
        (target / folder.parent.name).mkdir(parents=True, exist_ok=True)
        folder.rename(target / folder.parent.name / folder.name)


def _simulate(root: Path, visits: int) -> None:
    import duckdb

    from venue_assets.home import Home
    from venue_assets.lake.engine import Engine
    from venue_assets.lake.landing_index import scan
    from venue_assets.simulate import Options, simulate
    from venue_assets.tables.catalogue import catalogue

    root.mkdir(parents=True)
    shutil.copyfile(Path(__file__).parents[2] / "data" / "site.toml", root / "site.toml")
    home = Home(root)
    simulate(home.site, home.landing, Options(FIRST, days=WEEKS, visits=visits))
    with duckdb.connect() as con:
        engine = Engine(home, catalogue(), con, scan(home.landing))
        for n in range(WEEKS):
            for table in catalogue():
                engine.compute(table, FIRST + timedelta(days=n))


def _repeat(weeks: Path, root: Path, dates: list[date]) -> None:
    import duckdb

    from venue_assets.lake.engine import select_partitions
    from venue_assets.lake.store import Lake
    from venue_assets.tables.catalogue import catalogue

    source, lake = Lake(weeks / "lake"), Lake(root / "lake")
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        once = select_partitions(catalogue()["user_days"], [str(source.path("user_days", d)) for d in dates[:WEEKS]])
        con.execute(
            f"CREATE TABLE once AS SELECT user_id FROM ({once}) GROUP BY user_id HAVING count(DISTINCT event_date) = 1"
        )
        for table in catalogue():
            for n, day in enumerate(dates):
                path = source.path(table.name, dates[n % WEEKS])
                turn = n // WEEKS
                columns = ", ".join(_shifted(name, c.type, turn) for name, c in table.columns.items())
                joins = " LEFT JOIN once ON once.user_id = t.user_id" if "user_id" in table.columns else ""
                over = table.name == "bandit_allocations" and turn > 0  # the shipped bandit has ended by then
                rows = con.sql(
                    f"SELECT {columns} FROM read_parquet('{path}') AS t{joins}{' WHERE false' if over else ''}"
                ).to_arrow_table()
                _put(lake, table, day, rows.cast(table.schema))
            print(f"  {table.name}", file=sys.stderr)


def _shifted(name: str, kind: str, turn: int) -> str:
    if turn == 0:
        return f"t.{name}"
    if kind in ("DATE", "TIMESTAMP"):
        return f"(t.{name} + INTERVAL {turn * WEEKS} DAY)::{kind} AS {name}"
    if name == "user_id":
        another = f"left(t.user_id, 4) || md5(t.user_id || '{turn}')"
        return f"CASE WHEN once.user_id IS NULL THEN t.user_id ELSE {another} END AS user_id"
    if name == "session_id":
        return f"t.session_id || '-{turn}' AS session_id"
    return f"t.{name}"


def _everybody(root: Path, whole: Iterable[date]) -> None:
    import duckdb

    from venue_assets.home import Home
    from venue_assets.lake.engine import select_partitions
    from venue_assets.lake.store import Lake
    from venue_assets.tables.catalogue import catalogue

    lake, tables = Lake(root / "lake"), catalogue()
    with duckdb.connect() as con:
        currencies = ", ".join(f"('{v.id}', '{v.currency}')" for v in Home(root).site.venues)
        con.execute(f"CREATE TABLE venues AS SELECT * FROM (VALUES {currencies}) AS v (venue_id, currency)")
        files = [str(lake.path("user_days", day)) for day in lake.dates("user_days")]
        con.execute(f"CREATE TABLE all_days AS {select_partitions(tables['user_days'], files)}")
        for day in whole:
            con.execute(f"SET VARIABLE event_date = DATE '{day}'")
            for name in EVERYBODY:
                con.execute(
                    "CREATE OR REPLACE VIEW user_days AS FROM all_days WHERE event_date BETWEEN "
                    f"'{day}'::DATE - {tables[name].inputs['user_days'].days} + 1 AND '{day}'"
                )
                sql = tables[name].sql
                assert sql
                rows = con.sql(sql).to_arrow_table().select(tables[name].schema.names)
                _put(lake, tables[name], day, rows.cast(tables[name].schema))
                con.execute(
                    "CREATE OR REPLACE VIEW rfm_segments AS "
                    f"{select_partitions(tables['rfm_segments'], [str(lake.path('rfm_segments', day))])}"
                )
            print(f"  everybody as of {day}", file=sys.stderr)


def _put(lake: Any, table: Any, day: date, rows: Any) -> None:
    batches = rows.combine_chunks().to_batches()
    with lake.draft(table.name, day, table.schema, batches, code=table.code, inputs={}) as draft:
        lake.put(table.name, day, draft)
